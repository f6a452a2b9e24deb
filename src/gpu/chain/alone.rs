//! Timing of the model without preprocessing and decoding, as a baseline for measurements.

use super::Chain;
use crate::error::Error;
use cuda::{ContextBound, Event};
use std::sync::Arc;
use std::time::Duration;
use tensorrt;

/// Launches that are queued before each wait for the device.
const QUEUED: u32 = 16;

impl Chain {
    /// Measures the time of the model alone for an input of this shape by launching its graph back to back for at least
    /// `least`, in this chain's memory. `made` must be a context that isn't bound yet.
    ///
    /// # Errors
    /// TensorRT failed, the model can't be captured, or the device failed.
    pub fn time_model(&mut self, made: tensorrt::Context, shape: &[i64], least: Duration) -> Result<Duration, Error> {
        let context = Arc::clone(self.context());
        let _current = context.enter()?;
        let body = &self.body;
        let mut network = ContextBound::new(&context, body.bind(made, shape)?);
        // TensorRT requires one run between a change of shape and a capture.
        network.enqueue(&body.stream)?;
        body.wait()?;
        let mut graph = body.capture(|| network.enqueue(&body.stream))?;
        let (begin, end) = (Event::timed(&context)?, Event::timed(&context)?);
        let (mut runs, mut took) = (0, Duration::ZERO);
        // The first round uploads the graph to the device and lets its clocks rise.
        for round in 0.. {
            begin.record(&body.stream)?;
            for _ in 0..QUEUED {
                // SAFETY: the network outlives the graph and owns all memory that its work uses.
                unsafe { graph.launch(&body.stream) }?;
            }
            end.record(&body.stream)?;
            // All queued work must have run before it is timed.
            end.synchronise()?;
            if round > 0 {
                took += Duration::from_secs_f32(end.milliseconds_since(&begin)?.max(0.0) / 1000.0);
                runs += QUEUED;
            }
            // The number of rounds is limited, because the loop would never end if the device's clock stood still.
            if round > 0 && (took >= least || round > 10_000) {
                break;
            }
        }
        drop(graph);
        Ok(took / runs.max(1))
    }
}
