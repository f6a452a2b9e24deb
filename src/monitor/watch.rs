//! Takes a sample every period and publishes it.

use super::metrics::{self, Pages, Probe, Server};
use super::sample::{Sample, Sampler};
use super::snapshot::{Camera, CameraState};
use super::socket;
use super::table::table;
use crate::error::Error;
use parking_lot::{Condvar, Mutex};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Returns the snapshots of all cameras; called from several threads.
pub type Cameras = Arc<dyn Fn() -> Vec<Camera> + Send + Sync>;

/// Called with a sample.
pub type OnSample = dyn Fn(&Sample) + Send;

/// How samples are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    /// As a table that replaces the previous one, on a terminal.
    Table,
    /// As one JSON object a line.
    JsonLines,
}

impl Print {
    /// # Errors
    /// The reader has closed.
    pub fn write(self, sample: &Sample, to: &mut dyn Write) -> std::io::Result<()> {
        match self {
            // Move the cursor home, clear everything below, and write the whole table at once, so that it doesn't
            // flicker.
            Self::Table => write!(to, "\x1b[H\x1b[J{}", table(sample))?,
            Self::JsonLines => {
                serde_json::to_writer(&mut *to, sample)?;
                to.write_all(b"\n")?;
            }
        }
        to.flush()
    }
}

/// What probes are answered, besides what is known of the cameras.
pub struct Health {
    /// Whether the process works.
    pub healthy: Probe,
    /// Whether it does what it's there for; it isn't ready while a camera is starting, either.
    pub ready: Probe,
}

impl Default for Health {
    /// A process that answers works.
    fn default() -> Self {
        Self { healthy: Arc::new(|| Ok(())), ready: Arc::new(|| Ok(())) }
    }
}

/// What is served over HTTP, also before there are samples.
#[derive(Clone)]
pub struct Board {
    cameras: Cameras,
    health: Arc<Health>,
    last: Arc<Mutex<Option<Sample>>>,
}

impl Board {
    pub fn new(cameras: Cameras, health: Health) -> Self {
        Self { cameras, health: Arc::new(health), last: Arc::default() }
    }

    /// Serves metrics to Prometheus there, and answers probes.
    ///
    /// # Errors
    /// The address can't be bound, or the system can't create a thread.
    pub fn serve(&self, address: SocketAddr) -> Result<Server, Error> {
        let (of_metrics, of_ready) = (self.clone(), self.clone());
        let pages = Pages {
            metrics: Arc::new(move || metrics::text((of_metrics.cameras)(), of_metrics.last())),
            healthy: self.health.healthy.clone(),
            ready: Arc::new(move || {
                (of_ready.health.ready)()?;
                match (of_ready.cameras)().iter().find(|camera| camera.state == CameraState::Starting) {
                    Some(camera) => Err(format!("{} is starting", camera.name)),
                    None => Ok(()),
                }
            }),
        };
        Server::start(address, pages)
    }

    /// The last sample, if there was one.
    pub fn last(&self) -> Option<Sample> {
        self.last.lock().clone()
    }
}

/// Where samples are published.
pub struct Options {
    /// Time between two samples.
    pub every: Duration,
    /// Above this CPU usage of the machine, percent, there's a warning.
    pub cpu_warning: f64,
    /// Called with each sample, on the monitor's thread.
    pub on_sample: Option<Box<OnSample>>,
    /// Where samples are printed, and how.
    pub print: Option<(Print, Box<dyn Write + Send>)>,
    /// The folder of the socket for `gst-trt monitor`; [`socket::folder`] unless in tests.
    pub socket: Option<PathBuf>,
}

/// Watches on its own thread, until dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    no_socket: Option<String>,
}

#[derive(Default)]
struct Shared {
    ended: Mutex<bool>,
    end: Condvar,
}

