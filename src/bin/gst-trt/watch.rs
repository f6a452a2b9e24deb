//! Monitoring of `gst-trt run` while it runs: figures, metrics, a profile.

use gsttensorrt::config::{LinesTarget, Plan};
use gsttensorrt::error::Error;
use gsttensorrt::monitor::{Health, OnSample, Options, Print, Profiler, Sample, Watch, set_log_level, socket};
use gsttensorrt::run::Meters;
use gsttensorrt::web::History;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct WatchArguments {
    /// Prints what `gst-trt monitor` shows: a table on a terminal, else JSON Lines; to standard error where standard output
    /// is for objects.
    #[arg(long)]
    monitor: bool,
    /// Serves metrics for Prometheus there, for example 127.0.0.1:9464 [default: the configuration's METRICS]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Writes a profile there at the end, as JSON, and to standard error as a table: the time in each element, the CPU of
    /// each thread.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Watches until dropped.
pub struct Watching {
    watch: Arc<Watch>,
    profile: Option<(Profiler, PathBuf)>,
}

impl Watching {
    /// Starts monitoring. `history` gets what is measured; `say` takes lines for the operator.
    ///
    /// # Errors
    /// The metrics' address can't be bound.
    pub fn start(
        arguments: &WatchArguments,
        plan: &Plan,
        meters: &Meters,
        history: Option<History>,
        health: Health,
        say: impl Fn(&str),
    ) -> Result<Self, Error> {
        set_log_level(plan.monitoring.log_level.gst());
        let objects_on_stdout = plan.cameras.iter().any(|camera| camera.outputs.lines.contains(&LinesTarget::Stdout));
        let options = Options {
            every: plan.monitoring.every,
            cpu_warning: plan.monitoring.cpu_warning,
            on_sample: history.map(|history| Box::new(move |sample: &Sample| history.add(sample)) as Box<OnSample>),
            print: arguments.monitor.then(|| printer(objects_on_stdout)),
            metrics: arguments.metrics.or(plan.monitoring.metrics),
            health,
            socket: Some(socket::folder()),
        };
        let meters = meters.clone();
        let watch = Watch::start(Arc::new(move || meters.snapshots()), options)?;
        if let Some(address) = watch.metrics() {
            say(&format!("metrics at http://{address}/metrics"));
        }
        if let Some(reason) = watch.no_socket() {
            say(reason);
        }
        let profile = arguments.profile.clone().map(|path| (Profiler::default(), path));
        Ok(Self { watch: Arc::new(watch), profile })
    }

    /// Returns the last sample, while this watches.
    pub fn last(&self) -> impl Fn() -> Option<Sample> + use<> {
        let watch = Arc::downgrade(&self.watch);
        move || watch.upgrade()?.last()
    }

    /// The profiler, if one is requested, to attach to each pipeline before it starts.
    pub fn profiler(&self) -> Option<Profiler> {
        self.profile.as_ref().map(|(profiler, _)| profiler.clone())
    }

    /// Writes the profile. `say` takes lines for the operator.
    pub fn finish(self, say: impl Fn(&str)) {
        let Some((profiler, path)) = self.profile else { return };
        err!("{}", profiler.report());
        if let Err(error) = profiler.write(&path) {
            say(&format!("the profile can't be written to {}: {error}", path.display()));
        }
    }
}

fn printer(to_stderr: bool) -> (Print, Box<dyn Write + Send>) {
    let format = |terminal: bool| if terminal { Print::Table } else { Print::JsonLines };
    if to_stderr {
        (format(io::stderr().is_terminal()), Box::new(io::stderr()))
    } else {
        (format(io::stdout().is_terminal()), Box::new(io::stdout()))
    }
}
