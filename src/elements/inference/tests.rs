//! Tests of the elements with an engine that the test controls.

use crate::backend::testing::open_fake;
use crate::elements::trtdetect::TrtDetect;
use crate::error::{Error, ErrorKind};
use crate::infer::testing::Gate;
use crate::infer::{Backend, Engine, Lane, ModelSettings, Service, Slot};
use crate::meta::{self, Inference};
use gst::glib;
use gst::prelude::*;
use model::{
    Detection, ElementType, Head, HeadError, InputSpec, Labels, Layout, ModelInfo, Normalization, Outputs, Params,
    Rect, Resize, head::HeadKind,
};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct FakeHead(Labels);

impl Head for FakeHead {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }
    fn classes(&self) -> usize {
        self.0.0.len()
    }
    fn labels(&self) -> &Labels {
        &self.0
    }
    fn needs_nms(&self) -> bool {
        false
    }
    fn decode(&self, _: &Outputs<'_>, _: &Params, _: &mut Vec<Detection>) -> Result<(), HeadError> {
        Ok(())
    }
}

/// Finds one object of class 1 in the middle of each region, with the confidence threshold as its confidence.
#[derive(Debug)]
struct Fake {
    info: ModelInfo,
    input: InputSpec,
    head: Arc<dyn Head>,
    batch: usize,
    gate: Arc<Gate>,
    fail: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<usize>>>,
}

struct FakeLane {
    gate: Arc<Gate>,
    fail: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Engine for Fake {
    fn description(&self) -> String {
        "fake".into()
    }
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn head(&self) -> &Arc<dyn Head> {
        &self.head
    }
    fn max_batch(&self) -> usize {
        self.batch
    }
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        let (gate, fail, batches) = (self.gate.clone(), self.fail.clone(), self.batches.clone());
        Ok(vec![Box::new(FakeLane { gate, fail, batches })])
    }
}

impl Lane for FakeLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        self.gate.pass();
        self.batches.lock().push(slots.len());
        if self.fail.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Failed, "told to fail"));
        }
        for slot in slots {
            let (w, h) = (slot.frame.info.width() as f32, slot.frame.info.height() as f32);
            let centre = (slot.region.x + slot.region.w / 2.0, slot.region.y + slot.region.h / 2.0);
            let rect = Rect::from_centre(centre.0 / w, centre.1 / h, 0.1, 0.1);
            let confidence = slot.params.confidence;
            slot.output.detections.push(Detection { rect, class_id: 1, confidence, ..Detection::default() });
        }
        Ok(())
    }
}

/// A fake model, its service, and the controls of its engine.
struct Model {
    file: tempfile::NamedTempFile,
    batch: usize,
    gate: Arc<Gate>,
    fail: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<usize>>>,
    service: Arc<Service>,
}

impl Model {
    fn new(batch: usize) -> Self {
        gst::init().unwrap();
        meta::register();
        static COUNT: Mutex<u32> = Mutex::new(0);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut count = COUNT.lock();
        *count += 1;
        std::fs::write(file.path(), format!("fake model {count}")).unwrap();
        let (gate, fail, batches) = <(Arc<Gate>, Arc<AtomicBool>, Arc<Mutex<Vec<usize>>>)>::default();
        gate.set(true);
        let engine = Fake {
            info: ModelInfo::default(),
            input: InputSpec {
                width: 64,
                height: 64,
                layout: Layout::Nchw,
                element: ElementType::F32,
                normalization: Normalization::UNIT,
                bgr: false,
                resize: Resize::LETTERBOX,
                pad: 114,
            },
            head: Arc::new(FakeHead(Labels(vec!["zero".into(), "one".into()]))),
            batch,
            gate: gate.clone(),
            fail: fail.clone(),
            batches: batches.clone(),
        };
        let settings = ModelSettings {
            backend: Backend::Cpu,
            model: file.path().to_owned(),
            batch_size: batch as u32,
            ..ModelSettings::default()
        };
        let service = open_fake(&settings, Arc::new(engine));
        Self { file, batch, gate, fail, batches, service }
    }

    fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    fn element(&self, name: &str) -> gst::Element {
        glib::Object::builder::<TrtDetect>()
            .property("name", name)
            .property("backend", Backend::Cpu)
            .property("model", self.path().to_str().unwrap())
            .property("batch-size", self.batch as u32)
            .build()
            .upcast()
    }

    fn harness(&self, set: impl FnOnce(&gst::Element)) -> gst_check::Harness {
        let element = self.element("detect");
        set(&element);
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str("video/x-raw,format=RGB,width=64,height=32,framerate=30/1");
        harness
    }
}

fn frame(n: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(64 * 32 * 3).unwrap();
    buffer.get_mut().unwrap().set_pts(n * gst::ClockTime::from_mseconds(33));
    buffer
}

fn runs(buffer: &gst::Buffer) -> Vec<Inference> {
    meta::record(buffer).unwrap().models.iter().map(|m| m.inference).collect()
}

/// Runs `what` on a thread, which must finish within a second.
fn within_a_second<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(what()));
    told.recv_timeout(Duration::from_secs(1)).expect("takes over a second")
}

#[test]
fn objects_are_on_the_buffer() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("confidence", 0.5f32));
    h.push(frame(0)).unwrap();
    let buffer = h.pull().unwrap();
    let record = meta::record(&buffer).unwrap();
    assert_eq!(record.objects.len(), 1);
    let object = &record.objects[0];
    assert_eq!((&*object.label, object.class_id, &*object.source), ("one", Some(1), "detect"));
    assert_eq!(object.confidence, 0.5);
    assert!(buffer.meta::<gst_video::VideoRegionOfInterestMeta>().is_some());
}

#[test]
fn thresholds_change_while_playing_and_a_wrong_one_is_refused() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("confidence", 0.5f32));
    let bus = gst::Bus::new();
    h.element().unwrap().set_bus(Some(&bus));
    h.element().unwrap().set_property("confidence", 0.75f32);
    h.push(frame(0)).unwrap();
    assert_eq!(meta::record(&h.pull().unwrap()).unwrap().objects[0].confidence, 0.75);
    h.element().unwrap().set_property("classes", "three");
    let warning = bus.timed_pop_filtered(gst::ClockTime::SECOND, &[gst::MessageType::Warning]).unwrap();
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().message().contains("`three`"), "{}", warning.error());
    h.push(frame(1)).unwrap();
    assert_eq!(meta::record(&h.pull().unwrap()).unwrap().objects.len(), 1);
}

#[test]
fn events_keep_their_place_between_frames() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    // The stream's first events precede its first frame.
    h.push(frame(9)).unwrap();
    h.pull().unwrap();
    while h.try_pull_event().is_some() {}
    model.gate.set(false);
    h.push(frame(0)).unwrap();
    let tag = gst::Structure::builder("between").build();
    assert!(h.push_event(gst::event::CustomDownstream::new(tag)));
    h.push(frame(1)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(h.try_pull_event().is_none(), "the event has overtaken a frame");
    assert_eq!(h.buffers_in_queue(), 0);
    model.gate.set(true);
    assert_eq!(h.pull().unwrap().pts(), Some(gst::ClockTime::ZERO));
    assert_eq!(h.pull_event().unwrap().type_(), gst::EventType::CustomDownstream);
    assert!(h.pull().is_ok());
    h.push_event(gst::event::Eos::new());
    assert_eq!(h.pull_event().unwrap().type_(), gst::EventType::Eos);
}

#[test]
fn a_flush_returns_at_once_while_the_engine_is_busy() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("max-in-flight", 2u32));
    model.gate.set(false);
    h.push(frame(0)).unwrap();
    h.push(frame(1)).unwrap();
    let pad = h.element().unwrap().static_pad("sink").unwrap();
    // A third frame waits for space.
    let waiting = std::thread::spawn({
        let pad = pad.clone();
        move || pad.chain(frame(2))
    });
    std::thread::sleep(Duration::from_millis(20));
    assert!(within_a_second({
        let pad = pad.clone();
        move || pad.send_event(gst::event::FlushStart::new())
    }));
    // Checked before the flush ends, because a thread that arrives only now is refused too.
    assert_eq!(within_a_second(move || waiting.join().unwrap()), Err(gst::FlowError::Flushing));
    assert!(within_a_second(move || pad.send_event(gst::event::FlushStop::new(true))));
    model.gate.set(true);
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    h.push(frame(9)).unwrap();
    assert_eq!(h.pull().unwrap().pts(), frame(9).pts(), "frames from before the flush are gone");
    assert_eq!(h.buffers_in_queue(), 0);
}

