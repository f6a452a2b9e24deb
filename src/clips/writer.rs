//! The thread that writes a camera's clips.

use super::CAT;
use super::document::{self, Part};
use super::file::ClipFile;
use super::incident::Incident;
use super::recorder::{Shared, State};
use super::unit::{Time, Unit};
use crate::record::{Kind, Limits, Store, has_frames, open};
use files::whole_file;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const VIDEO: &str = "mp4";
const DOCUMENT: &str = "json";

/// The file name of a video.
pub fn video(name: &str) -> String {
    format!("{name}.{VIDEO}")
}

pub struct Writer {
    shared: Arc<Shared>,
    folder: PathBuf,
    /// Once the folder could be opened.
    store: Option<Store>,
    /// The file that is being written.
    open: Option<Open>,
    /// The files of the first incident that are finished.
    parts: Vec<Part>,
}

struct Open {
    file: ClipFile,
    part: Part,
    first: Arc<Unit>,
    /// The time of the last picture that is shown.
    last: Time,
}

/// What is to be done next.
enum Step {
    Write(Arc<Unit>),
    /// Pictures are missing: the ring couldn't keep them until they were written.
    Missed,
    /// The camera's connection is over.
    Disconnected,
    /// The first incident is over.
    Over,
    /// Nothing for a while.
    Rest,
    End,
}

impl Writer {
    /// How long the end of a file may take.
    const FINISH: Duration = Duration::from_secs(10);
    /// How often old clips are looked for.
    const REST: Duration = Duration::from_secs(60);

    pub fn new(shared: Arc<Shared>) -> Self {
        let folder = shared.settings.clips.folder.join(&shared.settings.camera);
        Self { shared, folder, store: None, open: None, parts: Vec::new() }
    }

