//! CPU time of this process and of the machine, from the kernel.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use procfs::process::Process;
use procfs::{CpuTime, Current, CurrentSI, KernelStats, Meminfo};
use std::time::Duration;

/// CPU time of all cores since the machine was started, in kernel ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    /// Neither idle nor waiting for a disk.
    pub busy: u64,
    pub total: u64,
    /// The number of online cores.
    pub cores: u32,
}

impl CpuTimes {
    /// `None` where there's no `/proc/stat`.
    pub fn now() -> Option<Self> {
        let stats = KernelStats::current().ok()?;
        let (busy, total) = busy_and_total(&stats.total);
        Some(Self { busy, total, cores: u32::try_from(stats.cpu_time.len()).unwrap_or(u32::MAX) })
    }

    /// The percentage of all cores together that was busy since `before`; `None` if no tick has passed.
    pub fn percent_since(&self, before: &Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        Some(self.busy.saturating_sub(before.busy) as f64 * 100.0 / total as f64)
    }
}

/// Guest time is already part of user and nice time.
fn busy_and_total(times: &CpuTime) -> (u64, u64) {
    let idle = times.idle + times.iowait.unwrap_or(0);
    let interrupts = [times.irq, times.softirq, times.steal].into_iter().flatten().sum::<u64>();
    let busy = times.user + times.nice + times.system + interrupts;
    (busy, busy + idle)
}

/// User and system time of all threads of this process.
pub fn process_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Resident memory of this process, bytes.
pub fn process_memory() -> Option<u64> {
    Process::myself().ok()?.status().ok()?.vmrss.map(|kib| kib * 1024)
}

/// The machine's memory in bytes: used, and total.
pub fn machine_memory() -> Option<(u64, u64)> {
    let info = Meminfo::current().ok()?;
    Some((info.mem_total.saturating_sub(info.mem_available?), info.mem_total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromBufReadSI;
    use std::time::Instant;

    #[test]
    fn waiting_for_a_disk_is_idle_and_a_guests_time_counts_once() {
        let text = "cpu  100 5 50 800 45 3 2 0 10 1\ncpu0 50 0 0 0 0 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1 1 1\nctxt 1\nbtime 1\nprocesses 1\n";
        let stats = KernelStats::from_buf_read(text.as_bytes(), procfs::current_system_info()).unwrap();
        assert_eq!(busy_and_total(&stats.total), (160, 1005));
    }

    #[test]
    fn percent_is_of_the_time_since() {
        let before = CpuTimes { busy: 160, total: 1005, cores: 2 };
        let after = CpuTimes { busy: 185, total: 1105, cores: 2 };
        assert_eq!(after.percent_since(&before), Some(25.0));
        assert_eq!(before.percent_since(&before), None);
        assert_eq!(before.percent_since(&after), None);
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
