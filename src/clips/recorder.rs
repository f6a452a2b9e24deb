//! What a camera's threads do for its clips: none of it waits for anything but a short lock.

use super::CAT;
use super::file::WRITE;
use super::incident::{Cause, Incident, nanoseconds};
use super::ring::Ring;
use super::rules::rule_of;
use super::tracks::Tracks;
use super::unit::{Time, Unit};
use super::writer::{Writer, video};
use crate::config;
use crate::elements::{frame_size, into_writable};
use crate::error::{Error, ErrorKind};
use crate::meta::{self, Record};
use crate::monitor::Meter;
use crate::record::{Failures, Say, time_text};
use gst::glib;
use gst::prelude::*;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The clips of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The name of the folder of its files.
    pub camera: String,
    pub clips: config::Clips,
    /// Events are certain up to this long after they have happened.
    pub late: Duration,
}

/// Records clips until it's stopped or dropped.
#[derive(Debug)]
pub struct Clips(Arc<Shared>);

/// What the camera's threads and the writer share.
pub struct Shared {
    pub settings: Settings,
    pub meter: Arc<Meter>,
    pub say: Say,
    pub state: Mutex<State>,
    pub changed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub struct State {
    pub ring: Ring,
    /// The number of the camera's last connection, and whether it still exists.
    pub stream: u64,
    pub is_connected: bool,
    /// The time of the last frame that models have seen.
    pub seen: Option<Time>,
    /// Of the time that the ring has.
    tracks: Tracks,
    /// Pixels of the last frame.
    pub size: (u32, u32),
    /// Oldest first; the writer works on the first.
    pub incidents: VecDeque<Incident>,
    pub failures: Failures,
    /// The deadline for stopping.
    pub stop: Option<Instant>,
    /// The writer has ended.
    pub has_ended: bool,
    /// The time in the last file's name, ms since 1970.
    named: u64,
    /// The ring's limit was reached, and that was reported.
    is_told_short: bool,
}

impl Clips {
    /// Models that are further behind than this aren't waited for.
    const BEHIND: Duration = Duration::from_secs(30);
    /// The most incidents whose files have still to be written.
    const WAITING: usize = 32;
    /// How long stopping waits for the last clip.
    const DRAIN: Duration = Duration::from_millis(2000);

    /// Starts the writer. Its failures are reported by `say`, one line each, and retried.
    ///
    /// # Errors
    /// An element is missing, or the system can't create a thread.
    pub fn start(settings: Settings, meter: Arc<Meter>, say: Say) -> Result<Self, Error> {
        if let Some(missing) = WRITE.iter().find(|name| gst::ElementFactory::find(name).is_none()) {
            let text = format!("clips need GStreamer's element {missing}: install gstreamer1.0-plugins-good");
            return Err(Error::new(ErrorKind::Library, text));
        }
        let state = State {
            ring: Ring::new(settings.clips.memory),
            stream: 0,
            is_connected: false,
            seen: None,
            tracks: Tracks::default(),
            size: (0, 0),
            incidents: VecDeque::new(),
            failures: Failures::default(),
            stop: None,
            has_ended: false,
            named: 0,
            is_told_short: false,
        };
        let shared = Arc::new(Shared { settings, meter, say, state: Mutex::new(state), changed: Condvar::new() });
        let writer = Writer::new(shared.clone());
        std::thread::Builder::new().name("clips".into()).spawn(move || writer.work()).map_err(|error| {
            Error::new(ErrorKind::Failed, format!("clips can't start: no thread could be created: {error}"))
        })?;
        Ok(Self(shared))
    }

