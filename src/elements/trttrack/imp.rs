use super::properties::PROPERTIES;
use super::reid::{Look, Reid, Stopped};
use super::stream::{Examined, Stream};
use crate::elements::stage::into_writable;
use crate::elements::{backend, caps, report, segment};
use crate::error::{Error, ErrorKind};
use crate::infer::{Frame, nanoseconds};
use crate::meta::{self, Record};
use crate::options::TrackingOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;
use model::Rect;
use parking_lot::Mutex;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trttrack", gst::DebugColorFlags::empty(), Some("Ids of objects from frame to frame"))
});

#[derive(Default)]
pub struct TrtTrack {
    settings: Mutex<Settings>,
    /// Locked by the streaming thread, and for `stats`.
    state: Mutex<State>,
    pub(super) reid: Reid,
}

#[derive(Default)]
struct Settings {
    options: TrackingOptions,
    /// Set in a way that the trackers don't know yet.
    changed: bool,
}

#[derive(Default)]
struct State {
    stream: Stream,
    /// Pixels.
    size: (u32, u32),
    segment: Option<gst::Segment>,
    /// The format of frames that the model of `reid` reads.
    info: Option<gst_video::VideoInfo>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    frames: u64,
    updated: u64,
    predicted: u64,
    objects_observed: u64,
    objects_predicted: u64,
    objects_embedded: u64,
    resets: u64,
}

#[glib::object_subclass]
impl ObjectSubclass for TrtTrack {
    const NAME: &'static str = "GstTrtTrack";
    type Type = super::TrtTrack;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for TrtTrack {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, _: &glib::ParamSpec) {
        let mut settings = self.settings.lock();
        PROPERTIES.set(&mut settings.options, id, value);
        settings.changed = true;
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        let option = PROPERTIES.get(&self.settings.lock().options, id);
        option.unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for TrtTrack {}

impl ElementImpl for TrtTrack {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Object tracker",
                "Filter/Analyzer/Video",
                "Gives the objects found by detectors ids that stay from frame to frame",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(caps::any_frames);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let element = self.obj();
        let failed = |error: Error| {
            report::post(&*element, &error);
            gst::StateChangeError
        };
        match transition {
            gst::StateChange::NullToReady => {
                let model = self.settings.lock().options.reid_model().cloned();
                if let Some(model) = model {
                    self.reid.open(&element, &model).map_err(failed)?;
                }
            }
            gst::StateChange::ReadyToPaused => {
                if let Some(name) = self.reid.backend() {
                    let sink = element.static_pad("sink").ok_or(gst::StateChangeError)?;
                    backend::check_upstream(&sink, name).map_err(failed)?;
                }
            }
            gst::StateChange::PlayingToPaused => self.reid.rest(),
            gst::StateChange::PausedToReady => self.reid.stop(),
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.reid.stopped(),
            gst::StateChange::ReadyToNull => self.reid.close(),
            _ => {}
        }
        Ok(result)
    }

    fn set_context(&self, context: &gst::Context) {
        self.reid.device().set_context(&*self.obj(), context);
        self.parent_set_context(context);
    }
}

impl BaseTransformImpl for TrtTrack {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    // Frames keep their memory: only metadata is added, and upstream and downstream negotiate as if the element weren't there.
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let mut settings = self.settings.lock();
        if settings.options.analytics_meta {
            meta::analytics::check()
                .map_err(|error| gst::error_msg!(gst::LibraryError::Init, ("{}", error.message)))?;
        }
        let mut stream = Stream::default();
        stream
            .set_options(&settings.options)
            .map_err(|error| gst::error_msg!(gst::LibraryError::Settings, ("{error}")))?;
        settings.changed = false;
        let model = settings.options.reid_model().cloned();
        drop(settings);
        *self.state.lock() = State { stream, ..State::default() };
        if let (Some(model), Some(_)) = (model, self.reid.backend()) {
            self.reid
                .start(&self.obj(), &model)
                .map_err(|error| gst::error_msg!(gst::LibraryError::Init, ("{}", error.message)))?;
        }
        Ok(())
    }

