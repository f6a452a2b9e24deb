//! What clients can do to the program: malformed requests, connections that never read.

use crate::common::http::{connect, send};
use crate::common::running::start;
use crate::common::web::{Site, camera, config, memory, never_reading, send_damaged};
use std::io::Write;
use std::time::{Duration, Instant};

#[track_caller]
fn is_well(site: &Site) {
    let frames = site.camera("door")["frames"].as_u64();
    site.operator.wait_for("more frames", || site.camera("door")["frames"].as_u64() > frames);
    let said = site.operator.said();
    assert!(
        !said.iter().any(|line| line.contains("panicked") || line.contains("lost") || line.contains("anew")),
        "{said:#?}"
    );
}

#[test]
fn malformed_requests_do_no_harm() {
    if !start() {
        return;
    }
    let site = Site::playing();
    let file = std::fs::read(site.operator.path("config.json")).unwrap();
    let address = site.address.as_str();
    send_damaged(address, 1, 200);
    let before = memory(&site);
    std::thread::scope(|scope| {
        for seed in 2..6 {
            scope.spawn(move || send_damaged(address, seed, 2500));
        }
    });
    let after = memory(&site);
    is_well(&site);
    assert!(after < before + 64, "memory grew from {before} to {after} MiB");
    assert_eq!(std::fs::read(site.operator.path("config.json")).unwrap(), file);
}

#[test]
fn clients_that_never_read_hold_up_nothing() {
    if !start() {
        return;
    }
    let site = Site::playing();
    let before = memory(&site);
    let _silent = never_reading(&site, 200);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        assert_eq!(site.get("/api/v1/cameras").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(site.get("/api/v1/cameras/door/picture.jpg").status, 200);
    is_well(&site);
    let after = memory(&site);
    assert!(after < before + 128, "memory grew from {before} to {after} MiB");
}

#[test]
fn a_head_without_end_is_given_up() {
    if !start() {
        return;
    }
    let site = Site::start(&config(&[camera("door")]));
    let mut stream = connect(&site.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let begin = Instant::now();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let large = format!("GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", site.address, "x".repeat(1 << 20));
    let answer = send(&site.address, large.as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431), "a head of a MiB is too large");
    let many = "a: b\r\n".repeat(1000);
    let answer = send(&site.address, format!("GET / HTTP/1.1\r\nHost: {}\r\n{many}\r\n", site.address).as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431), "there are too many headers");
}

/// CPU time of the threads of this name, of a process.
fn cpu_of(id: u32, name: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
    let of_task = |task: std::fs::DirEntry| {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let time = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        (comm.trim() == name).then_some(())?;
        time.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    tasks.filter_map(of_task).sum()
}

/// 0.2 % of a core: of the server's threads; the soak measures the whole process.
#[test]
fn nobody_looking_costs_nothing() {
    if !start() {
        return;
    }
    let site = Site::playing();
    // A pipeline for pictures is closed after 5 s.
    assert_eq!(site.get("/api/v1/cameras/door/picture.jpg").status, 200);
    // So are, as long after, the threads that wait for disks and pipelines.
    std::thread::sleep(Duration::from_secs(15));
    let before = cpu_of(site.operator.id(), "web");
    assert!(!before.is_zero(), "there is no such thread");
    let threads = std::fs::read_dir(format!("/proc/{}/task", site.operator.id())).unwrap().flatten();
    let names = threads.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let names: Vec<_> = names.collect();
    assert!(!names.iter().any(|name| name.starts_with("frames:src")), "a picture's pipeline is there: {names:?}");
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    let used = cpu_of(site.operator.id(), "web") - before;
    assert!(used < begin.elapsed() / 500, "{used:?} in {:?}", begin.elapsed());
}
