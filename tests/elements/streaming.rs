//! The elements in real pipelines: seeks, new caps, downstream errors, branches, state changes and removal, with frames in
//! flight. The test knows every frame, so mixed-up results are detected.

use crate::common::find::test_model;
use crate::common::picture::{Colour, Picture, Square, Tolerance, assert_found};
use crate::common::pool::CountingPool;
use crate::common::running::{PERIOD, Running, caps, found_by, frame, number, pull, push_numbered, start, with_model};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// The caps of numbered pictures, for `videotestsrc`.
const RGB: &str = "video/x-raw,format=RGB,width=96,height=64";

/// Runs `f` on another thread and fails if it takes longer than `limit`.
#[track_caller]
fn within<T: Send + 'static>(limit: Duration, what: &str, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(f()));
    receive.recv_timeout(limit).unwrap_or_else(|_| panic!("{what} isn't over after {limit:?}"))
}

#[track_caller]
fn assert_numbered(buffer: &gst::BufferRef, model_id: &str) {
    let n = number(buffer);
    let wanted = Picture::numbered(n).detections();
    assert_found(&format!("frame {n}, {model_id}"), &found_by(buffer, model_id), &wanted, Tolerance::EXACT);
}

/// Calls `f` with every buffer on the pad.
fn on_buffer(pad: &gst::Pad, f: impl Fn(&gst::Buffer) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            f(buffer);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts the buffers that reach an element.
fn count_buffers(element: &gst::Element) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    on_buffer(&element.static_pad("sink").unwrap(), move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    count
}

#[track_caller]
fn wait_for_more(count: &AtomicUsize, more: usize) {
    let (start, wanted) = (Instant::now(), count.load(Ordering::SeqCst) + more);
    while count.load(Ordering::SeqCst) < wanted {
        assert!(start.elapsed() < Duration::from_secs(30), "no frames come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn frames_come_out_complete_and_in_order() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!("appsrc name=in ! {detect} name=d batch-size=4 ! appsink name=out sync=false"));
    let source = p.source("in");
    let push = std::thread::spawn(move || push_numbered(&source, 100));
    let sink = p.sink("out");
    let mut seen = Vec::new();
    while let Some(buffer) = pull(&sink) {
        assert_numbered(&buffer, "d");
        seen.push(number(&buffer));
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    push.join().unwrap();
}

/// The threads on which frames enter and leave the detector.
fn threads_of(source: &str, feed: impl FnOnce(&Running)) -> Vec<(ThreadId, ThreadId)> {
    let detect = with_model("trtdetect", "yolo");
    let p = Running::new(&format!("{source} ! {detect} name=d max-in-flight=150 ! appsink name=out sync=false"));
    let on = |pad: &str| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let threads = seen.clone();
        on_buffer(&p.element("d").static_pad(pad).unwrap(), move |_| {
            threads.lock().unwrap().push(thread::current().id());
        });
        seen
    };
    let (came, left) = (on("sink"), on("src"));
    p.set_state(gst::State::Playing);
    feed(&p);
    let frames = std::iter::from_fn(|| pull(&p.sink("out"))).count();
    let (came, left) = (came.lock().unwrap().clone(), left.lock().unwrap().clone());
    assert_eq!((came.len(), left.len()), (frames, frames));
    came.into_iter().zip(left).collect()
}

/// With time to spare between frames, the thread that delivers a frame does all the work; otherwise work overlaps with upstream's.
#[test]
fn a_paced_streams_frames_stay_on_their_thread() {
    if !start() {
        return;
    }
    let caps = format!("{RGB},framerate=20/1");
    // Some frames may be late on a busy machine, and eight in a row on time are required.
    let live = format!("videotestsrc is-live=true num-buffers=60 ! {caps}");
    let most = (0..3).map(|_| on_their_thread(&threads_of(&live, |_| ()))).find(|&paced| paced >= 20);
    assert!(most.is_some(), "not even 20 of 60 frames in any of three attempts");
    assert_eq!(on_their_thread(&threads_of(&format!("videotestsrc num-buffers=60 ! {caps}"), |_| ())), 0);
}

/// Frames that queued behind earlier ones don't count towards the pace.
#[test]
fn a_stream_that_was_hurried_is_paced_again_soon() {
    if !start() {
        return;
    }
    // Other tests may keep the machine so busy that every frame is late; a pace that never comes back fails each time.
    let most = (0..6).map(|_| paced_after_a_hurry()).find(|&paced| paced >= 15);
    assert!(most.is_some(), "not even 15 of 40 frames in any of six attempts");
}

/// Number of frames that stay on their thread among 40 that come in time after 150 that came at once.
fn paced_after_a_hurry() -> usize {
    const HURRIED: usize = 150;
    const ALL: usize = 190;
    let threads = threads_of("appsrc name=in format=time", |p| {
        let source = p.source("in");
        source.set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgb)));
        let frames: Vec<_> = (0..ALL).map(|n| frame(&Picture::numbered(n), VideoFormat::Rgb, n)).collect();
        for (n, frame) in frames.into_iter().enumerate() {
            if n >= HURRIED {
                thread::sleep(PERIOD.into());
            }
            source.push_buffer(frame).unwrap();
        }
        source.end_of_stream().unwrap();
    });
    assert_eq!(on_their_thread(&threads[..HURRIED]), 0);
    on_their_thread(&threads[HURRIED..])
}

