//! What this process takes.

use procfs::process::{Process, Status};

/// Memory of this process that is in RAM, bytes.
pub fn resident() -> u64 {
    status().vmrss.expect("a process has memory") * 1024
}

/// As [`resident`], without what is in files.
#[allow(dead_code)]
pub fn anonymous() -> u64 {
    status().rssanon.expect("a process has memory") * 1024
}

fn status() -> Status {
    this().status().expect("Linux")
}

fn this() -> Process {
    Process::myself().expect("Linux")
}

/// Whether this process allocates from one arena, where what isn't used any more is used again, whoever freed it. With the
/// C library's many, memory grows for a long time without a leak, until each has seen every thread's worst. In a process
/// that has many this runs `test`, of this executable, in one that has one.
#[allow(dead_code)]
pub fn has_one_arena(test: &str) -> bool {
    const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "1");
    if std::env::var(ARENAS.0).is_ok_and(|arenas| arenas == ARENAS.1) {
        return true;
    }
    let mut again = std::process::Command::new(std::env::current_exe().expect("Linux"));
    again.args(["--ignored", "--exact", test, "--nocapture"]).env(ARENAS.0, ARENAS.1);
    assert!(again.status().expect("this executable").success(), "{test} failed with one arena");
    false
}

/// Memory, threads and open files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Bytes in RAM.
    pub memory: u64,
    pub threads: usize,
    pub files: usize,
}

impl Usage {
    pub fn now() -> Self {
        let (tasks, files) = (this().tasks().expect("Linux"), this().fd_count().expect("Linux"));
        Self { memory: resident(), threads: tasks.count(), files }
    }

    /// The greater of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
        }
    }
}
