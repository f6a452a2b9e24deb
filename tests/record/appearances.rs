//! Pictures of appearances: kept whatever else is recorded, or reported and counted.

use crate::common::recording::{Feed, files, info, pictures, segments, wait_until};
use gst_video::{VideoFormat, VideoInfo};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Slow to encode compared with the time of a push.
fn large() -> VideoInfo {
    info(VideoFormat::I420, 1280, 720)
}

/// The camera's files, and its pictures of this class.
fn of_class(folder: &Path, class: &str) -> Vec<PathBuf> {
    let mut files = files(folder, "jpg");
    files.retain(|path| path.to_string_lossy().ends_with(&format!("-{class}.jpg")));
    files
}

/// A camera much faster than its recorder.
fn flood(folder: &Path, classes: &[&str], with_segments: bool) -> Feed {
    let mut pictures = pictures(folder, classes);
    // Pictures of the last frame compete too.
    pictures.every = Duration::from_millis(1);
    let mut feed = Feed::start(Some(pictures), with_segments.then(|| segments(folder, Duration::from_secs(60))));
    feed.pace = Duration::ZERO;
    feed
}

/// One frame has the object: the first, one in the middle, and the last.
#[test]
fn an_appearance_of_one_frame_is_kept() {
    for with_segments in [true, false] {
        for (before, after) in [(0, 60), (1, 60), (7, 60), (40, 20), (60, 1), (60, 0)] {
            let folder = tempfile::tempdir().unwrap();
            let mut feed = flood(folder.path(), &["dog"], with_segments);
            feed.push_many(before, &large(), &["cat"]);
            feed.push(&large(), &["dog"]);
            feed.push_many(after, &large(), &[]);
            let (counts, said) = feed.stop();
            let case = format!("{before} before, {after} after, segments {with_segments}: {said:?}");
            assert_eq!(of_class(folder.path(), "dog").len(), 1, "{case}");
            assert_eq!(counts.appearances_lost, 0, "{case}");
        }
    }
}

#[test]
fn classes_that_appear_together_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let classes = ["dog", "cat", "traffic light", "traffic_light", "狗", "🐶", "🐱"];
    let mut feed = flood(folder.path(), &classes, true);
    feed.push_many(30, &large(), &[]);
    feed.push(&large(), &classes);
    feed.push_many(30, &large(), &["bird"]);
    let (counts, said) = feed.stop();
    assert_eq!((files(folder.path(), "jpg").len(), counts.appearances_lost), (classes.len(), 0), "{said:?}");
    // Two labels with the same file name each have a file.
    assert_eq!(of_class(folder.path(), "traffic_light").len(), 2);
}

/// Each object is in a single frame, in succession: objects that stay are all kept, each of the others is kept or counted.
#[test]
fn classes_that_appear_one_after_the_other_are_kept_or_counted() {
    let classes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for stay in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut feed = flood(folder.path(), &classes, true);
        feed.push_many(20, &large(), &[]);
        for last in 0..classes.len() {
            let first = if stay { 0 } else { last };
            feed.push(&large(), &classes[first..=last]);
        }
        if stay {
            feed.pace = Duration::from_millis(20);
            feed.push_many(100, &large(), &classes);
        }
        let (counts, said) = feed.stop();
        let kept = files(folder.path(), "jpg").len() as u64;
        assert_eq!(kept + counts.appearances_lost, 10, "{said:?}");
        let told = said.iter().filter(|text| text.contains("no picture of the appearance of")).count();
        assert_eq!(told > 0, counts.appearances_lost > 0, "{said:?}");
        assert!(told <= 2, "a message for all of them: {said:?}");
        if stay {
            assert_eq!(kept, 10, "{said:?}");
        }
    }
}

/// While nothing can be written, this is reported once; the class is pictured afterwards if it is still visible.
#[test]
fn an_appearance_on_a_full_disk_is_kept_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = pictures(folder.path(), &["dog"]);
    pictures.every = Duration::from_millis(1);
    let mut feed = Feed::start(Some(pictures), None);
    let small = info(VideoFormat::Nv12, 160, 96);
    let (of_camera, away) = (folder.path().join("door"), folder.path().join("away"));
    std::fs::rename(&of_camera, &away).unwrap();
    std::fs::write(&of_camera, "in the way").unwrap();
    feed.push_many(50, &small, &["dog"]);
    feed.wait_for("recording failed and will be retried");
    std::fs::remove_file(&of_camera).unwrap();
    std::fs::rename(&away, &of_camera).unwrap();
    for _ in 0..1000 {
        feed.push(&small, &["dog"]);
        if !files(folder.path(), "jpg").is_empty() {
            break;
        }
    }
    let (counts, said) = feed.stop();
    assert_eq!((of_class(folder.path(), "dog").len(), counts.appearances_lost), (1, 0), "{said:?}");
    assert_eq!(said.iter().filter(|text| text.contains("failed")).count(), 1, "{said:?}");
    assert!(said.len() <= 2, "{said:?}");
}

/// If the class is gone before anything could be written, its picture is lost, which is reported and counted.
#[test]
fn an_appearance_that_nothing_could_be_written_of_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = pictures(folder.path(), &["dog", "cat", "bird"]);
    pictures.absence = Duration::from_millis(200);
    let mut feed = Feed::start(Some(pictures), None);
    let small = info(VideoFormat::Nv12, 160, 96);
    std::fs::remove_dir(folder.path().join("door")).unwrap();
    std::fs::write(folder.path().join("door"), "in the way").unwrap();
    feed.push_many(5, &small, &["dog"]);
    feed.push_many(5, &small, &["cat"]);
    feed.push_many(20, &small, &[]);
    feed.wait_for("no picture of the appearance of");
    // The third is lost at the end.
    feed.push_many(3, &small, &["bird"]);
    let (counts, said) = feed.stop();
    assert_eq!(counts.appearances_lost, 3, "{said:?}");
    assert!(said.iter().any(|text| text.contains("bird")), "{said:?}");
    assert!(said.len() <= 4, "{said:?}");
}

/// If videos can't be written but pictures can, all pictures exist.
#[test]
fn pictures_dont_end_with_videos() {
    let folder = tempfile::tempdir().unwrap();
    let videos = tempfile::tempdir().unwrap();
    let pictures = pictures(folder.path(), &["dog", "cat"]);
    let mut feed = Feed::start(Some(pictures), Some(segments(videos.path(), Duration::from_secs(60))));
    std::fs::remove_dir(videos.path().join("door")).unwrap();
    std::fs::write(videos.path().join("door"), "in the way").unwrap();
    let small = info(VideoFormat::Nv12, 160, 96);
    feed.push_many(20, &small, &["dog"]);
    feed.wait_for("recording failed and will be retried");
    feed.push_many(5, &small, &["cat"]);
    wait_until("the cat", || !of_class(folder.path(), "cat").is_empty());
    let (counts, said) = feed.stop();
    assert_eq!((of_class(folder.path(), "dog").len(), counts.appearances_lost), (1, 0), "{said:?}");
}
