//! Cameras: real RTSP servers on loopback that send a clip of numbered pictures, and can be told to misbehave.

use super::barcode::{self, Codec, KEY_DISTANCE, PERIOD, PICTURES};
use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Where the stream is on every server.
pub const MOUNT: &str = "/camera";

/// A camera. It's away when dropped.
pub struct Camera {
    codec: Codec,
    port: u16,
    behaviour: Arc<Behaviour>,
    running: Option<(glib::MainLoop, JoinHandle<()>)>,
}

#[derive(Default)]
struct Behaviour {
    /// Sends nothing, and keeps the connection.
    stalled: AtomicBool,
    /// Sends noise in the place of pictures.
    noise: AtomicBool,
    /// When each picture was sent last.
    sent: Mutex<HashMap<u64, SystemTime>>,
}

impl Camera {
    /// Starts a camera on a free port.
    pub fn start(codec: Codec) -> Self {
        gst::init().unwrap();
        // Coded before the first client waits for it.
        barcode::clip(codec);
        let mut this = Self { codec, port: 0, behaviour: Arc::default(), running: None };
        this.restart();
        this
    }

    /// Is there again after [`Self::kill`], on the same port.
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

    /// Every connection ends, and the port is closed.
    pub fn kill(&mut self) {
        if let Some((main_loop, thread)) = self.running.take() {
            main_loop.quit();
            thread.join().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}{MOUNT}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops sending, or sends again.
    pub fn stall(&self, stalled: bool) {
        self.behaviour.stalled.store(stalled, Ordering::SeqCst);
    }

    /// Sends noise for pictures, or pictures again.
    pub fn noise(&self, noise: bool) {
        self.behaviour.noise.store(noise, Ordering::SeqCst);
    }

    /// When this picture was sent last.
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
    // Clients on this thread, not on one of their own: when they're removed, that one could be reading from them.
    server.thread_pool().expect("every server has one").set_max_threads(0);
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_shared(true);
    let name = codec.name();
    factory.set_launch(&format!(
        "( appsrc name=source is-live=true format=time do-timestamp=true \
         caps=video/x-{name},stream-format=byte-stream,alignment=au,framerate=25/1 \
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
            // Not before it takes any: what waits until then would all get the same time.
            let begin = move |source: &gst_app::AppSrc, _| {
                if !feeding.swap(true, Ordering::SeqCst) {
                    let (behaviour, running, source) = (behaviour.clone(), running.clone(), source.downgrade());
                    std::thread::spawn(move || feed(&source, codec, &behaviour, &running));
                }
            };
            source.set_callbacks(gst_app::AppSrcCallbacks::builder().need_data(begin).build());
        }
    });
    server.mount_points().unwrap().add_factory(MOUNT, factory);
    // The port of a server that was killed may take a moment to be free.
    let start = Instant::now();
    let id = loop {
        match server.attach(Some(context)) {
            Ok(id) => break id,
            Err(error) if start.elapsed() > Duration::from_secs(10) => panic!("port {port}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let main_loop = glib::MainLoop::new(Some(context), false);
    started.send((main_loop.clone(), server.bound_port() as u16)).unwrap();
    main_loop.run();
    running.store(false, Ordering::SeqCst);
    context.find_source_by_id(&id).expect("the server's").destroy();
    server.client_filter(Some(&mut |_: &gst_rtsp_server::RTSPServer, _: &gst_rtsp_server::RTSPClient| {
        gst_rtsp_server::RTSPFilterResult::Remove
    }));
    while context.iteration(false) {}
}

/// Pushes pictures at their times while the media and its server live.
fn feed(source: &glib::WeakRef<gst_app::AppSrc>, codec: Codec, behaviour: &Behaviour, running: &AtomicBool) {
    let clip = barcode::clip(codec);
    let start = Instant::now();
    for n in 0_u32.. {
        std::thread::sleep((start + PERIOD * n).saturating_duration_since(Instant::now()));
        let Some(source) = source.upgrade().filter(|_| running.load(Ordering::SeqCst)) else { return };
        if behaviour.stalled.load(Ordering::SeqCst) {
            continue;
        }
        let number = u64::from(n) % PICTURES;
        let unit = &clip.units[number as usize];
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
        behaviour.sent.lock().unwrap().insert(number, SystemTime::now());
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
                    // The other side may have had enough.
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
        // Wakes it.
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
