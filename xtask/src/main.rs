//! The project's tasks: `cargo xtask help` lists them.
//!
//! It is pure Rust and small, because it is the first thing that is built on a machine where nothing is installed yet.

mod book;
mod bundle;
mod check;
mod command;
mod demo;
mod deploy;
mod dist;
mod exports;
mod fuzz;
mod kafka;
mod manifest;
mod models;
mod outcome;
mod package;
mod paths;
mod pictures;
mod plugin;
mod programs;
mod ptx;
mod python;
mod roots;
mod scripts;
mod soak;
mod standin;
mod summary;
mod system;
mod tensorrt;
mod times;
mod tools;

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

use crate::paths::Paths;
use crate::roots::Root;
use crate::system::Purpose;
use crate::times::Times;

const HELP: &str = "\
Usage: cargo xtask TASK

  setup [--tensorrt]    install what is missing: system packages, ONNX Runtime, the models that need no conversion, the
                        sample clip, and the tests' requirements; with --tensorrt also TensorRT for a machine with a GPU
                        (1.1 GB, through Maven)
  demo [--backend cpu|tensorrt] [--clip FILE]
                        detection and pose over a video, into demo-output/
  test                  format, lints, build, documentation, every test; sets up first
  soak                  the long-running checks, as a table
  roots [--tests]       make Debian roots with GStreamer 1.26 (trixie) and 1.28 (forky), as root; with --tests also run
                        those tests there that `test` runs
  roots [NAME] -- COMMAND
                        run a command with the plugin in both roots or in the named one
  dist [--test] [SUITE...]
                        packages for bookworm, trixie and noble or for the named suites, an archive for other systems, the
                        bill of materials and check sums, in target/dist; as root on Debian 12. --test also installs each
                        package in a bare root of its suite, and compiles the crates as they would be published
  gpu-bundle [--gstreamer VERSION]...
                        pack plugin, GStreamer, GPU tests and clips for a machine with a GPU and no network; with 1.26 or
                        1.28 also a root with that GStreamer, which needs to be root
  standin [-- COMMAND]  build the stand-in GPU, and run a command on it with the plugin
  image                 lint the Containerfile, build the image for the CPU on bases that debootstrap makes, and run it; as root,
                        with buildah
  chart [--check]       lint the Helm chart and render it to deploy/helm/rendered, or compare; compiles helm once, with Go
  models [NAME...]      list the models, or fetch the named ones; `all` fetches all
  ptx [--check]         compile the CUDA kernels, or check that the committed PTX matches their sources
  export-models         export the detectors of tests/reference/exports anew (5 GB of Python packages)
  pictures              draw the pictures of docs/models anew
  book                  make HTML of docs/ with mdBook, in target/book
  page                  put the version of lit-html that models/models.toml names into src/web/page/vendor
  help                  print this text

Environment:
  XDG_CACHE_HOME        gst-tensorrt/ in it holds downloads and converted models (default ~/.cache)
  XDG_DATA_HOME         gst-tensorrt/lib/ in it holds ONNX Runtime and TensorRT (default ~/.local/share)
  DEBIAN_MIRROR         the mirror for the roots of other GStreamers (default: the one that apt uses)
  PYTHON                the Python for pip downloads, conversion and tests (default /usr/bin/python3)
";

