//! `gst-trt run`: cameras until SIGTERM or SIGINT. SIGHUP, and a change of the file, have it read again.

use crate::watch::{WatchArguments, Watching};
use futures_util::StreamExt;
use gio::prelude::*;
use gst::glib;
use gsttensorrt::config::{self, Findings, Loaded, Overrides, Severity};
use gsttensorrt::infer::{Error, ErrorKind};
use gsttensorrt::monitor::set_log_level;
use gsttensorrt::run::{self, CameraSetup, Meters, Options, Outcome, Supervisor};
use gsttensorrt::tensorrt::Library;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
    /// Overrides a key of the configuration, for example --set processing.MAX_QUEUE_SIZE=10.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    watch: WatchArguments,
}

/// The file as it is now. Says what there is to say of it.
fn read(config: &Path, set: &[String]) -> Result<Loaded, Findings> {
    let loaded = config::load(config, &Overrides::new(set))?;
    for finding in loaded.findings.list.iter().filter(|finding| finding.severity < Severity::Notice) {
        say(&loaded.findings.line(finding));
    }
    Ok(loaded)
}

/// A change of the file is read this long after the last one of a series: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(300);

/// To the operator: stdout may be for lines of JSON.
fn say(text: &str) {
    eprintln!("gst-trt: {text}");
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let failed = |text: String| Error::new(ErrorKind::Setting, text);
    let loaded = read(&arguments.config, &arguments.set)
        .map_err(|findings| failed(format!("the configuration doesn't hold:\n{findings}")))?;
    if let Some(library) = &loaded.plan.tensorrt_library {
        Library::choose(library);
    }
    gsttensorrt::plugin_register_static().map_err(|error| failed(format!("no elements: {error}")))?;
    let cameras = run::cameras(&loaded.plan)?;
    let main_loop = glib::MainLoop::new(None, false);
    let outcome = Rc::new(RefCell::new(None));
    let end = {
        let (outcome, main_loop) = (outcome.clone(), main_loop.clone());
        move |how| {
            outcome.replace(Some(how));
            main_loop.quit();
        }
    };
    let meters = Meters::default();
    let watching = Watching::start(&arguments.watch, &loaded.plan, &meters, say)?;
    let on_pipeline = watching.profiler().map(|profiler| {
        let attach = move |camera: &CameraSetup, pipeline: &gst::Pipeline| {
            profiler.attach(pipeline.upcast_ref(), &camera.name);
        };
        Box::new(attach) as Box<dyn Fn(&CameraSetup, &gst::Pipeline)>
    });
    let options = Options { meters, say: Some(Box::new(say)), on_pipeline };
    let supervisor = Supervisor::start(cameras, run::patience(&loaded.plan), options, end);
    listen_to_signals(arguments, &supervisor)?;
    let _file = watch_file(arguments, &supervisor);
    if outcome.borrow().is_none() {
        main_loop.run();
    }
    watching.finish(say);
    let outcome = outcome.take();
    Ok(conclude(outcome))
}

/// Ends the process at once: threads hang, and would hold up an end in order.
fn leave() -> ! {
    std::process::exit(1)
}

/// The exit status, after the last words.
fn conclude(outcome: Option<Outcome>) -> ExitCode {
    match outcome {
        None | Some(Outcome::Stopped) => ExitCode::SUCCESS,
        Some(Outcome::Left(cameras)) => {
            say(&format!("these cameras didn't stop in time: {}", cameras.join(", ")));
            leave()
        }
        Some(Outcome::NothingRuns(reasons)) => {
            say(&format!("no camera can run: {}", reasons.join("; ")));
            ExitCode::FAILURE
        }
        Some(Outcome::GpuFailed(cause)) => {
            say(&format!("the GPU failed, and nothing runs on it any more: {cause}"));
            leave()
        }
    }
}

fn listen_to_signals(arguments: &Arguments, supervisor: &Rc<Supervisor>) -> Result<(), Error> {
    let caught = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("signals can't be caught: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(caught)?;
    let (sender, mut receiver) = futures_channel::mpsc::unbounded();
    // Sleeps until there's one.
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().all(|signal| sender.unbounded_send(signal).is_ok())).map_err(caught)?;
    let (read, supervisor) = (reader(arguments, supervisor), Rc::downgrade(supervisor));
    glib::MainContext::ref_thread_default().spawn_local(async move {
        while let Some(signal) = receiver.next().await {
            match supervisor.upgrade() {
                Some(_) if signal == SIGHUP => read(),
                Some(supervisor) => {
                    say("stopping");
                    supervisor.stop();
                }
                None => return,
            }
        }
    });
    Ok(())
}

/// Reads the file again, and has the supervisor follow it. A file that doesn't hold changes nothing.
fn reader(arguments: &Arguments, supervisor: &Rc<Supervisor>) -> impl Fn() + use<> {
    let (config, set) = (arguments.config.clone(), arguments.set.clone());
    let supervisor = Rc::downgrade(supervisor);
    move || {
        let Some(supervisor) = supervisor.upgrade() else { return };
        let cameras = read(&config, &set)
            .map_err(|findings| findings.to_string())
            .and_then(|loaded| Ok((run::cameras(&loaded.plan).map_err(|error| error.to_string())?, loaded)));
        match cameras {
            Ok((cameras, loaded)) => {
                say(&format!("{} read again", config.display()));
                set_log_level(loaded.plan.monitoring.log_level.gst());
                supervisor.apply(cameras, run::patience(&loaded.plan));
            }
            Err(text) => say(&format!("{} stays without effect:\n{text}", config.display())),
        }
    }
}

/// Reads the file again when it has changed.
fn watch_file(arguments: &Arguments, supervisor: &Rc<Supervisor>) -> Option<gio::FileMonitor> {
    let file = gio::File::for_path(&arguments.config);
    // Also when it's replaced by another of its name, as editors do.
    let monitor = file.monitor_file(gio::FileMonitorFlags::WATCH_MOVES, gio::Cancellable::NONE);
    let monitor = match monitor {
        Ok(monitor) => monitor,
        Err(error) => {
            say(&format!("{} can't be watched ({error}); SIGHUP has it read again", arguments.config.display()));
            return None;
        }
    };
    let read = Rc::new(reader(arguments, supervisor));
    let due: Rc<RefCell<Option<glib::JoinHandle<()>>>> = Rc::default();
    monitor.connect_changed(move |_, _, _, event| {
        if matches!(event, gio::FileMonitorEvent::AttributeChanged | gio::FileMonitorEvent::Deleted) {
            return;
        }
        let read = read.clone();
        let later = glib::MainContext::ref_thread_default().spawn_local(async move {
            glib::timeout_future(SETTLE).await;
            read();
        });
        if let Some(before) = due.replace(Some(later)) {
            before.abort();
        }
    });
    Some(monitor)
}
