//! The part of DeepStream's REST API that adds and removes streams, so that programs that control DeepStream can control this.
//! Requests and answers have its forms (DeepStream 9's guide, "DeepStream With REST API Server").

use super::answer::{Refusal, json, read_json};
use super::file::{AddedCamera, Beside, ConfigFile};
use super::zones::blocking;
use super::{Asked, Outcome, Reload, Site};
use crate::monitor::CameraState;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};
use std::sync::Arc;

/// What both requests send; everything else in them is ignored.
#[derive(Deserialize)]
struct Sent {
    value: Stream,
}

#[derive(Deserialize)]
struct Stream {
    camera_id: String,
    #[serde(default)]
    camera_name: String,
    #[serde(default)]
    camera_url: String,
    change: String,
}

#[derive(Serialize)]
struct Status {
    status: String,
    reason: String,
}

/// Programs read the status from the text.
fn status(status: StatusCode, reason: impl Into<String>) -> Outcome {
    let text = format!("HTTP/1.1 {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    json(status, &Status { status: text, reason: reason.into() })
}

pub async fn add(site: &Arc<Site>, request: Asked) -> Outcome {
    concluded("ADD", try_to_add(site.clone(), request)).await
}

pub async fn remove(site: &Arc<Site>, request: Asked) -> Outcome {
    concluded("REMOVE", try_to_remove(site.clone(), request)).await
}

/// An answer in DeepStream's form, for a refusal too. What was begun is finished even if the client goes: it may have to be
/// taken back.
async fn concluded(what: &str, work: impl Future<Output = Result<(), Refusal>> + Send + 'static) -> Outcome {
    let done = tokio::spawn(work).await;
    match done.unwrap_or_else(|error| Err(Refusal::failed(error.to_string()))) {
        Ok(()) => status(StatusCode::OK, format!("STREAM_{what}_SUCCESS")),
        Err(refusal) => status(refusal.status, format!("STREAM_{what}_FAIL, {}", refusal.detail)),
    }
}

async fn sent(request: Asked, change: &str) -> Result<Stream, Refusal> {
    let Sent { value } = read_json(request).await?;
    if value.camera_id.is_empty() {
        return Err(Refusal::bad("value.camera_id is empty"));
    }
    if !value.change.contains(change) {
        return Err(Refusal::bad(format!("value.change is {:?}, and doesn't contain {change}", value.change)));
    }
    Ok(value)
}

fn file(site: &Site) -> Result<(ConfigFile, Reload), Refusal> {
    let fleet = "the cameras come from a fleet: change its file, and `gst-trt fleet apply` it";
    site.file().map(|(file, reload)| (file.clone(), reload.clone())).ok_or_else(|| Refusal::conflict(fleet))
}

async fn try_to_add(site: Arc<Site>, request: Asked) -> Result<(), Refusal> {
    let stream = sent(request, "add").await?;
    let name = &stream.camera_id;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(fits) || name.len() > 200 {
        return Err(Refusal::bad(format!(
            "value.camera_id {name:?} can't be a name: it has letters, digits, -, _ and ., at most 200"
        )));
    }
    if stream.camera_url.is_empty() {
        return Err(Refusal::bad("value.camera_url is missing"));
    }
    if stream.camera_url.contains("${") {
        // They would send secrets of the environment to an address that a client chooses.
        return Err(Refusal::bad("value.camera_url has a variable: these can be written in config.json only"));
    }
    let (file, reload) = file(&site)?;
    let _editing = file.editing().await;
    let before = file.beside();
    if is_configured(&file, name).await? {
        return Err(Refusal::conflict(format!("there is a camera {name} already")));
    }
    let mut after = before.clone();
    let camera = AddedCamera { url: stream.camera_url, title: stream.camera_name };
    after.added.insert(name.clone(), camera);
    apply(&file, &reload, before, after).await
}

async fn try_to_remove(site: Arc<Site>, request: Asked) -> Result<(), Refusal> {
    let stream = sent(request, "remove").await?;
    let (file, reload) = file(&site)?;
    let _editing = file.editing().await;
    let before = file.beside();
    let mut after = before.clone();
    if after.added.remove(&stream.camera_id).is_none() {
        if !is_configured(&file, &stream.camera_id).await? {
            return Err(Refusal::not_found(format!("there is no camera {}", stream.camera_id)));
        }
        after.removed.insert(stream.camera_id);
    }
    apply(&file, &reload, before, after).await
}

/// Whether there is a camera of this name, or it's about to start. One that was removed may still be stopping.
async fn is_configured(file: &ConfigFile, name: &str) -> Result<bool, Refusal> {
    let (file, name) = (file.clone(), name.to_owned());
    let load = move || {
        let loaded = file.load().map_err(|findings| Refusal::conflict(findings.to_string()))?;
        Ok(loaded.plan.cameras.iter().any(|camera| camera.name == name))
    };
    blocking(load).await
}

/// Checks and applies what is to be beside the file; if that fails, everything stays as it was before.
async fn apply(file: &ConfigFile, reload: &Reload, before: Beside, after: Beside) -> Result<(), Refusal> {
    let (checked, wanted) = (file.clone(), after.clone());
    let check = move || checked.load_with(&wanted).map(drop).map_err(|findings| Refusal::bad(findings.to_string()));
    blocking(check).await?;
    file.set_beside(after);
    let applied = match reload().await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(text)) => Refusal::bad(text),
        Err(_) => Refusal::unavailable("the program is ending", 5),
    };
    file.set_beside(before);
    Err(applied)
}

/// The streams, numbered in the order of their names.
pub fn info(site: &Site) -> Outcome {
    let added = site.file().map(|(file, _)| file.beside().added).unwrap_or_default();
    let cameras = site.sources.meters.snapshots();
    let streams: Vec<Value> = cameras
        .iter()
        .enumerate()
        .map(|(number, camera)| {
            let title = added.get(&camera.name).map(|added| added.title.as_str()).filter(|title| !title.is_empty());
            object!({
                "camera_id": camera.name,
                "camera_name": title.unwrap_or(&camera.name),
                "source_id": number,
            })
        })
        .collect();
    json(
        StatusCode::OK,
        &object!({
            "status": "HTTP/1.1 200 OK",
            "reason": "GET_LIVE_STREAM_INFO_SUCCESS",
            "stream-info": { "stream-count": streams.len(), "stream-info": streams },
        }),
    )
}

pub fn ready(site: &Site) -> Outcome {
    let cameras = site.sources.meters.snapshots();
    let is_ready = cameras.iter().all(|camera| camera.state != CameraState::Starting);
    json(
        StatusCode::OK,
        &object!({
            "status": "HTTP/1.1 200 OK",
            "reason": "GET_DS_READINESS_INFO_SUCCESS",
            "health-info": { "ds-ready": if is_ready { "YES" } else { "NO" } },
        }),
    )
}
