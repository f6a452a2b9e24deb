//! An operator's view: a folder with a config.json, and the process that runs it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A folder with a config.json, and the process that runs it.
pub struct Operator {
    folder: tempfile::TempDir,
    process: Option<Run>,
}

struct Run {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<Vec<u8>>>,
}

impl Operator {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), process: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the file as editors do, with a new file.
    pub fn write(&self, config: &Value) {
        let next = self.path("config.json.new");
        std::fs::write(&next, serde_json::to_string_pretty(config).unwrap()).unwrap();
        std::fs::rename(next, self.path("config.json")).unwrap();
    }

    pub fn run(&mut self, more: &[&str]) {
        self.run_in(more, |_| ());
    }

    /// Starts it with additional environment variables.
    pub fn run_in(&mut self, more: &[&str], environment: impl FnOnce(&mut Command)) {
        let mut command = Command::new(super::find::gst_trt());
        command.arg("run").arg("--config").arg(self.path("config.json")).args(more);
        // `gst-trt monitor` looks only here.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        environment(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let stdout = Arc::<Mutex<Vec<u8>>>::default();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let mut output = child.stdout.take().unwrap();
        let readers = vec![
            std::thread::spawn({
                let said = said.clone();
                move || errors.lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line))
            }),
            std::thread::spawn({
                let stdout = stdout.clone();
                move || {
                    let mut part = [0; 4096];
                    while let Ok(read @ 1..) = output.read(&mut part) {
                        stdout.lock().unwrap().extend_from_slice(&part[..read]);
                    }
                }
            }),
        ];
        self.process = Some(Run { child, said, readers, stdout });
    }

    /// The stdout output so far.
    /// The whole lines on stdout so far.
    pub fn stdout(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.process.as_ref().unwrap().stdout.lock().unwrap()).into_owned();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    pub fn said(&self) -> Vec<String> {
        self.process.as_ref().unwrap().said.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < 60 * SECOND, "no {what}: {:#?}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn wait_for_line(&self, text: &str) {
        self.wait_for(text, || self.said().iter().any(|line| line.contains(text)));
    }

    /// The complete JSON lines of a camera so far.
    pub fn lines(&self, camera: &str) -> usize {
        let text = std::fs::read_to_string(self.path(&format!("{camera}.jsonl"))).unwrap_or_default();
        text.matches('\n').count()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().child.id()
    }

    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the end: returns its status, the messages and the stdout output.
    pub fn end(&mut self) -> (ExitStatus, Vec<String>, String) {
        let mut process = self.process.take().unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > 20 * SECOND {
                let _ = process.child.kill();
                panic!("doesn't end: {:#?}", process.said.lock().unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        process.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let said = process.said.lock().unwrap().clone();
        let stdout = String::from_utf8(process.stdout.lock().unwrap().clone()).unwrap();
        (status, said, stdout)
    }

    /// Sends SIGTERM and checks the exit.
    #[track_caller]
    pub fn stop(&mut self) -> String {
        let start = Instant::now();
        self.signal("TERM");
        let (status, said, stdout) = self.end();
        assert!(status.success(), "{status}: {said:#?}");
        assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
        stdout
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
