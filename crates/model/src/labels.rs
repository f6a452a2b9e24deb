//! Names of classes.

use std::sync::{Arc, LazyLock};

/// Class names by class id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels(pub Vec<Arc<str>>);

/// The error for a labels file that doesn't fit its model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its name says")]
pub enum WrongLength {
    /// The number of names differs from the model's number of classes.
    #[error(
        "the labels file has {found} names, the model has {expected} classes: write one name a line, in class order"
    )]
    Other { found: usize, expected: usize },
    /// The file names a class beyond the maximum number of classes.
    #[error("the labels file has {0} names, 1 to {MOST_UNCOUNTED} are possible: write one name a line, in class order")]
    Beyond(usize),
}

/// The most classes of a model whose file doesn't specify their number.
pub const MOST_UNCOUNTED: usize = 1024;

/// The similarity from which a label is suggested for a misspelt one.
const ALIKE: f64 = 0.6;

impl Labels {
    /// The 80 classes of COCO, numbered as in its 2017 detection models.
    pub fn coco80() -> Self {
        static NAMES: LazyLock<Labels> = LazyLock::new(|| Labels::from_names(&COCO_80));
        NAMES.clone()
    }

    /// COCO's 80 classes by their category numbers, 1 to 90, which have gaps; for detectors that keep these numbers.
    pub fn coco91() -> Self {
        let mut labels: Vec<Arc<str>> = (0..=COCO_LAST).map(|id| unnamed(id).into()).collect();
        let numbers = (1..=COCO_LAST).filter(|number| !COCO_GAPS.contains(number));
        for (number, name) in numbers.zip(COCO_80) {
            if let Some(label) = labels.get_mut(number) {
                *label = name.into();
            }
        }
        Self(labels)
    }

    /// Labels with these names, in the order of the classes.
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Self {
        Self(names.iter().map(|n| n.as_ref().into()).collect())
    }

    /// The built-in names for a model without names: COCO's for 80 classes, `person` for the single class of a pose
    /// model, otherwise `class 0`, `class 1`, …
    pub fn built_in(classes: usize, pose: bool) -> Self {
        match classes {
            80 => Self::coco80(),
            1 if pose => Self::from_names(&["person"]),
            _ => Self::unnamed(classes),
        }
    }

    /// `class 0`, `class 1`, …
    pub(super) fn unnamed(classes: usize) -> Self {
        Self((0..classes).map(|id| unnamed(id).into()).collect())
    }

    /// Parses a labels file: one name per line, starting with class 0. Empty lines at the end are ignored; an empty
    /// line in between is a class without a name (`class 7`). A byte order mark and carriage returns are removed.
    ///
    /// # Errors
    /// The number of names differs from the model's number of classes; `None` (unknown) accepts any number.
    pub fn parse(text: &str, classes: Option<usize>) -> Result<Self, WrongLength> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
        let lines = text.lines().map(str::trim).enumerate().filter(|_| !text.is_empty());
        let names: Vec<Arc<str>> =
            lines.map(|(id, name)| if name.is_empty() { unnamed(id).into() } else { name.into() }).collect();
        match classes {
            Some(expected) if names.len() != expected => Err(WrongLength::Other { found: names.len(), expected }),
            None if !(1..=MOST_UNCOUNTED).contains(&names.len()) => Err(WrongLength::Beyond(names.len())),
            _ => Ok(Self(names)),
        }
    }

    /// The classes with this name: several if the model has the name more than once.
    pub fn ids<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.0.iter().zip(0..).filter(move |(label, _)| ***label == *name).map(|(_, id)| id)
    }

    /// The label most similar to a misspelt `name`, ignoring case.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        // The time of a comparison is the product of the lengths.
        const LONGEST: usize = 64;
        let small = name.to_lowercase();
        let alike = |label: &str| strsim::normalized_damerau_levenshtein(&label.to_lowercase(), &small);
        let short = |label: &&str| label.len() <= LONGEST && small.len() <= LONGEST;
        let labels = self.0.iter().map(|label| &**label).filter(short);
        let best = labels.map(|label| (alike(label), label)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(score, _)| *score >= ALIKE).map(|(_, label)| label)
    }

    /// The first labels, for errors: `red, green, …`.
    pub fn some(&self) -> String {
        let some: Vec<_> = self.0.iter().take(8).map(|label| &**label).collect();
        let more = if self.len() > some.len() { ", …" } else { "" };
        format!("{}{more}", some.join(", "))
    }

    /// The class's name; `class 7` for an id without a name.
    pub fn get(&self, class_id: u32) -> Arc<str> {
        self.0.get(class_id as usize).cloned().unwrap_or_else(|| unnamed(class_id as usize).into())
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The generated name of a class without a name.
pub(super) fn unnamed(id: usize) -> String {
    format!("class {id}")
}

/// Source: COCO 2017 `instances` annotations, in the order of their category ids.
#[rustfmt::skip]
const COCO_80: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
];

