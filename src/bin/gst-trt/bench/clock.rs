//! CPU time of this thread, and of threads by name.

use nix::time::{ClockId, clock_gettime};
use procfs::process::Process;
use std::time::Duration;

/// CPU time of this thread so far.
pub fn thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// CPU time so far of this process's threads whose names `wanted` selects; `None` where the kernel doesn't provide it.
/// The time of a thread that ends is lost.
pub fn threads(wanted: impl Fn(&str) -> bool) -> Option<Duration> {
    let mut nanoseconds = 0;
    let mut seen = false;
    for task in Process::myself().ok()?.tasks().ok()?.flatten() {
        // A thread may end meanwhile.
        let (Ok(stat), Ok(times)) = (task.stat(), task.schedstat()) else { continue };
        seen = true;
        if wanted(&stat.comm) {
            nanoseconds += times.sum_exec_runtime;
        }
    }
    seen.then(|| Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thread works for a while: its own clock and the lookup by name agree.
    #[test]
    fn a_named_threads_time_is_found() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (go_on, ended) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::Builder::new().name("bench-worker".into()).spawn(move || {
            let mut sum = 0u64;
            while thread() < Duration::from_millis(20) {
                sum = std::hint::black_box(sum.wrapping_add(1));
            }
            sender.send(thread()).unwrap();
            let _ = ended.recv();
        });
        let own = receiver.recv().unwrap();
        if let Some(named) = threads(|name| name == "bench-worker") {
            assert!(named.abs_diff(own) < Duration::from_millis(10), "{named:?}, {own:?}");
            assert_eq!(threads(|name| name == "no such thread"), Some(Duration::ZERO));
        }
        drop(go_on);
        worker.unwrap().join().unwrap();
    }
}