    pub fn work(mut self) {
        self.rest();
        loop {
            match self.next() {
                Step::Write(unit) => self.write(&unit),
                Step::Missed => {
                    (self.shared.say)(
                        "a clip lacks pictures: the disk can't keep up; raise BUFFER_MB, or use a faster disk",
                    );
                    self.close(false);
                }
                Step::Disconnected => self.close(true),
                Step::Over => self.conclude(),
                Step::Rest => self.rest(),
                Step::End => break,
            }
        }
        while !self.shared.state.lock().incidents.is_empty() {
            self.conclude();
        }
        self.shared.state.lock().has_ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits for what is to be done.
    fn next(&self) -> Step {
        let mut state = self.shared.state.lock();
        loop {
            let until = match self.look(&mut state, Instant::now()) {
                Ok(step) => return step,
                Err(until) => until,
            };
            if self.shared.changed.wait_until(&mut state, until).timed_out() && state.incidents.is_empty() {
                return Step::Rest;
            }
        }
    }

    /// What is to be done now, or when to look again at the latest.
    fn look(&self, state: &mut State, now: Instant) -> Result<Step, Instant> {
        let is_stopping = state.stop.is_some();
        if state.stop.is_some_and(|deadline| now >= deadline) {
            return Ok(Step::End);
        }
        let Some(incident) = state.incidents.front_mut() else {
            let due = state.failures.due().filter(|due| self.store.is_none() && *due > now);
            return if is_stopping { Ok(Step::End) } else { Err(due.unwrap_or(now + Self::REST)) };
        };
        let unit = state.ring.get(incident.next);
        match unit {
            Some(unit) if !self.is_beyond(incident, &unit) => {
                incident.next += 1;
                return Ok(Step::Write(unit));
            }
            None if incident.next < state.ring.first() => {
                incident.next = state.ring.first();
                return Ok(Step::Missed);
            }
            _ => {}
        }
        // An event that prolongs it may still be on its way through the models.
        let is_seen = state.seen.is_some_and(|seen| seen >= incident.until);
        if is_stopping || now >= incident.deadline || (unit.is_some() && is_seen) {
            return Ok(Step::Over);
        }
        let is_over = |open: &Open| !state.is_connected || open.first.stream != state.stream;
        if unit.is_none() && self.open.as_ref().is_some_and(is_over) {
            return Ok(Step::Disconnected);
        }
        Err(incident.deadline)
    }

    /// Whether a picture comes after the incident. Pictures can be decoded in another order than they are shown in: all
    /// that are shown before one have come when the next later one comes.
    fn is_beyond(&self, incident: &Incident, unit: &Unit) -> bool {
        let of_file = self.open.as_ref().filter(|open| open.fits(unit));
        of_file.map_or(unit.pts > incident.until, |open| unit.pts > open.last && open.last >= incident.until)
    }

    fn write(&mut self, unit: &Arc<Unit>) {
        if self.open.as_ref().is_some_and(|open| !open.fits(unit)) {
            self.close(true);
        }
        let written = match &mut self.open {
            Some(open) => open.write(unit),
            // Decoding can't begin with others.
            None if !unit.is_key => Ok(()),
            None => self.create(unit),
        };
        if let Err(text) = written {
            self.fail(&text);
        }
    }

    /// Begins a file with this picture.
    fn create(&mut self, first: &Arc<Unit>) -> Result<(), String> {
        self.open_store()?;
        let Some(name) = self.name() else { return Ok(()) };
        let path = self.path(&name);
        let file = ClipFile::create(&part_of(&path), first)?;
        gst::debug!(CAT, "{} begins at {}", path.display(), first.pts);
        let part = Part { name, begin: first.pts, end: first.pts, came: first.came, frames: 0, is_complete: true };
        let mut open = Open { file, part, first: first.clone(), last: first.pts };
        let written = open.write(first);
        self.open = Some(open);
        written
    }

    /// The name of the next file of the first incident.
    fn name(&self) -> Option<Arc<str>> {
        let (name, before) = {
            let mut state = self.shared.state.lock();
            let incident = state.incidents.front_mut()?;
            let Some(before) = self.parts.last().map(|part| part.name.clone()) else { return Some(incident.name()) };
            let first = incident.names.first()?;
            let name: Arc<str> = format!("{first}-{}", incident.names.len() + 1).into();
            incident.names.push(name.clone());
            (name, before)
        };
        (self.shared.say)(&format!("the clip {} continues in {}", video(&before), video(&name)));
        Some(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(video(name))
    }

    /// Finishes the file that is being written.
    fn close(&mut self, is_complete: bool) {
        let Some(Open { file, mut part, .. }) = self.open.take() else { return };
        part.is_complete = is_complete;
        let limit = self.shared.state.lock().stop.map_or(Self::FINISH, |deadline| {
            deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(200))
        });
        let path = self.path(&part.name);
        let finished = file.finish(limit).and_then(|()| rename(&part_of(&path), &path));
        match finished {
            Ok(()) => {
                gst::debug!(CAT, "{} has {} pictures", path.display(), part.frames);
                self.shared.meter.clip_written();
                self.parts.push(part);
                self.document();
                self.worked();
            }
            Err(text) => {
                self.salvage(part);
                self.fail(&text);
            }
        }
    }

    /// Keeps what was written before a failure.
    fn salvage(&mut self, mut part: Part) {
        let path = self.path(&part.name);
        part.is_complete = false;
        match keep(&part_of(&path), &path) {
            true => self.parts.push(part),
            false => gst::debug!(CAT, "{} has nothing to keep", path.display()),
        }
    }

    /// Writes the JSON files of the first incident's files, as far as they are finished.
    fn document(&mut self) {
        let documents: Vec<_> = {
            let state = self.shared.state.lock();
            let Some(incident) = state.incidents.front() else { return };
            let text = |part: &Part| {
                let Incident { names, causes, tracks, .. } = incident;
                document::text(&self.shared.settings.camera, part, names, causes, tracks, state.size)
            };
            self.parts.iter().map(|part| (self.path(&part.name), text(part))).collect()
        };
        for (path, text) in documents {
            let document = path.with_extension(DOCUMENT);
            let written = whole_file::write(&document, text.as_bytes());
            let taken = self.store.as_mut().map_or(Ok(()), |store| store.took(&path));
            for (path, result) in [(&document, written), (&path, taken)] {
                if let Err(error) = result {
                    (self.shared.say)(&format!("{}: {error}", path.display()));
                }
            }
        }
    }

    /// Ends the first incident.
    fn conclude(&mut self) {
        self.close(true);
        // Its last events may have come after a file was finished.
        self.document();
        let incident = self.shared.state.lock().incidents.pop_front();
        if let Some(incident) = incident.filter(|_| self.parts.is_empty()) {
            self.shared.meter.clips_lost(1);
            let name = video(&incident.name());
            (self.shared.say)(&format!("there is no clip {name}: the camera has sent no key frame"));
        }
        self.parts.clear();
    }

    /// Gives the incidents up, reports it, and makes the next attempt later.
    fn fail(&mut self, text: &str) {
        gst::debug!(CAT, "{}: {text}", self.shared.settings.camera);
        if let Some(Open { file, part, .. }) = self.open.take() {
            drop(file);
            self.salvage(part);
        }
        self.document();
        let (lost, is_news) = {
            let mut state = self.shared.state.lock();
            let lost = state.incidents.len() as u64;
            state.incidents.clear();
            (lost, state.failures.failed(Instant::now()))
        };
        self.parts.clear();
        self.shared.meter.clips_lost(lost);
        if is_news {
            (self.shared.say)(&format!(
                "a clip failed, and clips will be tried again: {}: {text}",
                self.folder.display()
            ));
        }
    }

    /// Records that a clip was written.
    fn worked(&self) {
        let is_news = self.shared.state.lock().failures.worked();
        if is_news {
            (self.shared.say)("clips work again");
        }
    }

    /// Opens the folder, unless it is open.
    fn open_store(&mut self) -> Result<(), String> {
        if self.store.is_some() {
            return Ok(());
        }
        let clips = &self.shared.settings.clips;
        recover(&self.folder);
        let files = clips.files.map_or(usize::MAX, |files| files as usize);
        let limits = Limits { bytes: clips.limit, files, age: clips.age };
        let kind = Kind { extension: VIDEO, beside: Some(DOCUMENT) };
        self.store = Some(open(&self.folder, kind, limits).map_err(|error| error.message)?);
        self.worked();
        Ok(())
    }

    /// Uses a pause: tries to open the folder again, and removes what is too old.
    fn rest(&mut self) {
        match &mut self.store {
            Some(store) => {
                if let Err(error) = store.make_room(0) {
                    (self.shared.say)(&format!("an old clip can't be removed: {error}"));
                }
            }
            None => {
                if let Err(text) = self.open_store() {
                    self.fail(&text);
                }
            }
        }
    }
}

impl Open {
    /// Whether a picture can be in this file.
    fn fits(&self, unit: &Unit) -> bool {
        self.first.stream == unit.stream && self.first.format == unit.format
    }

    fn write(&mut self, unit: &Unit) -> Result<(), String> {
        // Pictures that are shown before the first one need the key frame before it.
        if unit.pts < self.part.begin {
            return Ok(());
        }
        self.file.write(unit)?;
        self.part.frames += 1;
        self.last = self.last.max(unit.pts);
        self.part.end = self.part.end.max(unit.pts.saturating_add(unit.duration));
        Ok(())
    }
}

/// The path of a file while it's being written.
fn part_of(path: &Path) -> PathBuf {
    path.with_extension(format!("{VIDEO}{}", whole_file::PART))
}

fn rename(part: &Path, path: &Path) -> Result<(), String> {
    fs::rename(part, path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Keeps an unfinished file if it has pictures; returns whether it has.
fn keep(part: &Path, path: &Path) -> bool {
    let kept = has_frames(part) && fs::rename(part, path).is_ok();
    if !kept {
        let _ = fs::remove_file(part);
    }
    kept
}

/// Keeps what a process that died has left unfinished: files are readable up to their last second.
fn recover(folder: &Path) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.to_string_lossy().ends_with(&format!(".{VIDEO}{}", whole_file::PART)) {
            keep(&path, &path.with_extension(""));
        }
    }
}
