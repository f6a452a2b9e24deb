//! The pads and the queue of a stage, and its answers to queries.

use super::super::device::Device;
use super::super::{caps, refusal};
use super::CAT;
use super::queue::{Queue, Work};
use crate::error::Error;
use crate::infer::nanoseconds;
use crate::scheduling::Pace;
use gst::prelude::*;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The pads, the queue, and the format of the incoming frames.
pub struct Flow<W> {
    sink: gst::Pad,
    src: gst::Pad,
    queue: Arc<Queue<W>>,
    info: Mutex<Option<gst_video::VideoInfo>>,
    /// Caps that were refused and whose error has been posted.
    refused: Mutex<Option<gst::Caps>>,
    pace: Mutex<Pace>,
    /// Nanoseconds, as last answered to a LATENCY query or announced by a message.
    announced: AtomicU64,
}

impl<W: Work> Flow<W> {
    pub fn new(sink: gst::Pad, src: gst::Pad, queue: Arc<Queue<W>>) -> Self {
        Self {
            sink,
            src,
            queue,
            info: Mutex::default(),
            refused: Mutex::default(),
            pace: Mutex::default(),
            announced: AtomicU64::new(0),
        }
    }

    /// Adds the pads to a new element.
    pub fn add_pads(&self, element: &impl IsA<gst::Element>) {
        for pad in [&self.sink, &self.src] {
            // The element has no pad of that name yet, so this can't fail.
            let _ = element.add_pad(pad);
        }
    }

    pub fn sink(&self) -> &gst::Pad {
        &self.sink
    }

    pub fn src(&self) -> &gst::Pad {
        &self.src
    }

    pub fn queue(&self) -> &Arc<Queue<W>> {
        &self.queue
    }

    /// The format of the incoming frames; `None` before the first CAPS event.
    pub fn info(&self) -> Option<gst_video::VideoInfo> {
        self.info.lock().clone()
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock()
    }

    pub(super) fn set_caps(&self, caps: &gst::CapsRef) -> Result<gst_video::VideoInfo, gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(caps)
            .map_err(|e| gst::loggable_error!(CAT, "{caps} isn't raw video: {e}"))?;
        *self.info.lock() = Some(info.clone());
        *self.refused.lock() = None;
        Ok(info)
    }

    /// The error for caps that upstream has fixed and this element can't accept. Returns `None` if it accepts them, if
    /// an upstream converter is still negotiating, or if the error has been posted.
    pub(super) fn refusal(&self, own: &gst::Caps) -> Option<Error> {
        if !self.sink.is_active() {
            return None;
        }
        let (came, taken) = (refusal::settled(&self.sink)?, own.intersect(&self.src.peer_query_caps(Some(own))));
        if taken.is_empty() || came.can_intersect(&taken) {
            return None;
        }
        let factory = self.sink.parent_element().and_then(|element| element.factory());
        let whose = factory.map_or_else(|| "this element".into(), |factory| factory.name());
        let before = self.refused.lock().replace(came.clone());
        (before.as_ref() != Some(&came)).then(|| refusal::error(&whose, &self.sink, &came, &taken))
    }

    /// Both pads carry the same caps, so each answers with the part of `own` that the peer of the other pad accepts;
    /// except for tensors that the element adds.
    pub(super) fn answer_caps(
        &self,
        query: &mut gst::query::Caps,
        own: &gst::Caps,
        other: &gst::Pad,
        adds_tensors: bool,
    ) {
        let mut caps = own.intersect_with_mode(&other.peer_query_caps(Some(own)), gst::CapsIntersectMode::First);
        if adds_tensors {
            for structure in caps.make_mut().iter_mut() {
                structure.remove_field(TENSORS);
            }
        }
        if let Some(filter) = query.filter_owned() {
            caps = filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First);
        }
        query.set_result(&caps);
    }

    /// Answers with upstream's latency plus ours: at least `own`, at most the duration of `held` frames.
    pub(super) fn answer_latency(&self, query: &mut gst::query::Latency, own: Duration, held: usize) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.sink.peer_query(&mut upstream) {
            return false;
        }
        self.announce(own);
        let (live, min, max) = upstream.result();
        let own = gst::ClockTime::try_from(own).unwrap_or(gst::ClockTime::MAX);
        let longest = self.frame_duration().map_or(own, |d| own.max(d * held as u64));
        query.set(live, min.saturating_add(own), max.map(|max| max.saturating_add(longest)));
        true
    }

    pub(super) fn latency_moved(&self, latency: Duration) -> bool {
        let (now, announced) = (nanoseconds(latency), self.announced.load(Ordering::Relaxed));
        let moved = now.abs_diff(announced);
        moved > announced / 5 && moved > 1_000_000
    }

    pub(super) fn announce(&self, latency: Duration) {
        self.announced.store(nanoseconds(latency), Ordering::Relaxed);
    }

    fn frame_duration(&self) -> Option<gst::ClockTime> {
        let fps = self.info()?.fps();
        let (n, d) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        (n > 0).then(|| gst::ClockTime::from_nseconds(d.saturating_mul(1_000_000_000) / n))
    }
}

/// The field of caps that says what tensors the frames have.
pub const TENSORS: &str = "tensors";

/// Surfaces that a decoder without a pool needs beyond those held here: one to decode into and one to display.
const DECODERS_OWN: u32 = 2;

/// Answers with downstream's allocation, or with our own if downstream has none, and adds the buffers held here, so
/// that a bounded pool doesn't run dry.
pub fn answer_allocation(query: &mut gst::query::Allocation, held: usize, device: Option<&Device>) {
    // A sink that crops while showing must not make `videocrop` leave that to it: models and drawing need the frame.
    if let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
    let held = u32::try_from(held).unwrap_or(u32::MAX);
    let pools: Vec<_> = query.allocation_pools().map(|(pool, size, min, max)| (pool.clone(), size, min, max)).collect();
    for (k, (pool, size, min, max)) in (0..).zip(&pools) {
        let max = if *max == 0 { 0 } else { max.saturating_add(held) };
        query.set_nth_allocation_pool(k, pool.as_ref(), *size, min.saturating_add(held), max);
    }
    let (Some(caps), _) = query.get_owned() else { return };
    if caps::in_gpu(&caps) {
        // The rows are padded beyond what the caps imply, so the meta is required.
        if query.find_allocation_meta::<gst_video::VideoMeta>().is_none() {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
        }
        if let Some(device) = device {
            offer_frames(query, &caps, held, device);
        }
    } else if pools.is_empty()
        && let Ok(info) = gst_video::VideoInfo::from_caps(&caps)
    {
        let size = u32::try_from(info.size()).unwrap_or(u32::MAX);
        query.add_allocation_pool(gst::BufferPool::NONE, size, held, 0);
    }
}

/// Offers a pool in our context, unless downstream offers one.
fn offer_frames(query: &mut gst::query::Allocation, caps: &gst::Caps, held: u32, device: &Device) {
    let first = query.allocation_pools().next().map(|(pool, _, min, max)| (pool.is_some(), min, max));
    if first.is_some_and(|(is_pool, ..)| is_pool) {
        return;
    }
    let min = first.map_or(held, |(_, min, _)| min).saturating_add(DECODERS_OWN);
    match device.context().and_then(|context| context.frame_pool(caps, min)) {
        Ok((pool, size)) if first.is_none() => query.add_allocation_pool(Some(&pool), size, min, 0),
        Ok((pool, size)) => query.set_nth_allocation_pool(0, Some(&pool), size, min, 0),
        // Upstream then creates a pool in the same context.
        Err(error) => gst::info!(CAT, "{error}"),
    }
}
