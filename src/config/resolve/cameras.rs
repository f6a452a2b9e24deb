//! Cameras: addresses, names, GPUs.

use super::super::file;
use super::super::plan::{Camera, CameraSource, Gpu, Hint, Pipeline, Transport};
use super::super::secret::{SecretUrl, redact_value};
use super::super::text::join;
use super::address::{self, Address};
use super::{Context, Purpose, clips, labels, models, outputs, pipeline, tracking};
use std::collections::HashMap;
use std::time::Duration;

const STREAMS: &str = "cameras.RTSP_STREAMS";
/// Also the maximum of `UNIFIED_PIPELINE_THREADS`.
const MOST: usize = 4096;

/// `videotestsrc`'s patterns, as in GStreamer 1.22.
const PATTERNS: [&str; 26] = [
    "smpte",
    "snow",
    "black",
    "white",
    "red",
    "green",
    "blue",
    "checkers-1",
    "checkers-2",
    "checkers-4",
    "checkers-8",
    "circular",
    "blink",
    "smpte75",
    "zone-plate",
    "gamut",
    "chroma-zone-plate",
    "solid-color",
    "ball",
    "smpte100",
    "bar",
    "pinwheel",
    "spokes",
    "gradient",
    "colors",
    "smpte-rp-219",
];

/// The default size of a test picture, as of `videotestsrc`. The rate differs from its default: it is that of most
/// cameras.
const TEST_SIZE: (u32, u32) = (640, 480);
const TEST_FRAMERATE: f64 = 25.0;

/// Returns the cameras whose source is valid.
pub fn cameras(ctx: &mut Context, pipeline: Pipeline) -> Vec<Camera> {
    let file = ctx.file;
    let all = &file.cameras.rtsp_streams;
    if all.len() > MOST {
        ctx.error(
            STREAMS,
            format!("there are {} cameras, the maximum is {MOST}", all.len()),
            "spread them over several machines",
        );
    }
    let streams = all.get(..MOST).unwrap_or(all);
    pipeline::need_cameras(ctx, streams.len());
    let mut names = Names::default();
    let mut urls: HashMap<String, String> = HashMap::new();
    let mut state_files = HashMap::new();
    let mut cameras = Vec::with_capacity(streams.len());
    for (index, stream) in streams.iter().enumerate() {
        let entry =
            CameraEntry { path: ctx.written.item(STREAMS, index), plain: matches!(stream, file::Stream::Url(_)) };
        let settings = stream.camera();
        let source = source(ctx, &entry, &settings);
        let name = names.name(ctx, &entry, &settings, source.as_ref());
        if let Some(url) = &settings.url
            && let Some(other) = urls.insert(url.clone(), name.clone())
        {
            ctx.warning(
                &entry.url(),
                format!("camera {other} has the same address"),
                "remove one, unless the same pictures are to be analysed twice",
            );
        }
        let camera = Camera {
            hint: hint(ctx, &entry, &settings),
            gpu: gpu(ctx, &entry, settings.gpu.as_ref(), pipeline),
            detection: models::detection(ctx, pipeline, Some((&entry.path, &settings))),
            pose: models::pose(ctx, pipeline, Some((&entry.path, &settings))),
            classification: models::classification(ctx, pipeline, Some((&entry.path, &settings))),
            tracker: tracking::tracker(ctx, pipeline, &entry.path, &settings),
            outputs: outputs::outputs(ctx, &entry.path, &settings.outputs, &name, source.as_ref(), streams.len()),
            zones: tracking::zones(ctx, &entry.path, &settings, &name),
            // The placeholder for an invalid source is never used: there is an error.
            source: source.unwrap_or(CameraSource::File { path: "".into(), looping: false }),
            name,
        };
        models::check_camera(ctx, &entry.path, &camera);
        tracking::check_camera(ctx, &entry.path, &camera);
        tracking::check_state_file(ctx, &entry.path, &camera, &mut state_files);
        if ctx.purpose == Purpose::Run {
            labels::check(ctx, &entry.path, &camera, pipeline);
        }
        cameras.push(camera);
    }
    clips::check_places(ctx, STREAMS, &cameras);
    cameras
}

/// The names of all cameras, by which a fleet knows them; nothing else of them is checked here.
pub fn names(ctx: &mut Context) -> Vec<String> {
    let file = ctx.file;
    let mut names = Names::default();
    let mut found = Vec::with_capacity(file.cameras.rtsp_streams.len());
    for (index, stream) in file.cameras.rtsp_streams.iter().enumerate() {
        let entry =
            CameraEntry { path: ctx.written.item(STREAMS, index), plain: matches!(stream, file::Stream::Url(_)) };
        let settings = stream.camera();
        let named = settings.url.as_deref().map(str::trim).map(named);
        found.push(names.name(ctx, &entry, &settings, named.as_ref()));
    }
    found
}

