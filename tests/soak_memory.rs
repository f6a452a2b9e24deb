//! Memory over many frames and many starts. Takes minutes:
//!
//!     cargo test --release --test soak_memory -- --ignored --nocapture

mod common;

use common::process::resident;
use common::running::{PATIENCE, Running, start, with_model};
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two concurrent tests would see each other's memory.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: f64 = 1024.0 * 1024.0;

fn elements() -> String {
    format!(
        "trtpreprocess backend=cpu ! {} ! {} ! trtoverlay ! trtpublish location=/dev/null ! fakesink name=out sync=false",
        with_model("trtdetect", "yolo"),
        with_model("trtpose", "yolo-pose"),
    )
}

#[test]
#[ignore = "a minute of frames: cargo test --release --test soak_memory -- --ignored"]
fn memory_stays_flat_over_ten_thousand_frames() {
    if !start() {
        return;
    }
    let _alone = ALONE.lock();
    const FRAMES: u64 = 10_000;
    // A pattern with red, green and blue, so that there are objects, poses and things to draw.
    let p = Running::new(&format!(
        "videotestsrc num-buffers={FRAMES} pattern=smpte ! video/x-raw,format=NV12,width=640,height=360 ! {}",
        elements()
    ));
    let (count, early) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let (at, most) = (early.clone(), Arc::new(AtomicU64::new(0)));
    let highest = most.clone();
    p.element("out").static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let n = count.fetch_add(1, Ordering::Relaxed) + 1;
        if n == 500 {
            at.store(resident(), Ordering::Relaxed);
            let record = info.buffer().and_then(|b| gsttensorrt::meta::record(b)).expect("a record");
            assert!(!record.objects.is_empty(), "the pattern shows nothing");
        }
        if n > 500 && n % 500 == 0 {
            highest.fetch_max(resident(), Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    p.set_state(gst::State::Playing);
    let bus = p.0.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(10 * PATIENCE, &kinds).expect("the end within ten minutes");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    let (early, most) = (early.load(Ordering::Relaxed) as f64 / MIB, most.load(Ordering::Relaxed) as f64 / MIB);
    println!("{FRAMES} frames: {early:.1} MiB after 500, {most:.1} MiB at most after that");
    assert!(most - early < 5.0, "grows by {:.1} MiB", most - early);
}

#[test]
#[ignore = "two hundred starts: cargo test --release --test soak_memory -- --ignored"]
fn memory_stays_flat_over_two_hundred_starts() {
    if !start() {
        return;
    }
    let _alone = ALONE.lock();
    const STARTS: usize = 200;
    let launch = format!("videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=640,height=360 ! {}", elements());
    let mut early = 0;
    let mut most = 0;
    for n in 1..=STARTS {
        let p = Running::playing(&launch);
        p.wait_for_end();
        drop(p);
        match n {
            40 => early = resident(),
            41.. => most = most.max(resident()),
            _ => {}
        }
    }
    let (early, most) = (early as f64 / MIB, most as f64 / MIB);
    println!("{STARTS} starts: {early:.1} MiB after 40, {most:.1} MiB at most after that");
    assert!(most - early < 5.0, "grows by {:.1} MiB", most - early);
}
