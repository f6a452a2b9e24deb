//! Topics, with a placeholder for the stream's name.

use super::super::subject::{LineKind, Subject};
use std::sync::Arc;

/// The placeholder for the name of the line's stream.
const PLACEHOLDER: &str = "{stream-id}";

/// Checks that lines can be published under `topic`.
///
/// # Errors
/// What is wrong with the topic.
pub fn check_topic(topic: &str) -> Result<(), String> {
    // MQTT 3.1.1, 4.7.
    if topic.is_empty() {
        return Err("the topic is empty".into());
    }
    if topic.contains(['+', '#', '\0']) {
        return Err(format!("topic {topic} has a wildcard (+ or #), which is for subscribers only"));
    }
    if topic.contains(is_forbidden) {
        return Err(format!("topic {topic:?} has a control character, which makes brokers close the connection"));
    }
    if topic.starts_with('$') {
        return Err(format!("topic {topic} begins with $, which is reserved for the broker's own topics"));
    }
    if topic.len() > 32_768 {
        return Err("the topic is longer than 32768 bytes".into());
    }
    Ok(())
}

/// Control characters and noncharacters: brokers may close the connection for them (MQTT 3.1.1, 1.5.3).
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
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

    /// Returns the topic of a line of `stream`. Characters of the stream's name that have a meaning in topics become
    /// `_`.
    ///
    /// # Errors
    /// The topic is too long for the protocol.
    pub fn of(&mut self, stream: &str) -> Result<Arc<str>, String> {
        if let Some((last, topic)) = &self.last
            && last == stream
        {
            return Ok(topic.clone());
        }
        let topic = self.template.replace(PLACEHOLDER, &level(stream));
        // Topics that begin with `$` are reserved for the broker.
        let topic = checked(topic.strip_prefix('$').map_or(topic.clone(), |rest| format!("_{rest}")))?;
        self.last = Some((stream.to_owned(), topic.clone()));
        Ok(topic)
    }
}

/// The topics of an output's lines.
#[derive(Debug)]
pub struct Topics {
    objects: Topic,
    events: Topic,
    /// Above the names of zones and lines.
    totals: Topic,
}

impl Topics {
    /// Templates for lines of frames and of events.
    pub fn new(objects: String, events: String) -> Self {
        // Zones of two cameras can have the same name.
        let totals = match events.contains(PLACEHOLDER) {
            true => events.clone(),
            false => format!("{events}/{PLACEHOLDER}"),
        };
        Self { objects: Topic::new(objects), events: Topic::new(events), totals: Topic::new(totals) }
    }

    /// Returns the topic of lines about `subject`.
    ///
    /// # Errors
    /// The topic is too long for the protocol.
    pub fn of(&mut self, Subject { stream, kind }: &Subject) -> Result<Arc<str>, String> {
        match kind {
            LineKind::Objects => self.objects.of(stream),
            LineKind::Event => self.events.of(stream),
            LineKind::Totals(place) => checked(format!("{}/{}", self.totals.of(stream)?, level(place))),
        }
    }
}

/// A name as one level of a topic.
fn level(name: &str) -> String {
    let level = name.replace(|c| matches!(c, '/' | '+' | '#') || is_forbidden(c), "_");
    if level.is_empty() { "_".into() } else { level }
}

/// The length of a string has 16 bits (MQTT 3.1.1, 1.5.3).
fn checked(topic: String) -> Result<Arc<str>, String> {
    if topic.len() > usize::from(u16::MAX) {
        let begin: String = topic.chars().take(40).collect();
        return Err(format!("topic {begin}… is {} bytes long, and MQTT allows {} at most", topic.len(), u16::MAX));
    }
    Ok(topic.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_long() -> Result<Arc<str>, String> {
        Topic::new("{stream-id}".into()).of(&"x".repeat(65_536))
    }

    #[test]
    fn the_stream_has_its_place() {
        let mut topic = Topic::new("site/{stream-id}/objects".into());
        let mut of = |stream: &str| topic.of(stream).unwrap();
        assert_eq!(&*of("door"), "site/door/objects");
        assert!(Arc::ptr_eq(&of("door"), &of("door")));
        assert_eq!(&*of("a/b+#"), "site/a_b__/objects");
        assert_eq!(&*of("a\0b\nc\u{7f}d\u{85}e\u{ffff}f\u{fdd0}"), "site/a_b_c_d_e_f_/objects");
        assert_eq!(&*of(""), "site/_/objects");
        assert_eq!(&*Topic::new("all".into()).of("door").unwrap(), "all");
        assert_eq!(&*Topic::new("{stream-id}/x".into()).of("$SYS").unwrap(), "_SYS/x");
        let error = of_long().unwrap_err();
        assert!(error.contains("65536 bytes") && error.len() < 200, "{error}");
    }

    #[test]
    fn events_and_totals_have_topics_of_their_own() {
        let of = |events: &str| {
            let mut topics = Topics::new("site/{stream-id}".into(), events.into());
            [LineKind::Objects, LineKind::Event, LineKind::Totals("a/b".into())].map(|kind| {
                let subject = Subject { kind, ..Subject::objects("door") };
                topics.of(&subject).unwrap().to_string()
            })
        };
        assert_eq!(of("alarms/{stream-id}"), ["site/door", "alarms/door", "alarms/door/a_b"]);
        assert_eq!(of("alarms"), ["site/door", "alarms", "alarms/door/a_b"]);
        let long = LineKind::Totals("x".repeat(65_536).into());
        let error = Topics::new("a".into(), "b".into()).of(&Subject { kind: long, ..Subject::objects("door") });
        assert!(error.unwrap_err().contains("65543 bytes"));
    }

    #[test]
    fn what_nobody_can_publish_under_is_refused() {
        for good in ["a", "a/b", "/", "a$", "{stream-id}"] {
            assert_eq!(check_topic(good), Ok(()));
        }
        for bad in ["", "a/#", "a/+/b", "$SYS/x", "a\0b", "a\nb", "a\u{9f}", "\u{1fffe}", &"a".repeat(32_769)] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }
}
