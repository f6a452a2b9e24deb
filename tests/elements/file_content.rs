//! Files without upright video: sound only, text, empty, rotated.

use crate::common::barcode;
use crate::common::clips::{self, Edit, H264_IN_ORDER, H264_REORDERED};
use crate::common::running::{Running, start, with_model};
use crate::common::supervised::{Supervised, camera};
use gst::prelude::*;
use gsttensorrt::check::ask_camera;
use gsttensorrt::config::{self, Camera, Gpu, Hint, Outputs};
use gsttensorrt::run::{FileSource, Outcome, SourceSetup};
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A file's name, its writer, and the message about it.
type WithoutPictures = (&'static str, fn(&Path), &'static str);

/// Files without a decodable frame, and the messages about them.
fn without_pictures() -> Vec<WithoutPictures> {
    fn sound(path: &Path, elements: &str) {
        let location = path.display();
        clips::run(&format!("audiotestsrc num-buffers=40 ! {elements} ! filesink location={location}"));
    }
    vec![
        ("sound.mp4", |path| sound(path, "audioconvert ! avenc_aac ! mp4mux"), "it has no pictures, only audio/mpeg"),
        ("sound.wav", |path| sound(path, "wavenc"), "it has no pictures, only audio/x-raw"),
        (
            "sound.ogg",
            |path| sound(path, "audioconvert ! vorbisenc ! oggmux"),
            "it has no pictures, only audio/x-vorbis",
        ),
        (
            "sound.mkv",
            |path| sound(path, "audioconvert ! vorbisenc ! matroskamux"),
            "it has no pictures, only audio/x-vorbis",
        ),
        (
            "words.srt",
            |path| std::fs::write(path, "1\n00:00:00,000 --> 00:00:02,000\nHello\n\n").unwrap(),
            "no pictures",
        ),
        ("empty.mp4", |path| std::fs::write(path, "").unwrap(), "no pictures"),
        ("text.mp4", |path| std::fs::write(path, "This is no video at all.\n".repeat(400)).unwrap(), "no pictures"),
        ("noise.mp4", |path| std::fs::write(path, [0xa5; 5000]).unwrap(), "no pictures"),
        (
            "picture.mp4",
            |path| clips::run(&format!("videotestsrc num-buffers=1 ! pngenc ! filesink location={}", path.display())),
            "its pictures are image/png, and only H.264 and H.265",
        ),
        (
            "other.mkv",
            |path| {
                clips::run(&format!(
                    "videotestsrc num-buffers=20 ! jpegenc ! matroskamux ! filesink location={}",
                    path.display()
                ))
            },
            "its pictures are image/jpeg, and only H.264 and H.265",
        ),
    ]
}

#[test]
fn a_file_without_pictures_is_named_once_and_ends_where_it_plays_once() {
    start();
    let folder = tempfile::tempdir().unwrap();
    for (name, write, said) in without_pictures() {
        let path = folder.path().join(name);
        write(&path);
        for looping in [false, true] {
            let cameras =
                Supervised::start(vec![camera("file", SourceSetup::File(FileSource { path: path.clone(), looping }))]);
            let lines = cameras.lines_handle();
            if looping {
                // Long enough for several attempts.
                cameras.wait_for("line", 10 * SECOND, || cameras.lines().iter().any(|line| line.contains("lost: ")));
                std::thread::sleep(3 * SECOND);
                assert_eq!(cameras.stop(), Outcome::Stopped);
            } else {
                let outcome = cameras.wait();
                assert!(
                    matches!(&outcome, Outcome::NothingRuns(reasons) if reasons[0].contains(said)),
                    "{name}: {outcome:?}"
                );
            }
            let lines = lines.lock().unwrap().clone();
            let of_file: Vec<_> =
                lines.iter().filter(|line| line.contains(": lost: ") || line.contains(": failed: ")).collect();
            assert!(
                matches!(of_file.as_slice(), [line] if line.contains(said) && line.contains(name)),
                "{name}: {lines:#?}"
            );
        }
    }
}

