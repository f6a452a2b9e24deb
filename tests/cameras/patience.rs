//! Waiting for cameras: those that refuse, are slow, or send no key frame, and files with pauses.

use crate::common::barcode::{self, Codec};
use crate::common::find;
use crate::common::rtsp::{Camera, Refusing, Sends};
use crate::common::running::{Running, start};
use crate::common::supervised::{IMPATIENCE, Supervised, camera, gaps, rtsp};
use gst::prelude::*;
use gsttensorrt::check::ask_camera;
use gsttensorrt::config::{self, Overrides, Transport, Variables, load_text};
use gsttensorrt::monitor::CameraState;
use gsttensorrt::run::{self, CameraSetup, FileSource, Outcome, SourceSetup};
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const BASIC: &str = "Basic realm=\"camera\"";
const DIGEST: &str = "Digest realm=\"camera\", nonce=\"0123456789abcdef\"";

/// The reports of a camera's losses and refusals.
fn losses(cameras: &Supervised, name: &str) -> Vec<String> {
    let of_it =
        |line: &String| line.starts_with(&format!("{name}: ")) && (line.contains("lost") || line.contains("login"));
    cameras.lines().into_iter().filter(of_it).collect()
}

#[test]
fn a_refused_login_is_retried_after_a_minute_and_reported_once() {
    start();
    let refusals = [
        ("basic", "DESCRIBE", "401 Unauthorized", BASIC),
        ("digest", "DESCRIBE", "401 Unauthorized", DIGEST),
        ("forbidden", "DESCRIBE", "403 Forbidden", ""),
        ("forbidden-challenge", "DESCRIBE", "403 Forbidden", DIGEST),
        ("options", "OPTIONS", "401 Unauthorized", BASIC),
        ("setup", "SETUP", "401 Unauthorized", DIGEST),
        ("setup-forbidden", "SETUP", "403 Forbidden", ""),
        ("play", "PLAY", "401 Unauthorized", BASIC),
        ("play-forbidden", "PLAY", "403 Forbidden", ""),
    ];
    let servers = refusals.map(|(_, method, status, challenge)| Refusing::start(method, status, challenge));
    let other = Refusing::start("DESCRIBE", "404 Not Found", "");
    let mut setups: Vec<_> = refusals
        .iter()
        .zip(&servers)
        .map(|((name, ..), server)| rtsp(name, &server.url_as("admin:hunter2@"), Transport::Tcp))
        .collect();
    let without = Refusing::start("DESCRIBE", "401 Unauthorized", BASIC);
    setups.push(rtsp("no-user", &without.url_as(""), Transport::Tcp));
    setups.push(rtsp("no-such-path", &other.url_as("admin:hunter2@"), Transport::Tcp));
    let cameras = Supervised::start(setups.clone());
    let refused = |name: &str| cameras.state(name) == Some(CameraState::Refused);
    let names: Vec<_> = refusals.iter().map(|(name, ..)| *name).chain(["no-user"]).collect();
    for name in &names {
        cameras.wait_for(&format!("refusal of {name}"), 15 * SECOND, || refused(name));
    }
    cameras.wait_for("other attempts", 20 * SECOND, || other.count("DESCRIBE") >= 5);
    assert_eq!(cameras.state("no-such-path"), Some(CameraState::Reconnecting));
    for ((name, _, status, _), server) in refusals.iter().zip(&servers) {
        assert!(refused(name), "{name}");
        let requests = server.requests();
        assert_eq!(server.count("OPTIONS"), if *name == "options" { 2 } else { 1 }, "{requests:#?}");
        // Including the request that ends the session.
        assert!(server.logins() <= 2, "{name}: {requests:#?}");
        let said = losses(&cameras, name);
        let [line] = &said[..] else { panic!("{name}: {said:#?}") };
        let code = format!("({})", &status[..3]);
        assert!(line.contains("refused the login") && line.contains(&code), "{line}");
        assert!(line.contains("check user and password") && !line.contains("hunter2"), "{line}");
        let reason = cameras.cameras().into_iter().find(|camera| camera.name == *name).unwrap().reason.unwrap();
        assert!(reason.contains(&code), "{reason}");
    }
    let said = losses(&cameras, "no-user");
    assert!(said.len() == 1 && said[0].contains("write user and password into its URL"), "{said:#?}");

    // The configuration was read again: one more attempt, and no more.
    let before = servers.each_ref().map(|server| server.count("OPTIONS"));
    cameras.apply(setups);
    for (((name, ..), server), before) in refusals.iter().zip(&servers).zip(before) {
        cameras.wait_for(&format!("another attempt at {name}"), 10 * SECOND, || server.count("OPTIONS") == 2 * before);
    }
    std::thread::sleep(2 * SECOND);
    for (((name, ..), server), before) in refusals.iter().zip(&servers).zip(before) {
        assert_eq!(server.count("OPTIONS"), 2 * before, "{name}");
        assert!(refused(name) && server.logins() <= 4 && losses(&cameras, name).len() == 1, "{:#?}", server.requests());
    }
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
fn a_password_that_changes_is_refused_and_a_right_one_plays_at_once() {
    start();
    let mut server = Camera::start(Codec::H264);
    let ask_for = |server: &mut Camera, password: &str| {
        server.kill();
        server.ask_for("admin", password);
        server.restart();
    };
    ask_for(&mut server, "old");
    let setup =
        |server: &Camera, password: &str| rtsp("door", &server.url_as(&format!("admin:{password}@")), Transport::Tcp);
    let cameras = Supervised::start(vec![setup(&server, "old")]);
    cameras.wait_for_pictures("door", 10, 15 * SECOND);
    ask_for(&mut server, "new");
    cameras.wait_for("refusal", 15 * SECOND, || cameras.state("door") == Some(CameraState::Refused));
    cameras.apply(vec![setup(&server, "wrong")]);
    cameras.wait_for("refusal", 15 * SECOND, || {
        losses(&cameras, "door").iter().filter(|line| line.contains("login")).count() == 2
    });
    cameras.apply(vec![setup(&server, "new")]);
    cameras.wait_for_pictures("door", 10, 15 * SECOND);
    // The camera's old password is valid again, and the configuration is unchanged.
    ask_for(&mut server, "other");
    cameras.wait_for("refusal", 15 * SECOND, || cameras.state("door") == Some(CameraState::Refused));
    ask_for(&mut server, "new");
    cameras.apply(vec![setup(&server, "new")]);
    cameras.wait_for_pictures("door", 10, 15 * SECOND);
    assert_eq!(cameras.state("door"), Some(CameraState::Playing));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// The plan of a configuration with one camera, on the CPU.
fn plan(url: &str, variables: &[(&str, &str)]) -> config::Plan {
    let text = format!(
        r#"{{ "processing": {{ "USE_UNIFIED_GPU_PIPELINE": false, "ENABLE_DECOUPLED_PIPELINE": true }},
              "models": {{ "DETECTION": {{ "ONNX": "{}" }}, "POSE": {{ "ENABLED": false }} }},
              "cameras": {{ "RTSP_STREAMS": [ {{ "NAME": "door", "URL": "{url}" }} ] }} }}"#,
        find::test_model("yolo").display()
    );
    let overrides = Overrides { variables: Variables::from_iter(variables.iter().copied()), set: vec![] };
    load_text(Path::new("config.json"), &text, &overrides).unwrap_or_else(|findings| panic!("{url}: {findings}")).plan
}

