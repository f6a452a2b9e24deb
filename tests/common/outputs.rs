//! Readers of a camera's outputs that a test can make fail, and the lines they received.

use super::supervised::Supervised;
use gst::prelude::*;
use gsttensorrt::config::{Overrides, load_text};
use gsttensorrt::run::{self, CameraSetup, ElementOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TICK: Duration = Duration::from_millis(5);

/// Cameras with test patterns and these outputs each, as `gst-trt run` sets them up, without models. `{camera}` in the
/// outputs stands for the camera's name.
pub fn cameras(names: &[&str], outputs: impl Fn(&str) -> Value) -> Vec<CameraSetup> {
    let streams: Vec<_> = names
        .iter()
        .map(|name| {
            json!({ "NAME": name, "URL": "test:ball", "WIDTH": 64, "HEIGHT": 48, "FPS": 25, "OUTPUTS": outputs(name) })
        })
        .collect();
    let config = json!({
        "processing": {
            "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true
        },
        "models": { "DETECTION": { "ONNX": super::find::test_model("yolo").to_str().unwrap() }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": streams }
    });
    let loaded = load_text(Path::new("config.json"), &config.to_string(), &Overrides::default());
    let plan = loaded.unwrap_or_else(|findings| panic!("{findings}")).plan;
    let mut cameras = run::cameras(&plan, |_| None).unwrap();
    for camera in &mut cameras {
        camera.elements.retain(|element| matches!(element.options, ElementOptions::Publish(_)));
    }
    cameras
}

/// Frame numbers of complete lines.
pub fn numbers(text: &str) -> Vec<u64> {
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.len() > 1);
    lines.map(number).collect()
}

pub fn number(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    line["frame"].as_u64().unwrap()
}

/// An output's element, which is kept after its pipeline has stopped.
pub struct Element(pub gst::Element);

impl Element {
    pub fn of(cameras: &Supervised, camera: &str, name: &str) -> Self {
        Self(cameras.pipeline(camera).unwrap().by_name(name).unwrap())
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.0.property::<gst::Structure>("stats").get(name).unwrap()
    }
}

/// A reader that can fail in one of several ways.
pub trait Reader {
    /// Number of connections so far.
    fn connections(&self) -> usize {
        0
    }
    /// Its ways of failing.
    fn ways(&self) -> usize;
    fn fail(&mut self, way: usize);
    fn mend(&mut self);
    /// The frames whose lines it received, in order of arrival; ends it.
    fn end(self: Box<Self>) -> Vec<u64>;
}

/// A file in its own folder.
pub struct FileReader {
    folder: TempDir,
    place: PathBuf,
    moved: usize,
    full: bool,
}

impl FileReader {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("place");
        std::fs::create_dir(&place).unwrap();
        Self { folder, place, moved: 0, full: false }
    }

    pub fn path(&self) -> PathBuf {
        self.place.join("lines.jsonl")
    }

    fn next(&mut self) -> PathBuf {
        self.moved += 1;
        self.folder.path().join(format!("{:04}", self.moved))
    }
}

impl Reader for FileReader {
    fn ways(&self) -> usize {
        3
    }

    fn fail(&mut self, way: usize) {
        match way {
            // A full disk.
            0 => {
                let next = self.next();
                // It may not have been created again since the last failure.
                let _ = std::fs::hard_link(self.path(), next);
                let full = self.folder.path().join("full");
                std::os::unix::fs::symlink("/dev/full", &full).unwrap();
                std::fs::rename(full, self.path()).unwrap();
                self.full = true;
            }
            // The folder was deleted.
            1 => std::fs::rename(self.place.clone(), self.next()).unwrap(),
            // Log rotation, which is no failure.
            _ => {
                let next = self.next();
                let _ = std::fs::rename(self.path(), next);
            }
        }
    }

    fn mend(&mut self) {
        if std::mem::take(&mut self.full) {
            std::fs::remove_file(self.path()).unwrap();
        }
        let _ = std::fs::create_dir(&self.place);
    }

