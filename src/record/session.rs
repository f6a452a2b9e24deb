//! A pipeline that draws frames of one format and passes them to an output.

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::meta::{self, Record};
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records from the first frame of a format to the last. Dropping it discards unwritten data; [`Self::end`] and waiting
/// for [`Event::Ended`] before that writes everything.
#[derive(Debug)]
pub struct Session {
    pipeline: gst::Pipeline,
    source: gst::Element,
    caps: gst::Caps,
    /// The detections of the frame that is on its way to the overlay.
    record: Arc<Mutex<Arc<Record>>>,
    /// A frame has left the source, and hasn't been reported as through.
    has_left: Arc<AtomicBool>,
}

/// What a session reports, on threads of its pipeline.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A frame has reached the last queue: the next may come.
    Through,
    /// Everything is written.
    Ended,
    Failed(&'a str),
    /// The overlay posted a warning.
    Warning(&'a str),
    /// An element's own message.
    Posted(&'a gst::StructureRef),
}

impl Session {
    /// Starts a pipeline for frames of these caps, which draws what was found in them if `is_drawn`, and ends in `elements`;
    /// `connect` gets it before it starts.
    ///
    /// # Errors
    /// An element is missing or doesn't start.
    pub fn start(
        is_drawn: bool,
        elements: &str,
        caps: &gst::Caps,
        gpu: Option<&SharedContext>,
        connect: impl FnOnce(&gst::Pipeline),
        listen: impl Fn(Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let failed = |text: String| Error::new(ErrorKind::Failed, text);
        let download = gpu.map_or("", |_| "cudadownload ! video/x-raw ! ");
        let draw = if is_drawn { "trtoverlay name=draw ! " } else { "" };
        let text = format!(
            "appsrc name=frames is-live=true format=time max-buffers=1 max-bytes=0 max-time=0 ! {download}videoconvert ! \
             {draw}{elements}"
        );
        let made = gst::parse::launch_full(&text, None, gst::ParseFlags::FATAL_ERRORS);
        let made = made.map_err(|error| failed(error.message().to_owned()))?;
        let pipeline = made.downcast::<gst::Pipeline>().map_err(|_| failed("there is no pipeline".into()))?;
        let element = |name: &str| pipeline.by_name(name).ok_or_else(|| failed(format!("there is no {name}")));
        if let Some(gpu) = gpu {
            // The frames' own context: another can't read them.
            pipeline.set_context(&gpu.to_gst());
        }
        let session = Self {
            source: element("frames")?,
            caps: caps.clone(),
            record: Arc::default(),
            has_left: Arc::default(),
            pipeline: pipeline.clone(),
        };
        session.source.set_property("caps", caps);
        if is_drawn {
            session.keep_record(&element("draw")?);
        }
        connect(&pipeline);
        let listen = Arc::new(listen);
        session.watch_source(listen.clone());
        if let Some(bus) = pipeline.bus() {
            bus.set_sync_handler(move |_, message| {
                tell(message, &*listen);
                // Nothing reads the bus.
                gst::BusSyncReply::Drop
            });
        }
        // The failing element has posted the reason before this.
        pipeline.set_state(gst::State::Playing).map_err(|_| failed("it doesn't start".into()))?;
        Ok(session)
    }

    /// The caps of its frames.
    pub fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// Pushes a frame: the first, and one after each [`Event::Through`].
    ///
    /// # Errors
    /// The pipeline has failed.
    pub fn push(&self, buffer: &gst::Buffer, record: Arc<Record>) -> Result<(), gst::FlowError> {
        *self.record.lock() = record;
        self.source.emit_by_name::<gst::FlowReturn>("push-buffer", &[buffer]).into_result().map(drop)
    }

    /// No frame follows.
    pub fn end(&self) {
        let _ = self.source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    }

    /// The source needs data when the pushed frame is through, but also before the first frame and at other times.
    fn watch_source(&self, listen: Arc<impl Fn(Event<'_>) + Send + Sync + 'static>) {
        let leaves = self.has_left.clone();
        if let Some(pad) = self.source.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                leaves.store(true, Ordering::Release);
                gst::PadProbeReturn::Ok
            });
        }
        let has_left = self.has_left.clone();
        self.source.connect("need-data", false, move |_| {
            if has_left.swap(false, Ordering::AcqRel) {
                listen(Event::Through);
            }
            None
        });
    }

    /// Carries the detections past the download and the conversion, which can lose them.
    fn keep_record(&self, draw: &gst::Element) {
        let Some(pad) = draw.static_pad("sink") else { return };
        let (record, size) = (self.record.clone(), size(&self.caps));
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(buffer), Some((width, height))) = (info.buffer_mut(), size)
                && meta::record(buffer).is_none()
            {
                meta::set_record_alone(buffer.make_mut(), record.lock().clone(), width, height);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn tell(message: &gst::Message, listen: &dyn Fn(Event<'_>)) {
    match message.view() {
        gst::MessageView::Error(error) => listen(Event::Failed(error.error().message())),
        gst::MessageView::Eos(_) => listen(Event::Ended),
        gst::MessageView::Warning(warning) if message.src().is_some_and(|source| source.name() == "draw") => {
            listen(Event::Warning(warning.error().message()));
        }
        gst::MessageView::Element(element) => {
            if let Some(structure) = element.structure() {
                listen(Event::Posted(structure));
            }
        }
        _ => {}
    }
}

/// The width and height in the caps.
pub fn size(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let of = caps.structure(0)?;
    let pixels = |name| of.get::<i32>(name).ok().and_then(|pixels| u32::try_from(pixels).ok());
    Some((pixels("width")?, pixels("height")?))
}