/// The cameras of such a configuration, without model and outputs.
fn setups(url: &str, variables: &[(&str, &str)]) -> Vec<CameraSetup> {
    let setups = run::cameras(&plan(url, variables), |_| None).unwrap();
    setups.into_iter().map(|setup| CameraSetup { elements: vec![], ..setup }).collect()
}

#[test]
fn check_asks_a_camera_that_refuses_once() {
    start();
    for (status, challenge) in [("401 Unauthorized", BASIC), ("401 Unauthorized", DIGEST), ("403 Forbidden", "")] {
        let server = Refusing::start("DESCRIBE", status, challenge);
        let error = ask_camera(&plan(&server.url_as("admin:hunter2@"), &[]).cameras[0]).unwrap_err();
        assert!(error.contains("refused the login (40") && error.contains("check user and password"), "{error}");
        assert!(!error.contains("hunter2") && server.logins() <= 1, "{error}: {:#?}", server.requests());
    }
}

/// Users and passwords that `check` accepts reach the camera, and nothing else.
#[test]
fn users_and_passwords_of_any_characters_reach_the_camera() {
    start();
    let server = std::cell::RefCell::new(Camera::start(Codec::H264));
    let plays = |user: &str, password: &str, written: &str, variables: &[(&str, &str)]| {
        let mut server = server.borrow_mut();
        server.kill();
        server.ask_for(user, password);
        server.restart();
        let cameras = Supervised::start(setups(&server.url_as(written), variables));
        cameras.wait_for_pictures("door", 3, 15 * SECOND);
    };
    plays("admin", "", "admin@", &[]);
    plays("admin", "", "admin:@", &[]);
    plays("admin", "p@ss", "admin:p%40ss@", &[]);
    plays("a@b", "100%sure:/?#", "a%40b:100%25sure%3A%2F%3F%23@", &[]);
    plays("admin", "pässwörd x:y", "admin:pässwörd%20x:y@", &[]);
    plays("adm@in", "p@s%s#/?: %zz", "${U}:${P}@", &[("U", "adm@in"), ("P", "p@s%s#/?: %zz")]);

    // The rest of the network traffic has the host, the path and no more.
    let server = Refusing::start("DESCRIBE", "401 Unauthorized", BASIC);
    for user in ["hunter%40two:hunter%25@", "${U}:hunter2@", "hunter2@"] {
        let cameras = Supervised::start(setups(&server.url_as(user), &[("U", "hunter@ü")]));
        cameras.wait_for("refusal", 15 * SECOND, || cameras.state("door") == Some(CameraState::Refused));
        assert!(!cameras.lines().iter().any(|line| line.contains("hunter")), "{:#?}", cameras.lines());
    }
    assert!(server.logins() >= 3, "each was tried");
    assert!(!server.requests().iter().any(|request| request.line.contains("hunter")), "{:#?}", server.requests());
}

