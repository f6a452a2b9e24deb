//! Outputs and monitoring.

use super::super::file;
use super::super::plan::{CameraSource, LinesTarget, Monitoring, Outputs, Pictures, Segments, Tls};
use super::super::text::join;
use super::Context;
use super::address::{self, Address};
use super::clips::{Others, clips};
use super::servers;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const MIB: u64 = 1 << 20;

/// Finds the key that a setting comes from: the camera's own, or that in `outputs`.
pub(super) struct Keys<'a> {
    pub camera: &'a str,
    pub section: &'static str,
}

impl Keys<'_> {
    pub fn key(&self, ctx: &Context, key: &str) -> String {
        let in_outputs = if self.section.is_empty() { key.to_owned() } else { join(self.section, key) };
        let own = join(self.camera, &format!("OUTPUTS.{in_outputs}"));
        if ctx.is_written(&own) { own } else { format!("outputs.{in_outputs}") }
    }
}

/// The key that a setting of a camera's pictures comes from.
pub(super) fn pictures_key(ctx: &Context, camera: &str, key: &str) -> String {
    Keys { camera, section: "PICTURES" }.key(ctx, key)
}

/// The outputs of a camera, whose pictures come from `source` if that is valid. `cameras`: how many cameras there are.
pub fn outputs(
    ctx: &mut Context,
    camera: &str,
    own: &file::Outputs,
    name: &str,
    source: Option<&CameraSource>,
    cameras: usize,
) -> Outputs {
    let settings = own.over(&ctx.file.outputs);
    let content = settings.content.unwrap_or_default();
    let format = settings.format.unwrap_or_default();
    let defaults = (content, format);
    let mqtt = servers::mqtt(ctx, &Keys { camera, section: "MQTT" }, (&settings.mqtt, defaults), name, cameras);
    let kafka = servers::kafka(ctx, &Keys { camera, section: "KAFKA" }, &settings.kafka, defaults);
    let redis = servers::redis(ctx, &Keys { camera, section: "REDIS" }, &settings.redis, defaults, name);
    let pictures = pictures(ctx, &Keys { camera, section: "PICTURES" }, &settings.pictures);
    let segments = segments(ctx, &Keys { camera, section: "SEGMENTS" }, &settings.segments);
    let others = Others { mqtt: mqtt.as_ref(), pictures: pictures.as_ref(), segments: segments.as_ref() };
    let clips = clips(ctx, &Keys { camera, section: "CLIPS" }, &settings.clips, name, source, &others);
    let keys = Keys { camera, section: "" };
    let lines = match &settings.json_lines {
        Some(targets) => {
            let key = keys.key(ctx, "JSON_LINES");
            targets.as_slice().iter().filter_map(|target| lines(ctx, &key, target, name)).collect()
        }
        // There must be at least one output.
        None if mqtt.is_none()
            && kafka.is_none()
            && redis.is_none()
            && pictures.is_none()
            && segments.is_none()
            && clips.is_none() =>
        {
            vec![LinesTarget::Stdout]
        }
        None => Vec::new(),
    };
    if !format.is_text() && !lines.is_empty() {
        let key = keys.key(ctx, "FORMAT");
        ctx.error(
            &key,
            "lines are text, and deepstream-protobuf is binary",
            "set FORMAT in MQTT, KAFKA or REDIS instead, or JSON_LINES to []",
        );
    }
    let masks = settings.mask_format.unwrap_or_default();
    Outputs { lines, mqtt, kafka, redis, pictures, segments, clips, content, format, masks }
}

fn lines(ctx: &mut Context, key: &str, target: &str, name: &str) -> Option<LinesTarget> {
    let target = target.replace("{camera}", name);
    if target == "-" {
        return Some(LinesTarget::Stdout);
    }
    let example = "write -, the path of a file, or tcp://HOST:PORT";
    if target.contains("://") {
        match address::split(&target) {
            Ok(Address { scheme: "tcp", user: None, host, port: Some(port), rest: "" | "/" }) => {
                return Some(LinesTarget::Tcp { host: host.to_owned(), port });
            }
            Ok(Address { scheme: "tcp", .. }) => {
                ctx.error(key, "a TCP location has a host and a port, and nothing else", example)
            }
            Ok(Address { scheme, .. }) => ctx.error(key, format!("{scheme} isn't supported for lines"), example),
            Err(rule) => ctx.error(key, rule, example),
        }
        return None;
    }
    if target.is_empty() {
        ctx.error(key, "it's empty", format!("{example}; [] writes none"));
        return None;
    }
    let path = ctx.path_of(&target);
    if let Some(folder) = missing_parent(&path) {
        ctx.error(key, format!("there is no folder {}", folder.display()), format!("mkdir -p {}", folder.display()));
    } else if path.is_dir() {
        ctx.error(key, format!("{} is a folder", path.display()), "name a file in it, for example with {camera}.jsonl");
    }
    Some(LinesTarget::File(path))
}

pub(super) fn missing_parent(path: &Path) -> Option<PathBuf> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).map(Path::to_owned)
}

