//! CPU time of this process and of the machine, from the kernel.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::time::Duration;

/// CPU time of all cores since the machine was started, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    /// Not idle, and not waiting for a disk.
    pub busy: u64,
    pub total: u64,
    /// Cores that are on.
    pub cores: u32,
}

impl CpuTimes {
    /// `None` where there's no `/proc/stat`.
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The text of `/proc/stat` (proc(5)).
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let fields: Vec<u64> =
            lines.next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|f| f.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
        let total = fields.iter().take(8).sum::<u64>();
        let idle = fields.get(3)? + fields.get(4).unwrap_or(&0);
        let is_core =
            |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let cores = lines.take_while(is_core).count();
        Some(Self { busy: total.saturating_sub(idle), total, cores: u32::try_from(cores).unwrap_or(u32::MAX) })
    }

    /// Percent of all cores together that were busy since `before`; `None` if no tick has passed.
    pub fn percent_since(&self, before: &Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        Some(self.busy.saturating_sub(before.busy) as f64 * 100.0 / total as f64)
    }
}

/// User and system time of all threads of this process.
pub fn process_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Memory of this process that is in RAM, bytes.
pub fn process_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kib(&status, "VmRSS:").map(|kib| kib * 1024)
}

/// The machine's memory, bytes: in use, and all.
pub fn machine_memory() -> Option<(u64, u64)> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = kib(&info, "MemTotal:")?;
    Some((total.saturating_sub(kib(&info, "MemAvailable:")?) * 1024, total * 1024))
}

fn kib(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_kernels_text_is_read() {
        let text = "cpu  100 5 50 800 45 3 2 0 10 1\ncpu0 50 0 0 0 0 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 1 2\ncpufreq 3\n";
        let before = CpuTimes::parse(text).unwrap();
        assert_eq!(before, CpuTimes { busy: 160, total: 1005, cores: 2 });
        let after = CpuTimes { busy: 185, total: 1105, cores: 2 };
        assert_eq!(after.percent_since(&before), Some(25.0));
        assert_eq!(before.percent_since(&before), None);
        assert_eq!(before.percent_since(&after), None);
        assert_eq!(CpuTimes::parse("intr 1"), None);
        assert_eq!(kib("A: 1 kB\nVmRSS:\t  204 kB\n", "VmRSS:"), Some(204));
    }

    #[test]
    fn this_machine_tells() {
        let (before, cpu, start) = (CpuTimes::now().unwrap(), process_cpu(), Instant::now());
        while start.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(0);
        }
        assert!(process_cpu() > cpu);
        assert!(CpuTimes::now().unwrap().percent_since(&before).is_some_and(|percent| percent > 0.0));
        assert!(process_memory().unwrap() > 1 << 20);
        let (used, total) = machine_memory().unwrap();
        assert!(used > 0 && used < total);
    }
}
