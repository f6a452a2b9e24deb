//! Loading an engine, given a model's path.

use super::allocator::GpuAllocator;
use super::cache::{CachedEngine, EngineCache, EngineRecord};
use super::engine_file::EngineFile;
use super::error::Error;
use super::library::Library;
use super::recipe::{BuildControl, BuildSettings};
use super::runtime::{Engine, Runtime};
use crate::log::{Level, say};
use model::GpuFacts;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads models: `.onnx` through the cache, `.engine` and `.plan` directly.
#[derive(Debug)]
pub struct Loader<'a> {
    /// The library that loads and builds engines.
    pub library: &'static Library,
    /// The GPU for which engines are built; `None`: built without a GPU (RTX).
    pub gpu: Option<&'a GpuFacts>,
    /// The cache of engines.
    pub cache: &'a EngineCache,
    /// How an engine is built.
    pub settings: &'a BuildSettings,
    /// The allocator of the engine's device memory; `None` for TensorRT's default.
    pub allocator: Option<Arc<GpuAllocator>>,
}

/// An engine, ready for contexts.
#[derive(Debug)]
pub struct Loaded {
    /// The engine, ready for contexts.
    pub engine: Arc<Engine>,
    /// The file from which it was loaded.
    pub path: PathBuf,
    /// The same as [`super::Onnx::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// Whether it was built by this call.
    pub built: bool,
}

