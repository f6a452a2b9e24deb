//! Streams that share a service: batches across pipelines, and the effect of a stopped stream on the others. With live
//! sources no frame reaches a synchronising sink late.

use crate::common::running::{PATIENCE, Running, start, with_model};
use gst::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RGB: &str = "video/x-raw,format=RGB,width=96,height=64";

#[test]
fn four_streams_in_two_pipelines_share_a_service_and_its_batches() {
    if !start() {
        return;
    }
    const FRAMES: u64 = 30;
    // A unique workspace size, so that no other test shares the service.
    let detect = with_model("trtdetect", "slow") + " batch-size=4 workspace-size=101";
    let stream = |name: &str| format!("videotestsrc num-buffers={FRAMES} ! {RGB} ! {detect} name={name} ! fakesink ");
    let pipelines = [["a", "b"], ["c", "d"]].map(|[x, y]| Running::playing(&(stream(x) + &stream(y))));
    let names = [(0, "a"), (0, "b"), (1, "c"), (1, "d")];
    for p in &pipelines {
        p.wait_for_end();
    }
    let stats = names.map(|(p, name)| pipelines[p].stats(name));
    let services = stats.each_ref().map(|s| s.get::<String>("service").unwrap());
    assert!(services.iter().all(|name| *name == services[0]), "{services:?}");
    for s in &stats {
        assert_eq!(s.get::<u64>("inferred"), Ok(FRAMES));
        let (batches, fill): (u64, f64) = (s.get("batches").unwrap(), s.get("batch-fill").unwrap());
        assert!(
            (batches as f64 * fill - 4.0 * FRAMES as f64).abs() < 1e-6,
            "all four are counted: {batches} of {fill}"
        );
        assert!(fill > 1.5, "batches form while the engine is busy: {fill}");
    }
}

#[test]
fn other_settings_or_another_model_get_a_service_of_their_own() {
    if !start() {
        return;
    }
    let elements = [
        with_model("trtdetect", "yolo") + " name=a workspace-size=102",
        with_model("trtdetect", "yolo") + " name=b workspace-size=102 batch-size=2",
        with_model("trtdetect", "yolo") + " name=c workspace-size=103",
        with_model("trtdetect", "yolo-e2e") + " name=d workspace-size=102",
        with_model("trtdetect", "yolo") + " name=e workspace-size=102 confidence=0.9 roi=0,0,0.5,1 classes=red",
    ];
    let p = Running::new(&format!("videotestsrc ! {RGB} ! {} ! fakesink", elements.join(" ! ")));
    p.set_state(gst::State::Paused);
    p.message(&[gst::MessageType::AsyncDone]);
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| p.stats(name).get::<String>("service").unwrap());
    assert_eq!(a, e, "thresholds, regions and classes travel with the frame");
    for other in [&b, &c, &d] {
        assert_ne!(a, *other);
    }
    assert!(d.starts_with("yolo-e2e.onnx"), "{d}");
}

/// Time between two frames of a stream.
const PERIOD: Duration = Duration::from_millis(50);
/// As long as three frames, so that waiting for a stopped stream would show.
const BATCH_TIMEOUT: Duration = Duration::from_millis(150);

/// Two live streams, `NAME0` and `NAME1`, not playing yet.
fn two_streams(name: &str, workspace: u32) -> Running {
    let stream = |k: u32| {
        format!(
            "videotestsrc name=source{k} is-live=true ! {RGB},framerate=20/1 \
             ! {} batch-size=4 workspace-size={workspace} batch-timeout={} name={name}{k} ! fakesink sync=false ",
            with_model("trtdetect", "yolo"),
            BATCH_TIMEOUT.as_nanos(),
        )
    };
    Running::new(&(stream(0) + &stream(1)))
}

/// Measures the time of each frame of a pipeline's two streams from pad to pad.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<Duration>>>);

