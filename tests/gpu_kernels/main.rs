//! The kernels on a GPU against the CPU engine, bit for bit, and how long they take.
//!
//! Needs a GPU and its driver, nothing else: no TensorRT, no GStreamer element. `--quick` does fewer cases and no timing,
//! for running under compute-sanitizer. Without a GPU it says that it was skipped.

mod drawing;
mod heads;
mod pictures;
mod random;
mod speed;

use gsttensorrt::cuda::{self, Context, Kernels, Stream};
use gsttensorrt::infer::{Error, ErrorKind};
use std::process::ExitCode;
use std::sync::Arc;

/// What every part works with.
pub struct Gpu {
    pub context: Arc<Context>,
    pub kernels: Arc<Kernels>,
    pub stream: Stream,
    pub quick: bool,
}

/// Cases that were compared, and what differed.
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
    let kernels = Kernels::load(&context)?;
    let stream = Stream::new(&context)?;
    Ok(Gpu { context, kernels, stream, quick: std::env::args().any(|argument| argument == "--quick") })
}

fn run(gpu: &Gpu) -> Result<Report, Error> {
    let mut report = Report::default();
    for (name, part) in [
        ("preprocessing", pictures::run as fn(&Gpu, &mut Report) -> Result<(), Error>),
        ("heads, suppression, results", heads::run),
        ("drawing", drawing::run),
    ] {
        let before = (report.cases, report.differences);
        part(gpu, &mut report)?;
        let (cases, different) = (report.cases - before.0, report.differences - before.1);
        println!("{name}: {cases} cases, {different} differ from the CPU engine");
    }
    if !gpu.quick {
        speed::run(gpu)?;
    }
    Ok(report)
}

fn main() -> ExitCode {
    let gpu = match open() {
        Ok(gpu) => gpu,
        Err(error) if error.kind == ErrorKind::Library || error.message.starts_with("no NVIDIA GPU") => {
            println!("skipped: gpu_kernels needs a GPU: {error}");
            return ExitCode::SUCCESS;
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
