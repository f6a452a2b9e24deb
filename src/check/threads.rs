//! Whether the system lets threads have the priorities that are asked for.

use super::{Check, Verdict};
use crate::config::{Priority, Threads};

/// `CAP_SYS_NICE`, linux/capability.h
const SYS_NICE: u32 = 23;

/// What the system permits this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permission {
    /// Everything.
    capable: bool,
    /// `RLIMIT_RTPRIO`
    realtime: u64,
    /// `RLIMIT_NICE`: 20 minus the lowest nice value.
    nice: u64,
}

impl Permission {
    fn of_process() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        Self::parse(&read("/proc/self/status"), &read("/proc/self/limits"))
    }

    fn parse(status: &str, limits: &str) -> Self {
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let mask = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
        let soft = |name: &str| {
            let text = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
            if text == "unlimited" { Some(u64::MAX) } else { text.parse().ok() }
        };
        Self {
            capable: mask >> SYS_NICE & 1 == 1,
            realtime: soft("Max realtime priority").unwrap_or(0),
            nice: soft("Max nice priority").unwrap_or(0),
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

/// `None`: nothing is asked for that needs a permission.
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

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max nice priority         30                   30                   \n\
                          Max realtime priority     0                    0                    \n";

    #[test]
    fn limits_and_capabilities_are_read() {
        let limited = Permission::parse("Name:\tx\nCapEff:\t0000000000000000\n", LIMITS);
        assert_eq!(limited, Permission { capable: false, realtime: 0, nice: 30 });
        let capable = Permission::parse("CapEff:\t0000000000800000\n", "Max realtime priority  unlimited unlimited\n");
        assert_eq!(capable, Permission { capable: true, realtime: u64::MAX, nice: 0 });
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
