//! The start of a camera: frames that arrive while its decoder is being opened aren't lost.

use crate::common::barcode::{self, Codec, PERIOD, PICTURES};
use crate::common::rtsp::Camera;
use crate::common::running::start;
use crate::common::supervised::{Arrival, IMPATIENCE, Supervised, camera, rtsp};
use gst::prelude::*;
use gsttensorrt::config::Transport;
use gsttensorrt::run::{CameraSetup, FileSource, Outcome, SourceSetup};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The time that a GPU takes to open 40 decoders at once.
const OPENING: Duration = Duration::from_millis(1800);

/// Number of pictures in a clip.
const CLIP: u64 = 75;

/// Models that process 80 frames per second: three times the camera's rate, and much less than a decoder outputs after a pause.
const MODELS: Duration = Duration::from_millis(12);

/// Runs a camera whose decoder takes this long for its first frame, and whose models take `MODELS` for each.
fn start_slowly(camera: CameraSetup) -> Supervised {
    Supervised::start_seen(vec![camera], IMPATIENCE, |pipeline| {
        let to_models = pipeline.by_name("pictures").and_then(|queue| queue.static_pad("src")).unwrap();
        to_models.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            std::thread::sleep(MODELS);
            gst::PadProbeReturn::Ok
        });
        pipeline.connect_deep_element_added(|_, _, element| {
            let is_decoder = element.factory().is_some_and(|factory| factory.name().starts_with("avdec_"));
            if let (true, Some(pad)) = (is_decoder, element.static_pad("sink")) {
                let opened = AtomicBool::new(false);
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    if !opened.swap(true, Ordering::SeqCst) {
                        std::thread::sleep(OPENING);
                    }
                    gst::PadProbeReturn::Ok
                });
            }
        });
    })
}

fn numbers(arrivals: &[Arrival]) -> Vec<u64> {
    arrivals.iter().map(|arrival| arrival.number.expect("its bars can be read")).collect()
}

#[test]
fn a_file_begins_when_its_decoder_is_open_and_loses_nothing() {
    start();
    let folder = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let path = folder.path().join(format!("{}.mp4", codec.name()));
        barcode::write_mp4(codec, CLIP, &path);
        let source = SourceSetup::File(FileSource { path, looping: false });
        let cameras = start_slowly(camera("file", source));
        cameras.wait_for_pictures("file", CLIP as usize, 30 * SECOND);
        let arrivals = cameras.arrivals("file");
        let dropped: u64 = cameras.cameras().iter().map(|camera| camera.drops).sum();
        assert_eq!(numbers(&arrivals), (0..CLIP).collect::<Vec<_>>(), "{codec:?}");
        assert_eq!(dropped, 0, "{codec:?}");
        // From then on frames come at the camera's rate, not in one burst.
        let took = arrivals[arrivals.len() - 1].at - arrivals[0].at;
        let due = PERIOD * (CLIP - 1) as u32;
        assert!(took > due * 8 / 10, "{codec:?}: {took:?} instead of {due:?}");
        assert_eq!(cameras.wait(), Outcome::Stopped);
    }
}

#[test]
fn a_camera_loses_nothing_while_its_decoder_is_opened() {
    start();
    for (codec, transport) in [(Codec::H264, Transport::Tcp), (Codec::H265, Transport::Udp)] {
        let server = Camera::start(codec);
        let cameras = start_slowly(rtsp("door", &server.url(), transport));
        cameras.wait_for_pictures("door", 90, 30 * SECOND);
        let numbers = numbers(&cameras.arrivals("door"));
        let gaps: Vec<_> = numbers.windows(2).filter(|pair| (pair[0] + 1) % PICTURES != pair[1] % PICTURES).collect();
        assert!(gaps.is_empty(), "{codec:?}: {gaps:?} in {numbers:?}");
        assert_eq!(cameras.cameras().iter().map(|camera| camera.drops).sum::<u64>(), 0, "{codec:?}");
        assert_eq!(cameras.stop(), Outcome::Stopped);
    }
}
