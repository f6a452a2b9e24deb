//! A fleet as its topics show it.

use super::cluster::{Cluster, Record};
use crate::error::{Error, ErrorKind};
use crate::monitor::{columns, lines};
use ::fleet::{CameraRecord, CameraStatus, HostState, HostStatus};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// A host that hasn't reported for this long, in seconds, is silent; it reports every 3.
const SILENT: f64 = 12.0;

/// The state of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    pub hosts: Vec<HostRow>,
    pub cameras: Vec<CameraRow>,
    /// Records that are no cameras.
    pub strange: Vec<String>,
}

/// A host, as it described itself last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostRow {
    #[serde(flatten)]
    pub status: HostStatus,
    /// Seconds since it reported.
    pub age: f64,
    /// It hasn't reported for so long that it's thought to be gone.
    pub silent: bool,
}

impl HostRow {
    /// Whether it was drained, or has ended.
    pub fn has_given_all(&self) -> bool {
        matches!(self.status.state, HostState::Drained | HostState::Stopped)
    }
}

/// A camera of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CameraRow {
    /// The host that has it; `None`: none reports it.
    pub host: Option<String>,
    #[serde(flatten)]
    pub status: CameraStatus,
    /// What was written: URL and settings, with variables' names.
    pub camera: serde_json::Map<String, serde_json::Value>,
}

impl CameraRow {
    /// Whether its pictures are analysed.
    pub fn is_served(&self) -> bool {
        self.status.epoch.is_some()
    }
}

impl Overview {
    /// Reads the topics.
    ///
    /// # Errors
    /// The brokers don't answer or refuse; there is no such fleet.
    pub fn read(cluster: &Cluster) -> Result<Self, Error> {
        let topics = cluster.topics();
        let Some(cameras) = cluster.read(&topics.cameras)? else {
            let text = format!("{}: there is no such fleet: gst-trt fleet apply makes it", cluster.address);
            return Err(Error::new(ErrorKind::Setting, text));
        };
        let status = cluster.read(&topics.status)?.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(Self::of(cameras, status, now))
    }

    /// `now`: seconds since 1970.
    fn of(cameras: Vec<Record>, status: Vec<Record>, now: f64) -> Self {
        let last = |records: Vec<Record>| -> BTreeMap<(i32, String), Record> {
            records.into_iter().filter_map(|record| Some(((record.partition, record.key.clone()?), record))).collect()
        };
        let hosts: Vec<HostRow> = last(status)
            .into_values()
            .filter_map(|record| HostStatus::read(record.value.as_deref()?).ok())
            .map(|status| {
                let age = (now - status.time as f64 / 1000.0).max(0.0);
                HostRow { silent: age > SILENT && status.state != HostState::Stopped, age, status }
            })
            .collect();
        let (mut rows, mut strange) = (Vec::new(), Vec::new());
        for ((partition, name), record) in last(cameras) {
            let Some(value) = record.value else { continue };
            let camera = match CameraRecord::read(&name, &value) {
                Ok(record) => record.camera,
                Err(error) => {
                    strange.push(format!("{name:?} in partition {partition}: {error}"));
                    continue;
                }
            };
            // While it moves two hosts have it: the later run counts.
            let found = hosts
                .iter()
                .filter(|host| !host.silent && host.status.state != HostState::Stopped)
                .flat_map(|host| host.status.cameras.iter().map(move |camera| (host, camera)))
                .filter(|(_, camera)| camera.name == name)
                .max_by_key(|(_, camera)| camera.epoch);
            let nowhere =
                || CameraStatus { name: name.clone(), partition, state: "waiting".into(), ..CameraStatus::default() };
            rows.push(CameraRow {
                host: found.map(|(host, _)| host.status.host.clone()),
                status: found.map_or_else(nowhere, |(_, camera)| camera.clone()),
                camera,
            });
        }
        rows.sort_by(|a, b| a.status.name.cmp(&b.status.name));
        Self { hosts, cameras: rows, strange }
    }

    /// As text: a row for each camera.
    pub fn list(&self) -> String {
        let mut table = columns(4, &[("CAMERA", 6), ("HOST", 4), ("STATE", 12), ("URL", 3), ("PARTITION", 9)]);
        for row in &self.cameras {
            let url = row.camera.get("URL").and_then(serde_json::Value::as_str).map(crate::config::redact);
            let host = row.host.clone().unwrap_or_else(|| "-".into());
            let CameraStatus { name, state, partition, .. } = &row.status;
            table.add_row([name.clone(), host, state.clone(), url.unwrap_or_default(), partition.to_string()]);
        }
        lines(&table).map(|line| line + "\n").collect()
    }

