//! Accepts connections, and hands requests on.

use super::Body;
use super::stalling::Stalling;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};

/// What becomes the answer.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers requests, on the server's thread: it must not block it.
pub type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections; others wait.
    pub connections: usize,
    /// How long a client may take to send a request's head, from the answer before it on.
    pub head: Duration,
    /// How long an answer may be stuck because the client doesn't read.
    pub stall: Duration,
    /// Threads for what blocks, in `spawn_blocking`.
    pub blocking_threads: usize,
}

/// Answers requests on its own thread, until dropped.
pub struct Server {
    address: SocketAddr,
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The most bytes of a request's head, and of an answer that a connection's buffer holds. hyper's minimum is 8 KiB.
    const BUFFER: usize = 32 << 10;
    /// The most headers of a request.
    const HEADERS: usize = 64;
    /// The socket's buffer for what a client hasn't read.
    const SEND_BUFFER: usize = 256 << 10;
    /// How long the end waits for what blocks.
    const LONGEST_END: Duration = Duration::from_secs(1);

    /// Starts to answer; `name` is the thread's.
    ///
    /// # Errors
    /// The address can't be bound, or the system can't create a thread.
    pub fn start(address: SocketAddr, name: &str, limits: Limits, handler: Handler) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(limits.blocking_threads)
            .thread_keep_alive(Duration::from_secs(5))
            .thread_name(name)
            .build()?;
        let end = Arc::new(Notify::new());
        let ended = end.clone();
        let main = move || run(runtime, listener, limits, handler, &ended);
        let thread = std::thread::Builder::new().name(name.into()).spawn(main)?;
        Ok(Self { address, end, thread: Some(thread) })
    }

    /// The address, with the port that was assigned if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread ends at its next await.
            let _ = thread.join();
        }
    }
}

fn run(runtime: Runtime, listener: TcpListener, limits: Limits, handler: Handler, end: &Notify) {
    runtime.block_on(async {
        tokio::select! {
            () = serve(listener, limits, handler) => {}
            () = end.notified() => {}
        }
    });
    runtime.shutdown_timeout(Server::LONGEST_END);
}

async fn serve(listener: TcpListener, limits: Limits, handler: Handler) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // The process may be out of file descriptors: wait until some are closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Where it can't be set the system's own limit applies.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(Server::SEND_BUFFER);
        let handler = handler.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = handler(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(limits.head);
            http.max_buf_size(Server::BUFFER).max_headers(Server::HEADERS);
            // A connection that fails affects no other.
            let _ = http.serve_connection(TokioIo::new(Stalling::new(stream, limits.stall)), answer).await;
            drop(permit);
        });
    }
}