    fn transform_caps(&self, _: gst::PadDirection, caps: &gst::Caps, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let caps = match self.reid.backend() {
            Some(name) => caps.intersect(&caps::of_backend(name)),
            None => caps.clone(),
        };
        Some(filter.map_or(caps.clone(), |filter| filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First)))
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if self.reid.device().answer(query) {
            return true;
        }
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if let gst::QueryViewMut::Latency(latency) = query.view_mut()
            && answered
            && direction == gst::PadDirection::Src
        {
            // Frames with objects that are looked at wait for the model.
            let own = gst::ClockTime::from_nseconds(nanoseconds(self.reid.latency()));
            let (live, least, most) = latency.result();
            latency.set(live, least + own, most.map(|most| most + own));
        }
        answered
    }

    fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
        let size = caps::size(caps).ok_or_else(|| gst::loggable_error!(CAT, "Caps {caps} have no width and height"))?;
        let info = match self.reid.backend() {
            Some(_) => {
                Some(gst_video::VideoInfo::from_caps(caps).map_err(|e| gst::loggable_error!(CAT, "{caps}: {e}"))?)
            }
            None => None,
        };
        let mut state = self.state.lock();
        (state.size, state.info) = (size, info);
        state.stream.set_format(size, frame_interval(caps));
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::FlushStart(_) => self.reid.flush(),
            EventView::FlushStop(_) => {
                self.reid.flushed();
                self.reset("a flush");
            }
            EventView::StreamStart(_) => self.reset("another stream begins"),
            EventView::Eos(_) => self.reid.rest(),
            EventView::Segment(event) => {
                let changes = segment::changes(&mut self.state.lock().segment, event.segment());
                if changes {
                    self.reset("another segment begins");
                }
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn submit_input_buffer(&self, is_discont: bool, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if buffer.flags().contains(gst::BufferFlags::DISCONT) && self.state.lock().stream.jumps_to(time(&buffer)) {
            self.reset("a discontinuity");
        }
        let buffer = self.track(buffer).map_err(|stopped| match stopped {
            Stopped::Flow(flow) => flow,
            Stopped::Failed(error) => {
                report::post(&*self.obj(), &error);
                gst::FlowError::Error
            }
        })?;
        self.parent_submit_input_buffer(is_discont, buffer)
    }
}

impl TrtTrack {
    pub fn set_options(&self, options: TrackingOptions) {
        let mut settings = self.settings.lock();
        settings.changed = true;
        settings.options = options;
    }

    /// Ends all tracks, if there are any.
    fn reset(&self, why: &str) {
        let mut state = self.state.lock();
        if state.stream.tracks() > 0 {
            gst::debug!(CAT, imp = self, "{} tracks end: {why}", state.stream.tracks());
            state.counters.resets += 1;
        }
        let size = state.size;
        state.stream.reset(size);
    }

    /// Gives a frame's objects their tracks.
    fn track(&self, buffer: gst::Buffer) -> Result<gst::Buffer, Stopped> {
        let (changed, mirrors) = {
            let mut settings = self.settings.lock();
            let changed = std::mem::take(&mut settings.changed).then(|| settings.options.clone());
            (changed, settings.options.mirrors())
        };
        if let Some(options) = changed {
            self.change(&options);
        }
        let (width, height) = self.state.lock().size;
        let before = meta::read(&buffer, width, height);
        let mut record = (*before).clone();
        let examined = {
            let mut state = self.state.lock();
            let wants_looks = state.info.is_some();
            let examined = state.stream.examine(&mut record, time(&buffer), wants_looks);
            examined.map_err(|error| Stopped::Failed(Error::new(ErrorKind::Setting, error.to_string())))?
        };
        // No lock is held while the model runs.
        let looks = self.look(&buffer, &record, &examined)?;
        let mut state = self.state.lock();
        let state = &mut *state;
        let counts = state.stream.advance(&mut record, examined, &looks);
        let counters = &mut state.counters;
        counters.objects_embedded += looks.len() as u64;
        counters.frames += 1;
        counters.updated += u64::from(counts.updated);
        counters.predicted += u64::from(!counts.updated);
        counters.objects_observed += u64::from(counts.observed);
        counters.objects_predicted += u64::from(counts.predicted);
        gst::trace!(
            CAT,
            imp = self,
            "frame {}: {} objects observed, {} predicted",
            buffer.pts().display(),
            counts.observed,
            counts.predicted
        );
        if record == *before {
            return Ok(buffer);
        }
        let mut buffer = into_writable(buffer);
        if let Some(buffer) = buffer.get_mut() {
            meta::set_record_with(buffer, Arc::new(record), width, height, mirrors);
        }
        Ok(buffer)
    }

