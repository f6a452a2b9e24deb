//! A host takes as many cameras as its models have time for, which it measures.

use crate::common::find;
use crate::common::fleet::{Fleet, SECOND};
use crate::common::running::register;
use serde_json::Value;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// A model that takes tens of milliseconds for each of `fps` pictures a second of each camera.
fn slow(fleet: &Fleet, cameras: usize, fps: u32) -> Value {
    let mut config = fleet.config(cameras);
    config["models"]["DETECTION"]["ONNX"] = find::test_model("slow").to_str().unwrap().into();
    for camera in config["cameras"]["RTSP_STREAMS"].as_array_mut().unwrap() {
        camera["FPS"] = fps.into();
    }
    config
}

/// The host's capacity, and how many cameras it serves and doesn't serve.
fn counts(status: &Value, host: &str) -> (u64, usize, usize) {
    let row = status["hosts"].as_array().unwrap().iter().find(|row| row["host"] == host).unwrap();
    let cameras = row["cameras"].as_array().unwrap();
    let served = cameras.iter().filter(|camera| camera["epoch"].is_i64()).count();
    let unserved = cameras.iter().filter(|camera| camera["state"] == "unserved").count();
    (row["capacity"].as_u64().unwrap_or(u64::MAX), served, unserved)
}

#[track_caller]
fn wait(fleet: &Fleet, host: &str, done: impl Fn((u64, usize, usize)) -> bool) -> (u64, usize, usize) {
    let start = Instant::now();
    loop {
        let status = fleet.status();
        let known = status["hosts"].as_array().unwrap().iter().any(|row| row["host"] == host);
        let found = if known { counts(&status, host) } else { (0, 0, 0) };
        if done(found) {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "{found:?}\n{}", fleet.describe());
        std::thread::sleep(SECOND / 2);
    }
}

#[test]
fn a_host_takes_the_cameras_that_its_models_have_time_for() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    // With 30 frames a second there would be room for less; that it's one is measured.
    fleet.apply(&slow(&fleet, 3, 1), &["--partitions", "3"]);
    fleet.start("a", &[]);
    fleet.wait_for_all(3, LIMIT);
    let (capacity, ..) = wait(&fleet, "a", |(capacity, served, _)| served == 3 && capacity >= 3);
    println!("room for {capacity} cameras with a picture a second");

    fleet.next("crowded");
    fleet.apply(&slow(&fleet, 12, 20), &["--partitions", "12"]);
    fleet.start("a", &[]);
    fleet.wait_for_line("a", "doesn't run: this host takes");
    fleet.wait_for_line("a", "room for ");
    // It has measured more than once.
    std::thread::sleep(12 * SECOND);
    let (capacity, served, unserved) = wait(&fleet, "a", |(_, served, unserved)| served + unserved == 12);
    println!("room for {capacity} cameras with 20 pictures a second: {served} run");
    assert!(served >= 1 && unserved >= 1, "{capacity}: {served}, {unserved}\n{}", fleet.describe());
    let metrics = fleet.get("a", "/metrics");
    let series = metrics.lines().filter(|line| line.starts_with("gst_trt_camera_unserved{") && line.ends_with(" 1"));
    assert!(series.count() >= 1, "{metrics}");

    // What the operator says counts, whatever was measured; the first host keeps those that it has and is left with.
    fleet.start("b", &["--max-cameras", "12"]);
    wait(&fleet, "b", |found| found == (12, 6, 0));
    let (_, served, unserved) = wait(&fleet, "a", |(_, served, unserved)| served + unserved == 6);
    assert!(served >= 1, "{served}, {unserved}");
}