fn asked(path: &Path) -> Result<gsttensorrt::check::StreamFacts, String> {
    ask_camera(&Camera {
        name: "file".into(),
        source: config::CameraSource::File { path: path.into(), looping: true },
        hint: Hint::default(),
        gpu: Gpu::Auto,
        detection: None,
        pose: None,
        classification: None,
        tracker: None,
        zones: None,
        outputs: Outputs::default(),
    })
}

/// A file whose edit list shows none of its pictures.
#[test]
fn a_file_with_an_empty_edit_list_has_no_frames() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.mp4");
    clips::write(&path, 20, true, &format!("{H264_REORDERED} ! mp4mux"));
    clips::set_edits(&path, &[Edit { pictures: 5, from: Some(25) }]);
    let cameras = Supervised::start(vec![camera("file", SourceSetup::File(FileSource { path, looping: false }))]);
    let outcome = cameras.wait();
    assert!(
        matches!(&outcome, Outcome::NothingRuns(reasons) if reasons[0].contains("it has no pictures")),
        "{outcome:?}"
    );
}

#[test]
fn check_says_of_a_file_what_run_says() {
    start();
    let folder = tempfile::tempdir().unwrap();
    for (name, write, said) in without_pictures() {
        let path = folder.path().join(name);
        write(&path);
        let error = asked(&path).unwrap_err();
        assert!(error.contains(said), "{name}: {error}");
    }
    let short = folder.path().join("one.mp4");
    clips::write(&short, 1, true, &format!("{H264_IN_ORDER} ! mp4mux"));
    let facts = asked(&short).unwrap();
    assert_eq!((facts.size, facts.orientation), (Some((barcode::WIDTH as u32, barcode::HEIGHT as u32)), None));
}

/// The matrices of an MP4 file, and the resulting tags.
const TURNS: [([i32; 4], &str); 5] = [
    ([0, 1, -1, 0], "rotate-90"),
    ([-1, 0, 0, -1], "rotate-180"),
    ([0, -1, 1, 0], "rotate-270"),
    ([-1, 0, 0, 1], "flip-rotate-0"),
    ([1, 0, 0, -1], "flip-rotate-180"),
];

fn turned_clip(folder: &Path, matrix: [i32; 4], way: &str) -> std::path::PathBuf {
    let path = folder.join(format!("{way}.mp4"));
    clips::write(&path, 20, true, &format!("{H264_IN_ORDER} ! mp4mux"));
    clips::set_orientation(&path, matrix);
    path
}

/// Models receive the frames of a file as a player shows them; picture numbers are readable only when upright.
#[test]
fn pictures_of_files_are_turned_before_models_see_them() {
    start();
    let folder = tempfile::tempdir().unwrap();
    for (matrix, way) in TURNS {
        let path = turned_clip(folder.path(), matrix, way);
        assert_eq!(asked(&path).unwrap().orientation, Some(way));
        let cameras = Supervised::start(vec![camera("file", SourceSetup::File(FileSource { path, looping: true }))]);
        // Two loops.
        cameras.wait_for_pictures("file", 35, 20 * SECOND);
        let pipeline = cameras.pipeline("file").unwrap();
        let caps = pipeline.by_name("end").unwrap().static_pad("sink").unwrap().current_caps().unwrap();
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let upright = (barcode::WIDTH as u32, barcode::HEIGHT as u32);
        let lying = way.contains("90") || way.contains("270");
        let wanted = if lying { (upright.1, upright.0) } else { upright };
        assert_eq!((info.width(), info.height()), wanted, "{way}");
        // Bars look the same upside down; numbers with an odd number of ones can't be read from the other side.
        let number = cameras.arrivals("file")[1].number;
        assert_eq!(number, (way == "flip-rotate-180").then_some(1), "{way}");
        assert!(cameras.lines().iter().all(|line| !line.contains("image-orientation")), "{:?}", cameras.lines());
        assert_eq!(cameras.stop(), Outcome::Stopped);
    }
}