fn on_their_thread(threads: &[(ThreadId, ThreadId)]) -> usize {
    threads.iter().filter(|(came, left)| came == left).count()
}

#[test]
fn not_linked_downstream_ends_the_source() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!("videotestsrc name=source ! {RGB} ! {detect}"));
    let message = p.message(&[gst::MessageType::Error]);
    assert_eq!(message.src().unwrap().name(), "source");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.debug().unwrap().contains("not-linked"), "{:?}", error.debug());
}

#[test]
fn a_relinked_branch_continues() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!(
        "videotestsrc is-live=true ! {RGB},framerate=50/1 ! tee name=t ! queue ! fakesink async=false \
         t. ! {detect} name=d ! fakesink name=out async=false"
    ));
    let (detect, out) = (p.element("d"), p.element("out"));
    let count = count_buffers(&out);
    wait_for_more(&count, 3);
    detect.unlink(&out);
    // Until tee is told.
    std::thread::sleep(Duration::from_millis(200));
    detect.link(&out).unwrap();
    wait_for_more(&count, 3);
}

#[test]
fn end_of_stream_from_downstream_ends_the_source() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let p = Running::playing(&format!(
        "videotestsrc name=source ! {RGB} ! {detect} ! identity eos-after=5 ! fakesink name=out"
    ));
    p.wait_for_end();
    let ended = p.element("source").static_pad("src").unwrap().last_flow_result();
    assert_eq!(ended, Err(gst::FlowError::Eos));
}

#[test]
fn seeks_in_a_file_with_frames_in_flight() {
    if !start() {
        return;
    }
    const FRAMES: usize = 300;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for n in 0..FRAMES {
        file.write_all(&Picture::numbered(n).rgb().data).unwrap();
    }
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    let p = Running::new(&format!(
        "filesrc location={} ! rawvideoparse format=rgb width=96 height=64 framerate=25/1 ! {RGB} \
         ! trtpreprocess backend=cpu ! {detect} name=d interval=1 ! {pose} name=p interval=1 \
         ! appsink name=out sync=false max-buffers=2",
        file.path().display()
    ));
    p.set_state(gst::State::Paused);
    let sink = p.sink("out");
    let check = |buffer: &gst::Buffer| {
        if record_has_run(buffer, "d") {
            assert_numbered(buffer, "d");
        }
    };
    check(&sink.try_pull_preroll(PERIOD * 1000).unwrap().buffer_owned().unwrap());
    p.set_state(gst::State::Playing);
    for target in [200, 3, 120, 121, 290, 0, 77, 250] {
        check(&pull(&sink).unwrap());
        let (pipeline, position) = (p.0.clone(), PERIOD * target as u64);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        within(Duration::from_secs(5), "the seek", move || pipeline.seek_simple(flags, position)).unwrap();
        let first = pull(&sink).unwrap();
        check(&first);
        assert_eq!(number(&first), target);
        let shared: u64 = p.stats("d").get("tensors-shared").unwrap();
        let made: u64 = p.stats("d").get("tensors-made").unwrap();
        assert_eq!(made, 0, "trtpreprocess and its reader count frames alike: {shared} shared");
    }
    let mut last = 250;
    while let Some(buffer) = pull(&sink) {
        check(&buffer);
        assert_eq!(number(&buffer), last + 1);
        last += 1;
    }
    assert_eq!(last, FRAMES - 1);
}

fn record_has_run(buffer: &gst::BufferRef, model_id: &str) -> bool {
    let record = meta::record(buffer).unwrap();
    let run = record.models.iter().find(|m| &*m.model_id == model_id).expect("each model says what it did");
    run.inference == meta::Inference::Done
}