impl Watch {
    /// For a pipeline that doesn't play yet: no frame is between the pads.
    fn new(p: &Running, name: &str) -> Self {
        let this = Self::default();
        for k in 0..2 {
            let element = p.element(&format!("{name}{k}"));
            let arrivals = Arc::new(Mutex::new(std::collections::VecDeque::new()));
            let (times, arrived) = (this.0.clone(), arrivals.clone());
            element.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                arrived.lock().unwrap().push_back(Instant::now());
                gst::PadProbeReturn::Ok
            });
            element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let arrival = arrivals.lock().unwrap().pop_front().expect("frames come out once");
                times.lock().unwrap().push(arrival.elapsed());
                gst::PadProbeReturn::Ok
            });
        }
        this
    }

    /// The 99th percentile over the next second.
    fn p99(&self) -> Duration {
        self.0.lock().unwrap().clear();
        std::thread::sleep(Duration::from_secs(1));
        let mut times = std::mem::take(&mut *self.0.lock().unwrap());
        assert!(times.len() > 20, "{} frames in a second", times.len());
        times.sort();
        times[(times.len() * 99).div_ceil(100) - 1]
    }
}

/// Two pipelines of two streams; `stop` stops a part of the second, and the latency of the first must not rise. Medians of
/// rounds are compared, because the machine may be busy.
fn others_dont_wait(workspace: u32, stop: impl Fn(&Running)) {
    if !start() {
        return;
    }
    let stays = two_streams("stays", workspace);
    let watch = Watch::new(&stays, "stays");
    stays.set_state(gst::State::Playing);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let stops = two_streams("stops", workspace);
        stops.set_state(gst::State::Playing);
        stops.0.state(PATIENCE).0.unwrap();
        std::thread::sleep(4 * PERIOD);
        before.push(watch.p99());
        let shared = [stays.stats("stays0"), stops.stats("stops0")].map(|s| s.get::<String>("service").unwrap());
        assert_eq!(shared[0], shared[1]);
        stop(&stops);
        std::thread::sleep(4 * PERIOD);
        after.push(watch.p99());
    }
    let fill: f64 = stays.stats("stays0").get("batch-fill").unwrap();
    assert!(fill > 1.2, "streams are waited for: {fill} a batch");
    before.sort();
    after.sort();
    assert!(after[1] < before[1] + BATCH_TIMEOUT / 4, "p99 of the others: {before:?} before, {after:?} after");
}

#[test]
fn a_stream_that_ends_isnt_waited_for() {
    others_dont_wait(110, |p| assert!(p.element("source0").send_event(gst::event::Eos::new())));
}

#[test]
fn a_pipeline_that_stops_isnt_waited_for() {
    others_dont_wait(111, |p| p.set_state(gst::State::Null));
}

#[test]
fn a_pipeline_that_pauses_isnt_waited_for() {
    others_dont_wait(112, |p| p.set_state(gst::State::Paused));
}

/// Runs a live pipeline with a synchronising sink called `out` until it has received `frames`. Returns the number of frames
/// that it dropped because they were late.
fn late_frames(launch: &str, frames: u64, prepare: &dyn Fn(&Running)) -> u64 {
    let p = Running::new(launch);
    prepare(&p);
    p.set_state(gst::State::Playing);
    let stat = |name: &str| p.element("out").property::<gst::Structure>("stats").get::<u64>(name).unwrap();
    let start = Instant::now();
    while stat("rendered") + stat("dropped") < frames {
        assert!(start.elapsed() < Duration::from(PATIENCE), "no frames reach the sink");
        // The application's handling of the bus.
        let kinds = [gst::MessageType::Latency, gst::MessageType::Error];
        match p.0.bus().unwrap().timed_pop_filtered(20 * gst::ClockTime::MSECOND, &kinds) {
            Some(message) if message.type_() == gst::MessageType::Latency => p.0.recalculate_latency().unwrap(),
            Some(message) => panic!("{message:?}"),
            None => {}
        }
    }
    stat("dropped")
}

