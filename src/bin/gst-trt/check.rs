//! `gst-trt check`: checks the GPU side of the machine, and whether a configuration can run here.

use gsttensorrt::check::{self, Check, Probe, Request, Verdict};
use gsttensorrt::config::{self, Finding, Findings, Overrides, Pipeline, Plan, Severity};
use gsttensorrt::error;
use serde::Serialize;
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

#[derive(Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ConfigReport>,
}

#[derive(Serialize)]
struct ConfigReport {
    file: PathBuf,
    /// `gpu` or `cpu`; null: the file doesn't say.
    pipeline: Option<&'static str>,
    /// Names.
    cameras: Vec<String>,
    findings: Vec<Finding>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, error::Error> {
    let report = match &arguments.config {
        None => machine_report(arguments),
        Some(file) => {
            let (plan, findings) = match config::load(file, &Overrides::new(&arguments.set)) {
                Ok(loaded) => (Some(loaded.plan), loaded.findings),
                Err(findings) => (None, findings),
            };
            if !arguments.json {
                print_findings(&findings);
            }
            config_report(arguments, plan.as_ref(), findings)
        }
    };
    let ok = report.ok;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.map_err(|error| error::Error::new(error::ErrorKind::Failed, error.to_string()))?);
    } else {
        report.checks.iter().for_each(print);
        println!("{}", summary(&report));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn machine_report(arguments: &Arguments) -> Report {
    let checks = check::machine(arguments.library.as_deref());
    Report { ok: nothing_is_missing(&checks), checks, config: None }
}

fn config_report(arguments: &Arguments, plan: Option<&Plan>, findings: Findings) -> Report {
    let mut checks = Vec::new();
    let library = arguments.library.as_deref().or(plan.and_then(|plan| plan.tensorrt_library.as_deref()));
    // The CPU pipeline doesn't depend on the GPU.
    if findings.pipeline == Some(Pipeline::UnifiedGpu) {
        checks.extend(check::machine(library));
    }
    if let Some(plan) = plan {
        let ask: &Probe = &check::ask_camera;
        let probe = (!arguments.no_probe).then_some(ask);
        checks.extend(check::plan(plan, &Request { probe, library, config: &findings.file }));
    }
    let config = ConfigReport {
        pipeline: findings.pipeline.map(|pipeline| match pipeline {
            Pipeline::UnifiedGpu => "gpu",
            Pipeline::Cpu => "cpu",
        }),
        cameras: plan.iter().flat_map(|plan| &plan.cameras).map(|camera| camera.name.clone()).collect(),
        file: findings.file,
        findings: findings.list,
    };
    Report { ok: plan.is_some() && nothing_is_missing(&checks), checks, config: Some(config) }
}

fn nothing_is_missing(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.verdict != Verdict::Missing)
}

fn print_findings(findings: &Findings) {
    if !findings.list.is_empty() {
        println!("{findings}");
    }
}

fn print(check: &Check) {
    let mark = match check.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
        Verdict::Unknown => "unknown",
    };
    println!("{mark}  {}: {}", check.name, check.found);
    if let Some(remedy) = &check.remedy {
        println!("         {remedy}");
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
