//! Pictures of running cameras.

use crate::common::find;
use crate::common::http::{connect, read_head};
use crate::common::operator::Operator;
use crate::common::running::start;
use crate::common::standin::Standin;
use crate::common::web::{Site, camera, config};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

/// RGB pixels of a JPEG, with its width and height.
fn decoded(jpeg: Vec<u8>) -> (i32, i32, Vec<u8>) {
    let text = "appsrc name=in ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false";
    let running = crate::common::running::Running::new(text);
    let source = running.source("in");
    source.set_caps(Some(&gst::Caps::builder("image/jpeg").build()));
    running.set_state(gst::State::Playing);
    source.push_buffer(gst::Buffer::from_slice(jpeg)).unwrap();
    let sample = running.sink("out").try_pull_sample(gst::ClockTime::from_seconds(30)).unwrap();
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let pixels = sample.buffer().unwrap().map_readable().unwrap().to_vec();
    (info.width() as i32, info.height() as i32, pixels)
}

/// The share of pixels in which two pictures of the same scene differ clearly, in their upper half: the lower has noise.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let differ = |(a, b): &(&[u8], &[u8])| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > 40);
    let pixels = a.len() / 6;
    a.chunks(3).zip(b.chunks(3)).take(pixels).filter(differ).count() as f64 / pixels as f64
}

/// Pictures have what models find, and plain ones don't.
#[track_caller]
fn check_pictures(site: &Site) {
    let picture = |more: &str| {
        let answer = site.get(&format!("/api/v1/cameras/door/picture.jpg{more}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("x-picture-time").is_some() && answer.header("cache-control") == Some("no-store"));
        decoded(answer.body)
    };
    let found = || site.get("/api/v1/cameras/door/objects").json()["objects"].as_array().map_or(0, Vec::len);
    site.operator.wait_for("objects", || found() > 0);
    assert!(site.camera("door")["picture_time"].is_null(), "none was taken");
    let (drawn, plain) = (picture(""), picture("?plain=1"));
    assert_eq!((drawn.0, drawn.1, plain.0, plain.1), (320, 240, 320, 240));
    let boxes = difference(&drawn.2, &plain.2);
    assert!(boxes > 0.005, "there are no boxes: {boxes}");
    let again = difference(&plain.2, &picture("?plain=1").2);
    assert!(again < boxes / 4.0, "plain pictures differ as much: {again}, {boxes}");
    let small = picture("?width=160");
    assert_eq!((small.0, small.1), (160, 120));
    assert!(site.camera("door")["picture_time"].is_string());
}

#[test]
fn pictures_have_boxes() {
    if !start() {
        return;
    }
    let site = Site::playing();
    check_pictures(&site);
}

#[test]
fn pictures_of_frames_in_gpu_memory_have_boxes() {
    let Some(standin) = Standin::new().filter(|_| start()) else { return };
    let operator = Operator::new();
    let mut config = config(&[camera("door")]);
    config["processing"] = json!({
        "USE_UNIFIED_GPU_PIPELINE": true, "ENABLE_NVDEC": false, "FORCE_GPU_ONLY": false, "MAX_QUEUE_SIZE": 5
    });
    config["models"]["DETECTION"] = json!({ "ONNX": find::test_model("yolo").to_str().unwrap() });
    operator.write(&config);
    let site = Site::of(operator, &["--web", "127.0.0.1:0"], |command| standin.set_environment(command));
    site.wait_until_playing(&["door"]);
    check_pictures(&site);
}

#[test]
fn live_pictures_come_at_the_rate_asked_for_and_end_with_the_camera() {
    if !start() {
        return;
    }
    let site = Site::playing();
    let mut stream = connect(&site.address);
    write!(stream, "GET /api/v1/cameras/door/live.mjpeg?fps=5 HTTP/1.1\r\nHost: {}\r\n\r\n", site.address).unwrap();
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader).unwrap();
    let kind = headers.iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind.as_str());
    assert_eq!((status, kind), (200, Some("multipart/x-mixed-replace; boundary=picture")));
    let mut chunks = Chunks { reader, left: 0 };
    let mut body = BufReader::new(&mut chunks);
    let mut part = || {
        let mut line = String::new();
        let mut length = 0;
        loop {
            line.clear();
            if body.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" && length > 0 {
                break;
            }
        }
        let mut jpeg = vec![0; length];
        body.read_exact(&mut jpeg).ok()?;
        Some(jpeg)
    };
    let begin = Instant::now();
    for _ in 0..6 {
        let jpeg = part().unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
    assert!(begin.elapsed() >= Duration::from_millis(800), "faster than asked for: {:?}", begin.elapsed());
    // The camera is removed: the stream ends.
    site.operator.write(&config(&[camera("yard")]));
    let begin = Instant::now();
    while part().is_some() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the stream goes on");
    }
}

/// The content of a body in chunks.
struct Chunks<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.reader.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let read = self.reader.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}

#[test]
fn a_camera_without_frames_has_no_picture() {
    if !start() {
        return;
    }
    let site = Site::start(&config(&[camera("door"), json!({ "NAME": "away", "URL": "rtsp://127.0.0.1:1/a" })]));
    site.wait_until_playing(&["door"]);
    for what in ["picture.jpg", "objects"] {
        let answer = site.get(&format!("/api/v1/cameras/away/{what}"));
        assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains("state"), "{}", answer.text());
    }
}
