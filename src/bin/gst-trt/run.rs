//! `gst-trt run`: cameras until SIGTERM or SIGINT. SIGHUP, and a change of the file, have it read again.

use futures_util::StreamExt;
use gio::prelude::*;
use gst::glib;
use gsttensorrt::config::{self, Findings, Loaded, Overrides, Severity};
use gsttensorrt::infer::{Error, ErrorKind};
use gsttensorrt::run::{self, CameraSetup, Options, Outcome, Supervisor};
use gsttensorrt::tensorrt::Library;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::cell::RefCell;
use std::path::PathBuf;
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
}

impl Arguments {
    /// The file as it is now. Says what there is to say of it.
    fn read(&self) -> Result<Loaded, Findings> {
        let loaded = config::load(&self.config, &Overrides::new(&self.set))?;
        for finding in loaded.findings.list.iter().filter(|finding| finding.severity < Severity::Notice) {
            say(&loaded.findings.line(finding));
        }
        Ok(loaded)
    }
}

/// The cameras that the supervisor was told of last.
type Running = Rc<RefCell<Vec<CameraSetup>>>;

/// A change of the file is read this long after the last one of a series: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(300);

/// To the operator: stdout may be for lines of JSON.
fn say(text: &str) {
    eprintln!("gst-trt: {text}");
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let failed = |text: String| Error::new(ErrorKind::Setting, text);
    let loaded = arguments.read().map_err(|findings| failed(format!("the configuration doesn't hold:\n{findings}")))?;
    if let Some(library) = &loaded.plan.tensorrt_library {
        Library::choose(library);
    }
    gsttensorrt::plugin_register_static().map_err(|error| failed(format!("no elements: {error}")))?;
    let cameras = run::cameras(&loaded.plan, &[])?;
    let running: Running = Rc::new(RefCell::new(cameras.clone()));
    let main_loop = glib::MainLoop::new(None, false);
    let outcome = Rc::new(RefCell::new(None));
    let end = {
        let (outcome, main_loop) = (outcome.clone(), main_loop.clone());
        move |how| {
            outcome.replace(Some(how));
            main_loop.quit();
        }
    };
    let options = Options { say: Some(Box::new(say)), ..Options::default() };
    let supervisor = Supervisor::start(cameras, run::patience(&loaded.plan), options, end);
    listen_to_signals(arguments, &supervisor, &running)?;
    let _monitor = watch(arguments, &supervisor, &running);
    if outcome.borrow().is_none() {
        main_loop.run();
    }
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

fn listen_to_signals(arguments: &Arguments, supervisor: &Rc<Supervisor>, running: &Running) -> Result<(), Error> {
    let caught = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("signals can't be caught: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(caught)?;
    let (sender, mut receiver) = futures_channel::mpsc::unbounded();
    // Sleeps until there's one.
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().all(|signal| sender.unbounded_send(signal).is_ok())).map_err(caught)?;
    let (read, supervisor) = (reader(arguments, supervisor, running), Rc::downgrade(supervisor));
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
fn reader(arguments: &Arguments, supervisor: &Rc<Supervisor>, running: &Running) -> impl Fn() + use<> {
    let arguments = Arguments { config: arguments.config.clone(), set: arguments.set.clone() };
    let (supervisor, running) = (Rc::downgrade(supervisor), running.clone());
    move || {
        let Some(supervisor) = supervisor.upgrade() else { return };
        let cameras = arguments.read().map_err(|findings| findings.to_string()).and_then(|loaded| {
            Ok((run::cameras(&loaded.plan, &running.borrow()).map_err(|error| error.to_string())?, loaded))
        });
        match cameras {
            Ok((cameras, loaded)) => {
                say(&format!("{} read again", arguments.config.display()));
                running.replace(cameras.clone());
                supervisor.apply(cameras, run::patience(&loaded.plan));
            }
            Err(text) => say(&format!("{} stays without effect:\n{text}", arguments.config.display())),
        }
    }
}

/// Reads the file again when it has changed.
fn watch(arguments: &Arguments, supervisor: &Rc<Supervisor>, running: &Running) -> Option<gio::FileMonitor> {
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
    let read = Rc::new(reader(arguments, supervisor, running));
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
