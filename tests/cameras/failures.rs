//! Failing cameras, with real RTSP servers on loopback.

use crate::common::barcode::Codec;
use crate::common::rtsp::{Camera, Noise};
use crate::common::running::start;
use crate::common::supervised::{Supervised, detection, gaps, rtsp};
use gsttensorrt::config::Transport;
use gsttensorrt::monitor::CameraState;
use gsttensorrt::run::Outcome;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_codec_plays_over_each_transport() {
    start();
    let names = ["h264-tcp", "h264-udp", "h265-tcp", "h265-udp"];
    // GStreamer's server warns when one stream is sent over both transports.
    let servers = [Codec::H264, Codec::H264, Codec::H265, Codec::H265].map(Camera::start);
    let transports = [Transport::Tcp, Transport::Udp, Transport::Tcp, Transport::Udp];
    let setups = names.iter().zip(&servers).zip(transports);
    let cameras = Supervised::start(setups.map(|((name, server), over)| rtsp(name, &server.url(), over)).collect());
    for name in names {
        cameras.wait_for_pictures(name, 30, 10 * SECOND);
        let arrivals = cameras.arrivals(name);
        assert_eq!(gaps(&arrivals), [], "{name}");
        assert!(arrivals.windows(2).all(|pair| pair[0].pts <= pair[1].pts), "{name}: times never go back");
    }
    assert!(cameras.cameras().iter().all(|camera| camera.state == CameraState::Playing && camera.reconnects == 0));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
fn cameras_fail_and_come_back_without_the_others_noticing() {
    let Some(_) = start().then_some(()) else { return };
    let healthy = [Camera::start(Codec::H264), Camera::start(Codec::H265)];
    let (mut killed, stalled, noisy, no_rtsp) =
        (Camera::start(Codec::H264), Camera::start(Codec::H264), Camera::start(Codec::H264), Noise::start());
    let mut setups = vec![
        rtsp("healthy-1", &healthy[0].url(), Transport::Tcp),
        rtsp("healthy-2", &healthy[1].url(), Transport::Tcp),
        rtsp("killed", &killed.url(), Transport::Tcp),
        rtsp("stalled", &stalled.url(), Transport::Tcp),
        rtsp("noisy", &noisy.url(), Transport::Tcp),
        rtsp("no-rtsp", &no_rtsp.url(), Transport::Tcp),
    ];
    setups.iter_mut().for_each(|setup| setup.elements = vec![detection()]);
    let cameras = Supervised::start(setups);
    for name in ["healthy-1", "healthy-2", "killed", "stalled", "noisy"] {
        cameras.wait_for_pictures(name, 5, 15 * SECOND);
    }
    killed.kill();
    stalled.stall(true);
    noisy.noise(true);
    for name in ["killed", "stalled", "noisy"] {
        cameras.wait_for(&format!("loss of {name}"), 10 * SECOND, || {
            cameras.state(name).is_some_and(|state| state != CameraState::Playing)
        });
    }
    killed.restart();
    stalled.stall(false);
    noisy.noise(false);
    for name in ["killed", "stalled", "noisy"] {
        cameras.wait_for_pictures(name, 10, 10 * SECOND);
        let camera = cameras.cameras().into_iter().find(|camera| camera.name == name).unwrap();
        assert!(camera.reconnects >= 1, "{camera:?}");
        assert_eq!((camera.state, &camera.reason), (CameraState::Playing, &None));
    }
    for name in ["healthy-1", "healthy-2"] {
        let arrivals = cameras.arrivals(name);
        assert!(arrivals.len() > 50, "{}", arrivals.len());
        assert_eq!(gaps(&arrivals), [], "{name}");
    }
    assert_eq!(cameras.count("no-rtsp"), 0);
    assert_eq!(cameras.state("no-rtsp"), Some(CameraState::Reconnecting));
    let lines = cameras.lines();
    assert!(lines.iter().any(|line| line.starts_with("stalled: lost: no picture for 1.5s")), "{lines:#?}");
    assert_eq!(cameras.stop(), Outcome::Stopped);
}