    fn end(self: Box<Self>) -> Vec<u64> {
        let mut paths: Vec<_> = (1..=self.moved).map(|n| self.folder.path().join(format!("{n:04}"))).collect();
        paths.push(self.place.clone());
        let text = |path: &PathBuf| {
            let path = if path.is_dir() { path.join("lines.jsonl") } else { path.clone() };
            numbers(&std::fs::read_to_string(path).unwrap_or_default())
        };
        paths.iter().flat_map(text).collect()
    }
}

/// A thread that reads, and the settings that control it.
struct Thread {
    lines: Arc<Mutex<Vec<u64>>>,
    order: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

const READ: usize = 0;
const SLOWLY: usize = 1;
const END: usize = usize::MAX;

impl Thread {
    fn start(main: impl FnOnce(&Mutex<Vec<u64>>, &AtomicUsize) + Send + 'static) -> Self {
        let (lines, order) = (Arc::<Mutex<Vec<u64>>>::default(), Arc::<AtomicUsize>::default());
        let (of_thread, ordered) = (lines.clone(), order.clone());
        let thread = std::thread::spawn(move || main(&of_thread, &ordered));
        Self { lines, order, thread }
    }

    fn order(&self, order: usize) {
        self.order.store(order, Ordering::SeqCst);
    }

    fn end(self) -> Vec<u64> {
        self.order(END);
        self.thread.join().unwrap();
        Arc::into_inner(self.lines).unwrap().into_inner().unwrap()
    }
}

/// Reads a named pipe.
pub struct PipeReader {
    path: PathBuf,
    _folder: TempDir,
    thread: Thread,
}

impl PipeReader {
    const GONE: usize = 2;

    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("lines.pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let of_thread = path.clone();
        let open = move || {
            use nix::fcntl::{FcntlArg, OFlag, fcntl};
            let pipe = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&of_thread)?;
            // A pause, so that a slow reader has an effect.
            fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096))?;
            Ok(pipe)
        };
        let first: File = io::Result::unwrap(open());
        let thread = Thread::start(move |lines, order| read_pipe(first, open, lines, order));
        Self { path, _folder: folder, thread }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_pipe(first: File, open: impl Fn() -> io::Result<File>, lines: &Mutex<Vec<u64>>, order: &AtomicUsize) {
    let (mut pipe, mut text) = (Some(first), Vec::new());
    loop {
        let ordered = order.load(Ordering::SeqCst);
        if ordered == PipeReader::GONE {
            pipe = None;
            std::thread::sleep(TICK);
            continue;
        }
        let pipe = pipe.get_or_insert_with(|| open().unwrap());
        let mut part = [0; 4096];
        let room = if ordered == SLOWLY { &mut part[..64] } else { &mut part[..] };
        match pipe.read(room) {
            Ok(read @ 1..) => {
                text.extend_from_slice(&room[..read]);
                if ordered == SLOWLY {
                    std::thread::sleep(8 * TICK);
                }
            }
            // There is nothing to read, or no writer.
            _ if ordered == END => break,
            _ => std::thread::sleep(TICK),
        }
    }
    *lines.lock().unwrap() = numbers(std::str::from_utf8(&text).unwrap());
}

impl Reader for PipeReader {
    fn ways(&self) -> usize {
        2
    }

    fn fail(&mut self, way: usize) {
        self.thread.order(if way == 0 { Self::GONE } else { SLOWLY });
    }

    fn mend(&mut self) {
        self.thread.order(READ);
    }

    fn end(self: Box<Self>) -> Vec<u64> {
        self.thread.end()
    }
}

/// A TCP server.
pub struct TcpReader {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    thread: Thread,
}

