//! Clips by command and by signal, where hosts are clients of one MQTT broker.

use crate::common::barcode::{self, Codec};
use crate::common::clips_of_events::files;
use crate::common::fleet::{Fleet, SECOND};
use crate::common::mosquitto::Mosquitto;
use crate::common::running::start;
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};

const CAMERAS: usize = 4;
const LIMIT: Duration = Duration::from_secs(90);

/// How many clips the host has of each camera.
fn clips(fleet: &Fleet, host: &str) -> Vec<usize> {
    let of = |n: usize| files(&fleet.path(host).join("clips").join(format!("c{n}")), "json").len();
    (0..CAMERAS).map(of).collect()
}

#[track_caller]
fn wait(fleet: &Fleet, what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "no {what}: {:?}\n{}", clips(fleet, "a"), fleet.describe());
        std::thread::sleep(SECOND / 10);
    }
}

#[test]
fn each_camera_s_host_records_its_clips() {
    if !start() {
        return;
    }
    let (Some(mut fleet), Some(broker)) = (Fleet::open(), Mosquitto::open()) else { return };
    barcode::write_mp4(Codec::H264, 250, &fleet.path("numbers.mp4"));
    let mut config = fleet.config(CAMERAS);
    for camera in config["cameras"]["RTSP_STREAMS"].as_array_mut().unwrap() {
        *camera = json!({ "NAME": camera["NAME"], "URL": fleet.path("numbers.mp4").to_str().unwrap() });
    }
    config["outputs"]["MQTT"] = json!({ "URL": format!("mqtt://127.0.0.1:{}", broker.port), "CLIENT_ID": "hall" });
    config["outputs"]["CLIPS"] = json!({
        "FOLDER": "clips", "BEFORE_S": 1, "AFTER_S": 1, "RULES": [], "COMMAND_TOPIC": "site/{camera}/clip"
    });
    fleet.apply(&config, &["--partitions", "4"]);
    for host in ["a", "b"] {
        fleet.start(host, &["--max-cameras", "4"]);
    }
    let begun = Instant::now();
    let owners = loop {
        let owners = fleet.wait_for_all(CAMERAS, LIMIT);
        if owners.values().filter(|host| *host == "a").count() == 2 {
            break owners;
        }
        assert!(begun.elapsed() < LIMIT, "{owners:?}");
    };
    // Of both hosts, each with a connection for lines and one for commands.
    for host in ["a", "b"] {
        for id in [format!("hall-{host}"), format!("hall-{host}-commands")] {
            wait(&fleet, &id, || broker.log().contains(&format!(" as {id} ")));
        }
    }
    let subscribed = |n: usize| broker.log().matches(&format!("site/c{n}/clip (QoS 1)")).count() > 0;
    wait(&fleet, "subscriptions", || (0..CAMERAS).all(subscribed));
    let own =
        |host: &str| -> Vec<usize> { (0..CAMERAS).map(|n| usize::from(owners[&format!("c{n}")] == host)).collect() };
    let ask = || {
        for n in 0..CAMERAS {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-p", &broker.port.to_string(), "-q", "1", "-m", "now", "-t", &format!("site/c{n}/clip")]);
            assert!(command.status().unwrap().success());
        }
    };
    ask();
    wait(&fleet, "clips by command", || clips(&fleet, "a") == own("a") && clips(&fleet, "b") == own("b"));

    fleet.signal("a", "USR1");
    let twice: Vec<usize> = own("a").iter().map(|count| 2 * count).collect();
    wait(&fleet, "clips by signal", || clips(&fleet, "a") == twice);
    assert_eq!(clips(&fleet, "b"), own("b"), "the other host wasn't asked");

    // The host that takes over hears commands for its new cameras.
    fleet.kill("a");
    let taken = fleet.wait_for_all(CAMERAS, LIMIT);
    assert!(taken.values().all(|host| host == "b"), "{taken:?}");
    wait(&fleet, "subscriptions", || {
        (0..CAMERAS).all(|n| broker.log().matches(&format!("site/c{n}/clip (QoS 1)")).count() > own("a")[n])
    });
    std::thread::sleep(2 * SECOND);
    ask();
    let all: Vec<usize> = own("b").iter().map(|count| count + 1).collect();
    wait(&fleet, "clips of the host that took over", || clips(&fleet, "b") == all);
    assert!(!broker.log().contains("already connected"), "{}", broker.log());

    // Each host has a status, which the broker sets for the one that was killed.
    let mut status = Command::new("mosquitto_sub");
    status.args(["-p", &broker.port.to_string(), "-v", "-t", "gst-trt/status/#", "-C", "2", "-W", "10"]);
    let status = String::from_utf8(status.output().unwrap().stdout).unwrap();
    let mut lines: Vec<&str> = status.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["gst-trt/status/a offline", "gst-trt/status/b online"]);
}
