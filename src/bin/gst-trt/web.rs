//! The web page of `gst-trt run`.

use crate::run::say;
use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_channel::oneshot;
use gsttensorrt::config::{Secret, WEB_HOSTS, WEB_TOKEN};
use gsttensorrt::error::Error;
use gsttensorrt::run::{Meters, Views};
use gsttensorrt::web::{Access, CamerasFrom, History, Reload, Sources, WebServer};
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct WebArguments {
    /// Serves a page with all cameras there, and the API behind it, for example 127.0.0.1:8080. Beyond loopback it needs a
    /// token in GST_TRT_WEB_TOKEN. The run then goes on when no camera is left.
    #[arg(long = "web", value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
}

/// A page that is to be served.
pub struct Web {
    address: SocketAddr,
    access: Access,
    pub views: Views,
    pub history: History,
}

impl WebArguments {
    /// Checks the arguments and the environment; `None`: no page is wanted.
    ///
    /// # Errors
    /// The token is missing or too short.
    pub fn prepare(&self) -> Result<Option<Web>, Error> {
        let Some(address) = self.address else { return Ok(None) };
        let token = std::env::var(WEB_TOKEN).ok().map(Secret::new);
        let hosts: Vec<_> = std::env::var(WEB_HOSTS).unwrap_or_default().split(',').map(str::to_owned).collect();
        let access = Access::new(address, token.as_ref(), &hosts)?;
        Ok(Some(Web { address, access, views: Views::default(), history: History::default() }))
    }
}

impl Web {
    /// Serves the page until the result is dropped.
    ///
    /// # Errors
    /// The address can't be bound.
    pub fn start(self, meters: Meters, cameras: CamerasFrom) -> Result<WebServer, Error> {
        let needs_token = self.access.needs_token();
        let sources = Sources { meters, views: self.views, history: self.history, cameras };
        let server = WebServer::start(self.address, self.access, sources)?;
        let address = server.address();
        let token = if needs_token { format!(", for those who have the token in {WEB_TOKEN}") } else { String::new() };
        let reach = if address.ip().is_loopback() { "" } else { ", to be reached from other machines" };
        say(&format!("web page at http://{address}/{reach}{token}"));
        Ok(server)
    }
}

/// Someone who waits for the configuration to be read again.
pub type Waiting = oneshot::Sender<Result<(), String>>;

/// What asks for the configuration to be read again, and where the requests come out.
pub fn reload() -> (Reload, UnboundedReceiver<Waiting>) {
    let (sender, receiver) = unbounded();
    let ask = move || {
        let (waiting, outcome) = oneshot::channel();
        // If the receiver has gone the outcome is cancelled.
        let _ = sender.unbounded_send(waiting);
        outcome
    };
    (Arc::new(ask), receiver)
}
