//! Resources used by this process.

use procfs::process::{Process, Status};

/// Resident memory of this process, bytes.
pub fn resident() -> u64 {
    status().vmrss.expect("a process has memory") * 1024
}

/// Like [`resident`], without file-backed pages.
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

/// True if this process allocates from one arena, in which freed memory is reused by any thread. With the C library's many
/// arenas memory grows for a long time without a leak, until each arena has seen every thread's peak. In a process with many
/// arenas this runs `test` of this executable in a process with a single one.
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
    /// Resident bytes.
    pub memory: u64,
    pub threads: usize,
    pub files: usize,
}

impl Usage {
    pub fn now() -> Self {
        let (tasks, files) = (this().tasks().expect("Linux"), this().fd_count().expect("Linux"));
        Self { memory: resident(), threads: tasks.count(), files }
    }

    /// The maximum of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
        }
    }
}
