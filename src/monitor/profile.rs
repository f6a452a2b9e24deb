//! Profiles a pipeline: how long frames stay in each element, and how much CPU each thread takes.

use super::columns::{columns, lines};
use crate::infer::Latencies;
use gst::prelude::*;
use parking_lot::Mutex;
use procfs::process::Process;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Watches every pad of the pipelines that it's attached to. That costs a microsecond or two per frame and element.
#[derive(Clone)]
pub struct Profiler(Arc<Inner>);

struct Inner {
    start: Instant,
    cpu: Duration,
    stages: Mutex<BTreeMap<Key, Arc<Mutex<Watched>>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pipeline: String,
    /// The order in which elements were found.
    order: usize,
    element: String,
}

#[derive(Default)]
struct Watched {
    /// When buffers came in that haven't left yet, by PTS.
    inside: VecDeque<(Option<gst::ClockTime>, Instant)>,
    came: u64,
    went: u64,
    times: Latencies,
    sum: Duration,
}

/// The results.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Duration of the profile, seconds.
    pub seconds: f64,
    /// CPU time of the process in that time, seconds of a core.
    pub cpu_seconds: f64,
    /// The elements by pipeline, in their order.
    pub stages: Vec<Stage>,
    /// The current threads, grouped by name; most CPU first.
    pub threads: Vec<Thread>,
}

/// An element.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    pub pipeline: String,
    pub element: String,
    /// Buffers that came in and went out.
    pub came: u64,
    pub went: u64,
    /// The time from the sink pad to the source pad, milliseconds: work and waiting, without the elements after it.
    /// `None` for elements without such a path, and where nothing went through.
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

/// Threads of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thread {
    pub name: String,
    pub count: u32,
    /// CPU time since they began, seconds.
    pub cpu_seconds: f64,
}

impl Default for Profiler {
    fn default() -> Self {
        Self(Arc::new(Inner { start: Instant::now(), cpu: super::process_cpu(), stages: Mutex::default() }))
    }
}

impl Profiler {
    /// The most elements over all pipelines; others aren't watched.
    const MOST: usize = 4096;

    /// Watches the elements in `bin`, and those added later, under the name `pipeline`.
    pub fn attach(&self, bin: &gst::Bin, pipeline: &str) {
        let mut elements: Vec<gst::Element> = bin.iterate_recurse().into_iter().flatten().collect();
        // The iterator returns the element that was added last first.
        elements.reverse();
        for element in elements {
            self.watch(&element, pipeline);
        }
        let (this, name) = (Arc::downgrade(&self.0), pipeline.to_owned());
        bin.connect_deep_element_added(move |_, _, element| {
            if let Some(inner) = this.upgrade() {
                Self(inner).watch(element, &name);
            }
        });
    }

    fn watch(&self, element: &gst::Element, pipeline: &str) {
        if element.is::<gst::Bin>() {
            return;
        }
        let watched = {
            let mut stages = self.0.stages.lock();
            let order = stages.len();
            if order >= Self::MOST {
                return;
            }
            let key = Key { pipeline: pipeline.to_owned(), order, element: element.name().into() };
            stages.entry(key).or_default().clone()
        };
        for pad in element.pads() {
            probe(&pad, &watched);
        }
        element.connect_pad_added(move |_, pad| probe(pad, &watched));
    }

    pub fn report(&self) -> Profile {
        let stages = self.0.stages.lock();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let stages = stages
            .iter()
            .map(|(key, watched)| {
                let watched = watched.lock();
                let p = (!watched.times.is_empty()).then(|| watched.times.percentiles());
                Stage {
                    pipeline: key.pipeline.clone(),
                    element: key.element.clone(),
                    came: watched.came,
                    went: watched.went,
                    mean: p.map(|_| milliseconds(watched.sum) / watched.times.len() as f64),
                    p50: p.map(|p| milliseconds(p.p50)),
                    p95: p.map(|p| milliseconds(p.p95)),
                    p99: p.map(|p| milliseconds(p.p99)),
                }
            })
            .collect();
        Profile {
            seconds: self.0.start.elapsed().as_secs_f64(),
            cpu_seconds: super::process_cpu().saturating_sub(self.0.cpu).as_secs_f64(),
            stages,
            threads: threads(),
        }
    }

    /// Writes the report as JSON to `path`.
    ///
    /// # Errors
    /// From the system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, serde_json::to_vec_pretty(&self.report())?)
    }
}

