//! `gst-trt bench`: how fast this machine runs a model on a clip, with the upper bound beside each figure.

mod clock;
mod held;
mod machine;
mod meter;
mod plan;
mod plot;
mod report;
mod run;
mod stream;
mod table;
mod verdict;

use crate::reading::ReadingArguments;
use gsttensorrt::error::{self, ErrorKind};
use gsttensorrt::infer::Backend;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args, Debug, Clone)]
pub struct Arguments {
    /// Where models run: tensorrt or cpu
    #[arg(long, default_value = "tensorrt", value_parser = backend)]
    backend: Backend,
    /// The detector
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    reading: ReadingArguments,
    /// A pose model, for the rows with detection and pose
    #[arg(long)]
    pose_model: Option<PathBuf>,
    /// MP4 with H.264; it's looped
    #[arg(long)]
    clip: PathBuf,
    /// The clip of the rows at its own frame rate, best without B-frames [default: that of --clip]
    #[arg(long)]
    latency_clip: Option<PathBuf>,
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_value = "1,4,8,16")]
    streams: Vec<usize>,
    /// Seconds measured a row, and seconds before that
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Pairs of runs that compare the process with one that only decodes
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Most images a batch
    #[arg(long, default_value_t = 16)]
    batch_size: u32,
    /// Milliseconds that a frame waits for those of other streams (`batch-timeout`)
    #[arg(long, value_name = "MS", default_value = "0", value_parser = milliseconds)]
    batch_timeout: Duration,
    /// The GPU, counted after CUDA_VISIBLE_DEVICES
    #[arg(long, default_value_t = 0)]
    device: u32,
    /// Folder of engines [default: the user's cache]
    #[arg(long)]
    engine_cache: Option<PathBuf>,
    /// Parts to measure: throughput, pose, worst, decode, latency, cpu, tracking, held [default: all that apply but held]
    #[arg(long, value_delimiter = ',')]
    only: Vec<plan::Part>,
    /// Frames that each model skips after one, for the part `held`
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,4")]
    intervals: Vec<u32>,
    /// Seconds for which cameras have to be held
    #[arg(long, default_value_t = 60.0)]
    held_seconds: f64,
    /// Another system's frames per second and CPU milliseconds a frame with detection and pose on the same clip, for example
    /// 134,75
    #[arg(long, value_parser = peer)]
    peer: Option<report::Peer>,
    /// Writes JSON to a file, or without one to standard output in place of the table
    #[arg(long, num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Writes a picture of frames per second by streams: an SVG file
    #[arg(long)]
    plot: Option<PathBuf>,
}

pub fn backend(text: &str) -> Result<Backend, String> {
    match text {
        "tensorrt" => Ok(Backend::TensorRt),
        "cpu" => Ok(Backend::Cpu),
        _ => Err("tensorrt or cpu".into()),
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|ms: f64| Duration::try_from_secs_f64(ms / 1000.0).ok());
    time.ok_or_else(|| "milliseconds, at least 0".into())
}

fn peer(text: &str) -> Result<report::Peer, String> {
    let parts = text.split_once(',').and_then(|(fps, cpu)| Some((fps.trim().parse().ok()?, cpu.trim().parse().ok()?)));
    match parts {
        Some((fps, cpu_ms)) if fps > 0.0 && cpu_ms > 0.0 => Ok(report::Peer { fps, cpu_ms }),
        _ => Err("FPS,CPU_MILLISECONDS, for example 134,75".into()),
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, error::Error> {
    check(arguments)?;
    // Register before any element is created: elements and this program must use the same copy of the crate to share
    // models.
    gsttensorrt::register_elements().map_err(|error| failed(format!("the plugin can't be registered: {error}")))?;
    meter::register().map_err(|error| failed(format!("the meter element can't be registered: {error}")))?;
    let report = plan::measure(arguments)?;
    let json = || serde_json::to_string_pretty(&report).map_err(|error| failed(error.to_string()));
    match &arguments.json {
        Some(file) if file.as_os_str() == "-" => outln!("{}", json()?),
        Some(file) => {
            write(file, &json()?)?;
            out!("{}", table::table(&report));
        }
        None => out!("{}", table::table(&report)),
    }
    if let Some(file) = &arguments.plot {
        write(file, &plot::svg(&report))?;
    }
    Ok(if report.rows.iter().any(|row| row.error.is_some()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check(arguments: &Arguments) -> Result<(), error::Error> {
    let setting = |text: String| Err(error::Error::new(ErrorKind::Setting, text));
    let files = [Some(&arguments.model), arguments.pose_model.as_ref(), Some(&arguments.clip)];
    for file in files.into_iter().flatten().chain(&arguments.latency_clip) {
        if !file.is_file() {
            return setting(format!("{}: there is no such file", file.display()));
        }
    }
    if arguments.streams.is_empty() || arguments.streams.contains(&0) {
        return setting("--streams: numbers from 1 on, for example 1,4,8".into());
    }
    let times = [arguments.seconds, arguments.held_seconds, arguments.warm_up];
    let too_short = arguments.seconds <= 0.0 || arguments.held_seconds <= 0.0;
    if times.iter().any(|time| Duration::try_from_secs_f64(*time).is_err()) || too_short {
        return setting("--seconds, --held-seconds and --warm-up: seconds, the first two more than 0".into());
    }
    Ok(())
}

fn write(file: &std::path::Path, text: &str) -> Result<(), error::Error> {
    std::fs::write(file, text)
        .map_err(|error| error::Error::new(ErrorKind::File, format!("{} can't be written: {error}", file.display())))
}

fn failed(text: String) -> error::Error {
    error::Error::new(ErrorKind::Failed, text)
}
