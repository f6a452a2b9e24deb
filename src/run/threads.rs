//! The cores and priorities of a camera's threads.
//!
//! GStreamer reports on each streaming thread that it begins ([`enter`]) and ends ([`leave`]). Its threads come from a
//! pool and go to another camera afterwards, so the settings are undone.

use crate::config::Priority;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};
use procfs::process::Process;
use std::cell::RefCell;
use std::io;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};

const CALLING_THREAD: Pid = Pid::from_raw(0);

/// The state before [`enter`].
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
    let allowed = sched_getaffinity(CALLING_THREAD).unwrap_or_default();
    (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect()
}

/// Sets the calling thread's core, if one is given, and priority. Returns what wasn't permitted, and what would permit
/// it; the thread runs without it.
pub fn enter(core: Option<usize>, priority: Priority) -> Vec<String> {
    let mut refused = Vec::new();
    BEFORE.with_borrow_mut(|before| {
        if let Some(core) = core {
            let allowed = sched_getaffinity(CALLING_THREAD).ok();
            let mut set = CpuSet::new();
            match set.set(core).and_then(|()| sched_setaffinity(CALLING_THREAD, &set)) {
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
            let own = niceness();
            // Relative to the process's own niceness.
            let wanted = (own + priority.nice()).clamp(-20, 19);
            match set_niceness(wanted) {
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
    // Giving up a granted priority is always permitted, but an ordinary user's lowered niceness stays; there is no one
    // to report it to.
    if let Some(cores) = before.cores {
        let _ = sched_setaffinity(CALLING_THREAD, &cores);
    }
    if before.realtime {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        let _ = set_policy(of_niceness(niceness()), policy);
    }
    if let Some(nice) = before.nice {
        let _ = set_niceness(nice);
    }
}

/// The niceness of the calling thread.
fn niceness() -> i32 {
    let task = Process::myself().and_then(|process| process.task_from_tid(gettid().as_raw()));
    task.and_then(|task| task.stat()).ok().and_then(|stat| i32::try_from(stat.nice).ok()).unwrap_or(0)
}

/// Changes the calling thread's niceness; a realtime thread has none.
fn set_niceness(nice: i32) -> io::Result<()> {
    match thread_schedule_policy().map_err(system_error)? {
        policy @ ThreadSchedulePolicy::Normal(_) => set_policy(of_niceness(nice), policy),
        ThreadSchedulePolicy::Realtime(_) => Ok(()),
    }
}

/// `thread_priority` counts from 0, which is niceness 19, to 99, which is niceness -20, and rounds down. This is the
/// middle of the numbers that become `nice`.
fn of_niceness(nice: i32) -> ThreadPriority {
    let value = ((2 * (19 - nice) - 1) * 99 / 78).clamp(0, 99);
    let value = u8::try_from(value).ok().and_then(|value| ThreadPriorityValue::try_from(value).ok());
    value.map_or(ThreadPriority::Min, ThreadPriority::Crossplatform)
}

fn set_policy(priority: ThreadPriority, policy: ThreadSchedulePolicy) -> io::Result<()> {
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(system_error)
}

/// The system's text for the error instead of its number.
fn system_error(error: thread_priority::Error) -> io::Error {
    match error {
        thread_priority::Error::OS(code) => io::Error::from_raw_os_error(code),
        other => io::Error::other(other),
    }
}

/// Sets round-robin scheduling with this priority.
fn set_realtime(priority: i32) -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriority::from_posix(thread_priority::ScheduleParams { sched_priority: priority });
    set_policy(priority, policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy (0 normal, 2 round robin), niceness, and cores of the calling thread, as the kernel shows them.
    fn shown() -> (u32, i64, Vec<(u32, u32)>) {
        let thread = Process::myself().unwrap().task_from_tid(gettid().as_raw()).unwrap();
        let stat = thread.stat().unwrap();
        (stat.policy.unwrap(), stat.nice, thread.status().unwrap().cpus_allowed_list.unwrap())
    }

    #[test]
    fn every_niceness_can_be_given() {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        for nice in -20..=19 {
            assert_eq!(of_niceness(nice).to_posix(policy), Ok(nice));
        }
    }

    #[test]
    fn a_thread_is_placed_and_put_back() {
        let core = *allowed_cores().last().unwrap();
        let only = u32::try_from(core).unwrap();
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Realtime] {
            let before = shown();
            let refused = enter(Some(core), priority);
            let (policy, nice, cores) = shown();
            assert_eq!(cores, [(only, only)]);
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
            // Ordinary users may not raise a thread's priority again: a lowered niceness stays.
            assert!(after.1 == before.1 || priority == Priority::Low, "{priority:?}: {} after {}", after.1, before.1);
        }
    }
}
