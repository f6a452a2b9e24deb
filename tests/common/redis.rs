//! A real Redis server on loopback, with its own port and settings.

use super::find;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of a server that requires one.
pub const PASSWORD: &str = "s3cr3t-w0rd";

/// A server process that keeps its data over a restart; it ends on drop.
pub struct Redis {
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
    more: Vec<String>,
}

impl Redis {
    /// Accepts every client; `None`, after reporting it, if Redis isn't installed.
    pub fn open() -> Option<Self> {
        Self::with(&[])
    }

    /// Accepts clients with [`PASSWORD`] only.
    pub fn with_password() -> Option<Self> {
        Self::with(&["--requirepass", PASSWORD])
    }

    /// With these options, `--KEY VALUE`.
    pub fn with(more: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            find::skip("Redis", "apt install redis-server");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let more = more.iter().map(|&option| option.to_owned()).collect();
        let mut this = Self { folder: TempDir::new().unwrap(), port, child: None, more };
        this.start();
        Some(this)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Waits until it answers.
    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]);
        command.arg("--dir").arg(self.folder.path()).args(&self.more);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(20), "{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it after it has saved its data.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            child.wait().unwrap();
        }
    }

    /// What `redis-cli` prints for this command, without the last newline.
    pub fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        if self.more.iter().any(|option| option == "--requirepass") {
            command.env("REDISCLI_AUTH", PASSWORD);
        }
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
