//! The services in use: elements with the same model and settings share one.

use super::{open_engine, prepare};
use crate::error::{Error, ErrorKind};
use crate::infer::{
    Backend, Engine, ModelSettings, Precision, Service, gst_model_info_error, gst_model_info_file,
    image_processor_error, image_processor_file,
};
use files::digest;
use model::head::ModelChoice;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};
use tensorrt::{EngineCache, ModelContent, source};

/// The settings that must be equal for two elements to share a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    backend: Backend,
    model: Content,
    choice: ModelChoice,
    precision: Precision,
    device_id: u32,
    batch_size: u32,
    workspace_size: u32,
    /// The id of the device's context.
    context: Option<usize>,
    gpu_memory_limit: u32,
}

impl Key {
    fn new(settings: &ModelSettings, model: Content) -> Self {
        Self {
            backend: settings.backend,
            model,
            choice: settings.choice,
            precision: settings.precision,
            device_id: settings.device_id,
            batch_size: settings.batch_size,
            workspace_size: settings.workspace_size,
            context: settings.context.as_ref().map(|context| context.id()),
            gpu_memory_limit: settings.gpu_memory_limit,
        }
    }
}

/// The service of a key, which one thread at a time may open.
#[derive(Default)]
struct Entry {
    state: Mutex<EntryState>,
    /// An attempt to open the service has ended, successfully or not.
    ended: Condvar,
}

#[derive(Default)]
struct EntryState {
    service: Weak<Service>,
    /// A thread is opening the service.
    opening: bool,
}

/// What an element gets from an entry.
enum Claim {
    /// The entry's service is in use.
    Open(Arc<Service>),
    /// The caller must open the service.
    Ours(OpeningGuard),
}

/// The right to open an entry's service, until dropped.
struct OpeningGuard(Arc<Entry>);

impl OpeningGuard {
    fn done(self, service: &Arc<Service>) {
        self.0.state.lock().service = Arc::downgrade(service);
    }
}

impl Drop for OpeningGuard {
    fn drop(&mut self) {
        self.0.state.lock().opening = false;
        self.0.ended.notify_all();
    }
}

impl Entry {
    /// The interval at which a waiting thread checks its cancel flag.
    const TICK: Duration = Duration::from_millis(20);
    /// The longest wait without a message: loading an existing engine takes less.
    const SHORT: Duration = Duration::from_secs(1);

    /// Waits while another thread opens the service, which may take minutes, or until the settings' cancel flag is set.
    fn claim(self: &Arc<Self>, settings: &ModelSettings) -> Result<Claim, Error> {
        let (since, mut told) = (Instant::now(), false);
        let mut state = self.state.lock();
        while state.opening {
            if !told && since.elapsed() >= Self::SHORT {
                told = true;
                if let Some(on_progress) = &settings.watch.on_progress {
                    drop(state);
                    on_progress("waiting for another element that opens the same model", 0.0);
                    state = self.state.lock();
                }
            }
            if settings.watch.cancel.load(Ordering::Relaxed) {
                let text = format!("opening {} was cancelled", settings.model.display());
                return Err(Error::new(ErrorKind::Failed, text));
            }
            self.ended.wait_for(&mut state, Self::TICK);
        }
        // A failed service can't serve a new element.
        if let Some(service) = state.service.upgrade().filter(|service| service.failure().is_none()) {
            return Ok(Claim::Open(service));
        }
        state.opening = true;
        drop(state);
        Ok(Claim::Ours(OpeningGuard(self.clone())))
    }

    /// True if the entry has no service and none is being opened.
    fn is_empty(&self) -> bool {
        let state = self.state.lock();
        !state.opening && state.service.strong_count() == 0
    }
}

static SERVICES: LazyLock<Mutex<HashMap<Key, Arc<Entry>>>> = LazyLock::new(Mutex::default);

/// Returns the service for these settings: the one in use, or a new one.
///
/// # Errors
/// The error of [`content`], [`open_engine`] or [`Service::start`], or that the opening was cancelled.
pub fn open(settings: &ModelSettings) -> Result<Arc<Service>, Error> {
    open_with(settings, open_engine)
}

