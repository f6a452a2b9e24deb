//! Videos of cameras whose format changes: a file holds frames of one format, and all files play.

use crate::common::recording::{Feed, PERIOD, Played, files, info, look, pictures, play_all, segments, wait_until};
use gst_video::{VideoFormat, VideoInfo};
use std::path::Path;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Pushes this many frames of each format, ends, and plays the recording; missing frames must have been counted.
#[track_caller]
fn recorded(folder: &Path, length: Duration, kinds: &[(VideoInfo, usize)]) -> Vec<Played> {
    let mut feed = Feed::start(None, Some(segments(folder, length)));
    for (info, count) in kinds {
        feed.push_many(*count, info, &["dog"]);
    }
    let pushed = feed.pushed;
    let (counts, said) = feed.stop();
    let played = play_all(folder);
    let frames: u64 = played.iter().map(|played| played.frames).sum();
    assert_eq!(frames + counts.frames_left_out, pushed, "{played:?} {said:?}");
    // A loaded machine may drop some, but not all.
    assert!(frames > pushed / 2, "{frames} of {pushed}");
    assert_eq!(said, [""; 0]);
    played
}

/// The sizes of the files, oldest first.
fn sizes(played: &[Played]) -> Vec<(i32, i32)> {
    played.iter().flat_map(|played| played.decoded.iter().copied()).collect()
}

#[test]
fn a_new_size_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let of = |width, height| info(VideoFormat::I420, width, height);
    let kinds = [(of(384, 256), 17), (of(768, 512), 12), (of(192, 128), 12), (of(384, 256), 12), (of(384, 288), 12)];
    let played = recorded(folder.path(), LONG, &kinds);
    assert_eq!(sizes(&played), [(384, 256), (768, 512), (192, 128), (384, 256), (384, 288)]);
}

#[test]
fn a_new_pixel_format_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let formats = [
        VideoFormat::Nv12,
        VideoFormat::Rgb,
        VideoFormat::Y444,
        VideoFormat::Gray8,
        VideoFormat::Bgra,
        VideoFormat::Yuy2,
        VideoFormat::Nv12,
    ];
    let kinds = formats.map(|format| (info(format, 160, 96), 8));
    let played = recorded(folder.path(), LONG, &kinds);
    assert_eq!(sizes(&played), [(160, 96); 7]);
}

#[test]
fn a_new_frame_rate_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    gst::init().unwrap();
    let rate = |n, d| {
        let fps = gst::Fraction::new(n, d);
        (VideoInfo::builder(VideoFormat::I420, 160, 96).fps(fps).build().unwrap(), 10)
    };
    let played = recorded(folder.path(), LONG, &[rate(25, 1), rate(25, 2), rate(0, 1), rate(30000, 1001)]);
    assert_eq!(sizes(&played), [(160, 96); 4]);
}

/// At the end of a segment, and within a group of pictures just after it.
#[test]
fn a_change_at_the_end_of_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let of = |width| info(VideoFormat::I420, width, 96);
    let second = (1000 / PERIOD.mseconds()) as usize;
    let kinds = [(of(160), second), (of(320), second), (of(160), second + 3), (of(320), second)];
    let played = recorded(folder.path(), Duration::from_secs(1), &kinds);
    let mut sizes = sizes(&played);
    sizes.dedup();
    assert_eq!(sizes, [(160, 96), (320, 96), (160, 96), (320, 96)]);
}

/// A camera that changes constantly: files of one or two frames, all of which play.
#[test]
fn a_change_with_every_other_frame() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: Vec<_> =
        (0..12).map(|n| (info(VideoFormat::Nv12, 160 + 32 * (n % 2), 96), 1 + n as usize % 2)).collect();
    let mut feed = Feed::start(None, Some(segments(folder.path(), LONG)));
    feed.pace = Duration::from_millis(150);
    for (info, count) in &kinds {
        feed.push_many(*count, info, &[]);
    }
    let pushed = feed.pushed;
    let (counts, said) = feed.stop();
    let played = play_all(folder.path());
    let frames: u64 = played.iter().map(|played| played.frames).sum();
    assert_eq!(frames + counts.frames_left_out, pushed, "{played:?} {said:?}");
    assert!(played.len() > 6, "{played:?}");
}