impl Loader<'_> {
    /// Loads a model. An engine that TensorRT can't load is built again, once, if its ONNX file exists: the one it was
    /// cached for or, for an engine file, the `.onnx` beside it. With `engine_file` the engine of an `.onnx` is kept at
    /// that path instead of the cache, as long as it fits ([`Self::fit`]).
    ///
    /// # Errors
    /// As for [`EngineCache::get_or_build`] and [`Runtime::deserialize`]; an engine file without an ONNX file doesn't
    /// fit.
    pub fn load(&self, model: &Path, engine_file: Option<&Path>, control: &BuildControl) -> Result<Loaded, Error> {
        let runtime = self.library.runtime(self.allocator.clone())?;
        if let Some(engine) = engine_file {
            check_pair(model, engine)?;
            return self.load_at(&runtime, model, engine, control);
        }
        let file = source(model, None)?;
        if is_onnx(&file) {
            return Ok(self.load_onnx(&runtime, &file, control)?.0);
        }
        self.load_engine(&runtime, model).or_else(|error| {
            let onnx = model.with_extension("onnx");
            if matches!(error, Error::Engine { .. }) && onnx.exists() {
                say(Level::Warning, format_args!("{error}; building it from {}", onnx.display()));
                Ok(self.load_onnx(&runtime, &onnx, control)?.0)
            } else {
                Err(error)
            }
        })
    }

    /// Whether [`Self::load`] would build an engine, judged by the files' names and records.
    ///
    /// # Errors
    /// As for [`Self::load`], except for those of the build.
    pub fn needs_build(&self, model: &Path, engine_file: Option<&Path>) -> Result<bool, Error> {
        let file = source(model, engine_file)?;
        if let Some(engine) = engine_file {
            check_pair(model, engine)?;
            return self.needs_build_at(model, engine);
        }
        if is_onnx(&file) {
            return Ok(!self.cache.holds(self.library, self.gpu, &file, self.settings)?);
        }
        let onnx = file.with_extension("onnx");
        let fits = EngineRecord::beside(&file).map_or(Ok(()), |record| {
            record.check_file(&file)?;
            record.check(&file, self.library.version(), self.gpu)
        });
        match fits {
            Err(Error::Engine { .. }) if onnx.exists() => {
                Ok(!self.cache.holds(self.library, self.gpu, &onnx, self.settings)?)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn load_engine(&self, runtime: &Arc<Runtime>, path: &Path) -> Result<Loaded, Error> {
        let file = EngineFile::open(path)?;
        file.check(path, self.library.version(), self.gpu)?;
        let engine = runtime.deserialize(file.plan(), path)?;
        Ok(Loaded { engine, path: path.into(), metadata: file.metadata, built: false })
    }

    /// Loads the engine of an ONNX file through the cache.
    pub(super) fn load_onnx(
        &self,
        runtime: &Arc<Runtime>,
        model: &Path,
        control: &BuildControl,
    ) -> Result<(Loaded, CachedEngine), Error> {
        let get = || self.cache.get_or_build(self.library, self.gpu, model, self.settings, control);
        let mut cached = get()?;
        let engine = match runtime.deserialize(&cached.plan, &cached.path) {
            Err(error @ Error::Engine { .. }) if !cached.built => {
                say(Level::Warning, format_args!("{error}; building it from {}", model.display()));
                self.cache.remove(&cached.path)?;
                cached = get()?;
                runtime.deserialize(&cached.plan, &cached.path)
            }
            result => result,
        }?;
        let (path, metadata) = (cached.path.clone(), cached.record.metadata.clone());
        Ok((Loaded { engine, path, metadata, built: cached.built }, cached))
    }
}

/// The file from which a model is loaded: the model itself or, for a missing engine file, the `.onnx` beside it, from
/// which it is then built. With `engine_file`, a missing `.onnx` is replaced by that engine.
///
/// # Errors
/// [`Error::EngineNotFound`]: neither the engine file nor an ONNX file exists.
pub fn source(model: &Path, engine_file: Option<&Path>) -> Result<PathBuf, Error> {
    let (engine, onnx) = match engine_file {
        Some(engine) if !model.exists() => (engine, model.to_owned()),
        None if is_engine(model) && !model.exists() => (model, model.with_extension("onnx")),
        _ => return Ok(model.to_owned()),
    };
    if engine.exists() {
        Ok(engine.into())
    } else if onnx.exists() {
        Ok(onnx)
    } else {
        Err(Error::EngineNotFound { engine: engine.into(), onnx })
    }
}

/// Checks that `engine` can be the engine file of `model`.
fn check_pair(model: &Path, engine: &Path) -> Result<(), Error> {
    let setting = |text: String| Err(Error::Setting(text));
    if !is_onnx(model) {
        return setting(format!(
            "engine-file is where the engine of an .onnx is kept, and model is {}: set model to the .onnx, or leave \
             engine-file out",
            model.display()
        ));
    }
    if !is_engine(engine) {
        return setting(format!("engine-file {} has to end in .engine or .plan", engine.display()));
    }
    Ok(())
}

/// Judged by the file's name.
pub fn is_engine(model: &Path) -> bool {
    model.extension().is_some_and(|e| e.eq_ignore_ascii_case("engine") || e.eq_ignore_ascii_case("plan"))
}

/// Judged by the file's name.
pub fn is_onnx(model: &Path) -> bool {
    model.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

#[cfg(test)]
pub mod tests {
    use super::super::content::ModelContent;
    use super::super::mock;
    use super::super::onnx::tests::model_bytes;
    use super::super::{EngineFault, EngineRecord, Facts, write_record};
    use super::*;
    use files::digest::hex;
    use sha2::{Digest, Sha256};

    /// A library, a cache, and a folder for models.
    pub struct Setup {
        folder: tempfile::TempDir,
        pub library: &'static Library,
        pub cache: EngineCache,
        pub settings: BuildSettings,
    }

    impl Setup {
        pub fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = EngineCache::new(folder.path().join("cache"), u64::MAX);
            Self { library: mock::library("10.16"), cache, settings: BuildSettings::default(), folder }
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, content).unwrap();
            path
        }

        pub fn loader(&self) -> Loader<'_> {
            let (cache, settings) = (&self.cache, &self.settings);
            Loader { library: self.library, gpu: None, cache, settings, allocator: None }
        }

        fn load(&self, model: &Path) -> Result<Loaded, Error> {
            self.loader().load(model, None, &BuildControl::default())
        }

        fn needs_build(&self, model: &Path) -> bool {
            self.loader().needs_build(model, None).unwrap()
        }
    }

    #[test]
    fn a_cached_engine_that_does_not_load_is_built_again() {
        let setup = Setup::new();
        let model = setup.file("a.onnx", &model_bytes());
        let first = setup.load(&model).unwrap();
        assert!(first.built && !setup.load(&model).unwrap().built);

        // Intact according to its record, but TensorRT reports that it was built for another GPU.
        let json = first.path.with_extension("json");
        let plan = b"another GPU";
        std::fs::write(&first.path, plan).unwrap();
        let mut record: EngineRecord = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        record.plan = hex(&Sha256::digest(plan));
        write_record(&json, &record).unwrap();
        assert!(setup.load(&model).unwrap().built);
        assert!(!setup.load(&model).unwrap().built);
    }

    #[test]
    fn engine_files_load_and_say_what_does_not_fit() {
        let setup = Setup::new();
        assert!(setup.load(&setup.file("good.engine", b"a plan")).is_ok());
        let fault = |name: &str, plan: &[u8]| match setup.load(&setup.file(name, plan)) {
            Err(Error::Engine { fault, .. }) => fault,
            other => panic!("{other:?}"),
        };
        assert!(matches!(fault("a.engine", b"another version"), EngineFault::OtherTensorRt { .. }));
        assert!(matches!(fault("a.plan", b"another GPU"), EngineFault::OtherGpu { .. }));
        assert!(matches!(fault("a.engine", b"a pl"), EngineFault::Damaged { .. }));
    }

    #[test]
    fn an_engine_file_that_is_not_there_is_built_from_the_onnx_beside_it() {
        let setup = Setup::new();
        let engine = setup.path("a.engine");
        let error = setup.load(&engine).unwrap_err().to_string();
        assert!(error.starts_with("TensorRT engine not found: ") && error.contains("gst-trt build"), "{error}");
        let onnx = setup.file("a.onnx", &model_bytes());
        assert_eq!(source(&engine, None).unwrap(), onnx);
        assert!(setup.needs_build(&engine) && setup.needs_build(&onnx));
        assert!(setup.load(&engine).unwrap().built);
        assert!(!setup.needs_build(&engine) && !setup.needs_build(&onnx));
        setup.file("a.engine", b"a plan");
        assert!(!setup.needs_build(&engine), "it's loaded as it is");
    }

    #[test]
    fn an_engine_file_is_rebuilt_from_the_onnx_beside_it() {
        let setup = Setup::new();
        let engine = setup.file("a.engine", b"another version");
        setup.file("a.onnx", &model_bytes());
        assert!(setup.load(&engine).unwrap().built);
        assert_eq!(std::fs::read(&engine).unwrap(), b"another version", "the user's file stays");
    }

    #[test]
    fn the_record_beside_an_engine_file_is_checked() {
        let setup = Setup::new();
        let engine = setup.file("a.engine", b"a plan");
        let record = |version| {
            let model = ModelContent { file: [0; 32], beside: BTreeMap::new() };
            let facts = Facts::new(&model, version, None, &setup.settings);
            let plan = hex(&Sha256::digest(b"a plan"));
            let (model, metadata) = ("a.onnx".into(), BTreeMap::new());
            let (inputs, outputs, profile) = (vec![], vec![], vec![]);
            let record = EngineRecord { model, facts, plan, profile, metadata, inputs, outputs, verified: None };
            write_record(&engine.with_extension("json"), &record).unwrap();
        };
        record(super::super::Version::decode(100_300, "libnvinfer.so.10"));
        let error = setup.load(&engine).unwrap_err().to_string();
        assert!(error.contains("built by another TensorRT than TensorRT 10.16.0"), "{error}");
        assert!(error.contains("it was built by TensorRT 10.3.0"), "{error}");
        std::fs::write(&engine, b"a plbn").unwrap();
        assert!(setup.load(&engine).unwrap_err().to_string().contains("doesn't match the .json beside it"));

        // With the ONNX file beside it the engine is built again, and `needs_build` knows it beforehand.
        record(setup.library.version());
        setup.file("a.onnx", &model_bytes());
        assert!(setup.needs_build(&engine), "damaged");
        std::fs::write(&engine, b"a plan").unwrap();
        assert!(!setup.needs_build(&engine));
        record(super::super::Version::decode(100_300, "libnvinfer.so.10"));
        assert!(setup.needs_build(&engine), "built by another TensorRT");
    }
}
