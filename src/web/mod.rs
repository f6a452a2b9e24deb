//! `gst-trt run --web`: a page with all cameras, and the JSON API behind it. `docs/openapi.json` describes the API.
//!
//! 1. [`WebServer::start`] answers on a thread of its own, by the same server as the metrics (`http`).
//! 2. `access` decides who may ask; `routes` has what can be asked for; a module each has the answers.
//! 3. What cameras do is read from [`Meters`], [`Views`] and [`History`]. A frame is taken, drawn and encoded only for a client
//!    that waits for it, and no camera waits for a client.
//! 4. What changes cameras goes by a [`ConfigFile`]: zones are written into config.json; cameras that are added or removed are
//!    kept beside it. Then the program reads the file again ([`Reload`]).

mod access;
mod answer;
mod assets;
mod cameras;
mod check;
mod clips;
mod deepstream;
mod events;
mod file;
mod history;
mod live;
mod openapi;
mod pictures;
mod routes;
mod zones;

pub use access::Access;
pub use file::{AddedCamera, ConfigFile};
pub use history::History;
pub use routes::routes;

use crate::error::{Error, ErrorKind};
use crate::http::{self, Body, Handler, Limits};
use crate::monitor::CameraState;
use crate::run::{Meters, View, Views};
use answer::Refusal;
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Makes the program read its configuration again, on its own thread; returns the outcome.
pub type Reload = Arc<dyn Fn() -> futures_channel::oneshot::Receiver<Result<(), String>> + Send + Sync>;

/// Where the cameras come from.
#[derive(Clone)]
pub enum CamerasFrom {
    /// A file, which may be changed.
    File(ConfigFile, Reload),
    Fleet,
}

/// What the page shows.
pub struct Sources {
    pub meters: Meters,
    pub views: Views,
    pub history: History,
    pub cameras: CamerasFrom,
}

/// Answers until dropped.
pub struct WebServer(http::Server);

impl WebServer {
    const LIMITS: Limits = Limits {
        // A browser has up to six to a server, and one for each camera that it shows live.
        connections: 256,
        head: Duration::from_secs(10),
        stall: Duration::from_secs(10),
        blocking_threads: 4,
    };

    /// # Errors
    /// The address can't be bound.
    pub fn start(address: SocketAddr, access: Access, sources: Sources) -> Result<Self, Error> {
        let site = Arc::new(Site::new(access, sources));
        let handler: Handler = Arc::new(move |request| Box::pin(routes::answer(site.clone(), request)));
        let server = http::Server::start(address, "web", Self::LIMITS, handler).map_err(|error| {
            let text = format!("the web page can't be served at {address}: {error}; choose another address or port");
            Error::new(ErrorKind::Setting, text)
        })?;
        Ok(Self(server))
    }

    /// The address, with the port that was assigned if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// What all answers are made from.
struct Site {
    access: Access,
    sources: Sources,
    pictures: pictures::Pictures,
    checks: check::Checks,
}

/// A request, an answer, or why there is none.
type Asked = Request<Incoming>;
type Outcome = Result<Response<Body>, Refusal>;

impl Site {
    fn new(access: Access, sources: Sources) -> Self {
        Self { access, sources, pictures: pictures::Pictures::default(), checks: check::Checks::default() }
    }

    /// The view of a camera.
    fn view(&self, camera: &str) -> Result<Arc<View>, Refusal> {
        self.sources.views.get(camera).ok_or_else(|| Refusal::not_found(format!("there is no camera {camera:?}")))
    }

    /// The view of a camera that plays.
    fn playing(&self, camera: &str) -> Result<Arc<View>, Refusal> {
        let view = self.view(camera)?;
        let known = self.sources.meters.snapshots().into_iter().find(|known| known.name == camera);
        match known {
            Some(known) if known.state != CameraState::Playing => {
                let reason = known.reason.map_or_else(String::new, |reason| format!(": {reason}"));
                Err(Refusal::unavailable(format!("the camera's state is {}{reason}", known.state.name()), 2))
            }
            _ => Ok(view),
        }
    }

    /// The file that has the cameras.
    fn file(&self) -> Option<(&ConfigFile, &Reload)> {
        match &self.sources.cameras {
            CamerasFrom::File(file, reload) => Some((file, reload)),
            CamerasFrom::Fleet => None,
        }
    }
}
