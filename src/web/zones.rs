//! Zones and lines, read from config.json and written into it.

use super::answer::{Refusal, json, read_json};
use super::file::ConfigFile;
use super::{Asked, Outcome, Site};
use crate::config::{self, EditError, WrittenZones, with_zones, written_zones};
use crate::elements::ElementOptions;
use crate::run::CameraSetup;
use files::digest::hex;
use files::whole_file;
use hyper::header::{ETAG, HeaderValue, IF_MATCH};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::Arc;

/// What PUT takes, and the part of GET's answer that is in the file.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
struct Sent {
    zones: Vec<Map<String, Value>>,
    lines: Vec<Map<String, Value>>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(rename = "ZONES")]
    zones: Vec<Map<String, Value>>,
    #[serde(rename = "LINES")]
    lines: Vec<Map<String, Value>>,
    editable: bool,
    why_not: Option<String>,
}

const FLEET: &str = "the cameras come from a fleet: change the file there, and `gst-trt fleet apply` it";
const ADDED: &str = "the camera was added by stream/add and isn't in config.json: write it there to give it zones";

pub async fn get(site: &Arc<Site>, camera: String) -> Outcome {
    let view = site.view(&camera)?;
    let unedited = |why: &str| {
        let WrittenZones { zones, lines } = view.setup().as_deref().map(running_zones).unwrap_or_default();
        json(StatusCode::OK, &Answer { zones, lines, editable: false, why_not: Some(why.into()) })
    };
    let Some((file, _)) = site.file() else { return unedited(FLEET) };
    if file.has_added(&camera) {
        return unedited(ADDED);
    }
    let file = file.clone();
    let read = blocking(move || {
        let text = read(&file)?;
        let zones = written_zones(file.path(), &text, &file.overrides(), &camera);
        Ok((zones.map(|zones| (zones, etag(&text))), file))
    });
    match read.await? {
        (Ok((zones, etag)), file) => answer(zones, etag, unwritable(&file)),
        (Err(error @ (EditError::ZonesFile | EditError::NoCamera)), _) => unedited(&error.to_string()),
        (Err(error), _) => Err(Refusal::conflict(error.to_string())),
    }
}

pub async fn put(site: &Arc<Site>, camera: String, request: Asked) -> Outcome {
    site.view(&camera)?;
    let (file, reload) = site.file().ok_or_else(|| Refusal::conflict(FLEET))?;
    if file.has_added(&camera) {
        return Err(Refusal::conflict(ADDED));
    }
    let seen = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = "send the ETag of the zones that were edited as If-Match";
    let seen = seen.ok_or_else(|| Refusal::new(StatusCode::PRECONDITION_REQUIRED, text))?;
    let Sent { zones, lines } = read_json(request).await?;
    let wanted = WrittenZones { zones, lines };
    let _editing = file.editing().await;
    let to_write = file.clone();
    let written = blocking(move || write(&to_write, &camera, &seen, wanted));
    let (zones, etag) = written.await?;
    match reload().await {
        Ok(Ok(())) => answer(zones, etag, None),
        Ok(Err(text)) => Err(Refusal::conflict(format!("config.json is written, but wasn't applied: {text}"))),
        Err(_) => Err(Refusal::unavailable("config.json is written; the program is ending", 5)),
    }
}

fn answer(zones: WrittenZones, etag: String, why_not: Option<String>) -> Outcome {
    let WrittenZones { zones, lines } = zones;
    let mut response: Response<_> =
        json(StatusCode::OK, &Answer { zones, lines, editable: why_not.is_none(), why_not })?;
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// Runs what waits for a disk on another thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refusal::failed(error.to_string())))
}

fn read(file: &ConfigFile) -> Result<String, Refusal> {
    std::fs::read_to_string(file.path())
        .map_err(|error| Refusal::conflict(format!("{} can't be read: {error}", file.path().display())))
}

fn etag(text: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    format!("\"{}\"", hex(hash.get(..16).unwrap_or_default()))
}

/// Why the file can't be written, if that is known before.
fn unwritable(file: &ConfigFile) -> Option<String> {
    let path = file.path().canonicalize().ok()?;
    let folder = path.parent()?;
    nix::unistd::access(folder, nix::unistd::AccessFlags::W_OK).err().map(|error| not_written(file, &error.into()))
}

