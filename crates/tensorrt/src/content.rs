//! A model's identity: the content of its files, independent of their paths and names. It alone decides whether
//! elements share a service, which cached engine fits, and whether files have changed.

use super::cache::{read_json, write_atomically};
use super::error::Error;
use super::load::is_engine;
use super::onnx::{ExternalFiles, FP32_LIST, external_files, fp32_list};
use crate::log::{Level, say};
use files::digest::{self, Hash, Stamp, from_hex, hex};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Hashes of all files that determine a model's results.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelContent {
    /// Hash of the file itself.
    pub file: Hash,
    /// Hashes of the files beside it, by name: an ONNX file's external tensors and its list of FP32 nodes, or an
    /// engine's record.
    pub beside: BTreeMap<String, Hash>,
}

impl ModelContent {
    /// Hashes an `.engine` or `.plan`, or else an ONNX file. `memory` is a JSON file in which hashes are remembered
    /// between processes: hashing a large model takes longer than loading its engine.
    ///
    /// # Errors
    /// A file is missing, shorter than the ONNX file says, not readable or not in the model's folder.
    pub fn of(model: &Path, memory: Option<&Path>) -> Result<Self, Error> {
        if is_engine(model) {
            let record = model.with_extension("json");
            let beside = if record.exists() { Some(("record".to_owned(), hash(&record)?)) } else { None };
            return Ok(Self { file: hash(model)?, beside: beside.into_iter().collect() });
        }
        let mut remembered = Memory::recall(memory);
        let file = remembered.hash(model)?;
        // For a symbolic link this is the link's folder, as in ONNX Runtime and TensorRT.
        let folder = model.parent().unwrap_or(Path::new(""));
        let mut beside = BTreeMap::new();
        for (name, least) in remembered.external(model, file)? {
            let path = folder.join(&name);
            check(&path, model, least)?;
            beside.insert(name, remembered.hash(&path)?);
        }
        let list = fp32_list(model);
        if list.exists() {
            beside.insert(FP32_LIST.to_owned(), hash(&list)?);
        }
        remembered.keep(memory);
        Ok(Self { file, beside })
    }
}

/// Checks that a file with a model's tensors exists and is complete.
fn check(path: &Path, model: &Path, least: u64) -> Result<(), Error> {
    let wrong = |reason: String| {
        let model = model.file_name().unwrap_or_default().display();
        let reason =
            format!("{reason}: {model} has weights in it, so copy the whole file beside {model} without renaming it");
        Err(Error::File { path: path.into(), reason })
    };
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => wrong("isn't a file".into()),
        Ok(metadata) if metadata.len() < least => {
            wrong(format!("has {} bytes instead of at least {least}", metadata.len()))
        }
        Ok(_) => Ok(()),
        Err(error) => wrong(error.to_string()),
    }
}

fn hash(path: &Path) -> Result<Hash, Error> {
    digest::of_file(path).map_err(|error| Error::file(path, &error))
}

/// The external files of each ONNX file that this process has read, by its hash.
static EXTERNAL: LazyLock<Mutex<HashMap<Hash, ExternalFiles>>> = LazyLock::new(Mutex::default);

/// The hashes that are remembered between processes.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    /// By path: the file's stamp when it had this hash.
    files: BTreeMap<PathBuf, (Stamp, String)>,
    /// External files by the hash of the ONNX file.
    external: BTreeMap<String, ExternalFiles>,
    #[serde(skip)]
    changed: bool,
}

impl Memory {
    fn recall(file: Option<&Path>) -> Self {
        let memory: Self = file.and_then(read_json).unwrap_or_default();
        for (stamp, hash) in memory.files.values() {
            if let Some(hash) = from_hex(hash) {
                digest::learn(stamp, hash);
            }
        }
        let external = memory.external.iter().filter_map(|(hash, files)| Some((from_hex(hash)?, files.clone())));
        EXTERNAL.lock().extend(external);
        memory
    }

