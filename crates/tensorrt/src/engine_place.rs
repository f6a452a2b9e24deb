//! An engine at a path that the user chose, and whether it fits the ONNX file beside it.
//!
//! An engine that no longer fits is built again at that path. An engine without a record belongs to the user: it is
//! never overwritten, and isn't used if an ONNX file exists from which it may not have been built.

use super::cache::{CachedEngine, Difference, EngineRecord, Facts, write_engine};
use super::error::Error;
use super::load::{Loaded, Loader};
use super::recipe::{BuildControl, BuildSettings};
use super::runtime::Runtime;
use std::path::Path;
use std::sync::Arc;

/// Whether an engine file fits its model, settings and machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineFit {
    /// The engine fits.
    Good,
    /// There is no engine.
    Missing,
    /// It was built from another model or for other settings or another machine, or it is damaged.
    Stale {
        /// Whether the ONNX file or one of its external files has changed.
        other_model: bool,
        /// The differences, field by field.
        text: String,
    },
    /// There is no record of what it was built from.
    Unknown,
}

impl EngineFit {
    /// Why an existing engine must be built again; `None` if it needn't be, or doesn't exist.
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Stale { text, .. } => Some(text),
            _ => None,
        }
    }
}

impl Loader<'_> {
    /// Compares `engine` with what this loader would build from `onnx` or, if that file is missing, with the settings
    /// and this machine.
    ///
    /// # Errors
    /// The ONNX file can't be read.
    pub fn fit(&self, onnx: &Path, engine: &Path) -> Result<EngineFit, Error> {
        if !engine.is_file() {
            return Ok(EngineFit::Missing);
        }
        let Some(record) = EngineRecord::beside(engine) else { return Ok(EngineFit::Unknown) };
        let differences = record.facts.differences(&self.wanted(onnx, &record.facts)?);
        if differences.is_empty() {
            return Ok(match record.check_file(engine) {
                Err(Error::Engine { fault, .. }) => EngineFit::Stale { other_model: false, text: fault.to_string() },
                result => result.map(|()| EngineFit::Good)?,
            });
        }
        let of_model = |difference: &Difference| {
            difference.field == "onnx" || difference.field.split('.').next() == Some("external_data")
        };
        let text = |difference: &Difference| match difference.field.split_once('.') {
            // Hashes mean nothing to users.
            None if difference.field == "onnx" => format!("another ONNX file: {}", onnx.display()),
            Some(("external_data", name)) => format!("another {name} beside {}", onnx.display()),
            _ => difference.to_string(),
        };
        Ok(EngineFit::Stale {
            other_model: differences.iter().any(of_model),
            text: differences.iter().map(text).collect::<Vec<_>>().join("; "),
        })
    }

    /// The facts that an engine in the place of one with `stored` must have. Settings that only `gst-trt build` has are
    /// taken from the stored engine.
    fn wanted(&self, onnx: &Path, stored: &Facts) -> Result<Facts, Error> {
        let settings = self.settings_of(stored);
        let mut wanted = if onnx.exists() {
            self.cache.facts(self.library, self.gpu, onnx, &settings)?
        } else {
            // The build options can't be corrected without the ONNX file, and don't prevent the engine from running.
            let BuildSettings { precision, batch_size, .. } = settings;
            let (tensorrt, gpu) = (self.library.version().to_string(), self.gpu.cloned());
            let compute_capability = settings.compute_capability;
            Facts { precision, batch_size, tensorrt, gpu, compute_capability, ..stored.clone() }
        };
        if stored.gpu.is_none() || stored.runs_on_other_gpus() {
            wanted.gpu.clone_from(&stored.gpu);
        }
        if stored.runs_on_other_gpus() {
            wanted.compute_capability = stored.compute_capability;
        }
        Ok(wanted)
    }

    /// The settings for building an engine in the place of one with these facts.
    fn settings_of(&self, stored: &Facts) -> BuildSettings {
        BuildSettings {
            optimization_level: stored.optimization_level,
            size: stored.size,
            hardware_compatibility: stored.hardware_compatibility,
            tf32: stored.tf32,
            strongly_typed: stored.strongly_typed,
            tactic_sources: stored.tactic_sources,
            timing_iterations: stored.timing_iterations,
            ..self.settings.clone()
        }
    }

    /// Loads the engine at `engine` if it fits; otherwise builds it from `onnx` and puts it there.
    pub(super) fn load_at(
        &self,
        runtime: &Arc<Runtime>,
        onnx: &Path,
        engine: &Path,
        control: &BuildControl,
    ) -> Result<Loaded, Error> {
        let fit = self.fit(onnx, engine)?;
        if fit == EngineFit::Good || fit == EngineFit::Unknown && !onnx.exists() {
            match self.load_engine(runtime, engine) {
                // TensorRT may reject an engine that fits by its record.
                Err(Error::Engine { fault, .. }) if onnx.exists() => {
                    let stale = EngineFit::Stale { other_model: false, text: fault.to_string() };
                    return self.build_at(runtime, onnx, engine, &stale, control);
                }
                result => return result,
            }
        }
        self.build_at(runtime, onnx, engine, &fit, control)
    }

    fn build_at(
        &self,
        runtime: &Arc<Runtime>,
        onnx: &Path,
        engine: &Path,
        fit: &EngineFit,
        control: &BuildControl,
    ) -> Result<Loaded, Error> {
        self.with_settings_at(engine, |loader| {
            loader.say_why(onnx, engine, fit, control)?;
            let (loaded, cached) = loader.load_onnx(runtime, onnx, control)?;
            let placed = put(fit, engine, &cached, control);
            Ok(if placed { Loaded { path: engine.into(), ..loaded } } else { loaded })
        })
    }

    /// Ensures, without loading it, that the engine at `engine` fits.
    ///
    /// # Errors
    /// As for [`Loader::load`].
    pub fn keep_at(&self, onnx: &Path, engine: &Path, control: &BuildControl) -> Result<(), Error> {
        let fit = self.fit(onnx, engine)?;
        if fit == EngineFit::Good || fit == EngineFit::Unknown && !onnx.exists() {
            return Ok(());
        }
        self.with_settings_at(engine, |loader| {
            loader.say_why(onnx, engine, &fit, control)?;
            let cached = loader.cache.get_or_build(loader.library, loader.gpu, onnx, loader.settings, control)?;
            put(&fit, engine, &cached, control);
            Ok(())
        })
    }

    /// Whether an engine has to be built for that path.
    pub(super) fn needs_build_at(&self, onnx: &Path, engine: &Path) -> Result<bool, Error> {
        if self.fit(onnx, engine)? == EngineFit::Good || !onnx.exists() {
            return Ok(false);
        }
        self.with_settings_at(engine, |loader| {
            Ok(!loader.cache.holds(loader.library, loader.gpu, onnx, loader.settings)?)
        })
    }

    /// Calls `then` with this loader, using the existing engine's values of the settings that only `gst-trt build` has.
    fn with_settings_at<T>(
        &self,
        engine: &Path,
        run: impl FnOnce(&Loader<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let settings = EngineRecord::beside(engine).map(|record| self.settings_of(&record.facts));
        let settings = settings.as_ref().unwrap_or(self.settings);
        let Self { library, gpu, cache, allocator, .. } = self;
        run(&Loader { library, gpu: *gpu, cache, settings, allocator: allocator.clone() })
    }

    fn say_why(&self, onnx: &Path, engine: &Path, fit: &EngineFit, control: &BuildControl) -> Result<(), Error> {
        if !onnx.exists() {
            let (engine, onnx) = (engine.to_owned(), onnx.to_owned());
            return Err(match fit.reason() {
                Some(differences) => Error::Misfit { engine, differences: differences.into(), onnx },
                None => Error::EngineNotFound { engine, onnx },
            });
        }
        let (place, of) = (engine.display(), onnx.display());
        match fit {
            EngineFit::Stale { text, .. } => control.note(&format!("{place} no longer fits ({text}): building it again from {of}")),
            EngineFit::Unknown => control.note(&format!(
                "{place} has no record, {}, that shows whether it was built from {of}: it is left alone, and the engine is built from the \
                 ONNX file; to use it as it is, move the ONNX file away",
                engine.with_extension("json").display()
            )),
            EngineFit::Good | EngineFit::Missing => {}
        }
        Ok(())
    }
}

