//! What clients can do to the program: malformed requests, connections that never read.

use super::{Site, camera, config};
use crate::common::http::{connect, send};
use crate::common::random::Random;
use crate::common::running::start;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Requests that are valid, to be damaged.
const VALID: [&str; 9] = [
    "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET /api/v1/cameras HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\n\r\n",
    "GET /api/v1/cameras/door/picture.jpg?width=100&plain=1 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET /api/v1/cameras/door/objects HTTP/1.1\r\nHost: HOST\r\nCookie: gst-trt-token=abc\r\n\r\n",
    "GET /api/v1/cameras/door/clips/a.mp4 HTTP/1.1\r\nHost: HOST\r\nRange: bytes=0-10\r\n\r\n",
    "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer abc\r\n\r\n",
    "PUT /api/v1/cameras/door/zones HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nIf-Match: \"a\"\r\n\
     Content-Length: 24\r\n\r\n{\"ZONES\":[],\"LINES\":[]}\n",
    "POST /api/v1/stream/remove HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Type: application/json\r\n\
     Content-Length: 52\r\n\r\n{\"value\":{\"camera_id\":\"none\",\"change\":\"remove\"}}      \n",
    "POST /api/v1/stream/add HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
     2\r\n{}\r\n0\r\n\r\n",
];

const PIECES: [&str; 16] = [
    "\r\n",
    "\0",
    "%00",
    "%ff",
    "../",
    "..%2f",
    "{",
    "}",
    "[",
    "\"",
    ":",
    " ",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: evil.example\r\n",
    "Range: bytes=-18446744073709551616\r\n",
];

/// A valid request with a few random changes, or none of it at all.
fn damaged(random: &mut Random, host: &str) -> Vec<u8> {
    if random.chance(0.1) {
        let count = random.below(400);
        return random.bytes(count);
    }
    let mut bytes = random.pick(&VALID).replace("HOST", host).into_bytes();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = random.bits() as u8,
            2 => drop(bytes.splice(at..at, random.pick(&PIECES).bytes())),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => {
                let end = (at + random.below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => drop(bytes.splice(at..at, std::iter::repeat_n(b'x', random.below(3000)))),
            _ => {}
        }
    }
    bytes
}

/// Memory in RAM, MiB.
fn memory(site: &Site) -> u64 {
    let process = procfs::process::Process::new(i32::try_from(site.operator.id()).unwrap()).unwrap();
    process.statm().unwrap().resident * procfs::page_size() >> 20
}

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
    let site = Site::start(&config(&[camera("door")]));
    site.wait_until_playing(&["door"]);
    let file = std::fs::read(site.operator.path("config.json")).unwrap();
    let ask = |seed: u64, count: usize| {
        let mut random = Random::new(seed);
        for _ in 0..count {
            let request = damaged(&mut random, &site.address);
            let mut stream = connect(&site.address);
            let _ = stream.write_all(&request);
            // A request that isn't complete has no answer until the server loses patience.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            if random.chance(0.5) {
                drop(std::io::Read::read(&mut stream, &mut [0; 1000]));
            }
        }
    };
    ask(1, 200);
    let before = memory(&site);
    std::thread::scope(|scope| {
        for seed in 2..6 {
            scope.spawn(move || ask(seed, 2500));
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
    let site = Site::start(&config(&[camera("door")]));
    site.wait_until_playing(&["door"]);
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

/// Connections of which half ask for live pictures, and half for nothing yet.
fn never_reading(site: &Site, count: usize) -> Vec<TcpStream> {
    let connection = |number: usize| {
        let mut stream = connect(&site.address);
        let request = format!("GET /api/v1/cameras/door/live.mjpeg?fps=30 HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
        let text = if number % 2 == 0 { &request[..] } else { &request[..10] };
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    (0..count).map(connection).collect()
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
