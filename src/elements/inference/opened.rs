//! A model that an element has opened.

use super::Task;
use super::attributes::Tracks;
use super::contents::Contents;
use super::settings::{Resolved, Settings};
use super::tensors::OutputTensors;
use crate::backend;
use crate::error::{Error, ErrorKind};
use crate::infer::{self, ModelSettings, Service, ServiceStream};
use crate::meta::Name;
use model::{KeypointLayout, Labels, head::HeadKind};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// An element's stream in the model's service, and the meaning of the model's results.
pub struct Opened {
    pub stream: ServiceStream,
    /// The `model-id` property.
    pub id: Name,
    pub kind: HeadKind,
    pub keypoints: Option<Arc<KeypointLayout>>,
    pub tensors: OutputTensors,
    /// What the model said of tracked objects.
    pub tracks: Tracks,
    labels: Labels,
    /// The labels as names, as objects carry them.
    names: Vec<Name>,
    resolved: Mutex<Arc<Resolved>>,
    /// The settings that it was opened with.
    pub settings: Settings,
    pub contents: Contents,
    /// Dropped last: see [`Self::retire`].
    retired: Mutex<Option<Sender<Infallible>>>,
}

impl Opened {
    /// Opens `model`, which follows from `settings`, for the element of this name.
    ///
    /// # Errors
    /// The service's error, a model for another element, a bad labels file, or a setting that doesn't fit the model.
    pub fn new(settings: &Settings, model: &ModelSettings, task: Task, name: &str) -> Result<Self, Error> {
        let setting = |text: String| Error::new(ErrorKind::Setting, text);
        // Hashed before the files are read, so that a change in between is found by the next comparison.
        let contents = Contents::of(settings, model)?;
        let service = backend::open(model)?;
        let head = service.engine().head().clone();
        task.check(&model.model, &*head, service.engine().doubt())?;
        let labels = infer::labels(settings.options.labels.as_deref(), &*head)?;
        let resolved = settings.resolve(head.kind(), &labels).map_err(setting)?;
        Ok(Self {
            stream: service.stream(settings.options.max_in_flight as usize),
            id: settings.options.model_id.as_deref().unwrap_or(name).into(),
            kind: head.kind(),
            keypoints: head.keypoints().cloned(),
            tensors: OutputTensors::of(service.engine()),
            tracks: Tracks::default(),
            names: labels.0.iter().map(|label| (&**label).into()).collect(),
            labels,
            resolved: Mutex::new(Arc::new(resolved)),
            settings: settings.clone(),
            contents: contents.with_engine(model)?,
            retired: Mutex::default(),
        })
    }

    /// For a replaced model: the receiver disconnects once its last frame is done and its stream has left the service.
    pub fn retire(&self) -> Receiver<Infallible> {
        let (sender, receiver) = channel();
        *self.retired.lock() = Some(sender);
        receiver
    }

    pub fn service(&self) -> &Service {
        self.stream.service()
    }

    pub fn label(&self, class_id: u32) -> Name {
        self.names.get(class_id as usize).copied().unwrap_or_else(|| (&*self.labels.get(class_id)).into())
    }

    /// The settings in force.
    pub fn resolved(&self) -> Arc<Resolved> {
        self.resolved.lock().clone()
    }

    /// Puts changed settings in force.
    ///
    /// # Errors
    /// Names the value that doesn't fit; the previous settings then stay in force.
    pub fn change(&self, settings: &Settings) -> Result<(), String> {
        let resolved = settings.resolve(self.kind, &self.labels)?;
        *self.resolved.lock() = Arc::new(resolved);
        Ok(())
    }
}
