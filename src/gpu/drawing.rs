//! Drawing on frames in GPU memory, in place.

use super::overlay::Painter;
use crate::cuda::{Event, Kernels, Stream, copy_picture};
use crate::draw::{Overlay, Style};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::{CUDA_MEMORY, MappedFrame, SharedContext};
use crate::meta::{self, Record};
use gst::prelude::*;
use std::sync::Arc;

/// A stream, and what draws on it.
#[derive(Debug)]
pub struct DevicePainter {
    shared: SharedContext,
    painter: Painter,
    stream: Stream,
    /// By which the stream waits for what makes frames.
    produced: Event,
    /// Of frames that went on, used again.
    events: Vec<Arc<Event>>,
    /// For frames that others hold too.
    copies: Option<Copies>,
}

/// Where frames are copied to.
#[derive(Debug)]
struct Copies {
    pool: gst::BufferPool,
    caps: gst::Caps,
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What is out is freed when it comes back.
        let _ = self.pool.set_active(false);
    }
}

/// A frame that is being drawn on. It's kept from its pool until that is over, whatever becomes of it.
#[derive(Debug)]
pub struct Drawing {
    buffer: Option<gst::Buffer>,
    /// What it is a copy of.
    original: Option<gst::Buffer>,
    done: Arc<Event>,
}

impl Drawing {
    /// Waits for the drawing: consumers before GStreamer 1.24 don't, and those after it look at their own streams.
    ///
    /// # Errors
    /// What failed on the device.
    pub fn finish(mut self) -> Result<Option<gst::Buffer>, Error> {
        self.done.synchronise()?;
        Ok(self.buffer.take())
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if self.buffer.is_some() || self.original.is_some() {
            // Reached at once in most cases. Of an error somebody else is told who uses the device next.
            let _ = self.done.synchronise();
        }
    }
}

impl DevicePainter {
    /// # Errors
    /// A device failure, or no room.
    pub fn new(shared: SharedContext) -> Result<Self, Error> {
        let context = shared.context();
        let painter = Painter::new(context, &Kernels::of(context)?)?;
        let (stream, produced) = (Stream::new(context)?, Event::new(context)?);
        Ok(Self { painter, stream, produced, events: Vec::new(), copies: None, shared })
    }

    /// Whether it draws on frames of this context.
    pub fn is_of(&self, frame: &MappedFrame) -> bool {
        self.shared.context().handle() == frame.context()
    }

    /// Queues drawing a record into a frame: into a copy on the device, if others hold the frame too.
    ///
    /// # Errors
    /// A format that can't be drawn on, a device failure, or no room.
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
        if let Err(error) = queued.and_then(|()| done.record(&self.stream)) {
            // What was queued before the error still uses both frames.
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
        // Also of a frame to copy to: its memory may still be in use by whoever had it last.
        frame.wait_for_producer(&self.produced, &self.stream)?;
        if let Some(original) = original {
            let original = MappedFrame::read(original, info)?;
            original.check_context(self.shared.context())?;
            original.wait_for_producer(&self.produced, &self.stream)?;
            // SAFETY: both are frames of this context, kept until `Drawing::done`; the target is ours alone.
            unsafe { copy_picture(original.picture(), frame.picture(), &self.stream)? };
        }
        let picture = *frame.picture();
        overlay.draw(self.painter.begin(&picture)?, record, style);
        // SAFETY: the picture is `begin`'s; the planes are the frame's, in this context. The frame is ours alone, kept until
        // `Drawing::done`, and goes on only after that; this painter uses this stream only.
        unsafe { self.painter.enqueue(&picture, &self.stream) }
    }

    /// A frame with the same metadata, which nobody else holds.
    fn frame_for_copy(&mut self, buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Result<gst::Buffer, Error> {
        let refused = |error: gst::FlowError| {
            Error::new(ErrorKind::Memory, format!("no frame in GPU memory to copy a shared one to: {error}"))
        };
        let mut copy = self.pool(info)?.acquire_buffer(None).map_err(refused)?;
        if let Some(copy) = copy.get_mut() {
            meta::copy_all(buffer, copy);
        }
        Ok(copy)
    }

    fn pool(&mut self, info: &gst_video::VideoInfo) -> Result<&gst::BufferPool, Error> {
        let failed = |error: gst::glib::BoolError| {
            Error::new(ErrorKind::Memory, format!("no pool of frames in GPU memory: {error}"))
        };
        let mut caps = info.to_caps().map_err(failed)?;
        let features = gst::CapsFeatures::new([CUDA_MEMORY]);
        caps.make_mut().set_features_simple(Some(features));
        if self.copies.as_ref().is_none_or(|copies| copies.caps != caps) {
            let (pool, _) = self.shared.frame_pool(&caps, 0)?;
            pool.set_active(true).map_err(failed)?;
            self.copies = Some(Copies { pool, caps });
        }
        let none = || Error::new(ErrorKind::Memory, "no pool of frames in GPU memory");
        self.copies.as_ref().map(|copies| &copies.pool).ok_or_else(none)
    }

    /// One that nobody waits for any more, or a new one.
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
        // What the last drawing uses goes after this. Of an error somebody else is told who uses the device next.
        let _ = self.stream.synchronise();
    }
}
