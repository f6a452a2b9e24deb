//! Tests which elements share a service, and how they wait for each other.

use super::registry::open_with;
use super::registry::testing::open_fake;
use crate::error::{Error, ErrorKind};
use crate::infer::testing::{Fake, Gate, fake, settings};
use crate::infer::{BuildWatch, Engine, ModelSettings, Precision};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The settings that lead to another service of the same model, and those that don't.
#[test]
fn elements_share_a_service_when_what_decides_on_it_is_equal() {
    let (settings, _file) = settings("shared");
    let service = open_fake(&settings, fake(true));
    let shares = |other: &ModelSettings| Arc::ptr_eq(&open_fake(other, fake(true)), &service);
    assert!(shares(&settings));
    let watch = BuildWatch { on_progress: Some(Arc::new(|_, _| {})), ..BuildWatch::default() };
    assert!(shares(&ModelSettings { watch, engine_cache: Some("/elsewhere".into()), ..settings.clone() }));
    let same = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(same.path(), "shared").unwrap();
    assert!(
        shares(&ModelSettings { model: same.path().to_owned(), ..settings.clone() }),
        "another file, the same model"
    );
    for other in [
        ModelSettings { batch_size: 4, ..settings.clone() },
        ModelSettings { workspace_size: 1, ..settings.clone() },
        ModelSettings { precision: Precision::Fp32, ..settings.clone() },
        ModelSettings { device_id: 1, ..settings.clone() },
        ModelSettings { gpu_memory_limit: 1, ..settings.clone() },
    ] {
        assert!(!shares(&other), "{other:?}");
    }
}

/// A service whose device has failed stays with the elements that hold it.
#[test]
fn a_failed_service_is_not_handed_out_again() {
    let (engine, (settings, _file)) = (fake(true), settings("failed"));
    let service = open_fake(&settings, engine.clone());
    engine.watcher.lock().clone().unwrap()(&Error::new(ErrorKind::Device, "the cause"));
    let again = open_fake(&settings, fake(true));
    assert!(!Arc::ptr_eq(&again, &service) && again.failure().is_none());
    assert!(Arc::ptr_eq(&again, &open_fake(&settings, fake(true))), "the new one is");
}

/// An engine whose opening takes until the gate opens, like one that must be built.
fn slow_to_open(gate: &Arc<Gate>, engine: Arc<Fake>) -> impl FnOnce(&ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    let gate = gate.clone();
    move |settings| {
        gate.pass();
        if settings.watch.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Failed, "cancelled"));
        }
        Ok(engine)
    }
}

fn watched(settings: &ModelSettings) -> (ModelSettings, Arc<AtomicBool>) {
    let watch = BuildWatch::default();
    let cancel = watch.cancel.clone();
    (ModelSettings { watch, ..settings.clone() }, cancel)
}

/// Waits for `done`, up to a limit.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// An element that waits for another one to open the model returns when it is cancelled; the other one continues.
#[test]
fn waiting_for_anothers_opening_can_be_cancelled() {
    let ((settings, _file), gate) = (settings("opened slowly"), Arc::<Gate>::default());
    let (waiting, cancel) = watched(&settings);
    thread::scope(|scope| {
        let opens = scope.spawn(|| open_with(&settings, slow_to_open(&gate, fake(true))));
        gate.wait_for(1);
        let waits = scope.spawn(|| open_with(&waiting, slow_to_open(&gate, fake(true))));
        thread::sleep(Duration::from_millis(50));
        assert!(!waits.is_finished());
        cancel.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while !waits.is_finished() && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        let came_back = waits.is_finished();
        gate.set(true);
        assert!(came_back, "it waits for the other's end");
        assert!(waits.join().unwrap().is_err());
        assert!(opens.join().unwrap().is_ok());
    });
}

/// An element that waits for an opening that fails, is cancelled or panics opens the model itself.
#[test]
fn an_opening_that_comes_to_nothing_is_the_waiting_elements_turn() {
    for (n, how) in ["fails", "is cancelled", "panics"].into_iter().enumerate() {
        let ((settings, _file), gate) = (settings(&format!("comes to nothing {n}")), Arc::<Gate>::default());
        let (first, cancel) = watched(&settings);
        thread::scope(|scope| {
            let opens = scope.spawn(|| {
                open_with(&first, |settings| {
                    let opened = slow_to_open(&gate, fake(true))(settings);
                    match how {
                        "fails" => Err(Error::new(ErrorKind::Model, "no good")),
                        "panics" => panic!("as a bug would"),
                        _ => opened,
                    }
                })
            });
            gate.wait_for(1);
            let waits = scope.spawn(|| open_with(&settings, |_| Ok(fake(true) as Arc<dyn Engine>)));
            thread::sleep(Duration::from_millis(20));
            cancel.store(true, Ordering::Relaxed);
            gate.set(true);
            assert!(opens.join().map_or(true, |opened| opened.is_err()), "{how}");
            eventually(how, || waits.is_finished());
            assert!(waits.join().unwrap().is_ok(), "{how}");
        });
    }
}
