//! `gst-trt check`: checks the GPU side of the machine, and whether a configuration can run here.

use gsttensorrt::check::{self, Check, Probe, Report, Verdict};
use gsttensorrt::config::{self, Findings, Overrides, Severity};
use gsttensorrt::error;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Arguments {
    /// Prints JSON: an object with `ok`, the list `checks` (name, verdict, found, remedy), and with --config the object
    /// `config` (file, pipeline, cameras, and findings with severity, key, value, rule, remedy, origin).
    #[arg(long)]
    json: bool,
    /// A config.json: also checks that it's valid, and that this machine can run it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides a key of the configuration, for example processing.MAX_QUEUE_SIZE=10.
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// Asks no camera what it sends, and measures no decoder.
    #[arg(long, requires = "config")]
    no_probe: bool,
    /// TensorRT's library or its folder [default: $GST_TENSORRT_LIBRARY, then `cargo xtask setup`'s, then the loader's]
    #[arg(long)]
    library: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, error::Error> {
    let report = match &arguments.config {
        None => Report::of_machine(arguments.library.as_deref()),
        Some(file) => {
            let loaded = config::load(file, &Overrides::new(&arguments.set));
            if !arguments.json {
                // What takes longer comes after these.
                print_findings(loaded.as_ref().map_or_else(|findings| findings, |loaded| &loaded.findings));
            }
            let ask: &Probe = &check::ask_camera;
            Report::of_config(loaded, arguments.library.as_deref(), (!arguments.no_probe).then_some(ask))
        }
    };
    let ok = report.ok;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report);
        outln!("{}", text.map_err(|error| error::Error::new(error::ErrorKind::Failed, error.to_string()))?);
    } else {
        report.checks.iter().for_each(print);
        outln!("{}", summary(&report));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_findings(findings: &Findings) {
    if !findings.list.is_empty() {
        outln!("{findings}");
    }
}

fn print(check: &Check) {
    let mark = match check.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
        Verdict::Unknown => "unknown",
    };
    outln!("{mark}  {}: {}", check.name, check.found);
    if let Some(remedy) = &check.remedy {
        outln!("         {remedy}");
    }
}

fn summary(report: &Report) -> String {
    let Some(config) = &report.config else {
        let able = if report.ok { "can run here" } else { "can't run here; backend=cpu can" };
        return format!("backend=tensorrt {able}");
    };
    let count = |severity| config.findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Notice), "notice"),
        (report.checks.iter().filter(|check| check.verdict == Verdict::Missing).count(), "missing"),
    ];
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count > 1 && what != "missing" { "s" } else { "" }))
        .collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let pipeline = match config.pipeline {
        Some("gpu") => " on the unified GPU pipeline",
        Some(_) => " on the CPU pipeline",
        None => "",
    };
    let file = config.file.display();
    if report.ok {
        format!("{file} can run here: {} camera(s){pipeline}{counts}", config.cameras.len())
    } else {
        format!("{file} can't run here{pipeline}{counts}")
    }
}
