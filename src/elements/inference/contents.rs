//! The content of the files that an element's model was opened from.

use super::settings::Settings;
use crate::backend;
use crate::error::Error;
use crate::infer::{self, ModelSettings};
use files::digest::{self, Hash};
use tensorrt::ModelContent;

/// Hashes of the model, labels and engine files. A file rewritten with the same content compares equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    model: backend::Content,
    labels: Option<Hash>,
    /// The engine file, if it exists.
    engine: Option<ModelContent>,
}

impl Contents {
    /// # Errors
    /// A file is missing or can't be read.
    pub fn of(settings: &Settings, model: &ModelSettings) -> Result<Self, Error> {
        let labels = settings.options.labels.as_deref();
        let labels =
            labels.map(|path| digest::of_file(path).map_err(|error| infer::labels_error(path, &error))).transpose()?;
        Self { model: backend::content(model)?, labels, engine: None }.with_engine(model)
    }

    /// The properties whose files differ from those of `then`.
    pub fn differences(&self, then: &Self) -> Vec<&'static str> {
        let differs = [
            ("model", self.model != then.model),
            ("labels", self.labels != then.labels),
            ("engine-file", self.engine != then.engine),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(property, _)| property).collect()
    }

    /// Adds the engine file as it is now, because opening the model may have written it.
    ///
    /// # Errors
    /// The engine file can't be read.
    pub fn with_engine(mut self, model: &ModelSettings) -> Result<Self, Error> {
        let there = model.engine_file.as_deref().filter(|engine| engine.is_file());
        self.engine = there.map(|engine| ModelContent::of(engine, None)).transpose()?;
        Ok(self)
    }
}
