use super::lines::Lines;
use super::properties::PROPERTIES;
use crate::config::redact;
use crate::elements::{caps, final_record};
use crate::meta::{self, Record};
use crate::publish::{self, Frame, Notice, OverflowChoice, PublishOptions, Publisher, Refused, Stats};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtpublish", gst::DebugColorFlags::empty(), Some("Objects as JSON Lines"))
});

/// State of the streaming thread, which alone locks it.
#[derive(Default)]
struct StreamState {
    id: Arc<str>,
    /// Pixels.
    size: (u32, u32),
    /// Frames published so far.
    frames: u64,
    /// Of the last frame: its presentation timestamp, and the way from there to its time since 1970-01-01 UTC, ns.
    time: Option<Duration>,
    to_utc: Option<i128>,
    /// True if an upstream source is live; queried once.
    live: Option<bool>,
    /// Reused buffer for the next line.
    line: Vec<u8>,
}

#[derive(Default)]
pub struct TrtPublish {
    settings: Mutex<PublishOptions>,
    stream: Mutex<StreamState>,
    /// Set from READY→PAUSED on, and kept after PAUSED→READY for `stats`.
    publisher: Mutex<Option<Arc<Publisher>>>,
}

#[glib::object_subclass]
impl ObjectSubclass for TrtPublish {
    const NAME: &'static str = "GstTrtPublish";
    type Type = super::TrtPublish;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for TrtPublish {
    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let action = |name, act: fn(&Publisher)| {
                let handler = move |values: &[glib::Value]| {
                    if let Some(Ok(element)) = values.first().map(|value| value.get::<super::TrtPublish>())
                        && let Some(publisher) = element.imp().publisher()
                    {
                        act(&publisher);
                    }
                    None
                };
                glib::subclass::Signal::builder(name).action().class_handler(handler).build()
            };
            vec![action("reopen", Publisher::reopen), action("purge", Publisher::purge)]
        });
        &SIGNALS
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, id: usize, value: &glib::Value, _: &glib::ParamSpec) {
        PROPERTIES.set(&mut self.settings.lock(), id, value);
    }

    fn property(&self, id: usize, _: &glib::ParamSpec) -> glib::Value {
        let option = PROPERTIES.get(&self.settings.lock(), id);
        option.unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for TrtPublish {}

impl ElementImpl for TrtPublish {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Object publisher",
                "Filter/Analyzer/Video",
                "Publishes the objects found in each frame as JSON Lines",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(caps::any_frames);
        &TEMPLATES
    }

    fn change_state(&self, change: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // The pads can stop only once the streaming thread no longer waits for space in the queue or for the last line.
        if change == gst::StateChange::PausedToReady
            && let Some(publisher) = self.publisher()
        {
            publisher.set_flushing(true);
        }
        self.parent_change_state(change)
    }
}

