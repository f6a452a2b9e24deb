//! `gst-trt run`: runs cameras until SIGTERM or SIGINT. SIGHUP, and a change of the file, make it read the
//! configuration again; SIGHUP also makes outputs open files again that were moved. SIGUSR1 records clips of this moment.
//! With `--fleet` the cameras are those that a fleet gives this host: `host.rs`.

use crate::host;
use crate::watch::{WatchArguments, Watching};
use crate::web::{self, Waiting, WebArguments};
use files::digest::Stamp;
use futures_channel::mpsc::UnboundedReceiver;
use futures_util::StreamExt;
use gio::prelude::*;
use gst::glib;
use gsttensorrt::config::{Findings, Loaded, Plan, Severity};
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::monitor::{Health, set_log_level};
use gsttensorrt::run::{self, CameraSetup, Commands, Meters, Options, Outcome, Supervisor};
use gsttensorrt::web::{CamerasFrom, ConfigFile};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tensorrt::Library;

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "config.json", conflicts_with = "fleet")]
    config: PathBuf,
    /// Overrides a key of the configuration, for example --set processing.MAX_QUEUE_SIZE=10.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Runs the cameras that this fleet gives this host: kafka://BROKER:PORT, or kafkas:// for TLS, with several brokers
    /// separated by commas, and /NAME for a fleet of another name than gst-trt. The account is in KAFKA_USERNAME and
    /// KAFKA_PASSWORD.
    #[arg(long, value_name = "ADDRESS")]
    fleet: Option<String>,
    #[command(flatten)]
    pub host: host::HostArguments,
    #[command(flatten)]
    pub watch: WatchArguments,
    #[command(flatten)]
    pub web: WebArguments,
}

/// Reads the file as it is now, and prints its warnings.
fn read(file: &ConfigFile) -> Result<Loaded, Findings> {
    let loaded = file.load()?;
    for finding in loaded.findings.list.iter().filter(|finding| finding.severity < Severity::Notice) {
        say(&loaded.findings.line(finding));
    }
    Ok(loaded)
}

/// The file is read this long after the last change of a series: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(300);

/// Prints to stderr: stdout may be for lines of JSON.
pub fn say(text: &str) {
    // A closed stderr can't be reported anywhere.
    let _ = writeln!(io::stderr(), "gst-trt: {text}");
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if let Some(address) = &arguments.fleet {
        return host::run(address, arguments);
    }
    let failed = |text: String| Error::new(ErrorKind::Setting, text);
    let file = ConfigFile::new(arguments.config.clone(), arguments.set.clone());
    let web = arguments.web.prepare()?;
    let plan = read(&file).map_err(|findings| failed(format!("the configuration is invalid:\n{findings}")))?.plan;
    prepare(&plan)?;
    let cameras = run::cameras(&plan, |_| None)?;
    let meters = Meters::default();
    let history = web.as_ref().map(|web| web.history.clone());
    let watching = Watching::start(&arguments.watch, &plan, &meters, history, Health::default(), say)?;
    let (reload, reloads) = web::reload();
    let views = web.as_ref().map(|web| web.views.clone());
    let from = CamerasFrom::File(file.clone(), reload);
    let _page = web.map(|web| web.start(meters.clone(), from)).transpose()?;
    let ending = Ending::default();
    let on_pipeline = profiled(&watching);
    // Cameras can be added by the page's API, and the page shows why none runs.
    let stays = views.is_some();
    let options = Options { meters, views, say: Some(Box::new(say)), on_pipeline, stays, ..Options::default() };
    let supervisor = Supervisor::start(cameras, run::patience(&plan), options, ending.callback());
    let mut commands = Commands::start(&supervisor, say);
    commands.apply(&plan.cameras);
    let seen = Seen::default();
    let reader: Reader = Rc::new(reader(&file, &supervisor, commands, &seen));
    answer_reloads(reloads, reader.clone());
    let (read, supervised) = (reader.clone(), Rc::downgrade(&supervisor));
    on_signals(move |signal| match supervised.upgrade() {
        Some(supervisor) if signal == SIGHUP => {
            supervisor.reopen_outputs();
            let _ = read();
        }
        Some(supervisor) if signal == SIGUSR1 => supervisor.record_clips(None, "signal", None),
        Some(supervisor) => {
            say("stopping");
            supervisor.stop();
        }
        None => {}
    })?;
    let _changes = follow(file.path(), &reader, &seen);
    let outcome = ending.wait();
    watching.finish(say);
    Ok(conclude(outcome))
}

/// Chooses the plan's TensorRT, and registers the elements.
pub fn prepare(plan: &Plan) -> Result<(), Error> {
    if let Some(library) = &plan.tensorrt_library {
        Library::choose(library);
    }
    gsttensorrt::register_elements().map_err(|error| Error::new(ErrorKind::Setting, format!("no elements: {error}")))
}

/// How the cameras have ended, for which the main loop is run.
pub struct Ending {
    main_loop: glib::MainLoop,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

impl Default for Ending {
    fn default() -> Self {
        Self { main_loop: glib::MainLoop::new(None, false), outcome: Rc::default() }
    }
}

impl Ending {
    /// What is called at the end.
    pub fn callback(&self) -> impl FnOnce(Outcome) + use<> {
        let (outcome, main_loop) = (self.outcome.clone(), self.main_loop.clone());
        move |how| {
            outcome.replace(Some(how));
            main_loop.quit();
        }
    }

