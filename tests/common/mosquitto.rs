//! A real MQTT broker on loopback, with its own port and settings, and a subscriber.

use super::find;
use super::tls::make_certificates;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A mosquitto process with its own configuration; it ends on drop.
pub struct Mosquitto {
    folder: TempDir,
    program: PathBuf,
    pub port: u16,
    child: Option<Child>,
    tls: bool,
    password: bool,
    /// Additional lines of its configuration.
    more: &'static str,
}

/// The account of a broker that requires one.
pub const USER: &str = "camera";
pub const PASSWORD: &str = "s3cr3t-w0rd";

impl Mosquitto {
    /// Accepts every client; `None`, after reporting it, if mosquitto isn't installed.
    pub fn open() -> Option<Self> {
        Self::new(false, false, "")
    }

    /// Accepts [`USER`] only.
    pub fn with_password() -> Option<Self> {
        Self::new(false, true, "")
    }

    /// Uses TLS as `localhost`, with a certificate of its own authority.
    pub fn with_tls() -> Option<Self> {
        Self::new(true, false, "")
    }

    /// Accepts every client, with these lines in its configuration.
    pub fn with(more: &'static str) -> Option<Self> {
        Self::new(false, false, more)
    }

    fn new(tls: bool, password: bool, more: &'static str) -> Option<Self> {
        let places = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];
        let Some(program) = places.iter().map(PathBuf::from).find(|path| path.exists()) else {
            find::skip("mosquitto", "apt install mosquitto mosquitto-clients");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut this = Self { folder: TempDir::new().unwrap(), program, port, child: None, tls, password, more };
        this.configure();
        this.start();
        Some(this)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn configure(&self) {
        let path = |file| self.path(file).display().to_string();
        // As root it would become the user mosquitto, who can't read the folder. Queued messages survive a restart.
        let mut config = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous {}\npersistence true\npersistence_location {}/\n",
            self.port,
            !self.password,
            self.folder.path().display()
        );
        writeln!(config, "{}", self.more).unwrap();
        if self.password {
            let made = Command::new("mosquitto_passwd").args(["-c", "-b", &path("accounts"), USER, PASSWORD]).output();
            assert!(made.unwrap().status.success());
            writeln!(config, "password_file {}", path("accounts")).unwrap();
        }
        if self.tls {
            make_certificates(self.folder.path());
            for (key, file) in [("cafile", "ca.pem"), ("certfile", "broker.pem"), ("keyfile", "broker.key")] {
                writeln!(config, "{key} {}", path(file)).unwrap();
            }
        }
        std::fs::write(self.path("mosquitto.conf"), config).unwrap();
    }

    /// Waits until it answers.
    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(self.path("mosquitto.conf"))
            .arg("-v")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        self.child = Some(command.stderr(log).spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it after it has saved its state.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Received messages as `topic payload`. The broker keeps them for this subscriber while either is disconnected.
    pub fn subscribe(&self, topic: &str) -> Subscriber {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-p", &self.port.to_string(), "-t", topic, "-q", "1", "-v", "-c", "-i", "subscriber"]);
        if self.password {
            command.args(["-u", USER, "-P", PASSWORD]);
        }
        if self.tls {
            command.args(["-h", "localhost", "--cafile"]).arg(self.path("ca.pem"));
        } else {
            command.args(["-h", "127.0.0.1"]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, messages) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let start = Instant::now();
        while !self.log().contains("Sending SUBACK to subscriber") {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Subscriber { child, messages }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Subscriber {
    child: Child,
    messages: mpsc::Receiver<String>,
}

impl Subscriber {
    /// The next message: topic and payload.
    #[track_caller]
    pub fn next(&self) -> (String, String) {
        let line = self.messages.recv_timeout(Duration::from_secs(20)).expect("nothing comes");
        let (topic, payload) = line.split_once(' ').unwrap();
        (topic.to_owned(), payload.to_owned())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
