//! Checks whether the system permits the configured thread priorities.

use super::{Check, Verdict};
use crate::config::{Priority, Threads};
use procfs::process::{Limit, LimitValue, Process};

/// `CAP_SYS_NICE`, linux/capability.h
const SYS_NICE: u32 = 23;

/// What the system permits this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permission {
    /// The process has `CAP_SYS_NICE`, which permits everything.
    capable: bool,
    /// `RLIMIT_RTPRIO`
    realtime: u64,
    /// `RLIMIT_NICE`: 20 minus the lowest nice value.
    nice: u64,
}

impl Permission {
    /// Reads the permissions; those that can't be read count as missing.
    fn of_process() -> Self {
        let process = Process::myself();
        let status = process.as_ref().ok().and_then(|process| process.status().ok());
        let limits = process.as_ref().ok().and_then(|process| process.limits().ok());
        Self {
            capable: status.is_some_and(|status| status.capeff >> SYS_NICE & 1 == 1),
            realtime: limits.as_ref().map_or(0, |limits| soft(&limits.max_realtime_priority)),
            nice: limits.as_ref().map_or(0, |limits| soft(&limits.max_nice_priority)),
        }
    }

    fn permits(self, priority: Priority) -> bool {
        let enough = match priority.realtime() {
            Some(level) => u64::try_from(level).is_ok_and(|level| self.realtime >= level),
            None => priority.nice() >= 0 || u64::try_from(20 - priority.nice()).is_ok_and(|nice| self.nice >= nice),
        };
        self.capable || enough
    }
}

fn soft(limit: &Limit) -> u64 {
    match limit.soft_limit {
        LimitValue::Unlimited => u64::MAX,
        LimitValue::Value(value) => value,
    }
}

/// Checks the priorities; `None`: they need no permission.
pub fn check(threads: Threads) -> Option<Check> {
    check_with(threads, Permission::of_process())
}

fn check_with(threads: Threads, permission: Permission) -> Option<Check> {
    let keys = [("THREAD_PRIORITY", threads.priority), ("DECODER_THREAD_PRIORITY", threads.decoder_priority)];
    let asked: Vec<_> = keys.into_iter().filter(|(_, priority)| *priority > Priority::Normal).collect();
    if asked.is_empty() {
        return None;
    }
    let refused: Vec<_> =
        asked.iter().filter(|(_, priority)| !permission.permits(*priority)).map(|(key, _)| *key).collect();
    let name = "thread priorities";
    if refused.is_empty() {
        return Some(Check::ok(name, "permitted"));
    }
    Some(Check::new(
        name,
        Verdict::Limited,
        format!("not permitted for this user: {}; those threads run with normal priority", refused.join(", ")),
        "in a systemd unit: LimitRTPRIO=10 and LimitNICE=-10; for a login: /etc/security/limits.conf; or CAP_SYS_NICE",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::resource::{Resource, getrlimit};

    #[test]
    fn what_this_process_may_is_what_the_kernel_grants() {
        let permission = Permission::of_process();
        let (realtime, _) = getrlimit(Resource::RLIMIT_RTPRIO).unwrap();
        let (nice, _) = getrlimit(Resource::RLIMIT_NICE).unwrap();
        assert_eq!((permission.realtime, permission.nice), (realtime, nice));
    }

    #[test]
    fn an_unlimited_limit_permits_all() {
        let limit = |soft_limit| Limit { soft_limit, hard_limit: LimitValue::Unlimited };
        assert_eq!(
            [limit(LimitValue::Value(30)), limit(LimitValue::Unlimited)].map(|limit| soft(&limit)),
            [30, u64::MAX]
        );
    }

    #[test]
    fn what_is_refused_is_named() {
        let threads = |priority, decoder_priority| Threads { affinity: false, priority, decoder_priority };
        let limited = Permission { capable: false, realtime: 0, nice: 30 };
        assert_eq!(check_with(threads(Priority::Normal, Priority::Low), limited), None);
        let check = check_with(threads(Priority::High, Priority::Realtime), limited).unwrap();
        assert_eq!(check.verdict, Verdict::Limited);
        assert!(check.found.contains(": DECODER_THREAD_PRIORITY;"), "{check:?}");
        let capable = Permission { capable: true, ..limited };
        assert_eq!(check_with(threads(Priority::High, Priority::Realtime), capable).unwrap().verdict, Verdict::Ok);
    }
}
