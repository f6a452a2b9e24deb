//! What an edited configuration means for a running camera.

use super::setup::CameraSetup;
use crate::elements::ElementSetup;

/// An element that gets other options while it plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOptions {
    /// Its name.
    pub element: String,
    /// The properties whose values are others.
    pub properties: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The change is made without interruption.
    Options(Vec<NewOptions>),
    /// A new pipeline is needed.
    Restart,
}

/// The change from one set-up to the other.
pub fn change(old: &CameraSetup, new: &CameraSetup) -> Change {
    if old == new {
        return Change::Nothing;
    }
    let others = |setup: &CameraSetup| CameraSetup { elements: vec![], ..setup.clone() };
    if others(old) != others(new) || old.elements.len() != new.elements.len() {
        return Change::Restart;
    }
    let changed: Option<Vec<_>> =
        old.elements.iter().zip(&new.elements).map(|(old, new)| of_element(old, new)).collect();
    match changed {
        Some(changed) => Change::Options(changed.into_iter().filter(|new| !new.properties.is_empty()).collect()),
        None => Change::Restart,
    }
}

/// What changes of an element; `None` if it has to be another one, or can't change while it plays.
fn of_element(old: &ElementSetup, new: &ElementSetup) -> Option<NewOptions> {
    if (&old.name, &old.contents) != (&new.name, &new.contents) {
        return None;
    }
    let changed = old.options.differences(&new.options)?;
    let live = changed.iter().all(|spec| spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING));
    let properties = changed.iter().map(|spec| spec.name()).collect();
    live.then(|| NewOptions { element: new.name.clone(), properties })
}

#[cfg(test)]
mod tests {
    use super::super::setup::{Decoder, FileSource, SourceSetup, ThreadSetup};
    use super::*;
    use crate::elements::ElementOptions;
    use crate::infer::Backend;
    use crate::options::InferenceOptions;

    fn file(path: &str) -> SourceSetup {
        SourceSetup::File(FileSource { path: path.into(), looping: true })
    }

    fn setup(options: InferenceOptions) -> CameraSetup {
        gst::init().unwrap();
        CameraSetup {
            name: "door".into(),
            source: file("clip.mp4"),
            decoder: Decoder::Cpu,
            coded_queue: 20,
            picture_queue: 5,
            picture_memory: None,
            surfaces: None,
            elements: vec![ElementSetup {
                name: "detect".into(),
                options: ElementOptions::detect(options),
                contents: vec![],
            }],
            recording: None,
            clips: None,
            threads: ThreadSetup::default(),
            run: None,
        }
    }

    #[test]
    fn thresholds_change_without_a_pause_and_backends_do_not() {
        let options = InferenceOptions {
            backend: Backend::Cpu,
            confidence: 0.5,
            iou: 0.4,
            classes: vec!["car".to_owned()].into(),
            ..InferenceOptions::default()
        };
        let old = setup(options.clone());
        assert_eq!(change(&old, &old), Change::Nothing);
        let new = setup(InferenceOptions {
            confidence: 0.7,
            interval: 1,
            iou: 0.45,
            classes: Vec::new().into(),
            ..options.clone()
        });
        let Change::Options(changed) = change(&old, &new) else { panic!() };
        let properties = vec!["interval", "confidence", "iou", "classes"];
        assert_eq!(changed, [NewOptions { element: "detect".into(), properties }]);
        let new = setup(InferenceOptions { backend: Backend::TensorRt, ..options.clone() });
        assert_eq!(change(&old, &new), Change::Restart);
        let new = setup(InferenceOptions { max_in_flight: 8, ..options });
        assert_eq!(change(&old, &new), Change::Restart);
    }

    #[test]
    fn another_source_or_element_needs_another_pipeline() {
        let old = setup(InferenceOptions::default());
        assert_eq!(change(&old, &CameraSetup { source: file("b.mp4"), ..old.clone() }), Change::Restart);
        assert_eq!(change(&old, &CameraSetup { picture_queue: 6, ..old.clone() }), Change::Restart);
        assert_eq!(change(&old, &CameraSetup { elements: vec![], ..old.clone() }), Change::Restart);
        let mut read = old.clone();
        read.elements[0].contents = vec![Some([7; 32])];
        assert_eq!(change(&old, &read), Change::Restart, "a file that is read once has changed");
        let mut posed = old.clone();
        posed.elements[0].options = ElementOptions::pose(InferenceOptions::default());
        assert_eq!(change(&old, &posed), Change::Restart);
        let mut renamed = old.clone();
        renamed.elements[0].name = "find".into();
        assert_eq!(change(&old, &renamed), Change::Restart);
    }
}
