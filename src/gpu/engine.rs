//! A model that TensorRT has loaded.

use super::CAT;
use super::account::MemoryAccount;
use super::chain::{Chain, ChainOutput, ChainSpec};
use super::lane::{Counters, GpuLane};
use super::model::GpuModel;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::gst_cuda::SharedContext;
use crate::infer::{self, DeviceUsage, Lane, ModelSettings, batch_sizes_between};
use cuda::{Context, ContextBound, Kernels};
use model::labels::MOST_UNCOUNTED;
use model::{Head, InputSpec, ModelInfo};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tensorrt::{self, Group, Library, Loaded, Version};

/// With two lanes, one batch's work on the device covers the other's work on the host.
const LANES: u32 = 2;

/// A loaded engine in a CUDA context that elements share.
pub struct GpuEngine {
    // The fields are dropped in this order.
    engine: ContextBound<Arc<tensorrt::Engine>>,
    model: Arc<GpuModel>,
    kernels: Arc<Kernels>,
    counters: Arc<Counters>,
    account: Arc<MemoryAccount>,
    description: String,
    version: Version,
    /// The context itself doesn't keep its watchers alive.
    watchers: Mutex<Vec<Arc<cuda::OnFailure>>>,
    shared: SharedContext,
}

impl GpuEngine {
    /// Wraps an engine that was loaded for these settings. The context must be current.
    ///
    /// # Errors
    /// The model can't be run here, or the device can't run the kernels.
    pub fn new(
        shared: SharedContext,
        library: &'static Library,
        loaded: Loaded,
        account: Arc<MemoryAccount>,
        asked: &ModelSettings,
    ) -> Result<Self, Error> {
        let Loaded { engine, path, metadata, .. } = loaded;
        let context = Arc::clone(shared.context());
        let engine = ContextBound::new(&context, engine);
        let model =
            GpuModel::read(&engine, metadata, &asked.model, asked.choice).map_err(|error| account.cause(error))?;
        let (name, version) = (path.file_name().unwrap_or(path.as_os_str()).display(), library.version());
        let description = format!("{name} on {version} ({}, device {})", context.device_name()?, context.device());
        gst::info!(super::CAT, "Opened {description}: head {}, batch {:?}", model.head.name(), model.batch);
        let kernels = Kernels::of(&context)?;
        let (model, counters) = (Arc::new(model), Arc::default());
        let watchers = Mutex::default();
        Ok(Self { engine, model, kernels, counters, account, description, version, watchers, shared })
    }

    fn context(&self) -> &Arc<Context> {
        self.shared.context()
    }

    /// The memory and kernels of one lane, without any batch size prepared.
    fn chain(&self) -> Result<Chain, Error> {
        let model = &self.model;
        let outputs: Vec<ChainOutput> = model.outputs.iter().map(|(_, output)| output.clone()).collect();
        let spec = ChainSpec {
            input: &model.input,
            input_name: &model.input_name,
            constants: &model.constants,
            outputs: &outputs,
            plan: &model.plan,
            classes: model.head.class_count().unwrap_or(MOST_UNCOUNTED),
            masks: model.head.masks(),
            needs_nms: model.head.needs_nms(),
            batch: model.batch,
            scratch: usize::try_from(self.engine.device_memory()).unwrap_or(usize::MAX),
        };
        Chain::new(&self.account, &self.kernels, &spec)
    }

    /// Creates one lane; `index` is its profile where contexts can't share one.
    fn lane(&self, index: u32, together: bool) -> Result<GpuLane, Error> {
        let (model, engine) = (&self.model, &*self.engine);
        let mut chain = self.chain()?;
        if together {
            for batch in infer::Engine::batch_sizes(self) {
                let reason = chain.add(|| engine.create_context(), batch, &model.shape(batch))?;
                if let Some(reason) = reason {
                    gst::warning!(
                        CAT,
                        "{}: batch {batch} can't be a CUDA graph and is launched step by step, which costs CPU time: {reason}",
                        self.description
                    );
                }
            }
        } else {
            chain.add_reshaped(engine.create_context()?, index, &model.shape(model.batch.1))?;
        }
        Ok(GpuLane::new(Arc::clone(model), chain, Arc::clone(&self.counters)))
    }
}

