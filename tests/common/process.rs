//! What this process takes.

/// Memory of this process that is in RAM, bytes.
pub fn resident() -> u64 {
    memory("VmRSS")
}

/// One kind of this process's memory, as the kernel calls it, bytes.
pub fn memory(kind: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let mut values = status.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(':'));
    let value = values.next().unwrap_or_else(|| panic!("no line {kind}"));
    value.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
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
        let count = |folder: &str| std::fs::read_dir(folder).expect("Linux").count();
        Self { memory: resident(), threads: count("/proc/self/task"), files: count("/proc/self/fd") }
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