/// The last category id of the same annotations, and the ids below it that no category has.
const COCO_LAST: usize = 90;
const COCO_GAPS: [usize; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coco_is_numbered_as_published() {
        let labels = Labels::coco80();
        let at = [(0, "person"), (2, "car"), (16, "dog"), (39, "bottle"), (62, "tv"), (79, "toothbrush")];
        for (id, name) in at {
            assert_eq!(&*labels.get(id), name);
        }
        assert_eq!(&*labels.get(80), "class 80");
        let labels = Labels::coco91();
        let at =
            [(1, "person"), (3, "car"), (18, "dog"), (44, "bottle"), (72, "tv"), (90, "toothbrush"), (12, "class 12")];
        for (id, name) in at {
            assert_eq!(&*labels.get(id), name);
        }
        assert_eq!(labels.len(), 91);
    }

    #[test]
    fn a_labels_file_is_one_name_a_line() {
        let labels = Labels::parse("\u{feff}red\r\n  dark green \n\nblue\n\n\n", Some(4)).unwrap();
        assert_eq!(labels, Labels::from_names(&["red", "dark green", "class 2", "blue"]));
        assert_eq!(Labels::parse("", Some(0)), Ok(Labels::default()));
        let error = Labels::parse("red\ngreen\n", Some(80)).unwrap_err();
        assert_eq!(error, WrongLength::Other { found: 2, expected: 80 });
        assert!(error.to_string().contains("2 names") && error.to_string().contains("80 classes"));
        assert!(Labels::parse("\n\n", Some(1)).is_err());
        // A model with an unknown number of classes accepts any number of names.
        assert_eq!(Labels::parse("red\ngreen\n", None).unwrap().len(), 2);
        assert!(Labels::parse("", None).is_err() && Labels::parse(&"a\n".repeat(1025), None).is_err());
    }

    #[test]
    fn a_name_is_of_all_its_classes() {
        let labels = Labels::from_names(&["car", "van", "car", "Car", "1"]);
        let ids = |name: &str| labels.ids(name).collect::<Vec<_>>();
        assert_eq!((ids("car"), ids("1"), ids("0"), ids("ca")), (vec![0, 2], vec![4], vec![], vec![]));
    }

    #[test]
    fn the_nearest_label_is_alike() {
        let labels = Labels::from_names(&["red", "traffic light", "Straße", "日本"]);
        for (name, nearest) in [
            ("Red", Some("red")),
            ("RED", Some("red")),
            ("trafic-light", Some("traffic light")),
            ("straße", Some("Straße")),
            ("日本", Some("日本")),
            ("0", None),
            ("giraffe", None),
            ("", None),
        ] {
            assert_eq!(labels.nearest(name), nearest, "{name}");
        }
        assert_eq!(labels.nearest(&"r".repeat(10_000)), None);
        assert_eq!(Labels::default().nearest("red"), None);
    }

    #[test]
    fn built_in_names_fit_the_class_count() {
        assert_eq!(&*Labels::built_in(80, false).get(5), "bus");
        assert_eq!(&*Labels::built_in(1, true).get(0), "person");
        assert_eq!(&*Labels::built_in(1, false).get(0), "class 0");
        assert_eq!(Labels::built_in(3, false).len(), 3);
    }
}
