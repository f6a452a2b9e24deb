//! The requirements that a row has to meet.

use super::report::{Alone, Kind, Outcome, Peer, Report, Row, Verdict};

/// The backend that has requirements.
const GPU: &str = "tensorrt";

/// A row with fewer objects a frame is void.
const LEAST_OBJECTS: f64 = 10.0;

/// Judges every row against the other figures. The requirements are those of the GPU: on the CPU nothing is judged.
pub fn judge(report: &mut Report) {
    if report.machine.backend != GPU {
        return;
    }
    let pair = both_fps(report.detector.as_ref(), report.pose.as_ref());
    let detector = report.detector.as_ref().and_then(Alone::best).map(|best| best.fps);
    for row in &mut report.rows {
        let mut verdicts = Vec::new();
        if row.error.is_none() && row.kind.infers() {
            throughput(row, detector, pair, &mut verdicts);
            latency(row, report.machine.batch_timeout_ms, &mut verdicts);
            cpu(row, &mut verdicts);
            held(row, &mut verdicts);
            if row.kind != Kind::WorstCase
                && let Some(bytes) = row.to_host
            {
                let masks = if row.masks > 0.0 { " and the masks' bits" } else { "" };
                verdicts.push(most(&format!("device→host ≤ 16 KB a frame{masks}"), bytes, 16.0 * 1024.0 + row.masks));
            }
            if let Some(peer) = report.peer {
                against(row, peer, &mut verdicts);
            }
        }
        if row.objects < LEAST_OBJECTS {
            verdicts.iter_mut().for_each(|verdict| verdict.outcome = Outcome::Void);
        }
        row.verdicts = verdicts;
    }
}

/// Frames per second of two engines that share a device, at their largest batches.
fn both_fps(detector: Option<&Alone>, pose: Option<&Alone>) -> Option<f64> {
    let (a, b) = (detector?.best()?, pose?.best()?);
    Some(1.0 / (1.0 / a.fps + 1.0 / b.fps))
}

/// `pair`: both engines at their largest batches.
fn throughput(row: &Row, detector: Option<f64>, pair: Option<f64>, verdicts: &mut Vec<Verdict>) {
    if row.paced || row.kind == Kind::WorstCase {
        return;
    }
    if row.kind == Kind::Detection
        && let (Some(engine), Some(decode)) = (row.engine_fps, row.decode_fps)
    {
        let (low, high) = (engine.min(decode), engine.max(decode));
        // If they are close together, each is the limit at times.
        let part = if high > 1.3 * low { 0.95 } else { 0.85 };
        verdicts.push(least(&format!("fps ≥ {part} · min(R, D)"), row.fps, part * low));
        if row.streams >= 16
            && engine < decode
            && let Some(best) = detector
        {
            verdicts.push(least("fps ≥ 0.95 · R(largest batch)", row.fps, 0.95 * best));
        }
    }
    if row.kind == Kind::DetectionAndPose
        && row.streams >= 16
        && let Some(pair) = pair
    {
        verdicts.push(least("fps ≥ 0.95 / (1/R_det + 1/R_pose)", row.fps, 0.95 * pair));
    }
}

fn latency(row: &Row, batch_timeout: f64, verdicts: &mut Vec<Verdict>) {
    if row.kind != Kind::Detection || !row.paced {
        return;
    }
    if let Some(latency) = row.latency
        && let Some(engine) = latency.engine
    {
        verdicts.push(most("latency p50 ≤ E + 1 ms", latency.p50, engine + 1.0));
        let bound = 2.0 * engine + batch_timeout + 2.0;
        verdicts.push(most("latency p99 ≤ 2·E + batch timeout + 2 ms", latency.p99, bound));
    }
}

fn cpu(row: &Row, verdicts: &mut Vec<Verdict>) {
    if let Some(own) = row.own_cpu.map(|own| own.total()) {
        match row.kind {
            Kind::Detection if row.streams >= 8 => verdicts.push(most("own CPU ≤ 60 µs a frame", own, 60.0)),
            Kind::Published => verdicts.push(most("own CPU, published, ≤ 120 µs a frame", own, 120.0)),
            _ => {}
        }
    }
    if let Some(tracking) = row.tracking_us.filter(|_| row.kind == Kind::Tracked && !row.paced) {
        verdicts.push(most("tracker and zones ≤ 30 µs a frame", tracking, 30.0));
    }
    if let Some(over) = row.over_decode {
        verdicts.push(most("process CPU ≤ decode alone + 10 %", over, 1.1));
    }
    if let Some(over) = row.over_own_decode {
        verdicts.push(most("process CPU ≤ decode alone in GStreamer's contexts + 10 %", over, 1.1));
    }
    if row.paced && row.kind == Kind::Detection && row.streams >= 16 {
        verdicts.push(most("≤ 5 % of a core a camera", row.cores_per_stream, 0.05));
    }
}

