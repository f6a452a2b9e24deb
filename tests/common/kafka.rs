//! A real Kafka broker on loopback, with its own ports and settings, and a reader of its topics.

use super::find;
use super::tls::make_certificates;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The account of the listener that requires one.
pub const USER: &str = "camera";
pub const PASSWORD: &str = "s3cr3t-w0rd";

/// A broker process that is its own controller; it ends on drop.
pub struct Kafka {
    folder: TempDir,
    libraries: PathBuf,
    /// The port of the listener that accepts every client.
    pub port: u16,
    /// The port of the listener with TLS (as `localhost`, with a certificate of `ca.pem`) and SASL ([`USER`]), if there is one.
    pub secure_port: Option<u16>,
    child: Option<Child>,
}

impl Kafka {
    /// How long the broker may take to answer.
    const START: Duration = Duration::from_secs(120);

    /// Accepts every client and creates no topic by itself; `None`, after reporting it, if Kafka isn't installed.
    pub fn open() -> Option<Self> {
        Self::new(false, "")
    }

    /// Like [`open`](Self::open), with these lines in its configuration.
    pub fn with(more: &str) -> Option<Self> {
        Self::new(false, more)
    }

    /// Also has a listener with TLS and SASL (PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512).
    pub fn secure() -> Option<Self> {
        Self::new(true, "")
    }

    fn new(secure: bool, more: &str) -> Option<Self> {
        let Some(libraries) = libraries() else {
            find::skip("Kafka", "cargo xtask setup");
            return None;
        };
        if Command::new("java").arg("--version").output().is_err() {
            find::skip("Java", "apt install default-jre-headless");
            return None;
        }
        // All are held until each has been chosen, so that they differ.
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, controller, secure_port] = listeners.each_ref().map(|l| l.local_addr().unwrap().port());
        drop(listeners);
        let secure_port = secure.then_some(secure_port);
        let mut this = Self { folder: TempDir::new().unwrap(), libraries, port, secure_port, child: None };
        this.configure(controller, more);
        this.start();
        Some(this)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The address for clients of the open listener.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn configure(&self, controller: u16, more: &str) {
        let (port, folder) = (self.port, self.folder.path().display());
        let mut listeners = format!("OPEN://127.0.0.1:{port}");
        let mut config = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=OPEN\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,OPEN:PLAINTEXT,SECURE:SASL_SSL\n\
             log.dirs={folder}/data\nauto.create.topics.enable=false\nnum.partitions=4\n\
             offsets.topic.num.partitions=4\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\nlog.cleaner.dedupe.buffer.size=2097152\nlog.cleaner.threads=1\n"
        );
        if let Some(port) = self.secure_port {
            make_certificates(self.folder.path());
            let read = |file| std::fs::read_to_string(self.path(file)).unwrap();
            std::fs::write(self.path("keystore.pem"), read("broker.key") + &read("broker.pem")).unwrap();
            write!(listeners, ",SECURE://localhost:{port}").unwrap();
            let security = "org.apache.kafka.common.security";
            write!(
                config,
                "ssl.keystore.type=PEM\nssl.keystore.location={folder}/keystore.pem\n\
                 sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
                 listener.name.secure.plain.sasl.jaas.config={security}.plain.PlainLoginModule required \
                 user_{USER}=\"{PASSWORD}\";\n"
            )
            .unwrap();
            for mechanism in ["scram-sha-256", "scram-sha-512"] {
                let key = format!("listener.name.secure.{mechanism}.sasl.jaas.config");
                writeln!(config, "{key}={security}.scram.ScramLoginModule required;").unwrap();
            }
        }
        writeln!(config, "listeners={listeners},CONTROLLER://127.0.0.1:{controller}").unwrap();
        writeln!(config, "advertised.listeners={listeners}\n{more}").unwrap();
        std::fs::write(self.path("server.properties"), config).unwrap();
        let log4j = "appenders=console\nappender.console.type=Console\nappender.console.name=console\n\
                     appender.console.layout.type=PatternLayout\nappender.console.layout.pattern=%d %p %m (%c)%n\n\
                     rootLogger.level=WARN\nrootLogger.appenderRefs=console\nrootLogger.appenderRef.console.ref=console\n";
        std::fs::write(self.path("log4j2.properties"), log4j).unwrap();
        let mut format = self.java("kafka.tools.StorageTool");
        format.args(["format", "--cluster-id", "gst-tensorrt-tests-00", "--config"]);
        format.arg(self.path("server.properties"));
        if self.secure_port.is_some() {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                format.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
            }
        }
        let made = format.output().unwrap();
        let text = String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{text}");
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        // It lives for seconds: fast code isn't worth its compilation.
        java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
        java.arg(format!("-Dlog4j2.configurationFile={}", self.path("log4j2.properties").display()));
        java.arg("-cp").arg(self.libraries.join("*")).arg(class).stdin(Stdio::null());
        java
    }

    /// Waits until it answers.
    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.java("kafka.Kafka");
        command.arg(self.path("server.properties")).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let start = Instant::now();
        let client: BaseConsumer = self.client().set("log_level", "0").create().unwrap();
        while client.fetch_metadata(None, Duration::from_millis(500)).is_err() {
            let ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            assert!(!ended && start.elapsed() < Self::START, "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it as its administrator would: it closes its files and says goodbye.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            let _ = kill(pid(&child), signal);
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if start.elapsed() > Duration::from_secs(30) {
                    child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// It keeps its connections and doesn't answer until [`resume`](Self::resume).
    pub fn pause(&self) {
        kill(pid(self.child.as_ref().unwrap()), Signal::SIGSTOP).unwrap();
    }

    pub fn resume(&self) {
        kill(pid(self.child.as_ref().unwrap()), Signal::SIGCONT).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A client's configuration for the open listener.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }

    /// Creates a topic with additional settings, such as `("cleanup.policy", "compact")`.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin = AdminClient::from_config(&self.client()).unwrap();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = block_on(admin.create_topics([&topic], &AdminOptions::new()));
        for result in made.unwrap() {
            result.unwrap();
        }
    }

    /// Reads `count` records of a topic from its beginning; those of one partition are in their order.
    #[track_caller]
    pub fn read(&self, topic: &str, count: usize) -> Vec<Record> {
        let records = self.read_for(topic, count, Duration::from_secs(60));
        assert_eq!(records.len(), count, "records of {topic}");
        records
    }

    /// Like [`read`](Self::read), but returns what there is after `limit`.
    pub fn read_for(&self, topic: &str, count: usize, limit: Duration) -> Vec<Record> {
        let consumer: BaseConsumer = self.client().set("group.id", "reader").create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (mut records, start) = (Vec::new(), Instant::now());
        while records.len() < count && start.elapsed() < limit {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                records.push(Record::from(&message));
            }
        }
        records
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    /// `None`: a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// The value as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("a tombstone")).unwrap()
    }
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: text(message.key()),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// The newest of the brokers in the cache, where `cargo xtask setup` puts one.
fn libraries() -> Option<PathBuf> {
    let folders = std::fs::read_dir(files::user_folder::cache().join("gst-tensorrt")).ok()?;
    let folders = folders.filter_map(|folder| Some(folder.ok()?.path()));
    folders.filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kafka-4"))).max()
}

/// The client does its work on its own thread and wakes the future.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
