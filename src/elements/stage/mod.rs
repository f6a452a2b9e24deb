//! The common part of the elements that process frames: two pads, and an ordered queue between them.
//!
//! The sink pad's thread submits a frame and returns at once. The source pad's task pushes finished frames and
//! serialised events downstream in order. Upstream, the work itself and downstream thus overlap.
//!
//! When frames arrive at their own rate and leave the upstream thread idle in between, as a camera's do, overlapping
//! gains nothing, and waking threads for each frame costs more than the work on it. Then that thread does all the work
//! and pushes the frame downstream itself, unless an earlier frame is still queued.

mod flow;
mod queue;

pub use flow::{Flow, TENSORS, answer_allocation};
pub use queue::{Queue, Work};

use super::device::Device;
use super::{caps, report};
use crate::meta;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use queue::Item;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtstage", gst::DebugColorFlags::empty(), Some("Pads and queues of TensorRT elements"))
});

/// An element that processes frames.
pub trait Stage: ElementImpl + Sized
where
    <Self as ObjectSubclass>::Type: IsA<gst::Element>,
{
    type Work: Work;

    fn flow(&self) -> &Flow<Self::Work>;

    /// The caps that the pads accept at present.
    fn caps(&self) -> gst::Caps;

    /// The maximum number of frames held between the pads.
    fn limit(&self) -> usize;

    /// The maximum number of held buffers of upstream's pool, including buffers that were already pushed.
    fn held(&self) -> usize {
        self.limit()
    }

    /// Sets the format of the frames that follow.
    fn set_info(&self, _info: &gst_video::VideoInfo, _caps: &gst::CapsRef) -> Result<(), gst::LoggableError> {
        Ok(())
    }

    /// The caps with which frames leave that come with `caps`. May wait.
    fn src_caps(&self, caps: gst::Caps) -> Result<gst::Caps, gst::FlowError> {
        Ok(caps)
    }

    /// Whether [`Self::src_caps`] adds tensors, which upstream must not be asked for.
    fn adds_tensors(&self) -> bool {
        false
    }

    /// Starts the work on a frame, on the sink pad's thread. `at_once`: the thread has time to do all of it.
    fn submit(&self, buffer: gst::Buffer, at_once: bool) -> Result<Self::Work, gst::FlowError>;

    /// Returns the frame with its results once the work is ready. Runs on the source pad's task, or on the sink pad's
    /// thread if the frame bypasses the queue. The element posts its own errors.
    fn finish(&self, work: Self::Work) -> Result<gst::Buffer, gst::FlowError>;

    /// Called after a flush: everything submitted is discarded.
    fn flushed(&self) {}

    /// Called when a new stream starts, or when one continues after a flush.
    fn stream_started(&self) {}

    /// Called with the stream's tags.
    fn tagged(&self, _tags: &gst::TagListRef) {}

    /// Called when the elements downstream, or their requirements, have changed.
    fn reconfigured(&self) {}

    /// Called when no frame is expected for now.
    fn rest(&self) {}

    /// True if a full batch is queued, so that upstream can be woken once for two frames.
    fn full_batch_waits(&self) -> bool {
        false
    }

    /// The time that a frame takes from pad to pad, including recent outliers.
    fn latency(&self) -> Duration;

    /// The time that a thread spends on a frame if it does all the work.
    fn work_time(&self) -> Duration {
        self.latency()
    }

    /// The element's CUDA context, for CONTEXT queries on both pads; `None` if the element never has one.
    fn device(&self) -> Option<&Device> {
        None
    }

    /// Handles a query from upstream before it is forwarded downstream. Returns true if it was answered or extended.
    fn sink_query(&self, _query: &mut gst::QueryRef) -> bool {
        false
    }
}

/// The pad templates of a [`Stage`]'s class.
pub fn pad_templates() -> Vec<gst::PadTemplate> {
    let caps = super::caps::template();
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        .into_iter()
        .filter_map(|(name, direction)| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok())
        .collect()
}

/// A new [`Flow`] with pads of these templates.
pub fn new_flow<S: Stage>(sink: &gst::PadTemplate, src: &gst::PadTemplate) -> Flow<S::Work>
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let sink = gst::Pad::builder_from_template(sink)
        .chain_function(|_, parent, buffer| {
            S::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |s| chain(s, buffer))
        })
        .event_full_function(|_, parent, event| {
            let refused = || Err(gst::FlowError::Error);
            S::catch_panic_pad_function(parent, refused, |s| sink_event(s, event)).map(|()| gst::FlowSuccess::Ok)
        })
        .query_function(|_, parent, query| S::catch_panic_pad_function(parent, || false, |s| sink_query(s, query)))
        .activatemode_function(|_, parent, _, active| {
            let fallback = || Err(gst::loggable_error!(CAT, "panicked"));
            S::catch_panic_pad_function(parent, fallback, |s| {
                if !active {
                    flush(s);
                }
                Ok(())
            })
        })
        .build();
    let src = gst::Pad::builder_from_template(src)
        .event_function(|pad, parent, event| {
            S::catch_panic_pad_function(
                parent,
                || false,
                |s| {
                    if event.type_() == gst::EventType::Reconfigure {
                        s.flow().queue().relinked();
                        s.reconfigured();
                    }
                    gst::Pad::event_default(pad, Some(&*s.obj()), event)
                },
            )
        })
        .query_function(|_, parent, query| S::catch_panic_pad_function(parent, || false, |s| src_query(s, query)))
        .activatemode_function(|_, parent, _, active| {
            let fallback = || Err(gst::loggable_error!(CAT, "panicked"));
            S::catch_panic_pad_function(parent, fallback, |s| activate_src(s, active))
        })
        .build();
    Flow::new(sink, src, Arc::new(Queue::default()))
}