/// The greatest latency at which a camera counts as held, milliseconds.
const HELD_LATENCY: f64 = 100.0;

/// Whether all streams kept the clip's rate, but for what is in flight.
pub fn is_held(row: &Row) -> bool {
    let mut verdicts = Vec::new();
    held(row, &mut verdicts);
    !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.outcome == Outcome::Held)
}

fn held(row: &Row, verdicts: &mut Vec<Verdict>) {
    if let (Kind::Held, Some(rate)) = (row.kind, row.clip_fps) {
        verdicts.push(least("fps ≥ 0.999 · the clip's of all streams", row.fps, 0.999 * rate * row.streams as f64));
        let latency = row.latency.map_or(f64::INFINITY, |latency| latency.p99);
        verdicts.push(most("latency p99 < 100 ms", latency, HELD_LATENCY));
    }
}

fn against(row: &Row, peer: Peer, verdicts: &mut Vec<Verdict>) {
    if row.kind == Kind::DetectionAndPose && row.streams >= 8 && !row.paced {
        verdicts.push(least("fps ≥ 7 × the peer's", row.fps, 7.0 * peer.fps));
        verdicts.push(most("CPU a frame ≤ 1/50 of the peer's", row.process_cpu_us / 1000.0, peer.cpu_ms / 50.0));
    }
}

fn least(requirement: &str, value: f64, bound: f64) -> Verdict {
    let outcome = if value >= bound { Outcome::Held } else { Outcome::Missed };
    Verdict { requirement: requirement.into(), value, bound, outcome }
}

fn most(requirement: &str, value: f64, bound: f64) -> Verdict {
    let outcome = if value <= bound { Outcome::Held } else { Outcome::Missed };
    Verdict { requirement: requirement.into(), value, bound, outcome }
}

#[cfg(test)]
pub mod tests {
    use super::super::report::{BatchTime, Latency, Machine, OwnCpu};
    use super::*;

    pub fn row(kind: Kind, streams: usize, fps: f64) -> Row {
        Row {
            kind,
            streams,
            paced: false,
            interval: 0,
            error: None,
            frames: 1000,
            fps,
            clip_fps: Some(30.0),
            batch: 4.0,
            candidates: 200.0,
            objects: 20.0,
            engine_fps: Some(1000.0),
            decode_fps: Some(2000.0),
            own_cpu: Some(own_cpu(50.0)),
            tracking_us: None,
            process_cpu_us: 1000.0,
            cores_per_stream: 0.04,
            to_host: Some(2000.0),
            masks: 0.0,
            to_device: Some(500.0),
            latency: None,
            over_decode: None,
            over_own_decode: None,
            verdicts: Vec::new(),
        }
    }

    fn own_cpu(total: f64) -> OwnCpu {
        OwnCpu { lanes_us: 10.0, pads_us: total - 15.0, decoders_us: 5.0 }
    }

    pub fn alone(fps: f64) -> Alone {
        let time = |batch: usize| BatchTime { batch, milliseconds: 1000.0 * batch as f64 / fps, fps };
        Alone { engine: "engine".into(), error: None, batches: vec![time(1), time(8), time(16)] }
    }

    pub fn gpu() -> Machine {
        Machine { backend: GPU.into(), ..Machine::default() }
    }

    fn judged(row: Row) -> Vec<(String, Outcome)> {
        let (detector, pose) = (Some(alone(1000.0)), Some(alone(1000.0)));
        let mut report = Report { machine: gpu(), detector, pose, rows: vec![row], ..Report::default() };
        judge(&mut report);
        let verdicts = std::mem::take(&mut report.rows[0].verdicts);
        verdicts.into_iter().map(|verdict| (verdict.requirement, verdict.outcome)).collect()
    }

    fn outcome(row: Row, requirement: &str) -> Option<Outcome> {
        judged(row).into_iter().find(|(text, _)| text.contains(requirement)).map(|(_, outcome)| outcome)
    }

    #[test]
    fn throughput_is_held_against_the_lesser_of_engine_and_decoder() {
        assert_eq!(outcome(row(Kind::Detection, 4, 951.0), "0.95 · min"), Some(Outcome::Held));
        assert_eq!(outcome(row(Kind::Detection, 4, 949.0), "0.95 · min"), Some(Outcome::Missed));
        let close = Row { decode_fps: Some(1100.0), ..row(Kind::Detection, 4, 851.0) };
        assert_eq!(outcome(close, "0.85 · min"), Some(Outcome::Held));
        assert_eq!(outcome(row(Kind::Detection, 16, 949.0), "R(largest"), Some(Outcome::Missed));
        let decoder = Row { decode_fps: Some(500.0), ..row(Kind::Detection, 16, 490.0) };
        assert_eq!(outcome(decoder, "R(largest"), None, "the engine isn't the limit");
        assert_eq!(outcome(row(Kind::DetectionAndPose, 16, 476.0), "R_pose"), Some(Outcome::Held));
        assert_eq!(outcome(row(Kind::DetectionAndPose, 8, 476.0), "R_pose"), None);
    }