#[test]
fn size_and_format_change_mid_stream() {
    if !start() {
        return;
    }
    let squares = [Square::new(Colour::Red, 4, 3, 255), Square::new(Colour::Blue, 7, 4, 220)];
    let sizes = [(96, 64), (1280, 720), (97, 65), (320, 480), (96, 64)];
    let formats = [VideoFormat::Rgb, VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Bgrx, VideoFormat::Nv12];
    let kinds: Vec<_> = sizes.iter().map(|&(w, h)| Picture::sized(w, h, &squares)).zip(formats).collect();
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    for before in ["", "trtpreprocess backend=cpu !"] {
        let p = Running::playing(&format!(
            "appsrc name=in format=time ! {before} {detect} name=d ! {pose} name=p attach=new ! trtoverlay \
             ! appsink name=out sync=false"
        ));
        let (source, sink, kinds_in) = (p.source("in"), p.sink("out"), kinds.clone());
        let push = std::thread::spawn(move || {
            for n in 0..60 {
                let (picture, format) = &kinds_in[n / 4 % kinds_in.len()];
                source.set_caps(Some(&caps(picture, *format)));
                source.push_buffer(frame(picture, *format, n)).unwrap();
            }
            source.end_of_stream().unwrap();
        });
        let mut count = 0;
        while let Some(buffer) = pull(&sink) {
            assert_eq!(number(&buffer), count);
            let (picture, format) = &kinds[count / 4 % kinds.len()];
            let what = format!("frame {count}, {}x{} {format:?} {before}", picture.width, picture.height);
            assert_found(&what, &found_by(&buffer, "d"), &picture.detections(), Tolerance::SCALED);
            assert_found(&what, &found_by(&buffer, "p"), &picture.poses(), Tolerance::SCALED);
            count += 1;
        }
        assert_eq!(count, 60);
        push.join().unwrap();
    }
}

#[test]
fn states_change_at_random_with_frames_flowing() {
    use gst::State::{Null, Paused, Playing, Ready};
    if !start() {
        return;
    }
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    for live in [false, true] {
        let p = Running::new(&format!(
            "videotestsrc is-live={live} ! {RGB},framerate=200/1 ! trtpreprocess backend=cpu ! {detect} batch-size=2 \
             ! {pose} ! trtoverlay ! trtpublish location=/dev/null ! fakesink name=out sync=false"
        ));
        let count = count_buffers(&p.element("out"));
        // A fixed pseudo-random sequence (Knuth's MMIX generator).
        let mut state = 1u64;
        let mut random = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for step in 0..100 {
            let wanted = [Null, Ready, Paused, Playing][random(4) as usize];
            let wait = random(3) == 0;
            let pipeline = p.0.clone();
            within(Duration::from_secs(20), &format!("step {step}, to {wanted:?}"), move || {
                pipeline.set_state(wanted).unwrap();
                if wait {
                    let (result, state, _) = pipeline.state(gst::ClockTime::from_seconds(15));
                    result.unwrap();
                    assert_eq!(state, wanted);
                }
            });
            std::thread::sleep(Duration::from_millis(random(12)));
        }
        p.set_state(Playing);
        wait_for_more(&count, 5);
        let bus = p.0.bus().unwrap();
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
}

#[test]
fn an_element_is_added_and_removed_while_frames_are_in_flight() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "slow");
    let p = Running::playing(&format!(
        "videotestsrc is-live=true ! {RGB},framerate=100/1 ! identity name=before ! {detect} name=d max-in-flight=3 \
         ! fakesink name=out sync=false"
    ));
    let (before, out) = (p.element("before"), p.element("out"));
    let count = count_buffers(&out);
    let mut element = p.element("d");
    for round in 0..5 {
        wait_for_more(&count, 3);
        replace(&p.0, &before, Some(&element), None, &out);
        wait_for_more(&count, 3);
        element = gst::ElementFactory::make("trtdetect")
            .name(format!("d{round}"))
            .property_from_str("backend", "cpu")
            .property("model", test_model("slow").to_str().unwrap())
            .build()
            .unwrap();
        replace(&p.0, &before, None, Some(&element), &out);
    }
    wait_for_more(&count, 3);
}

/// Replaces `old` by `new` between `before` and `out`, while `before` is blocked.
fn replace(
    pipeline: &gst::Pipeline,
    before: &gst::Element,
    old: Option<&gst::Element>,
    new: Option<&gst::Element>,
    out: &gst::Element,
) {
    let (blocked, is_blocked) = mpsc::channel();
    let pad = before.static_pad("src").unwrap();
    let probe = pad
        .add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, move |_, _| {
            let _ = blocked.send(());
            gst::PadProbeReturn::Ok
        })
        .unwrap();
    is_blocked.recv_timeout(Duration::from_secs(20)).unwrap();
    let (pipeline, before, out) = (pipeline.clone(), before.clone(), out.clone());
    let (old, new) = (old.cloned(), new.cloned());
    within(Duration::from_secs(2), "removing or adding", move || {
        match &old {
            Some(old) => {
                before.unlink(old);
                old.unlink(&out);
                old.set_state(gst::State::Null).unwrap();
                pipeline.remove(old).unwrap();
            }
            None => before.unlink(&out),
        }
        match &new {
            Some(new) => {
                pipeline.add(new).unwrap();
                new.link(&out).unwrap();
                new.sync_state_with_parent().unwrap();
                before.link(new).unwrap();
            }
            None => before.link(&out).unwrap(),
        }
    });
    pad.remove_probe(probe);
}