fn chain<S: Stage>(stage: &S, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError>
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let (flow, queue) = (stage.flow(), stage.flow().queue());
    let (arrived, pts) = (Instant::now(), buffer.pts());
    let (at_once, changed) = {
        let mut pace = flow.pace();
        (pace.arrived(arrived, pts.map(Duration::from), || stage.work_time()), pace.has_changed())
    };
    if changed {
        let by = if at_once { "by the upstream thread" } else { "through the queue" };
        gst::debug!(CAT, imp = stage, "from frame {} on, frames are processed {by}", pts.display());
    }
    if queue.wait_for_space(stage.limit(), || stage.full_batch_waits())? {
        gst::trace!(CAT, imp = stage, "frame {}: waited {:?} for space in the queue", pts.display(), arrived.elapsed());
    }
    let work = stage.submit(buffer, at_once)?;
    if at_once && work.ready() && queue.begin_push() {
        push_frame(stage, work);
    } else {
        queue.push_frame(work)?;
    }
    flow.pace().taken(Instant::now());
    queue.flow().map(|()| gst::FlowSuccess::Ok)
}

/// Discards everything between the pads. Upstream doesn't send sticky events again, so those that were still queued are
/// stored on the source pad, which pushes them before the next frame; all except those that a flush invalidates.
fn flush<S: Stage>(stage: &S)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let items = stage.flow().queue().flush();
    gst::debug!(CAT, imp = stage, "flushed: {} frames and events are discarded", items.len());
    for item in items {
        if let Item::Event(event) = item
            && event.is_sticky()
            && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
        {
            // This fails only on an inactive pad, whose stream is over.
            let _ = stage.flow().src().store_sticky_event(&event);
        }
    }
    stage.flushed();
}

fn activate_src<S: Stage>(stage: &S, active: bool) -> Result<(), gst::LoggableError>
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    if active {
        stage.flow().queue().start();
        start_task(stage).map_err(|e| gst::loggable_error!(CAT, "can't start the source pad's task: {e}"))
    } else {
        flush(stage);
        let stopped = stage.flow().src().stop_task();
        stopped.map_err(|e| gst::loggable_error!(CAT, "can't stop the source pad's task: {e}"))
    }
}

fn start_task<S: Stage>(stage: &S) -> Result<(), glib::BoolError>
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let element = stage.ref_counted().downgrade();
    stage.flow().src().start_task(move || {
        if let Some(stage) = element.upgrade() {
            let pause = || {
                let _ = stage.flow().src().pause_task();
            };
            stage.catch_panic(pause, push_next);
        }
    })
}

/// One iteration of the source pad's task.
fn push_next<S: Stage>(stage: &S)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let flow = stage.flow();
    let (src, queue) = (flow.src(), flow.queue());
    match queue.pop() {
        None => {
            // This fails only while the pad is being deactivated, which ends the task anyway.
            let _ = src.pause_task();
        }
        Some(Item::Event(event)) => {
            let eos = event.type_() == gst::EventType::Eos;
            src.push_event(event);
            queue.pushed(false, Ok(()));
            if eos {
                stage.rest();
            }
        }
        Some(Item::Frame(work)) => push_frame(stage, work),
    }
}

/// Finishes the next frame in order and pushes it downstream.
fn push_frame<S: Stage>(stage: &S, work: S::Work)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let flow = stage.flow();
    let (src, queue) = (flow.src(), flow.queue());
    let finished = queue.flow().and_then(|()| stage.finish(work));
    // The element posts its own errors, so only downstream's are reported here.
    let is_finished = finished.is_ok();
    let pushed = finished.and_then(|buffer| src.push(buffer));
    let after_eos = queue.pushed(true, pushed.map(|_| ()));
    if let Err(error @ (gst::FlowError::NotLinked | gst::FlowError::NotNegotiated | gst::FlowError::Error)) = pushed
        && is_finished
        && after_eos
    {
        // Upstream has ended and can't report the error.
        let element = stage.obj();
        gst::element_error!(element, gst::StreamError::Failed, ("downstream answered {error:?} after EOS"));
    }
}