fn file(path: &Path) -> SourceSetup {
    SourceSetup::File(FileSource { path: path.into(), looping: true })
}

/// A file can't stall: its timestamps say when the next frame is due.
#[test]
fn files_with_pauses_play_to_their_end() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let milliseconds = Duration::from_millis;
    let lapse: Vec<_> = (0..4).map(|n| 2500 * n).collect();
    let gap: Vec<_> = (0..10).map(|n| 40 * n).chain((0..10).map(|n| 5000 + 40 * n)).collect();
    let irregular = vec![0, 40, 80, 2600, 2640, 2680, 5500, 5540, 6000, 9000];
    let late = vec![0, 7000, 7040, 7080];
    let files = [
        ("lapse", Codec::H264, "mp4mux", lapse.clone()),
        ("lapse-matroska", Codec::H265, "matroskamux", lapse),
        ("gap", Codec::H264, "mp4mux", gap.clone()),
        ("gap-transport", Codec::H264, "mpegtsmux", gap),
        ("irregular", Codec::H265, "mp4mux", irregular),
        ("late", Codec::H264, "matroskamux", late),
    ];
    let path = |name: &str| folder.path().join(name);
    let mut setups = Vec::new();
    for (name, codec, muxer, times) in &files {
        let times: Vec<_> = times.iter().map(|time| milliseconds(*time)).collect();
        barcode::write_timed(*codec, &times, muxer, &path(name));
        setups.push(camera(name, file(&path(name))));
    }
    // The decoder outputs the first frame when it has the third: that is longer than a connection may take.
    let reordered = Running::playing(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=320,height=240,framerate=2/5 ! \
         x264enc bframes=2 b-adapt=false key-int-max=100 threads=1 ! h264parse ! matroskamux ! filesink location={}",
        path("reordered").display()
    ));
    reordered.wait_for_end();
    setups.push(camera("reordered", file(&path("reordered"))));
    let cameras = Supervised::start(setups);
    for (name, _, _, times) in &files {
        // The next loop plays too.
        cameras.wait_for(name, 40 * SECOND, || cameras.count(name) > times.len());
        let arrivals = cameras.arrivals(name);
        for (n, arrival) in arrivals.iter().enumerate() {
            assert_eq!(arrival.number, Some((n % times.len()) as u64), "{name}: picture {n}");
        }
        for n in 1..times.len() {
            let step = Duration::from(arrivals[n].pts.unwrap() - arrivals[n - 1].pts.unwrap());
            let wanted = milliseconds(times[n] - times[n - 1]);
            assert!(step.abs_diff(wanted) < milliseconds(5), "{name}: picture {n}: {step:?} for {wanted:?}");
        }
    }
    cameras.wait_for("reordered", 30 * SECOND, || cameras.count("reordered") > 5);
    for (name, ..) in files.iter().map(|(name, ..)| (*name, ())).chain([("reordered", ())]) {
        assert_eq!(losses(&cameras, name), [] as [&str; 0]);
    }
    assert!(cameras.cameras().iter().all(|camera| camera.reconnects == 0));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// Cameras that need as long for one frame as others may stay silent.
