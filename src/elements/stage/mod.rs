//! What the elements that work on frames have in common: two pads, and the ordered queue between them.
//!
//! The sink pad's thread submits frames and goes on at once; the source pad's task pushes them in order as they get
//! ready, and serialised events between them. So everything upstream, the work and everything downstream overlap.
//!
//! Where frames come at their own rate and leave the thread that brings them idle in between, as a camera's do, overlapping
//! gains nothing, and waking threads for each frame costs more than the work on it. Then that thread does all of it and
//! pushes the frame on, if nothing is before it.

mod flow;
mod queue;

pub use flow::{Flow, answer_allocation};
pub use queue::{Queue, Work};

use super::device::Device;
use super::{caps, report};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use queue::Item;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtstage", gst::DebugColorFlags::empty(), Some("Pads and queues of TensorRT elements"))
});

/// An element that works on frames.
pub trait Stage: ElementImpl + Sized
where
    <Self as ObjectSubclass>::Type: IsA<gst::Element>,
{
    type Work: Work;

    fn flow(&self) -> &Flow<Self::Work>;

    /// What the pads take at present.
    fn caps(&self) -> gst::Caps;

    /// Most frames held between the pads.
    fn limit(&self) -> usize;

    /// Most buffers of upstream's pool that are held, those that were pushed included.
    fn held(&self) -> usize {
        self.limit()
    }

    /// Frames of this kind follow.
    fn set_info(&self, _info: &gst_video::VideoInfo, _caps: &gst::CapsRef) -> Result<(), gst::LoggableError> {
        Ok(())
    }

    /// Begins the work on a frame; called by the sink pad's thread. `at_once`: it has the time to do all of it.
    fn submit(&self, buffer: gst::Buffer, at_once: bool) -> Result<Self::Work, gst::FlowError>;

    /// The frame with its results, when the work is ready; called by the source pad's task, or at once by the sink pad's
    /// thread. What fails is posted by the element.
    fn finish(&self, work: Self::Work) -> Result<gst::Buffer, gst::FlowError>;

    /// All that was submitted is void.
    fn flushed(&self) {}

    /// A new stream begins, or goes on elsewhere after a flush.
    fn stream_started(&self) {}

    /// The stream has these tags.
    fn tagged(&self, _tags: &gst::TagListRef) {}

    /// What is downstream, or what it wants, has changed.
    fn reconfigured(&self) {}

    /// No frame is to be expected for now.
    fn rest(&self) {}

    /// True when a full batch waits, so that upstream can be woken once for two frames.
    fn full_batch_waits(&self) -> bool {
        false
    }

    /// How long a frame takes from pad to pad, outliers of late included.
    fn latency(&self) -> Duration;

    /// How long the work on a frame keeps a thread that does all of it.
    fn work_time(&self) -> Duration {
        self.latency()
    }

    /// Where its CUDA context is, about which both pads answer; `None`: it never has one.
    fn device(&self) -> Option<&Device> {
        None
    }

    /// Looks at a query from upstream before it goes on downstream; `true` if it answered or added something.
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
        let way = if at_once { "by the thread that brings them" } else { "through the queue" };
        gst::debug!(CAT, imp = stage, "from frame {} on, frames go {way}", pts.display());
    }
    if queue.wait_for_space(stage.limit(), || stage.full_batch_waits())? {
        gst::trace!(CAT, imp = stage, "frame {}: waited {:?} for room", pts.display(), arrived.elapsed());
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

/// Everybody between the pads lets go. Nobody sends a sticky event again that was still queued, so the source pad keeps
/// it and pushes it before the next frame; all but those that a flush ends.
fn flush<S: Stage>(stage: &S)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let items = stage.flow().queue().flush();
    gst::debug!(CAT, imp = stage, "flushed: {} frames and events are void", items.len());
    for item in items {
        if let Item::Event(event) = item
            && event.is_sticky()
            && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
        {
            // Fails only on a pad that isn't active: then its stream is over.
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
        start_task(stage).map_err(|e| gst::loggable_error!(CAT, "no task for the source pad: {e}"))
    } else {
        flush(stage);
        let stopped = stage.flow().src().stop_task();
        stopped.map_err(|e| gst::loggable_error!(CAT, "the source pad's task doesn't stop: {e}"))
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

/// One round of the source pad's task.
fn push_next<S: Stage>(stage: &S)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let flow = stage.flow();
    let (src, queue) = (flow.src(), flow.queue());
    match queue.pop() {
        None => {
            // Fails only when the pad is being deactivated, which ends the task anyway.
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

/// Finishes a frame whose turn it is, and pushes it on.
fn push_frame<S: Stage>(stage: &S, work: S::Work)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    let flow = stage.flow();
    let (src, queue) = (flow.src(), flow.queue());
    let finished = queue.flow().and_then(|()| stage.finish(work));
    // What fails in the element it has said itself.
    let is_finished = finished.is_ok();
    let pushed = finished.and_then(|buffer| src.push(buffer));
    let after_eos = queue.pushed(true, pushed.map(|_| ()));
    if let Err(error @ (gst::FlowError::NotLinked | gst::FlowError::NotNegotiated | gst::FlowError::Error)) = pushed
        && is_finished
        && after_eos
    {
        // Upstream has ended and can't report it.
        let element = stage.obj();
        gst::element_error!(element, gst::StreamError::Failed, ("downstream answered {error:?} after EOS"));
    }
}

/// Says why an event isn't taken: upstream, which is told only "no" to its caps while this flushes, would take them for
/// refused and post an error.
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
            Ok(()) => flow.queue().push_event(event),
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
            flow.answer_caps(query, &own, flow.src());
            // Accepting caps is asked by way of this query.
            if query.result().is_some_and(|caps| caps.is_empty())
                && let Some(error) = flow.refusal(&stage.caps())
            {
                report::post(&*stage.obj(), &error);
            }
            true
        }
        QueryViewMut::Allocation(_) => {
            // The frames before it go first: they may still need the buffers of the allocation before.
            if !flow.queue().drain() {
                return false;
            }
            // What we hold counts also where downstream has nothing to say.
            flow.src().peer_query(query);
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
            // What comes is no reason against being linked: what is wrong with it is said when it comes.
            let other = if flow.src().is_linked() { flow.sink() } else { flow.src() };
            flow.answer_caps(query, &stage.caps(), other);
            true
        }
        QueryViewMut::Latency(query) => flow.answer_latency(query, stage.latency(), stage.limit()),
        _ => gst::Pad::query_default(flow.src(), Some(&*stage.obj()), query),
    }
}

/// A frame as it went in, as one that metadata can be added to. Where others hold it too, that's a copy that shares the
/// memory and keeps the original, so that the pool it comes from stays bounded.
pub fn into_writable(buffer: gst::Buffer) -> gst::Buffer {
    if buffer.is_writable() {
        return buffer;
    }
    let mut copy = buffer.copy();
    if let Some(copy) = copy.get_mut() {
        gst::ParentBufferMeta::add(copy, &buffer);
    }
    copy
}

/// Posts a LATENCY message if `latency` has moved by more than a fifth (and a millisecond) since it was last asked for.
pub fn post_latency_change<S: Stage>(stage: &S, latency: Duration)
where
    <S as ObjectSubclass>::Type: IsA<gst::Element>,
{
    if stage.flow().latency_moved(latency) {
        gst::debug!(CAT, imp = stage, "the latency is {latency:?} now");
        // Once: the application may not listen.
        stage.flow().announce(latency);
        let element = stage.obj();
        let element = element.upcast_ref::<gst::Element>();
        // Without a bus nobody wants to know.
        let _ = element.post_message(gst::message::Latency::builder().src(element).build());
    }
}
