//! Cameras whose clips of events are recorded, events that a test makes, and the files as players see them.

use super::barcode::{self, PICTURES};
use super::find;
use super::running::Running;
use super::supervised::{IMPATIENCE, Supervised};
use gst::prelude::*;
use gsttensorrt::clips::Settings;
use gsttensorrt::config::{ClipRule, Clips};
use gsttensorrt::meta::{self, Event, EventKind, EventObject, Object, Record};
use gsttensorrt::run::CameraSetup;
use model::Rect;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// From 2 s before an event to 1 s after it.
pub fn clips(folder: &Path) -> Clips {
    Clips {
        folder: folder.to_owned(),
        before: Duration::from_secs(2),
        after: Duration::from_secs(1),
        longest: Duration::from_secs(8),
        rules: vec![ClipRule { name: "yard".into(), zones: vec!["yard".into()], ..ClipRule::default() }],
        command_topic: None,
        memory: 16 << 20,
        limit: 1 << 30,
        files: None,
        age: None,
    }
}

pub fn with(setup: CameraSetup, clips: Clips) -> CameraSetup {
    CameraSetup { clips: Some(Settings { camera: setup.name.clone(), clips, late: Duration::from_secs(2) }), ..setup }
}

/// What the next frame of each camera has: how many events, in a zone of this name.
type Due = Arc<Mutex<HashMap<String, (usize, &'static str)>>>;

/// The clips that events were given, by camera: `None` for an event without one.
type Named = Arc<Mutex<HashMap<String, Vec<Option<String>>>>>;

/// Cameras, and the events that the test makes in their frames.
pub struct Recorded {
    pub cameras: Supervised,
    due: Due,
    named: Named,
}

impl Recorded {
    pub fn start(setups: Vec<CameraSetup>) -> Self {
        let (due, named) = (Due::default(), Named::default());
        let see = {
            let (due, named) = (due.clone(), named.clone());
            move |pipeline: &gst::Pipeline| make_events(pipeline, &due, &named)
        };
        Self { cameras: Supervised::start_seen(setups, IMPATIENCE, see), due, named }
    }

    /// Makes this many events in the camera's next frame; returns the clip of the first.
    #[track_caller]
    pub fn happen(&self, camera: &str, events: usize, zone: &'static str) -> Option<String> {
        let before = self.named(camera).len();
        self.due.lock().unwrap().insert(camera.into(), (events, zone));
        self.cameras.wait_for("the events", Duration::from_secs(20), || self.named(camera).len() == before + events);
        self.named(camera)[before].clone()
    }

    /// The clips of all events so far.
    pub fn named(&self, camera: &str) -> Vec<Option<String>> {
        self.named.lock().unwrap().get(camera).cloned().unwrap_or_default()
    }

    /// Waits until a clip is written whole, with its JSON file.
    #[track_caller]
    pub fn wait_for(&self, folder: &Path, clip: &str) -> Clip {
        let path = folder.join(clip);
        let document = path.with_extension("json");
        self.cameras.wait_for(clip, Duration::from_secs(30), || path.exists() && document.exists());
        Clip::read(&path)
    }
}

/// Gives frames a tracked object, and the events that are due; sees which clips these get.
fn make_events(pipeline: &gst::Pipeline, due: &Due, named: &Named) {
    let camera = pipeline.name().to_string();
    let (due, of) = (due.clone(), camera.clone());
    let pad = pipeline.by_name("pictures").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(mut buffer)) = info.data.take() else { return gst::PadProbeReturn::Ok };
        let (events, zone) = due.lock().unwrap().remove(&of).unwrap_or((0, ""));
        let time = Duration::from_nanos(buffer.pts().unwrap().nseconds());
        let event = |track: usize| Event {
            time,
            place: zone.into(),
            kind: EventKind::Entered,
            object: Some(EventObject { track: track as u64, class: "person".into() }),
            clip: None,
        };
        let object = Object {
            rect: Rect::new(0.25, 0.25, 0.5, 0.5),
            label: "person".into(),
            confidence: 0.5,
            track_id: Some(7),
            ..Object::default()
        };
        let record = Record { objects: vec![object], events: (0..events).map(event).collect(), ..Record::default() };
        let (width, height) = (barcode::WIDTH as u32, barcode::HEIGHT as u32);
        meta::set_record_alone(buffer.make_mut(), Arc::new(record), width, height);
        info.data = Some(gst::PadProbeData::Buffer(buffer));
        gst::PadProbeReturn::Ok
    });
    let named = named.clone();
    let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(record) = info.buffer().and_then(|buffer| meta::record(buffer)) {
            let clips = record.events.iter().map(|event| event.clip.as_ref().map(ToString::to_string));
            named.lock().unwrap().entry(camera.clone()).or_default().extend(clips);
        }
        gst::PadProbeReturn::Ok
    });
}

