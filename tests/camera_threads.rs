//! The CPU affinity and priority of cameras' threads. Runs alone in its process, so that the threads are known.

mod common;

use common::barcode::Codec;
use common::running::start;
use common::supervised::{Supervised, camera};
use gsttensorrt::config::Priority;
use gsttensorrt::run::{FileSource, Outcome, SourceSetup, ThreadSetup};
use procfs::process::{Process, Task};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Per thread of this process: name, policy (0 normal, 2 round robin), niceness, first and last core.
type Thread = (String, u32, i64, (u32, u32));

fn threads() -> BTreeMap<i32, Thread> {
    let read = |task: &Task| -> Option<Thread> {
        // The thread may have ended meanwhile.
        let (stat, status) = (task.stat().ok()?, task.status().ok()?);
        let cores = status.cpus_allowed_list?;
        Some((stat.comm, stat.policy?, stat.nice, (cores.first()?.0, cores.last()?.1)))
    };
    let tasks = Process::myself().unwrap().tasks().unwrap().flatten();
    tasks.filter_map(|task| Some((task.tid, read(&task)?))).collect()
}

#[test]
fn threads_have_the_configured_affinity_and_priority() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    common::barcode::write_mp4(Codec::H264, 100, &path);
    let own = nice();
    let mut setup = camera("pinned", SourceSetup::File(FileSource { path, looping: true }));
    setup.threads = ThreadSetup { pinned: true, decoder: Priority::Realtime, others: Priority::High };
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("pinned", 10, 10 * SECOND);
    let threads = threads();
    let named = |name: &str| threads.values().filter(|thread| thread.0 == name).cloned().collect::<Vec<_>>();
    let (decoder, pictures) = (named("coded:src"), named("pictures:src"));
    // The decoder's library starts helper threads, which inherit all of these settings.
    assert!(!decoder.is_empty() && pictures.len() == 1, "{threads:?}");
    for thread in decoder.iter().chain(&pictures) {
        assert_eq!(thread.3.0, thread.3.1, "on one core: {thread:?}");
    }
    let refused = |what: &str| cameras.lines().iter().any(|line| line.contains(what) && line.contains("permitted"));
    let policy = if refused("REALTIME") { 0 } else { 2 };
    assert!(decoder.iter().all(|thread| thread.1 == policy), "{decoder:?} {:?}", cameras.lines());
    assert_eq!(pictures[0].1, 0);
    assert_eq!(pictures[0].2, if refused("HIGH") { own } else { (own - 10).max(-20) }, "{:?}", cameras.lines());
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

fn nice() -> i64 {
    threads()[&nix::unistd::gettid().as_raw()].2
}
