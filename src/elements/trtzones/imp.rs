use super::properties::PROPERTIES;
use super::state_file::{Kept, StateFile};
use super::{places, structures};
use crate::elements::stage::into_writable;
use crate::elements::{caps, final_record, report, segment};
use crate::error::{Error, ErrorKind};
use crate::meta::{self, Event, Inference, Object, Place, Record, Tally, TrackState};
use crate::options::ZonesOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use model::Rect;
use parking_lot::Mutex;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tracking::zones::{self, Zones, ZonesConfig, ankles};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtzones", gst::DebugColorFlags::empty(), Some("Who is where, and who crosses what"))
});

/// Ankles with a lower confidence don't tell where a person stands.
const ANKLE_CONFIDENCE: f32 = 0.3;

/// In how many frames with objects none may have a track before a warning tells that a tracker is missing.
const FRAMES_WITHOUT_TRACKS: u32 = 100;

#[derive(Default)]
pub struct TrtZones {
    settings: Mutex<Settings>,
    /// Locked by the streaming thread, and for `stats`.
    state: Mutex<State>,
}

#[derive(Default)]
struct Settings {
    options: ZonesOptions,
    /// Set, be it to the same values, since zones were last read.
    changed: bool,
}

#[derive(Default)]
struct State {
    config: ZonesConfig,
    /// What frames carry of them; none if they needn't.
    places: Vec<Place>,
    /// Made at the first caps.
    zones: Option<Zones>,
    /// The totals are in the next frame, whether something happens in it or not.
    tells_totals: bool,
    /// Pixels.
    size: (u32, u32),
    segment: Option<gst::Segment>,
    file: Option<StateFile>,
    /// What an earlier run has left for the zones.
    kept: Option<Kept>,
    /// Of the last frame.
    time: Duration,
    frames: u64,
    events: u64,
    /// Frames with objects, until one has a track.
    without_tracks: u32,
    has_tracks: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for TrtZones {
    const NAME: &'static str = "GstTrtZones";
    type Type = super::TrtZones;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for TrtZones {
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

impl GstObjectImpl for TrtZones {}

impl ElementImpl for TrtZones {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Zones and lines",
                "Filter/Analyzer/Video",
                "Tells who is in zones and who crosses lines, from the tracks of objects",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(caps::any_frames);
        &TEMPLATES
    }
}

impl BaseTransformImpl for TrtZones {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    // Frames keep their memory: only metadata is added, and upstream and downstream negotiate as if the element weren't there.
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let failed = |error: Error| gst::error_msg!(gst::LibraryError::Settings, ("{}", error.message));
        let mut settings = self.settings.lock();
        let config = settings.options.config().map_err(failed)?;
        let (file, kept) = match &settings.options.state_file {
            Some(path) => StateFile::open(path).map(|(file, kept)| (Some(file), kept)).map_err(failed)?,
            None => (None, None),
        };
        settings.changed = false;
        let places = if settings.options.attach_zones { places::of(&config) } else { vec![] };
        *self.state.lock() = State { config, places, file, kept, tells_totals: true, ..State::default() };
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.save(StateFile::write);
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
        let (width, height) =
            caps::size(caps).ok_or_else(|| gst::loggable_error!(CAT, "Caps {caps} have no width and height"))?;
        let aspect = width.max(1) as f32 / height.max(1) as f32;
        let mut state = self.state.lock();
        let state = &mut *state;
        state.size = (width, height);
        match &mut state.zones {
            Some(zones) => zones.set_aspect(aspect),
            None => {
                let mut zones =
                    Zones::new(&state.config, aspect).map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
                if let Some(kept) = state.kept.take() {
                    kept.restore(&mut zones);
                }
                state.zones = Some(zones);
            }
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::StreamStart(_) => {
                self.interrupt();
                // The stream's name may be another.
                self.state.lock().tells_totals = true;
            }
            EventView::FlushStop(_) => self.interrupt(),
            EventView::Segment(event) => {
                let changes = segment::changes(&mut self.state.lock().segment, event.segment());
                if changes {
                    self.interrupt();
                }
            }
            EventView::Eos(_) => {
                let (events, tallies, segment) = {
                    let mut state = self.state.lock();
                    let events = state.zones.as_mut().map_or_else(Vec::new, |zones| zones.finish().to_vec());
                    state.count(&events);
                    let tallies = state.tallies(&events);
                    (events, tallies, state.segment.clone())
                };
                self.post(&events, segment.as_ref());
                self.save(StateFile::write);
                if !events.is_empty() {
                    let record = Record { events, tallies, ..Record::default() };
                    self.obj().src_pad().push_event(final_record::event(record));
                }
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn submit_input_buffer(&self, is_discont: bool, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let changed = {
            let mut settings = self.settings.lock();
            std::mem::take(&mut settings.changed).then(|| settings.options.clone())
        };
        if let Some(options) = changed {
            self.change(&options);
        }
        let buffer = self.look(buffer);
        self.save(StateFile::write_if_due);
        self.parent_submit_input_buffer(is_discont, buffer)
    }
}

impl State {
    /// Counts events, and has them kept.
    fn count(&mut self, events: &[Event]) {
        self.events += events.len() as u64;
        if let Some(file) = self.file.as_mut().filter(|_| !events.is_empty()) {
            file.touch();
        }
    }

    /// The totals of the places of `events`, or where they are due all.
    fn tallies(&mut self, events: &[Event]) -> Vec<Tally> {
        let all = std::mem::take(&mut self.tells_totals);
        let Some(zones) = self.zones.as_ref().filter(|_| all || !events.is_empty()) else { return vec![] };
        zones.tallies().filter(|tally| all || events.iter().any(|event| event.place == tally.place)).collect()
    }

    /// Whether a warning is due because no object has a track.
    fn lacks_tracker(&mut self, record: &Record) -> bool {
        if self.has_tracks || record.objects.is_empty() {
            return false;
        }
        self.has_tracks = record.objects.iter().any(|object| object.track_id.is_some());
        self.without_tracks += 1;
        !self.has_tracks && self.without_tracks == FRAMES_WITHOUT_TRACKS
    }
}

impl TrtZones {
    pub fn set_options(&self, options: ZonesOptions) {
        let mut settings = self.settings.lock();
        settings.changed = true;
        settings.options = options;
    }

    /// The frames that follow are at any time: none passes until the next one.
    fn interrupt(&self) {
        if let Some(zones) = &mut self.state.lock().zones {
            zones.interrupt();
        }
    }

    /// Looks who is where in a frame, and writes into its record what has happened.
    fn look(&self, buffer: gst::Buffer) -> gst::Buffer {
        let (record, events, tallies, places, segment, size, lacks_tracker) = {
            let mut state = self.state.lock();
            let state = &mut *state;
            state.frames += 1;
            if let Some(pts) = buffer.pts() {
                state.time = Duration::from_nanos(pts.nseconds());
            }
            let record = meta::read(&buffer, state.size.0, state.size.1);
            let lacks_tracker = state.lacks_tracker(&record);
            let Some(zones) = &mut state.zones else { return buffer };
            let events = match is_seen(&record) {
                true => zones.update(state.time, &objects(&record)).to_vec(),
                false => vec![],
            };
            places::count(&mut state.places, zones);
            state.count(&events);
            let tallies = state.tallies(&events);
            let segment = state.segment.as_ref().filter(|_| !events.is_empty()).cloned();
            (record, events, tallies, state.places.clone(), segment, state.size, lacks_tracker)
        };
        if lacks_tracker {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("No object has a track, so that nothing is counted: put trttrack before trtzones")
            );
        }
        if events.is_empty() && tallies.is_empty() && places.is_empty() {
            return buffer;
        }
        gst::trace!(CAT, imp = self, "frame {}: {} events", buffer.pts().display(), events.len());
        self.post(&events, segment.as_ref());
        let mut buffer = into_writable(buffer);
        if let Some(buffer) = buffer.get_mut() {
            let mut record = Arc::unwrap_or_clone(record);
            record.events.extend(events);
            record.tallies.extend(tallies);
            record.places.extend(places);
            meta::annotate(buffer, Arc::new(record), size.0, size.1);
        }
        buffer
    }

    /// Posts events. The caller has no lock, which a synchronous bus handler may need.
    fn post(&self, events: &[Event], segment: Option<&gst::Segment>) {
        let element = self.obj();
        let element = element.upcast_ref::<gst::Element>();
        for event in events {
            let structure = structures::event(event, segment);
            // This fails only without a bus, and then there is no listener.
            let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
        }
    }

    /// Applies zones that were changed while frames flow. Where they are wrong, the old ones stay.
    fn change(&self, options: &ZonesOptions) {
        let changed = options.config().and_then(|config| {
            let mut state = self.state.lock();
            if let Some(zones) = &mut state.zones {
                zones.set_config(&config).map_err(|error| Error::new(ErrorKind::Setting, error.to_string()))?;
            }
            state.places = if options.attach_zones { places::of(&config) } else { vec![] };
            state.config = config;
            state.tells_totals = true;
            Ok(())
        });
        if let Err(error) = changed {
            report::warn(&*self.obj(), &error, "zones and lines stay as they were");
        }
    }

    fn save(&self, write: impl FnOnce(&mut StateFile, &Zones) -> Result<(), Error>) {
        let result = {
            let mut state = self.state.lock();
            let state = &mut *state;
            match (&mut state.file, &state.zones) {
                (Some(file), Some(zones)) => write(file, zones),
                _ => Ok(()),
            }
        };
        if let Err(error) = result {
            report::warn(&*self.obj(), &error, "totals go on, but wouldn't survive a restart");
        }
    }

    fn stats(&self) -> gst::Structure {
        let state = self.state.lock();
        let mut stats = gst::Structure::builder("application/x-trt-stats")
            .field("frames", state.frames)
            .field("events", state.events)
            .build();
        if let Some(zones) = &state.zones {
            structures::set_totals(&mut stats, zones);
        }
        stats
    }
}

/// Whether a frame says where objects are: a model has looked at it, or a tracker has told where they are expected.
fn is_seen(record: &Record) -> bool {
    let skipped = |inference| matches!(inference, Inference::Interval | Inference::Busy);
    record.models.iter().any(|run| !skipped(run.inference))
        || record.models.is_empty()
        || record.objects.iter().any(|object| object.track_id.is_some())
        || !record.lost_tracks.is_empty()
}

/// The tracks of a frame, also those that aren't seen in it.
fn objects(record: &Record) -> Vec<zones::Object<'_>> {
    let object = |object: &'_ Object| {
        // Other programs' trackers don't tell how sure they are.
        let state = object.track.map_or(TrackState::Confirmed, |track| track.state);
        let points = object.keypoints.as_ref();
        let feet = points.and_then(|set| ankles(&set.points, &set.layout, ANKLE_CONFIDENCE));
        Some((object.track_id?, state, object.rect, feet))
    };
    let shown = record.objects.iter().filter_map(|of| {
        let (track, state, rect, feet) = object(of)?;
        Some(zones::Object { track, state, class: &of.label, rect, feet })
    });
    let lost = record.lost_tracks.iter().map(|track| zones::Object {
        track: *track,
        state: TrackState::Predicted,
        class: "",
        rect: Rect::default(),
        feet: None,
    });
    shown.chain(lost).collect()
}
