//! A stage's pads and queue, and the answers they give to queries.

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

/// Pads, queue, and the format of the frames that come in.
pub struct Flow<W> {
    sink: gst::Pad,
    src: gst::Pad,
    queue: Arc<Queue<W>>,
    info: Mutex<Option<gst_video::VideoInfo>>,
    /// Caps that weren't taken, and why has been said.
    refused: Mutex<Option<gst::Caps>>,
    pace: Mutex<Pace>,
    /// Nanoseconds, as last answered to a LATENCY query or told by a message.
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

    /// Gives a new element its pads.
    pub fn add_pads(&self, element: &impl IsA<gst::Element>) {
        for pad in [&self.sink, &self.src] {
            // It has no pad of that name yet.
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

    /// The format of the frames that come in; `None` before the first CAPS event.
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

    /// Why the frames that upstream has settled on can't come. `None` where they can, where there's a converter that asks what
    /// it need not convert, or where it has been said.
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

    /// Both pads take the same, so each answers with what the other's peer takes of `own`.
    pub(super) fn answer_caps(&self, query: &mut gst::query::Caps, own: &gst::Caps, other: &gst::Pad) {
        let mut caps = own.intersect_with_mode(&other.peer_query_caps(Some(own)), gst::CapsIntersectMode::First);
        if let Some(filter) = query.filter_owned() {
            caps = filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First);
        }
        query.set_result(&caps);
    }

    /// Upstream's latency and ours: at least `own`, at most what `held` frames last.
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

/// Surfaces that a decoder without a copy of its own needs beside those that we hold: one to decode into, one to show.
const DECODERS_OWN: u32 = 2;

/// What downstream allocates, or if it doesn't say so what we'd have allocated; and as many buffers more as we hold, or a
/// pool with a limit runs dry.
pub fn answer_allocation(query: &mut gst::query::Allocation, held: usize, device: Option<&Device>) {
    let held = u32::try_from(held).unwrap_or(u32::MAX);
    let pools: Vec<_> = query.allocation_pools().map(|(pool, size, min, max)| (pool.clone(), size, min, max)).collect();
    for (k, (pool, size, min, max)) in (0..).zip(&pools) {
        let max = if *max == 0 { 0 } else { max.saturating_add(held) };
        query.set_nth_allocation_pool(k, pool.as_ref(), *size, min.saturating_add(held), max);
    }
    let (Some(caps), _) = query.get_owned() else { return };
    if caps::in_gpu(&caps) {
        // Its rows are longer than the caps say, so that nobody can do without.
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

/// Offers a pool of our context, unless downstream has one.
fn offer_frames(query: &mut gst::query::Allocation, caps: &gst::Caps, held: u32, device: &Device) {
    let first = query.allocation_pools().next().map(|(pool, _, min, max)| (pool.is_some(), min, max));
    if first.is_some_and(|(is_pool, ..)| is_pool) {
        return;
    }
    let min = first.map_or(held, |(_, min, _)| min).saturating_add(DECODERS_OWN);
    match device.context().and_then(|context| context.frame_pool(caps, min)) {
        Ok((pool, size)) if first.is_none() => query.add_allocation_pool(Some(&pool), size, min, 0),
        Ok((pool, size)) => query.set_nth_allocation_pool(0, Some(&pool), size, min, 0),
        // Upstream makes one of its own, in the same context.
        Err(error) => gst::info!(CAT, "{error}"),
    }
}