/// Handles an event, and returns the reason for a refusal. Told only `false` for its caps during a flush, upstream
/// would treat them as refused and post an error.
fn sink_event<S: Stage>(stage: &S, event: gst::Event) -> Result<(), gst::FlowError>
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    use gst::EventView;
    let flow = stage.flow();
    let taken = |taken: bool| if taken { Ok(()) } else { Err(gst::FlowError::Error) };
    match event.view() {
        EventView::FlushStart(_) => {
            let forwarded = flow.src().push_event(event);
            flush(stage);
            taken(forwarded && flow.src().pause_task().is_ok())
        }
        EventView::FlushStop(_) => {
            let forwarded = flow.src().push_event(event);
            stage.stream_started();
            flow.queue().start();
            taken(forwarded && start_task(stage).is_ok())
        }
        EventView::Caps(caps) => match flow.set_caps(caps.caps()).and_then(|info| stage.set_info(&info, caps.caps())) {
            Ok(()) => {
                let leaving = stage.src_caps(caps.caps_owned())?;
                let event = match *leaving == *caps.caps() {
                    true => event,
                    false => gst::event::Caps::builder(&leaving).seqnum(event.seqnum()).build(),
                };
                flow.queue().push_event(event)
            }
            Err(error) => {
                error.log_with_object(&*stage.obj());
                Err(gst::FlowError::NotNegotiated)
            }
        },
        EventView::StreamStart(_) => {
            stage.stream_started();
            flow.queue().push_event(event)
        }
        EventView::Tag(tag) => {
            stage.tagged(tag.tag());
            flow.queue().push_event(event)
        }
        _ if event.is_serialized() => flow.queue().push_event(event),
        _ => taken(flow.src().push_event(event)),
    }
}

fn sink_query<S: Stage>(stage: &S, query: &mut gst::QueryRef) -> bool
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    use gst::QueryViewMut;
    let flow = stage.flow();
    if stage.device().is_some_and(|device| device.answer(query)) {
        return true;
    }
    match query.view_mut() {
        QueryViewMut::Caps(query) => {
            let own = if flow.sink().is_linked() { stage.caps() } else { caps::of_any_format(stage.caps()) };
            flow.answer_caps(query, &own, flow.src(), stage.adds_tensors());
            // ACCEPT_CAPS queries arrive here too.
            if query.result().is_some_and(|caps| caps.is_empty())
                && let Some(error) = flow.refusal(&stage.caps())
            {
                report::post(&*stage.obj(), &error);
            }
            true
        }
        QueryViewMut::Allocation(_) => {
            // The queued frames are pushed first, because they may still need buffers of the previous allocation.
            if !flow.queue().drain() {
                return false;
            }
            // Held buffers are added even if downstream doesn't answer. `appsrc` asks before its first CAPS event, after
            // which GStreamer's `objectdetectionoverlay` would refuse all frames.
            if flow.src().has_current_caps() {
                flow.src().peer_query(query);
            }
            if let QueryViewMut::Allocation(query) = query.view_mut() {
                flow::answer_allocation(query, stage.held(), stage.device());
            }
            true
        }
        _ => {
            let answered = stage.sink_query(query);
            if query.is_serialized() && !flow.queue().drain() {
                return false;
            }
            gst::Pad::query_default(flow.sink(), Some(&*stage.obj()), query) || answered
        }
    }
}

fn src_query<S: Stage>(stage: &S, query: &mut gst::QueryRef) -> bool
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    use gst::QueryViewMut;
    let flow = stage.flow();
    if stage.device().is_some_and(|device| device.answer(query)) {
        return true;
    }
    match query.view_mut() {
        QueryViewMut::Caps(query) => {
            // The upstream caps don't prevent linking: an unsupported format is reported when it arrives.
            let other = if flow.src().is_linked() { flow.sink() } else { flow.src() };
            flow.answer_caps(query, &stage.caps(), other, stage.adds_tensors());
            true
        }
        QueryViewMut::Latency(query) => flow.answer_latency(query, stage.latency(), stage.limit()),
        _ => gst::Pad::query_default(flow.src(), Some(&*stage.obj()), query),
    }
}

/// Makes a frame's metadata writable. A shared frame is copied: the copy shares the memory and references the original,
/// so that the pool stays bounded.
pub fn into_writable(buffer: gst::Buffer) -> gst::Buffer {
    if buffer.is_writable() {
        return buffer;
    }
    let mut copy = buffer.copy();
    if let Some(copy) = copy.get_mut() {
        meta::keep_gst_tensors(&buffer, copy);
        gst::ParentBufferMeta::add(copy, &buffer);
    }
    copy
}

/// Posts a LATENCY message if `latency` has changed by more than a fifth (and 1 ms) since it was last announced.
pub fn post_latency_change<S: Stage>(stage: &S, latency: Duration)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    if stage.flow().latency_moved(latency) {
        gst::debug!(CAT, imp = stage, "the latency is {latency:?} now");
        // Announced once only, because the application may ignore the message.
        stage.flow().announce(latency);
        let element = stage.obj();
        let element = element.upcast_ref::<gst::Element>();
        // This fails only without a bus, and then there is no listener.
        let _ = element.post_message(gst::message::Latency::builder().src(element).build());
    }
}