/// Copies an engine from the cache to its path; returns whether it is there now.
fn put(fit: &EngineFit, engine: &Path, cached: &CachedEngine, control: &BuildControl) -> bool {
    if *fit == EngineFit::Unknown {
        return false;
    }
    let written = write_engine(engine, &cached.plan, &cached.record);
    if let Err(error) = &written {
        let from = cached.path.display();
        control.note(&format!("the engine can't be written to its path ({error}): using the one in the cache, {from}"));
    }
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::mock;
    use super::super::onnx::tests::{model_bytes, model_with_external};
    use super::super::{EnginePrecision, load};
    use super::*;
    use parking_lot::Mutex;
    use std::path::PathBuf;

    /// A model whose engine is kept at a path, and the notes of its loading.
    struct Setup {
        loading: load::tests::Setup,
        notes: Arc<Mutex<Vec<String>>>,
    }

    impl Setup {
        fn new() -> Self {
            let setup = Self { loading: load::tests::Setup::new(), notes: Arc::default() };
            setup.write("m.onnx", &model_bytes());
            setup
        }

        fn path(&self, name: &str) -> PathBuf {
            self.loading.path(name)
        }

        fn write(&self, name: &str, content: &[u8]) {
            self.loading.file(name, content);
        }

        fn load(&self) -> Result<Loaded, Error> {
            let notes = self.notes.clone();
            let on_note = Arc::new(move |text: &str| notes.lock().push(text.to_owned()));
            let control = BuildControl { on_note: Some(on_note), ..BuildControl::default() };
            self.loading.loader().load(&self.path("m.onnx"), Some(&self.path("place/m.engine")), &control)
        }

        fn notes(&self) -> String {
            std::mem::take(&mut *self.notes.lock()).join("\n")
        }

        fn fit(&self) -> EngineFit {
            self.loading.loader().fit(&self.path("m.onnx"), &self.path("place/m.engine")).unwrap()
        }

        fn needs_build(&self) -> bool {
            self.loading.loader().needs_build(&self.path("m.onnx"), Some(&self.path("place/m.engine"))).unwrap()
        }

        /// The mismatch is reported, the engine is built again, and then fits.
        #[track_caller]
        fn is_built_again(&self, because: &str) {
            let EngineFit::Stale { text, .. } = self.fit() else { panic!("{:?}", self.fit()) };
            assert!(text.contains(because) && self.needs_build(), "{text}");
            let loaded = self.load().unwrap();
            assert_eq!(loaded.path, self.path("place/m.engine"));
            let notes = self.notes();
            assert!(notes.contains(because) && notes.contains("place/m.engine"), "{notes}");
            assert_eq!((self.fit(), self.needs_build()), (EngineFit::Good, false));
            assert!(!self.load().unwrap().built && self.notes().is_empty());
        }
    }

    #[test]
    fn an_engine_is_kept_at_its_place_while_it_fits() {
        let mut setup = Setup::new();
        assert_eq!((setup.fit(), setup.needs_build()), (EngineFit::Missing, true));
        let Loaded { built, path, .. } = setup.load().unwrap();
        assert!(built && path == setup.path("place/m.engine") && setup.notes().is_empty());
        assert_eq!((setup.fit(), setup.needs_build()), (EngineFit::Good, false));
        // The result must not depend on the cache.
        setup.loading.cache.clear().unwrap();
        assert!(!setup.load().unwrap().built);

        setup.loading.settings.batch_size = 8;
        setup.is_built_again("batch_size is 1, wanted 8");
        setup.loading.settings.precision = EnginePrecision::Fp32;
        setup.is_built_again("precision is \"fp16\", wanted \"fp32\"");
        setup.write("m.onnx", &[&model_bytes()[..], &[0x28, 1]].concat());
        setup.is_built_again("another ONNX file: ");
        setup.write("w.bin", b"weights");
        setup.write("m.onnx", &model_with_external("w.bin"));
        setup.is_built_again("another w.bin beside ");
        setup.write("w.bin", b"Weights");
        let EngineFit::Stale { other_model: true, text } = setup.fit() else { panic!() };
        assert!(!text.contains("another ONNX"), "{text}");
        setup.is_built_again("another w.bin beside ");
        setup.write("m.onnx.fp32", b"# no node yet\n");
        setup.is_built_again("another .fp32 beside ");
        setup.loading.library = mock::library("10.0");
        setup.is_built_again("tensorrt is \"TensorRT 10.16.0\", wanted \"TensorRT 10.0.0\"");
    }

    #[test]
    fn what_is_damaged_is_built_again() {
        let setup = Setup::new();
        setup.load().unwrap();
        setup.write("place/m.engine", b"a plbn");
        let EngineFit::Stale { other_model: false, text } = setup.fit() else { panic!() };
        assert!(text.contains("damaged"), "{text}");
        // The engine comes from the cache.
        assert!(!setup.needs_build() && !setup.load().unwrap().built);
        assert!(setup.notes().contains("damaged") && setup.fit() == EngineFit::Good);
    }

    #[test]
    fn without_a_record_it_is_left_alone() {
        let setup = Setup::new();
        std::fs::create_dir(setup.path("place")).unwrap();
        for record in [None, Some(&b"{ \"mine\": 1 }"[..])] {
            setup.write("place/m.engine", b"another GPU");
            record.iter().for_each(|record| setup.write("place/m.json", record));
            assert_eq!(setup.fit(), EngineFit::Unknown);
            assert_ne!(setup.load().unwrap().path, setup.path("place/m.engine"));
            assert!(setup.notes().contains("place/m.json"));
            assert_eq!(std::fs::read(setup.path("place/m.engine")).unwrap(), b"another GPU");
        }
        // There is no other engine to run.
        std::fs::remove_file(setup.path("m.onnx")).unwrap();
        setup.write("place/m.engine", b"a plan");
        assert!(!setup.needs_build());
        assert_eq!(setup.load().unwrap().path, setup.path("place/m.engine"));
    }

    #[test]
    fn without_the_onnx_what_does_not_fit_is_refused() {
        let mut setup = Setup::new();
        let error = |setup: &Setup| setup.load().unwrap_err().to_string();
        std::fs::rename(setup.path("m.onnx"), setup.path("away.onnx")).unwrap();
        assert!(error(&setup).starts_with("TensorRT engine not found: "));
        std::fs::rename(setup.path("away.onnx"), setup.path("m.onnx")).unwrap();
        setup.load().unwrap();
        std::fs::remove_file(setup.path("m.onnx")).unwrap();
        // Different build options don't prevent it from running.
        setup.loading.settings.workspace = 1;
        assert!(!setup.load().unwrap().built);
        setup.loading.settings.batch_size = 4;
        setup.loading.settings.precision = EnginePrecision::Fp32;
        let text = error(&setup);
        for part in ["place/m.engine", "batch_size is 1, wanted 4; precision is \"fp16\", wanted \"fp32\"", "m.onnx"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn only_the_engine_of_an_onnx_has_a_place() {
        let setup = Setup::new();
        let load = |model: &str, engine: &str| {
            let loaded =
                setup.loading.loader().load(&setup.path(model), Some(&setup.path(engine)), &BuildControl::default());
            loaded.unwrap_err().to_string()
        };
        assert!(load("m.engine", "a.engine").contains("engine-file is where the engine of an .onnx is kept"));
        assert!(load("m.onnx", "a.bin").contains("has to end in .engine or .plan"));
    }
}