/// The files of the authorities, the client's certificate and its key. `encrypted`: the address says that there is TLS.
pub(super) fn tls(ctx: &mut Context, keys: &Keys, files: [&Option<String>; 3], encrypted: bool) -> Option<Tls> {
    let [ca_file, cert_file, key_file] = files;
    let files = [("CA_FILE", ca_file), ("CERT_FILE", cert_file), ("KEY_FILE", key_file)];
    let [ca, cert, private_key] = files.map(|(name, file)| {
        let file = file.as_deref().map(|file| ctx.path_of(file))?;
        let key = keys.key(ctx, name);
        if !encrypted {
            ctx.error(
                &key,
                "it needs TLS, and the address in URL has none",
                "write mqtts://, kafkas:// or rediss:// in URL, or remove it",
            );
        } else if !file.is_file() {
            ctx.error(
                &key,
                format!("there is no file {}", file.display()),
                "check the path (from the configuration's folder)",
            );
        }
        Some(file)
    });
    let client = match (cert, private_key) {
        (Some(cert), Some(private_key)) => Some((cert, private_key)),
        (None, None) => None,
        (Some(_), None) => {
            ctx.error(&keys.key(ctx, "CERT_FILE"), "KEY_FILE is missing", "a client's certificate needs its key");
            None
        }
        (None, Some(_)) => {
            ctx.error(&keys.key(ctx, "KEY_FILE"), "CERT_FILE is missing", "a client's key needs its certificate");
            None
        }
    };
    encrypted.then_some(Tls { ca, client })
}

/// A credential from the environment: from the variable that is named, which must exist, or else from the default one.
pub(super) fn credential(ctx: &mut Context, key: &str, named: Option<&str>, usual: &str) -> Option<String> {
    let variable = named.unwrap_or(usual);
    let value = ctx.variables.get(variable).filter(|value| !value.is_empty()).map(str::to_owned);
    if let (Some(named), None) = (named, &value) {
        ctx.error(
            key,
            format!("the environment variable {named} isn't set"),
            format!("export {named}, or remove the key"),
        );
    }
    value
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn pictures(ctx: &mut Context, keys: &Keys, settings: &file::Pictures) -> Option<Pictures> {
    if !settings.enabled.unwrap_or(settings.folder.is_some()) {
        return None;
    }
    let folder = folder(ctx, keys, settings.folder.as_deref())?;
    Some(Pictures {
        folder,
        every: Duration::from_secs_f64(settings.interval_s.unwrap_or(1.0)),
        classes: settings.classes.clone().unwrap_or_default(),
        absence: Duration::from_secs_f64(settings.absence_s.unwrap_or(10.0)),
        quality: settings.quality.unwrap_or(85),
        limit: u64::from(settings.max_mb.unwrap_or(1024)) * MIB,
    })
}

fn segments(ctx: &mut Context, keys: &Keys, settings: &file::Segments) -> Option<Segments> {
    if !settings.enabled.unwrap_or(settings.folder.is_some()) {
        return None;
    }
    let folder = folder(ctx, keys, settings.folder.as_deref())?;
    let (seconds, bitrate) = (settings.seconds.unwrap_or(60), settings.bitrate_kbps.unwrap_or(4000));
    let limit = u64::from(settings.max_mb.unwrap_or(10_240)) * MIB;
    // The file that is being written, and one complete file.
    let needed = 2 * u64::from(seconds) * u64::from(bitrate) * 1000 / 8;
    if needed > limit {
        let least = needed.div_ceil(MIB);
        let key = keys.key(ctx, "MAX_MB");
        ctx.error(
            &key,
            format!("two files of {seconds} s with {bitrate} kbit/s take {least} MiB"),
            format!("set it to {least} or more, or make SECONDS or BITRATE_KBPS smaller"),
        );
    }
    Some(Segments { folder, length: Duration::from_secs(seconds.into()), bitrate, limit })
}

/// A folder for files; it's created when the first is written, and its parent must exist.
pub(super) fn folder(ctx: &mut Context, keys: &Keys, folder: Option<&str>) -> Option<PathBuf> {
    let key = keys.key(ctx, "FOLDER");
    let Some(folder) = folder.filter(|folder| !folder.is_empty()) else {
        if !ctx.written.was_rejected(&key) {
            ctx.error(&key, "it is missing", "name the folder where the files go");
        }
        return None;
    };
    let path = ctx.path_of(folder);
    if let Some(parent) = missing_parent(&path) {
        ctx.error(&key, format!("there is no folder {}", parent.display()), format!("mkdir -p {}", path.display()));
    } else if path.exists() && !path.is_dir() {
        ctx.error(&key, format!("{} is no folder", path.display()), "name another");
    }
    Some(path)
}

pub fn monitoring(ctx: &mut Context) -> Monitoring {
    let settings = &ctx.file.monitoring;
    let key = "monitoring.METRICS";
    let metrics = settings.metrics.as_deref().filter(|text| !text.is_empty()).and_then(|text| {
        let address = text.parse::<SocketAddr>();
        match &address {
            Ok(address) if !address.ip().is_loopback() => {
                ctx.warning(
                    key,
                    "everyone who reaches this address may read it",
                    "127.0.0.1 is for this machine alone",
                );
            }
            Ok(_) => {}
            Err(_) => ctx.error(key, "it has to be an IP address and a port", "for example 127.0.0.1:9464"),
        }
        address.ok()
    });
    Monitoring {
        metrics,
        every: Duration::from_secs_f64(settings.interval_s),
        cpu_warning: settings.cpu_warning_percent,
        log_level: settings.log_level,
    }
}
