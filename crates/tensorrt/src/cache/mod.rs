//! The engine cache on disk: an engine is built once per model, TensorRT, GPU and settings.
//!
//! An entry is `NAME-KEY.engine` (the plan) and `NAME-KEY.json` (the engine's facts in clear text and the plan's hash).
//! The folder also contains `timings-….cache` with the timings of TensorRT's builds, `hashes.json` with the models' hashes,
//! and the lock file. Timing caches from elsewhere, for example of a machine with the same kind of GPU, are read from the
//! folder `timings/` in it, all at once.

mod facts;
mod files;
mod verification;

pub use facts::{CONVERTER, Difference, Facts};
pub use files::{read_json, write_atomically};
pub use verification::{ClassAgreement, Verification};

use super::content::ModelContent;
use super::error::Error;
use super::library::Library;
use super::onnx::Onnx;
use super::recipe::{BuildControl, BuildSettings, Built, InputProfile, Timings, build};
use crate::log::{Level, say};
use ::files::digest::hex;
use model::{GpuFacts, ModelInfo, TensorInfo};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// The maximum total size of a cache's engines in bytes; the least recently used ones are deleted first.
pub const DEFAULT_LIMIT: u64 = 20 << 30;

/// Number of the key's digits in a file name; the record has all of them.
const KEY_LENGTH: usize = 16;

/// A folder of engines.
#[derive(Debug, Clone)]
pub struct EngineCache {
    folder: PathBuf,
    limit: u64,
}

/// The JSON beside an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineRecord {
    /// Path of the ONNX file.
    pub model: PathBuf,
    /// The facts that determine the engine.
    pub facts: Facts,
    /// SHA-256 of the plan.
    pub plan: String,
    /// The range of shapes of each input.
    pub profile: Vec<InputProfile>,
    /// The ONNX file's metadata, so that the file needn't be read.
    pub metadata: BTreeMap<String, String>,
    /// The ONNX file's inputs and outputs; empty in records written by versions that didn't store them.
    #[serde(default)]
    pub inputs: Vec<TensorInfo>,
    /// The model's outputs.
    #[serde(default)]
    pub outputs: Vec<TensorInfo>,
    /// How far the engine agrees with its FP32 model, if that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verification>,
}

impl EngineRecord {
    /// Whether this is the plan that was written with the record.
    pub fn is_of(&self, plan: &[u8]) -> bool {
        hex(&Sha256::digest(plan)) == self.plan
    }
}

/// An engine from the cache.
#[derive(Debug)]
pub struct CachedEngine {
    /// The engine's file.
    pub path: PathBuf,
    /// The engine's serialised form.
    pub plan: Vec<u8>,
    /// The record beside it.
    pub record: EngineRecord,
    /// Whether it was built by this call.
    pub built: bool,
}

/// One line of [`EngineCache::list`].
#[derive(Debug)]
pub struct Listed {
    /// The engine's file.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When it was last loaded.
    pub last_used: SystemTime,
    /// `None` if the record is missing or damaged.
    pub record: Option<EngineRecord>,
}

