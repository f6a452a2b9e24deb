//! Clips of events: what RTSP servers and files send, with a number in each picture.

use crate::common::barcode::{self, Codec, KEY_DISTANCE, PERIOD};
use crate::common::clips_of_events::{Clip, Recorded, clips, files, with};
use crate::common::find;
use crate::common::rtsp::Camera;
use crate::common::running::{Running, register};
use crate::common::supervised::{camera, rtsp};
use gsttensorrt::config::{Clips, Transport};
use gsttensorrt::run::{FileSource, Outcome, SourceSetup};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Seconds between two key frames of the numbered clip.
const GOP: f64 = KEY_DISTANCE as f64 * PERIOD.as_millis() as f64 / 1e3;
/// A frame's time, s: how exactly lengths are known.
const FRAME: f64 = 0.05;

/// Checks that a clip of one event has what was asked for around it, and not more than a GOP more.
#[track_caller]
fn surrounds(clip: &Clip, clips: &Clips) {
    let [at] = clip.events_at()[..] else { panic!("{}", clip.document) };
    let (before, after) = (clips.before.as_secs_f64(), clips.after.as_secs_f64());
    assert!(at >= before - 1e-3 && at < before + GOP + FRAME, "{at}: {}", clip.document);
    let end = clip.length() - at;
    assert!(end >= after - 1e-3 && end < after + 4.0 * FRAME, "{end}: {}", clip.document);
    assert!(clip.numbers[0].unwrap().is_multiple_of(KEY_DISTANCE), "{:?}", clip.numbers);
    assert_eq!(clip.document["complete"], true);
}

#[test]
fn a_clip_has_every_picture_from_a_key_frame_before_the_event_to_after_it() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let servers = [Camera::start(Codec::H264), Camera::start(Codec::H265)];
    let file = folder.path().join("numbers.mp4");
    barcode::write_mp4(Codec::H264, 250, &file);
    let looped = SourceSetup::File(FileSource { path: file, looping: true });
    let settings = clips(folder.path());
    let recorded = Recorded::start(vec![
        with(rtsp("h264", &servers[0].url(), Transport::Tcp), settings.clone()),
        with(rtsp("h265", &servers[1].url(), Transport::Tcp), settings.clone()),
        with(camera("file", looped), settings.clone()),
    ]);
    let names = ["h264", "h265", "file"];
    for name in names {
        // More than the ring holds.
        recorded.cameras.wait_for_pictures(name, 140, 20 * SECOND);
    }
    let clips = names.map(|name| recorded.happen(name, 1, "yard").expect("a clip"));
    assert_eq!(recorded.happen("file", 1, "street"), None, "no rule has it");
    for (name, clip) in names.into_iter().zip(&clips) {
        assert!(clip.ends_with("Z-yard.mp4"), "{clip}");
        let clip = recorded.wait_for(&folder.path().join(name), clip);
        surrounds(&clip, &settings);
        let event = &clip.document["events"][0];
        assert_eq!(
            (&event["rule"], &event["type"], &event["zone"]),
            (&"yard".into(), &"entered".into(), &"yard".into())
        );
        assert_eq!(event["clip"], clip.document["clip"]);
        let track = &clip.document["tracks"][0];
        assert_eq!((&track["track_id"], &track["label"]), (&7.into(), &"person".into()));
        let boxes = track["boxes"].as_array().unwrap();
        let of_all = clip.numbers.len() - 3..=clip.numbers.len();
        assert!(of_all.contains(&boxes.len()), "{} boxes of {} pictures", boxes.len(), clip.numbers.len());
        assert_eq!((&boxes[0]["x"], &boxes[0]["height"]), (&80.0.into(), &120.0.into()));
        assert_eq!(files(&folder.path().join(name), "part"), [] as [std::path::PathBuf; 0]);
    }
    for camera in recorded.cameras.cameras() {
        let counts = camera.clips.unwrap();
        assert_eq!((counts.written, counts.lost), (1, 0), "{}", camera.name);
        // Before, what comes late, and a GOP.
        assert!(counts.buffer_s > 3.8 && counts.buffer_s < 4.0 + GOP + 0.5, "{counts:?}");
        assert!(counts.buffer_bytes > 1000 && counts.buffer_bytes < 1 << 20, "{counts:?}");
    }
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

