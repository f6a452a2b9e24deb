//! Finds out which messages a broker never accepts.
//!
//! MQTT 3.1.1 has no response to a message that a broker doesn't allow because of its size or topic: brokers close the
//! connection. Sent again on each new connection, such a message would close them all, and block every other message.
//! An outage looks the same once, but not again and again: a message is suspected when it was the only one in flight,
//! on a connection that had been up without it, and that the broker closed right afterwards. Several times in a row
//! count as a rejection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known about the broker of one account.
#[derive(Debug, Default)]
pub struct Rejections {
    /// The largest message that the broker accepted, bytes.
    taken: usize,
    /// The smallest rejected message that is larger than all accepted ones, bytes.
    limit: Option<usize>,
    topics: HashMap<Arc<str>, Topic>,
    /// Sizes up to which unconfirmed messages were seen to be harmless, by topic.
    harmless: HashMap<Arc<str>, usize>,
}

/// A topic with suspected or rejected messages.
#[derive(Debug)]
struct Topic {
    /// Closed connections in a row.
    strikes: u32,
    /// The broker rejects messages of this size and above.
    refused: bool,
    /// Bytes.
    size: usize,
    /// A message is tried again after this time.
    again: Instant,
}

/// What to do with a suspected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    SendAgain,
    /// The message is dropped, and so are similar ones for a while. The text is for the user, the first time.
    LeaveOut(Option<String>),
}

impl Rejections {
    /// Closed connections in a row that count as a rejection.
    const STRIKES: u32 = 3;
    /// How long messages like a rejected one are dropped, until one of them is tried again.
    pub const AGAIN: Duration = Duration::from_secs(60);
    /// The most topics that are remembered.
    const MOST: usize = 1024;

    /// Whether the broker is known to reject such a message.
    pub fn refuses(&self, topic: &str, size: usize, now: Instant) -> bool {
        self.topics.get(topic).is_some_and(|topic| topic.refused && size >= topic.size && now < topic.again)
    }

    /// Whether such a message, which the broker doesn't confirm, was seen to be harmless.
    pub fn is_harmless(&self, topic: &str, size: usize) -> bool {
        self.harmless.get(topic).is_some_and(|most| size <= *most)
    }

    /// Records that the broker accepted a message.
    pub fn took(&mut self, topic: &str, size: usize) {
        self.taken = self.taken.max(size);
        self.limit = self.limit.filter(|limit| *limit > size);
        if self.topics.get(topic).is_some_and(|topic| size >= topic.size) {
            self.topics.remove(topic);
        }
    }

    /// Records that the connection stayed up after a message that isn't confirmed.
    pub fn stood(&mut self, topic: &Arc<str>, size: usize) {
        self.took(topic, size);
        if self.harmless.len() >= Self::MOST {
            self.harmless.clear();
        }
        let most = self.harmless.entry(topic.clone()).or_default();
        *most = size.max(*most);
    }

    /// The broker may have been replaced or reconfigured: one message of each kind is tried again.
    pub fn doubt(&mut self, now: Instant) {
        self.topics.values_mut().for_each(|topic| topic.again = now);
    }

    /// Records that the broker closed an established connection right after this message, the only one in flight.
    pub fn strike(&mut self, topic: &Arc<str>, size: usize, now: Instant) -> Verdict {
        if self.topics.len() >= Self::MOST && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        let of = self.topics.entry(topic.clone()).or_insert(Topic { strikes: 0, refused: false, size, again: now });
        of.strikes += 1;
        of.size = if of.refused { of.size.min(size) } else { size };
        let known = of.refused || self.limit.is_some_and(|limit| size >= limit);
        if of.strikes < Self::STRIKES && !known {
            return Verdict::SendAgain;
        }
        let told = std::mem::replace(&mut of.refused, true);
        of.again = now + Self::AGAIN;
        if size > self.taken {
            self.limit = Some(self.limit.map_or(size, |limit| limit.min(size)));
        }
        Verdict::LeaveOut((!told).then(|| self.explain(topic, size)))
    }