    fn hash(&mut self, path: &Path) -> Result<Hash, Error> {
        let failed = |error| Error::file(path, &error);
        // The stamp is taken before the file is read, so that a change during reading is noticed the next time.
        let stamp = Stamp::of(path).map_err(failed)?;
        let hash = digest::of_file(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        if stamp.is_settled() && self.files.get(&path).is_none_or(|(known, _)| *known != stamp) {
            self.files.insert(path, (stamp, hex(&hash)));
            self.changed = true;
        }
        Ok(hash)
    }

    /// The external files of an ONNX file with this hash.
    fn external(&mut self, model: &Path, file: Hash) -> Result<ExternalFiles, Error> {
        if let Some(known) = EXTERNAL.lock().get(&file) {
            return Ok(known.clone());
        }
        let bytes = std::fs::read(model).map_err(|error| Error::file(model, &error))?;
        let files = external_files(model, &bytes)?;
        EXTERNAL.lock().insert(file, files.clone());
        self.external.insert(hex(&file), files.clone());
        self.changed = true;
        Ok(files)
    }

    fn keep(mut self, file: Option<&Path>) {
        let Some(file) = file.filter(|_| self.changed) else { return };
        self.files.retain(|path, _| path.exists());
        let Self { files, external, .. } = &mut self;
        external.retain(|model, _| files.values().any(|(_, hash)| hash == model));
        // Failing to remember hashes only costs time.
        let text = serde_json::to_vec_pretty(&self).map_err(|error| error.to_string());
        let kept = text.and_then(|text| write_atomically(file, &text).map_err(|error| error.to_string()));
        if let Err(error) = kept {
            say(
                Level::Warning,
                format_args!("can't save the models' hashes, so they are computed again next time: {error}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::onnx::tests::model_with_external;
    use super::*;
    use sha2::{Digest, Sha256};
    use std::time::Duration;

    struct Files {
        folder: tempfile::TempDir,
        memory: PathBuf,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { memory: folder.path().join("hashes.json"), folder }
        }

        fn write(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        }

        fn content(&self, model: &Path) -> ModelContent {
            ModelContent::of(model, Some(&self.memory)).unwrap()
        }
    }

    #[test]
    fn files_that_have_settled_are_remembered() {
        let files = Files::new();
        let model = files.write("a.onnx", &model_with_external("w.bin"));
        let weights = files.write("w.bin", b"weights");
        let first = files.content(&model);
        assert_eq!(hex(&first.beside["w.bin"]), hex(&Sha256::digest(b"weights")));
        // Hashes of recently changed files aren't remembered.
        let remembered = || read_json::<Memory>(&files.memory).unwrap_or_default().files.len();
        assert_eq!(remembered(), 0);
        std::thread::sleep(Duration::from_millis(3100));
        assert_eq!(files.content(&model), first);
        assert_eq!(remembered(), 2);
        // A remembered hash is trusted until the file's content changes.
        let mut memory: Memory = read_json(&files.memory).unwrap();
        memory.files.values_mut().for_each(|(_, hash)| *hash = "07".repeat(32));
        std::fs::write(&files.memory, serde_json::to_vec(&memory).unwrap()).unwrap();
        assert_eq!(files.content(&model).beside["w.bin"], [7; 32]);
        std::fs::write(&weights, b"Weights").unwrap();
        assert_eq!(hex(&files.content(&model).beside["w.bin"]), hex(&Sha256::digest(b"Weights")));
    }

    #[test]
    fn names_and_places_do_not_count() {
        let (one, two) = (Files::new(), Files::new());
        let model = one.write("a.onnx", &model_with_external("w.bin"));
        let other = two.write("b.onnx", &model_with_external("w.bin"));
        one.write("w.bin", b"weights");
        two.write("w.bin", b"weights");
        assert_eq!(one.content(&model), two.content(&other));
        two.write("w.bin", b"Weights");
        assert_ne!(one.content(&model), two.content(&other));
        for (files, model) in [(&one, &model), (&two, &other)] {
            files.write("w.bin", b"weights");
            files.write(&format!("{}.fp32", model.file_name().unwrap().display()), b"/norm/Add_output_0");
        }
        assert_eq!(one.content(&model), two.content(&other));
        two.write("b.onnx.fp32", b"/norm/Mul_output_0");
        assert_ne!(one.content(&model), two.content(&other), "another list of FP32 nodes");
        let plain = one.write("plain.onnx", b"no ONNX");
        assert_eq!(one.content(&plain).beside.len(), 0, "the backend says what it is");
    }

    #[test]
    fn an_engine_is_its_plan_and_its_record() {
        let files = Files::new();
        let engine = files.write("a.engine", b"a plan");
        let plan = files.content(&engine);
        files.write("a.json", b"{}");
        let with_record = files.content(&engine);
        assert_ne!(plan, with_record);
        files.write("a.json", b"{ }");
        assert_ne!(files.content(&engine), with_record);
    }

    #[test]
    fn files_that_are_missing_or_cut_off_are_named() {
        let files = Files::new();
        let error = |model: &Path| ModelContent::of(model, None).unwrap_err().to_string();
        assert!(error(&files.folder.path().join("a.onnx")).contains("a.onnx"));
        let model = files.write("a.onnx", &model_with_external("gone.bin"));
        let gone = error(&model);
        assert!(gone.contains("gone.bin: ") && gone.contains("a.onnx has weights in it"), "{gone}");
    }
}
