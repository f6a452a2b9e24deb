//! `gst-trt monitor`: shows what a running system does, second by second.

use crate::fleet;
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::monitor::{Print, Sample, Sampler, socket};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// Process id of the `gst-trt run` to watch [default: the running one; without one, the machine and its GPUs]
    #[arg(long)]
    pid: Option<u32>,
    /// Watches a fleet instead: its hosts and cameras, as `gst-trt fleet status --watch` with all cameras.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["pid", "machine"])]
    fleet: Option<String>,
    /// Watches the machine and its GPUs only.
    #[arg(long, conflicts_with = "pid")]
    machine: bool,
    /// Seconds between two samples of the machine; a `gst-trt run` has its own.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    every: f64,
    /// Above this CPU usage of the machine, percent, there's a warning; a `gst-trt run` has its own.
    #[arg(long, default_value_t = 15.0)]
    cpu_warning: f64,
    /// Ends after so many samples [default: never]
    #[arg(long)]
    count: Option<usize>,
    /// How samples are printed [default: a table on a terminal, else JSON Lines]
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
    seconds.ok_or_else(|| "0.1 to 60".into())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let print = match arguments.format {
        Some(Format::Table) => Print::Table,
        Some(Format::Json) => Print::JsonLines,
        None if io::stdout().is_terminal() => Print::Table,
        None => Print::JsonLines,
    };
    let most = arguments.count.unwrap_or(usize::MAX);
    if let Some(address) = &arguments.fleet {
        let every = Duration::from_secs_f64(arguments.every);
        return fleet::watch(address, print == Print::JsonLines, true, every, most);
    }
    if let Some((pid, reader)) = connect(arguments)? {
        print_all(print, reader.take(most))?;
        if arguments.count.is_none() {
            errln!("gst-trt run, process {pid}, has ended");
        }
    } else {
        let mut sampler = Sampler::new(arguments.cpu_warning, true);
        let every = Duration::from_secs_f64(arguments.every);
        let samples = std::iter::repeat_with(|| {
            std::thread::sleep(every);
            Ok(sampler.sample(Vec::new()))
        });
        print_all(print, samples.take(most))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects to the process to watch; `None`: only the machine.
fn connect(arguments: &Arguments) -> Result<Option<(u32, socket::Reader)>, Error> {
    if arguments.machine {
        return Ok(None);
    }
    let folder = socket::folder();
    let running = socket::running(&folder);
    let list = || running.iter().map(|(pid, _)| pid.to_string()).collect::<Vec<_>>().join(", ");
    let (pid, path) = match (arguments.pid, &running[..]) {
        (None, []) => {
            errln!("no gst-trt run in {}: watching the machine and its GPUs only", folder.display());
            return Ok(None);
        }
        (None, [one]) => one.clone(),
        (None, _) => {
            let message = format!("several gst-trt run processes are running: choose one with --pid: {}", list());
            return Err(Error::new(ErrorKind::Setting, message));
        }
        (Some(pid), _) => match running.iter().find(|(of, _)| *of == pid) {
            Some(found) => found.clone(),
            None => {
                let others =
                    if running.is_empty() { "none is running".to_owned() } else { format!("running: {}", list()) };
                let message = format!(
                    "process {pid} is no gst-trt run of this user ({} was looked in): {others}",
                    folder.display()
                );
                return Err(Error::new(ErrorKind::Setting, message));
            }
        },
    };
    let reader = socket::Reader::connect(&path);
    let reader =
        reader.map_err(|error| Error::new(ErrorKind::Failed, format!("process {pid} can't be watched: {error}")))?;
    Ok(Some((pid, reader)))
}

fn print_all(print: Print, samples: impl Iterator<Item = io::Result<Sample>>) -> Result<(), Error> {
    for sample in samples {
        let sample =
            sample.map_err(|error| Error::new(ErrorKind::Failed, format!("a sample can't be read: {error}")))?;
        if print.write(&sample, &mut io::stdout().lock()).is_err() {
            // The reader of standard output has closed.
            return Ok(());
        }
    }
    Ok(())
}