/// Upstream sends sticky events once, so a flush mustn't lose those queued behind a frame.
#[test]
fn sticky_events_survive_a_flush() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    h.push(frame(0)).unwrap();
    h.pull().unwrap();
    model.gate.set(false);
    h.push(frame(1)).unwrap();
    let tags = gst::TagList::new();
    let src = h.element().unwrap().static_pad("src").unwrap();
    let caps = "video/x-raw,format=RGB,width=32,height=32,framerate=30/1".parse::<gst::Caps>().unwrap();
    assert!(h.push_event(gst::event::Caps::new(&caps)));
    assert!(h.push_event(gst::event::Tag::new(tags)));
    assert!(src.sticky_event::<gst::event::Tag>(0).is_none(), "it waits behind the frame");
    assert!(h.push_event(gst::event::FlushStart::new()) && h.push_event(gst::event::FlushStop::new(true)));
    model.gate.set(true);
    assert_eq!(src.sticky_event::<gst::event::Caps>(0).unwrap().caps_owned(), caps);
    assert!(src.sticky_event::<gst::event::Tag>(0).is_some());
    assert!(src.sticky_event::<gst::event::Segment>(0).is_none(), "the flush ended it");
}

#[test]
fn stopping_returns_at_once_while_the_engine_is_busy() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    model.gate.set(false);
    for n in 0..3 {
        h.push(frame(n)).unwrap();
    }
    let element = h.element().unwrap();
    let stop = element.clone();
    within_a_second(move || stop.set_state(gst::State::Ready)).unwrap();
    within_a_second({
        let element = element.clone();
        move || element.set_state(gst::State::Paused)
    })
    .unwrap();
    model.gate.set(true);
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn downstreams_flow_returns_reach_upstream() {
    for error in [gst::FlowError::NotLinked, gst::FlowError::Eos, gst::FlowError::Error] {
        let model = Model::new(1);
        let element = model.element("detect");
        let caps = "video/x-raw,format=RGB,width=64,height=32,framerate=30/1".parse::<gst::Caps>().unwrap();
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, _| Err(error))
            .event_function(|_, _, _| true)
            .build();
        sink.set_active(true).unwrap();
        element.static_pad("src").unwrap().link(&sink).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        let pad = element.static_pad("sink").unwrap();
        pad.send_event(gst::event::StreamStart::new("test"));
        pad.send_event(gst::event::Caps::new(&caps));
        pad.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        let start = Instant::now();
        let answer = loop {
            match pad.chain(frame(0)) {
                Ok(_) if start.elapsed() < Duration::from_secs(5) => std::thread::sleep(Duration::from_millis(1)),
                other => break other,
            }
        };
        assert_eq!(answer, Err(error));
        element.set_state(gst::State::Null).unwrap();
    }
}

/// Upstream has ended and can report nothing: the element posts its failure once, and no error about downstream.
#[test]
fn a_batch_that_fails_after_eos_is_one_error() {
    for frames in [1, 2, 3] {
        let model = Model::new(1);
        let mut h = model.harness(|_| {});
        let bus = gst::Bus::new();
        h.element().unwrap().set_bus(Some(&bus));
        model.gate.set(false);
        model.fail.store(true, Ordering::SeqCst);
        for n in 0..frames {
            h.push(frame(n)).unwrap();
        }
        assert!(h.push_event(gst::event::Eos::new()));
        model.gate.set(true);
        let error = |patience| {
            let message = bus.timed_pop_filtered(patience, &[gst::MessageType::Error])?;
            let gst::MessageView::Error(error) = message.view() else { return None };
            Some(error.error().message().to_owned())
        };
        assert_eq!(error(gst::ClockTime::from_seconds(10)).as_deref(), Some("told to fail"));
        assert_eq!(error(gst::ClockTime::from_mseconds(200)), None, "{frames} frames");
    }
}

