//! The kernels on a GPU compared with the CPU engine, bit for bit, and their times.
//!
//! Needs only a GPU and its driver: no TensorRT, no GStreamer element. `--quick` runs fewer cases and no timing, for
//! compute-sanitizer; `--untimed` runs all cases without timing.
//!
//! Without a GPU it runs itself on the stand-in, with every memory access checked and the threads in a shuffled order:
//! `--brief`, with even fewer cases.

#[path = "../common/mod.rs"]
mod common;
mod detectors;
mod drawing;
mod fills;
mod heads;
mod pictures;
mod speed;

use common::standin::Standin;
use cuda::{self, Context, CudaStream, Kernels};
use gsttensorrt::error::{Error, ErrorKind};
use std::process::ExitCode;
use std::sync::Arc;

/// Number of cases to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Brief,
    Quick,
    All,
}

/// Shared by all parts.
pub struct Gpu {
    pub context: Arc<Context>,
    pub kernels: Arc<Kernels>,
    pub stream: CudaStream,
    pub effort: Effort,
}

/// Cases that were compared, and the differences.
#[derive(Default)]
pub struct Report {
    cases: usize,
    differences: usize,
}

impl Report {
    pub fn case(&mut self, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(difference) = outcome {
            self.differences += 1;
            if self.differences <= 50 {
                println!("DIFFERENT: {name}: {difference}");
            }
        }
    }
}

fn open() -> Result<Gpu, Error> {
    cuda::check_driver()?;
    let context = Context::create(0)?;
    let kernels = Kernels::of(&context)?;
    let stream = CudaStream::new(&context)?;
    let effort = match () {
        () if has_argument("--brief") => Effort::Brief,
        () if has_argument("--quick") => Effort::Quick,
        () => Effort::All,
    };
    Ok(Gpu { context, kernels, stream, effort })
}

fn has_argument(wanted: &str) -> bool {
    std::env::args().any(|argument| argument == wanted)
}

fn run(gpu: &Gpu) -> Result<Report, Error> {
    let mut report = Report::default();
    for (name, part) in [
        ("preprocessing", pictures::run as fn(&Gpu, &mut Report) -> Result<(), Error>),
        ("heads, suppression, results", heads::run),
        ("drawing", drawing::run),
        ("fills in graphs", fills::run),
    ] {
        let before = (report.cases, report.differences);
        part(gpu, &mut report)?;
        let (cases, different) = (report.cases - before.0, report.differences - before.1);
        println!("{name}: {cases} cases, {different} differ");
    }
    if gpu.effort == Effort::All && !has_argument("--untimed") {
        speed::run(gpu)?;
    }
    Ok(report)
}

/// True only for a GPU that works.
fn is_missing(error: &Error) -> bool {
    error.kind == ErrorKind::Library || error.message.starts_with("no NVIDIA GPU")
}

/// Runs this program on the stand-in; skips if it isn't built.
fn run_on_standin() -> ExitCode {
    let Some(standin) = Standin::new() else { return ExitCode::SUCCESS };
    let mut command = standin.command(std::env::current_exe().expect("a path"));
    command.arg("--brief").env("STANDIN_CHECK", "1");
    if std::env::var_os("STANDIN_SEED").is_none() {
        command.env("STANDIN_SEED", "1");
    }
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            println!("FAILED: on the stand-in: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let gpu = match open() {
        Ok(gpu) => gpu,
        Err(error) if is_missing(&error) && !has_argument("--brief") => {
            println!("no GPU here, so on the stand-in: {error}");
            return run_on_standin();
        }
        Err(error) => {
            println!("FAILED: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&gpu) {
        Ok(report) if report.differences == 0 => {
            println!("all {} cases are equal", report.cases);
            ExitCode::SUCCESS
        }
        Ok(report) => {
            println!("FAILED: {} of {} cases differ", report.differences, report.cases);
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
