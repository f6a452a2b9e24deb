//! SHA-256 of model files, remembered: hashing a large model takes longer than loading its engine.

use super::files::{read_json, write_atomically};
use crate::digest::{self, Stamp, hex};
use crate::tensorrt::error::Error;
use crate::tensorrt::onnx::Onnx;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    stamp: Stamp,
    sha256: String,
    /// Files with weights outside the model, by name.
    external: BTreeMap<String, (Stamp, String)>,
}

/// Hashes of a model and of the files with weights outside it, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHashes {
    pub onnx: String,
    pub external: BTreeMap<String, String>,
    /// Nothing was read.
    pub remembered: bool,
}

/// The hashes of a model, from `memory` (a JSON file) where the files are as they were.
///
/// # Errors
/// A file can't be read, or isn't ONNX.
pub fn model_hashes(memory: &Path, model: &Path) -> Result<ModelHashes, Error> {
    let path = model.canonicalize().map_err(|error| file_error(model, &error))?;
    let id = path.to_string_lossy().into_owned();
    let mut all: BTreeMap<String, Remembered> = read_json(memory).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Some(known) = all.get(&id).filter(|known| is_as_it_was(known, &path, folder)) {
        let external = known.external.iter().map(|(name, (_, hash))| (name.clone(), hash.clone())).collect();
        return Ok(ModelHashes { onnx: known.sha256.clone(), external, remembered: true });
    }

    let stamp = stamp_of(&path)?;
    let onnx = Onnx::open(&path)?;
    let sha256 = hash_file(&path)?;
    let mut external = BTreeMap::new();
    for file in onnx.external_files()? {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        external.insert(name, (stamp_of(&file)?, hash_file(&file)?));
    }
    let hashes = ModelHashes {
        onnx: sha256.clone(),
        external: external.iter().map(|(name, (_, hash))| (name.clone(), hash.clone())).collect(),
        remembered: false,
    };
    if stamp.is_settled() && external.values().all(|(stamp, _)| stamp.is_settled()) {
        all.retain(|id, _| Path::new(id).exists());
        all.insert(id, Remembered { stamp, sha256, external });
        // Not remembering costs time only.
        if let Err(error) = serde_json::to_vec_pretty(&all)
            .map_err(std::io::Error::other)
            .and_then(|text| write_atomically(memory, &text).map_err(std::io::Error::other))
        {
            gst::warning!(crate::tensorrt::CAT, "hashes not remembered: {error}");
        }
    }
    Ok(hashes)
}

fn is_as_it_was(known: &Remembered, path: &Path, folder: &Path) -> bool {
    let same = |path: &Path, stamp: &Stamp| Stamp::of(path).is_ok_and(|now| now == *stamp);
    same(path, &known.stamp) && known.external.iter().all(|(name, (stamp, _))| same(&folder.join(name), stamp))
}

fn hash_file(path: &Path) -> Result<String, Error> {
    digest::of_file(path).map(|hash| hex(&hash)).map_err(|error| file_error(path, &error))
}

fn stamp_of(path: &Path) -> Result<Stamp, Error> {
    Stamp::of(path).map_err(|error| file_error(path, &error))
}

pub fn file_error(path: &Path, error: &std::io::Error) -> Error {
    Error::File { path: PathBuf::from(path), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::tests::set_modified;
    use crate::tensorrt::onnx::tests::model_with_external;
    use sha2::{Digest, Sha256};
    use std::time::{Duration, SystemTime};

    fn age(path: &Path) {
        set_modified(path, SystemTime::now() - Duration::from_secs(60));
    }

    #[test]
    fn unchanged_files_are_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, model, weights) =
            (folder.path().join("hashes.json"), folder.path().join("a.onnx"), folder.path().join("w.bin"));
        std::fs::write(&model, model_with_external("w.bin")).unwrap();
        std::fs::write(&weights, b"weights").unwrap();
        // Fresh files aren't remembered.
        assert!(!model_hashes(&memory, &model).unwrap().remembered);
        assert!(!model_hashes(&memory, &model).unwrap().remembered);

        age(&model);
        age(&weights);
        let first = model_hashes(&memory, &model).unwrap();
        assert_eq!(first.external["w.bin"], hex(&Sha256::digest(b"weights")));
        let second = model_hashes(&memory, &model).unwrap();
        assert!(!first.remembered && second.remembered);
        assert_eq!((&first.onnx, &first.external), (&second.onnx, &second.external));

        // Other weights of the same size, later.
        std::fs::write(&weights, b"Weights").unwrap();
        let changed = model_hashes(&memory, &model).unwrap();
        assert!(!changed.remembered && changed.onnx == first.onnx && changed.external != first.external);
    }

    #[test]
    fn missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, model) = (folder.path().join("hashes.json"), folder.path().join("a.onnx"));
        assert!(model_hashes(&memory, &model).unwrap_err().to_string().contains("a.onnx"));
        std::fs::write(&model, model_with_external("gone.bin")).unwrap();
        assert!(model_hashes(&memory, &model).unwrap_err().to_string().contains("gone.bin"));
    }
}