impl Watch {
    /// Takes samples of the board's cameras, and puts them on it.
    ///
    /// # Errors
    /// The system can't create a thread.
    pub fn start(board: &Board, options: Options) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let (socket, no_socket) = match options.socket.as_deref().map(socket::Server::start) {
            Some(Ok(server)) => (Some(server), None),
            Some(Err(error)) => (None, Some(format!("gst-trt monitor can't connect: {error}"))),
            None => (None, None),
        };
        let sampler = Sampler::new(options.cpu_warning, false);
        let thread = {
            let (shared, board) = (shared.clone(), board.clone());
            let run = move || shared.run(sampler, &board, options.every, options.on_sample, options.print, socket);
            std::thread::Builder::new().name("monitor".into()).spawn(run)
        };
        let thread = thread.map_err(|error| {
            Error::new(crate::error::ErrorKind::Failed, format!("the monitoring thread can't be created: {error}"))
        })?;
        Ok(Self { shared, thread: Some(thread), no_socket })
    }

    /// Why `gst-trt monitor` can't connect; everything else works without.
    pub fn no_socket(&self) -> Option<&str> {
        self.no_socket.as_deref()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.shared.ended.lock() = true;
        self.shared.end.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(
        &self,
        mut sampler: Sampler,
        board: &Board,
        every: Duration,
        on_sample: Option<Box<OnSample>>,
        mut print: Option<(Print, Box<dyn Write + Send>)>,
        mut socket: Option<socket::Server>,
    ) {
        let mut next = Instant::now() + every;
        while self.wait_until(next) {
            // A late sample isn't caught up on.
            next = (next + every).max(Instant::now());
            let sample = sampler.sample((board.cameras)());
            on_sample.iter().for_each(|on_sample| on_sample(&sample));
            if let Some((format, to)) = &mut print
                && format.write(&sample, to).is_err()
            {
                print = None;
            }
            if let Some(server) = &mut socket
                && let Ok(mut line) = serde_json::to_vec(&sample)
            {
                line.push(b'\n');
                server.send(&line);
            }
            *board.last.lock() = Some(sample);
        }
    }

    /// Waits until `time`; `false` when the watch ends.
    fn wait_until(&self, time: Instant) -> bool {
        let mut ended = self.ended.lock();
        loop {
            if *ended {
                return false;
            }
            let Some(left) = time.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return true;
            };
            self.end.wait_for(&mut ended, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Meter;
    use super::*;
    use std::io::{Read, Result as IoResult};
    use std::net::TcpStream;
    use std::sync::mpsc;

    struct Lines(mpsc::Sender<Vec<u8>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> IoResult<()> {
            Ok(())
        }
    }

    #[test]
    fn everybody_gets_every_sample() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("run");
        let meter = Arc::new(Meter::new("door"));
        let (send, printed) = mpsc::channel();
        let asked = meter.clone();
        let options = Options {
            every: Duration::from_millis(50),
            cpu_warning: 1000.0,
            on_sample: None,
            print: Some((Print::JsonLines, Box::new(Lines(send)))),
            socket: Some(folder.clone()),
        };
        let board = Board::new(Arc::new(move || vec![asked.snapshot()]), Health::default());
        let server = board.serve("127.0.0.1:0".parse().unwrap()).unwrap();
        let watch = Watch::start(&board, options).unwrap();
        assert_eq!(watch.no_socket(), None);
        meter.frame(Duration::from_millis(3), 2);
        let [(pid, path)] = &socket::running(&folder)[..] else { panic!() };
        assert_eq!(*pid, std::process::id());
        let samples: Vec<Sample> =
            socket::Reader::connect(path).unwrap().take(3).map(|sample| sample.unwrap()).collect();
        assert_eq!((samples[2].cameras[0].camera.frames, samples[2].cameras[0].fps), (1, 0.0));

        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains("gst_trt_camera_frames_total{camera=\"door\"} 1")
                && answer.contains("gst_trt_machine_cpu_ratio")
        );

        let start = Instant::now();
        drop(watch);
        assert!(start.elapsed() < Duration::from_millis(500));
        let text = String::from_utf8(printed.iter().flatten().collect()).unwrap();
        assert!(text.lines().count() >= 3);
        text.lines().for_each(|line| drop(serde_json::from_str::<Sample>(line).unwrap()));
    }

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let mut out = Vec::new();
        Print::Table.write(&Sampler::new(15.0, true).sample(Vec::new()), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("\x1b[H\x1b[Jmachine  CPU "), "{text:?}");
    }
}