/// A clip as a player decodes it, and its JSON file.
#[derive(Debug)]
pub struct Clip {
    pub path: PathBuf,
    /// The numbers in its pictures, as they are shown, and when they are.
    pub numbers: Vec<Option<u64>>,
    pub times: Vec<Duration>,
    pub document: Value,
}

impl Clip {
    /// Plays a file with GStreamer, and has `ffprobe` look at it, where that's installed.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let running = Running::playing(&format!(
            "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false",
            path.display()
        ));
        let sink = running.sink("sink");
        let (mut numbers, mut times) = (Vec::new(), Vec::new());
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
            let buffer = sample.buffer().unwrap();
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            numbers.push(barcode::number(buffer, info.stride()[0] as usize));
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap();
            times.push(segment.to_running_time(buffer.pts()).unwrap().into());
        }
        assert!(sink.is_eos(), "{} doesn't play", path.display());
        let this = Self { path: path.to_owned(), numbers, times, document };
        this.is_whole();
        this
    }

    /// Checks that it begins at 0, that no picture is missing, and that other programs see the same.
    #[track_caller]
    fn is_whole(&self) {
        let path = self.path.display();
        assert_eq!(self.times.first(), Some(&Duration::ZERO), "{path}");
        assert!(self.times.is_sorted_by(|one, next| one < next), "{path}: {:?}", self.times);
        let follows = |pair: &[Option<u64>]| pair[0].zip(pair[1]).is_some_and(|(a, b)| b == (a + 1) % PICTURES);
        assert!(self.numbers.windows(2).all(follows), "{path}: {:?}", self.numbers);
        let frames = self.document["frames"].as_u64().unwrap();
        assert_eq!(self.numbers.len() as u64, frames, "{path}: {}", self.document);
        assert_eq!(self.document["clip"], self.path.file_name().unwrap().to_str().unwrap());
        let schema = std::fs::read_to_string(find::root().join("docs/clip.schema.json")).unwrap();
        let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
        if let Err(error) = schema.validate(&self.document) {
            panic!("{path}: {error}: {}", self.document);
        }
        let probe = ["-v", "error", "-count_packets", "-of", "json", "-show_entries"];
        let entries = "format=start_time,duration:stream=start_time,nb_read_packets:packet=pts_time,flags";
        let Ok(output) = Command::new("ffprobe").args(probe).args([entries, "-show_packets"]).arg(&self.path).output()
        else {
            return find::skip("ffprobe", "apt install ffmpeg");
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{path}: {output:?}");
        let probed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!(number(&probed["format"]["start_time"]), 0.0, "{path}");
        assert_eq!(number(&probed["streams"][0]["nb_read_packets"]) as u64, frames, "{path}");
        let declared = self.document["duration_s"].as_f64().unwrap();
        assert!((number(&probed["format"]["duration"]) - declared).abs() < 0.05, "{path}: {probed}");
        let first = &probed["packets"][0];
        assert!(first["flags"].as_str().unwrap().starts_with('K'), "{path}: {first}");
        assert_eq!(number(&first["pts_time"]), 0.0, "{path}: {first}");
    }

    pub fn length(&self) -> f64 {
        self.document["duration_s"].as_f64().unwrap()
    }

    /// Where its events are in it, seconds.
    pub fn events_at(&self) -> Vec<f64> {
        self.document["events"].as_array().unwrap().iter().map(|event| event["at_s"].as_f64().unwrap()).collect()
    }
}

/// The files of a camera with this extension, oldest first.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}