    /// Begins a connection of the camera, whose coded pictures pass `pad`; `time` converts their timestamps to those that
    /// frames have.
    pub fn tap(
        &self,
        pad: &gst::Pad,
        time: impl Fn(&gst::Pad, gst::ClockTime) -> Option<Time> + Send + Sync + 'static,
    ) {
        let stream = {
            let mut state = self.0.state.lock();
            state.stream += 1;
            state.is_connected = true;
            state.stream
        };
        let shared = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                shared.take(pad, buffer, stream, |timestamp| time(pad, timestamp));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The camera's connection is over: a clip that is being written is closed.
    pub fn disconnected(&self) {
        self.0.state.lock().is_connected = false;
        self.0.changed.notify_all();
    }

    /// Looks for events in the frames that pass `pad`, and writes the names of their clips into them.
    pub fn watch(&self, pad: &gst::Pad) {
        let shared = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(size) = pad.current_caps().and_then(|caps| frame_size(&caps)) else {
                return gst::PadProbeReturn::Ok;
            };
            let named = info.buffer().and_then(|buffer| shared.see(buffer, size));
            if let Some(record) = named
                && let Some(gst::PadProbeData::Buffer(buffer)) = info.data.take()
            {
                let mut buffer = into_writable(buffer);
                if let Some(buffer) = buffer.get_mut() {
                    meta::annotate(buffer, Arc::new(record), size.0, size.1);
                }
                info.data = Some(gst::PadProbeData::Buffer(buffer));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Records a clip of this moment, on request; `kind` takes the place of a rule's name. Returns the name of its file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn command(&self, kind: &str, text: Option<String>) -> Result<Arc<str>, String> {
        let mut state = self.0.state.lock();
        let newest = state.ring.last().map(|unit| unit.pts);
        let Some(time) = newest.filter(|_| state.is_connected) else {
            drop(state);
            self.0.meter.clips_lost(1);
            return Err("the camera sends nothing".into());
        };
        let cause = Cause { rule: kind.into(), time, event: None, text };
        let name = self.0.record(&mut state, cause);
        drop(state);
        self.0.changed.notify_all();
        name.ok_or_else(|| "clips can't be written at the moment".into())
    }

    /// Writes what the camera has sent of open incidents, and ends within about two seconds.
    pub fn stop(&self) {
        let deadline = Instant::now() + Self::DRAIN;
        let mut state = self.0.state.lock();
        state.stop.get_or_insert(deadline);
        self.0.changed.notify_all();
        // A writer that hangs with its disk is left behind.
        let latest = deadline + Duration::from_millis(500);
        while !state.has_ended && !self.0.changed.wait_until(&mut state, latest).timed_out() {}
        let has_ended = state.has_ended;
        drop(state);
        if !has_ended {
            (self.0.say)("the end of a clip took too long to write, and may be missing");
        }
        self.0.meter.clip_buffer(0, Duration::ZERO);
    }
}

impl Drop for Clips {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Keeps a coded picture of a connection.
    fn take(&self, pad: &gst::Pad, buffer: &gst::Buffer, stream: u64, time: impl Fn(gst::ClockTime) -> Option<Time>) {
        let Some(caps) = pad.current_caps() else { return };
        let before = self.state.lock().ring.last().filter(|last| last.stream == stream).cloned();
        // The lock isn't held while the data is copied.
        let Some(unit) = Unit::copy(buffer, &caps, stream, before.as_deref(), time) else { return };
        let (bytes, length, tell) = {
            let mut state = self.state.lock();
            if state.stream != stream {
                return;
            }
            state.ring.push(unit);
            let (oldest, kept) = (self.oldest(&state), state.incidents.iter().map(|incident| incident.next).min());
            let is_short = state.ring.trim(oldest, kept);
            let tell = is_short && !state.is_told_short;
            state.is_told_short |= is_short;
            self.wake_writer(&state);
            (state.ring.bytes(), state.ring.length(), tell)
        };
        self.meter.clip_buffer(bytes, Duration::from_nanos(u64::try_from(length).unwrap_or(0)));
        if tell {
            let (clips, seconds) = (&self.settings.clips, length as f64 / 1e9);
            (self.say)(&format!(
                "clips begin late: {} MiB hold {seconds:.1} s of what the camera sends, and BEFORE_S is {}; raise BUFFER_MB, \
                 or shorten BEFORE_S or the camera's key frame interval",
                clips.memory >> 20,
                clips.before.as_secs_f64()
            ));
        }
    }

    /// The time from which on pictures may be needed.
    fn oldest(&self, state: &State) -> Time {
        let newest = state.ring.last().map_or(0, |unit| unit.pts);
        let seen = state.seen.unwrap_or(newest).clamp(newest.saturating_sub(nanoseconds(Clips::BEHIND)), newest);
        seen.saturating_sub(nanoseconds(self.settings.clips.before + self.settings.late))
    }

    /// Looks at a frame's record. Returns the record with the names of clips if there are any.
    fn see(&self, buffer: &gst::BufferRef, size: (u32, u32)) -> Option<Record> {
        let time = Time::try_from(buffer.pts()?.nseconds()).ok()?;
        let record = meta::record(buffer);
        let record = record.as_deref();
        let mut state = self.state.lock();
        state.seen = Some(time);
        state.size = size;
        if let Some(record) = record {
            state.tracks.add(time, record);
            let open = state.incidents.iter_mut().filter(|incident| time <= incident.until);
            open.for_each(|incident| incident.tracks.add(time, record));
        }
        let oldest = self.oldest(&state);
        state.tracks.trim(oldest);
        let with_events = record.filter(|record| !record.events.is_empty());
        let named = with_events.and_then(|record| self.look_for_events(&mut state, record));
        self.wake_writer(&state);
        named
    }

    /// Packets and frames concern the writer only while there is an incident: it sleeps through all others.
    fn wake_writer(&self, state: &State) {
        if !state.incidents.is_empty() {
            self.changed.notify_all();
        }
    }

    fn look_for_events(&self, state: &mut State, record: &Record) -> Option<Record> {
        let rules = &self.settings.clips.rules;
        let mut named: Option<Record> = None;
        for (index, event) in record.events.iter().enumerate() {
            let Some(rule) = rule_of(rules, event) else { continue };
            let cause =
                Cause { rule: rule.into(), time: nanoseconds(event.time), event: Some(event.clone()), text: None };
            let name = self.record(state, cause);
            let named = named.get_or_insert_with(|| record.clone());
            if let Some(event) = named.events.get_mut(index) {
                event.clip = name;
            }
        }
        named
    }

    /// Opens an incident for this cause, or prolongs the open one. Returns the name of its file; `None` if it's lost.
    fn record(&self, state: &mut State, mut cause: Cause) -> Option<Arc<str>> {
        let config::Clips { before, after, longest, .. } = self.settings.clips;
        let time = cause.time;
        let nothing = state.ring.last().is_none() && !state.is_connected;
        if state.stop.is_some() || nothing || state.failures.is_paused(Instant::now()) {
            return self.lose(&cause);
        }
        let newest = state.ring.last().map_or(time, |unit| unit.pts);
        let name = |incident: &Incident| Arc::<str>::from(video(&incident.name()));
        if let Some(open) = state.incidents.back_mut().filter(|open| time <= open.until) {
            let name = name(open);
            if let Some(event) = &mut cause.event {
                event.clip = Some(name.clone());
            }
            open.add(cause);
            open.prolong(time, after, longest, newest);
            gst::debug!(CAT, "{}: {name} is prolonged to {}", self.settings.camera, open.until);
            return Some(name);
        }
        if state.incidents.len() >= Clips::WAITING {
            return self.lose(&cause);
        }
        let first = state.ring.key_before(time.saturating_sub(nanoseconds(before)));
        let begin = state.ring.get(first).map_or(time, |unit| unit.pts);
        let stem = format!("{}-{}", state.next_time(), cause.rule);
        let mut incident = Incident::new(&stem, cause, state.tracks.since(begin), first, begin);
        let name = name(&incident);
        if let Some(event) = incident.causes.first_mut().and_then(|cause| cause.event.as_mut()) {
            event.clip = Some(name.clone());
        }
        incident.prolong(time, after, longest, newest);
        gst::debug!(CAT, "{}: {name} begins at {begin}", self.settings.camera);
        state.incidents.push_back(incident);
        Some(name)
    }

    fn lose(&self, cause: &Cause) -> Option<Arc<str>> {
        gst::debug!(CAT, "{}: no clip of {} at {}", self.settings.camera, cause.rule, cause.time);
        self.meter.clips_lost(1);
        None
    }
}

impl State {
    /// The time for the next file's name: no two are equal.
    fn next_time(&mut self) -> String {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.named = u64::try_from(since.as_millis()).unwrap_or(0).max(self.named + 1);
        let (seconds, rest) = ((self.named / 1000).cast_signed(), (self.named % 1000).cast_signed());
        let time =
            glib::DateTime::from_unix_utc(seconds).and_then(|time| time.add(glib::TimeSpan::from_milliseconds(rest)));
        // There is no time only beyond the year 9999.
        time.ok().as_ref().and_then(time_text).unwrap_or_default()
    }
}
