//! The part of a camera's pipeline that stays while sources come and go: from decoded frames to the outputs.

use super::frame_tracker::FrameTracker;
use super::setup::{CameraSetup, Decoder};
use super::start_guard::StartGuard;
use crate::clips::Clips;
use crate::elements::answer_allocation;
use crate::elements::make;
use crate::error::{Error, ErrorKind};
use crate::record::{self, Say};
use gst::prelude::*;
use std::sync::Arc;

/// A camera's pipeline without its source.
#[derive(Debug)]
pub struct Analysis {
    pub pipeline: gst::Pipeline,
    /// The pad that the source is linked to.
    pub entry: gst::Pad,
    /// The queue in front of the models.
    pub pictures: gst::Element,
    /// The pad where all pictures end.
    pub end: gst::Pad,
    /// The recording of clips, if there is any.
    pub clips: Option<Arc<Clips>>,
    /// Serialises opening and closing the pipeline.
    pub start_guard: StartGuard,
}

impl Analysis {
    /// Makes the pipeline, in state NULL. `say` takes reports of clips that fail.
    ///
    /// # Errors
    /// An element is missing, or a property's value is invalid.
    pub fn make(setup: &CameraSetup, tracker: &Arc<FrameTracker>, say: Say) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::builder().name(&setup.name).build();
        let memory = make("capsfilter", "memory")?;
        memory.set_property("caps", caps(setup.decoder));
        let pictures = queue(setup, tracker)?;
        let end = make("fakesink", "end")?;
        for property in ["sync", "async", "enable-last-sample"] {
            end.set_property(property, false);
        }
        let mut elements = vec![memory.clone(), pictures.clone()];
        for element in &setup.elements {
            elements.push(element.make()?);
        }
        elements.push(end.clone());
        let clips = clips(setup, &elements, tracker, say)?;
        let failed = |_| Error::new(ErrorKind::Setting, format!("the elements of {} can't be linked", setup.name));
        pipeline.add_many(&elements).map_err(failed)?;
        gst::Element::link_many(&elements).map_err(failed)?;
        tracker.follows(elements.iter().cloned());
        let missing = || Error::new(ErrorKind::Failed, "one of GStreamer's elements has no pad");
        let end = end.static_pad("sink").ok_or_else(missing)?;
        let of = tracker.clone();
        end.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                of.went(buffer);
            }
            gst::PadProbeReturn::Ok
        });
        tracker.ends_at(&end);
        let entry = memory.static_pad("sink").ok_or_else(missing)?;
        Ok(Self { pipeline, entry, pictures, end, clips, start_guard: StartGuard::default() })
    }
}

/// Starts to record clips of the events that frames have in front of the first output: its lines name the clips.
fn clips(
    setup: &CameraSetup,
    elements: &[gst::Element],
    tracker: &FrameTracker,
    say: Say,
) -> Result<Option<Arc<Clips>>, Error> {
    let Some(settings) = setup.clips.clone() else { return Ok(None) };
    let clips = Clips::start(settings, tracker.meter().clone(), say)?;
    let publishes = |element: &&gst::Element| element.factory().is_some_and(|factory| factory.name() == "trtpublish");
    let first = elements.iter().find(publishes).or(elements.last());
    if let Some(pad) = first.and_then(|output| output.static_pad("sink")) {
        clips.watch(&pad);
    }
    Ok(Some(Arc::new(clips)))
}

/// Pictures in the decoder's memory only.
fn caps(decoder: Decoder) -> gst::Caps {
    let builder = gst_video::VideoCapsBuilder::new();
    match decoder.gpu() {
        None => builder.build(),
        Some(_) => builder.features([crate::elements::CUDA_MEMORY]).build(),
    }
}

/// Holds decoded pictures while the models are busy. When it's full the oldest is dropped, so that neither the decoder
/// nor the network waits, and no delay builds up.
fn queue(setup: &CameraSetup, tracker: &Arc<FrameTracker>) -> Result<gst::Element, Error> {
    let queue = make("queue", "pictures")?;
    let most = setup.picture_queue;
    let held = setup.recording.as_ref().map_or(0, record::Settings::held_frames) + tracker.held_frames();
    queue.set_property("max-size-buffers", most);
    queue.set_property("max-size-bytes", setup.picture_memory.unwrap_or(0));
    queue.set_property("max-size-time", 0_u64);
    queue.set_property_from_str("leaky", "downstream");
    let of = tracker.clone();
    queue.connect("overrun", false, move |arguments| {
        // "overrun" is also emitted while the queue blocks the decoder instead of dropping.
        let queue = arguments.first().and_then(|queue| queue.get::<gst::Element>().ok());
        let leaky = queue.map(|queue| queue.property_value("leaky"));
        let leaks = leaky.is_some_and(|leaky| {
            gst::glib::EnumValue::from_value(&leaky).is_some_and(|(_, value)| value.nick() == "downstream")
        });
        if leaks {
            of.dropped("before the models");
        }
        None
    });
    if let Some(pad) = queue.static_pad("sink") {
        // The reply, on its way back to the decoder: the decoder's pool must have buffers for the pictures that wait
        // here too.
        let reply = gst::PadProbeType::QUERY_DOWNSTREAM | gst::PadProbeType::PULL;
        pad.add_probe(reply, move |_, info| {
            if let Some(query) = info.query_mut()
                && let gst::QueryViewMut::Allocation(query) = query.view_mut()
            {
                answer_allocation(query, (most + held) as usize, None);
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok(queue)
}