impl TcpReader {
    const GONE: usize = 2;
    /// Accepts connections, and closes them at once.
    const CLOSES: usize = 3;

    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::<AtomicUsize>::default();
        let count = connections.clone();
        let thread = Thread::start(move |lines, order| read_tcp(listener, lines, order, &count));
        Self { port, connections, thread }
    }
}

fn read_tcp(listener: TcpListener, lines: &Mutex<Vec<u64>>, order: &AtomicUsize, connections: &AtomicUsize) {
    let address = listener.local_addr().unwrap();
    let (mut listener, mut reader): (_, Option<BufReader<TcpStream>>) = (Some(listener), None);
    let mut line = String::new();
    loop {
        let ordered = order.load(Ordering::SeqCst);
        let stays = matches!(ordered, READ | SLOWLY);
        if ordered == TcpReader::GONE {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).unwrap());
        }
        let Some(stream) = &mut reader else {
            if ordered == END {
                return;
            }
            if let Some(listener) = &listener {
                listener.set_nonblocking(true).unwrap();
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(TICK)).unwrap();
                    connections.fetch_add(1, Ordering::SeqCst);
                    reader = Some(BufReader::new(stream));
                    continue;
                }
            }
            std::thread::sleep(TICK);
            continue;
        };
        if !stays {
            // In order: data in flight is read to its end.
            let _ = stream.get_ref().shutdown(Shutdown::Write);
        }
        match stream.read_line(&mut line) {
            Ok(0) => reader = None,
            Ok(_) => {
                lines.lock().unwrap().push(number(&line));
                line.clear();
                if ordered == SLOWLY {
                    std::thread::sleep(12 * TICK);
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => reader = None,
        }
    }
}

impl Reader for TcpReader {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn ways(&self) -> usize {
        3
    }

    fn fail(&mut self, way: usize) {
        self.thread.order([Self::GONE, SLOWLY, Self::CLOSES][way]);
    }

    fn mend(&mut self) {
        self.thread.order(READ);
    }

    fn end(self: Box<Self>) -> Vec<u64> {
        self.thread.end()
    }
}

/// An MQTT 3.1.1 broker whose answers the test controls; messages under `status/#` don't count.
pub struct Broker {
    pub port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The broker's reaction to a message, from its topic and packet size.
type Rule = dyn Fn(&str, usize) -> Answer + Send + Sync;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Accepts it, and confirms.
    Take,
    /// Closes the connection.
    Close,
}

struct Shared {
    /// The return code of CONNACK; `None`: nothing listens.
    accepts: Mutex<Option<u8>>,
    /// Delay before each confirmation.
    delay: Mutex<Duration>,
    rule: Mutex<Arc<Rule>>,
    /// Topics and payloads of accepted messages.
    taken: Mutex<Vec<(String, String)>>,
    connections: AtomicUsize,
    /// Connections with an older number are closed.
    hang_up: AtomicUsize,
    end: AtomicBool,
}

impl Broker {
    pub fn new() -> Self {
        Self::with(|_, _| Answer::Take)
    }

