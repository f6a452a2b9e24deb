//! What an edited configuration means for a camera that runs.

use super::setup::{CameraSetup, ElementSetup};
use gst::glib;
use gst::prelude::*;

/// A property that gets another value while its element plays; `None`: its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewValue {
    /// Name of the element.
    pub element: String,
    pub property: String,
    pub value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Goes without a pause.
    Properties(Vec<NewValue>),
    /// Another pipeline is needed.
    Restart,
}

/// What leads from one set-up to the other.
pub fn change(old: &CameraSetup, new: &CameraSetup) -> Change {
    if old == new {
        return Change::Nothing;
    }
    let others = |setup: &CameraSetup| CameraSetup { elements: vec![], ..setup.clone() };
    if others(old) != others(new) || old.elements.len() != new.elements.len() {
        return Change::Restart;
    }
    let mut values = Vec::new();
    for (old, new) in old.elements.iter().zip(&new.elements) {
        match of_element(old, new) {
            Some(changed) => values.extend(changed),
            None => return Change::Restart,
        }
    }
    Change::Properties(values)
}

/// New values for an element; `None` if it has to be another one, or can't change while it plays.
fn of_element(old: &ElementSetup, new: &ElementSetup) -> Option<Vec<NewValue>> {
    if (&old.factory, &old.name, &old.contents) != (&new.factory, &new.name, &new.contents) {
        return None;
    }
    let changed = |property: &str, value: Option<&str>| NewValue {
        element: new.name.clone(),
        property: property.to_owned(),
        value: value.map(str::to_owned),
    };
    let mut values: Vec<NewValue> = Vec::new();
    for pair in &new.properties {
        if !old.properties.contains(pair) {
            values.push(changed(&pair.0, Some(&pair.1)));
        }
    }
    for (property, _) in &old.properties {
        if !new.properties.iter().any(|(name, _)| name == property) {
            values.push(changed(property, None));
        }
    }
    values.iter().all(|value| changes_while_playing(&new.factory, &value.property)).then_some(values)
}

fn changes_while_playing(factory: &str, property: &str) -> bool {
    let class = || {
        let factory = gst::ElementFactory::find(factory)?.load().ok()?;
        glib::Class::<glib::Object>::from_type(factory.element_type())
    };
    let spec = class().and_then(|class| class.find_property(property));
    spec.is_some_and(|spec| spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING))
}

#[cfg(test)]
mod tests {
    use super::super::setup::{Decoder, FileSource, Source, ThreadSetup};
    use super::*;

    fn file(path: &str) -> Source {
        Source::File(FileSource { path: path.into(), looping: true })
    }

    fn setup(properties: &[(&str, &str)]) -> CameraSetup {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        CameraSetup {
            name: "door".into(),
            source: file("clip.mp4"),
            decoder: Decoder::Cpu,
            coded_queue: 20,
            picture_queue: 5,
            picture_memory: None,
            surfaces: None,
            elements: vec![ElementSetup {
                factory: "trtdetect".into(),
                name: "detect".into(),
                properties: properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                contents: vec![],
            }],
            recording: None,
            threads: ThreadSetup::default(),
        }
    }

    #[test]
    fn thresholds_change_without_a_pause_and_backends_do_not() {
        let old = setup(&[("backend", "cpu"), ("confidence", "0.5"), ("iou", "0.4")]);
        assert_eq!(change(&old, &old), Change::Nothing);
        let new = setup(&[("backend", "cpu"), ("confidence", "0.7"), ("interval", "1")]);
        let Change::Properties(values) = change(&old, &new) else { panic!() };
        let values: Vec<_> = values.iter().map(|v| (v.property.as_str(), v.value.as_deref())).collect();
        assert_eq!(values, [("confidence", Some("0.7")), ("interval", Some("1")), ("iou", None)]);
        let new = setup(&[("backend", "tensorrt"), ("confidence", "0.5"), ("iou", "0.4")]);
        assert_eq!(change(&old, &new), Change::Restart);
    }

    #[test]
    fn another_source_or_element_needs_another_pipeline() {
        let old = setup(&[]);
        assert_eq!(change(&old, &CameraSetup { source: file("b.mp4"), ..old.clone() }), Change::Restart);
        assert_eq!(change(&old, &CameraSetup { picture_queue: 6, ..old.clone() }), Change::Restart);
        assert_eq!(change(&old, &CameraSetup { elements: vec![], ..old.clone() }), Change::Restart);
        let mut read = old.clone();
        read.elements[0].contents = vec![Some([7; 32])];
        assert_eq!(change(&old, &read), Change::Restart, "a file that is read once has changed");
        let mut renamed = old.clone();
        renamed.elements[0].name = "find".into();
        assert_eq!(change(&old, &renamed), Change::Restart);
    }
}
