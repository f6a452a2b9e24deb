//! A fleet on a real broker: hosts as processes, and a reader of all their lines in the order in which they arrive.

use super::find;
use super::kafka::Kafka;
use ::fleet::Follower;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const SECOND: Duration = Duration::from_secs(1);

/// A line as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub at: Instant,
    pub camera: String,
    pub host: String,
    pub epoch: i64,
    pub frame: u64,
}

/// Receives the lines of all hosts.
pub struct Lines {
    pub port: u16,
    received: Arc<Mutex<Vec<Line>>>,
}

impl Lines {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<Line>>>::default();
        let all = received.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let all = all.clone();
                std::thread::spawn(move || {
                    for text in BufReader::new(stream).lines().map_while(Result::ok) {
                        // A host that is killed may leave half a line.
                        let Ok(line) = serde_json::from_str::<Value>(&text) else { continue };
                        let at = Instant::now();
                        all.lock().unwrap().push(Line {
                            at,
                            camera: line["stream"].as_str().unwrap().to_owned(),
                            host: line["host"].as_str().expect("lines name their host").to_owned(),
                            epoch: line["epoch"].as_i64().expect("lines have their epoch"),
                            frame: line["frame"].as_u64().unwrap(),
                        });
                    }
                });
            }
        });
        Self { port, received }
    }

    pub fn all(&self) -> Vec<Line> {
        self.received.lock().unwrap().clone()
    }

    /// By camera, the hosts whose lines arrived after `since`.
    pub fn publishers(&self, since: Instant) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        for line in self.received.lock().unwrap().iter().rev().take_while(|line| line.at >= since) {
            found.entry(line.camera.clone()).or_default().insert(line.host.clone());
        }
        found
    }
}

/// Checks what must hold of lines in any history: an epoch is one host's, its frames are in order and come once, and a
/// reader that follows epochs never sees a host again that it has left. Returns how many lines such a reader drops.
#[track_caller]
pub fn check_lines(lines: &[Line]) -> usize {
    let mut hosts: HashMap<(&str, i64), &str> = HashMap::new();
    let mut frames: HashMap<(&str, i64), u64> = HashMap::new();
    let (mut follower, mut seen) = (Follower::default(), HashMap::<&str, i64>::new());
    let mut dropped = 0;
    for line in lines {
        let run = (line.camera.as_str(), line.epoch);
        assert_eq!(*hosts.entry(run).or_insert(&line.host), line.host, "{run:?} is of two hosts");
        let before = frames.insert(run, line.frame);
        assert!(before.is_none_or(|before| before < line.frame), "{run:?}: {} after {before:?}", line.frame);
        if follower.take(&line.camera, line.epoch, line.frame) {
            let last = seen.insert(&line.camera, line.epoch);
            assert!(last.is_none_or(|last| last <= line.epoch), "{run:?} after {last:?}");
        } else {
            dropped += 1;
        }
    }
    dropped
}

/// A process of a host.
pub struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    pub metrics: u16,
}

/// The fleet.
pub struct Fleet {
    pub kafka: Kafka,
    pub lines: Lines,
    folder: tempfile::TempDir,
    name: String,
    pub hosts: BTreeMap<String, Process>,
}

impl Fleet {
    /// `None`, after reporting it, if there is no broker.
    pub fn open() -> Option<Self> {
        let kafka = Kafka::open()?;
        let (lines, folder) = (Lines::start(), tempfile::tempdir().unwrap());
        Some(Self { kafka, lines, folder, name: "gst-trt".into(), hosts: BTreeMap::new() })
    }

    /// The next one on the same broker.
    pub fn next(&mut self, name: &str) {
        self.end();
        self.lines = Lines::start();
        self.name = name.to_owned();
    }

