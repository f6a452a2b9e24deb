//! The model info file of GStreamer's inference elements, beside a model.

use crate::error::{Error, ErrorKind};
use model::GstModelInfo;
use std::path::{Path, PathBuf};

/// The extension of a model info file.
pub const MODEL_INFO: &str = "modelinfo";

/// Reads the model info file beside a model, if there is one.
///
/// # Errors
/// The file can't be read, or its content isn't valid.
pub fn gst_model_info(model: &Path) -> Result<Option<GstModelInfo>, Error> {
    let Some(file) = gst_model_info_file(model) else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|error| gst_model_info_error(&file, &error))?;
    GstModelInfo::parse(&text).map(Some).map_err(|error| {
        let text = format!("model info {}: {error}. Correct the file, or remove it", file.display());
        Error::new(ErrorKind::Model, text)
    })
}

/// The model info file beside a model: `MODEL.onnx.modelinfo` or, as GStreamer also accepts, `MODEL.modelinfo`. An engine
/// has that of the `.onnx` from which it was built.
pub fn gst_model_info_file(model: &Path) -> Option<PathBuf> {
    let with_extension = |path: &Path| path.with_added_extension(MODEL_INFO);
    let files =
        [with_extension(model), with_extension(&model.with_extension("onnx")), model.with_extension(MODEL_INFO)];
    files.into_iter().find(|file| file.is_file())
}

/// The error for a model info file that can't be read.
pub fn gst_model_info_error(file: &Path, error: &std::io::Error) -> Error {
    let text = format!("can't read model info {}: {error}. Make it readable, or remove it", file.display());
    Error::new(ErrorKind::File, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_beside_the_model_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("yolo.v1.onnx");
        let engine = folder.path().join("yolo.v1.engine");
        assert_eq!(gst_model_info(&model).unwrap(), None);
        // Each has precedence over those before.
        for name in ["yolo.v1.modelinfo", "yolo.v1.onnx.modelinfo"] {
            let file = folder.path().join(name);
            std::fs::write(&file, "[modelinfo]\nversion=1.0\n").unwrap();
            assert_eq!(gst_model_info_file(&model), Some(file.clone()));
            assert_eq!(gst_model_info_file(&engine), Some(file));
        }
        assert_eq!(gst_model_info(&model).unwrap(), Some(GstModelInfo::default()));

        std::fs::write(folder.path().join("yolo.v1.onnx.modelinfo"), "nonsense").unwrap();
        let error = gst_model_info(&model).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Model);
        assert!(error.message.contains("yolo.v1.onnx.modelinfo: line 1: expected [SECTION]"), "{error}");
        std::fs::write(folder.path().join("yolo.v1.onnx.modelinfo"), [0xff, 0xfe]).unwrap();
        assert_eq!(gst_model_info(&model).unwrap_err().kind, ErrorKind::File);
    }
}