/// The source at an address, as far as a name is made of it.
fn named(url: &str) -> CameraSource {
    match url.split_once(':') {
        Some(("test", pattern)) => {
            CameraSource::Test { pattern: pattern.to_owned(), size: TEST_SIZE, framerate: TEST_FRAMERATE }
        }
        Some((scheme, _)) if ["rtsp", "rtsps"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) => {
            CameraSource::Rtsp { url: SecretUrl::new(url), transport: Transport::Tcp, latency: Duration::ZERO }
        }
        _ => CameraSource::File { path: url.strip_prefix("file://").unwrap_or(url).into(), looping: true },
    }
}

/// The position of a camera in the file.
struct CameraEntry {
    path: String,
    /// The camera is an address alone.
    plain: bool,
}

impl CameraEntry {
    fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }

    fn url(&self) -> String {
        if self.plain { self.path.clone() } else { self.key("URL") }
    }
}

fn source(ctx: &mut Context, entry: &CameraEntry, settings: &file::Camera) -> Option<CameraSource> {
    let key = entry.url();
    let Some(url) = settings.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        if !ctx.written.was_rejected(&key) {
            ctx.error(&key, "a camera needs an address", "write rtsp://HOST/PATH, the path of a file, or test:ball");
        }
        return None;
    };
    if let Some(pattern) = url.strip_prefix("test:") {
        return test(ctx, &key, settings, pattern);
    }
    match url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()) {
        Some(scheme) if scheme == "file" => {
            let path = url.get("file://".len()..).unwrap_or_default();
            file_source(ctx, &key, settings, path)
        }
        Some(scheme) if scheme == "rtsp" || scheme == "rtsps" => rtsp(ctx, entry, settings, url, &scheme),
        Some(scheme) => {
            let remedy = "write rtsp:// or rtsps://, file://, the path of a file, or test:PATTERN";
            ctx.error(&key, format!("{scheme} isn't supported for cameras"), remedy);
            None
        }
        None => file_source(ctx, &key, settings, url),
    }
}

fn rtsp(
    ctx: &mut Context,
    entry: &CameraEntry,
    settings: &file::Camera,
    url: &str,
    scheme: &str,
) -> Option<CameraSource> {
    let key = entry.url();
    let address = match address::split(url).and_then(|address| address.check_user().map(|()| address)) {
        Ok(address) => address,
        Err(rule) => {
            ctx.error(
                &key,
                rule,
                "write rtsp://USER:PASSWORD@HOST:PORT/PATH; USER:PASSWORD@ and :PORT may be left out",
            );
            return None;
        }
    };
    if address.may_end_too_soon() {
        let remedy = "if it's the password that has a /, write %2F for it";
        ctx.warning(&key, "the path has an @, and what follows looks like a host", remedy);
    }
    let transport = settings.transport.unwrap_or(ctx.file.cameras.transport);
    if scheme == "rtsps" && transport == Transport::Udp {
        let own = entry.key("TRANSPORT");
        let key = if settings.transport.is_some() { own } else { "cameras.TRANSPORT".into() };
        ctx.error(&key, "rtsps:// encrypts a TCP connection", "set TRANSPORT to tcp for this camera");
    }
    // The text in the file, with names of variables and not their values.
    let label = ctx.written.label(&key).map_or_else(|| redact_value(url), str::to_owned);
    Some(CameraSource::Rtsp {
        url: SecretUrl::with_label(address.with_whole_user(url), label),
        transport,
        latency: Duration::from_millis(settings.latency_ms.unwrap_or(ctx.file.cameras.latency_ms).into()),
    })
}

