//! The names of a model's classes.

use crate::error::{Error, ErrorKind};
use model::{Head, Labels};
use std::path::Path;

/// The names in a labels file, or else those stored in the model.
///
/// # Errors
/// The file can't be read, or its number of names differs from the model's number of classes.
pub fn labels(file: Option<&Path>, head: &dyn Head) -> Result<Labels, Error> {
    let Some(path) = file else { return Ok(head.labels().clone()) };
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| labels_error(path, &error))?;
    Labels::parse(&text, head.class_count())
        .map_err(|error| Error::new(ErrorKind::Setting, format!("labels file {shown}: {error}")))
}

/// The error for a labels file that can't be read.
pub fn labels_error(path: &Path, error: &std::io::Error) -> Error {
    let text = format!("can't read labels file {}: {error}. Check the `labels` property", path.display());
    Error::new(ErrorKind::File, text)
}
