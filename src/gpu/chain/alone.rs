//! The model without what is before and after it: what measurements compare with.

use super::Chain;
use crate::cuda::{Event, Within};
use crate::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tensorrt;

/// Launches that are queued before the device is waited for.
const QUEUED: u32 = 16;

impl Chain {
    /// How long the model alone takes for an input of this shape: its graph launched back to back for at least `least`, in
    /// this chain's memory. `made` is bound here and to nothing else.
    ///
    /// # Errors
    /// What TensorRT says, also where the model can't be captured; a device failure.
    pub fn time_model(&mut self, made: tensorrt::Context, shape: &[i64], least: Duration) -> Result<Duration, Error> {
        let context = Arc::clone(self.context());
        let _current = context.enter()?;
        let body = &self.body;
        let mut network = Within::new(&context, body.bind(made, shape)?);
        // After a change of shape one run has to come before the capture.
        network.enqueue(&body.stream)?;
        body.wait()?;
        let mut graph = body.capture(|| network.enqueue(&body.stream))?;
        let (begin, end) = (Event::timed(&context)?, Event::timed(&context)?);
        let (mut runs, mut took) = (0, Duration::ZERO);
        // The first round moves the graph to the device and gets its clocks up.
        for round in 0.. {
            begin.record(&body.stream)?;
            for _ in 0..QUEUED {
                // SAFETY: the network, which outlives the graph, keeps all that its work uses.
                unsafe { graph.launch(&body.stream) }?;
            }
            end.record(&body.stream)?;
            // Everything queued has to have run before it is timed.
            end.synchronise()?;
            if round > 0 {
                took += Duration::from_secs_f32(end.milliseconds_since(&begin)?.max(0.0) / 1000.0);
                runs += QUEUED;
            }
            // Not on a clock of the device alone: one that stands still would never end this.
            if round > 0 && (took >= least || round > 10_000) {
                break;
            }
        }
        drop(graph);
        Ok(took / runs.max(1))
    }
}
