//! Checks a plan against this machine.

use super::engines::{self, Here};
use super::memory::{self, CameraFrames};
use super::stream::{Probe, StreamFacts};
use super::trial::{self, Trial};
use super::{Check, TURN, Verdict, assign, clips, cpu, gpu_names, models, nvdec, threads, unturned};
use crate::config::{Camera, CameraSource, Codec, Decoder, Pipeline, Plan};
use cuda::{self, CodecCaps, Device, PrimaryContext};
use std::collections::BTreeMap;
use std::path::Path;
use tensorrt::{DEFAULT_LIMIT, EngineCache, Library};

/// How to check a plan.
pub struct Request<'a> {
    /// Asks cameras what they send, and enables measuring decoders; `None`: neither.
    pub probe: Option<&'a Probe<'a>>,
    /// TensorRT's library or its folder; `None`: as the plan or the elements find it.
    pub library: Option<&'a Path>,
    /// The configuration's path, for remedies.
    pub config: &'a Path,
}

/// The remedy for missing GPU elements of GStreamer.
const NVCODEC: &str = "install gstreamer1.0-plugins-bad, whose plugin nvcodec has it once the NVIDIA driver is there";
/// Assumed for a camera of unknown rate.
const RATE: f64 = 30.0;
/// Assumed for a camera of unknown size.
const SIZE: (u32, u32) = (1920, 1080);

/// Checks a plan against this machine.
pub fn plan(plan: &Plan, request: &Request) -> Vec<Check> {
    let (mut checks, facts) = streams(plan, request.probe);
    match plan.pipeline {
        Pipeline::UnifiedGpu => {
            checks.extend(models::on_gpu(plan));
            checks.extend(on_gpus(plan, request, &facts));
        }
        Pipeline::Cpu => {
            let runtime = cpu::runtime();
            let able = runtime.verdict == Verdict::Ok;
            checks.push(runtime);
            if able {
                checks.extend(models::on_cpu(plan));
            }
            checks.extend(software_decoders(plan, &facts));
        }
    }
    checks.extend(plan.cameras.iter().zip(&facts).filter_map(|(camera, facts)| clips::check(camera, facts)));
    checks.extend(threads::check(plan.threads));
    checks
}

fn camera_name(camera: &Camera) -> String {
    format!("camera {}", camera.name)
}

/// What each camera sends, according to the camera, or else to the configuration.
fn streams(plan: &Plan, probe: Option<&Probe>) -> (Vec<Check>, Vec<StreamFacts>) {
    let Some(probe) = probe else {
        let facts: Vec<_> = plan.cameras.iter().map(StreamFacts::of_file).collect();
        let check = |(camera, facts): (&Camera, &StreamFacts)| {
            if !is_coded(camera) {
                return test_picture(camera, facts);
            }
            let found = format!("not checked; the configuration says: {}", facts.describe());
            Check::new(camera_name(camera), Verdict::Unknown, found, "")
        };
        return (plan.cameras.iter().zip(&facts).map(check).collect(), facts);
    };
    // In parallel: each camera may take time to answer.
    let asked: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = plan.cameras.iter().map(|camera| scope.spawn(move || probe(camera))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("the question failed".into()))).collect()
    });
    let answer = |(camera, asked): (&Camera, Result<StreamFacts, String>)| {
        let name = camera_name(camera);
        let from_file = StreamFacts::of_file(camera);
        match asked {
            Ok(facts) if !is_coded(camera) => (test_picture(camera, &facts), facts),
            Ok(facts) => {
                let facts = facts.or(from_file);
                (Check::ok(name, format!("{}: {}", camera.source.label(), facts.describe())), facts)
            }
            // A missing file may still appear.
            Err(error) if matches!(&camera.source, CameraSource::File { path, .. } if path.exists()) => {
                let found = format!("{}: {error}", camera.source.label());
                (Check::new(name, Verdict::Missing, found, "name a file with H.264 or H.265 pictures"), from_file)
            }
            Err(error) => {
                let found =
                    format!("{}: {error}; the configuration says: {}", camera.source.label(), from_file.describe());
                let remedy = "is it on, and are address, user and password right? It's tried again while running";
                (Check::new(name, Verdict::Limited, found, remedy), from_file)
            }
        }
    };
    plan.cameras.iter().zip(asked).map(answer).unzip()
}

