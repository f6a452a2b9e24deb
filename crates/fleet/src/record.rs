//! What the records of a fleet's topics say.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// The key of the settings in the topic `.config`.
pub const SETTINGS: &str = "settings";

/// The beginning of the key of a [`Drain`].
const DRAIN: &str = "drain/";

/// The key of the request that a host be drained.
pub fn drain_key(host: &str) -> String {
    format!("{DRAIN}{host}")
}

/// The host that a key of the topic `.config` is about.
pub fn drained_host(key: &str) -> Option<&str> {
    key.strip_prefix(DRAIN)
}

/// A record that can't be read; its text says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotARecord(String);

impl fmt::Display for NotARecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotARecord {}

fn read<T: DeserializeOwned>(value: &[u8], what: &str) -> Result<T, NotARecord> {
    serde_json::from_slice(value).map_err(|error| NotARecord(format!("it isn't {what}: {error}")))
}

fn write(value: &impl Serialize) -> Vec<u8> {
    // Numbers, texts, lists and maps with text keys: there is nothing that JSON can't say.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A camera, as the config.json has it: variables aren't filled in, so it has no secrets that the file hasn't.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraRecord {
    /// The object in `cameras.RTSP_STREAMS`, with its `NAME`.
    pub camera: Map<String, Value>,
    /// Epochs are counted from here. It isn't 0 where the camera was in another partition before, whose claims have larger
    /// offsets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base: i64,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl CameraRecord {
    /// Reads the record of the camera `name`.
    ///
    /// # Errors
    /// It isn't a camera's, or another one's.
    pub fn read(name: &str, value: &[u8]) -> Result<Self, NotARecord> {
        let record: Self = read(value, "a camera")?;
        match record.camera.get("NAME").and_then(Value::as_str) {
            Some(written) if written == name => Ok(record),
            Some(written) => Err(NotARecord(format!("its key is {name:?}, and its NAME {written:?}"))),
            None => Err(NotARecord("it has no NAME".into())),
        }
    }

    pub fn write(&self) -> Vec<u8> {
        write(self)
    }
}

/// What has become of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimState {
    /// The host starts the camera: this record's offset makes the epoch.
    Started,
    /// The camera has played for a while.
    Settled,
    /// The host has stopped the camera in order.
    Released,
    /// The camera has killed its host twice: no host starts it.
    Quarantined,
}

/// A host's claim to a camera, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub host: String,
    /// Identifies the process.
    pub run: String,
    pub state: ClaimState,
    /// How many hosts in a row ended while they started the camera.
    #[serde(default)]
    pub strikes: u32,
    /// The claim's epoch. A claim that begins a run doesn't know it yet: it's `base` and the record's offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// What the camera's record counts epochs from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base: i64,
    /// The offset of the camera's record: another record gets another chance.
    #[serde(default)]
    pub record: i64,
}

impl Claim {
    /// # Errors
    /// It isn't a claim.
    pub fn read(value: &[u8]) -> Result<Self, NotARecord> {
        read(value, "a claim")
    }

    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// The epoch of the claim with this offset.
    pub fn epoch_at(&self, offset: i64) -> i64 {
        self.epoch.unwrap_or(self.base + offset)
    }
}

/// A request that a process give away its cameras and take no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The process; the one that replaces it isn't concerned.
    pub run: String,
}

impl Drain {
    /// # Errors
    /// It isn't such a request.
    pub fn read(value: &[u8]) -> Result<Self, NotARecord> {
        read(value, "a request to drain a host")
    }

    pub fn write(&self) -> Vec<u8> {
        write(self)
    }
}

/// What a host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It opens models, or waits for the group.
    Joining,
    /// It's a member of the group.
    Serving,
    /// The group isn't there, or has given the host's cameras to others.
    Away,
    /// It gives its cameras away.
    Draining,
    /// It has given its cameras away, and takes none.
    Drained,
    /// It has ended as requested.
    Stopped,
}

impl HostState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Serving => "serving",
            Self::Away => "away",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Stopped => "stopped",
        }
    }
}

/// A host as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    pub host: String,
    /// Identifies the process.
    pub run: String,
    pub version: String,
    pub state: HostState,
    /// When this was written, ms since 1970.
    pub time: u64,
    /// Most cameras that it takes; `None`: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<usize>,
    /// CPU of the machine, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The busiest GPU, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_percent: Option<f64>,
    pub cameras: Vec<CameraStatus>,
}

impl HostStatus {
    /// # Errors
    /// It isn't a host's status.
    pub fn read(value: &[u8]) -> Result<Self, NotARecord> {
        read(value, "a host's status")
    }

    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// Frames a second of all its cameras.
    pub fn fps(&self) -> f64 {
        self.cameras.iter().map(|camera| camera.fps).sum()
    }
}

/// A camera of a host's partitions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CameraStatus {
    pub name: String,
    pub partition: i32,
    /// The epoch of its run; `None`: it doesn't run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// What the camera does while it runs, such as `playing`; `unserved`, `quarantined` or `waiting` while it doesn't.
    pub state: String,
    /// Why it isn't playing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Frames a second.
    #[serde(default)]
    pub fps: f64,
    /// Frames since the process started.
    #[serde(default)]
    pub frames: u64,
    #[serde(default)]
    pub drops: u64,
    /// The 95th percentile of the last seconds, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_camera_s_record_names_it_as_its_key_does() {
        let value = json!({ "camera": { "NAME": "door", "URL": "rtsp://${USER}@door/1" } }).to_string();
        let record = CameraRecord::read("door", value.as_bytes()).unwrap();
        assert_eq!(record.base, 0);
        assert_eq!(String::from_utf8(record.write()).unwrap(), value);
        for (name, value, says) in [
            ("yard", value.as_str(), "door"),
            ("door", "{}", "camera"),
            ("door", "{\"camera\":{}}", "NAME"),
            ("door", "{\"camera\":7}", "camera"),
            ("door", "7", "camera"),
            ("door", "\u{0}", "camera"),
            ("door", "", "camera"),
        ] {
            let error = CameraRecord::read(name, value.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{value}: {error}");
        }
    }

    #[test]
    fn a_claim_s_offset_is_its_epoch() {
        let claim = Claim {
            host: "a".into(),
            run: "1".into(),
            state: ClaimState::Started,
            strikes: 0,
            epoch: None,
            base: 10,
            record: 3,
        };
        assert_eq!(claim.epoch_at(7), 17);
        let settled = Claim { state: ClaimState::Settled, epoch: Some(17), ..claim };
        assert_eq!(Claim::read(&settled.write()).unwrap().epoch_at(9), 17);
        assert_eq!(drained_host(&drain_key("gpu-1")), Some("gpu-1"));
        assert_eq!(drained_host(SETTINGS), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = CameraRecord::read("a", &bytes);
            let _ = Claim::read(&bytes);
            let _ = Drain::read(&bytes);
            let _ = HostStatus::read(&bytes);
        }
    }
}
