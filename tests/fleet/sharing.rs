//! Cameras are shared out, taken over, given back and given away.

use crate::common::fleet::{Fleet, Line, SECOND, check_lines, counts};
use crate::common::running::register;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CAMERAS: usize = 24;
/// The longest time in which cameras of a dead host play elsewhere: a session of 6 s, and taking over.
const TAKEOVER: Duration = Duration::from_secs(12);
/// Starting processes on a busy machine.
const START: Duration = Duration::from_secs(90);
/// After this a camera that plays doesn't count as one that may have ended its host.
const SETTLES: Duration = Duration::from_secs(5);

fn three_hosts(fleet: &mut Fleet) -> BTreeMap<String, String> {
    fleet.apply(&fleet.config(CAMERAS), &["--partitions", "24"]);
    ["a", "b", "c"].iter().for_each(|host| fleet.start(host, &[]));
    let start = Instant::now();
    loop {
        let owners = fleet.wait_for_all(CAMERAS, START);
        // The last host to join takes its share from the others.
        if counts(&owners) == [8, 8, 8] {
            std::thread::sleep(SETTLES);
            return owners;
        }
        assert!(start.elapsed() < START, "{owners:?}\n{}", fleet.describe());
        std::thread::sleep(SECOND / 4);
    }
}

fn moved(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    before.iter().filter(|(camera, host)| after[*camera] != **host).map(|(camera, _)| camera.clone()).collect()
}

/// Kills a host, and starts it again.
fn a_host_dies_and_comes_back(fleet: &mut Fleet) {
    let before = three_hosts(fleet);
    let killed = Instant::now();
    fleet.kill("b");
    let after = fleet.wait_for_all(CAMERAS, TAKEOVER);
    println!("all cameras of a killed host play elsewhere after {:?}", killed.elapsed());
    // It can't answer any more.
    let drained = fleet.command(&["drain", "b", "--wait", "20"]);
    let text = String::from_utf8_lossy(&drained.stderr);
    assert!(!drained.status.success() && text.contains("b hasn't reported for"), "{text}");
    assert!(after.values().all(|host| host != "b"), "{after:?}");
    assert!(moved(&before, &after).iter().all(|camera| before[camera] == "b"), "only its cameras have moved");
    std::thread::sleep(SETTLES);

    let started = Instant::now();
    fleet.start("b", &[]);
    let back = loop {
        let owners = fleet.wait_for_all(CAMERAS, START);
        if counts(&owners) == [8, 8, 8] {
            break owners;
        }
        assert!(started.elapsed() < START, "{owners:?}\n{}", fleet.describe());
        std::thread::sleep(SECOND / 4);
    };
    println!("it has its share again {:?} after it was started", started.elapsed());
    let gone = moved(&after, &back);
    assert_eq!(gone.len(), 8, "no more than its share moves: {gone:?}");
    assert!(gone.iter().all(|camera| back[camera] == "b"));

    for host in ["a", "b", "c"] {
        // A camera may play before the last partition is read.
        loop {
            let ready = fleet.get(host, "/readyz");
            if ready.starts_with("HTTP/1.1 200") {
                break;
            }
            assert!(started.elapsed() < START, "{host}: {ready}");
            std::thread::sleep(SECOND / 4);
        }
        assert!(fleet.get(host, "/healthz").starts_with("HTTP/1.1 200"));
    }
    let status = fleet.status();
    assert_eq!(status["hosts"].as_array().unwrap().len(), 3);
    let cameras = status["cameras"].as_array().unwrap();
    assert!(cameras.len() == CAMERAS && cameras.iter().all(|camera| camera["state"] == "playing"), "{status:#}");
    check_lines(&fleet.lines.all());
}

/// A plain restart moves nothing; a drain moves everything at once.
fn a_restart_moves_nothing_and_a_drain_all(fleet: &mut Fleet) {
    let before = fleet.wait_for_all(CAMERAS, START);
    fleet.stop("a");
    fleet.start("a", &[]);
    std::thread::sleep(SECOND);
    let after = fleet.wait_for_all(CAMERAS, START);
    assert_eq!(moved(&before, &after), Vec::<String>::new(), "{}", fleet.describe());

    let asked = Instant::now();
    let drained = fleet.command(&["drain", "a", "--wait", "60"]);
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
    println!("a host is drained in {:?}", asked.elapsed());
    let owners = fleet.wait_for_all(CAMERAS, START);
    assert!(owners.values().all(|host| host != "a"), "{owners:?}");
    assert!(fleet.get("a", "/readyz").starts_with("HTTP/1.1 503"));
    check_lines(&fleet.lines.all());
    fleet.stop("a");
}

