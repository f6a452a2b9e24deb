//! Which host's run of a camera a line comes from.

use super::json;
use std::sync::Arc;

/// The host and its run of the camera, in every line. Of two hosts that believe to have the same camera, the one with the greater
/// epoch is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub host: Arc<str>,
    /// Grows each time that any host starts the camera.
    pub epoch: u64,
}

impl Origin {
    /// Adds this to a finished line of JSON, which is an object with at least one member.
    pub fn add_to(&self, line: &mut Vec<u8>) {
        if !line.ends_with(b"}\n") {
            return;
        }
        line.truncate(line.len() - 2);
        line.extend_from_slice(br#","host":"#);
        json::text(line, &self.host);
        line.extend_from_slice(br#","epoch":"#);
        json::whole(line, self.epoch);
        line.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_object() {
        let mut line = b"{\"stream\":\"door\"}\n".to_vec();
        Origin { host: "gpu \"7\"".into(), epoch: 12 }.add_to(&mut line);
        assert_eq!(line, b"{\"stream\":\"door\",\"host\":\"gpu \\\"7\\\"\",\"epoch\":12}\n");
    }
}