    #[test]
    fn nothing_is_required_of_the_cpu() {
        let mut report =
            Report { detector: Some(alone(1000.0)), rows: vec![row(Kind::Detection, 4, 1.0)], ..Report::default() };
        judge(&mut report);
        assert!(report.rows[0].verdicts.is_empty());
    }

    #[test]
    fn few_objects_make_a_row_void() {
        let few = Row { objects: 9.9, ..row(Kind::Detection, 16, 2000.0) };
        let verdicts = judged(few);
        assert!(!verdicts.is_empty() && verdicts.iter().all(|(_, outcome)| *outcome == Outcome::Void), "{verdicts:?}");
    }

    #[test]
    fn latency_cpu_and_bytes_have_their_bounds() {
        let latency = Some(Latency { p50: 5.9, p95: 9.0, p99: 12.1, engine: Some(5.0) });
        let paced = Row {
            paced: true,
            latency,
            over_decode: Some(1.11),
            over_own_decode: Some(0.7),
            ..row(Kind::Detection, 16, 480.0)
        };
        assert_eq!(outcome(paced.clone(), "p50"), Some(Outcome::Held));
        assert_eq!(outcome(paced.clone(), "p99"), Some(Outcome::Missed));
        assert_eq!(outcome(paced.clone(), "decode alone + 10 %"), Some(Outcome::Missed));
        assert_eq!(outcome(paced.clone(), "GStreamer's contexts + 10 %"), Some(Outcome::Held));
        assert_eq!(outcome(paced, "a core a camera"), Some(Outcome::Held));
        let dear = Row { own_cpu: Some(own_cpu(61.0)), to_host: Some(20_000.0), ..row(Kind::Detection, 8, 990.0) };
        assert_eq!(outcome(dear.clone(), "60 µs"), Some(Outcome::Missed));
        assert_eq!(outcome(dear.clone(), "16 KB"), Some(Outcome::Missed));
        assert_eq!(outcome(Row { masks: 4000.0, ..dear }, "16 KB a frame and the masks' bits"), Some(Outcome::Held));
        assert_eq!(outcome(row(Kind::Published, 8, 400.0), "120 µs"), Some(Outcome::Held));
        assert!(judged(row(Kind::Decode, 8, 400.0)).is_empty());
    }

    #[test]
    fn trackers_have_a_bound_at_full_speed_and_cameras_are_held_at_their_rate() {
        let tracked = Row { tracking_us: Some(31.0), ..row(Kind::Tracked, 8, 900.0) };
        assert_eq!(outcome(tracked.clone(), "30 µs"), Some(Outcome::Missed));
        assert_eq!(outcome(Row { tracking_us: Some(29.0), ..tracked.clone() }, "30 µs"), Some(Outcome::Held));
        assert_eq!(outcome(Row { paced: true, ..tracked }, "30 µs"), None);
        let latency = |p99| Some(Latency { p50: 5.0, p95: 9.0, p99, engine: None });
        let held = Row { paced: true, latency: latency(99.0), ..row(Kind::Held, 34, 1019.5) };
        assert!(is_held(&held));
        assert!(!is_held(&Row { fps: 1018.0, ..held.clone() }));
        assert!(!is_held(&Row { latency: latency(101.0), ..held.clone() }));
        assert!(!is_held(&Row { latency: None, ..held.clone() }) && !is_held(&Row { clip_fps: None, ..held }));
    }

    #[test]
    fn the_peer_is_to_be_beaten_by_seven_and_fifty() {
        let judged = |fps, process_cpu_us| {
            let row = Row { process_cpu_us, ..row(Kind::DetectionAndPose, 8, fps) };
            let peer = Some(Peer { fps: 100.0, cpu_ms: 75.0 });
            let mut report = Report { machine: gpu(), rows: vec![row], peer, ..Report::default() };
            judge(&mut report);
            report.rows[0]
                .verdicts
                .iter()
                .filter(|v| v.requirement.contains("peer"))
                .map(|v| v.outcome)
                .collect::<Vec<_>>()
        };
        assert_eq!(judged(701.0, 1499.0), [Outcome::Held, Outcome::Held]);
        assert_eq!(judged(699.0, 1501.0), [Outcome::Missed, Outcome::Missed]);
    }
}