impl EngineCache {
    /// `limit` is in bytes.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self { folder: folder.into(), limit }
    }

    /// `$XDG_CACHE_HOME/gst-tensorrt`
    pub fn default_folder() -> PathBuf {
        ::files::user_folder::cache().join("gst-tensorrt")
    }

    /// The folder of the engines.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file in which a cache in this folder keeps the hashes of models.
    pub fn hashes_in(folder: &Path) -> PathBuf {
        folder.join("hashes.json")
    }

    /// Returns the engine of `model`, from the cache or built if none fits.
    ///
    /// If two processes (or threads) need the same engine, one builds it and the other waits and then reads it. Builds
    /// of different models wait for each other too, because concurrent builds would distort each other's kernel
    /// timings.
    ///
    /// # Errors
    /// As for [`build`]; a file can't be read or written; or the wait was cancelled.
    pub fn get_or_build(
        &self,
        library: &'static Library,
        gpu: Option<&GpuFacts>,
        model: &Path,
        settings: &BuildSettings,
        control: &BuildControl,
    ) -> Result<CachedEngine, Error> {
        let facts = self.facts(library, gpu, model, settings)?;
        let entry = self.entry(model, &facts);
        if let Some(found) = entry.read(&facts) {
            return Ok(found);
        }
        self.explain_miss(model, &facts);
        let _lock = self.lock(model, control)?;
        if let Some(found) = entry.read(&facts) {
            return Ok(found);
        }
        let onnx = Onnx::open(model)?;
        let timings_file = self.timings_file(&facts);
        let timings = self.timings(&timings_file);
        let Built { plan, timings, profile } = build(library, &onnx, settings, &timings, control)?;
        // The engine is stored under the hash taken before the build, so the model must not have changed meanwhile.
        if self.facts(library, gpu, model, settings)? != facts {
            let reason = "it changed while its engine was being built: build it again".into();
            return Err(Error::File { path: model.into(), reason });
        }
        // A model whose tensors can't be listed can still be built; its record then lacks them.
        let listed = onnx.info().unwrap_or_else(|_| ModelInfo { metadata: onnx.metadata(), ..ModelInfo::default() });
        let ModelInfo { inputs, outputs, metadata, .. } = listed;
        let record = EngineRecord {
            model: model.canonicalize().unwrap_or_else(|_| model.to_owned()),
            facts,
            plan: hex(&Sha256::digest(&plan)),
            profile,
            metadata,
            inputs,
            outputs,
            verified: None,
        };
        write_engine(&entry.engine, &plan, &record)?;
        if !timings.is_empty() {
            write_atomically(&timings_file, &timings)?;
        }
        self.evict(&entry.engine)?;
        Ok(CachedEngine { path: entry.engine, plan, record, built: true })
    }

    /// Whether [`Self::get_or_build`] would find an engine that fits, judged by its record.
    ///
    /// # Errors
    /// The model can't be read.
    pub fn holds(
        &self,
        library: &'static Library,
        gpu: Option<&GpuFacts>,
        model: &Path,
        settings: &BuildSettings,
    ) -> Result<bool, Error> {
        let facts = self.facts(library, gpu, model, settings)?;
        let entry = self.entry(model, &facts);
        Ok(entry.engine.exists() && entry.record(&facts).is_ok())
    }

    /// The facts that an engine of `model` must have, to compare with an engine's record.
    ///
    /// # Errors
    /// The model can't be read.
    pub fn facts(
        &self,
        library: &Library,
        gpu: Option<&GpuFacts>,
        model: &Path,
        settings: &BuildSettings,
    ) -> Result<Facts, Error> {
        let content = ModelContent::of(model, Some(&Self::hashes_in(&self.folder)))?;
        Ok(Facts::new(&content, library.version(), gpu.cloned(), settings))
    }

    /// Removes an engine that TensorRT can't load, so that the next call builds it again.
    ///
    /// # Errors
    /// A file can't be deleted.
    pub fn remove(&self, engine: &Path) -> Result<(), Error> {
        for file in [engine.with_extension("json"), engine.to_owned()] {
            remove_file(&file)?;
        }
        Ok(())
    }

    /// Lists the engines, most recently used first.
    ///
    /// # Errors
    /// The folder can't be read. A missing folder counts as empty.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file(&self.folder, &error)),
        };
        let engines = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_entry(path));
        let mut listed: Vec<Listed> = engines
            .filter_map(|path| {
                let metadata = path.metadata().ok()?;
                let last_used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let record = read_json(&path.with_extension("json"));
                Some(Listed { size: metadata.len(), last_used, record, path })
            })
            .collect();
        listed.sort_by_key(|entry| std::cmp::Reverse(entry.last_used));
        Ok(listed)
    }

    /// Deletes all engines, hashes, and timings of this cache's builds; returns the number of engines and their size in bytes.
    ///
    /// # Errors
    /// A file can't be deleted.
    pub fn clear(&self) -> Result<(usize, u64), Error> {
        let listed = self.list()?;
        for entry in &listed {
            self.remove(&entry.path)?;
        }
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if has_extension(&path, "cache") || has_extension(&path, "part") || path.ends_with("hashes.json") {
                remove_file(&path)?;
            }
        }
        Ok((listed.len(), listed.iter().map(|entry| entry.size).sum()))
    }

    fn entry(&self, model: &Path, facts: &Facts) -> Entry {
        let stem = model.file_stem().unwrap_or_default().to_string_lossy();
        let key = facts.key();
        let engine = self.folder.join(format!("{stem}-{}.engine", key.get(..KEY_LENGTH).unwrap_or(&key)));
        Entry { json: engine.with_extension("json"), engine }
    }

    /// Logs why existing engines of this model don't fit.
    fn explain_miss(&self, model: &Path, wanted: &Facts) {
        let path = model.canonicalize().unwrap_or_else(|_| model.to_owned());
        for entry in self.list().unwrap_or_default() {
            if let Some(record) = entry.record.filter(|record| record.model == path) {
                let differences = record.facts.differences(wanted);
                let text: Vec<String> = differences.iter().map(ToString::to_string).collect();
                say(Level::Info, format_args!("{} doesn't fit: {}", entry.path.display(), text.join("; ")));
            }
        }
    }

    /// Takes the build lock, which is held until the file is dropped. The system releases it if a process crashes.
    fn lock(&self, model: &Path, control: &BuildControl) -> Result<File, Error> {
        std::fs::create_dir_all(&self.folder).map_err(|error| Error::file(&self.folder, &error))?;
        let path = self.folder.join("build.lock");
        let file = File::options().create(true).append(true).open(&path).map_err(|error| Error::file(&path, &error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(Error::file(&path, &error)),
            }
            if control.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { model: model.into() });
            }
            if !told {
                say(Level::Info, format_args!("waiting for another build in {}", self.folder.display()));
                if let Some(on_progress) = &control.on_progress {
                    on_progress("waiting for another build", 0.0);
                }
                told = true;
            }
            // Poll, because a blocking lock call can't be cancelled.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The timings file for one TensorRT and one kind of GPU.
    fn timings_file(&self, facts: &Facts) -> PathBuf {
        let gpu = facts.gpu.as_ref().map_or("no GPU", |gpu| &gpu.name);
        let name: String = format!("{} {gpu}", facts.tensorrt)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        self.folder.join(format!("timings-{name}.cache"))
    }

    /// The timings of this cache's builds, and those from elsewhere.
    fn timings(&self, own: &Path) -> Vec<Timings> {
        let given = std::fs::read_dir(self.folder.join("timings")).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            given.map(|entry| entry.path()).filter(|path| has_extension(path, "cache")).collect();
        files.sort();
        files.insert(0, own.to_owned());
        let timings = |file: PathBuf| Some(Timings { bytes: std::fs::read(&file).ok()?, file });
        files.into_iter().filter_map(timings).collect()
    }

    /// Deletes the least recently used engines beyond the limit, but never `keep`.
    fn evict(&self, keep: &Path) -> Result<(), Error> {
        let mut total = 0;
        for entry in self.list()? {
            total += entry.size;
            if total > self.limit && entry.path != keep {
                say(Level::Info, format_args!("deleting {}: the cache has reached its limit", entry.path.display()));
                self.remove(&entry.path)?;
                total -= entry.size;
            }
        }
        Ok(())
    }
}