    pub fn with(rule: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            accepts: Mutex::new(Some(0)),
            delay: Mutex::default(),
            rule: Mutex::new(Arc::new(rule)),
            taken: Mutex::default(),
            connections: AtomicUsize::new(0),
            hang_up: AtomicUsize::new(0),
            end: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || of_thread.listen(listener));
        Self { port, shared, thread: Some(thread) }
    }

    /// Answers CONNECT with this return code.
    pub fn refusing(code: u8) -> Self {
        let this = Self::new();
        *this.shared.accepts.lock().unwrap() = Some(code);
        this
    }

    /// Accepts every client from now on.
    pub fn accept(&self) {
        *self.shared.accepts.lock().unwrap() = Some(0);
    }

    /// True: nothing listens and connections are closed; false: everything works again.
    pub fn away(&self, away: bool) {
        *self.shared.accepts.lock().unwrap() = (!away).then_some(0);
    }

    pub fn set_rule(&self, rule: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Arc::new(rule);
    }

    pub fn hang_up(&self) {
        self.shared.hang_up.fetch_add(1, Ordering::SeqCst);
    }

    /// The accepted frames of a topic, each once, in order of first arrival.
    pub fn frames(&self, topic: &str) -> Vec<u64> {
        let taken = self.shared.taken.lock().unwrap();
        let mut seen = std::collections::HashSet::new();
        let of = taken.iter().filter(|(of, _)| of == topic).map(|(_, line)| number(line));
        of.filter(|number| seen.insert(*number)).collect()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: TcpListener) {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        let mut threads = Vec::new();
        while !self.end.load(Ordering::SeqCst) {
            match (*self.accepts.lock().unwrap(), &listener) {
                (None, _) => listener = None,
                (Some(_), None) => listener = Some(TcpListener::bind(address).unwrap()),
                _ => {}
            }
            if let Some(listener) = &listener {
                listener.set_nonblocking(true).unwrap();
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(TICK)).unwrap();
                    self.connections.fetch_add(1, Ordering::SeqCst);
                    let this = self.clone();
                    threads.push(std::thread::spawn(move || drop(this.serve(stream))));
                    continue;
                }
            }
            std::thread::sleep(TICK);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// Serves one client until the client or the test ends the connection.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let hang_up = self.hang_up.load(Ordering::SeqCst);
        let mut greeted = false;
        loop {
            let goes_on = || {
                let stays = *self.accepts.lock().unwrap() == Some(0) && self.hang_up.load(Ordering::SeqCst) == hang_up;
                (stays || !greeted) && !self.end.load(Ordering::SeqCst)
            };
            let (first, rest, size) = packet(&mut stream, &goes_on)?;
            match first >> 4 {
                1 => {
                    let code = self.accepts.lock().unwrap().unwrap_or(3);
                    stream.write_all(&[0x20, 2, 0, code])?;
                    if code != 0 {
                        return Ok(());
                    }
                    greeted = true;
                }
                3 => {
                    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    let topic = String::from_utf8(rest[2..2 + length].to_vec()).unwrap();
                    let qos = first >> 1 & 3;
                    let payload = &rest[2 + length + if qos > 0 { 2 } else { 0 }..];
                    if !topic.starts_with("status/") {
                        let rule = self.rule.lock().unwrap().clone();
                        if rule(&topic, size) == Answer::Close {
                            return Ok(());
                        }
                        let delay = *self.delay.lock().unwrap();
                        std::thread::sleep(delay);
                        let payload = String::from_utf8(payload.to_vec()).unwrap();
                        self.taken.lock().unwrap().push((topic, payload));
                    }
                    match qos {
                        1 => stream.write_all(&[0x40, 2, rest[2 + length], rest[3 + length]])?,
                        2 => stream.write_all(&[0x50, 2, rest[2 + length], rest[3 + length]])?,
                        _ => {}
                    }
                }
                6 => stream.write_all(&[0x70, 2, rest[0], rest[1]])?,
                12 => stream.write_all(&[0xd0, 0])?,
                _ => return Ok(()),
            }
        }
    }
}

