//! Runs an opened model on single frames of system memory.

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::infer::{Engine, Frame, Lane, Output, Slot};
use gst::prelude::*;
use model::{Detection, Labels, Letterbox, Params, Rect, TensorInfo};
use std::sync::Arc;

pub struct Runner {
    engine: Arc<dyn Engine>,
    lanes: Vec<Box<dyn Lane>>,
    upload: Option<Upload>,
    params: Arc<Params>,
}

impl Runner {
    /// `shared` is the context of an engine that takes frames in GPU memory.
    pub fn new(engine: Arc<dyn Engine>, shared: Option<&SharedContext>, confidence: f32) -> Result<Self, Error> {
        let mut lanes = engine.lanes()?;
        lanes.iter_mut().try_for_each(|lane| lane.warm_up())?;
        let upload = shared.map(Upload::new).transpose()?;
        Ok(Self { engine, lanes, upload, params: Arc::new(Params { confidence, ..Params::default() }) })
    }

    /// Checks that the model's outputs fit its head.
    pub fn examine(&mut self) -> Result<(), Error> {
        self.lanes.iter_mut().try_for_each(|lane| lane.examine())
    }

    pub fn labels(&self) -> Labels {
        self.engine.head().labels().clone()
    }

    pub fn outputs(&self) -> Vec<TensorInfo> {
        self.engine.info().outputs.clone()
    }

    /// A frame's width and height in pixels of the network's input.
    pub fn scale(&self, frame: &Frame) -> (f32, f32) {
        let letterbox = Letterbox::new(whole(frame), self.engine.input());
        (letterbox.width as f32, letterbox.height as f32)
    }

    /// The objects on a frame, as fractions of it.
    pub fn run(&mut self, frame: Frame) -> Result<Vec<Detection>, Error> {
        let region = whole(&frame);
        let frame = match &self.upload {
            Some(upload) => upload.frame(&frame)?,
            None => frame,
        };
        let slot = Slot {
            frame: Arc::new(frame),
            region,
            tensor: None,
            params: Arc::clone(&self.params),
            output: Output::default(),
        };
        let mut slots = [slot];
        let lane = self.lanes.first_mut().ok_or_else(|| Error::new(ErrorKind::Failed, "the model has no lane"))?;
        lane.run(&mut slots)?;
        let [Slot { output, .. }] = slots;
        output.error.map_or(Ok(output.detections), Err)
    }
}

fn whole(frame: &Frame) -> Rect {
    Rect::new(0.0, 0.0, frame.info.width() as f32, frame.info.height() as f32)
}

/// Copies frames to the GPU by GStreamer's own element.
struct Upload {
    pipeline: gst::Pipeline,
    source: gst::Element,
    sink: gst::Element,
}

impl Upload {
    fn new(shared: &SharedContext) -> Result<Self, Error> {
        let launch = "appsrc name=source format=time ! cudaupload ! video/x-raw(memory:CUDAMemory) ! \
                      appsink name=sink sync=false";
        let failed = |what: String| Error::new(ErrorKind::Device, format!("frames can't be copied to the GPU: {what}"));
        let pipeline = gst::parse::launch(launch).map_err(|error| failed(error.to_string()))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed("no pipeline".into()))?;
        let named = |name: &str| pipeline.by_name(name).ok_or_else(|| failed(format!("no {name}")));
        let (source, sink) = (named("source")?, named("sink")?);
        pipeline.set_context(&shared.to_gst());
        pipeline.set_state(gst::State::Playing).map_err(|error| failed(error.to_string()))?;
        Ok(Self { pipeline, source, sink })
    }

    fn frame(&self, frame: &Frame) -> Result<Frame, Error> {
        let failed = || {
            let text = super::frames::said(&self.pipeline).unwrap_or_else(|| "cudaupload gave no frame".into());
            Error::new(ErrorKind::Device, format!("a frame can't be copied to the GPU: {text}"))
        };
        let caps = frame.info.to_caps().map_err(|_| failed())?;
        let sample = gst::Sample::builder().buffer(&frame.buffer).caps(&caps).build();
        let pushed: gst::FlowReturn = self.source.emit_by_name("push-sample", &[&sample]);
        pushed.into_result().map_err(|_| failed())?;
        super::frames::pull(&self.sink, gst::ClockTime::from_seconds(30)).ok_or_else(failed)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Nothing prevents the change to NULL.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
