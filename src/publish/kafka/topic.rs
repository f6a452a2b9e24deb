//! Topics' names.

use crate::config::is_kafka_topic;

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
    if !is_kafka_topic(topic) {
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
