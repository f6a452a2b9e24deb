//! An engine that tests control.

use super::{Backend, Engine, Lane, ModelSettings, Slot};
use crate::error::{Error, ErrorKind, OnFailure};
use model::{Head, InputSpec, ModelInfo, head};
use parking_lot::{Condvar, Mutex};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use tensorrt::Onnx;

/// A gate that batches wait at. It counts arrivals and records the thread of the last one.
#[derive(Debug, Default)]
pub struct Gate {
    pub open: Mutex<(bool, usize)>,
    changed: Condvar,
    pub thread: Mutex<Option<ThreadId>>,
}

impl Gate {
    pub fn pass(&self) {
        *self.thread.lock() = Some(thread::current().id());
        let mut state = self.open.lock();
        state.1 += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(open, _)| !*open);
    }

    pub fn wait_for(&self, arrived: usize) {
        self.changed.wait_while(&mut self.open.lock(), |(_, n)| *n < arrived);
    }

    pub fn set(&self, open: bool) {
        self.open.lock().0 = open;
        self.changed.notify_all();
    }
}

pub struct Fake {
    info: ModelInfo,
    input: InputSpec,
    head: Arc<dyn Head>,
    lanes: usize,
    sizes: Vec<usize>,
    pub gate: Arc<Gate>,
    pub watcher: Mutex<Option<Arc<OnFailure>>>,
}

struct FakeLane(Arc<Gate>);

impl Engine for Fake {
    fn description(&self) -> String {
        "fake".into()
    }
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn head(&self) -> &Arc<dyn Head> {
        &self.head
    }
    fn max_batch(&self) -> usize {
        *self.sizes.last().unwrap()
    }
    fn batch_sizes(&self) -> Vec<usize> {
        self.sizes.clone()
    }
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        Ok((0..self.lanes).map(|_| Box::new(FakeLane(self.gate.clone())) as Box<dyn Lane>).collect())
    }
    fn watch(&self, failed: &Arc<OnFailure>) {
        *self.watcher.lock() = Some(failed.clone());
    }
}

impl Lane for FakeLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// An image without width can't be made.
    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        self.0.pass();
        for slot in slots.iter_mut().filter(|slot| slot.region.w == 0.0) {
            slot.output.error = Some(Error::new(ErrorKind::Failed, "no width"));
        }
        Ok(())
    }
}

/// Settings that no other test uses, with their own file.
pub fn settings(content: &str) -> (ModelSettings, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let settings = ModelSettings {
        backend: Backend::Cpu,
        model: file.path().to_owned(),
        batch_size: 2,
        ..ModelSettings::default()
    };
    (settings, file)
}

pub fn fake(open: bool) -> Arc<Fake> {
    fake_with(open, 1, &[1, 2])
}

pub fn fake_with(open: bool, lanes: usize, sizes: &[usize]) -> Arc<Fake> {
    gst::init().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/yolo.onnx");
    let info = Onnx::open(&path).unwrap().info().unwrap();
    let head::Recognised { head, input, .. } = head::recognise(&info, head::HeadChoice::Auto).unwrap();
    let gate = Arc::<Gate>::default();
    gate.set(open);
    Arc::new(Fake {
        info: ModelInfo::default(),
        input,
        head,
        lanes,
        sizes: sizes.to_vec(),
        gate,
        watcher: Mutex::default(),
    })
}
