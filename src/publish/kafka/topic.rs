//! Topics' names.

/// Checks a topic's name.
///
/// # Errors
/// What is wrong with the topic.
pub fn check_topic(topic: &str) -> Result<(), String> {
    if topic.contains("{stream-id}") {
        return Err("a Kafka topic is one for all streams, and the stream's name is the key of its lines: \
                    remove {stream-id}"
            .into());
    }
    // org.apache.kafka.common.internals.Topic
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > 249 || topic == "." || topic == ".." || !topic.chars().all(allowed) {
        return Err("a Kafka topic has up to 249 letters, digits, dots, hyphens and underscores".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["objects", "a.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_topic(good), Ok(()));
        }
        for bad in ["", ".", "..", "a/b", "größe", "a b", &"x".repeat(250), "{stream-id}"] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }
}
