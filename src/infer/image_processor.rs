//! Hugging Face's `preprocessor_config.json`, beside a model.

use crate::error::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// The name of the file.
pub const IMAGE_PROCESSOR: &str = "preprocessor_config.json";
/// The folder of a repository of Hugging Face in which exports are, one below the file.
const EXPORTS: &str = "onnx";

/// Reads the file, if there is one.
///
/// # Errors
/// The file can't be read.
pub fn image_processor(model: &Path) -> Result<Option<String>, Error> {
    let read = |file: PathBuf| std::fs::read_to_string(&file).map_err(|error| image_processor_error(&file, &error));
    image_processor_file(model).map(read).transpose()
}

/// The file in the model's folder, or in the one above if the model's is called `onnx`.
pub fn image_processor_file(model: &Path) -> Option<PathBuf> {
    let above = model.parent().filter(|folder| folder.file_name().is_some_and(|name| name == EXPORTS));
    let files = [Some(model), above].into_iter().flatten().map(|path| path.with_file_name(IMAGE_PROCESSOR));
    files.into_iter().find(|file| file.is_file())
}

/// The error for a file that can't be read.
pub fn image_processor_error(file: &Path, error: &std::io::Error) -> Error {
    let text = format!("can't read {}: {error}. Make it readable, or remove it", file.display());
    Error::new(ErrorKind::File, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_beside_the_model_or_above_its_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let exports = folder.path().join(EXPORTS);
        std::fs::create_dir(&exports).unwrap();
        let (model, other) = (exports.join("model.onnx"), folder.path().join("model.onnx"));
        assert_eq!((image_processor(&model).unwrap(), image_processor_file(&other)), (None, None));
        // The second has precedence.
        for place in [folder.path(), &exports] {
            let file = place.join(IMAGE_PROCESSOR);
            std::fs::write(&file, place.display().to_string()).unwrap();
            assert_eq!(image_processor_file(&model), Some(file));
            assert_eq!(image_processor(&model).unwrap(), Some(place.display().to_string()));
        }
        assert_eq!(image_processor_file(&other), Some(folder.path().join(IMAGE_PROCESSOR)));
        std::fs::write(exports.join(IMAGE_PROCESSOR), [0xff, 0xfe]).unwrap();
        assert_eq!(image_processor(&model).unwrap_err().kind, ErrorKind::File);
    }
}