/// Pictures that are decoded in another order than they are shown in.
#[test]
fn reordered_pictures_are_all_in_the_clip() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reordered.mp4");
    barcode::write_reordered(&file);
    let looped = SourceSetup::File(FileSource { path: file, looping: true });
    let settings = clips(folder.path());
    let recorded = Recorded::start(vec![with(camera("file", looped), settings.clone())]);
    recorded.cameras.wait_for_pictures("file", 140, 20 * SECOND);
    for _ in 0..3 {
        let clip = recorded.happen("file", 1, "yard").unwrap();
        surrounds(&recorded.wait_for(&folder.path().join("file"), &clip), &settings);
    }
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn events_at_once_share_a_clip_and_later_ones_prolong_it_to_its_maximum() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    let settings = clips(folder.path());
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), settings.clone())]);
    recorded.cameras.wait_for_pictures("door", 140, 20 * SECOND);
    let first = recorded.happen("door", 20, "yard").unwrap();
    assert!(recorded.named("door").iter().all(|clip| clip.as_ref() == Some(&first)));
    // Until the maximum, and one that is too late.
    let mut last = first.clone();
    while last == first {
        recorded.cameras.wait_for_pictures("door", 15, 20 * SECOND);
        last = recorded.happen("door", 1, "yard").unwrap();
    }
    let door = folder.path().join("door");
    let (first, last) = (recorded.wait_for(&door, &first), recorded.wait_for(&door, &last));
    let longest = settings.longest.as_secs_f64();
    assert!(first.length() > longest - FRAME && first.length() < longest + 3.0 * FRAME, "{}", first.length());
    assert!(first.events_at().len() > 22, "{}", first.document);
    assert!(first.events_at().iter().all(|at| *at <= longest), "{}", first.document);
    surrounds(&last, &settings);
    assert_eq!(files(&door, "mp4").len(), 2);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn twenty_cameras_record_at_once() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    let settings = clips(folder.path());
    let names: Vec<_> = (0..20).map(|n| format!("camera-{n}")).collect();
    let setups = names.iter().map(|name| with(rtsp(name, &server.url(), Transport::Tcp), settings.clone()));
    let recorded = Recorded::start(setups.collect());
    for name in &names {
        recorded.cameras.wait_for_pictures(name, 140, 60 * SECOND);
    }
    let clips: Vec<_> = names.iter().map(|name| recorded.happen(name, 1, "yard").unwrap()).collect();
    for (name, clip) in names.iter().zip(&clips) {
        surrounds(&recorded.wait_for(&folder.path().join(name), clip), &settings);
    }
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn a_camera_that_drops_has_its_clip_closed_and_another_for_the_rest() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Camera::start(Codec::H264);
    let settings = Clips { after: 8 * SECOND, longest: 20 * SECOND, ..clips(folder.path()) };
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), settings.clone())]);
    let door = folder.path().join("door");
    recorded.cameras.wait_for_pictures("door", 100, 20 * SECOND);
    let first = recorded.happen("door", 1, "yard").unwrap();
    recorded.cameras.wait_for_pictures("door", 20, 20 * SECOND);
    server.kill();
    // At once, not when the event is over.
    let part = recorded.wait_for(&door, &first);
    assert!(part.length() < 5.0, "{}", part.length());
    server.restart();
    let second = first.replace(".mp4", "-2.mp4");
    recorded.cameras.wait_for_pictures("door", 20, 20 * SECOND);
    // One that prolongs it is in the second.
    assert_eq!(recorded.happen("door", 1, "yard"), Some(second.clone()));
    let rest = recorded.wait_for(&door, &second);
    assert!(rest.events_at()[0] < 0.0 && rest.events_at()[1] > 0.0, "{}", rest.document);
    let named: serde_json::Value = [first.as_str(), &second].into();
    recorded.cameras.wait_for("both named", 5 * SECOND, || Clip::read(&part.path).document["parts"] == named);
    assert_eq!(Clip::read(&rest.path).document["parts"], named);
    let said = format!("door: the clip {first} continues in {second}");
    assert!(recorded.cameras.lines().contains(&said), "{:#?}", recorded.cameras.lines());
    // A camera that doesn't come back doesn't keep the clip open.
    let third = recorded.happen("door", 1, "yard").unwrap();
    server.kill();
    if third != second {
        recorded.wait_for(&door, &third);
    }
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn what_has_come_of_an_event_is_written_when_the_program_stops() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    let settings = Clips { after: 30 * SECOND, longest: 60 * SECOND, ..clips(folder.path()) };
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), settings.clone())]);
    recorded.cameras.wait_for_pictures("door", 100, 20 * SECOND);
    let clip = recorded.happen("door", 1, "yard").unwrap();
    recorded.cameras.wait_for_pictures("door", 25, 20 * SECOND);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
    let clip = Clip::read(&folder.path().join("door").join(clip));
    assert!(clip.length() > 2.9 && clip.length() < 8.0, "{}", clip.length());
}

#[test]
fn the_oldest_clips_go_and_files_of_others_stay() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    let door = folder.path().join("door");
    std::fs::create_dir(&door).unwrap();
    std::fs::write(door.join("holiday.mp4"), "a film").unwrap();
    std::fs::write(door.join("20200101T000000.000Z-yard.mp4"), vec![0; 500_000]).unwrap();
    std::fs::write(door.join("20200101T000000.000Z-yard.json"), "{}").unwrap();
    let quarter = SECOND / 4;
    let settings = Clips {
        before: quarter,
        after: quarter,
        longest: SECOND,
        files: Some(2),
        limit: 400_000,
        ..clips(folder.path())
    };
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), settings)]);
    recorded.cameras.wait_for_pictures("door", 60, 20 * SECOND);
    let mut names = Vec::new();
    for _ in 0..4 {
        let clip = recorded.happen("door", 1, "yard").unwrap();
        recorded.wait_for(&door, &clip);
        names.push(clip);
    }
    recorded.cameras.wait_for("room", 5 * SECOND, || files(&door, "json").len() == 2);
    let left: Vec<_> = files(&door, "mp4").iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(left, [names[2].as_str(), &names[3], "holiday.mp4"]);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