fn test_picture(camera: &Camera, facts: &StreamFacts) -> Check {
    let (width, height) = facts.size.unwrap_or_default();
    let rate = facts.framerate.unwrap_or_default();
    let found = format!("{}: {width}×{height}, {rate} frames/s, made here", camera.source.label());
    Check::ok(camera_name(camera), found)
}

fn software_decoders<'a>(plan: &'a Plan, facts: &'a [StreamFacts]) -> impl Iterator<Item = Check> + 'a {
    let coded = plan.cameras.iter().zip(facts).filter(|(camera, _)| is_coded(camera));
    coded.map(|(camera, facts)| cpu::decoder(&camera_name(camera), facts))
}

/// Test pictures aren't coded.
fn is_coded(camera: &Camera) -> bool {
    !matches!(camera.source, CameraSource::Test { .. })
}

/// The cameras of a GPU, and what they send.
type OnGpu<'a> = Vec<(&'a Camera, StreamFacts)>;

fn on_gpus(plan: &Plan, request: &Request, facts: &[StreamFacts]) -> Vec<Check> {
    let mut checks = Vec::new();
    let (names, devices) = match gpu_names().and_then(|names| Ok((names, Device::all()?))) {
        Ok(found) => found,
        // The driver and GPUs have verdicts of their own.
        Err(_) => {
            let name = format!("GPUs for {} camera(s)", plan.cameras.len());
            checks.push(Check::new(name, Verdict::Unknown, "not checked: no GPU can be asked", ""));
            return checks;
        }
    };
    let mut by_gpu: BTreeMap<u32, OnGpu> = BTreeMap::new();
    for ((camera, facts), gpu) in plan.cameras.iter().zip(facts).zip(assign(&plan.cameras, &names, |_| None)) {
        match gpu {
            Ok(gpu) => by_gpu.entry(gpu).or_default().push((camera, *facts)),
            Err(error) => {
                let remedy = "correct GPU of this camera, or write auto";
                checks.push(Check::new(camera_name(camera), Verdict::Missing, error, remedy));
            }
        }
    }
    if plan.decoder == Decoder::Software {
        checks.extend(software_decoders(plan, facts));
        checks.push(cpu::element("upload to the GPU", "cudaupload", NVCODEC));
    }
    for device in &devices {
        if let Some(cameras) = by_gpu.get(&device.id) {
            checks.extend(on_gpu(plan, request, device, cameras));
        }
    }
    checks
}

fn on_gpu(plan: &Plan, request: &Request, device: &Device, cameras: &OnGpu) -> Vec<Check> {
    let gpu = device.id;
    let context = match PrimaryContext::enter(device) {
        Ok(context) => context,
        Err(error) => return vec![Check::missing(format!("GPU {gpu}: context"), error)],
    };
    let mut checks = Vec::new();
    if plan.decoder == Decoder::Nvdec {
        checks.extend(decoders(gpu, cameras, request.probe.is_some()));
    }
    let (engines, models) = engines(plan, request, device, cameras);
    checks.extend(engines);
    let frames: Vec<_> = cameras.iter().map(|(camera, facts)| frames(plan, camera, facts)).collect();
    match context.memory() {
        Ok((free, _)) => checks.push(memory::check(gpu, &models, &frames, plan.frame_memory, free)),
        Err(error) => checks.push(Check::missing(format!("GPU {gpu}: memory"), error)),
    }
    checks
}

fn frames(plan: &Plan, camera: &Camera, facts: &StreamFacts) -> CameraFrames {
    let (width, height) = facts.size.unwrap_or(SIZE);
    // NV12, or P010 above 8 bit.
    let bytes = if facts.depth.is_some_and(|depth| depth > 8) { 2 } else { 1 };
    CameraFrames {
        frame: u64::from(width) * u64::from(height) * 3 / 2 * bytes,
        surfaces: plan.decoder_surfaces.into(),
        queue: plan.queue_size.into(),
        models: camera.models().count() as u64,
    }
}