/// H.264 players support 4:2:0 with even sizes: videos lack a column and a row, pictures don't. Black is added to videos
/// below the minimum size.
#[test]
fn odd_sizes_are_recorded_in_every_format() {
    for format in [
        VideoFormat::I420,
        VideoFormat::Nv12,
        VideoFormat::Y42b,
        VideoFormat::Y444,
        VideoFormat::Rgb,
        VideoFormat::Rgba,
        VideoFormat::Gray8,
    ] {
        for (width, height, in_video) in
            [(385, 257, (384, 256)), (161, 96, (160, 96)), (160, 97, (160, 96)), (33, 5, (32, 16)), (1, 3, (16, 16))]
        {
            let folder = tempfile::tempdir().unwrap();
            let (pictures, segments) = (pictures(folder.path(), &["dog"]), segments(folder.path(), LONG));
            let mut feed = Feed::start(Some(pictures), Some(segments));
            let info = info(format, width, height);
            feed.push_many(3, &info, &["dog"]);
            let kind = format!("{format:?} {width}×{height}");
            let (_, said) = feed.stop();
            assert_eq!(said, [""; 0], "{kind}");
            assert_eq!(sizes(&play_all(folder.path())), [in_video], "{kind}");
            let appeared = files(folder.path(), "jpg");
            assert_eq!(appeared.len(), 1, "{kind}");
            for picture in [&appeared[0], &folder.path().join("door.jpg")] {
                let size = (width as i32, height as i32);
                assert_eq!(look(picture).decoded.into_iter().collect::<Vec<_>>(), [size], "{kind}");
            }
        }
    }
}

/// Unwritable frames are missing; earlier and later ones play in their own size.
#[test]
fn a_change_while_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let of_camera = folder.path().join("door");
    let mut feed = Feed::start(None, Some(segments(folder.path(), Duration::from_secs(1))));
    feed.push_many(20, &info(VideoFormat::I420, 160, 96), &[]);
    wait_until("a video", || !files(folder.path(), "mp4").is_empty());
    let away = folder.path().join("away");
    std::fs::rename(&of_camera, &away).unwrap();
    std::fs::write(&of_camera, "in the way").unwrap();
    feed.push_many(20, &info(VideoFormat::I420, 320, 96), &[]);
    feed.wait_for("recording failed and will be retried");
    feed.push_many(10, &info(VideoFormat::I420, 160, 96), &[]);
    std::fs::remove_file(&of_camera).unwrap();
    std::fs::rename(&away, &of_camera).unwrap();
    let before = files(folder.path(), "mp4").len();
    for _ in 0..600 {
        feed.push(&info(VideoFormat::I420, 192, 96), &[]);
        if files(folder.path(), "mp4").len() > before {
            break;
        }
    }
    feed.push_many(10, &info(VideoFormat::I420, 192, 96), &[]);
    let (_, said) = feed.stop();
    assert_eq!(said.iter().filter(|text| text.contains("recording failed")).count(), 1, "{said:?}");
    let sizes = sizes(&play_all(folder.path()));
    assert_eq!((sizes.first(), sizes.last()), (Some(&(160, 96)), Some(&(192, 96))), "{sizes:?}");
}

/// The camera's timestamps restart, jump and are missing: no frame is lost, and a file lasts as long as it was recorded.
#[test]
fn time_that_jumps() {
    for jump in [
        vec![Some(gst::ClockTime::ZERO)],
        vec![Some(gst::ClockTime::from_seconds(5000)), Some(gst::ClockTime::from_mseconds(10))],
        vec![None, Some(gst::ClockTime::ZERO)],
        vec![Some(gst::ClockTime::from_nseconds(u64::MAX / 2)), Some(gst::ClockTime::from_seconds(3))],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let info = info(VideoFormat::I420, 160, 96);
        let mut feed = Feed::start(None, Some(segments(folder.path(), Duration::from_secs(2))));
        feed.time = Some(gst::ClockTime::from_seconds(1000));
        feed.push_many(20, &info, &[]);
        for time in &jump {
            feed.time = *time;
            feed.push_many(20, &info, &[]);
        }
        let pushed = feed.pushed;
        let (counts, said) = feed.stop();
        assert_eq!(said, [""; 0], "{jump:?}");
        let played = play_all(folder.path());
        let frames: u64 = played.iter().map(|played| played.frames).sum();
        assert_eq!(frames + counts.frames_left_out, pushed, "{jump:?}: {played:?}");
        // Twenty frames take 0.8 s in the camera's timestamps, and at least 0.4 s of real time.
        let lasts: gst::ClockTime = played.iter().map(|played| played.last).sum();
        assert!(lasts > gst::ClockTime::from_mseconds(900), "{jump:?}: {played:?}");
        assert!(played.iter().all(|played| played.last < gst::ClockTime::from_seconds(20)), "{jump:?}: {played:?}");
    }
}
