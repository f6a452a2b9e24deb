//! Where cameras' threads run, and how urgent they are. Alone in its process, so that the threads are known.

mod common;

use common::barcode::Codec;
use common::running::start;
use common::supervised::{Supervised, camera};
use gsttensorrt::config::Priority;
use gsttensorrt::run::{FileSource, Outcome, Source, ThreadSetup};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Of a thread of this process: name, policy (0 normal, 2 round robin), niceness, cores.
type Thread = (String, i64, i64, String);

fn threads() -> BTreeMap<u32, Thread> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let read = |path: PathBuf| -> Option<Thread> {
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        // proc(5): niceness is field 19 and policy field 41, counted from 1; the name is field 2.
        let (policy, nice) = (fields.get(41 - 3)?.parse().ok()?, fields.get(19 - 3)?.parse().ok()?);
        Some((before.split_once('(')?.1.to_owned(), policy, nice, cores.trim().to_owned()))
    };
    tasks.filter_map(|task| Some((task.file_name().to_str()?.parse().ok()?, read(task.path())?))).collect()
}

#[test]
fn threads_are_where_they_are_wanted_and_as_urgent() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    common::barcode::write_mp4(Codec::H264, 100, &path);
    let own = nice();
    let mut setup = camera("pinned", Source::File(FileSource { path, looping: true }));
    setup.threads = ThreadSetup { pinned: true, decoder: Priority::Realtime, others: Priority::High };
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("pinned", 10, 10 * SECOND);
    let threads = threads();
    let named = |name: &str| threads.values().filter(|thread| thread.0 == name).cloned().collect::<Vec<_>>();
    let (decoder, pictures) = (named("coded:src"), named("pictures:src"));
    // The decoder's library starts helpers, which inherit all of it.
    assert!(!decoder.is_empty() && pictures.len() == 1, "{threads:?}");
    for thread in decoder.iter().chain(&pictures) {
        assert!(thread.3.parse::<u32>().is_ok(), "on one core: {thread:?}");
    }
    let refused = |what: &str| cameras.lines().iter().any(|line| line.contains(what) && line.contains("permitted"));
    let policy = if refused("REALTIME") { 0 } else { 2 };
    assert!(decoder.iter().all(|thread| thread.1 == policy), "{decoder:?} {:?}", cameras.lines());
    assert_eq!(pictures[0].1, 0);
    assert_eq!(pictures[0].2, if refused("HIGH") { own } else { (own - 10).max(-20) }, "{:?}", cameras.lines());
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

fn nice() -> i64 {
    threads()[&nix::unistd::gettid().as_raw().cast_unsigned()].2
}