/// Warnings on a pipeline's bus until its end.
fn warnings(launch: &str) -> Vec<String> {
    until_the_end(&Running::playing(launch))
}

fn until_the_end(running: &Running) -> Vec<String> {
    let mut warnings = vec![];
    loop {
        let message = running.message(&[gst::MessageType::Warning, gst::MessageType::Eos, gst::MessageType::Error]);
        match message.view() {
            gst::MessageView::Warning(warning) => warnings.push(warning.error().to_string()),
            gst::MessageView::Eos(_) => return warnings,
            _ => panic!("{message:?}"),
        }
    }
}

#[test]
fn models_warn_once_of_files_that_were_not_turned() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    let ours = format!("{} ! trtpublish location={}", with_model("trtdetect name=ours", "yolo"), lines.display());
    for (matrix, way) in TURNS {
        let path = turned_clip(folder.path(), matrix, way);
        let file = format!("filesrc location={} ! qtdemux ! h264parse ! avdec_h264", path.display());
        let told = warnings(&format!("{file} ! {ours} ! fakesink"));
        let [text] = told.as_slice() else { panic!("{way}: {told:?}") };
        assert!(text.contains(&format!("image-orientation={way}")), "{text}");
        assert!(text.contains("videoflip video-direction=auto before ours"), "{text}");
        for turned in [
            "videoflip video-direction=auto",
            "videoflip video-direction=90r ! queue",
            "videoflip video-direction=180",
            "( queue ! videoflip video-direction=auto )",
        ] {
            let told = warnings(&format!("{file} ! {turned} ! {ours} ! fakesink"));
            assert_eq!(told, Vec::<String>::new(), "{way}: {turned}");
        }
    }
}

/// Tags by the picture that they precede, their scope, and the warnings.
type Tagged<'a> = (&'a [(u64, &'a str)], gst::TagScope, &'a [&'a str]);

/// Tags that an application sends before the first frame or in the middle, and how often they are reported.
#[test]
fn models_warn_of_tags_of_any_scope_also_late_ones() {
    if !start() {
        return;
    }
    let (stream, global) = (gst::TagScope::Stream, gst::TagScope::Global);
    let cases: [Tagged; 5] = [
        (&[(0, "rotate-90")], stream, &["rotate-90"]),
        (&[(0, "rotate-90")], global, &["rotate-90"]),
        (&[(5, "rotate-270"), (7, "rotate-270")], stream, &["rotate-270"]),
        (&[(2, "flip-rotate-90"), (4, "rotate-0"), (8, "rotate-180")], stream, &["flip-rotate-90", "rotate-180"]),
        (&[(0, "rotate-0")], global, &[]),
    ];
    for (tags, scope, told) in cases {
        let running = Running::playing(&format!(
            "appsrc name=source format=time caps=video/x-raw,format=NV12,width=96,height=64,framerate=25/1 ! {} ! fakesink",
            with_model("trtpose name=ours", "yolo-pose")
        ));
        let source = running.source("source");
        for n in 0..10_u64 {
            for (_, way) in tags.iter().filter(|(at, _)| *at == n) {
                let mut list = gst::TagList::new();
                let writable = list.make_mut();
                writable.add::<gst::tags::ImageOrientation>(way, gst::TagMergeMode::Replace);
                writable.set_scope(scope);
                source.send_event(gst::event::Tag::new(list));
            }
            let mut buffer = gst::Buffer::with_size(96 * 64 * 3 / 2).unwrap();
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n));
            source.push_buffer(buffer).unwrap();
        }
        source.end_of_stream().unwrap();
        let said = until_the_end(&running);
        assert_eq!(said.len(), told.len(), "{tags:?}: {said:?}");
        for (said, way) in said.iter().zip(told) {
            assert!(said.contains(&format!("image-orientation={way},")), "{way}: {said}");
        }
    }
}
