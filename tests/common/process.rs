//! What this process takes.

/// Memory of this process that is in RAM, bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
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
