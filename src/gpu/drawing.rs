//! Drawing on frames in GPU memory, in place.

use super::overlay::Painter;
use crate::draw::{Overlay, Style};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::{CUDA_MEMORY, MappedFrame, SharedContext};
use crate::meta::{self, Record};
use cuda::{CudaStream, Event, Kernels, copy_picture};
use gst::prelude::*;
use std::sync::Arc;

/// A stream and the painter that draws on it.
#[derive(Debug)]
pub struct DevicePainter {
    shared: SharedContext,
    painter: Painter,
    stream: CudaStream,
    /// The event by which the stream waits for a frame's producer.
    produced: Event,
    /// Events of frames that have been pushed on, for reuse.
    events: Vec<Arc<Event>>,
    /// The pool for copies of frames that other elements hold too.
    copies: Option<Copies>,
}

/// A pool of frames to copy into.
#[derive(Debug)]
struct Copies {
    pool: gst::BufferPool,
    caps: gst::Caps,
}

impl Drop for Copies {
    fn drop(&mut self) {
        // Frames that are still in use are freed when they return to the pool.
        let _ = self.pool.set_active(false);
    }
}

/// A frame that is being drawn on. Dropping it waits for the drawing, so the frame can't return to its pool too early.
#[derive(Debug)]
pub struct Drawing {
    buffer: Option<gst::Buffer>,
    /// The frame that was copied, if any.
    original: Option<gst::Buffer>,
    done: Arc<Event>,
}

impl Drawing {
    /// Waits for the drawing: consumers before GStreamer 1.24 don't wait for it, and later ones look at other streams.
    ///
    /// # Errors
    /// Work on the device failed.
    pub fn finish(mut self) -> Result<Option<gst::Buffer>, Error> {
        self.done.synchronise()?;
        Ok(self.buffer.take())
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if self.buffer.is_some() || self.original.is_some() {
            // The event has usually completed by now. The next use of the device reports an error.
            let _ = self.done.synchronise();
        }
    }
}

impl DevicePainter {
    /// # Errors
    /// The device failed or is out of memory.
    pub fn new(shared: SharedContext) -> Result<Self, Error> {
        let context = shared.context();
        let painter = Painter::new(context, &Kernels::of(context)?)?;
        let (stream, produced) = (CudaStream::new(context)?, Event::new(context)?);
        Ok(Self { painter, stream, produced, events: Vec::new(), copies: None, shared })
    }

    /// Whether this painter can draw on the frame, which must be in its context.
    pub fn is_of(&self, frame: &MappedFrame) -> bool {
        self.shared.context().handle() == frame.context()
    }

    /// Queues drawing a record into a frame, or into a copy on the device if other elements hold the frame too.
    ///
    /// # Errors
    /// The format can't be drawn on, the device failed or it is out of memory.
    pub fn draw(
        &mut self,
        buffer: gst::Buffer,
        info: &gst_video::VideoInfo,
        overlay: &mut Overlay,
        record: &Record,
        style: &Style,
    ) -> Result<Drawing, Error> {
        let (buffer, original) = if buffer.is_writable() && buffer.is_all_memory_writable() {
            (buffer, None)
        } else {
            (self.frame_for_copy(&buffer, info)?, Some(buffer))
        };
        let frame = MappedFrame::write(buffer, info)?;
        frame.check_context(self.shared.context())?;
        let done = self.event()?;
        let queued = self.queue(&frame, original.as_ref(), info, overlay, record, style);
        if let Err(error) = queued.and_then(|()| Ok(done.record(&self.stream)?)) {
            // Work queued before the error still uses both frames.
            self.stream.synchronise()?;
            return Err(error);
        }
        Ok(Drawing { buffer: frame.into_buffer(), original, done })
    }

    fn queue(
        &mut self,
        frame: &MappedFrame,
        original: Option<&gst::Buffer>,
        info: &gst_video::VideoInfo,
        overlay: &mut Overlay,
        record: &Record,
        style: &Style,
    ) -> Result<(), Error> {
        // This applies to a copy's target too: the last user of its memory may not have finished.
        frame.wait_for_producer(&self.produced, &self.stream)?;
        if let Some(original) = original {
            let original = MappedFrame::read(original, info)?;
            original.check_context(self.shared.context())?;
            original.wait_for_producer(&self.produced, &self.stream)?;
            // SAFETY: both frames are in this context and kept until `Drawing::done`; only we hold the target.
            unsafe { copy_picture(original.picture(), frame.picture(), &self.stream)? };
        }
        let picture = *frame.picture();
        overlay.draw(self.painter.begin(&picture)?, record, style);
        // SAFETY: the picture is the one given to `begin`, and its planes are in this context. Only we hold the frame,
        // which is kept until `Drawing::done`, and pushed on only after that; this painter uses this stream only.
        unsafe { self.painter.enqueue(&picture, &self.stream) }
    }

    /// A frame with the same metadata that nothing else references.
    fn frame_for_copy(&mut self, buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Result<gst::Buffer, Error> {
        let refused = |error: gst::FlowError| {
            Error::new(ErrorKind::Memory, format!("can't allocate a frame in GPU memory for a copy: {error}"))
        };
        let mut copy = self.pool(info)?.acquire_buffer(None).map_err(refused)?;
        if let Some(copy) = copy.get_mut() {
            meta::copy_all(buffer, copy);
        }
        Ok(copy)
    }

    fn pool(&mut self, info: &gst_video::VideoInfo) -> Result<&gst::BufferPool, Error> {
        let failed = |error: gst::glib::BoolError| {
            Error::new(ErrorKind::Memory, format!("can't start a pool of frames in GPU memory: {error}"))
        };
        let mut caps = info.to_caps().map_err(failed)?;
        let features = gst::CapsFeatures::new([CUDA_MEMORY]);
        caps.make_mut().set_features_simple(Some(features));
        if self.copies.as_ref().is_none_or(|copies| copies.caps != caps) {
            let (pool, _) = self.shared.frame_pool(&caps, 0)?;
            pool.set_active(true).map_err(failed)?;
            self.copies = Some(Copies { pool, caps });
        }
        let none = || Error::new(ErrorKind::Memory, "can't configure a pool of frames in GPU memory");
        self.copies.as_ref().map(|copies| &copies.pool).ok_or_else(none)
    }

    /// Returns an event that nothing waits for, or a new one.
    fn event(&mut self) -> Result<Arc<Event>, Error> {
        if let Some(free) = self.events.iter().find(|event| Arc::strong_count(event) == 1) {
            return Ok(free.clone());
        }
        let event = Arc::new(Event::new(self.shared.context())?);
        self.events.push(event.clone());
        Ok(event)
    }
}

impl Drop for DevicePainter {
    fn drop(&mut self) {
        // The memory of the last drawing is freed after this. The next use of the device reports an error.
        let _ = self.stream.synchronise();
    }
}