fn file_source(ctx: &mut Context, key: &str, settings: &file::Camera, path: &str) -> Option<CameraSource> {
    let path = ctx.path_of(path);
    if !path.is_file() {
        let remedy = "check the path (from the configuration's folder), or write rtsp://… for a camera";
        ctx.error(key, format!("there is no file {}", path.display()), remedy);
        return None;
    }
    Some(CameraSource::File { path, looping: settings.r#loop.unwrap_or(true) })
}

fn test(ctx: &mut Context, key: &str, settings: &file::Camera, pattern: &str) -> Option<CameraSource> {
    if !PATTERNS.contains(&pattern) {
        let remedy = format!("videotestsrc has {}", PATTERNS.join(", "));
        ctx.error(key, "there is no such test picture", remedy);
        return None;
    }
    Some(CameraSource::Test {
        pattern: pattern.to_owned(),
        size: (settings.width.unwrap_or(TEST_SIZE.0), settings.height.unwrap_or(TEST_SIZE.1)),
        framerate: settings.fps.unwrap_or(TEST_FRAMERATE),
    })
}

fn hint(ctx: &mut Context, entry: &CameraEntry, settings: &file::Camera) -> Hint {
    let size = match (settings.width, settings.height) {
        (Some(width), Some(height)) => Some((width, height)),
        (None, None) => None,
        (Some(_), None) => {
            ctx.error(&entry.key("WIDTH"), "HEIGHT is missing", "set both, or none");
            None
        }
        (None, Some(_)) => {
            ctx.error(&entry.key("HEIGHT"), "WIDTH is missing", "set both, or none");
            None
        }
    };
    Hint { codec: settings.codec, size, framerate: settings.fps }
}

fn gpu(ctx: &mut Context, entry: &CameraEntry, setting: Option<&file::Gpu>, pipeline: Pipeline) -> Gpu {
    let key = entry.key("GPU");
    if setting.is_some() && pipeline == Pipeline::Cpu {
        ctx.notice(&key, "the CPU pipeline doesn't use it");
    }
    match setting {
        None => Gpu::Auto,
        Some(file::Gpu::Index(index)) => Gpu::Index(*index),
        Some(file::Gpu::Name(name)) => match name.trim() {
            auto if auto.eq_ignore_ascii_case("auto") => Gpu::Auto,
            uuid if uuid.starts_with("GPU-") || uuid.starts_with("MIG-") => Gpu::Uuid(uuid.to_owned()),
            text => match text.parse() {
                Ok(index) => Gpu::Index(index),
                Err(_) => {
                    let remedy = "write auto, a number from 0, or a UUID as nvidia-smi -L shows it (GPU-…)";
                    ctx.error(&key, "that names no GPU", remedy);
                    Gpu::Auto
                }
            },
        },
    }
}

/// Names that are taken, with the key of each.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn name(
        &mut self,
        ctx: &mut Context,
        entry: &CameraEntry,
        settings: &file::Camera,
        source: Option<&CameraSource>,
    ) -> String {
        let key = entry.key("NAME");
        let name = match &settings.name {
            Some(name) => {
                let fits = !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(is_name);
                if !fits {
                    ctx.error(
                        &key,
                        "a name has 1 to 64 letters, digits, -, _ and ., and doesn't begin with a dot: it becomes part of \
                         file names and topics",
                        format!("for example {}", made_of(name)),
                    );
                }
                if let Some(other) = self.0.get(name) {
                    ctx.error(&key, format!("{other} has the same name"), "give each camera a different name");
                }
                name.clone()
            }
            None => self.free(&source.map_or_else(|| "camera".into(), |source| made_of(&readable(source)))),
        };
        self.0.insert(name.clone(), entry.path.clone());
        name
    }

    fn free(&self, base: &str) -> String {
        if !self.0.contains_key(base) {
            return base.to_owned();
        }
        (2..).map(|i| format!("{base}-{i}")).find(|name| !self.0.contains_key(name)).unwrap_or_default()
    }
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The text from which a camera's name is derived: host and path of an address, the name of a file.
fn readable(source: &CameraSource) -> String {
    match source {
        CameraSource::Rtsp { url, .. } => {
            let label = url.to_string();
            match address::split(&label) {
                Ok(Address { host, rest, .. }) => format!("{host}{rest}"),
                Err(_) => label,
            }
        }
        CameraSource::File { path, .. } => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        CameraSource::Test { pattern, .. } => format!("test-{pattern}"),
    }
}

/// A name with allowed characters only.
fn made_of(text: &str) -> String {
    let parts: Vec<&str> = text.split(|c| !is_name(c)).filter(|part| !part.is_empty()).collect();
    let name: String = parts.join("-").trim_start_matches('.').chars().take(60).collect();
    if name.is_empty() { "camera".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_addresses() {
        let rtsp = |url: &str| CameraSource::Rtsp {
            url: SecretUrl::new(url),
            transport: Transport::Tcp,
            latency: Duration::ZERO,
        };
        for (source, name) in [
            (rtsp("rtsp://192.168.3.214:7447/stream1"), "192.168.3.214-stream1"),
            (rtsp("rtsp://admin:SECRET@cam/a/b?password=SECRET&x=1"), "cam-a-b-password-x-1"),
            (CameraSource::File { path: "clips/street 1.mp4".into(), looping: true }, "street-1"),
            (CameraSource::Test { pattern: "ball".into(), size: (1, 1), framerate: 1.0 }, "test-ball"),
        ] {
            assert_eq!(made_of(&readable(&source)), name);
        }
        let mut names = Names::default();
        names.0.insert("a".into(), String::new());
        assert_eq!(names.free("a"), "a-2");
    }
}