/// The two files of an engine.
struct Entry {
    engine: PathBuf,
    json: PathBuf,
}

impl Entry {
    /// `None` if the engine has to be built; the reason is logged if an entry exists.
    fn read(&self, facts: &Facts) -> Option<CachedEngine> {
        if !self.engine.exists() {
            return None;
        }
        match self.check(facts) {
            Ok(found) => {
                // The modification time records the last use, for the eviction.
                let _ = File::options()
                    .append(true)
                    .open(&self.engine)
                    .and_then(|file| file.set_modified(SystemTime::now()));
                Some(found)
            }
            Err(reason) => {
                say(Level::Warning, format_args!("building {} again: {reason}", self.engine.display()));
                None
            }
        }
    }

    fn record(&self, facts: &Facts) -> Result<EngineRecord, String> {
        let record: EngineRecord =
            read_json(&self.json).ok_or_else(|| format!("{} is missing or damaged", self.json.display()))?;
        let differences = record.facts.differences(facts);
        if !differences.is_empty() {
            return Err(differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        Ok(record)
    }

    fn check(&self, facts: &Facts) -> Result<CachedEngine, String> {
        let record = self.record(facts)?;
        let plan = std::fs::read(&self.engine).map_err(|error| error.to_string())?;
        if !record.is_of(&plan) {
            return Err("its content differs from what was written".into());
        }
        Ok(CachedEngine { path: self.engine.clone(), plan, record, built: false })
    }
}

/// Writes an engine and its record. The plan is written first: an old record doesn't match it, so an interrupted write
/// is detected.
///
/// # Errors
/// The disk is full, or permission is missing.
pub fn write_engine(engine: &Path, plan: &[u8], record: &EngineRecord) -> Result<(), Error> {
    write_atomically(engine, plan)?;
    write_record(&engine.with_extension("json"), record)
}

/// Writes an engine's record.
///
/// # Errors
/// The disk is full, or permission is missing.
pub fn write_record(json: &Path, record: &EngineRecord) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(record).map_err(|error| Error::file(json, &error.into()))?;
    write_atomically(json, &text)
}

/// Whether the name is `NAME-KEY.engine`; other files in the folder aren't ours.
fn is_entry(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let key = stem.rsplit_once('-').map_or("", |(_, key)| key);
    has_extension(path, "engine") && key.len() == KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