/// A busy machine can only make more frames late, so one of three runs must have none.
#[track_caller]
fn assert_none_late(launch: &str, frames: u64, prepare: &dyn Fn(&Running)) {
    let late: Vec<_> = (0..3).map(|_| late_frames(launch, frames, prepare)).take_while(|&late| late > 0).collect();
    assert!(late.len() < 3, "late of {frames}, in three runs: {late:?} ({launch})");
}

const SINK: &str = "fakesink name=out sync=true qos=true max-lateness=0";

#[test]
fn no_frame_of_a_live_source_is_late() {
    if !start() {
        return;
    }
    let nv12 = "video/x-raw,format=NV12,width=1280,height=720,framerate=20/1";
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    for elements in [format!("trtpreprocess backend=cpu ! {detect}"), format!("{detect} ! {pose}")] {
        assert_none_late(&format!("videotestsrc is-live=true ! {nv12} ! {elements} ! {SINK}"), 40, &|_| {});
    }
}

/// From here on upstream claims to be live and without latency.
fn hide_latency(element: &gst::Element) {
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, |_, info| {
        match info.query_mut().map(gst::QueryRef::view_mut) {
            Some(gst::QueryViewMut::Latency(query)) => {
                query.set(true, gst::ClockTime::ZERO, None);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

#[test]
fn the_engines_time_is_in_the_latency_from_the_first_frame_on() {
    if !start() {
        return;
    }
    let detect = |n| with_model("trtdetect", "slow") + &format!(" name=d{n} workspace-size=120");
    let launch = format!(
        "videotestsrc is-live=true ! {RGB},framerate=4/1 ! identity name=before ! {} ! {} ! {} ! {SINK}",
        detect(0),
        detect(1),
        detect(2)
    );
    // The source's own latency would hide ours.
    assert_none_late(&launch, 12, &|p| hide_latency(&p.element("before")));

    let p = Running::new(&launch);
    hide_latency(&p.element("before"));
    p.set_state(gst::State::Playing);
    let rendered = || p.element("out").property::<gst::Structure>("stats").get::<u64>("rendered").unwrap();
    let latency = || {
        let mut query = gst::query::Latency::new();
        assert!(p.element("out").static_pad("sink").unwrap().peer_query(&mut query));
        Duration::from(query.result().1)
    };
    // From the warm-up run, before a frame has come through.
    let first = latency();
    let start = Instant::now();
    while rendered() < 4 {
        assert!(start.elapsed() < Duration::from(PATIENCE), "no frames reach the sink");
        std::thread::sleep(Duration::from_millis(20));
    }
    let batch = |n| p.stats(&format!("d{n}")).get::<u64>("batch-time-p50").unwrap();
    let engines = Duration::from_nanos((0..3).map(batch).sum());
    // Half of it: the warm-up may have been on a quieter machine.
    assert!(first >= engines / 2, "{first:?} at the start, the three engines take {engines:?}");
    assert!(latency() >= engines, "{:?}, the three engines take {engines:?}", latency());
}

#[test]
fn a_batch_timeout_is_in_the_latency_from_the_first_frame_on() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo") + " workspace-size=121 batch-size=8 batch-timeout=100000000";
    let p = Running::playing(&format!(
        "videotestsrc is-live=true ! {RGB},framerate=20/1 ! identity name=before ! {detect} name=d ! fakesink"
    ));
    p.0.state(PATIENCE).0.unwrap();
    let mut query = gst::query::Latency::new();
    assert!(p.element("d").query(&mut query));
    let (live, min, _) = query.result();
    assert!(live);
    let least = gst::ClockTime::from_mseconds(50 + 100);
    assert!(
        min > least && min < least + gst::ClockTime::SECOND,
        "{min}: a frame of the source, the timeout, the engine"
    );
}