enum Task {
    Help,
    Setup { tensorrt: bool },
    Demo(demo::Options),
    Test,
    Soak,
    Dist { suites: Vec<&'static dist::Suite>, test: bool },
    GpuBundle(Vec<Root>),
    Roots(Option<Root>, Vec<OsString>),
    RootsTests,
    Standin(Vec<OsString>),
    Image,
    Chart { check: bool },
    Models(Vec<String>),
    Ptx { check: bool },
    ExportModels,
    Pictures,
    Book,
    Page,
}

fn parse() -> Result<Task> {
    let mut args = lexopt::Parser::from_env();
    let mut words: Vec<String> = Vec::new();
    let mut command: Vec<OsString> = Vec::new();
    let mut options = demo::Options::default();
    let mut demo_only = None;
    let mut check = false;
    let mut tensorrt = false;
    let mut gstreamers = Vec::new();
    let (mut tests, mut test) = (false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Value(word) if words == ["roots"] && Root::named(&word.to_string_lossy()).is_some() => {
                words.push(word.string()?);
            }
            Value(word) if words.first().is_some_and(|task| task == "standin" || task == "roots") => {
                // The remaining words belong to the command.
                command.push(word);
                command.extend(args.raw_args()?);
            }
            Value(word) => words.push(word.string()?),
            Short('h') | Long("help") => return Ok(Task::Help),
            Long("backend") => (options.backend, demo_only) = (args.value()?.string()?, Some("--backend")),
            Long("clip") => (options.clip, demo_only) = (Some(args.value()?.into()), Some("--clip")),
            Long("check") => check = true,
            Long("tensorrt") => tensorrt = true,
            Long("tests") => tests = true,
            Long("test") => test = true,
            Long("gstreamer") => {
                let version = args.value()?.string()?;
                let root = Root::named(&version);
                gstreamers.push(root.with_context(|| format!("--gstreamer {version}: it must be 1.26 or 1.28"))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let Some((task, rest)) = words.split_first() else { return Ok(Task::Help) };
    if let (Some(option), true) = (demo_only, task != "demo") {
        bail!("{option} is an option of demo, not of {task}");
    }
    if check && task != "ptx" && task != "chart" {
        bail!("--check is an option of ptx and chart, not of {task}");
    }
    if tensorrt && task != "setup" {
        bail!("--tensorrt is an option of setup, not of {task}");
    }
    if test && task != "dist" {
        bail!("--test is an option of dist, not of {task}");
    }
    if tests && task != "roots" {
        bail!("--tests is an option of roots, not of {task}");
    }
    if !gstreamers.is_empty() && task != "gpu-bundle" {
        bail!("--gstreamer is an option of gpu-bundle, not of {task}");
    }
    if let (Some(word), true) = (rest.first(), !["models", "roots", "dist"].contains(&task.as_str())) {
        bail!("{task} doesn't take the argument '{word}'");
    }
    Ok(match task.as_str() {
        "help" => Task::Help,
        "setup" => Task::Setup { tensorrt },
        "demo" => Task::Demo(options),
        "test" => Task::Test,
        "soak" => Task::Soak,
        "dist" => Task::Dist { suites: dist::suites(rest)?, test },
        "gpu-bundle" => Task::GpuBundle(gstreamers),
        "roots" if tests => Task::RootsTests,
        "roots" => Task::Roots(rest.first().and_then(|name| Root::named(name)), command),
        "standin" => Task::Standin(command),
        "image" => Task::Image,
        "chart" => Task::Chart { check },
        "ptx" => Task::Ptx { check },
        "models" => Task::Models(rest.to_vec()),
        "export-models" => Task::ExportModels,
        "pictures" => Task::Pictures,
        "book" => Task::Book,
        "page" => Task::Page,
        _ => bail!("unknown task '{task}'\n\n{HELP}"),
    })
}

/// Installs whatever is missing of the requirements of the build, the demo or the tests.
fn setup(paths: &Paths, purpose: Purpose, times: &mut Times) -> Result<()> {
    times.measure("system packages", || system::install(purpose))?;
    let manifest = manifest::Manifest::read(paths)?;
    times.measure("ONNX Runtime", || models::install_library(paths, &manifest))?;
    let (clips, models) = match purpose {
        Purpose::Demo => (vec![demo::CLIP.into()], demo::MODELS.map(String::from).into()),
        Purpose::Test | Purpose::Soak => (manifest.clip.keys().cloned().collect(), manifest.without_conversion()),
    };
    times.measure("sample clip", || models::install_clips(paths, &manifest, &clips))?;
    times.measure("models", || models::install_models(paths, &manifest, &models))?;
    if purpose >= Purpose::Test {
        times.measure("TensorRT for tests", || tensorrt::install_for_tests(paths, &manifest))?;
        times.measure("Kafka", || kafka::install_for_tests(paths))?;
        times.measure("axe-core", || scripts::install_for_tests(paths, &manifest))?;
        times.measure("Python packages", || python::for_tests(paths))?;
        times.measure("tools", || tools::install(paths, &tools::FOR_TESTS))?;
        times.measure("roots", || roots::make_where_possible(paths))?;
    }
    Ok(())
}

fn run() -> Result<()> {
    let task = parse()?;
    let paths = Paths::find()?;
    match task {
        Task::Help => print!("{HELP}"),
        Task::Setup { tensorrt } => {
            let mut times = Times::default();
            setup(&paths, Purpose::Test, &mut times)?;
            if tensorrt {
                times.measure("TensorRT", || tensorrt::install(&paths))?;
            }
            times.print();
        }
        Task::Demo(options) => demo::run_demo(&paths, &options)?,
        Task::Test => check::run_all(&paths)?,
        Task::Roots(root, command) => roots::run_in_roots(&paths, root, &command)?,
        Task::RootsTests => roots::run_tests(&paths)?,
        Task::Standin(command) => standin::run_on(&paths, &command)?,
        Task::Image => {
            system::install(Purpose::Soak)?;
            deploy::build_and_run(&paths)?;
        }
        Task::Chart { check } => deploy::render(&paths, check)?,
        Task::Soak => soak::run_all(&paths)?,
        Task::Dist { suites, test } => dist::run_all(&paths, &suites, test)?,
        Task::GpuBundle(roots) => bundle::run_all(&paths, &roots)?,
        Task::Models(names) => models::run(&paths, &names)?,
        Task::Ptx { check } => ptx::run(&paths, check)?,
        Task::ExportModels => exports::make(&paths)?,
        Task::Pictures => pictures::draw(&paths)?,
        Task::Book => {
            tools::install(&paths, &[tools::BOOK])?;
            book::build(&paths)?;
        }
        Task::Page => scripts::vendor(&paths, &manifest::Manifest::read(&paths)?)?,
    }
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        eprintln!("\nerror: {error:#}");
        std::process::exit(1);
    }
}