#[test]
fn results_survive_a_tee_and_reach_only_their_branch() {
    if !start() {
        return;
    }
    let (a, b) = (with_model("trtdetect", "yolo"), with_model("trtdetect", "yolo-e2e"));
    let p = Running::playing(&format!(
        "appsrc name=in format=time ! trtpreprocess backend=cpu width=96 height=64 ! {a} name=first ! tee name=t \
         t. ! queue ! appsink name=plain sync=false \
         t. ! queue ! {b} name=second ! appsink name=more sync=false"
    ));
    let source = p.source("in");
    let push = std::thread::spawn(move || push_numbered(&source, 30));
    let (plain, more) = (p.sink("plain"), p.sink("more"));
    for n in 0..30 {
        let (plain, more) = (pull(&plain).unwrap(), pull(&more).unwrap());
        assert_eq!((number(&plain), number(&more)), (n, n));
        for buffer in [&plain, &more] {
            assert_numbered(buffer, "first");
            assert_eq!(meta::tensors(buffer).len(), 1, "a tensor survives too");
        }
        assert_numbered(&more, "second");
        assert!(found_by(&plain, "second").is_empty());
        assert_eq!(meta::record(&plain).unwrap().models.len(), 1);
    }
    assert_eq!(p.stats("second").get::<u64>("tensors-shared"), Ok(30));
    push.join().unwrap();
}

/// Sends numbered frames from a pool of `max` buffers through `branches` of a tee; returns the frames of each branch's appsink.
fn through_a_bounded_pool(max: u32, branches: &str, sinks: &[&str]) {
    const FRAMES: usize = 200;
    let p = Running::playing(&format!("appsrc name=in format=time max-buffers=1 block=true ! tee name=t {branches}"));
    let info = Picture::numbered(0).rgb().info(VideoFormat::Rgb);
    let pool = CountingPool::new(&info, max);
    let source = p.source("in");
    source.set_caps(Some(&info.to_caps().unwrap()));
    let push = std::thread::spawn({
        let pool = pool.clone();
        move || {
            for n in 0..FRAMES {
                let mut buffer = pool.acquire_buffer(None).unwrap();
                let writable = buffer.get_mut().unwrap();
                writable.copy_from_slice(0, &Picture::numbered(n).rgb().data).unwrap();
                writable.set_pts(PERIOD * n as u64);
                source.push_buffer(buffer).unwrap();
            }
            source.end_of_stream().unwrap();
        }
    });
    let readers: Vec<_> = sinks
        .iter()
        .map(|name| {
            let (name, sink) = (name.to_string(), p.sink(name));
            std::thread::spawn(move || {
                for n in 0..FRAMES {
                    let buffer = pull(&sink).unwrap_or_else(|| panic!("{name} ends before frame {n}"));
                    assert_eq!(number(&buffer), n);
                    let pixels = buffer.map_readable().unwrap();
                    assert_eq!(*pixels, *Picture::numbered(n).rgb().data, "{name}: another frame's pixels");
                    match name.as_str() {
                        "plain" => assert!(meta::record(&buffer).is_none()),
                        model_id => assert_numbered(&buffer, model_id),
                    }
                }
                assert!(pull(&sink).is_none());
            })
        })
        .collect();
    within(Duration::from_secs(50), "the stream", move || readers.into_iter().for_each(|r| r.join().unwrap()));
    push.join().unwrap();
    // GStreamer before 1.24 returns a copy's parent before its memory: the pool creates a new buffer in between.
    let most = max as usize + sinks.len();
    assert!(pool.most_alive() <= most, "memory of {} buffers, from a pool of {max}", pool.most_alive());
    drop(p);
    pool.set_active(false).unwrap();
}

#[test]
fn a_tee_with_a_plain_branch_keeps_a_pool_bounded() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    for max in [3, 8] {
        let branches = format!(
            "t. ! queue ! {detect} model-id=a ! appsink name=a sync=false max-buffers=1 \
             t. ! queue ! appsink name=plain sync=false max-buffers=1"
        );
        through_a_bounded_pool(max, &branches, &["a", "plain"]);
    }
}

#[test]
fn a_tee_with_two_detectors_keeps_a_pool_bounded() {
    if !start() {
        return;
    }
    let (a, b) = (with_model("trtdetect", "yolo"), with_model("trtdetect", "yolo-e2e"));
    let branches = format!(
        "t. ! {a} model-id=a ! appsink name=a sync=false max-buffers=1 \
         t. ! queue ! {b} model-id=b ! appsink name=b sync=false max-buffers=1"
    );
    through_a_bounded_pool(6, &branches, &["a", "b"]);
}
