//! Engine files that a user names: plain plans, plans of ours with a record beside them, and Ultralytics' exports,
//! which have a JSON header before the plan.

use super::cache::{EngineRecord, read_json};
use super::error::{EngineFault, Error};
use super::version::Version;
use files::digest::{self, hex};
use model::GpuFacts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// An engine file's content.
#[derive(Debug)]
pub struct EngineFile {
    bytes: Vec<u8>,
    /// Offset of the plan in the file.
    start: usize,
    /// The model's metadata (`names`, `task`, `imgsz`, …), from Ultralytics' header or the record beside the file.
    pub metadata: BTreeMap<String, String>,
    /// The record beside the file, if `gst-trt build -o` wrote one.
    pub record: Option<EngineRecord>,
}

/// Upper limit of the size of an Ultralytics header.
const MAX_HEADER: usize = 1 << 20;

impl EngineFile {
    /// # Errors
    /// The file can't be read, or doesn't match its record.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let read = || files::regular_file(path).and_then(|()| std::fs::read(path));
        let bytes = read().map_err(|error| Error::file(path, &error))?;
        let record = EngineRecord::beside(path);
        let (start, mut metadata) = header(&bytes).unwrap_or_default();
        let mut file = Self { bytes, start, metadata: BTreeMap::new(), record: None };
        if let Some(record) = record {
            if !record.is_of(file.plan()) {
                let reason = "its content doesn't match the .json beside it".into();
                return Err(Error::Engine { engine: path.into(), fault: EngineFault::Damaged { reason } });
            }
            metadata.extend(record.metadata.clone());
            file.record = Some(record);
        }
        file.metadata = metadata;
        Ok(file)
    }

    /// The engine's serialised form.
    pub fn plan(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Calls [`EngineRecord::check`] if there is a record.
    ///
    /// # Errors
    /// As for [`EngineRecord::check`].
    pub fn check(&self, path: &Path, running: Version, gpu: Option<&GpuFacts>) -> Result<(), Error> {
        self.record.as_ref().map_or(Ok(()), |record| record.check(path, running, gpu))
    }
}

impl EngineRecord {
    /// Reads the record beside an engine file.
    pub fn beside(engine: &Path) -> Option<Self> {
        read_json(&engine.with_extension("json"))
    }

    /// Checks that the file contains the plan that was written. A file that this process has read already isn't read
    /// again.
    ///
    /// # Errors
    /// As for [`EngineFile::open`].
    pub fn check_file(&self, engine: &Path) -> Result<(), Error> {
        if digest::of_file(engine).is_ok_and(|hash| self.plan == hex(&hash)) {
            return Ok(());
        }
        // Opening the file gives a precise error, or succeeds if there is a header before the plan.
        EngineFile::open(engine).map(drop)
    }

    /// Compares the record with the TensorRT and GPU that are to run the engine.
    ///
    /// # Errors
    /// [`Error::Engine`]: the engine was built by another TensorRT, or for another GPU.
    pub fn check(&self, engine: &Path, running: Version, gpu: Option<&GpuFacts>) -> Result<(), Error> {
        let fault = |fault| Err(Error::Engine { engine: engine.into(), fault });
        if self.facts.tensorrt != running.to_string() {
            let log = vec![format!("it was built by {}", self.facts.tensorrt)];
            return fault(EngineFault::OtherTensorRt { running, log });
        }
        if let (Some(made_for), Some(here)) = (&self.facts.gpu, gpu)
            && made_for != here
            && self.facts.hardware_compatibility == super::HardwareCompatibility::None
        {
            let log = vec![format!("it was built for {}, but this GPU is {}", made_for.name, here.name)];
            return fault(EngineFault::OtherGpu { log });
        }
        Ok(())
    }
}

/// Reads Ultralytics' header: its length in 4 bytes, little-endian, then a JSON object. Returns the plan's offset and
/// the object.
fn header(bytes: &[u8]) -> Option<(usize, BTreeMap<String, String>)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_HEADER)?;
    let object: serde_json::Map<String, Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
    // Every value is converted to text, as in ONNX metadata.
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some((4 + length, object.into_iter().map(|(key, value)| (key, text(value))).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &tempfile::TempDir, bytes: &[u8]) -> std::path::PathBuf {
        let path = folder.path().join("a.engine");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn ultralytics_header_is_read_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let json = br#"{"task": "detect", "stride": 32, "imgsz": [640, 480], "names": {"0": "person"}}"#;
        let mut bytes = (json.len() as u32).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.extend(b"ftrt plan");
        let file = EngineFile::open(&write(&folder, &bytes)).unwrap();
        assert_eq!(file.plan(), b"ftrt plan");
        assert_eq!(file.metadata["task"], "detect");
        assert_eq!(file.metadata["stride"], "32");
        assert_eq!(file.metadata["imgsz"], "[640,480]");
    }

    #[test]
    fn plain_plans_are_left_whole() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b"ftrt and so on"[..], b"", b"ab", &[2, 0, 0, 0, b'{', b'x', 1], &[255; 64], &[3, 0, 0, 0, b'[']]
        {
            let file = EngineFile::open(&write(&folder, bytes)).unwrap();
            assert_eq!((file.plan(), file.metadata.len()), (bytes, 0));
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = EngineFile::open(Path::new("/nonexistent/a.engine")).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/a.engine: "), "{error}");
    }
}
