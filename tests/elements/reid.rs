//! `trttrack reid=…` on the CPU: who comes back has the same id.

use crate::common::find;
use crate::common::returning::{check, through};
use crate::common::running::{Running, start};
use gst::prelude::*;

fn reid() -> String {
    format!("backend=cpu reid={}", find::test_model("classify-logits").display())
}

#[test]
fn who_comes_back_is_recognised() {
    if start() {
        check(&reid(), str::to_owned);
    }
}

/// A queue behind and in front makes no difference, and neither does another stream with the same model.
#[test]
fn streams_share_a_model() {
    if !start() {
        return;
    }
    let launch = format!("queue ! trttrack name=tracker max-age=5 {} ! queue", reid());
    let threads = [(); 3].map(|()| {
        std::thread::spawn({
            let launch = launch.clone();
            move || through(&launch)
        })
    });
    let found = threads.map(|thread| thread.join().unwrap());
    assert!(found.iter().all(|ids| ids.before == ids.after && ids.before != ids.blue), "{found:?}");
    assert!(found[0].before != found[1].before, "{found:?}");
}

#[test]
fn the_time_of_a_look_is_latency() {
    if !start() {
        return;
    }
    let latency = |properties: &str| {
        let launch =
            format!("videotestsrc is-live=true ! trttrack name=tracker {properties} ! fakesink name=end sync=false");
        let p = Running::playing(&launch);
        p.0.state(gst::ClockTime::from_seconds(30)).0.unwrap();
        let mut query = gst::query::Latency::new();
        assert!(p.element("end").static_pad("sink").unwrap().peer_query(&mut query));
        query.result().1
    };
    assert!(latency(&reid()) > latency(""));
}

#[test]
fn what_can_not_be_a_model_is_an_error_at_the_start() {
    if !start() {
        return;
    }
    let error = |properties: &str| {
        let p = Running::new(&format!("videotestsrc ! trttrack {properties} ! fakesink"));
        assert!(p.0.set_state(gst::State::Paused).is_err(), "{properties}");
        p.error()
    };
    let of = |model: &str| format!("backend=cpu reid={}", find::test_model(model).display());
    for (properties, words) in [
        (of("yolo-bare"), "only output"),
        ("backend=cpu reid=/nowhere.onnx".to_owned(), "/nowhere.onnx"),
        (format!("{} reid-distance=0.5 low-confidence=0.9", reid()), "low-confidence 0.9 is above"),
    ] {
        let error = error(&properties);
        assert!(error.contains(words), "{properties}: {error}");
    }
    // Frames in another memory don't link.
    let launch = format!("videotestsrc ! video/x-raw(memory:CUDAMemory),format=NV12 ! trttrack {} ! fakesink", reid());
    assert!(gst::parse::launch(&launch).is_err());
}
