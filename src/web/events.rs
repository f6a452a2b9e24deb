//! What has happened in zones and on lines.

use super::access::parameter;
use super::answer::{Refusal, json, time_text};
use super::{Outcome, Site};
use crate::publish::write_event;
use crate::run::SeenEvent;
use hyper::{StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Serialize)]
struct Events {
    last: u64,
    missed: u64,
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Event {
    number: u64,
    time: String,
    camera: String,
    event: Value,
    clip_url: Option<String>,
}

pub fn get(site: &Site, uri: &Uri) -> Outcome {
    let after = match parameter(uri, "after") {
        None => 0,
        Some(text) => text.parse::<u64>().map_err(|_| Refusal::bad("after is the number of an event"))?,
    };
    let (last, events) = site.sources.views.events(after);
    let missed = events.first().map_or(last, |first| first.number - 1).saturating_sub(after);
    json(StatusCode::OK, &Events { last, missed, events: events.into_iter().map(describe).collect() })
}

fn describe(seen: SeenEvent) -> Event {
    let mut text = Vec::new();
    write_event(&mut text, &seen.event);
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let clip = |clip: &str| format!("/api/v1/cameras/{}/clips/{}", encoded(&seen.camera), encoded(clip));
    Event {
        number: seen.number,
        time: time_text(seen.time),
        event: serde_json::from_slice(&text).unwrap_or_default(),
        clip_url: seen.event.clip.as_deref().map(clip),
        camera: seen.camera.to_string(),
    }
}