    fn explain(&self, topic: &str, size: usize) -> String {
        let taken = self.taken;
        let cause = if taken == 0 {
            "it has accepted nothing yet: likely causes are its access rules (ACL) for this topic and its limit of the packet \
             size"
                .to_owned()
        } else if size > taken {
            format!(
                "the largest that it has accepted is {taken} bytes: the likely cause is its limit of the packet size \
                 (max_packet_size of mosquitto), or its access rules (ACL) for this topic"
            )
        } else {
            format!(
                "it has accepted others up to {taken} bytes: the likely cause is its access rules (ACL) for this topic"
            )
        };
        format!(
            "the broker closes the connection whenever it gets a message of {size} bytes under topic {topic}; {cause}. \
             Such messages are dropped and counted; one is tried again every {} s",
            Self::AGAIN.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn it_takes_several_times_in_a_row() {
        let (mut rejections, now) = (Rejections::default(), Instant::now());
        let door = topic("door");
        rejections.took("door", 500);
        for _ in 0..2 {
            assert_eq!(rejections.strike(&door, 400, now), Verdict::SendAgain);
        }
        rejections.took("door", 400);
        for _ in 0..2 {
            assert_eq!(rejections.strike(&door, 400, now), Verdict::SendAgain);
            assert!(!rejections.refuses("door", 400, now));
        }
        let Verdict::LeaveOut(Some(text)) = rejections.strike(&door, 400, now) else { panic!() };
        assert!(text.contains("400 bytes under topic door") && text.contains("ACL"), "{text}");
        assert!(rejections.refuses("door", 400, now) && rejections.refuses("door", 4000, now));
        assert!(!rejections.refuses("door", 399, now) && !rejections.refuses("yard", 400, now));
        let later = now + Rejections::AGAIN;
        assert!(!rejections.refuses("door", 400, later), "it's tried again");
        assert_eq!(
            rejections.strike(&door, 450, later),
            Verdict::LeaveOut(None),
            "once is enough then, without a word"
        );
        assert!(rejections.refuses("door", 400, later));
        rejections.doubt(later);
        assert!(!rejections.refuses("door", 400, later));
        rejections.took("door", 400);
        assert_eq!(rejections.strike(&door, 400, later), Verdict::SendAgain, "all anew");
    }

    #[test]
    fn a_limit_is_found_out_once_for_all_topics() {
        let (mut rejections, now) = (Rejections::default(), Instant::now());
        rejections.took("yard", 1000);
        let mut strike = |name: &str, size| rejections.strike(&topic(name), size, now);
        assert_eq!((strike("door", 3000), strike("door", 3000)), (Verdict::SendAgain, Verdict::SendAgain));
        let Verdict::LeaveOut(Some(text)) = strike("door", 3000) else { panic!() };
        assert!(
            text.contains("3000 bytes") && text.contains("1000 bytes") && text.contains("max_packet_size"),
            "{text}"
        );
        assert!(matches!(strike("yard", 3500), Verdict::LeaveOut(Some(_))), "the next is as large");
        assert_eq!(strike("gate", 2000), Verdict::SendAgain, "which one isn't");
        // A smaller message of a topic with a known rejection is judged after one closed connection.
        assert_eq!(strike("door", 2000), Verdict::LeaveOut(None));
        rejections.took("shed", 3000);
        assert_eq!(rejections.strike(&topic("barn"), 3000, now), Verdict::SendAgain, "there is no limit");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut rejections, now) = (Rejections::default(), Instant::now());
        for n in 0..3 * Rejections::MOST {
            let name = topic(&n.to_string());
            rejections.strike(&name, 1, now);
            rejections.stood(&name, 0);
            assert!(rejections.is_harmless(&name, 0) && !rejections.is_harmless(&name, 1));
        }
        assert!(rejections.topics.len() <= Rejections::MOST && rejections.harmless.len() <= Rejections::MOST);
    }
}