#[test]
fn a_failed_batch_is_an_element_error() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    let bus = gst::Bus::new();
    h.element().unwrap().set_bus(Some(&bus));
    model.fail.store(true, Ordering::SeqCst);
    // A fast engine may fail before this returns.
    assert!(matches!(h.push(frame(0)), Ok(_) | Err(gst::FlowError::Error)));
    let error = bus.timed_pop_filtered(5 * gst::ClockTime::SECOND, &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = error.view() else { unreachable!() };
    assert_eq!(error.error().message(), "told to fail");
    let start = Instant::now();
    while h.push(frame(1)) != Err(gst::FlowError::Error) {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn interval_and_skip_when_busy_are_told_apart() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("interval", 1u32));
    for n in 0..4 {
        h.push(frame(n)).unwrap();
    }
    let seen: Vec<_> = (0..4).flat_map(|_| runs(&h.pull().unwrap())).collect();
    assert_eq!(seen, [Inference::Done, Inference::Interval, Inference::Done, Inference::Interval]);

    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("skip-when-busy", true));
    model.gate.set(false);
    for n in 0..4 {
        h.push(frame(n)).unwrap();
    }
    model.gate.set(true);
    let seen: Vec<_> = (0..4).flat_map(|_| runs(&h.pull().unwrap())).collect();
    assert_eq!(seen, [Inference::Done, Inference::Done, Inference::Busy, Inference::Busy]);
    let stats = h.element().unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(4));
    assert_eq!(stats.get::<u64>("inferred"), Ok(2));
    assert_eq!(stats.get::<u64>("skipped"), Ok(2));
}

#[test]
fn streams_share_a_service_and_its_batches() {
    let model = Model::new(8);
    let mut streams: Vec<_> = (0..4).map(|_| model.harness(|_| {})).collect();
    model.gate.set(false);
    // One frame runs alone, and the rest gathers behind it.
    for n in 0..2 {
        for h in &mut streams {
            h.push(frame(n)).unwrap();
            model.gate.wait_for(1);
        }
    }
    model.gate.set(true);
    for h in &mut streams {
        for n in 0..2 {
            assert_eq!(h.pull().unwrap().pts(), frame(n).pts());
        }
    }
    assert_eq!(*model.batches.lock(), [1, 7]);
    let stats = model.service.stats();
    assert_eq!((stats.batches, stats.slots, stats.frames), (2, 8, 8));
    assert_eq!(stats.batch_fill(), 4.0);
}

#[test]
fn objects_found_before_are_the_regions_and_the_parents() {
    let model = Model::new(4);
    let mut h = model.harness(|e| {
        e.set_property_from_str("inference-region", "objects");
        e.set_property("object-classes", "person,dog");
    });
    let object = |label: &str, x: f32| meta::Object {
        id: 0,
        rect: Rect::new(x, 0.25, 0.25, 0.5),
        class_id: None,
        label: label.into(),
        confidence: 0.9,
        source: "before".into(),
        ..meta::Object::default()
    };
    let mut record = meta::Record::default();
    for (label, x) in [("person", 0.0), ("car", 0.25), ("person", 0.5), ("person", 1.5)] {
        record.push(object(label, x));
    }
    let mut buffer = frame(0);
    meta::set_record(buffer.get_mut().unwrap(), Arc::new(record), 64, 32);
    h.push(buffer).unwrap();
    let record = meta::record(&h.pull().unwrap()).unwrap();
    let found: Vec<_> = record.objects.iter().filter(|o| &*o.source == "detect").collect();
    assert_eq!(found.iter().map(|o| o.parent).collect::<Vec<_>>(), [Some(0), Some(2)], "the last is outside the frame");
    assert!((found[1].rect.x + found[1].rect.w / 2.0 - 0.625).abs() < 1e-6, "in the middle of its person");
    // No object in the frame.
    h.push(frame(1)).unwrap();
    assert_eq!(runs(&h.pull().unwrap()), [Inference::NoRegion]);
}