/// The first byte, the data after the length, and the total size (MQTT 3.1.1, 2.2).
fn packet(stream: &mut TcpStream, goes_on: &impl Fn() -> bool) -> io::Result<(u8, Vec<u8>, usize)> {
    let mut read = |mut room: &mut [u8]| -> io::Result<()> {
        while !room.is_empty() {
            if !goes_on() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match stream.read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => room = &mut room[read..],
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    let mut byte = [0];
    read(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        read(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut rest = vec![0; length];
    read(&mut rest)?;
    Ok((first, rest, 1 + shift / 7 + length))
}

/// A broker as a camera's output.
pub struct MqttReader {
    pub broker: Broker,
    pub topic: String,
    /// It closes the connection on any message.
    pub closes: bool,
}

impl Reader for MqttReader {
    fn connections(&self) -> usize {
        self.broker.connections()
    }

    fn ways(&self) -> usize {
        4
    }

    fn fail(&mut self, way: usize) {
        let shared = &self.broker.shared;
        match way {
            0 => *shared.accepts.lock().unwrap() = None,
            1 => {
                // It refuses the account.
                *shared.accepts.lock().unwrap() = Some(5);
                self.broker.hang_up();
            }
            2 => *shared.delay.lock().unwrap() = 12 * TICK,
            _ => {
                self.broker.set_rule(|_, _| Answer::Close);
                self.closes = true;
            }
        }
    }

    fn mend(&mut self) {
        self.broker.set_rule(|_, _| Answer::Take);
        if std::mem::take(&mut self.closes) {
            // Changed settings make it another broker, which is unavailable until the camera notices.
            *self.broker.shared.accepts.lock().unwrap() = None;
            self.broker.hang_up();
            std::thread::sleep(Duration::from_secs(3));
        }
        *self.broker.shared.accepts.lock().unwrap() = Some(0);
        *self.broker.shared.delay.lock().unwrap() = Duration::ZERO;
    }

    fn end(self: Box<Self>) -> Vec<u64> {
        self.broker.frames(&self.topic)
    }
}

/// A folder of pictures.
pub struct PictureReader {
    folder: TempDir,
    camera: String,
}

impl PictureReader {
    pub fn new(camera: &str) -> Self {
        let this = Self { folder: TempDir::new().unwrap(), camera: camera.to_owned() };
        std::fs::create_dir(this.path()).unwrap();
        this
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("pictures")
    }

    /// True if a picture is written within some seconds.
    pub fn goes_on(&self) -> bool {
        let path = self.path().join(format!("{}.jpg", self.camera));
        let start = Instant::now();
        let _ = std::fs::remove_file(&path);
        while !path.exists() {
            if start.elapsed() > Duration::from_secs(20) {
                return false;
            }
            std::thread::sleep(TICK);
        }
        true
    }
}

impl Reader for PictureReader {
    fn ways(&self) -> usize {
        1
    }

    fn fail(&mut self, _: usize) {
        // A file in place of the folder, which not even root can write into.
        let aside = self.folder.path().join("aside");
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::rename(self.path(), aside).unwrap();
        File::create(self.path()).unwrap();
    }

    fn mend(&mut self) {
        std::fs::remove_file(self.path()).unwrap();
        std::fs::create_dir_all(self.path().join(&self.camera)).unwrap();
    }

    fn end(self: Box<Self>) -> Vec<u64> {
        Vec::new()
    }
}

const NAMES: [&str; 4] = ["door", "yard", "gate", "hall"];
/// Names of the elements whose readers fail; pictures have no element.
const ELEMENTS: [&str; 4] = ["lines-1", "lines-2", "lines-3", "mqtt"];

/// One camera's readers.
struct Outputs {
    readers: Vec<Box<dyn Reader>>,
    pictures: PictureReader,
    /// The readers that have failed.
    touched: [bool; 4],
    elements: Vec<Element>,
}

/// Four cameras with five outputs each, of which random ones fail one after the other. The others receive every line, in
/// order; lines that the failed ones lose are counted, and no reader is connected to more than once per second.
pub fn run_with_failures(seed: u64, steps: usize, pause: Duration) {
    super::running::start();
    let mut random = Random(seed);
    let mut all: BTreeMap<&str, Outputs> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for name in NAMES {
        let (file, pipe, tcp) = (FileReader::new(), PipeReader::new(), TcpReader::new());
        let mqtt = MqttReader { broker: Broker::new(), topic: format!("objects/{name}"), closes: false };
        let pictures = PictureReader::new(name);
        let outputs = json!({
            "JSON_LINES": [file.path(), pipe.path(), format!("tcp://127.0.0.1:{}", tcp.port)],
            "MQTT": { "URL": format!("mqtt://127.0.0.1:{}", mqtt.broker.port), "TOPIC": mqtt.topic,
                      "STATUS_TOPIC": "status/all", "OFFLINE_QUEUE": 40 },
            "PICTURES": { "FOLDER": pictures.path(), "INTERVAL_S": 0.2 }
        });
        places.insert(name, outputs);
        let readers: Vec<Box<dyn Reader>> = vec![Box::new(file), Box::new(pipe), Box::new(tcp), Box::new(mqtt)];
        all.insert(name, Outputs { readers, pictures, touched: [false; 4], elements: Vec::new() });
    }
    let mut setups = cameras(&NAMES, |name| places[name].clone());
    for element in setups.iter_mut().flat_map(|setup| &mut setup.elements) {
        if let ElementOptions::Publish(options) = &mut element.options {
            // Short queues, so that a failure of one or two seconds loses lines.
            options.max_queue = 40;
        }
    }
    let start = Instant::now();
    let running = Supervised::start(setups);
    for (name, outputs) in &mut all {
        running.wait_for_pictures(name, 10, Duration::from_secs(30));
        outputs.elements = ELEMENTS.map(|element| Element::of(&running, name, element)).into();
    }
    for step in 0..steps {
        let name = NAMES[random.below(NAMES.len())];
        let outputs = all.get_mut(name).unwrap();
        let which = random.below(5);
        if let Some(reader) = outputs.readers.get_mut(which) {
            let way = random.below(reader.ways());
            eprintln!("{:?} step {step}: output {which} of {name} fails in way {way}", start.elapsed());
            outputs.touched[which] = true;
            reader.fail(way);
            std::thread::sleep(pause);
            reader.mend();
        } else {
            eprintln!("{:?} step {step}: the pictures of {name} can't be written", start.elapsed());
            outputs.pictures.fail(0);
            std::thread::sleep(pause);
            outputs.pictures.mend();
        }
        std::thread::sleep(pause / 2);
    }
    // Unavailable readers are retried within 10 s.
    running.wait_for("all lines in time", Duration::from_secs(60), || {
        let before: Vec<u64> = all.values().flat_map(|o| o.elements.iter().map(|e| e.stat("lines"))).collect();
        std::thread::sleep(Duration::from_secs(1));
        let after = all.values().flat_map(|o| o.elements.iter().map(|e| e.stat("lines")));
        before.iter().zip(after).all(|(before, after)| after > *before)
    });
    for (name, outputs) in &all {
        assert!(outputs.pictures.goes_on(), "{name} has no picture any more: {:#?}", running.lines());
    }
    for camera in running.cameras() {
        assert_eq!(camera.reconnects, 0, "{camera:?}: {:#?}", running.lines());
    }
    let (arrivals, said) = (running.arrivals_handle(), running.lines());
    assert_eq!(running.stop(), run::Outcome::Stopped);
    let seconds = start.elapsed().as_secs() as usize + 1;
    assert!(!said.iter().any(|line| line.contains("lost")), "{said:#?}");
    for (name, outputs) in all {
        let made = arrivals.lock().unwrap()[name].len() as u64;
        for ((which, reader), element) in outputs.readers.into_iter().enumerate().zip(&outputs.elements) {
            let of = format!("output {which} of {name}");
            assert!(reader.connections() <= seconds, "{of}: {} connections in {seconds} s", reader.connections());
            let (lines, dropped, got) = (element.stat("lines"), element.stat("dropped"), reader.end());
            assert!(got.is_sorted_by(|a, b| a < b), "{of}: {got:?}");
            assert_eq!((got.len() as u64, lines + dropped), (lines, made), "{of}: {dropped} dropped; {said:#?}");
            if !outputs.touched[which] {
                assert_eq!(got, (0..made).collect::<Vec<_>>(), "{of}");
            }
            eprintln!("{of}: {made} made, {lines} got, {dropped} dropped");
        }
    }
}

/// Random numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
