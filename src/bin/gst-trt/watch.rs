//! Monitoring of `gst-trt run` while it runs: figures, metrics, a profile.

use gsttensorrt::config::{LinesTarget, Plan};
use gsttensorrt::error::Error;
use gsttensorrt::monitor::metrics::Server;
use gsttensorrt::monitor::{Board, Health, OnSample, Options, Print, Profiler, Sample, Watch, set_log_level, socket};
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

/// Answers probes before anything is watched, where the command line says at which address.
pub struct Serving {
    board: Board,
    server: Option<Server>,
}

impl Serving {
    /// `say` takes lines for the operator.
    ///
    /// # Errors
    /// The metrics' address can't be bound.
    pub fn start(
        arguments: &WatchArguments,
        meters: &Meters,
        health: Health,
        say: impl Fn(&str),
    ) -> Result<Self, Error> {
        let meters = meters.clone();
        let mut this = Self { board: Board::new(Arc::new(move || meters.snapshots()), health), server: None };
        if let Some(address) = arguments.metrics {
            this.serve(address, say)?;
        }
        Ok(this)
    }

    fn serve(&mut self, address: SocketAddr, say: impl Fn(&str)) -> Result<(), Error> {
        let server = self.board.serve(address)?;
        say(&format!("metrics at http://{}/metrics", server.address()));
        self.server = Some(server);
        Ok(())
    }

    /// Watches as the plan says. `history` gets what is measured; `say` takes lines for the operator.
    ///
    /// # Errors
    /// The metrics' address can't be bound.
    pub fn watch(
        mut self,
        arguments: &WatchArguments,
        plan: &Plan,
        history: Option<History>,
        say: impl Fn(&str),
    ) -> Result<Watching, Error> {
        set_log_level(plan.monitoring.log_level.gst());
        if let (None, Some(address)) = (&self.server, plan.monitoring.metrics) {
            self.serve(address, &say)?;
        }
        let objects_on_stdout = plan.cameras.iter().any(|camera| camera.outputs.lines.contains(&LinesTarget::Stdout));
        let options = Options {
            every: plan.monitoring.every,
            cpu_warning: plan.monitoring.cpu_warning,
            on_sample: history.map(|history| Box::new(move |sample: &Sample| history.add(sample)) as Box<OnSample>),
            print: arguments.monitor.then(|| printer(objects_on_stdout)),
            socket: Some(socket::folder()),
        };
        let watch = Watch::start(&self.board, options)?;
        if let Some(reason) = watch.no_socket() {
            say(reason);
        }
        let profile = arguments.profile.clone().map(|path| (Profiler::default(), path));
        Ok(Watching { _server: self.server, board: self.board, _watch: watch, profile })
    }
}

/// Watches until dropped.
pub struct Watching {
    _server: Option<Server>,
    board: Board,
    _watch: Watch,
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
        Serving::start(arguments, meters, health, &say)?.watch(arguments, plan, history, say)
    }

    /// Returns the last sample.
    pub fn last(&self) -> impl Fn() -> Option<Sample> + use<> {
        let board = self.board.clone();
        move || board.last()
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
