//! `gst-trt run --fleet`: runs the cameras that a fleet gives this host, until SIGTERM or SIGINT. It ends without leaving the
//! group, so that a restart within the session moves no camera; `gst-trt fleet drain` gives them away first.

use crate::run::{Arguments, Ending, conclude, on_signals, prepare, profiled, say};
use crate::watch::Serving;
use gsttensorrt::config::Overrides;
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::fleet::{Cluster, HostOptions, HostProcess, Probes, Settings};
use gsttensorrt::monitor::Health;
use gsttensorrt::run::{Meters, Warm};
use gsttensorrt::web::CamerasFrom;
use signal_hook::consts::{SIGHUP, SIGUSR1};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct HostArguments {
    /// This host's name in the fleet; a host that restarts under it gets the same cameras [default: the machine's name]
    #[arg(long, value_name = "NAME", requires = "fleet")]
    host_name: Option<String>,
    /// Most cameras that this host takes [default: as many as it has time for]
    #[arg(long, value_name = "COUNT", requires = "fleet", value_parser = clap::value_parser!(u32).range(1..))]
    max_cameras: Option<u32>,
    /// Seconds after which other hosts take over the cameras of a host that isn't heard; brokers allow from 6 to 1800
    /// unless they are configured otherwise.
    #[arg(long, value_name = "SECONDS", requires = "fleet", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1800))]
    session_timeout: u32,
}

/// Between two looks for settings that haven't been written.
const WAIT: Duration = Duration::from_secs(2);

pub fn run(address: &str, arguments: &Arguments) -> Result<ExitCode, Error> {
    let failed = |text: String| Error::new(ErrorKind::Setting, text);
    let cluster = Cluster::new(address)?;
    let name = match &arguments.host.host_name {
        Some(name) => name.clone(),
        None => machine_name()?,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 200 || !name.chars().all(fits) {
        return Err(failed(format!(
            "{name:?} can't be a host's name: write --host-name with letters, digits, -, _ and ."
        )));
    }
    // Probes are answered from the beginning: a configuration that isn't there yet, and engines that are built, take their time.
    let (meters, probes) = (Meters::default(), Probes::default());
    let health = {
        let (healthy, ready) = (probes.clone(), probes.clone());
        Health { healthy: Arc::new(move || healthy.healthy()), ready: Arc::new(move || ready.ready()) }
    };
    let serving = Serving::start(&arguments.watch, &meters, health, say)?;
    let overrides = Overrides::new(&arguments.set);
    probes.wait_for("it waits for the fleet's configuration");
    let settings = wait_for_settings(&cluster)?;
    let loaded = settings.load(&overrides);
    let (loaded, models) = loaded.map_err(|findings| failed(format!("the configuration is invalid:\n{findings}")))?;
    let plan = loaded.plan;
    prepare(&plan)?;
    let web = arguments.web.prepare()?;
    let history = web.as_ref().map(|web| web.history.clone());
    let watching = serving.watch(&arguments.watch, &plan, history, say)?;
    let views = web.as_ref().map(|web| web.views.clone());
    let _page = web.map(|web| web.start(meters.clone(), CamerasFrom::Fleet)).transpose()?;
    // Cameras that are given to this host are dark until they play here: nothing else may have to be opened then.
    probes.wait_for("it opens models");
    let warm = Warm::open(&plan, &models)?;
    probes.wait_for("it hasn't joined the group");
    let ending = Ending::default();
    let options = HostOptions {
        name: name.clone(),
        session: Duration::from_secs(arguments.host.session_timeout.into()),
        capacity: arguments.host.max_cameras.map(|most| most as usize),
        overrides,
        meters,
        views,
        say: Rc::new(say),
        on_pipeline: profiled(&watching),
        sample: Box::new(watching.last()),
    };
    say(&format!("host {name} of {}", cluster.address));
    let host = HostProcess::start(&cluster, settings, Some(warm), probes, options, ending.callback())?;
    let signalled = Rc::downgrade(&host);
    on_signals(move |signal| match signalled.upgrade() {
        Some(host) if signal == SIGHUP => host.reopen_outputs(),
        Some(host) if signal == SIGUSR1 => host.record_clips("signal"),
        Some(host) => {
            say("stopping");
            host.stop();
        }
        None => {}
    })?;
    let outcome = ending.wait();
    drop(host);
    watching.finish(say);
    Ok(conclude(outcome))
}

/// The fleet's settings; waits until there are some.
fn wait_for_settings(cluster: &Cluster) -> Result<Settings, Error> {
    let mut said = false;
    loop {
        if let Some(settings) = Settings::read(cluster)? {
            return Ok(settings);
        }
        if !std::mem::replace(&mut said, true) {
            say(&format!("{} has no configuration yet: gst-trt fleet apply writes it", cluster.address));
        }
        std::thread::sleep(WAIT);
    }
}

fn machine_name() -> Result<String, Error> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let text = text.map_err(|error| {
        Error::new(ErrorKind::Setting, format!("the machine's name can't be read ({error}): write --host-name NAME"))
    })?;
    Ok(text.trim().to_owned())
}