fn not_written(file: &ConfigFile, error: &std::io::Error) -> String {
    format!(
        "{} can't be replaced: {error}; give the program's user a writable folder with the file in it, or copy the zones as \
         JSON and write them by hand",
        file.path().display()
    )
}

/// Writes the zones of a camera; returns those that are in the file now, and its tag.
fn write(file: &ConfigFile, camera: &str, seen: &str, wanted: WrittenZones) -> Result<(WrittenZones, String), Refusal> {
    let (path, overrides, text) = (file.path(), file.overrides(), read(file)?);
    if seen != etag(&text) {
        let text = "config.json has changed since the zones were read: read them again";
        return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, text));
    }
    let of_edit = |error: EditError| match error {
        EditError::NoCamera => Refusal::not_found(error.to_string()),
        error => Refusal::conflict(error.to_string()),
    };
    let before = written_zones(path, &text, &overrides, camera).map_err(of_edit)?;
    no_new_variables(&before, &wanted)?;
    let edited = with_zones(path, &text, &overrides, camera, &wanted).map_err(of_edit)?;
    let loaded = config::load_text(path, &edited, &overrides).map_err(|findings| Refusal {
        findings: Some(findings.list.clone()),
        ..Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the configuration would be invalid: {findings}"))
    })?;
    let planned = loaded.plan.cameras.iter().find(|planned| planned.name == camera);
    let planned = planned.and_then(|camera| camera.zones.as_ref()).map(|zones| &zones.config);
    let of_plan = planned.into_iter().flat_map(|zones| {
        zones.zones.iter().map(|zone| &zone.name).chain(zones.lines.iter().map(|line| &line.name)).map(String::as_str)
    });
    let of_file: HashSet<_> =
        wanted.zones.iter().chain(&wanted.lines).filter_map(|place| place.get("NAME")?.as_str()).collect();
    // The plan has variables filled in.
    let is_known = !of_file.iter().any(|name| name.contains("${"));
    if is_known && of_plan.collect::<HashSet<_>>() != of_file {
        let text = "--set or the environment has other zones for this camera, which take precedence over config.json: remove that";
        return Err(Refusal::conflict(text));
    }
    if edited != text {
        let target = path.canonicalize().map_err(|error| Refusal::conflict(not_written(file, &error)))?;
        whole_file::replace_durably(&target, edited.as_bytes())
            .map_err(|error| Refusal::conflict(not_written(file, &error)))?;
    }
    let zones = written_zones(path, &edited, &overrides, camera).map_err(of_edit)?;
    Ok((zones, etag(&edited)))
}

/// `${NAME}` would take secrets from the environment into names, which everyone sees.
fn no_new_variables(before: &WrittenZones, wanted: &WrittenZones) -> Result<(), Refusal> {
    fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Object(keys) => keys.values().for_each(|value| texts(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let all = |zones: &WrittenZones| {
        let mut found = Vec::new();
        let values = zones.zones.iter().chain(&zones.lines).flat_map(|item| item.values());
        values.for_each(|value| texts(value, &mut found));
        found.into_iter().filter(|text| text.contains("${")).map(str::to_owned).collect::<Vec<_>>()
    };
    let known = all(before);
    match all(wanted).iter().find(|text| !known.contains(text)) {
        Some(text) => Err(Refusal::bad(format!("{text:?}: variables can be written in config.json only"))),
        None => Ok(()),
    }
}

/// The zones that a camera runs with, in the file's form.
fn running_zones(setup: &CameraSetup) -> WrittenZones {
    let options = setup.elements.iter().find_map(|element| match &element.options {
        ElementOptions::Zones(options) => Some(options),
        _ => None,
    });
    let config: Value =
        options.and_then(|options| serde_json::from_str(options.zones.as_deref()?).ok()).unwrap_or_default();
    let list = |key: &str| {
        let items = config.get(key).and_then(Value::as_array).into_iter().flatten();
        items.map(|item| upper(item.clone())).filter_map(|item| item.as_object().cloned()).collect()
    };
    WrittenZones { zones: list("zones"), lines: list("lines") }
}

/// The keys of trtzones in the form of config.json, without those that aren't set.
fn upper(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let is_set = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
            keys.into_iter()
                .filter(|(_, value)| is_set(value))
                .map(|(key, value)| (key.to_uppercase(), upper(value)))
                .collect()
        }
        value => value,
    }
}
