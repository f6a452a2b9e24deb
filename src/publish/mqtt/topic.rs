//! Topics, with a place for the stream's name.

use std::sync::Arc;

/// Becomes the name of the line's stream.
const PLACE: &str = "{stream-id}";

/// Whether lines can be published under `topic`.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic(topic: &str) -> Result<(), String> {
    // MQTT 3.1.1, 4.7.
    if topic.is_empty() {
        return Err("the topic is empty".into());
    }
    if topic.contains(['+', '#', '\0']) {
        return Err(format!("topic {topic} has a wildcard (+ or #), which is for subscribers only"));
    }
    if topic.starts_with('$') {
        return Err(format!("topic {topic} begins with $, which is for the broker's own"));
    }
    if topic.len() > 32_768 {
        return Err("the topic is longer than 32768 bytes".into());
    }
    Ok(())
}

/// A topic that can differ from stream to stream.
#[derive(Debug)]
pub struct Topic {
    template: String,
    /// The stream of the last line, and its topic.
    last: Option<(String, Arc<str>)>,
}

impl Topic {
    pub fn new(template: String) -> Self {
        Self { template, last: None }
    }

    /// The topic of a line of `stream`. What has a meaning in topics becomes `_` in the stream's name.
    pub fn of(&mut self, stream: &str) -> Arc<str> {
        if let Some((last, topic)) = &self.last
            && last == stream
        {
            return topic.clone();
        }
        let name = stream.replace(['/', '+', '#', '\0'], "_");
        let topic: Arc<str> = self.template.replace(PLACE, if name.is_empty() { "_" } else { &name }).into();
        self.last = Some((stream.to_owned(), topic.clone()));
        topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_its_place() {
        let mut topic = Topic::new("site/{stream-id}/objects".into());
        assert_eq!(&*topic.of("door"), "site/door/objects");
        assert!(Arc::ptr_eq(&topic.of("door"), &topic.of("door")));
        assert_eq!(&*topic.of("a/b+#"), "site/a_b__/objects");
        assert_eq!(&*topic.of(""), "site/_/objects");
        assert_eq!(&*Topic::new("all".into()).of("door"), "all");
    }

    #[test]
    fn what_nobody_can_publish_under_is_refused() {
        for good in ["a", "a/b", "/", "a$", "{stream-id}"] {
            assert_eq!(check_topic(good), Ok(()));
        }
        for bad in ["", "a/#", "a/+/b", "$SYS/x", "a\0b", &"a".repeat(32_769)] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }
}
