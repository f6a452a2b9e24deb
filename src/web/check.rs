//! What `gst-trt check` finds.

use super::answer::{Refusal, with_type};
use super::zones::blocking;
use super::{Outcome, Site};
use crate::check::Report;
use crate::http::whole;
use hyper::StatusCode;
use hyper::body::Bytes;
use std::time::{Duration, Instant};

/// How old an answer may be: a check opens models.
const FRESH: Duration = Duration::from_secs(30);

/// The last answer. One check runs at a time, and serves all that wait for it.
#[derive(Default)]
pub struct Checks(tokio::sync::Mutex<Option<(Instant, Bytes)>>);

impl Checks {
    pub async fn get(&self, site: &Site) -> Outcome {
        let fleet = "the cameras come from a fleet: `gst-trt fleet apply` checks its file";
        let (file, _) = site.file().ok_or_else(|| Refusal::conflict(fleet))?;
        let mut last = self.0.lock().await;
        let text = match &*last {
            Some((time, text)) if time.elapsed() < FRESH => text.clone(),
            _ => {
                let file = file.clone();
                let checked = blocking(move || {
                    let report = Report::of_config(file.load(), None, None);
                    serde_json::to_vec(&report).map_err(|error| Refusal::failed(error.to_string()))
                });
                let text = Bytes::from(checked.await?);
                *last = Some((Instant::now(), text.clone()));
                text
            }
        };
        Ok(with_type(whole(StatusCode::OK, text), "application/json"))
    }
}
