//! A camera's pictures: its last frame, and one of each class as it appears.

use super::gate::{Gate, Want};
use super::output_thread::{Output, Say};
use super::still::jpeg;
use super::store::Store;
use crate::config;
use files::whole_file;
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Decides which frames become pictures, and writes those.
pub struct Pictures {
    gate: Mutex<Gate>,
    store: Mutex<Store>,
    /// Path of the last picture.
    last: PathBuf,
    quality: u8,
    /// What frames are wanted for that are being drawn and encoded, by their time.
    under_way: Mutex<VecDeque<(Option<gst::ClockTime>, Want)>>,
    /// A frame was written.
    written: AtomicBool,
    losses: Mutex<Losses>,
    say: Say,
}

/// Appearances without a picture.
#[derive(Default)]
struct Losses {
    count: u64,
    /// Labels lost since the last report, and when that was.
    untold: Vec<String>,
    told: Option<Instant>,
}

impl Pictures {
    /// The shortest time between two reports of losses.
    const TELL: Duration = Duration::from_secs(60);
    /// The most classes that a report names.
    const NAMED: usize = 5;

    pub fn new(settings: &config::Pictures, camera: &str, store: Store, say: Say) -> Self {
        Self {
            gate: Mutex::new(Gate::new(settings)),
            store: Mutex::new(store),
            last: settings.folder.join(format!("{camera}.jpg")),
            quality: settings.quality,
            under_way: Mutex::default(),
            written: AtomicBool::new(false),
            losses: Mutex::default(),
            say,
        }
    }

    /// What the frame at `now`, with objects of these labels, is wanted for.
    pub fn decide<'a>(&self, now: Duration, labels: impl Iterator<Item = &'a str>) -> Want {
        let (want, lost) = self.gate.lock().decide(now, labels);
        self.count(lost, false);
        want
    }

    /// To be called when no picture follows; returns how many appearances have none, in total.
    pub fn end(&self) -> u64 {
        let unkept = self.gate.lock().unkept();
        self.count(unkept, true);
        self.losses.lock().count
    }

    fn count(&self, lost: Vec<String>, at_once: bool) {
        let text = {
            let mut losses = self.losses.lock();
            losses.count += lost.len() as u64;
            losses.untold.extend(lost);
            let is_time = at_once || losses.told.is_none_or(|told| told.elapsed() >= Self::TELL);
            if losses.untold.is_empty() || !is_time {
                return;
            }
            losses.told = Some(Instant::now());
            let untold = std::mem::take(&mut losses.untold);
            let more = match untold.len().saturating_sub(Self::NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named: Vec<_> = untold.into_iter().take(Self::NAMED).collect();
            format!(
                "no picture of the appearance of {}{more} could be kept, {} so far: recording failed or couldn't keep up \
                 while it was there",
                named.join(", "),
                losses.count
            )
        };
        (self.say)(&text);
    }

    /// What the picture with this time is wanted for. Earlier ones were dropped on the way.
    fn want_of(&self, time: Option<gst::ClockTime>) -> Option<Want> {
        let mut under_way = self.under_way.lock();
        let place = under_way.iter().position(|(of, _)| *of == time)?;
        let left_out: Vec<_> = under_way.drain(..place).collect();
        let want = under_way.pop_front();
        drop(under_way);
        left_out.iter().for_each(|(_, want)| self.gate.lock().refused(want));
        want.map(|(_, want)| want)
    }

    /// Writes a picture to each path where it's wanted. What could be written is kept if another write failed.
    fn write(&self, want: Want, content: &[u8]) -> io::Result<()> {
        let mut result = Ok(());
        let mut missing = Want::default();
        for class in want.classes {
            match self.store.lock().write(&file_name(&class), content) {
                Ok(_) => self.gate.lock().kept(&Want { last: false, classes: vec![class] }),
                Err(error) => {
                    missing.classes.push(class);
                    result = Err(error);
                }
            }
        }
        if want.last
            && let Err(error) = whole_file::write(&self.last, content)
        {
            missing.last = true;
            result = Err(error);
        }
        self.gate.lock().refused(&missing);
        result
    }
}

impl Output for Pictures {
    fn name(&self) -> &'static str {
        "pictures"
    }

    fn folder(&self) -> PathBuf {
        self.store.lock().folder().to_owned()
    }

    fn elements(&self, _: u32, _: u32) -> String {
        jpeg(self.quality)
    }

    fn connect(self: Arc<Self>, pipeline: &gst::Pipeline) {
        let Some(jpeg) = pipeline.by_name("jpeg") else { return };
        let Some(pad) = jpeg.static_pad("sink") else { return };
        let pictures = Arc::downgrade(&self);
        let sink = jpeg.downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(pictures) = pictures.upgrade() else { return gst::PadProbeReturn::Ok };
            if let Some(buffer) = info.buffer()
                && let Some(want) = pictures.want_of(buffer.pts())
            {
                let written = match buffer.map_readable() {
                    Ok(content) => pictures.write(want, &content),
                    Err(_) => {
                        pictures.gate.lock().refused(&want);
                        Err(io::Error::other("the encoder's memory can't be read"))
                    }
                };
                if written.is_ok() {
                    pictures.written.store(true, Ordering::Release);
                }
                if let (Err(error), Some(sink)) = (written, sink.upgrade()) {
                    let text = format!("a picture can't be written: {error}");
                    gst::element_error!(sink, gst::ResourceError::Write, ("{text}"));
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn hear(&self, _: &gst::StructureRef) -> bool {
        false
    }

    fn begin(&self, time: Option<gst::ClockTime>, want: Want) {
        self.under_way.lock().push_back((time, want));
    }

    fn through(&self) -> bool {
        self.written.swap(false, Ordering::AcqRel)
    }

    fn left_out(&self, want: Want) {
        self.gate.lock().refused(&want);
    }

    fn ended(&self) -> bool {
        // Wants that got no picture.
        let left = std::mem::take(&mut *self.under_way.lock());
        left.iter().for_each(|(_, want)| self.gate.lock().refused(want));
        self.through()
    }
}

/// A label as part of a file name, which may have 255 bytes.
fn file_name(label: &str) -> String {
    label.chars().take(50).map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_names() {
        assert_eq!(file_name("traffic light"), "traffic_light");
        assert_eq!(file_name("../../etc"), ".._.._etc");
        assert_eq!(file_name("Hähnchen"), "Hähnchen");
        assert_eq!(file_name(&"人".repeat(300)).len(), 150);
    }
}