/// A host that is suspended for 20 s publishes nothing of its old runs once it goes on.
fn a_suspended_host_is_silent_afterwards(fleet: &mut Fleet) {
    let owners = fleet.wait_for_all(CAMERAS, START);
    let victim = owners["c0"].clone();
    let epochs = |lines: &[Line]| -> BTreeMap<String, i64> {
        let of = lines.iter().filter(|line| line.host == victim);
        of.map(|line| (line.camera.clone(), line.epoch)).collect()
    };
    let old = epochs(&fleet.lines.all());
    fleet.signal(&victim, "STOP");
    std::thread::sleep(20 * SECOND);
    let others = fleet.lines.publishers(Instant::now() - SECOND);
    assert!(others.len() == CAMERAS && others.values().all(|hosts| !hosts.contains(&victim)), "{others:?}");
    let before = fleet.lines.all().len();
    fleet.signal(&victim, "CONT");
    std::thread::sleep(5 * SECOND);
    let lines = fleet.lines.all();
    let late: Vec<_> =
        lines[before..].iter().filter(|l| l.host == victim && old.get(&l.camera) == Some(&l.epoch)).collect();
    // What is already in a socket when the process is suspended arrives before it notices anything.
    println!("{} lines of old runs arrived after the suspension", late.len());
    assert!(late.len() <= 2 * CAMERAS, "{late:?}");
    let notices = Instant::now() - 4 * SECOND;
    assert!(late.iter().all(|line| line.at < notices), "{late:?}");
    fleet.wait_for_all(CAMERAS, START);
    check_lines(&fleet.lines.all());
}

/// Without brokers cameras go on; what waited is published afterwards.
fn brokers_are_away(fleet: &mut Fleet, time: Duration) {
    fleet.wait_for_all(CAMERAS, START);
    let (before, from) = (fleet.lines.all().len(), Instant::now());
    fleet.kafka.stop();
    std::thread::sleep(time);
    let frames = |fleet: &Fleet| -> u64 {
        let total = |host: &String| -> u64 {
            let text = fleet.get(host, "/metrics");
            let counters = text.lines().filter(|line| line.starts_with("gst_trt_camera_frames_total{"));
            counters.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        fleet.hosts.keys().map(total).sum()
    };
    let one = frames(fleet);
    std::thread::sleep(2 * SECOND);
    let two = frames(fleet);
    assert!(two > one + CAMERAS as u64, "cameras play without brokers: {one}, {two}");
    fleet.kafka.start();
    fleet.wait_for_all(CAMERAS, START);
    let lines = fleet.lines.all();
    println!("{} lines since the brokers went away {:?} ago", lines.len() - before, from.elapsed());
    check_lines(&lines);
}

/// A threshold that changes doesn't interrupt a camera; another source makes a new run.
fn changes_are_followed(fleet: &mut Fleet) {
    fleet.wait_for_all(CAMERAS, START);
    let epoch = |fleet: &Fleet, camera: &str| fleet.lines.all().iter().rfind(|l| l.camera == camera).unwrap().epoch;
    let (one, two) = (epoch(fleet, "c1"), epoch(fleet, "c2"));
    let mut config = fleet.config(CAMERAS);
    config["cameras"]["RTSP_STREAMS"][1]["URL"] = "test:snow".into();
    config["cameras"]["RTSP_STREAMS"].as_array_mut().unwrap().remove(3);
    let said = fleet.apply(&config, &[]);
    assert!(said.contains("c1: changed") && said.contains("c3: removed") && !said.contains("settings"), "{said}");
    let start = Instant::now();
    while epoch(fleet, "c1") == one {
        assert!(start.elapsed() < START, "{}", fleet.describe());
        std::thread::sleep(SECOND / 10);
    }
    std::thread::sleep(2 * SECOND);
    assert!(epoch(fleet, "c1") > one);
    assert_eq!(epoch(fleet, "c2"), two, "others go on");
    assert!(!fleet.lines.publishers(Instant::now() - SECOND).contains_key("c3"));
    fleet.apply(&fleet.config(CAMERAS), &[]);
    fleet.wait_for_all(CAMERAS, START);
    check_lines(&fleet.lines.all());
}

/// One broker for all of it, because a broker takes seconds to start.
#[test]
fn cameras_have_one_host_whatever_happens_to_hosts_and_brokers() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    a_host_dies_and_comes_back(&mut fleet);
    changes_are_followed(&mut fleet);
    a_restart_moves_nothing_and_a_drain_all(&mut fleet);
    a_suspended_host_is_silent_afterwards(&mut fleet);
    brokers_are_away(&mut fleet, 15 * SECOND);
}
