//! Cameras: real RTSP servers on loopback that send a clip of numbered pictures and can be told to misbehave.

use super::barcode::{self, Codec, KEY_DISTANCE, PERIOD};
use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The stream's path on every server.
pub const MOUNT: &str = "/camera";

/// A camera. The server stops on drop.
pub struct Camera {
    codec: Codec,
    port: u16,
    behaviour: Arc<Behaviour>,
    running: Option<(glib::MainLoop, JoinHandle<()>)>,
}

/// The clip that a camera sends repeatedly.
pub struct Sends {
    pub units: Vec<gst::Buffer>,
    /// Time from one access unit to the next.
    pub period: Duration,
    /// Frame rate in the description, or in the coded stream if the description has none.
    pub rate: Option<gst::Fraction>,
    /// Index of the unit after the last.
    pub again: usize,
}

impl Sends {
    /// The clip of numbered pictures at its own rate.
    pub fn clip(codec: Codec) -> Self {
        let units = barcode::clip(codec).units.clone();
        Self { units, period: PERIOD, rate: Some(gst::Fraction::new(25, 1)), again: 0 }
    }
}

struct Behaviour {
    units: Vec<gst::Buffer>,
    again: usize,
    rate: Option<gst::Fraction>,
    period: Mutex<Duration>,
    /// The accepted login; `None`: every login.
    login: Mutex<Option<(String, String)>>,
    /// Sends nothing, but keeps the connection.
    stalled: AtomicBool,
    /// Sends noise instead of pictures.
    noise: AtomicBool,
    /// Time at which each picture was last sent.
    sent: Mutex<HashMap<u64, SystemTime>>,
}

impl Camera {
    /// Starts a camera on a free port.
    pub fn start(codec: Codec) -> Self {
        gst::init().unwrap();
        Self::sending(codec, Sends::clip(codec))
    }

    /// Starts a camera that sends something else.
    pub fn sending(codec: Codec, Sends { units, period, rate, again }: Sends) -> Self {
        let behaviour = Behaviour {
            units,
            again,
            rate,
            period: Mutex::new(period),
            login: Mutex::default(),
            stalled: AtomicBool::new(false),
            noise: AtomicBool::new(false),
            sent: Mutex::default(),
        };
        let mut this = Self { codec, port: 0, behaviour: Arc::new(behaviour), running: None };
        this.restart();
        this
    }

    /// Accepts only this login from the next [`Self::restart`] on.
    pub fn ask_for(&self, user: &str, password: &str) {
        *self.behaviour.login.lock().unwrap() = Some((user.to_owned(), password.to_owned()));
    }

    /// Changes the time from one picture to the next.
    pub fn pace(&self, period: Duration) {
        *self.behaviour.period.lock().unwrap() = period;
    }