impl BaseTransformImpl for TrtPublish {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().clone();
        let location_shown = redact(&settings.location);
        gst::debug!(CAT, imp = self, "opens {location_shown}");
        let element = self.obj().downgrade();
        let shown = location_shown.clone();
        let notify = move |notice: Notice| {
            if let Some(element) = element.upgrade() {
                tell(&element, &shown, &notice);
            }
        };
        let output =
            publish::open(&settings, Arc::new(notify)).map_err(|error| cannot_open(&location_shown, &error))?;
        let element = self.obj().downgrade();
        let failed = move |name: &str, error: io::Error| {
            if let Some(element) = element.upgrade() {
                cannot_write(&element, name, &error);
            }
        };
        let publisher = Publisher::new(output, settings.gate.clone(), failed).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::Failed,
                ("Can't start the thread that writes {location_shown}: {error}")
            )
        })?;
        let name = self.obj().name();
        let frames = settings.gate.map_or(0, |gate| gate.first_frame(&name));
        *self.stream.lock() = StreamState { id: name.as_str().into(), frames, ..StreamState::default() };
        *self.publisher.lock() = Some(Arc::new(publisher));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let left = self.publisher().map_or(0, |publisher| publisher.close());
        if let Some(gate) = &self.settings.lock().gate {
            gate.ended_at(&self.obj().name(), self.stream.lock().frames);
        }
        if left > 0 {
            gst::warning!(CAT, imp = self, "{left} lines were not written: stopped before the reader caught up");
        }
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
        let size = caps::size(caps).ok_or_else(|| gst::loggable_error!(CAT, "Caps {caps} have no width and height"))?;
        self.stream.lock().size = size;
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::StreamStart(start) => self.stream.lock().id = start.stream_id().into(),
            EventView::FlushStart(_) => self.set_flushing(true),
            EventView::FlushStop(_) => self.set_flushing(false),
            EventView::CustomDownstream(event) => {
                if let Some(record) = final_record::of(event)
                    && self.publish(None, &record).is_err()
                {
                    return false;
                }
            }
            EventView::Eos(_) => match self.drain() {
                Some(Err(Refused::Flushing)) => return false,
                Some(Err(Refused::TimedOut)) => gst::element_imp_warning!(
                    self,
                    gst::ResourceError::Write,
                    ("The last lines didn't reach {} within drain-timeout", self.location())
                ),
                // A failed write has been posted as an error; EOS is still forwarded, so that files downstream are
                // finalised.
                Some(Err(Refused::Failed)) | Some(Ok(())) | None => {}
            },
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn transform_ip_passthrough(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (width, height) = self.stream.lock().size;
        self.publish(Some(buffer.as_ref()), &meta::read(buffer, width, height))
    }
}

impl TrtPublish {
    pub fn set_options(&self, options: PublishOptions) {
        *self.settings.lock() = options;
    }

    fn publisher(&self) -> Option<Arc<Publisher>> {
        self.publisher.lock().clone()
    }

    /// Queues the lines of a frame, or of what became known after the last one.
    fn publish(&self, buffer: Option<&gst::BufferRef>, record: &Record) -> Result<gst::FlowSuccess, gst::FlowError> {
        let publisher = self.publisher().ok_or(gst::FlowError::Flushing)?;
        let (stream_id, overflow, max_queue, masks, content) = {
            let settings = self.settings.lock();
            let PublishOptions { stream_id, overflow, max_queue, mask_format, content, .. } = &*settings;
            (stream_id.clone(), *overflow, *max_queue as usize, *mask_format, *content)
        };
        let (format, origin) = {
            let settings = self.settings.lock();
            (settings.format, settings.origin())
        };
        let mut stream = self.stream.lock();
        let stream = &mut *stream;
        let overflow = match overflow {
            OverflowChoice::Block => publish::Overflow::Block,
            OverflowChoice::DropOldest => publish::Overflow::DropOldest,
            OverflowChoice::Auto if publisher.can_stall() && *stream.live.get_or_insert_with(|| self.is_live()) => {
                publish::Overflow::DropOldest
            }
            OverflowChoice::Auto => publish::Overflow::Block,
        };
        let id = stream_id.unwrap_or_else(|| stream.id.clone());
        let frame = buffer.map(|buffer| Frame {
            stream: &id,
            number: stream.frames,
            pts: buffer.pts().map(gst::ClockTime::nseconds),
            captured: capture_time(buffer),
            width: stream.size.0,
            height: stream.size.1,
        });
        if let Some(frame) = &frame {
            stream.frames += 1;
            stream.time = frame.pts.map(Duration::from_nanos);
            stream.to_utc = frame.captured.zip(frame.pts).map(|(utc, pts)| i128::from(utc) - i128::from(pts));
        }
        let StreamState { time, to_utc, ref mut line, .. } = *stream;
        let mut lines = Lines {
            publisher: &publisher,
            stream: id.clone(),
            to_utc,
            max_queue,
            overflow,
            format,
            origin: origin.as_ref(),
            line,
        };
        let mut queued = || {
            if let Some(frame) = frame.filter(|_| content.has_objects()) {
                let bytes = lines.frame(&frame, record, masks)?;
                let pts = frame.pts.map(gst::ClockTime::from_nseconds);
                gst::trace!(CAT, imp = self, "frame {}: line {} has {bytes} bytes", pts.display(), frame.number);
            }
            if content.has_events() { lines.events(time, record) } else { Ok(()) }
        };
        match queued() {
            Ok(()) => Ok(gst::FlowSuccess::Ok),
            Err(Refused::Flushing | Refused::TimedOut) => Err(gst::FlowError::Flushing),
            // The error was posted when the write failed.
            Err(Refused::Failed) => Err(gst::FlowError::Error),
        }
    }