fn engines(plan: &Plan, request: &Request, device: &Device, cameras: &OnGpu) -> (Vec<Check>, Vec<super::ModelMemory>) {
    // TensorRT has a verdict of its own.
    let Ok(library) = Library::open(request.library.or(plan.tensorrt_library.as_deref())) else {
        return (Vec::new(), Vec::new());
    };
    let folder = plan.engine_cache.clone().unwrap_or_else(EngineCache::default_folder);
    let cache = EngineCache::new(folder, DEFAULT_LIMIT);
    let build = format!("gst-trt build --config {}", request.config.display());
    let here = Here { library, device: Some(device), cache: &cache, build: &build };
    let mut models: Vec<&crate::config::Model> = Vec::new();
    for model in cameras.iter().flat_map(|(camera, _)| camera.models()) {
        if !models.iter().any(|known| known.engine == model.engine) {
            models.push(model);
        }
    }
    models.into_iter().map(|model| engines::check(model, &here)).unzip()
}

/// Checks each camera's stream, and all of them together, against NVDEC. The GPU's context is current.
fn decoders(gpu: u32, cameras: &OnGpu, measure: bool) -> Vec<Check> {
    let coded: OnGpu = cameras.iter().filter(|(camera, _)| is_coded(camera)).copied().collect();
    if coded.is_empty() {
        return Vec::new();
    }
    let name = format!("GPU {gpu}: NVDEC capacity");
    let caps = match cuda::codecs() {
        Ok(caps) => caps,
        Err(error) => return vec![Check::missing(name, error)],
    };
    let turned = coded.iter().filter_map(|(camera, facts)| Some((camera, facts.orientation?)));
    let mut checks: Vec<_> =
        turned.map(|(camera, way)| Check::new(camera_name(camera), Verdict::Limited, unturned(way), TURN)).collect();
    let verdicts = coded.iter().map(|(camera, facts)| nvdec::check(&camera_name(camera), facts, &caps));
    let mut decodable = Vec::new();
    for (check, camera) in verdicts.zip(&coded) {
        if check.verdict != Verdict::Missing {
            decodable.push(*camera);
        }
        checks.push(check);
    }
    let elements: Vec<_> = codecs(&decodable)
        .into_iter()
        .map(|codec| cpu::element(&format!("GPU {gpu}: decoder"), &codec.gpu_decoder(gpu), NVCODEC))
        .collect();
    let able = elements.iter().all(|check| check.verdict == Verdict::Ok);
    checks.extend(elements);
    if !measure {
        checks.push(Check::new(name, Verdict::Unknown, "not checked (--no-probe)", ""));
    } else if able && !decodable.is_empty() {
        checks.push(capacity(name, &decodable, &caps, trial::decode, gpu));
    }
    checks
}

/// The codecs of these cameras, without duplicates.
fn codecs(cameras: &OnGpu) -> Vec<Codec> {
    let mut codecs: Vec<_> = cameras.iter().map(|(_, facts)| facts.codec.unwrap_or(Codec::H264)).collect();
    codecs.sort_by_key(|codec| codec.name());
    codecs.dedup();
    codecs
}