    /// As text: a row for each host, and the cameras that aren't served, or `all`.
    pub fn table(&self, all: bool) -> String {
        let mut out = String::new();
        let mut table = columns(
            2,
            &[
                ("HOST", 4),
                ("STATE", 8),
                ("CAMERAS", 7),
                ("CAPACITY", 8),
                ("FPS", 8),
                ("CPU %", 6),
                ("GPU %", 6),
                ("AGE s", 6),
            ],
        );
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        for HostRow { status, age, silent } in &self.hosts {
            let state = if *silent { "silent" } else { status.state.name() };
            let running = status.cameras.iter().filter(|camera| camera.epoch.is_some()).count().to_string();
            let capacity = status.capacity.map_or("-".to_owned(), |most| most.to_string());
            let (fps, age) = (format!("{:.1}", status.fps()), format!("{age:.1}"));
            let (cpu, gpu) = (number(status.cpu_percent), number(status.gpu_percent));
            table.add_row([status.host.clone(), state.to_owned(), running, capacity, fps, cpu, gpu, age]);
        }
        lines(&table).for_each(|line| out.push_str(&(line + "\n")));
        let served = self.cameras.iter().filter(|row| row.is_served()).count();
        let _ = writeln!(out, "\n{served} of {} cameras run", self.cameras.len());
        let shown: Vec<&CameraRow> = self.cameras.iter().filter(|row| all || !row.is_served()).collect();
        if !shown.is_empty() {
            let mut table = columns(
                3,
                &[
                    ("CAMERA", 6),
                    ("HOST", 4),
                    ("STATE", 12),
                    ("EPOCH", 7),
                    ("FPS", 7),
                    ("FRAMES", 9),
                    ("P95 ms", 7),
                    ("DROPS", 7),
                ],
            );
            for row in &shown {
                let CameraStatus { name, epoch, state, fps, frames, latency_p95, drops, .. } = &row.status;
                let host = row.host.clone().unwrap_or_else(|| "-".into());
                let epoch = epoch.map_or("-".to_owned(), |epoch| epoch.to_string());
                let p95 = latency_p95.map_or("-".to_owned(), |p95| format!("{p95:.1}"));
                let (fps, frames, drops) = (format!("{fps:.1}"), frames.to_string(), drops.to_string());
                table.add_row([name.clone(), host, state.clone(), epoch, fps, frames, p95, drops]);
            }
            let mut rows = lines(&table);
            out.extend(rows.next().map(|titles| titles + "\n"));
            for (line, row) in rows.zip(&shown) {
                let _ = writeln!(out, "{line}");
                if let Some(reason) = &row.status.reason {
                    let _ = writeln!(out, "  {reason}");
                }
            }
        }
        for strange in &self.strange {
            let _ = writeln!(out, "no camera: {strange}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fleet_is_what_its_last_records_say() {
        let record = |key: &str, value: Option<String>| Record {
            partition: 0,
            offset: 0,
            key: Some(key.into()),
            value: value.map(String::into_bytes),
        };
        let camera = |name: &str| record(name, Some(json!({ "camera": { "NAME": name } }).to_string()));
        let status = |host: &str, time: u64, cameras: Vec<CameraStatus>| {
            let status = HostStatus {
                host: host.into(),
                run: "1".into(),
                version: "0".into(),
                state: HostState::Serving,
                time,
                capacity: Some(8),
                cpu_percent: Some(12.4),
                gpu_percent: None,
                cameras,
            };
            record(host, Some(String::from_utf8(status.write()).unwrap()))
        };
        let runs = |name: &str, epoch| CameraStatus {
            name: name.into(),
            epoch: Some(epoch),
            state: "playing".into(),
            fps: 24.96,
            ..CameraStatus::default()
        };
        let unserved = CameraStatus {
            name: "yard".into(),
            state: "unserved".into(),
            reason: Some("no room".into()),
            ..CameraStatus::default()
        };
        let overview = Overview::of(
            vec![camera("door"), camera("yard"), camera("gone"), record("gone", None), record("odd", Some("7".into()))],
            vec![
                status("a", 1_000, vec![runs("door", 3)]),
                status("b", 90_000, vec![runs("door", 9), unserved]),
                record("c", Some("nonsense".into())),
            ],
            100.0,
        );
        let of = |name: &str| overview.cameras.iter().find(|row| row.status.name == name).unwrap();
        assert_eq!((of("door").host.as_deref(), of("door").status.epoch), (Some("b"), Some(9)));
        assert!(!of("yard").is_served() && overview.cameras.len() == 2);
        assert_eq!(
            overview.table(false),
            "\
HOST  STATE    CAMERAS CAPACITY      FPS  CPU %  GPU %  AGE s
a     silent         1        8     25.0     12      -   99.0
b     serving        1        8     25.0     12      -   10.0

1 of 2 cameras run
CAMERA  HOST  STATE          EPOCH     FPS    FRAMES  P95 ms   DROPS
yard    b     unserved           -     0.0         0       -       0
  no room
no camera: \"odd\" in partition 0: it isn't a camera: invalid type: integer `7`, expected struct CameraRecord at line 1 column 1
"
        );
        assert!(overview.table(true).contains("door    b     playing            9"), "{}", overview.table(true));
    }
}