    /// The location without its password, for messages.
    fn location(&self) -> String {
        redact(&self.settings.lock().location)
    }

    /// Waits for the last line to be delivered: without a limit for a connected reader, and up to `drain-timeout` for a
    /// server that can be away.
    fn drain(&self) -> Option<Result<(), Refused>> {
        let publisher = self.publisher()?;
        let limit = self.settings.lock().drain_timeout;
        Some(publisher.drain(publisher.can_be_away().then_some(limit)))
    }

    fn set_flushing(&self, flushing: bool) {
        if let Some(publisher) = self.publisher() {
            publisher.set_flushing(flushing);
        }
    }

    fn is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    fn stats(&self) -> gst::Structure {
        let Stats { lines, dropped, bytes } = self.publisher().map(|p| p.stats()).unwrap_or_default();
        gst::Structure::builder("stats").field("lines", lines).field("dropped", dropped).field("bytes", bytes).build()
    }
}

/// The frame's capture time in ns since 1970, from a `GstReferenceTimestampMeta` in NTP or Unix time.
fn capture_time(buffer: &gst::BufferRef) -> Option<u64> {
    /// Seconds from 1900, the epoch of NTP, to 1970 (RFC 5905).
    const NTP_TO_UNIX: u64 = 2_208_988_800;
    buffer.iter_meta::<gst::ReferenceTimestampMeta>().find_map(|meta| {
        let time = meta.timestamp().nseconds();
        match meta.reference().structure(0)?.name().as_str() {
            "timestamp/x-ntp" => time.checked_sub(NTP_TO_UNIX * 1_000_000_000),
            "timestamp/x-unix" => Some(time),
            _ => None,
        }
    })
}

fn tell(element: &super::TrtPublish, location: &str, notice: &Notice) {
    match notice {
        Notice::Away(reason) => gst::element_warning!(
            element,
            gst::ResourceError::OpenWrite,
            ("Can't deliver objects to {location}: {reason}; retrying, while up to max-queue lines are kept")
        ),
        Notice::Back => {
            let dropped = element.imp().stats().get::<u64>("dropped").unwrap_or_default();
            gst::element_info!(
                element,
                gst::ResourceError::OpenWrite,
                ("Objects reach {location} again; {dropped} lines have been dropped so far")
            )
        }
        Notice::Undeliverable(reason) => gst::element_warning!(
            element,
            gst::ResourceError::Write,
            ("Objects can't be delivered to {location}: {reason}")
        ),
    }
}

/// `location` is shown without its password.
fn cannot_open(location: &str, error: &io::Error) -> gst::ErrorMessage {
    if error.kind() == io::ErrorKind::InvalidInput {
        return gst::error_msg!(gst::ResourceError::NotFound, ("trtpublish can't use location={location:?}: {error}"));
    }
    let otherwise = "set location to a file that can be written, or to - for standard output";
    let remedy = publish::remedy(error).unwrap_or(otherwise);
    gst::error_msg!(gst::ResourceError::OpenWrite, ("Can't write objects to {location}: {error}; {remedy}"))
}

fn cannot_write(element: &super::TrtPublish, name: &str, error: &io::Error) {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => gst::ResourceError::NoSpaceLeft,
        // A broker refused the account or certificate; the text has the remedy.
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData if error.raw_os_error().is_none() => {
            gst::element_error!(element, gst::ResourceError::NotAuthorized, ("Can't write objects to {name}: {error}"));
            return;
        }
        _ => gst::ResourceError::Write,
    };
    let then = if error.kind() == io::ErrorKind::BrokenPipe { ", and then this pipeline" } else { "" };
    let remedy = publish::remedy(error).unwrap_or("check the disk or the reader, or set another location");
    gst::element_error!(element, kind, ("Can't write objects to {name}: {error}; {remedy}{then}"));
}
