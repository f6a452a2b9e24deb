//! Which services there are: elements with the same model and settings share one.

use super::{Backend, Engine, Error, ErrorKind, ModelSettings, Precision, Service, open_engine};
use crate::digest::{self, Hash};
use crate::tensorrt::source;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// What two elements must have in common to share a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    backend: Backend,
    /// Of the model's file.
    model: Hash,
    precision: Precision,
    device_id: u32,
    batch_size: u32,
    workspace_size: u32,
    /// The CUcontext: one that lives has its address for itself.
    context: Option<usize>,
    gpu_memory_limit: u32,
}

impl Key {
    fn new(settings: &ModelSettings, model: Hash) -> Self {
        Self {
            backend: settings.backend,
            model,
            precision: settings.precision,
            device_id: settings.device_id,
            batch_size: settings.batch_size,
            workspace_size: settings.workspace_size,
            context: settings.context.as_ref().map(|shared| shared.context().handle() as usize),
            gpu_memory_limit: settings.gpu_memory_limit,
        }
    }
}

/// A key's service; locked while it's being opened, so that it's opened once.
type Place = Arc<Mutex<Weak<Service>>>;

static SERVICES: LazyLock<Mutex<HashMap<Key, Place>>> = LazyLock::new(Mutex::default);

/// The service for these settings: an open one, or a new one.
///
/// # Errors
/// What [`open_engine`] or [`Service::start`] says.
pub fn open(settings: &ModelSettings) -> Result<Arc<Service>, Error> {
    open_with(settings, open_engine)
}

fn open_with(
    settings: &ModelSettings,
    open_engine: impl FnOnce(&ModelSettings) -> Result<Arc<dyn Engine>, Error>,
) -> Result<Arc<Service>, Error> {
    let key = Key::new(settings, hash(&settings.model)?);
    let place = {
        let mut services = SERVICES.lock().unwrap_or_else(PoisonError::into_inner);
        services
            .retain(|_, place| Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|s| s.strong_count() > 0));
        services.entry(key).or_default().clone()
    };
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    // A failed one is of no use to anybody new.
    if let Some(service) = place.upgrade().filter(|service| service.failure().is_none()) {
        return Ok(service);
    }
    let service = Service::start(open_engine(settings)?, settings)?;
    *place = Arc::downgrade(&service);
    Ok(service)
}

fn hash(model: &Path) -> Result<Hash, Error> {
    digest::of_file(&source(model)?).map_err(|error| {
        let text = format!("model file {} can't be read: {error}. Check the `model` property", model.display());
        Error::new(ErrorKind::File, text)
    })
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Opens a service with an engine of the test's in the place of the backend's.
    pub fn open_fake(settings: &ModelSettings, engine: Arc<dyn Engine>) -> Arc<Service> {
        open_with(settings, |_| Ok(engine)).unwrap()
    }
}
