//! Sources of frames: files that loop, test patterns, and capture times of cameras.

use crate::common::barcode::{self, Codec, PERIOD};
use crate::common::rtsp::Camera;
use crate::common::running::start;
use crate::common::supervised::{Supervised, camera, gaps, rtsp};
use gsttensorrt::config::Transport;
use gsttensorrt::run::{FileSource, Outcome, SourceSetup, TestSource};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn file(path: &Path, looping: bool) -> SourceSetup {
    SourceSetup::File(FileSource { path: path.into(), looping })
}

/// A clip of numbered pictures, shortened so that it loops soon.
fn short_clip(folder: &Path, codec: Codec, pictures: u64) -> PathBuf {
    let path = folder.join(format!("{}.mp4", codec.name()));
    barcode::write_mp4(codec, pictures, &path);
    path
}

#[test]
fn a_file_loops_without_a_gap_and_at_its_own_speed() {
    start();
    const ROUND: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let path = short_clip(folder.path(), codec, ROUND);
        let cameras = Supervised::start(vec![camera("file", file(&path, true))]);
        cameras.wait_for_pictures("file", 3 * ROUND as usize + 5, 10 * SECOND);
        let arrivals = cameras.arrivals("file");
        for (n, arrival) in arrivals.iter().enumerate() {
            assert_eq!(arrival.number, Some(n as u64 % ROUND), "{codec:?}: picture {n}");
        }
        let times: Vec<_> = arrivals.iter().map(|arrival| Duration::from(arrival.pts.unwrap())).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == PERIOD), "{codec:?}: {times:?}");
        let took = arrivals[arrivals.len() - 1].at - arrivals[0].at;
        let due = PERIOD * (arrivals.len() - 1) as u32;
        assert!(took > due * 8 / 10 && took < due * 13 / 10, "{codec:?}: {took:?} instead of {due:?}");
        assert_eq!(cameras.stop(), Outcome::Stopped);
    }
}

#[test]
fn a_file_that_plays_once_ends_the_run_with_all_its_pictures() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let path = short_clip(folder.path(), Codec::H264, 15);
    let cameras = Supervised::start(vec![camera("file", file(&path, false))]);
    cameras.wait_for_pictures("file", 15, 10 * SECOND);
    let arrivals = cameras.arrivals_handle();
    assert_eq!(cameras.wait(), Outcome::Stopped);
    let numbers: Vec<_> = arrivals.lock().unwrap()["file"].iter().map(|arrival| arrival.number.unwrap()).collect();
    assert_eq!(numbers, (0..15).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_not_there_is_waited_for() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.mp4");
    let cameras = Supervised::start(vec![camera("file", file(&path, true))]);
    cameras.wait_for("reason", 5 * SECOND, || {
        let camera = cameras.cameras().pop();
        camera.and_then(|camera| camera.reason).is_some_and(|reason| reason.contains("later.mp4"))
    });
    let made = short_clip(folder.path(), Codec::H264, 20);
    std::fs::rename(made, &path).unwrap();
    cameras.wait_for_pictures("file", 5, 10 * SECOND);
}

#[test]
fn a_test_picture_keeps_its_rate() {
    start();
    let source = TestSource { width: 320, height: 240, rate: gst::Fraction::new(25, 1), pattern: "ball".into() };
    let cameras = Supervised::start(vec![camera("test", SourceSetup::Test(source))]);
    cameras.wait_for_pictures("test", 30, 10 * SECOND);
    let arrivals = cameras.arrivals("test");
    let steps: Vec<_> = arrivals.windows(2).map(|p| Duration::from(p[1].pts.unwrap() - p[0].pts.unwrap())).collect();
    assert!(steps.iter().all(|step| *step == PERIOD), "{steps:?}");
}

/// A camera's sender reports give each frame's capture time, which is attached to the decoded frame, for both codecs.
#[test]
fn pictures_carry_the_time_at_which_the_camera_took_them() {
    start();
    let servers = [(Codec::H264, Transport::Tcp), (Codec::H264, Transport::Udp), (Codec::H265, Transport::Tcp)]
        .map(|(codec, transport)| (Camera::start(codec), transport));
    let names = ["a", "b", "c"];
    let setups = names.iter().zip(&servers).map(|(name, (server, transport))| rtsp(name, &server.url(), *transport));
    let cameras = Supervised::start(setups.collect());
    for (name, (server, _)) in names.iter().zip(&servers) {
        // The first report arrives after some seconds.
        let timed = || cameras.arrivals(name).into_iter().filter(|a| a.taken.is_some()).collect::<Vec<_>>();
        cameras.wait_for("times", 15 * SECOND, || timed().len() > 20);
        for arrival in timed() {
            let sent = server.sent(arrival.number.unwrap()).unwrap();
            let taken = arrival.taken.unwrap();
            let apart = taken.duration_since(sent).unwrap_or_else(|earlier| earlier.duration());
            assert!(apart < Duration::from_millis(50), "{name}: {:?}: {apart:?}", arrival.number);
        }
        assert_eq!(gaps(&cameras.arrivals(name)), [], "{name}");
    }
}
