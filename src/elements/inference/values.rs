//! Properties whose values are lists, written as text as on a command line.

use crate::model::{Labels, Rect, join_labels, split_labels};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// `WIDTHxHEIGHT` in pixels; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` isn't WIDTHxHEIGHT in pixels, for example 32x64");
        let (width, height) = text.split_once('x').ok_or_else(wrong)?;
        let number = |s: &str| s.trim().parse().map_err(|_| wrong());
        Ok(Self { width: number(width)?, height: number(height)? })
    }
}

/// `LEFT,TOP,WIDTH,HEIGHT`, normalised to the frame.
fn roi(text: &str) -> Result<Rect, String> {
    let wrong = || {
        format!(
            "`{text}` isn't LEFT,TOP,WIDTH,HEIGHT as fractions of the frame (0–1), for example 0,0.5,1,0.5 for its \
             lower half"
        )
    };
    let parts: Vec<f32> = text.split(',').map(|s| s.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let [x, y, w, h] = parts[..] else { return Err(wrong()) };
    let inside = x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0 && x + w <= 1.0001 && y + h <= 1.0001;
    if inside { Ok(Rect::new(x, y, w, h)) } else { Err(wrong()) }
}

/// Parts of the frame, `ROI;ROI;…`, normalised; nothing is the whole frame.
///
/// # Errors
/// Names the part that isn't one.
pub fn rois(text: &str) -> Result<Vec<Rect>, String> {
    text.split(';').map(str::trim).filter(|s| !s.is_empty()).map(roi).collect()
}

/// Classes by their label, which may be that of several, or by a number.
fn class_ids(property: &str, class: &str, labels: &Labels) -> Result<Vec<u32>, String> {
    let named: Vec<u32> = labels.ids(class).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let known = labels.len();
    match class.parse::<u32>() {
        Ok(id) if known == 0 || (id as usize) < known => Ok(vec![id]),
        Ok(id) => Err(format!("{property}: class {id} isn't one of the model's {known} classes (0 to {})", known - 1)),
        Err(_) => {
            // Half of a label with a comma, or one that is alike.
            let cut = labels.0.iter().find(|label| label.strip_prefix(class).is_some_and(|rest| rest.starts_with(',')));
            let meant = cut.map(|label| &**label).or_else(|| labels.nearest(class));
            let hint = meant.map_or(String::new(), |meant| format!(": did you mean `{}`?", join_labels([meant])));
            Err(format!("{property}: `{class}` isn't one of the model's {known} classes ({}){hint}", labels.some()))
        }
    }
}

/// `person,car` or `0,2`; `None` and nothing take all.
///
/// # Errors
/// Names the class that the model doesn't know.
pub fn class_set(property: &str, text: Option<&str>, labels: &Labels) -> Result<Option<BTreeSet<u32>>, String> {
    let mut set = BTreeSet::new();
    for class in split_labels(text.unwrap_or_default()) {
        set.extend(class_ids(property, &class, labels)?);
    }
    Ok((!set.is_empty()).then_some(set))
}

/// `person=0.5,car=0.3`.
///
/// # Errors
/// Names the part that isn't `CLASS=VALUE` with a value of 0 to 1, or the class that the model doesn't know.
pub fn class_values(property: &str, text: Option<&str>, labels: &Labels) -> Result<BTreeMap<u32, f32>, String> {
    let mut values = BTreeMap::new();
    for part in split_labels(text.unwrap_or_default()) {
        let wrong = || format!("{property}: `{part}` isn't CLASS=CONFIDENCE, for example person=0.5");
        let (class, value) = part.rsplit_once('=').ok_or_else(wrong)?;
        let value: f32 = value.trim().parse().map_err(|_| wrong())?;
        if !(0.0..=1.0).contains(&value) {
            return Err(format!("{property}: {value} of `{part}` isn't between 0 and 1"));
        }
        values.extend(class_ids(property, class.trim(), labels)?.into_iter().map(|id| (id, value)));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels(["person", "traffic light", "car"].map(Into::into).to_vec())
    }

    #[test]
    fn classes_by_label_or_number() {
        let set = class_set("classes", Some("car, traffic light,0"), &labels()).unwrap();
        assert_eq!(set, Some(BTreeSet::from([0, 1, 2])));
        assert_eq!(class_set("classes", None, &labels()), Ok(None));
        assert_eq!(class_set("classes", Some(" "), &labels()), Ok(None));
        let error = class_set("classes", Some("dog"), &labels()).unwrap_err();
        assert_eq!(error, "classes: `dog` isn't one of the model's 3 classes (person, traffic light, car)");
        assert!(class_set("classes", Some("3"), &labels()).unwrap_err().contains("class 3"));
        let error = class_set("classes", Some("Traffic Light"), &labels()).unwrap_err();
        assert!(error.ends_with("did you mean `traffic light`?"), "{error}");
    }

    #[test]
    fn a_name_holds_for_all_classes_of_it_and_any_label_can_be_written() {
        let labels = Labels::from_names(&["car", "cup, small", "car", "a=b", r"c\d", "1", "x;y"]);
        let set =
            |text: &str| class_set("classes", Some(text), &labels).unwrap().unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(set("car"), [0, 2]);
        assert_eq!(set(r"cup\, small,a=b,x;y"), [1, 3, 6]);
        assert_eq!(set(r"c\d"), [4]);
        // A label goes before a number.
        assert_eq!((set("1"), set("0")), (vec![5], vec![0]));
        let error = class_set("classes", Some("cup"), &Labels::from_names(&["cup, s"])).unwrap_err();
        assert!(error.ends_with(r"did you mean `cup\, s`?"), "how it is written: {error}");
        let values = class_values("class-confidence", Some(r"car=0.5,a=b=1,cup\, small=0.25"), &labels).unwrap();
        assert_eq!(values, BTreeMap::from([(0, 0.5), (1, 0.25), (2, 0.5), (3, 1.0)]));
    }

    #[test]
    fn confidence_by_class() {
        let values = class_values("class-confidence", Some("traffic light=0.5, 2=1"), &labels()).unwrap();
        assert_eq!(values, BTreeMap::from([(1, 0.5), (2, 1.0)]));
        for wrong in ["person", "person=x", "person=1.5", "person=nan"] {
            let error = class_values("class-confidence", Some(wrong), &labels()).unwrap_err();
            assert!(error.contains(wrong) && error.starts_with("class-confidence: "), "{error}");
        }
    }

    #[test]
    fn sizes_and_regions() {
        assert_eq!("32x64".parse(), Ok(Size { width: 32, height: 64 }));
        assert!("32".parse::<Size>().is_err());
        assert!("32x-1".parse::<Size>().is_err());
        assert!(rois("").unwrap().is_empty());
        let two = rois("0,0,0.5,1; 0.5,0,0.5,1").unwrap();
        assert_eq!(two, [Rect::new(0.0, 0.0, 0.5, 1.0), Rect::new(0.5, 0.0, 0.5, 1.0)]);
        for wrong in ["0,0,1", "0,0,1,2", "0,0,0,1", "a,0,1,1", "0,0,nan,1", "-0.1,0,1,1"] {
            assert!(rois(wrong).is_err(), "{wrong}");
        }
    }
}
