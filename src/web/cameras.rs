//! The cameras, and what is in their frames.

use super::answer::{Refusal, time_text, with_type};
use super::{CamerasFrom, Outcome, Site};
use crate::config::MaskFormat;
use crate::elements::ElementOptions;
use crate::http::whole;
use crate::monitor::{self, CameraState, Count, Sample};
use crate::publish::{self, Frame};
use crate::run::{CameraSetup, SourceSetup, View, ViewedFrame};
use hyper::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How long a frame is waited for.
const FRAME_TIME: Duration = Duration::from_secs(5);

#[derive(Serialize)]
pub struct All {
    cameras: Vec<Camera>,
}

#[derive(Serialize)]
pub struct Camera {
    name: String,
    state: CameraState,
    reason: Option<String>,
    /// Without secrets.
    source: Option<String>,
    from: &'static str,
    /// Pixels.
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    latency_ms: Latency,
    frames: u64,
    objects: u64,
    drops: u64,
    lines_dropped: u64,
    reconnects: u64,
    models: Vec<Model>,
    zones: Vec<Zone>,
    lines: Vec<Line>,
    clips: Option<Clips>,
    picture_time: Option<String>,
}

#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Model {
    element: String,
    file: String,
}

#[derive(Serialize)]
struct Zone {
    name: String,
    occupancy: u32,
    entered: u64,
    left: u64,
}

#[derive(Serialize)]
struct Line {
    name: String,
    r#in: u64,
    out: u64,
}

#[derive(Serialize)]
struct Clips {
    written: u64,
    lost: u64,
}

pub fn all(site: &Site) -> All {
    let sample = site.sources.history.last();
    let cameras = site.sources.meters.snapshots();
    All { cameras: cameras.into_iter().map(|camera| describe(site, camera, sample.as_deref())).collect() }
}

pub fn one(site: &Site, name: &str) -> Result<Camera, Refusal> {
    let found = site.sources.meters.snapshots().into_iter().find(|camera| camera.name == name);
    let found = found.ok_or_else(|| Refusal::not_found(format!("there is no camera {name:?}")))?;
    Ok(describe(site, found, site.sources.history.last().as_deref()))
}

fn describe(site: &Site, camera: monitor::Camera, sample: Option<&Sample>) -> Camera {
    let view = site.sources.views.get(&camera.name);
    let setup = view.as_ref().and_then(|view| view.setup());
    let size = view.as_ref().and_then(|view| view.size());
    let row = sample.and_then(|sample| sample.cameras.iter().find(|row| row.camera.name == camera.name));
    let (mut zones, mut lines) = (Vec::new(), Vec::new());
    for place in camera.places {
        match place.count {
            Count::Zone { occupancy, entered, left } => zones.push(Zone { name: place.name, occupancy, entered, left }),
            Count::Line { inwards, outwards } => lines.push(Line { name: place.name, r#in: inwards, out: outwards }),
        }
    }
    Camera {
        from: match &site.sources.cameras {
            CamerasFrom::Fleet => "fleet",
            CamerasFrom::File(file, _) if file.has_added(&camera.name) => "api",
            CamerasFrom::File(..) => "config",
        },
        picture_time: site.pictures.last(&camera.name).map(time_text),
        state: camera.state,
        reason: camera.reason,
        source: setup.as_deref().map(|setup| source(&setup.source)),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        fps: row.map(|row| row.fps),
        latency_ms: Latency { p50: camera.latency.p50, p95: camera.latency.p95, p99: camera.latency.p99 },
        frames: camera.frames,
        objects: camera.objects,
        drops: camera.drops,
        lines_dropped: camera.lines_dropped,
        reconnects: camera.reconnects,
        models: setup.as_deref().map(models).unwrap_or_default(),
        zones,
        lines,
        clips: camera.clips.map(|clips| Clips { written: clips.written, lost: clips.lost }),
        name: camera.name,
    }
}

/// Where the pictures come from, without secrets.
pub fn source(source: &SourceSetup) -> String {
    match source {
        SourceSetup::Rtsp(source) => source.url.to_string(),
        SourceSetup::File(source) => source.path.display().to_string(),
        SourceSetup::Test(source) => format!("test:{}", source.pattern),
    }
}

fn models(setup: &CameraSetup) -> Vec<Model> {
    let models = setup.elements.iter().filter_map(|element| {
        let options = match &element.options {
            ElementOptions::Detect(options) | ElementOptions::Pose(options) | ElementOptions::Classify(options) => {
                options
            }
            ElementOptions::Track(options) => &options.reid,
            ElementOptions::Zones(_) | ElementOptions::Publish(_) => return None,
        };
        // The folder is the machine's business.
        let file = options.model.as_ref()?.file_name()?.to_string_lossy().into_owned();
        Some(Model { element: element.name.clone(), file })
    });
    models.collect()
}

/// The next frame of a camera.
pub async fn next_frame(view: &Arc<View>) -> Result<ViewedFrame, Refusal> {
    let Some(next) = view.next() else {
        return Err(Refusal::unavailable("the camera isn't open: its `state` and `reason` say why", 1));
    };
    match tokio::time::timeout(FRAME_TIME, next).await {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err(_)) => Err(Refusal::unavailable("the camera was opened anew in this moment: ask again", 1)),
        Err(_) => {
            let text = format!("no frame has come within {FRAME_TIME:?}: the camera's `state` and `reason` say why");
            Err(Refusal::unavailable(text, 5))
        }
    }
}

pub async fn objects(site: &Site, name: &str) -> Outcome {
    let view = site.playing(name)?;
    let frame = next_frame(&view).await?;
    // The number that the next line of an output has.
    let number =
        site.sources.meters.snapshots().iter().find(|camera| camera.name == name).map_or(0, |camera| camera.frames);
    let (width, height) = frame.size;
    let of_frame = Frame {
        stream: name,
        number,
        pts: frame.buffer.pts().map(gst::ClockTime::nseconds),
        captured: None,
        width,
        height,
    };
    let mut line = Vec::new();
    publish::write_line(&mut line, &of_frame, &frame.record, MaskFormat::default());
    Ok(with_type(whole(StatusCode::OK, line), "application/json"))
}
