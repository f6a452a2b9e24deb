//! `gst-trt run --web` in a process, and what clients can do to it.

use super::find;
use super::http::{Answer, connect, get};
use super::operator::Operator;
use super::random::Random;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// A standing picture, in which the test model finds the same in every frame.
pub fn camera(name: &str) -> Value {
    json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240, "FPS": 25 })
}

/// Cameras on the CPU with one model.
pub fn config(cameras: &[Value]) -> Value {
    json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "COUNTING": { "SETTLE_S": 0 } },
        "models": { "DETECTION": { "ONNX": find::test_model("yolo").to_str().unwrap() }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": cameras },
        "outputs": { "JSON_LINES": "{camera}.jsonl" },
        "monitoring": { "INTERVAL_S": 0.5 }
    })
}

/// A zone that is the whole picture.
pub fn whole(name: &str) -> Value {
    json!({ "NAME": name, "POLYGON": [[0, 0], [1, 0], [1, 1], [0, 1]], "ANCHOR": "centre" })
}

/// A process that serves the page.
pub struct Site {
    pub operator: Operator,
    pub address: String,
}

impl Site {
    pub fn start(config: &Value) -> Self {
        let operator = Operator::new();
        operator.write(config);
        Self::of(operator, &["--web", "127.0.0.1:0"], |_| ())
    }

    /// A site whose only camera, `door`, plays.
    pub fn playing() -> Self {
        let site = Self::start(&config(&[camera("door")]));
        site.wait_until_playing(&["door"]);
        site
    }

    /// Starts it with these arguments, and waits until all cameras play that can.
    pub fn of(
        mut operator: Operator,
        arguments: &[&str],
        environment: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        operator.run_in(arguments, environment);
        operator.wait_for_line("web page at http://");
        let address = operator.said().iter().find_map(|line| {
            let rest = line.split_once("web page at http://")?.1;
            Some(rest.split('/').next()?.to_owned())
        });
        let address = address.unwrap().replace("0.0.0.0", "127.0.0.1");
        Self { operator, address }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    #[track_caller]
    pub fn camera(&self, name: &str) -> Value {
        let answer = self.get(&format!("/api/v1/cameras/{name}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub fn wait_until_playing(&self, cameras: &[&str]) {
        for name in cameras {
            self.operator.wait_for(name, || {
                let answer = self.get(&format!("/api/v1/cameras/{name}"));
                answer.status == 200 && answer.json()["state"] == "playing"
            });
        }
    }
}

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
pub fn damaged(random: &mut Random, host: &str) -> Vec<u8> {
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

/// Sends this many damaged requests, each on a connection of its own, which a client often leaves without reading the answer.
pub fn send_damaged(address: &str, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    for _ in 0..count {
        let request = damaged(&mut random, address);
        let mut stream = connect(address);
        let _ = stream.write_all(&request);
        // A request that isn't complete has no answer until the server loses patience.
        let _ = stream.shutdown(Shutdown::Write);
        if random.chance(0.5) {
            drop(stream.read(&mut [0; 1000]));
        }
    }
}

/// Memory in RAM, MiB.
pub fn memory(site: &Site) -> u64 {
    let process = procfs::process::Process::new(i32::try_from(site.operator.id()).unwrap()).unwrap();
    (process.statm().unwrap().resident * procfs::page_size()) >> 20
}

/// Connections of which half ask for live pictures, and half for nothing yet.
pub fn never_reading(site: &Site, count: usize) -> Vec<TcpStream> {
    let connection = |number: usize| {
        let mut stream = connect(&site.address);
        let request = format!("GET /api/v1/cameras/door/live.mjpeg?fps=30 HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
        let text = if number.is_multiple_of(2) { &request[..] } else { &request[..10] };
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    (0..count).map(connection).collect()
}
