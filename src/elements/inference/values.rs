//! Resolves the classes that properties name for the open model.

use model::{Labels, join_labels};
use std::collections::{BTreeMap, BTreeSet};

/// The ids of a class given by its label, which several classes may share, or by its number.
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
            // The text is the first part of a label that contains a comma, or a misspelled label.
            let cut = labels.0.iter().find(|label| label.strip_prefix(class).is_some_and(|rest| rest.starts_with(',')));
            let meant = cut.map(|label| &**label).or_else(|| labels.nearest(class));
            let hint = meant.map_or(String::new(), |meant| format!(": did you mean `{}`?", join_labels([meant])));
            Err(format!("{property}: `{class}` isn't one of the model's {known} classes ({}){hint}", labels.some()))
        }
    }
}

/// The set of the given classes; `None`, for an empty list, means all classes.
///
/// # Errors
/// Names the class that the model doesn't have.
pub fn class_set(property: &str, classes: &[String], labels: &Labels) -> Result<Option<BTreeSet<u32>>, String> {
    let mut set = BTreeSet::new();
    for class in classes {
        set.extend(class_ids(property, class.trim(), labels)?);
    }
    Ok((!set.is_empty()).then_some(set))
}

/// The values by class id. The last of several values for a class applies.
///
/// # Errors
/// Names the class that the model doesn't have.
pub fn class_values(property: &str, given: &[(String, f32)], labels: &Labels) -> Result<BTreeMap<u32, f32>, String> {
    let mut values = BTreeMap::new();
    for (class, value) in given {
        values.extend(class_ids(property, class.trim(), labels)?.into_iter().map(|id| (id, *value)));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{TextForm, Written};

    fn class_set(property: &str, text: Option<&str>, labels: &Labels) -> Result<Option<BTreeSet<u32>>, String> {
        super::class_set(property, Written::<Vec<String>>::from_text(text.map(str::to_owned)).value(), labels)
    }

    fn class_values(property: &str, text: Option<&str>, labels: &Labels) -> Result<BTreeMap<u32, f32>, String> {
        super::class_values(property, &Vec::parse(text.unwrap_or_default())?, labels)
    }

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
        // A label takes precedence over a number.
        assert_eq!((set("1"), set("0")), (vec![5], vec![0]));
        let error = class_set("classes", Some("cup"), &Labels::from_names(&["cup, s"])).unwrap_err();
        assert!(error.ends_with(r"did you mean `cup\, s`?"), "how it is written: {error}");
        let values = class_values("class-confidence", Some(r"car=0.5,a=b=1,cup\, small=0.25"), &labels).unwrap();
        assert_eq!(values, BTreeMap::from([(0, 0.5), (1, 0.25), (2, 0.5), (3, 1.0)]));
    }
}