/// Whether several contexts of an engine may exist at the same time: always, unless its shapes are dynamic and the
/// TensorRT release requires a profile per context (8.5; since 8.6 our builder enables sharing).
fn contexts_live_together(version: Version, dynamic: bool) -> bool {
    !dynamic || version.group() != Some(Group::V8) || version.minor >= 6
}

impl infer::Engine for GpuEngine {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    fn input(&self) -> &InputSpec {
        &self.model.input
    }

    fn head(&self) -> &Arc<dyn Head> {
        &self.model.head
    }

    fn doubt(&self) -> Option<&str> {
        self.model.reading.doubt()
    }

    fn max_batch(&self) -> usize {
        self.model.batch.1
    }

    fn batch_sizes(&self) -> Vec<usize> {
        batch_sizes_between(self.model.batch.0, self.model.batch.1)
    }

    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        let _current = self.context().enter()?;
        let together = contexts_live_together(self.version, self.model.dynamic);
        let count = if together { LANES } else { self.engine.profiles().clamp(1, LANES) };
        let lanes = (0..count).map(|index| {
            let lane = self.lane(index, together).map_err(|error| self.account.cause(error))?;
            self.counters.graphs.fetch_add(lane.graphs() as u32, Ordering::Relaxed);
            Ok(Box::new(lane) as Box<dyn Lane>)
        });
        lanes.collect()
    }

    fn time_alone(&self, least: Duration) -> Result<Vec<(usize, Duration)>, Error> {
        let _current = self.context().enter()?;
        if !contexts_live_together(self.version, self.model.dynamic) {
            let text = format!(
                "{}: {} can't create another context for timing the model alone",
                self.description, self.version
            );
            return Err(Error::new(ErrorKind::Failed, text));
        }
        let mut chain = self.chain().map_err(|error| self.account.cause(error))?;
        let times = self.batch_sizes().into_iter().map(|batch| {
            let time = chain.time_model(self.engine.create_context()?, &self.model.shape(batch), least);
            Ok((batch, time.map_err(|error| self.account.cause(error))?))
        });
        times.collect()
    }

    fn watch(&self, failed: &Arc<OnFailure>) {
        let failed = Arc::downgrade(failed);
        let watcher: Arc<cuda::OnFailure> = Arc::new(move |error| {
            if let Some(failed) = failed.upgrade() {
                failed(&error.clone().into());
            }
        });
        self.context().watch(&watcher);
        self.watchers.lock().push(watcher);
    }

    fn usage(&self) -> Option<DeviceUsage> {
        let (memory, context) = (self.account.usage(), self.context());
        let ours = context.taken();
        // A device that has failed doesn't report its memory.
        let used = context.memory().map_or(0, |(free, total)| total.saturating_sub(free) as u64);
        Some(DeviceUsage {
            memory: memory.in_use,
            memory_peak: memory.peak,
            memory_ours: ours,
            memory_beside: used.saturating_sub(ours),
            to_device: self.counters.to_device.load(Ordering::Relaxed),
            to_host: self.counters.to_host.load(Ordering::Relaxed),
            graphs: self.counters.graphs.load(Ordering::Relaxed),
            candidates_cut: self.counters.candidates_cut.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tensorrt_8_5_wants_a_profile_for_each_context() {
        let version = |number, file: &str| Version::decode(number, file);
        assert!(!contexts_live_together(version(8503, "libnvinfer.so.8"), true));
        assert!(contexts_live_together(version(8503, "libnvinfer.so.8"), false));
        assert!(contexts_live_together(version(8601, "libnvinfer.so.8"), true));
        assert!(contexts_live_together(version(100_600, "libnvinfer.so.10"), true));
        assert!(contexts_live_together(version(110_400, "libnvinfer.so.11"), true));
        assert!(contexts_live_together(version(10_701, "libtensorrt_rtx.so.1"), true));
    }
}