    /// Runs the main loop until the end, which may have come already.
    pub fn wait(&self) -> Option<Outcome> {
        if self.outcome.borrow().is_none() {
            self.main_loop.run();
        }
        self.outcome.take()
    }
}

/// Attaches the profiler to each pipeline, if one is requested.
pub fn profiled(watching: &Watching) -> Option<Box<run::OnPipeline>> {
    let profiler = watching.profiler()?;
    Some(Box::new(move |camera: &CameraSetup, pipeline: &gst::Pipeline| {
        profiler.attach(pipeline.upcast_ref(), &camera.name);
    }))
}

/// Ends the process at once: hung threads would block an orderly exit.
fn leave() -> ! {
    std::process::exit(1)
}

/// Prints the outcome, and returns the exit status.
pub fn conclude(outcome: Option<Outcome>) -> ExitCode {
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

/// Reads the configuration again, and reports it if that fails.
type Reader = Rc<dyn Fn() -> Result<(), String>>;

/// The file as it was when it was last read.
type Seen = Rc<RefCell<Option<Stamp>>>;

/// Calls `handle` on the main context with each signal: SIGTERM and SIGINT to stop, SIGHUP, SIGUSR1.
pub fn on_signals(handle: impl Fn(i32) + 'static) -> Result<(), Error> {
    let caught = |error: io::Error| Error::new(ErrorKind::Failed, format!("signals can't be caught: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(caught)?;
    let (sender, mut receiver) = futures_channel::mpsc::unbounded();
    // This thread sleeps until there is a signal.
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().all(|signal| sender.unbounded_send(signal).is_ok())).map_err(caught)?;
    glib::MainContext::ref_thread_default().spawn_local(async move {
        while let Some(signal) = receiver.next().await {
            handle(signal);
        }
    });
    Ok(())
}

/// Returns a function that reads the file again, and applies it to the supervisor. An invalid file changes nothing.
fn reader(
    source: &ConfigFile,
    supervisor: &Rc<Supervisor>,
    commands: Commands,
    seen: &Seen,
) -> impl Fn() -> Result<(), String> + use<> {
    let (source, supervisor, commands) = (source.clone(), Rc::downgrade(supervisor), RefCell::new(commands));
    let seen = seen.clone();
    move || {
        seen.replace(Stamp::of(source.path()).ok());
        let supervisor = supervisor.upgrade().ok_or("the run has ended")?;
        let file = source.path().display();
        let apply = || -> Result<(), String> {
            let plan = read(&source).map_err(|findings| findings.to_string())?.plan;
            run::check_certificates(&plan).map_err(|error| error.to_string())?;
            let kept = |camera: &str| supervisor.gpu_of(camera);
            let cameras = run::cameras(&plan, kept).map_err(|error| error.to_string())?;
            say(&format!("{file} read again"));
            set_log_level(plan.monitoring.log_level.gst());
            supervisor.apply(cameras, run::patience(&plan));
            commands.borrow_mut().apply(&plan.cameras);
            Ok(())
        };
        apply().inspect_err(|text| say(&format!("{file} wasn't applied:\n{text}")))
    }
}

/// Reads the configuration again when the web page has changed it.
fn answer_reloads(mut reloads: UnboundedReceiver<Waiting>, read: Reader) {
    glib::MainContext::ref_thread_default().spawn_local(async move {
        while let Some(waiting) = reloads.next().await {
            // A client may have gone meanwhile.
            let _ = waiting.send(read());
        }
    });
}

/// Watches the file, and reads it again when it has changed since it was last read: the web page may have changed it.
fn follow(path: &Path, reader: &Reader, seen: &Seen) -> Option<gio::FileMonitor> {
    let file = gio::File::for_path(path);
    // This also detects that the file is replaced by another, as editors do.
    let monitor = match file.monitor_file(gio::FileMonitorFlags::WATCH_MOVES, gio::Cancellable::NONE) {
        Ok(monitor) => monitor,
        Err(error) => {
            say(&format!("{} can't be watched ({error}); SIGHUP has it read again", path.display()));
            return None;
        }
    };
    let (read, seen, path) = (reader.clone(), seen.clone(), path.to_owned());
    let due: Rc<RefCell<Option<glib::JoinHandle<()>>>> = Rc::default();
    monitor.connect_changed(move |_, _, _, event| {
        if matches!(event, gio::FileMonitorEvent::AttributeChanged | gio::FileMonitorEvent::Deleted) {
            return;
        }
        let (read, seen, path) = (read.clone(), seen.clone(), path.clone());
        let later = glib::MainContext::ref_thread_default().spawn_local(async move {
            glib::timeout_future(SETTLE).await;
            let now = Stamp::of(&path).ok();
            if now.is_none() || *seen.borrow() != now {
                let _ = read();
            }
        });
        if let Some(before) = due.replace(Some(later)) {
            before.abort();
        }
    });
    Some(monitor)
}
