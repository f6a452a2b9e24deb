//! Tests of the whole policy on a simulated clock: latency, batches, wake-ups, and that no frame is lost.

use super::simulation::{Camera, H100, Seen, Setup, World};
use proptest::prelude::*;
use std::time::Duration;

const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The time between frames of a camera at 30 frames/s.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// The time of a batch of one, including the wake-up of the thread that runs it.
const ONE: Duration = Duration::from_micros(1690 + 50);

/// Cameras at 30 frames/s for 20 s, each `apart` from the previous one; two lanes of YOLO12m on an H100.
fn paced(cameras: u32, apart: Duration) -> Setup {
    let camera = |n| Camera { first: MS + n * apart, period: PERIOD, paced: true, frames: 600, flush: None };
    setup((0..cameras).map(camera).collect())
}

/// Streams that arrive as fast as they are decoded, in about 1.25 ms per frame.
fn full_speed(streams: u32) -> Setup {
    let camera = |n| Camera { first: n * 100 * US, period: 1250 * US, paced: false, frames: 4000, flush: None };
    setup((0..streams).map(camera).collect())
}

fn setup(cameras: Vec<Camera>) -> Setup {
    Setup {
        cameras,
        times: H100.to_vec(),
        varies: 0.0,
        lanes: 2,
        limit: 4,
        batch_timeout: Duration::ZERO,
        wake_up: 50 * US,
    }
}

/// The observations of 5 s, after the first 10 s.
fn settled(setup: Setup) -> Seen {
    let mut world = World::new(setup, 1);
    world.run_until(10 * SECOND);
    world.run_until(15 * SECOND)
}

#[test]
fn cameras_whose_frames_dont_meet_wait_for_nothing_and_wake_no_lane() {
    for cameras in [1, 8, 16] {
        let seen = settled(paced(cameras, PERIOD / cameras));
        assert_eq!(seen.mean_batch(), 1.0);
        assert_eq!(seen.longest_latency(), ONE, "{cameras} cameras");
        assert_eq!((seen.lane_wake_ups, seen.upstream_wake_ups), (0, 0));
        assert_eq!(seen.latencies.len() as u32, cameras * 150, "every frame comes out");
    }
}

#[test]
fn frames_that_meet_go_together() {
    let seen = settled(paced(8, Duration::ZERO));
    assert_eq!(seen.latencies.len(), 8 * 150);
    assert!(seen.mean_batch() > 2.0, "{}", seen.mean_batch());
    assert!(seen.longest_latency() < 12 * MS, "{:?}", seen.longest_latency());
    assert!(seen.longest_idle_wait <= 100 * US, "{:?}", seen.longest_idle_wait);
}

/// Two groups of frames: one on the device, and one that gathers behind it.
#[test]
fn at_full_speed_the_device_is_kept_busy_with_large_batches() {
    for (streams, varies, batch) in [(4, 0.0, 7.0), (4, 0.3, 7.0), (8, 0.0, 14.0), (8, 0.3, 14.0), (16, 0.3, 15.0)] {
        let mut world = World::new(Setup { varies, ..full_speed(streams) }, 1);
        world.run_until(SECOND);
        let seen = world.run_until(3 * SECOND);
        let busy = seen.busy.as_secs_f64() / 2.0;
        assert!(busy > 0.95, "{streams} streams, {varies}: {busy}");
        assert!(seen.mean_batch() > batch, "{streams} streams, {varies}: {}", seen.mean_batch());
        assert!(seen.most_held <= 4);
    }
}

/// While upstream waits for space because full batches are queued, it is woken once for two frames.
#[test]
fn one_wake_up_upstream_serves_two_frames_behind_full_batches() {
    let mut world = World::new(full_speed(16), 1);
    world.run_until(SECOND);
    let seen = world.run_until(3 * SECOND);
    let frames = seen.latencies.len() as f64;
    assert!((seen.upstream_wake_ups as f64) < 0.6 * frames, "{} for {frames}", seen.upstream_wake_ups);
}

#[test]
fn frames_wait_for_those_of_other_cameras_that_are_due() {
    let timeout = 30 * MS;
    let seen = settled(Setup { batch_timeout: timeout, ..paced(8, PERIOD / 8) });
    assert!(seen.mean_batch() > 7.5, "{}", seen.mean_batch());
    assert!(seen.longest_latency() <= timeout + Duration::from_micros(5230) + MS, "{:?}", seen.longest_latency());
    // One each for the first frame and the last one, and the alarms that those have set; the frames in between change
    // nothing.
    assert!(seen.lane_wake_ups <= 4 * seen.batches.len(), "{} for {}", seen.lane_wake_ups, seen.batches.len());
}

#[test]
fn a_camera_that_has_ended_isnt_waited_for() {
    let mut setup = Setup { batch_timeout: 150 * MS, ..paced(2, PERIOD / 2) };
    setup.cameras[1].frames = 150;
    let mut world = World::new(setup, 1);
    world.run_until(3 * SECOND);
    let before = world.run_until(4 * SECOND);
    assert!(before.mean_batch() > 1.5, "{}", before.mean_batch());
    world.run_until(6 * SECOND);
    let after = world.run_until(10 * SECOND);
    assert!(after.longest_latency() < 3 * MS, "{:?}", after.longest_latency());
}

fn any_camera() -> impl Strategy<Value = Camera> {
    let flush = prop::option::weighted(0.3, 0..400_u64);
    (0..50_000_u64, 300..60_000_u64, any::<bool>(), 0..40_usize, flush).prop_map(
        |(first, period, paced, frames, flush)| Camera {
            first: Duration::from_micros(first),
            period: Duration::from_micros(period),
            paced,
            frames,
            flush: flush.map(Duration::from_millis),
        },
    )
}

fn any_setup() -> impl Strategy<Value = Setup> {
    let cameras = prop::collection::vec(any_camera(), 1..10);
    let sizes = prop::sample::select(vec![1, 2, 4, 8]);
    let timeout = prop_oneof![Just(0), 0..50_000_u64];
    (cameras, sizes, 0.0..0.9, 1..4_usize, 1..6_usize, timeout, 0..1000_u64).prop_map(
        |(cameras, sizes, varies, lanes, limit, timeout, wake_up)| Setup {
            cameras,
            times: H100[..sizes].to_vec(),
            varies,
            lanes,
            limit,
            batch_timeout: Duration::from_micros(timeout),
            wake_up: Duration::from_micros(wake_up),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever arrives when: each frame comes out once and in order or is flushed, no element holds more than its
    /// limit, and no frame waits for an idle device longer than its timeout and two wake-ups.
    #[test]
    fn no_frame_is_lost_or_forgotten(setup in any_setup(), seed in any::<u64>()) {
        let (limit, longest) = (setup.limit, setup.batch_timeout + 2 * setup.wake_up);
        let seen = World::new(setup, seed).run_to_the_end();
        prop_assert!(seen.most_held <= limit);
        prop_assert!(seen.longest_idle_wait <= longest, "{:?}", seen.longest_idle_wait);
    }
}