    pub fn address(&self) -> String {
        format!("kafka://{}/{}", self.kafka.brokers(), self.name)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The topic with this ending.
    pub fn topic(&self, ending: &str) -> String {
        format!("{}.{ending}", self.name)
    }

    /// A configuration with small test pictures, and a small model.
    pub fn config(&self, cameras: usize) -> Value {
        let camera = |n| json!({ "NAME": format!("c{n}"), "URL": "test:ball", "WIDTH": 32, "HEIGHT": 32, "FPS": 5 });
        json!({
            "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "THREAD_PRIORITY": "LOW" },
            "models": { "DETECTION": { "ONNX": find::test_model("yolo") }, "POSE": { "ENABLED": false } },
            "cameras": { "RTSP_STREAMS": (0..cameras).map(camera).collect::<Vec<_>>() },
            "outputs": { "JSON_LINES": format!("tcp://127.0.0.1:{}", self.lines.port) }
        })
    }

    /// Runs `gst-trt fleet` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(find::gst_trt());
        command.arg("fleet").args(arguments).args(["--brokers", &self.address()]);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Writes a configuration, and returns what was said.
    #[track_caller]
    pub fn apply(&self, config: &Value, more: &[&str]) -> String {
        let file = self.path("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut arguments = vec!["apply", "--config", file.to_str().unwrap()];
        arguments.extend(more);
        let output = self.command(&arguments);
        let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{errors}");
        said
    }

    pub fn status(&self) -> Value {
        let output = self.command(&["status", "--json"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn start(&mut self, name: &str, more: &[&str]) {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(find::gst_trt());
        command.args(["run", "--fleet", &self.address(), "--host-name", name]).args(more);
        command.args(["--metrics", &format!("127.0.0.1:{metrics}")]).current_dir(&folder);
        command.env("XDG_RUNTIME_DIR", &folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let (errors, lines) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line));
        });
        self.hosts.insert(name.to_owned(), Process { child, said, metrics });
    }

    pub fn signal(&self, name: &str, signal: &str) {
        let id = self.hosts[name].child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    pub fn kill(&mut self, name: &str) {
        let mut process = self.hosts.remove(name).unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// SIGTERM, and the end in order.
    #[track_caller]
    pub fn stop(&mut self, name: &str) {
        self.signal(name, "TERM");
        let mut process = self.hosts.remove(name).unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > 30 * SECOND {
                let _ = process.child.kill();
                panic!("{name} doesn't end: {:#?}", process.said.lock().unwrap());
            }
            std::thread::sleep(SECOND / 50);
        };
        assert!(status.success(), "{name}: {status}: {:#?}", process.said.lock().unwrap());
    }

    pub fn said(&self, name: &str) -> Vec<String> {
        self.hosts[name].said.lock().unwrap().clone()
    }

    /// What the host answers at a path of its metrics' address.
    pub fn get(&self, name: &str, path: &str) -> String {
        use std::io::{Read, Write};
        let address = ("127.0.0.1", self.hosts[name].metrics);
        let Ok(mut stream) = std::net::TcpStream::connect(address) else { return String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        answer
    }

    /// Waits until each of the cameras `c0…` has been published by one host for a second, and returns that of each. What was
    /// published before the call doesn't count.
    #[track_caller]
    pub fn wait_for_all(&self, cameras: usize, limit: Duration) -> BTreeMap<String, String> {
        let start = Instant::now();
        loop {
            let publishers = self.lines.publishers(start.max(Instant::now() - SECOND));
            if start.elapsed() >= SECOND
                && publishers.len() == cameras
                && publishers.values().all(|hosts| hosts.len() == 1)
            {
                return publishers.into_iter().map(|(c, hosts)| (c, hosts.into_iter().next().unwrap())).collect();
            }
            assert!(start.elapsed() < limit, "after {limit:?}: {publishers:?}\n{}", self.describe());
            std::thread::sleep(SECOND / 20);
        }
    }

    #[track_caller]
    pub fn wait_for_line(&self, host: &str, text: &str) {
        let start = Instant::now();
        while !self.said(host).iter().any(|line| line.contains(text)) {
            assert!(start.elapsed() < 60 * SECOND, "{host} doesn't say {text:?}: {:#?}", self.said(host));
            std::thread::sleep(SECOND / 50);
        }
    }

    pub fn describe(&self) -> String {
        self.hosts.iter().map(|(name, process)| format!("{name}: {:#?}\n", process.said.lock().unwrap())).collect()
    }

    pub fn end(&mut self) {
        for (_, mut process) in std::mem::take(&mut self.hosts) {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end();
    }
}

/// How many cameras each host has.
pub fn counts(owners: &BTreeMap<String, String>) -> Vec<usize> {
    let mut counts = BTreeMap::<&str, usize>::new();
    owners.values().for_each(|host| *counts.entry(host).or_default() += 1);
    counts.into_values().collect()
}