/// Records the buffers that pass a pad.
fn probe(pad: &gst::Pad, watched: &Arc<Mutex<Watched>>) {
    let comes = pad.direction() == gst::PadDirection::Sink;
    let watched = watched.clone();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let now = Instant::now();
        let mut watched = watched.lock();
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => watched.pass(comes, buffer.pts(), now),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.iter().for_each(|buffer| watched.pass(comes, buffer.pts(), now));
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

impl Watched {
    /// The most buffers that are tracked in an element; a bound for elements that keep some.
    const MOST_INSIDE: usize = 256;

    fn pass(&mut self, comes: bool, pts: Option<gst::ClockTime>, now: Instant) {
        if comes {
            self.came += 1;
            if self.inside.len() >= Self::MOST_INSIDE {
                self.inside.pop_front();
            }
            self.inside.push_back((pts, now));
            return;
        }
        self.went += 1;
        // Several buffers may leave for one that came, and one may leave by several pads: take the last that came in
        // with that time.
        let Some(at) = self.inside.iter().rposition(|(came, _)| *came == pts) else { return };
        if let Some((_, came)) = self.inside.get(at) {
            let time = now.saturating_duration_since(*came);
            self.times.record(time);
            self.sum += time;
        }
        // Decoders reorder frames, so only this one has left.
        self.inside.remove(at);
    }
}

/// The threads grouped by name, most CPU first.
fn threads() -> Vec<Thread> {
    let mut found: HashMap<String, (u32, u64)> = HashMap::new();
    for task in Process::myself().and_then(|process| process.tasks()).into_iter().flatten().flatten() {
        // The thread may have ended meanwhile.
        let Ok(stat) = task.stat() else { continue };
        let sum = found.entry(stat.comm).or_default();
        *sum = (sum.0 + 1, sum.1 + stat.utime + stat.stime);
    }
    let per_second = procfs::ticks_per_second() as f64;
    let mut threads: Vec<_> = found
        .into_iter()
        .map(|(name, (count, ticks))| Thread { name, count, cpu_seconds: ticks as f64 / per_second })
        .collect();
    threads.sort_by(|a, b| b.cpu_seconds.total_cmp(&a.cpu_seconds).then_with(|| a.name.cmp(&b.name)));
    threads
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.1} s, {:.2} s of CPU ({:.2} cores)",
            self.seconds,
            self.cpu_seconds,
            self.cpu_seconds / self.seconds
        )?;
        for stages in self.stages.chunk_by(|one, next| one.pipeline == next.pipeline) {
            let pipeline = stages.first().map_or("", |stage| stage.pipeline.as_str());
            let mut table = columns(
                1,
                &[(pipeline, 32), ("BUFFERS", 9), ("MEAN ms", 9), ("P50 ms", 9), ("P95 ms", 9), ("P99 ms", 9)],
            );
            for stage in stages {
                let [mean, p50, p95, p99] = [stage.mean, stage.p50, stage.p95, stage.p99]
                    .map(|value| value.map_or("-".into(), |value| format!("{value:.3}")));
                let buffers = stage.went.max(stage.came).to_string();
                table.add_row([format!("  {}", stage.element), buffers, mean, p50, p95, p99]);
            }
            writeln!(f)?;
            lines(&table).try_for_each(|line| writeln!(f, "{line}"))?;
        }
        let mut table = columns(1, &[("THREADS", 32), ("COUNT", 9), ("CPU s", 9)]);
        for thread in &self.threads {
            let (count, seconds) = (thread.count.to_string(), format!("{:.2}", thread.cpu_seconds));
            table.add_row([format!("  {}", thread.name), count, seconds]);
        }
        writeln!(f)?;
        lines(&table).try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_found() {
        assert!(threads().iter().any(|thread| thread.count > 0));
    }

    #[test]
    fn each_element_has_its_own_time() {
        gst::init().unwrap();
        let launch = "videotestsrc num-buffers=10 ! video/x-raw,width=64,height=64 ! identity name=slow sleep-time=20000 ! \
                      identity name=fast ! fakesink name=end";
        let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        let profiler = Profiler::default();
        profiler.attach(pipeline.upcast_ref(), "test");
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Eos]).expect("it ends");
        pipeline.set_state(gst::State::Null).unwrap();
        let profile = profiler.report();
        let stage = |name: &str| profile.stages.iter().find(|stage| stage.element == name).unwrap();
        assert_eq!((stage("slow").came, stage("slow").went, stage("end").came), (10, 10, 10));
        assert!(stage("slow").p50.unwrap() >= 19.0, "{profile}");
        assert!(stage("fast").p50.unwrap() < 10.0, "{profile}");
        assert_eq!(stage("end").mean, None);
        let order: Vec<_> = profile.stages.iter().map(|stage| stage.element.as_str()).collect();
        assert!(
            order.iter().position(|name| *name == "slow") < order.iter().position(|name| *name == "fast"),
            "{order:?}"
        );
        let text = profile.to_string();
        assert!(text.contains("slow") && text.contains("THREADS"), "{text}");
    }
}