/// Checks the share of the decoder that the cameras take together, by a trial with each of their codecs and sizes.
fn capacity(
    name: String,
    cameras: &OnGpu,
    caps: &[CodecCaps],
    decode: impl Fn(&Trial) -> Result<f64, String>,
    gpu: u32,
) -> Check {
    /// Codec and size; the codec again, and each camera's frames a second.
    type Groups<'a> = BTreeMap<(&'a str, (u32, u32)), (Codec, Vec<f64>)>;
    let mut groups = Groups::new();
    for (_, facts) in cameras {
        // Unknown facts are assumed to be those of most cameras.
        let codec = facts.codec.unwrap_or(Codec::H264);
        let (_, rates) = groups.entry((codec.name(), facts.size.unwrap_or(SIZE))).or_insert((codec, Vec::new()));
        rates.push(facts.framerate.unwrap_or(RATE));
    }
    let mut share = 0.0;
    let mut found = Vec::new();
    for ((codec_name, size), (codec, rates)) in groups {
        let streams = caps.iter().find(|caps| caps.codec == codec_name).map_or(1, |caps| caps.engines);
        let trial =
            Trial { decoder: codec.gpu_decoder(gpu), caps: "video/x-raw(memory:CUDAMemory)", codec, size, streams };
        let what = format!("{codec_name} {}×{}", size.0, size.1);
        match decode(&trial) {
            Ok(measured) if measured > 0.0 => {
                let needed: f64 = rates.iter().sum();
                share += needed / measured;
                found.push(format!("{what}: {needed:.0} of {measured:.0} frames/s for {} camera(s)", rates.len()));
            }
            Ok(_) => return Check::missing(name, format!("NVDEC initialization failed: {what}: no frame was decoded")),
            Err(error) => {
                let remedy = "reduce the number of cameras, update the NVIDIA driver, or look at `nvidia-smi dmon`";
                return Check::new(
                    name,
                    Verdict::Missing,
                    format!("NVDEC initialization failed: {what}: {error}"),
                    remedy,
                );
            }
        }
    }
    let found = format!("{} (measured in 2 s each): {:.0} % of the decoder", found.join(", "), share * 100.0);
    let verdict = match share {
        share if share > 1.0 => Verdict::Missing,
        share if share > 0.8 => Verdict::Limited,
        _ => Verdict::Ok,
    };
    Check::new(name, verdict, found, "reduce the number of cameras or their frame rate, or spread them over more GPUs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Gpu, Hint, Outputs};

    fn camera() -> Camera {
        Camera {
            name: "door".into(),
            source: CameraSource::File { path: "a.mp4".into(), looping: true },
            hint: Hint::default(),
            gpu: Gpu::Auto,
            detection: None,
            classification: None,
            pose: None,
            tracker: None,
            zones: None,
            outputs: Outputs::default(),
        }
    }

    fn facts(codec: Codec, size: (u32, u32), framerate: Option<f64>) -> StreamFacts {
        StreamFacts { codec: Some(codec), size: Some(size), framerate, depth: Some(8), orientation: None }
    }

    #[test]
    fn a_decoder_is_looked_for_once_in_whatever_order_cameras_are() {
        let camera = camera();
        let of = |codecs: &[Codec]| {
            let facts = |codec: &Codec| (&camera, facts(*codec, SIZE, None));
            super::codecs(&codecs.iter().map(facts).collect())
        };
        let (avc, hevc) = (Codec::H264, Codec::H265);
        for cameras in [&[avc, hevc, avc][..], &[hevc, avc, hevc, avc], &[avc, avc, hevc]] {
            let mut found = of(cameras);
            found.sort_by_key(|codec| codec.name());
            assert_eq!(found, [avc, hevc], "{cameras:?}");
        }
        assert_eq!(of(&[hevc, hevc]), [hevc]);
    }

    #[test]
    fn the_decoder_is_shared_by_codecs_and_sizes() {
        let camera = camera();
        let hd = facts(Codec::H264, (1920, 1080), Some(25.0));
        let uhd = facts(Codec::H265, (3840, 2160), None);
        let cameras = vec![(&camera, hd), (&camera, hd), (&camera, uhd)];
        let decode = |rate: f64| {
            move |trial: &Trial| {
                assert_eq!(trial.streams, 1);
                let first = trial.decoder == "nvh264device2dec" && trial.size == (1920, 1080);
                let second = trial.decoder == "nvh265device2dec" && trial.size == (3840, 2160);
                assert!(first || second, "{trial:?}");
                Ok(rate)
            }
        };
        let check = |rate| capacity("GPU 2".into(), &cameras, &[], decode(rate), 2);
        let good = check(200.0);
        assert_eq!(good.verdict, Verdict::Ok);
        assert_eq!(
            good.found,
            "H.264 1920×1080: 50 of 200 frames/s for 2 camera(s), HEVC 3840×2160: 30 of 200 frames/s for 1 camera(s) \
             (measured in 2 s each): 40 % of the decoder"
        );
        assert_eq!(check(90.0).verdict, Verdict::Limited);
        assert_eq!(check(70.0).verdict, Verdict::Missing);
        let failed = capacity("GPU 0".into(), &cameras, &[], |_| Err("out of surfaces".into()), 0);
        assert!(failed.found.starts_with("NVDEC initialization failed: ") && failed.found.contains("out of surfaces"));
        assert_eq!(
            failed.remedy.unwrap(),
            "reduce the number of cameras, update the NVIDIA driver, or look at `nvidia-smi dmon`"
        );
    }
}