    /// Starts again after [`Self::kill`], on the same port.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "kill it first");
        let (port, codec, behaviour) = (self.port, self.codec, self.behaviour.clone());
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let context = glib::MainContext::new();
            context.with_thread_default(|| serve(&context, port, codec, &behaviour, &sender)).unwrap();
        });
        let (main_loop, port) = receiver.recv_timeout(Duration::from_secs(20)).expect("the server starts");
        self.port = port;
        self.running = Some((main_loop, thread));
    }

    /// Closes every connection and the port.
    pub fn kill(&mut self) {
        if let Some((main_loop, thread)) = self.running.take() {
            main_loop.quit();
            thread.join().unwrap();
        }
    }

    pub fn url(&self) -> String {
        self.url_as("")
    }

    /// The URL with `USER:PASSWORD@`.
    pub fn url_as(&self, user: &str) -> String {
        format!("rtsp://{user}127.0.0.1:{}{MOUNT}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops or resumes sending.
    pub fn stall(&self, stalled: bool) {
        self.behaviour.stalled.store(stalled, Ordering::SeqCst);
    }

    /// Sends noise instead of pictures, or pictures again.
    pub fn noise(&self, noise: bool) {
        self.behaviour.noise.store(noise, Ordering::SeqCst);
    }

    /// Time at which this picture was last sent.
    pub fn sent(&self, number: u64) -> Option<SystemTime> {
        self.behaviour.sent.lock().unwrap().get(&number).copied()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(
    context: &glib::MainContext,
    port: u16,
    codec: Codec,
    behaviour: &Arc<Behaviour>,
    started: &mpsc::Sender<(glib::MainLoop, u16)>,
) {
    let server = gst_rtsp_server::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(&port.to_string());
    // Clients are handled on this thread: a separate one could still be reading from them when they are removed.
    server.thread_pool().expect("every server has one").set_max_threads(0);
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_shared(true);
    let name = codec.name();
    let rate = behaviour.rate.map(|rate| format!(",framerate={}/{}", rate.numer(), rate.denom())).unwrap_or_default();
    if let Some((user, password)) = &*behaviour.login.lock().unwrap() {
        use gst_rtsp_server::{RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT};
        let auth = gst_rtsp_server::RTSPAuth::new();
        let role = gst_rtsp_server::RTSP_TOKEN_MEDIA_FACTORY_ROLE;
        let token = gst_rtsp_server::RTSPToken::builder().field(role, "viewer").build();
        auth.add_basic(&gst_rtsp_server::RTSPAuth::make_basic(user, password), &token);
        server.set_auth(Some(&auth));
        let may = gst::Structure::builder("viewer")
            .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true);
        factory.add_role_from_structure(&may.build());
    }
    factory.set_launch(&format!(
        "( appsrc name=source is-live=true format=time do-timestamp=true \
         caps=video/x-{name},stream-format=byte-stream,alignment=au{rate} \
         ! {name}parse ! rtp{name}pay name=pay0 pt=96 config-interval=-1 )"
    ));
    let running = Arc::new(AtomicBool::new(true));
    factory.connect_media_configure({
        let (behaviour, running) = (behaviour.clone(), running.clone());
        move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().unwrap();
            let source = bin.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
            let (behaviour, running) = (behaviour.clone(), running.clone());
            let feeding = AtomicBool::new(false);
            // Not before the server accepts any: frames queued until then would all get the same timestamp.
            let begin = move |source: &gst_app::AppSrc, _| {
                if !feeding.swap(true, Ordering::SeqCst) {
                    let (behaviour, running, source) = (behaviour.clone(), running.clone(), source.downgrade());
                    std::thread::spawn(move || feed(&source, &behaviour, &running));
                }
            };
            source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(begin).build());
        }
    });
    server.mount_points().unwrap().add_factory(MOUNT, factory);
    // The port of a killed server may take a moment to become free.
    let start = Instant::now();
    let id = loop {
        match server.attach(Some(context)) {
            Ok(id) => break id,
            Err(error) if start.elapsed() > Duration::from_secs(10) => panic!("port {port}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let main_loop = glib::MainLoop::new(Some(context), false);
    // From within the loop: a loop that is quit before it runs would run for ever.
    let (start, quits, port) = (started.clone(), main_loop.clone(), server.bound_port() as u16);
    let begun = glib::idle_source_new(None, glib::Priority::DEFAULT, move || {
        start.send((quits.clone(), port)).unwrap();
        glib::ControlFlow::Break
    });
    begun.attach(Some(context));
    main_loop.run();
    running.store(false, Ordering::SeqCst);
    context.find_source_by_id(&id).expect("the server's").destroy();
    server.client_filter(Some(&mut |_: &gst_rtsp_server::RTSPServer, _: &gst_rtsp_server::RTSPClient| {
        gst_rtsp_server::RTSPFilterResult::Remove
    }));
    while context.iteration(false) {}
}

/// Pushes pictures at their times while the media and its server exist.
fn feed(source: &glib::WeakRef<gst_app::AppSrc>, behaviour: &Behaviour, running: &AtomicBool) {
    let units = &behaviour.units;
    let rounds = (0..units.len()).chain((behaviour.again..units.len()).cycle());
    let mut due = Instant::now();
    for (n, number) in (0_u32..).zip(rounds) {
        // In short steps, to end with the server and to follow a change of pace.
        while let left @ 1.. = due.saturating_duration_since(Instant::now()).as_millis() as u64
            && running.load(Ordering::SeqCst)
        {
            std::thread::sleep(Duration::from_millis(left.min(50)));
        }
        due += *behaviour.period.lock().unwrap();
        let Some(source) = source.upgrade().filter(|_| running.load(Ordering::SeqCst)) else { return };
        if behaviour.stalled.load(Ordering::SeqCst) {
            continue;
        }
        let unit = &units[number];
        let mut buffer = if behaviour.noise.load(Ordering::SeqCst) {
            let seed = n.wrapping_mul(2_654_435_761);
            gst::Buffer::from_mut_slice(
                (0..unit.size() as u32).map(|i| (seed ^ i.wrapping_mul(40_503)) as u8).collect::<Vec<u8>>(),
            )
        } else {
            unit.copy()
        };
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(None);
        writable.set_dts(None);
        behaviour.sent.lock().unwrap().insert(number as u64, SystemTime::now());
        if source.push_buffer(buffer).is_err() {
            return;
        }
    }
}

/// A port that answers every connection with noise instead of RTSP.
pub struct Noise {
    port: u16,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Noise {
    pub fn start() -> Self {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let running = Arc::new(AtomicBool::new(true));
        let thread = std::thread::spawn({
            let running = running.clone();
            move || {
                for connection in listener.incoming() {
                    if !running.load(Ordering::SeqCst) {
                        return;
                    }
                    let noise: Vec<u8> = (0_u32..65_536).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
                    // The client may have closed the connection.
                    let _ = connection.and_then(|mut connection| connection.write_all(&noise));
                }
            }
        });
        Self { port, running, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}{MOUNT}", self.port)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.running.store(false, Ordering::SeqCst);
        // Wakes the thread.
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request as a camera receives it.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub authorization: Option<String>,
}

/// A camera that refuses, and records its requests.
pub struct Refusing {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Refusing {
    /// Answers `status` (`401 Unauthorized`) to requests with this method and later ones, with a challenge
    /// (`Basic realm="camera"`) unless it is empty.
    pub fn start(method: &'static str, status: &'static str, challenge: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let running = Arc::new(AtomicBool::new(true));
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let thread = std::thread::spawn({
            let (running, requests) = (running.clone(), requests.clone());
            move || {
                for connection in listener.incoming() {
                    if !running.load(Ordering::SeqCst) {
                        return;
                    }
                    let requests = requests.clone();
                    let Ok(connection) = connection else { continue };
                    // Ends with the connection.
                    std::thread::spawn(move || refuse(connection, (method, status, challenge), &requests));
                }
            }
        });
        Self { port, requests, running, thread: Some(thread) }
    }

    /// The URL with `USER:PASSWORD@`.
    pub fn url_as(&self, user: &str) -> String {
        format!("rtsp://{user}127.0.0.1:{}{MOUNT}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Number of requests with this method.
    pub fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|request| request.line.starts_with(method)).count()
    }

    /// Number of requests with a user and a password.
    pub fn logins(&self) -> usize {
        self.requests().iter().filter(|request| request.authorization.is_some()).count()
    }
}

/// Answers the requests of one connection. An error means that the client has disconnected.
fn refuse(
    connection: std::net::TcpStream,
    (refused, status, challenge): (&str, &str, &str),
    requests: &Mutex<Vec<Request>>,
) -> Option<()> {
    use std::io::{BufRead, BufReader, Write};
    const METHODS: [&str; 4] = ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"];
    const DESCRIPTION: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
                               m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n";
    let place = |method: &str| METHODS.iter().position(|known| *known == method);
    let mut writer = connection.try_clone().ok()?;
    let mut lines = BufReader::new(connection).lines();
    loop {
        let line = lines.next()?.ok()?;
        let mut headers = std::collections::BTreeMap::new();
        loop {
            let header = lines.next()?.ok()?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let method = line.split(' ').next()?.to_owned();
        requests.lock().unwrap().push(Request { line, authorization: headers.get("authorization").cloned() });
        let (mut answer, mut more, mut body) = ("200 OK", String::new(), "");
        match method.as_str() {
            method if place(method).is_some_and(|at| Some(at) >= place(refused)) => {
                answer = status;
                if !challenge.is_empty() {
                    more = format!("WWW-Authenticate: {challenge}\r\n");
                }
            }
            "DESCRIBE" => (more, body) = ("Content-Type: application/sdp\r\n".into(), DESCRIPTION),
            "SETUP" => more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n".into(),
            _ => {}
        }
        let (number, length) = (headers.get("cseq")?, body.len());
        let head = format!("RTSP/1.0 {answer}\r\nCSeq: {number}\r\n{more}Content-Length: {length}\r\n\r\n{body}");
        writer.write_all(head.as_bytes()).ok()?;
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.running.store(false, Ordering::SeqCst);
        // Wakes the thread.
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The last key frame at or before a picture.
pub fn key_frame(number: u64) -> u64 {
    number - number % KEY_DISTANCE
}