#[test]
fn latency_is_upstreams_and_the_engines() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("batch-timeout", 40_000_000u64));
    h.set_upstream_latency(gst::ClockTime::from_mseconds(10));
    h.push(frame(0)).unwrap();
    h.pull().unwrap();
    let latency = h.query_latency().unwrap();
    assert!(latency >= gst::ClockTime::from_mseconds(50), "{latency}");
    assert!(latency < gst::ClockTime::from_mseconds(500), "{latency}");
}

#[test]
fn allocation_waits_for_the_frames_before_and_adds_those_held() {
    let model = Model::new(1);
    let mut h = model.harness(|e| e.set_property("max-in-flight", 3u32));
    let caps = "video/x-raw,format=RGB,width=64,height=32,framerate=30/1".parse::<gst::Caps>().unwrap();
    h.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    model.gate.set(false);
    h.push(frame(0)).unwrap();
    let pad = h.element().unwrap().static_pad("sink").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let asked = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut query = gst::query::Allocation::new(Some(&caps), true);
            let answered = pad.query(&mut query);
            done.store(true, Ordering::SeqCst);
            let pools: Vec<_> = query.allocation_pools().map(|(_, size, min, max)| (size, min, max)).collect();
            (answered, pools)
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!done.load(Ordering::SeqCst), "the query has overtaken a frame");
    model.gate.set(true);
    let (answered, pools) = asked.join().unwrap();
    assert!(answered);
    assert_eq!(pools, [(64 * 32 * 3, 3, 0)]);
}

/// A sink that crops while it shows would otherwise make `videocrop` leave the picture as it is.
#[test]
fn frames_are_cropped_before_a_model() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    h.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    h.add_propose_allocation_meta(gst_video::VideoCropMeta::meta_api(), None);
    let caps = "video/x-raw,format=RGB,width=64,height=32,framerate=30/1".parse::<gst::Caps>().unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(h.element().unwrap().static_pad("sink").unwrap().query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    assert!(query.find_allocation_meta::<gst_video::VideoCropMeta>().is_none());
}

#[test]
fn removal_while_frames_are_in_flight_disturbs_no_other_stream() {
    let model = Model::new(4);
    let (mut stays, mut goes) = (model.harness(|_| {}), model.harness(|_| {}));
    model.gate.set(false);
    for n in 0..3 {
        goes.push(frame(n)).unwrap();
        stays.push(frame(n)).unwrap();
    }
    within_a_second(move || drop(goes));
    model.gate.set(true);
    for n in 0..3 {
        assert_eq!(stays.pull().unwrap().pts(), frame(n).pts());
    }
}

#[test]
fn a_shared_buffer_is_copied_with_its_parent_and_not_changed() {
    let model = Model::new(1);
    let mut h = model.harness(|_| {});
    let buffer = frame(0);
    let branch = buffer.clone();
    h.push(buffer).unwrap();
    let out = h.pull().unwrap();
    assert!(meta::record(&branch).is_none());
    let parent = out.meta::<gst::ParentBufferMeta>().unwrap().parent().as_ptr();
    assert_eq!(parent, branch.as_ptr());
    assert_eq!(out.peek_memory(0).as_ptr(), branch.peek_memory(0).as_ptr(), "the memory is the same");
}

#[test]
fn every_order_of_states_works() {
    use gst::State::{Null, Paused, Playing, Ready};
    let model = Model::new(1);
    let element = model.element("detect");
    for state in [Ready, Null, Paused, Ready, Playing, Paused, Playing, Null, Playing, Ready, Ready, Paused, Null] {
        element.set_state(state).unwrap();
        assert_eq!(element.state(gst::ClockTime::SECOND).1, state);
    }
}

#[test]
fn caps_are_both_memories_in_null_and_the_backends_from_ready_on() {
    let model = Model::new(1);
    let element = model.element("detect");
    let pad = element.static_pad("sink").unwrap();
    assert_eq!(pad.query_caps(None).size(), 2);
    element.set_state(gst::State::Ready).unwrap();
    let caps = pad.query_caps(None);
    assert!(caps.iter_with_features().all(|(_, features)| !features.contains("memory:CUDAMemory")), "{caps}");
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(pad.query_caps(None).size(), 2);
}
