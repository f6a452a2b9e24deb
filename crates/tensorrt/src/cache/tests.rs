//! Tests of the cache with the mock: what is built and what is read from the cache.

use super::*;
use crate::mock::{self, take_calls};
use crate::onnx::tests::model_bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

struct Setup {
    folder: tempfile::TempDir,
    library: &'static Library,
    cache: EngineCache,
    model: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("yolo.onnx");
        std::fs::write(&model, model_bytes()).unwrap();
        let cache = EngineCache::new(folder.path().join("cache"), DEFAULT_LIMIT);
        Self { library: mock::library("10.16"), cache, model, folder }
    }

    fn get_with(&self, settings: &BuildSettings) -> CachedEngine {
        self.cache.get_or_build(self.library, None, &self.model, settings, &BuildControl::default()).unwrap()
    }

    fn get(&self) -> CachedEngine {
        self.get_with(&BuildSettings::default())
    }
}

#[test]
fn the_second_call_reads() {
    let setup = Setup::new();
    let first = setup.get();
    assert!(first.built && take_calls().contains(&"buildSerializedNetwork".to_owned()));
    let second = setup.get();
    assert!(!second.built && take_calls().is_empty());
    assert_eq!((first.plan, first.path, first.record), (second.plan, second.path, second.record));
}

#[test]
fn other_settings_or_content_are_another_engine() {
    let setup = Setup::new();
    let first = setup.get();
    let other = setup.get_with(&BuildSettings { workspace: 1, ..BuildSettings::default() });
    assert!(other.built && other.path != first.path);
    // Different content of the same size.
    let mut bytes = model_bytes();
    bytes.extend([0x28, 1]);
    std::fs::write(&setup.model, bytes).unwrap();
    let changed = setup.get();
    assert!(changed.built && changed.path != first.path);
    assert_eq!(setup.cache.list().unwrap().len(), 3);
}

#[test]
fn damaged_entries_are_built_again() {
    type Damage = fn(&Path, &Path);
    let damages: [Damage; 6] = [
        |engine, _| std::fs::write(engine, b"a plbn").unwrap(),
        |engine, _| std::fs::write(engine, b"a pl").unwrap(),
        |engine, _| std::fs::write(engine, b"").unwrap(),
        |_, json| std::fs::write(json, b"{").unwrap(),
        |_, json| std::fs::remove_file(json).unwrap(),
        |_, json| {
            let text = std::fs::read_to_string(json).unwrap();
            std::fs::write(json, text.replace("TensorRT 10.16.0", "TensorRT 10.3.0")).unwrap();
        },
    ];
    for damage in damages {
        let setup = Setup::new();
        let first = setup.get();
        damage(&first.path, &first.path.with_extension("json"));
        let again = setup.get();
        assert!(again.built);
        assert_eq!((again.plan, again.path, again.record), (first.plan, first.path, first.record));
        assert!(!setup.get().built);
    }
}

#[test]
fn timings_are_kept_for_the_next_build() {
    let setup = Setup::new();
    setup.get();
    let file = setup.folder.path().join("cache/timings-TensorRT-10.16.0-no-GPU.cache");
    assert_eq!(std::fs::read(&file).unwrap(), b"TIMINGS");
    // Those from elsewhere are added, however many there are, and stay.
    let given = setup.folder.path().join("cache/timings");
    std::fs::create_dir(&given).unwrap();
    for (name, text) in [("pair.cache", "TIMINGS pair"), ("tests.cache", "TIMINGS tests"), ("README", "TIMINGS no")] {
        std::fs::write(given.join(name), text).unwrap();
    }
    setup.get_with(&BuildSettings { workspace: 1, ..BuildSettings::default() });
    assert_eq!(std::fs::read(&file).unwrap(), b"TIMINGS pair tests");
    setup.cache.clear().unwrap();
    assert!(!file.exists() && given.join("pair.cache").exists());
}

#[test]
fn the_least_recently_used_go_at_the_limit() {
    let mut setup = Setup::new();
    let size = setup.get().plan.len() as u64;
    setup.cache = EngineCache::new(setup.cache.folder(), 2 * size);
    let with = |workspace| BuildSettings { workspace, ..BuildSettings::default() };
    let wait = || std::thread::sleep(Duration::from_millis(20));
    wait();
    setup.get_with(&with(1));
    wait();
    assert!(!setup.get().built);
    wait();
    setup.get_with(&with(2));
    assert_eq!(setup.cache.list().unwrap().len(), 2);
    assert!(!setup.get().built, "used later than the deleted one");
    // A limit below one engine still keeps the newest.
    setup.cache = EngineCache::new(setup.cache.folder(), 1);
    assert!(setup.get_with(&with(3)).built);
    assert_eq!(setup.cache.list().unwrap().len(), 1);
}

#[test]
fn clear_leaves_nothing_but_the_lock() {
    let setup = Setup::new();
    let plan = setup.get().plan;
    let users = setup.cache.folder().join("mine.engine");
    std::fs::write(&users, "").unwrap();
    assert_eq!(setup.cache.clear().unwrap(), (1, plan.len() as u64));
    std::fs::remove_file(users).unwrap();
    let left: Vec<_> = std::fs::read_dir(setup.cache.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["build.lock"]);
    assert_eq!(EngineCache::new("/nonexistent/cache", 0).clear().unwrap(), (0, 0));
}

#[test]
fn waiting_for_another_build_can_be_cancelled() {
    let setup = Setup::new();
    let held = setup.cache.lock(&setup.model, &BuildControl::default()).unwrap();
    let cancel = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&cancel);
    let control = BuildControl {
        cancel,
        on_progress: Some(Arc::new(move |what, _| {
            assert_eq!(what, "waiting for another build");
            set.store(true, Ordering::Relaxed);
        })),
        ..BuildControl::default()
    };
    let result = setup.cache.get_or_build(setup.library, None, &setup.model, &BuildSettings::default(), &control);
    assert!(matches!(result, Err(Error::Cancelled { .. })));
    drop(held);
    assert!(setup.get().built);
}

#[test]
fn a_failed_build_leaves_no_engine() {
    let setup = Setup::new();
    mock::state(|s| s.bad_model = true);
    let result = setup.cache.get_or_build(
        setup.library,
        None,
        &setup.model,
        &BuildSettings::default(),
        &BuildControl::default(),
    );
    assert!(matches!(result, Err(Error::Parse { .. })));
    assert!(setup.cache.list().unwrap().is_empty());
    mock::state(|s| s.bad_model = false);
    assert!(setup.get().built);
}
