//! From few hosts to many.

use super::sizes::Sizes;

pub struct Fleet {
    pub cameras: usize,
    pub hosts: usize,
    pub partitions: i32,
    /// Of each camera.
    pub frames_per_second: f64,
    /// In each frame.
    pub objects: usize,
}

/// Seconds between two records of a host's status, unless a camera's state changes: `REPORT` in `src/fleet/host.rs`.
const STATUS_EVERY: f64 = 3.0;
/// Claims of a camera that starts and stops: started, settled, released.
const CLAIMS: usize = 3;

/// A straight line.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// At 0.
    pub start: f64,
    pub slope: f64,
}

impl Line {
    /// The line with the least squares of the distances.
    pub fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
        Self { start: y - slope * x, slope }
    }

    fn at(&self, x: f64) -> f64 {
        self.start + self.slope * x
    }
}

/// The figures of a large fleet. `by_hosts` and `by_partitions`: seconds until a group has settled after one host was drained.
/// `idle` and `publishing`: requests a second of one host.
pub fn print(fleet: &Fleet, sizes: &Sizes, by_hosts: &Line, by_partitions: &Line, idle: f64, publishing: f64) {
    let (cameras, hosts) = (fleet.cameras as f64, fleet.hosts as f64);
    let lines = cameras * fleet.frames_per_second;
    let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    println!("| of {} cameras on {} hosts, {} partitions | |\n|---|---|", fleet.cameras, fleet.hosts, fleet.partitions);
    let row = |what: &str, value: String| println!("| {what} | {value} |");
    row("camera records", format!("{:.1} MB", cameras * sizes.camera.len() as f64 / 1e6));
    row(
        "claims of a first start",
        format!(
            "{} records, {:.1} MB",
            fleet.cameras * CLAIMS,
            cameras * CLAIMS as f64 * sizes.claim.len() as f64 / 1e6
        ),
    );
    row(
        "status",
        format!(
            "{:.0} records/s, {:.2} MB/s",
            hosts / STATUS_EVERY,
            hosts / STATUS_EVERY * sizes.status.len() as f64 / 1e6
        ),
    );
    row(
        &format!("lines, at {} frames/s and {} objects", fleet.frames_per_second, fleet.objects),
        format!("{lines:.0} records/s, {:.0} MB/s before compression", lines * sizes.line.len() as f64 / 1e6),
    );
    row("requests of the group and of hosts that wait for changes", format!("{:.0} /s", hosts * idle));
    row("requests that carry lines", format!("{:.0} /s", hosts * publishing));
    row("each further host makes settling longer by", millis(by_hosts.slope));
    row("each further partition", millis(by_partitions.slope));
    let settled = by_hosts.at(hosts) + by_partitions.slope.max(0.0) * f64::from(fleet.partitions - 256);
    row("a group settles after one host is drained", format!("{settled:.1} s by these lines"));
}
