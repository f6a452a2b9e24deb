//! A disk that is full for a while, simulated by the limit on file sizes. The limit is per process: a single test.

mod common;

use common::recording::{Feed, files, info, pictures, play_all, segments, wait_until};
use gst_video::VideoFormat;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::time::Duration;

#[test]
fn what_is_recorded_before_and_after_a_full_disk_is_whole() {
    // SAFETY: no handler is installed; exceeding the limit is then an error instead of ending the process.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = pictures(folder.path(), &["dog", "cat"]);
    pictures.every = Duration::from_millis(100);
    let mut feed = Feed::start(Some(pictures), Some(segments(folder.path(), Duration::from_secs(1))));
    let info = info(VideoFormat::Nv12, 320, 192);
    feed.push_many(60, &info, &["dog"]);
    wait_until("videos before", || files(folder.path(), "mp4").len() >= 2);
    wait_until("the dog", || files(folder.path(), "jpg").len() == 1);

    // In the middle of a file: neither its end nor the next file can be written.
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 100, hard).unwrap();
    feed.push_many(60, &info, &["dog", "cat"]);
    feed.wait_for("recording failed and will be retried: pictures");
    feed.wait_for("recording failed and will be retried: videos");
    feed.push_many(200, &info, &["dog", "cat"]);
    assert_eq!(feed.said().len(), 2, "each is told once: {:?}", feed.said());

    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    let before = files(folder.path(), "mp4").len();
    for _ in 0..3000 {
        feed.push(&info, &["dog", "cat"]);
        if files(folder.path(), "mp4").len() > before + 1 && files(folder.path(), "jpg").len() == 2 {
            break;
        }
    }
    let (counts, said) = feed.stop();
    assert_eq!(files(folder.path(), "jpg").len(), 2, "{said:?}");
    assert_eq!(counts.appearances_lost, 0, "{said:?}");
    assert!(counts.frames_left_out > 50, "{counts:?}");
    // Including the file that was open when the disk became full.
    assert!(play_all(folder.path()).len() >= 4, "{said:?}");
    for what in ["works again: pictures", "works again: videos"] {
        assert_eq!(said.iter().filter(|text| text.contains(what)).count(), 1, "{said:?}");
    }
    let whole = |path| std::fs::read(path).unwrap().ends_with(&[0xff, 0xd9]);
    assert!(whole(folder.path().join("door.jpg")));
    let left: Vec<_> =
        std::fs::read_dir(folder.path().join("door")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}