/// A small file system that is full when the test wants it.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(folder).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        find::skip("a small file system", "run as root, where mount is allowed");
        None
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_counted_and_the_camera_goes_on() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Disk::mount(folder.path()) else { return };
    let server = Camera::start(Codec::H264);
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), clips(folder.path()))]);
    recorded.cameras.wait_for_pictures("door", 100, 20 * SECOND);
    let filler = folder.path().join("filler");
    let full = std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let lost = recorded.happen("door", 1, "yard");
    assert!(lost.is_some(), "nothing is known of it yet");
    recorded.cameras.wait_for("the message", 20 * SECOND, || {
        recorded
            .cameras
            .lines()
            .iter()
            .any(|line| line.starts_with("door: a clip failed, and clips will be tried again"))
    });
    // Events in the pause have none, and say so.
    assert_eq!(recorded.happen("door", 3, "yard"), None);
    let counts = || recorded.cameras.cameras()[0].clips.unwrap();
    assert_eq!((counts().written, counts().lost), (0, 4));
    assert_eq!(files(&folder.path().join("door"), "part"), [] as [std::path::PathBuf; 0]);
    std::fs::remove_file(&filler).unwrap();
    let mut clip = None;
    recorded.cameras.wait_for("an attempt", 20 * SECOND, || {
        clip = recorded.happen("door", 1, "yard");
        clip.is_some()
    });
    surrounds(&recorded.wait_for(&folder.path().join("door"), &clip.unwrap()), &clips(folder.path()));
    let said: Vec<_> = recorded.cameras.lines().into_iter().filter(|line| line.contains("clip")).collect();
    assert!(said.len() == 2 && said[1] == "door: clips work again", "{said:#?}");
    let arrivals = recorded.cameras.arrivals("door");
    assert_eq!(crate::common::supervised::gaps(&arrivals), [], "the camera hasn't noticed");
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn a_folder_that_is_in_the_way_is_told_and_retried() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    let door = folder.path().join("door");
    std::fs::write(&door, "in the way").unwrap();
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), clips(folder.path()))]);
    recorded.cameras.wait_for_pictures("door", 20, 20 * SECOND);
    let lines = recorded.cameras.lines();
    assert!(lines.iter().any(|line| line.contains("make the folder writable")), "{lines:#?}");
    std::fs::remove_file(&door).unwrap();
    recorded.cameras.wait_for("the folder", 20 * SECOND, || door.is_dir());
    recorded.cameras.wait_for("the message", 5 * SECOND, || {
        recorded.cameras.lines().contains(&"door: clips work again".to_owned())
    });
    let clip = recorded.happen("door", 1, "yard").unwrap();
    recorded.wait_for(&door, &clip);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

/// What a process that was killed has left: a file with fragments is kept, one without pictures isn't.
#[test]
fn a_clip_that_a_dead_process_has_begun_is_kept() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("door");
    std::fs::create_dir(&door).unwrap();
    let begun = door.join("20200101T000000.000Z-yard.mp4.part");
    let running = Running::playing(&format!(
        "videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc key-int-max=10 ! \
         mp4mux fragment-duration=1000 fragment-mode=first-moov-then-finalise name=mux ! filesink name=file location={}",
        begun.display()
    ));
    running.wait_for_end();
    drop(running);
    std::fs::write(door.join("20200101T000001.000Z-yard.mp4.part"), "").unwrap();
    let server = Camera::start(Codec::H264);
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), clips(folder.path()))]);
    recorded.cameras.wait_for("both to be judged", 10 * SECOND, || files(&door, "part").is_empty());
    assert_eq!(files(&door, "mp4"), [door.join("20200101T000000.000Z-yard.mp4")]);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}

#[test]
fn memory_is_bounded_and_a_clip_that_begins_late_is_told() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let server = Camera::start(Codec::H264);
    // About a second of what the camera sends.
    let settings = Clips { memory: 4_000, ..clips(folder.path()) };
    let recorded = Recorded::start(vec![with(rtsp("door", &server.url(), Transport::Tcp), settings)]);
    let mut most = 0;
    recorded.cameras.wait_for("pictures", 20 * SECOND, || {
        let clips = recorded.cameras.cameras().first().and_then(|camera| camera.clips);
        most = most.max(clips.map_or(0, |clips| clips.buffer_bytes));
        recorded.cameras.count("door") > 140
    });
    assert!(most > 1_000 && most <= 4_000, "{most}");
    let lines = recorded.cameras.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("raise BUFFER_MB")).count(), 1, "{lines:#?}");
    let clip = recorded.happen("door", 1, "yard").unwrap();
    let clip = recorded.wait_for(&folder.path().join("door"), &clip);
    assert!(clip.events_at()[0] < 1.9 && clip.length() > 1.0, "{}", clip.document);
    assert_eq!(recorded.cameras.stop(), Outcome::Stopped);
}
