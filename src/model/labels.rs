//! Names of classes and keypoints.

use std::sync::Arc;

/// Class names by class id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels(pub Vec<Arc<str>>);

/// Names of a pose model's keypoints, in order, and the pairs of them that make the skeleton's limbs.
#[derive(Debug, Clone, PartialEq)]
pub struct KeypointLayout {
    pub name: &'static str,
    pub names: Vec<Arc<str>>,
    /// Pairs of indices into `names`.
    pub limbs: Vec<(usize, usize)>,
}

impl Labels {
    pub fn get(&self, class_id: u32) -> Arc<str> {
        self.0.get(class_id as usize).cloned().unwrap_or_else(|| format!("class {class_id}").into())
    }

    /// One name a line.
    ///
    /// # Errors
    /// When there aren't `classes` names.
    pub fn parse(text: &str, classes: usize) -> Result<Self, String> {
        let _ = (text, classes);
        Err(String::new())
    }
}
