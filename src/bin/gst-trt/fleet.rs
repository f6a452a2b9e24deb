//! `gst-trt fleet`: what an operator tells a fleet, and sees of it.

use gsttensorrt::config::{self, Severity};
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::fleet::{self, Applied, Cluster, Overview};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the fleet is.
#[derive(clap::Args)]
struct Place {
    /// The fleet: kafka://BROKER:PORT, or kafkas:// for TLS, with several brokers separated by commas, and /NAME for a fleet of
    /// another name than gst-trt [default: $GST_TRT_BROKERS]. The account is in KAFKA_USERNAME and KAFKA_PASSWORD.
    #[arg(long, value_name = "ADDRESS", visible_alias = "fleet")]
    brokers: Option<String>,
}

impl Place {
    fn cluster(&self) -> Result<Cluster, Error> {
        let variable = || std::env::var("GST_TRT_BROKERS").ok().filter(|text| !text.is_empty());
        let address = self.brokers.clone().or_else(variable);
        let missing = || Error::new(ErrorKind::Setting, "write --brokers kafka://BROKER:PORT, or set GST_TRT_BROKERS");
        Cluster::new(&address.ok_or_else(missing)?)
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Writes the cameras and settings of a config.json that differ from the fleet's; hosts follow while they run.
    Apply {
        /// The configuration. Cameras that it doesn't have are removed. ${NAME} stays, and is filled in by the hosts.
        #[arg(long, default_value = "config.json")]
        config: PathBuf,
        #[command(flatten)]
        place: Place,
        /// Partitions of a new fleet [default: 256]. Each host gets as many as every other, so there should be no more than
        /// cameras, and at least as many as hosts; the number can't be changed later.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..=10_000))]
        partitions: Option<i32>,
        /// Moves cameras from fuller partitions to emptier ones, after many were removed; those are dark for a moment.
        #[arg(long)]
        respread: bool,
        /// Prints what was written as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the cameras, with the host that runs each.
    List {
        #[command(flatten)]
        place: Place,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows the hosts, and the cameras that don't run.
    Status {
        #[command(flatten)]
        place: Place,
        /// Prints JSON: an object with the lists `hosts` and `cameras`; with --watch one a line.
        #[arg(long)]
        json: bool,
        /// Shows it again every second.
        #[arg(long)]
        watch: bool,
    },
    /// Has a host give its cameras to the others at once, and take none until its process is restarted.
    Drain {
        host: String,
        #[command(flatten)]
        place: Place,
        /// Seconds to wait until the host has given its cameras away; 0: doesn't wait.
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        wait: u64,
    },
    /// Removes cameras.
    Remove {
        #[arg(required = true)]
        cameras: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Lets hosts try cameras again that are in quarantine.
    Release {
        #[arg(required = true)]
        cameras: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.command {
        Command::Apply { config, place, partitions, respread, json } => {
            let applied = apply(config, place, *partitions, *respread)?;
            if *json { print_json(&Report::from(&applied))? } else { tell(&applied, *partitions) }
        }
        Command::List { place, json } => {
            let overview = Overview::read(&place.cluster()?)?;
            if *json { print_json(&overview.cameras)? } else { print(&overview.list()) }
        }
        Command::Status { place, json, watch: false } => {
            let overview = Overview::read(&place.cluster()?)?;
            if *json { print_json(&overview)? } else { print(&overview.table(false)) }
        }
        Command::Status { place, json, watch: true } => {
            return show(&place.cluster()?, *json, false, Duration::from_secs(1), usize::MAX);
        }
        Command::Drain { host, place, wait } => drain(&place.cluster()?, host, Duration::from_secs(*wait))?,
        Command::Remove { cameras, place } => {
            let done = fleet::remove(&place.cluster()?, cameras)?;
            done.removed.iter().for_each(|name| print(&format!("{name}: removed\n")));
            if !done.unknown.is_empty() {
                let text = format!("no such cameras: {}", done.unknown.join(", "));
                return Err(Error::new(ErrorKind::Setting, text));
            }
        }
        Command::Release { cameras, place } => fleet::release(&place.cluster()?, cameras)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a fleet again and again, as lines of JSON or as tables; with `all`, all of its cameras.
pub fn watch(address: &str, json: bool, all: bool, every: Duration, most: usize) -> Result<ExitCode, Error> {
    show(&Cluster::new(address)?, json, all, every, most)
}

fn show(cluster: &Cluster, json: bool, all: bool, every: Duration, most: usize) -> Result<ExitCode, Error> {
    for shown in 0..most {
        if shown > 0 {
            std::thread::sleep(every);
        }
        let overview = match Overview::read(cluster) {
            Ok(overview) => overview,
            // Brokers that have answered come back.
            Err(error) if shown > 0 => {
                eprintln!("gst-trt: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = if json {
            serde_json::to_string(&overview).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))? + "\n"
        } else {
            // The whole table at once, in place of the previous one.
            let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
            format!("{clear}{}", overview.table(all))
        };
        let mut out = io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            // The reader has closed.
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) {
    // A closed stdout can't be reported anywhere.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value);
    print(&(text.map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))? + "\n"));
    Ok(())
}

fn apply(config: &Path, place: &Place, partitions: Option<i32>, respread: bool) -> Result<Applied, Error> {
    let invalid = |text: String| Error::new(ErrorKind::Setting, text);
    let text = std::fs::read_to_string(config)
        .map_err(|error| invalid(format!("{}: {error}; name the file with --config", config.display())))?;
    let (shared, findings) = config::split(config, &text)
        .map_err(|findings| invalid(format!("the configuration is invalid:\n{findings}")))?;
    for finding in findings.list.iter().filter(|finding| finding.severity < Severity::Notice) {
        errln!("gst-trt: {}", findings.line(finding));
    }
    fleet::apply(&place.cluster()?, &shared, partitions, respread)
}

#[derive(Serialize)]
struct Report<'a> {
    partitions: i32,
    cameras: usize,
    added: &'a [String],
    changed: &'a [String],
    removed: &'a [String],
    moved: &'a [String],
    /// Whether the settings were written.
    settings: bool,
}

impl<'a> From<&'a Applied> for Report<'a> {
    fn from(applied: &'a Applied) -> Self {
        let Applied { partitions, cameras, added, changed, removed, moved, settings, .. } = applied;
        Self { partitions: *partitions, cameras: *cameras, added, changed, removed, moved, settings: *settings }
    }
}

fn tell(applied: &Applied, wanted: Option<i32>) {
    for strange in &applied.strange {
        errln!("gst-trt: warning: a record that is no camera: {strange}; gst-trt fleet remove removes it");
    }
    if applied.is_nothing() {
        print("nothing has changed, nothing was written\n");
        return;
    }
    for (what, names) in [
        ("added", &applied.added),
        ("changed", &applied.changed),
        ("removed", &applied.removed),
        ("moved", &applied.moved),
    ] {
        names.iter().for_each(|name| print(&format!("{name}: {what}\n")));
    }
    if applied.settings {
        print("settings: written\n");
    }
    let few = usize::try_from(applied.partitions).is_ok_and(|partitions| applied.cameras < partitions);
    if few && wanted.is_none() && !applied.added.is_empty() {
        errln!(
            "gst-trt: notice: {} cameras are in {} partitions, and hosts share out partitions: with no more partitions than \
             cameras each host gets the same number of cameras (--partitions, for a new fleet)",
            applied.cameras,
            applied.partitions
        );
    }
}

fn drain(cluster: &Cluster, host: &str, wait: Duration) -> Result<(), Error> {
    let asked = fleet::drain(cluster, host)?;
    let start = Instant::now();
    while start.elapsed() < wait {
        let overview = Overview::read(cluster)?;
        let found = overview.hosts.iter().find(|row| row.status.host == host && row.status.run == asked.run);
        match found {
            // Another process has its name, or none.
            None => return Ok(()),
            Some(row) if row.has_given_all() => return Ok(()),
            Some(row) if row.silent => {
                let text = format!(
                    "{host} hasn't reported for {:.0} s: the group has given its cameras to others, unless they aren't heard \
                     either; should it be heard again, it takes none",
                    row.age
                );
                return Err(Error::new(ErrorKind::Failed, text));
            }
            Some(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
    if wait.is_zero() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Failed, format!("{host} hasn't given its cameras away within {wait:?}")))
}