#[test]
fn a_slow_camera_keeps_its_connection_and_one_that_stops_is_missed() {
    start();
    const SLOW: Duration = Duration::from_millis(2500);
    assert!(SLOW > IMPATIENCE.silence);
    let sending = |codec, rate: Option<(i32, i32)>, period| {
        let rate = rate.map(|(pictures, seconds)| gst::Fraction::new(pictures, seconds));
        Camera::sending(codec, Sends { period, rate, ..Sends::clip(codec) })
    };
    let servers = [
        ("true", sending(Codec::H264, Some((2, 5)), SLOW), Transport::Tcp),
        ("untrue", sending(Codec::H264, Some((25, 1)), SLOW), Transport::Tcp),
        ("silent", sending(Codec::H264, None, SLOW), Transport::Tcp),
        ("udp", sending(Codec::H264, None, SLOW), Transport::Udp),
        ("h265", sending(Codec::H265, Some((2, 5)), SLOW), Transport::Udp),
    ];
    let (fast, slowing) = (Camera::start(Codec::H264), Camera::start(Codec::H265));
    let setups = servers.iter().map(|(name, server, transport)| rtsp(name, &server.url(), *transport));
    let more = [("fast", &fast), ("slowing", &slowing)].map(|(name, server)| rtsp(name, &server.url(), Transport::Tcp));
    let cameras = Supervised::start(setups.chain(more).collect());
    cameras.wait_for_pictures("slowing", 5, 15 * SECOND);
    for milliseconds in [100, 250, 600, 1400, 3000] {
        slowing.pace(Duration::from_millis(milliseconds));
        cameras.wait_for_pictures("slowing", 3, 25 * SECOND);
    }
    for (name, ..) in &servers {
        cameras.wait_for(name, 30 * SECOND, || cameras.count(name) >= 5);
        assert_eq!(gaps(&cameras.arrivals(name)), [], "{name}");
        assert_eq!(losses(&cameras, name), [] as [&str; 0]);
    }
    assert_eq!(gaps(&cameras.arrivals("slowing")), []);
    assert!(cameras.cameras().iter().all(|camera| camera.state == CameraState::Playing && camera.reconnects == 0));

    // A fast camera is reported as before, a slow one after three of its own intervals.
    fast.stall(true);
    cameras.wait_for("loss", 4 * SECOND, || cameras.state("fast") != Some(CameraState::Playing));
    servers[0].1.stall(true);
    cameras.wait_for("loss", 3 * SLOW + 4 * SECOND, || cameras.state("true") != Some(CameraState::Playing));
    let said = losses(&cameras, "true");
    let silence = said[0].split_once("no picture for ").and_then(|(_, text)| text.split_once("s ("));
    let seconds: f64 = silence.and_then(|(seconds, _)| seconds.parse().ok()).unwrap_or_default();
    // Its longest interval decides, which a busy machine stretches.
    assert!((7.4..10.0).contains(&seconds) && said[0].contains("STALL_TIMEOUT_S"), "{said:#?}");
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// Starts a camera's stream, so that later clients join in the middle.
fn begin(server: &Camera) -> Running {
    let first =
        Running::playing(&format!("rtspsrc location={} protocols=tcp ! fakesink name=sink sync=false", server.url()));
    let sink = first.element("sink");
    let start = std::time::Instant::now();
    while sink.property::<gst::Structure>("stats").get::<u64>("rendered").unwrap_or(0) == 0 {
        assert!(start.elapsed() < 20 * SECOND, "the first client gets nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    first
}

fn keyless(cameras: &Supervised, name: &str) -> usize {
    cameras
        .lines()
        .iter()
        .filter(|line| line.starts_with(&format!("{name}: ")) && line.contains("no key frame for"))
        .count()
}

/// Key frames that are further apart than a connection may take are waited for, at any frame rate.
#[test]
fn rare_key_frames_are_waited_for_and_reported() {
    start();
    let distance = IMPATIENCE.connect + 3 * SECOND;
    assert!(distance < IMPATIENCE.key_frame());
    let cases = [
        ("h264-5", Codec::H264, 5),
        ("h264-15", Codec::H264, 15),
        ("h264-30", Codec::H264, 30),
        ("h265-10", Codec::H265, 10),
    ];
    let servers = cases.map(|(_, codec, rate)| {
        let pictures = distance.as_secs() * rate;
        let units = barcode::encode(codec, pictures)[..pictures as usize].to_vec();
        let rate = gst::Fraction::new(rate as i32, 1);
        let period = Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer()));
        Camera::sending(codec, Sends { units, period, rate: Some(rate), again: 0 })
    });
    let _first: Vec<_> = servers.iter().map(begin).collect();
    std::thread::sleep(SECOND / 2);
    let setups = cases.iter().zip(&servers).map(|((name, ..), server)| rtsp(name, &server.url(), Transport::Tcp));
    let cameras = Supervised::start(setups.collect());
    for (name, ..) in cases {
        cameras.wait_for_pictures(name, 5, distance + 10 * SECOND);
        // Playback begins with the key frame and continues without a new connection.
        assert_eq!(cameras.arrivals(name)[0].number, Some(0), "{name}");
        assert_eq!(losses(&cameras, name), [] as [&str; 0]);
        assert_eq!(keyless(&cameras, name), 1, "{:#?}", cameras.lines());
    }
    assert!(cameras.cameras().iter().all(|camera| (camera.state, camera.reconnects) == (CameraState::Playing, 0)));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// While a decoder that was behind waits for the next key frame, data arrives, so the camera isn't lost.
#[test]
fn a_decoder_that_was_behind_waits_for_the_next_key_frame() {
    start();
    let distance = IMPATIENCE.connect + 3 * SECOND;
    let pictures = distance.as_millis() / barcode::PERIOD.as_millis();
    let units = barcode::encode(Codec::H264, pictures as u64)[..pictures as usize].to_vec();
    let server = Camera::sending(Codec::H264, Sends { units, ..Sends::clip(Codec::H264) });
    let mut setup = rtsp("door", &server.url(), Transport::Tcp);
    setup.coded_queue = 5;
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("door", 5, 15 * SECOND);
    let decoder = cameras.pipeline("door").unwrap().by_name("decoder").unwrap();
    let pad = decoder.static_pad("src").unwrap();
    let held = pad.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok).unwrap();
    cameras.wait_for("drops", 10 * SECOND, || cameras.cameras()[0].drops > 0);
    pad.remove_probe(held);
    // Queued frames are output, then nothing up to the key frame.
    cameras.wait_for("key frame", distance + 10 * SECOND, || {
        let arrivals = cameras.arrivals("door");
        arrivals.iter().skip(5).any(|arrival| arrival.number == Some(0))
    });
    assert_eq!(losses(&cameras, "door"), [] as [&str; 0]);
    let door = cameras.cameras().remove(0);
    assert_eq!((door.state, door.reconnects, &door.reason), (CameraState::Playing, 0, &None));
    assert!(door.drops > 50, "{door:?}");
    assert_eq!(keyless(&cameras, "door"), 1, "{:#?}", cameras.lines());
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// A stream without key frames is decoded in the end, at any frame rate.
#[test]
fn streams_without_key_frames_play_in_the_end() {
    start();
    let cases = [("h264-5", Codec::H264, 5), ("h264-30", Codec::H264, 30), ("h265-8", Codec::H265, 8)];
    let servers = cases.map(|(_, codec, rate)| {
        let units = barcode::encode(codec, 1000);
        let rate = gst::Fraction::new(rate, 1);
        let period = Duration::from_secs_f64(1.0 / f64::from(rate.numer()));
        // The only key frame is its first one.
        Camera::sending(codec, Sends { units, period, rate: Some(rate), again: 1 })
    });
    let _first: Vec<_> = servers.iter().map(begin).collect();
    std::thread::sleep(SECOND / 2);
    let setups = cases.iter().zip(&servers).map(|((name, ..), server)| rtsp(name, &server.url(), Transport::Tcp));
    let cameras = Supervised::start(setups.collect());
    for (name, ..) in cases {
        cameras.wait_for("word", IMPATIENCE.silence + 10 * SECOND, || keyless(&cameras, name) == 1);
        let camera = cameras.cameras().into_iter().find(|camera| camera.name == name).unwrap();
        assert!(camera.reason.is_some_and(|reason| reason.contains("(GOP)")), "{name}");
    }
    for (name, ..) in cases {
        cameras.wait_for_pictures(name, 10, IMPATIENCE.key_frame() + 15 * SECOND);
        assert_eq!(losses(&cameras, name), [] as [&str; 0]);
    }
    assert!(cameras.cameras().iter().all(|camera| (camera.state, camera.reconnects) == (CameraState::Playing, 0)));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}
