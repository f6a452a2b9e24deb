//! Lists of labels as one text, `person,traffic light`, as properties take them.
//!
//! A comma in a label is written `\,`, and a backslash before a comma or backslash `\\`; any other backslash is
//! literal.

/// Joins labels into the text of a list.
pub fn join_labels<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        for c in label.as_ref().chars() {
            if matches!(c, ',' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// Splits a text into labels, trims them and drops empty ones.
pub fn split_labels(text: &str) -> Vec<String> {
    let mut labels = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, labels.last_mut()) {
            (',', _) => labels.push(String::new()),
            ('\\', Some(label)) => label.push(rest.next_if(|c| matches!(c, ',' | '\\')).unwrap_or('\\')),
            (c, Some(label)) => label.push(c),
            _ => {}
        }
    }
    labels.iter().map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_of_labels_are_escaped() {
        assert_eq!(
            split_labels(r"car, traffic light,,cup\, small , a\b,c\\"),
            ["car", "traffic light", "cup, small", r"a\b", r"c\"]
        );
        assert_eq!(split_labels(" , "), [""; 0]);
        assert_eq!(join_labels(["cup, small", "car", r"a\b"]), r"cup\, small,car,a\\b");
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(labels in prop::collection::vec(r"[a,=;\\ 🚗]{0,6}", 0..5)) {
            let wanted: Vec<_> = labels.iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
            prop_assert_eq!(split_labels(&join_labels(&wanted)), wanted);
        }
    }
}
