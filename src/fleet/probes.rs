//! Whether a host works and serves cameras, as `/healthz` and `/readyz` answer it.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A main context that hasn't looked at the time for this long hangs.
const HANGS: Duration = Duration::from_secs(30);

/// What other threads may ask of a host.
#[derive(Clone)]
pub struct Probes(Arc<Mutex<Probed>>);

struct Probed {
    ready: Result<(), String>,
    /// When the main context last looked at the time; `None`: it isn't there yet.
    looked: Option<Instant>,
}

impl Default for Probes {
    fn default() -> Self {
        let ready = Err("it starts".to_owned());
        Self(Arc::new(Mutex::new(Probed { ready, looked: None })))
    }
}

impl Probes {
    /// # Errors
    /// Why the host doesn't serve cameras.
    pub fn ready(&self) -> Result<(), String> {
        self.0.lock().ready.clone()
    }

    /// Says why the host isn't ready, until it tells by itself.
    pub fn wait_for(&self, what: &str) {
        self.0.lock().ready = Err(what.to_owned());
    }

    /// The main context runs; `ready`: why the host doesn't serve cameras.
    pub(super) fn looked(&self, ready: Result<(), String>) {
        *self.0.lock() = Probed { ready, looked: Some(Instant::now()) };
    }

    /// # Errors
    /// The main context hangs.
    pub fn healthy(&self) -> Result<(), String> {
        let age = self.0.lock().looked.map(|looked| looked.elapsed()).unwrap_or_default();
        if age < HANGS { Ok(()) } else { Err(format!("the main loop hasn't run for {age:?}")) }
    }
}
