//! Where a camera's threads run, and how urgent they are.
//!
//! GStreamer says on each streaming thread that it begins ([`enter`]) and ends ([`leave`]). Its threads come from a pool
//! and go to another camera afterwards, so what was set is undone.

use crate::config::Priority;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::cell::RefCell;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// What was before [`enter`] changed it.
#[derive(Default)]
struct Before {
    cores: Option<CpuSet>,
    /// Niceness.
    nice: Option<i32>,
    realtime: bool,
}

thread_local! {
    static BEFORE: RefCell<Before> = RefCell::default();
}

/// Cores that this process may run on, in order.
pub fn allowed_cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// Places the calling thread: on a core, where one is given, and by its priority. Returns what wasn't permitted, and what
/// would permit it; the thread goes on without it.
pub fn enter(core: Option<usize>, priority: Priority) -> Vec<String> {
    let mut refused = Vec::new();
    BEFORE.with_borrow_mut(|before| {
        if let Some(core) = core {
            let allowed = sched_getaffinity(None).ok();
            let mut set = CpuSet::new();
            set.set(core);
            match sched_setaffinity(None, &set) {
                Ok(()) => before.cores = before.cores.take().or(allowed),
                Err(error) => refused.push(format!("USE_THREAD_AFFINITY: core {core}: {error}; threads run on any core")),
            }
        }
        if let Some(realtime) = priority.realtime() {
            match set_realtime(realtime) {
                Ok(()) => before.realtime = true,
                Err(error) => refused.push(format!(
                    "REALTIME priority isn't permitted ({error}): grant CAP_SYS_NICE, or LimitRTPRIO={realtime}; threads \
                     run with normal priority"
                )),
            }
        }
        if priority.nice() != 0 {
            let own = getpriority_process(None).unwrap_or(0);
            // On top of the process's own.
            let wanted = (own + priority.nice()).clamp(-20, 19);
            match setpriority_process(None, wanted) {
                Ok(()) => before.nice = before.nice.or(Some(own)),
                Err(error) => refused.push(format!(
                    "HIGH priority isn't permitted ({error}): grant CAP_SYS_NICE, or LimitNICE={wanted}; threads run with \
                     normal priority"
                )),
            }
        }
    });
    refused
}

/// Undoes [`enter`] on the calling thread.
pub fn leave() {
    let before = BEFORE.take();
    // Giving up what one was granted is always permitted, but an ordinary user's lowered niceness stays; there is nobody to
    // tell.
    if let Some(cores) = before.cores {
        let _ = sched_setaffinity(None, &cores);
    }
    if before.realtime {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        let nice = getpriority_process(None).unwrap_or(0);
        // Sets the niceness too, and not from below: coming down from the top needs no permission.
        let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Max, policy);
        let _ = setpriority_process(None, nice);
    }
    if let Some(nice) = before.nice {
        let _ = setpriority_process(None, nice);
    }
}

/// Round robin, with this priority.
fn set_realtime(priority: i32) -> Result<(), thread_priority::Error> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriority::from_posix(thread_priority::ScheduleParams { sched_priority: priority });
    set_thread_priority_and_policy(thread_native_id(), priority, policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy (0 normal, 2 round robin), niceness, and cores of the calling thread, as the kernel shows them.
    fn shown() -> (i64, i64, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        // proc(5): niceness is field 19 and policy field 41, counted from 1; the name is field 2.
        (fields[41 - 3].parse().unwrap(), fields[19 - 3].parse().unwrap(), cores.trim().to_owned())
    }

    #[test]
    fn a_thread_is_placed_and_put_back() {
        let core = *allowed_cores().last().unwrap();
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Realtime] {
            let before = shown();
            let refused = enter(Some(core), priority);
            let (policy, nice, cores) = shown();
            assert_eq!(cores, core.to_string());
            if refused.is_empty() {
                let nice_wanted = match priority {
                    Priority::Low => (before.1 + 10).min(19),
                    Priority::High => (before.1 - 10).max(-20),
                    _ => before.1,
                };
                assert_eq!((policy, nice), (if priority == Priority::Realtime { 2 } else { 0 }, nice_wanted));
            } else {
                assert_eq!((policy, nice), (0, before.1), "{refused:?}");
                assert!(refused[0].contains("CAP_SYS_NICE"), "{refused:?}");
            }
            leave();
            let after = shown();
            assert_eq!((after.0, &after.2), (0, &before.2));
            // Ordinary users may not raise a thread again: a lowered niceness stays.
            assert!(after.1 == before.1 || priority == Priority::Low, "{priority:?}: {} after {}", after.1, before.1);
        }
    }
}
