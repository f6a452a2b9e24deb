//! Reads a model's input from its file, without TensorRT and without a GPU.

use crate::error::{self, ErrorKind};
use crate::infer::{gst_model_info, image_processor};
use model::head::{self, ModelChoice, Recognised};
use model::{HeadError, InputSpec, ModelInfo, TensorIds};
use std::path::Path;
use tensorrt::{EngineFile, Onnx, is_onnx};

/// The input of an `.onnx` and its tensor id, or of the one from which an `.engine` or `.plan` was built. For an engine, it is read from
/// the record that `gst-trt build` writes beside it, or else from the `.onnx` beside it.
///
/// # Errors
/// A file that can't be read, a model with an unknown head, or an engine with neither file beside it.
pub fn input(model: &Path) -> Result<(InputSpec, String), error::Error> {
    let (info, recognised) = read(model, ModelChoice::default())?;
    let id = TensorIds::of(&info, &*recognised.head).input;
    Ok((recognised.input, id))
}

/// The head of such a file, as far as it can be recognised without running the model.
///
/// # Errors
/// As [`input`].
pub fn recognised(model: &Path, choice: ModelChoice) -> Result<Recognised, error::Error> {
    Ok(read(model, choice)?.1)
}

fn read(model: &Path, choice: ModelChoice) -> Result<(ModelInfo, Recognised), error::Error> {
    let mut info = if is_onnx(model) { Onnx::open(model)?.info()? } else { engine_info(model)? };
    info.gst_model_info = gst_model_info(model)?;
    info.image_processor = image_processor(model)?;
    let bad = |error: HeadError| error::Error::new(ErrorKind::Model, format!("model {}: {error}", model.display()));
    let recognised = head::recognise(&info, choice).map_err(bad)?;
    Ok((info, recognised))
}

fn engine_info(engine: &Path) -> Result<ModelInfo, error::Error> {
    let file = EngineFile::open(engine)?;
    if let Some(record) = file.record
        && !record.inputs.is_empty()
    {
        let (inputs, outputs, metadata) = (record.inputs, record.outputs, file.metadata);
        return Ok(ModelInfo { inputs, outputs, metadata, ..ModelInfo::default() });
    }
    let onnx = engine.with_extension("onnx");
    if onnx.exists() {
        return Ok(Onnx::open(&onnx)?.info()?);
    }
    Err(error::Error::new(
        ErrorKind::Setting,
        format!(
            "engine {} alone doesn't say what its input means: put its .onnx beside it, build it with `gst-trt build -o`, \
             or leave `model` unset, so that the models downstream are asked",
            engine.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::digest::hex;
    use sha2::{Digest, Sha256};
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use tensorrt::{BuildSettings, EngineRecord, Facts, ModelContent, Version, write_record};

    fn spec_of(model: &Path) -> Result<InputSpec, error::Error> {
        Ok(input(model)?.0)
    }

    fn test_model(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
    }

    /// The input equals that of ONNX Runtime's engine, for every head.
    #[test]
    fn an_onnx_says_what_it_takes() {
        let spec = spec_of(&test_model("yolo.onnx")).unwrap();
        assert_eq!((spec.width, spec.height), (96, 64));
        assert_eq!(input(&test_model("yolo.onnx")).unwrap().1, "images");
        let error = spec_of(&test_model("unknown-head.onnx")).unwrap_err();
        assert!(error.message.contains("unknown-head.onnx") && error.message.contains("known heads"), "{error}");
        assert!(input(Path::new("/nonexistent/a.onnx")).unwrap_err().message.contains("/nonexistent/a.onnx"));
    }

    #[test]
    fn an_engine_has_a_record_or_its_onnx_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("yolo.engine");
        std::fs::write(&engine, b"a plan").unwrap();
        let error = spec_of(&engine).unwrap_err();
        assert!(error.message.contains("put its .onnx beside it"), "{error}");

        let expected = spec_of(&test_model("yolo.onnx")).unwrap();
        let ModelInfo { inputs, outputs, metadata, .. } = Onnx::open(&test_model("yolo.onnx")).unwrap().info().unwrap();
        let version = Version::decode(100_300, "libnvinfer.so.10");
        let content = ModelContent { file: [0; 32], beside: BTreeMap::new() };
        let facts = Facts::new(&content, version, None, &BuildSettings::default());
        let plan = hex(&Sha256::digest(b"a plan"));
        let (model, profile) = ("yolo.onnx".into(), vec![]);
        let record = EngineRecord { model, facts, plan, profile, metadata, inputs, outputs, verified: None };
        write_record(&engine.with_extension("json"), &record).unwrap();
        assert_eq!(spec_of(&engine).unwrap(), expected);

        std::fs::remove_file(engine.with_extension("json")).unwrap();
        std::fs::copy(test_model("yolo.onnx"), folder.path().join("yolo.onnx")).unwrap();
        assert_eq!(spec_of(&engine).unwrap(), expected);
    }
}