pub(super) fn open_with(
    settings: &ModelSettings,
    open_engine: impl FnOnce(&ModelSettings) -> Result<Arc<dyn Engine>, Error>,
) -> Result<Arc<Service>, Error> {
    let model = content(settings)?;
    let entry = {
        let mut services = SERVICES.lock();
        services.retain(|_, entry| Arc::strong_count(entry) > 1 || !entry.is_empty());
        services.entry(Key::new(settings, model.clone())).or_default().clone()
    };
    let opening = match entry.claim(settings)? {
        Claim::Open(service) => {
            prepare(settings)?;
            return Ok(service);
        }
        Claim::Ours(opening) => opening,
    };
    let service = Service::start(open_engine(settings)?, settings)?;
    if content(settings)? != model {
        let text = format!("{} changed while it was being opened: open it again", settings.model.display());
        return Err(Error::new(ErrorKind::File, text));
    }
    opening.done(&service);
    Ok(service)
}

/// The time that the models in use take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Of all devices together, for all images so far in full batches, divided by the number of devices.
    pub done: Duration,
    /// For one image of each model, divided by the number of devices.
    pub image: Duration,
    /// Whether one of the models runs on a GPU.
    pub on_gpus: bool,
}

/// The work of the models in use.
pub fn work() -> Work {
    let services: Vec<_> = {
        let entries = SERVICES.lock();
        let service = |(key, entry): (&Key, &Arc<Entry>)| {
            // An entry that is being opened is busy only for the moment of its claim.
            Some(((key.backend, key.device_id), entry.state.lock().service.upgrade()?))
        };
        entries.iter().filter_map(service).collect()
    };
    let mut devices: Vec<_> = services.iter().map(|(device, _)| *device).collect();
    devices.sort_unstable_by_key(|(backend, device)| (*backend == Backend::Cpu, *device));
    devices.dedup();
    let number = u32::try_from(devices.len()).unwrap_or(u32::MAX).max(1);
    let stats: Vec<_> = services.iter().map(|(_, service)| service.stats()).collect();
    Work {
        done: stats.iter().map(|stats| stats.work).sum::<Duration>() / number,
        // The sum of one device, since each has all models; and a camera uses one of the devices.
        image: stats.iter().map(|stats| stats.region_time).sum::<Duration>() / number / number,
        on_gpus: devices.iter().any(|(backend, _)| *backend == Backend::TensorRt),
    }
}

/// Hashes of all files of a model, which decide its results.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Content {
    model: ModelContent,
    /// The model info file beside the model.
    gst_model_info: Option<digest::Hash>,
    /// Hugging Face's `preprocessor_config.json` beside the model.
    image_processor: Option<digest::Hash>,
}

/// # Errors
/// A file is missing, incomplete, or in a place where it isn't allowed.
pub fn content(settings: &ModelSettings) -> Result<Content, Error> {
    let folder = || settings.engine_cache.clone().unwrap_or_else(EngineCache::default_folder);
    let memory = (settings.backend == Backend::TensorRt).then(|| EngineCache::hashes_in(&folder()));
    let file = source(&settings.model, settings.engine_file.as_deref())?;
    let model = ModelContent::of(&file, memory.as_deref()).map_err(|error| match error {
        tensorrt::Error::File { path, reason } if path == file => {
            let text = format!("can't read model file {}: {reason}. Check the `model` property", path.display());
            Error::new(ErrorKind::File, text)
        }
        error => error.into(),
    })?;
    let gst_model_info = gst_model_info_file(&settings.model)
        .map(|file| digest::of_file(&file).map_err(|error| gst_model_info_error(&file, &error)));
    let image_processor = image_processor_file(&settings.model)
        .map(|file| digest::of_file(&file).map_err(|error| image_processor_error(&file, &error)));
    Ok(Content { model, gst_model_info: gst_model_info.transpose()?, image_processor: image_processor.transpose()? })
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Opens a service with the test's engine instead of the backend's.
    pub fn open_fake(settings: &ModelSettings, engine: Arc<dyn Engine>) -> Arc<Service> {
        open_with(settings, |_| Ok(engine)).unwrap()
    }
}
