//! A video file in place of a camera, at its own speed: once, or over and over.

use super::super::setup::FileSource;
use super::decode;
use super::splice::{Fate, Splice};
use super::{SourceContext, post};
use crate::check::{nothing_to_decode, stream_name};
use crate::elements::make;
use crate::error::{Error, ErrorKind};
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;

/// Fills `bin` with a reader of the file. Timestamps begin at the pipeline's `running` time.
pub fn fill(
    bin: &gst::Bin,
    pad: &gst::GhostPad,
    source: &FileSource,
    context: &SourceContext,
    running: gst::ClockTime,
) -> Result<(), Error> {
    let looped = Arc::new(Looped {
        source: source.clone(),
        bin: bin.downgrade(),
        pad: pad.downgrade(),
        context: context.clone(),
        splice: Mutex::new(Splice::new(running)),
    });
    looped.read()
}

struct Looped {
    source: FileSource,
    bin: glib::WeakRef<gst::Bin>,
    pad: glib::WeakRef<gst::GhostPad>,
    context: SourceContext,
    splice: Mutex<Splice>,
}

/// The name of the bin that reads the current round.
const READER: &str = "reader";

impl Looped {
    /// Starts a round.
    fn read(self: &Arc<Self>) -> Result<(), Error> {
        let Some(bin) = self.bin.upgrade() else { return Ok(()) };
        let reader = gst::Bin::builder().name(READER).build();
        let (file, parse) = (make("filesrc", "file")?, make("parsebin", "demux")?);
        file.set_property("location", self.source.path.to_string_lossy().as_ref());
        let failed = |_| Error::new(ErrorKind::Failed, "the file's reader can't be linked");
        reader.add_many([&file, &parse]).map_err(failed)?;
        file.link(&parse).map_err(failed)?;
        let (looped, of, streams) = (self.clone(), reader.downgrade(), Arc::<Mutex<Vec<String>>>::default());
        parse.connect_pad_added(move |parse, stream| {
            let Some(reader) = of.upgrade() else { return };
            streams.lock().extend(stream_name(stream));
            match looped.connect(&reader, stream) {
                Ok(true) => {}
                Ok(false) => look_for_pictures(&reader, parse, stream, &streams),
                Err(error) => post(parse, &error),
            }
        });
        bin.add(&reader).map_err(failed)?;
        reader.sync_state_with_parent().map_err(failed)
    }

    /// Connects the first stream of pictures that can be decoded; returns whether it's this one.
    fn connect(self: &Arc<Self>, reader: &gst::Bin, stream: &gst::Pad) -> Result<bool, Error> {
        let (Some(bin), Some(pad)) = (self.bin.upgrade(), self.pad.upgrade()) else { return Ok(false) };
        let caps = stream.current_caps().unwrap_or_else(|| stream.query_caps(None));
        let (Ok(codec), None) = (decode::codec(&caps), reader.static_pad("src")) else { return Ok(false) };
        let failed = || Error::new(ErrorKind::Failed, "the file's stream can't be linked");
        let out = gst::GhostPad::builder_with_target(stream).map_err(|_| failed())?.name("src").build();
        let coded = match bin.by_name("parse") {
            // The decoder exists since the first round.
            Some(parse) => parse.static_pad("sink").ok_or_else(failed)?,
            None => decode::add(&bin, &pad, codec, true, &self.context)?,
        };
        self.clone().splice(&out);
        out.set_active(true).map_err(|_| failed())?;
        reader.add_pad(&out).map_err(|_| failed())?;
        out.link(&coded).map_err(|_| failed())?;
        Ok(true)
    }

    /// Joins the rounds into one stream where they leave their readers.
    fn splice(self: Arc<Self>, out: &gst::GhostPad) {
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        out.add_probe(mask, move |out, info| {
            if let Some(buffer) = info.buffer_mut() {
                let segment = self.splice.lock().place(buffer.make_mut());
                if let Some(segment) = segment {
                    // The segment passes this probe too. Where it's refused, the picture after it is too, and that is
                    // reported.
                    let _ = out.push_event(segment);
                }
                return gst::PadProbeReturn::Ok;
            }
            let Some(event) = info.event() else { return gst::PadProbeReturn::Ok };
            let fate = self.splice.lock().event(event);
            match fate {
                Fate::Pass => gst::PadProbeReturn::Ok,
                Fate::Drop => gst::PadProbeReturn::Handled,
                // The decoder drains.
                Fate::Over { had_pictures: true } if !self.source.looping => gst::PadProbeReturn::Ok,
                Fate::Over { had_pictures } => {
                    self.clone().next_round(had_pictures);
                    gst::PadProbeReturn::Handled
                }
            }
        });
    }

    /// Reads the file again, on a thread that may wait for the previous reader to end.
    fn next_round(self: Arc<Self>, had_pictures: bool) {
        let Some(bin) = self.bin.upgrade() else { return };
        if !had_pictures {
            post(&bin, &Error::new(ErrorKind::File, "it has no pictures"));
            return;
        }
        let start_guard = self.context.start_guard.clone();
        bin.call_async(move |bin| {
            start_guard.run(|| {
                if let Some(reader) = bin.by_name(READER) {
                    let _ = reader.set_state(gst::State::Null);
                    let _ = bin.remove(&reader);
                }
                if let Err(error) = self.read() {
                    post(bin, &error);
                }
            });
        });
    }
}

/// Reports that a file has nothing to decode when the first data comes of a stream that isn't connected: all of the
/// file's streams are known then.
fn look_for_pictures(reader: &gst::Bin, parse: &gst::Element, stream: &gst::Pad, streams: &Arc<Mutex<Vec<String>>>) {
    let (reader, parse, streams) = (reader.downgrade(), parse.downgrade(), streams.clone());
    stream.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if let (Some(reader), Some(parse)) = (reader.upgrade(), parse.upgrade())
            && reader.static_pad("src").is_none()
        {
            post(&parse, &Error::new(ErrorKind::File, nothing_to_decode(&streams.lock())));
        }
        gst::PadProbeReturn::Remove
    });
}