    /// What the objects look like of which the trackers can't be sure.
    fn look(&self, buffer: &gst::Buffer, record: &Record, examined: &Examined) -> Result<Vec<Look>, Stopped> {
        let Some(info) = self.state.lock().info.clone() else { return Ok(vec![]) };
        let (width, height) = (info.width() as f32, info.height() as f32);
        let frame = Rect::new(0.0, 0.0, width, height);
        let mut looks = Vec::new();
        let (mut regions, mut places) = (Vec::new(), Vec::new());
        for object in examined.objects() {
            let rect = record.objects.get(object).map(|object| object.rect.scaled(width, height).intersection(&frame));
            if let Some(rect) = rect.filter(|rect| rect.w >= 1.0 && rect.h >= 1.0) {
                regions.push(rect);
                places.push(looks.len());
            }
            // An object beyond the frame's edge can't be seen.
            looks.push(None);
        }
        if regions.is_empty() {
            return Ok(looks);
        }
        let frame = Arc::new(Frame { buffer: buffer.clone(), info });
        for (place, look) in places.into_iter().zip(self.reid.looks(frame, regions)?) {
            if let Some(there) = looks.get_mut(place) {
                *there = look;
            }
        }
        Ok(looks)
    }

    /// Applies settings that were changed while frames flow. Where they can't be, the old ones stay.
    fn change(&self, options: &TrackingOptions) {
        let changed = self.state.lock().stream.set_options(options).map_err(|error| error.to_string());
        let needed = if options.analytics_meta { meta::analytics::check() } else { Ok(()) };
        // Posted without the lock, which a synchronous bus handler may need.
        if let Err(text) = changed {
            report::warn(&*self.obj(), &Error::new(ErrorKind::Setting, text), "the trackers keep their settings");
        }
        if let Err(error) = needed {
            report::warn(&*self.obj(), &error, "no analytics metadata is attached");
        }
    }

    fn stats(&self) -> gst::Structure {
        let state = self.state.lock();
        let counters = &state.counters;
        gst::Structure::builder("application/x-trt-stats")
            .field("frames", counters.frames)
            .field("frames-updated", counters.updated)
            .field("frames-predicted", counters.predicted)
            .field("objects-observed", counters.objects_observed)
            .field("objects-predicted", counters.objects_predicted)
            .field("objects-embedded", counters.objects_embedded)
            .field("resets", counters.resets)
            .field("tracks", state.stream.tracks())
            .build()
    }
}

/// A frame's timestamp.
fn time(buffer: &gst::BufferRef) -> Option<Duration> {
    buffer.pts().map(|pts| Duration::from_nanos(pts.nseconds()))
}

/// The time between two frames; `None` for variable rates.
fn frame_interval(caps: &gst::Caps) -> Option<Duration> {
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    let (frames, seconds) = (u64::try_from(rate.numer()).ok()?, u64::try_from(rate.denom()).ok()?);
    (frames > 0).then(|| Duration::from_nanos(1_000_000_000 * seconds / frames))
}
