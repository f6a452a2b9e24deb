//! Opening an engine from settings.

use super::account::MemoryAccount;
use super::allocation::ContextMemory;
use super::engine::GpuEngine;
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::infer::{DeviceContext, Engine, ModelSettings, Precision};
use cuda::{self, Context, Device};
use model::GpuFacts;
use std::any::Any;
use std::sync::Arc;
use tensorrt::{
    BuildControl, BuildSettings, DEFAULT_LIMIT, EngineCache, EnginePrecision, GpuAllocator, Library, Loader,
};

impl DeviceContext for SharedContext {
    /// The CUcontext's address, which is unique while the context lives.
    fn id(&self) -> usize {
        self.context().handle() as usize
    }
}

/// Checks that the driver and TensorRT are installed.
///
/// # Errors
/// Names what is missing and how to install it.
pub fn check() -> Result<(), Error> {
    cuda::check_driver()?;
    Library::open(None)?;
    Ok(())
}

/// Opens a model: loads its engine, which is built first if none fits.
///
/// # Errors
/// There is no context; the library, the build or the model failed; or [`ErrorKind::Memory`].
pub fn open(settings: &ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    let opening = Opening::new(settings)?;
    let context = opening.context();
    let name = settings.model.file_name().unwrap_or(settings.model.as_os_str()).to_string_lossy();
    let account = MemoryAccount::new(context, opening.library, &name, settings.gpu_memory_limit);
    let _current = context.enter()?;
    let control = control(settings, &opening);
    let loader = Loader { allocator: Some(Arc::clone(account.allocator())), ..opening.loader() };
    let loaded = loader.load(&settings.model, settings.engine_file.as_deref(), &control);
    let loaded = loaded.map_err(|error| account.cause(error))?;
    Ok(Arc::new(GpuEngine::new(opening.shared.clone(), opening.library, loaded, account, settings)?))
}

/// Whether [`open`] has to build an engine first.
///
/// # Errors
/// As for [`open`], except for those of the build.
pub fn needs_build(settings: &ModelSettings) -> Result<bool, Error> {
    check()?;
    let opening = Opening::new(settings)?;
    Ok(opening.loader().needs_build(&settings.model, settings.engine_file.as_deref())?)
}

/// Builds the engine file, or builds it again, if it doesn't match the model.
///
/// # Errors
/// As for [`open`].
pub fn keep_engine_file(settings: &ModelSettings) -> Result<(), Error> {
    let Some(engine) = &settings.engine_file else { return Ok(()) };
    let opening = Opening::new(settings)?;
    let _current = opening.context().enter()?;
    Ok(opening.loader().keep_at(&settings.model, engine, &control(settings, &opening))?)
}

fn control(settings: &ModelSettings, opening: &Opening<'_>) -> BuildControl {
    let watch = settings.watch.clone();
    BuildControl {
        cancel: watch.cancel,
        on_progress: watch.on_progress,
        on_note: watch.on_note,
        allocator: Some(builder_memory(opening.context(), opening.library)),
    }
}

/// Everything that is needed to load a model.
struct Opening<'a> {
    shared: &'a SharedContext,
    library: &'static Library,
    gpu: GpuFacts,
    cache: EngineCache,
    build: BuildSettings,
}

impl<'a> Opening<'a> {
    fn new(settings: &'a ModelSettings) -> Result<Self, Error> {
        if settings.model.as_os_str().is_empty() {
            let text = "no model: set the property model to an .onnx, .engine or .plan file";
            return Err(Error::new(ErrorKind::Setting, text));
        }
        let shared =
            settings.context.as_deref().and_then(|context| (context as &dyn Any).downcast_ref::<SharedContext>());
        let shared = shared.ok_or_else(|| {
            Error::new(ErrorKind::Setting, "backend=tensorrt needs a CUDA context, and none was given")
        })?;
        let library = Library::open(None)?;
        let gpu = Device::open(shared.context().device())?.facts;
        let folder = settings.engine_cache.clone().unwrap_or_else(EngineCache::default_folder);
        let build = build_settings(settings, Some(&gpu));
        Ok(Self { shared, library, gpu, cache: EngineCache::new(folder, DEFAULT_LIMIT), build })
    }

    fn context(&self) -> &Arc<Context> {
        self.shared.context()
    }

    fn loader(&self) -> Loader<'_> {
        Loader {
            library: self.library,
            gpu: Some(&self.gpu),
            cache: &self.cache,
            settings: &self.build,
            allocator: None,
        }
    }
}

/// The builder's memory doesn't count as the service's; an out-of-memory error names the builder.
fn builder_memory(context: &Arc<Context>, library: &Library) -> Arc<GpuAllocator> {
    let memory = Box::new(ContextMemory(Arc::clone(context)));
    Arc::new(GpuAllocator::new(library.group(), memory, "TensorRT's builder", None))
}

/// The build settings that follow from a model's settings.
pub fn build_settings(settings: &ModelSettings, gpu: Option<&GpuFacts>) -> BuildSettings {
    BuildSettings {
        precision: match settings.precision {
            Precision::Auto | Precision::Fp16 => EnginePrecision::Fp16,
            Precision::Fp32 => EnginePrecision::Fp32,
            Precision::Int8 => EnginePrecision::Int8,
        },
        batch_size: settings.batch_size.max(1),
        workspace: settings.workspace_size,
        ..BuildSettings::for_gpu(gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> GpuFacts {
        let name = "NVIDIA H200".into();
        GpuFacts { name, compute_capability: (9, 0), multiprocessors: 132, memory: 150_000_000_000 }
    }

    /// The cache key is derived from these, so `gst-trt build MODEL` must build the engine that an element looks for.
    #[test]
    fn an_elements_defaults_are_those_of_gst_trt_build() {
        assert_eq!(build_settings(&ModelSettings::default(), Some(&gpu())), BuildSettings::for_gpu(Some(&gpu())));
        let other = ModelSettings { precision: Precision::Int8, batch_size: 16, ..ModelSettings::default() };
        let build = build_settings(&other, Some(&gpu()));
        assert_eq!((build.precision, build.batch_size), (EnginePrecision::Int8, 16));
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = Opening::new(&ModelSettings::default()).err().unwrap();
        assert!(error.message.contains("set the property model"), "{error}");
        let model = "a.onnx".into();
        let error = Opening::new(&ModelSettings { model, ..ModelSettings::default() }).err().unwrap();
        assert!(error.message.contains("CUDA context"), "{error}");
    }
}
