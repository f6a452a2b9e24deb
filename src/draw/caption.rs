//! What labels say.

use super::Style;
use crate::meta::{Classification, Object, Place, PlaceCount, Record, by_model};
use std::fmt::Write;

/// `person #12 0.87, red 0.91`
pub fn write_label(text: &mut String, object: &Object, style: &Style) {
    text.clear();
    if style.labels {
        text.push_str(&object.label);
        if let (true, Some(class)) = (object.label.is_empty(), object.class_id) {
            // Writing to a string can't fail.
            let _ = write!(text, "class {class}");
        }
        if let Some(id) = object.track_id {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}#{id}");
        }
    }
    if style.confidence && object.confidence.is_finite() {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{:.2}", object.confidence);
    }
    write_classes(text, &object.classifications, style);
}

/// `hall 3`, `door 2 in 5 out`
pub fn write_count(text: &mut String, place: &Place) {
    text.clear();
    // Writing to a string can't fail.
    let _ = match place.count {
        PlaceCount::Zone { occupancy } => write!(text, "{} {occupancy}", place.name),
        PlaceCount::Line { inwards, outwards } => write!(text, "{} {inwards} in {outwards} out", place.name),
    };
}

/// The classes of the whole frame.
pub fn write_frame_label(text: &mut String, record: &Record, style: &Style) {
    text.clear();
    write_classes(text, &record.classifications, style);
}

/// Appends each model's most probable class: `, red 0.91`.
fn write_classes(text: &mut String, classes: &[Classification], style: &Style) {
    for best in by_model(classes).filter_map(|classes| classes.first()) {
        let mut comma = if text.is_empty() { "" } else { ", " };
        if style.labels {
            let _ = write!(text, "{comma}{}", best.label);
            comma = " ";
        }
        if style.confidence && best.confidence.is_finite() {
            let _ = write!(text, "{comma}{:.2}", best.confidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_text() {
        let text = |object: &Object, labels, confidence| {
            let mut text = "before".to_owned();
            write_label(&mut text, object, &Style { labels, confidence, ..Style::default() });
            text
        };
        let mut person = Object { class_id: Some(3), label: "person".into(), confidence: 0.87, ..Object::default() };
        assert_eq!(text(&person, true, true), "person 0.87");
        assert_eq!(text(&person, true, false), "person");
        assert_eq!(text(&person, false, true), "0.87");
        person.label = "".into();
        assert_eq!(text(&person, true, true), "class 3 0.87");
        let tracked = Object { track_id: Some(12), ..person.clone() };
        assert_eq!(text(&tracked, true, true), "class 3 #12 0.87");
        assert_eq!(text(&tracked, false, true), "0.87");
        let class = |source: &str, label: &str, confidence| Classification {
            source: source.into(),
            class_id: None,
            label: label.into(),
            confidence,
        };
        person.classifications = vec![class("a", "red", 0.5), class("a", "blue", 0.25), class("b", "hat", 0.75)];
        assert_eq!(text(&person, true, true), "class 3 0.87, red 0.50, hat 0.75");
        assert_eq!(text(&person, true, false), "class 3, red, hat");
        assert_eq!(text(&person, false, true), "0.87, 0.50, 0.75");
        person.classifications.clear();
        person.class_id = None;
        person.confidence = f32::NAN;
        assert_eq!(text(&person, true, true), "");
    }
}
