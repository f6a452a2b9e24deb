//! Models that are opened before cameras need them.

use crate::check::gpu_names;
use crate::config::{Model, Pipeline, Plan};
use crate::elements::{ElementOptions, ElementSetup};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::options::InferenceOptions;
use gst::prelude::*;

/// Holds models open until it's dropped: a camera that starts uses them and opens nothing.
#[derive(Debug)]
pub struct Warm(gst::Pipeline);

impl Warm {
    /// Opens these models of a plan, on each GPU where it runs on GPUs. This takes as long as opening takes.
    ///
    /// # Errors
    /// A model can't be opened; the first reason.
    pub fn open(plan: &Plan, models: &[Model]) -> Result<Self, Error> {
        let devices = match plan.pipeline {
            Pipeline::Cpu => 1,
            Pipeline::UnifiedGpu => u32::try_from(gpu_names()?.len()).unwrap_or(u32::MAX),
        };
        let this = Self(gst::Pipeline::builder().name("models").build());
        for (device, model) in (0..devices).flat_map(|device| models.iter().map(move |model| (device, model))) {
            let options = InferenceOptions { roi_meta: false, analytics_meta: false, ..model.options_in(plan, device) };
            let of = match model.id {
                "pose" => ElementOptions::pose,
                "classification" => ElementOptions::classify,
                _ => ElementOptions::detect,
            };
            let setup = ElementSetup { name: format!("{}-{device}", model.id), options: of(options), contents: vec![] };
            let element = setup.make()?;
            if plan.pipeline == Pipeline::UnifiedGpu {
                element.set_context(&SharedContext::own(device)?.to_gst());
            }
            this.0
                .add(&element)
                .map_err(|_| Error::new(ErrorKind::Failed, "an element can't be added to a pipeline"))?;
        }
        if models.is_empty() {
            return Ok(this);
        }
        let opened = this.0.set_state(gst::State::Paused).and_then(|_| this.0.state(gst::ClockTime::NONE).0);
        if opened.is_err() {
            return Err(Error::new(ErrorKind::Failed, this.reason()));
        }
        Ok(this)
    }

    /// The first error on the bus.
    fn reason(&self) -> String {
        let message = self.0.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().to_string(),
            _ => "a model can't be opened".to_owned(),
        }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
