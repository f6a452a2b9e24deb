//! From what the configuration means to what pipelines are made of.

use super::backoff::Backoff;
use super::gpus;
use super::lifecycle::Patience;
use super::setup::{CameraSetup, Decoder, ElementSetup, FileSource, RtspSource, Source, TestSource, ThreadSetup};
use crate::config::{self, LinesTarget, Pipeline, Plan};
use crate::cuda;
use crate::infer::Error;
use std::time::Duration;

/// Coded pictures that wait while their decoder doesn't keep up: a burst after a pause of the network, which a decoder works
/// off faster than it came, isn't lost.
const LEAST_CODED_QUEUE: u32 = 60;

/// The plan's cameras.
///
/// # Errors
/// A GPU isn't there, or the driver.
pub fn cameras(plan: &Plan) -> Result<Vec<CameraSetup>, Error> {
    let gpus = match plan.pipeline {
        Pipeline::Cpu => vec![None; plan.cameras.len()],
        Pipeline::UnifiedGpu => {
            let wanted = plan.cameras.iter().map(|camera| (camera.name.as_str(), &camera.gpu));
            gpus::assign(wanted, &cuda::uuids()?)?.into_iter().map(Some).collect()
        }
    };
    Ok(plan.cameras.iter().zip(&gpus).map(|(camera, gpu)| setup(plan, camera, *gpu, &gpus)).collect())
}

/// How patient to be with the plan's cameras.
pub fn patience(plan: &Plan) -> Patience {
    let config::Reconnect { first, longest, stall } = plan.reconnect;
    let default = Patience::default();
    Patience { silence: stall, connect: default.connect.max(2 * stall), backoff: Backoff { first, longest }, ..default }
}

fn setup(plan: &Plan, camera: &config::Camera, gpu: Option<u32>, gpus: &[Option<u32>]) -> CameraSetup {
    let decoder = match (gpu, plan.decoder) {
        (None, _) => Decoder::Cpu,
        (Some(gpu), config::Decoder::Nvdec) => Decoder::Gpu(gpu),
        (Some(gpu), config::Decoder::Software) => Decoder::Upload(gpu),
    };
    // Each camera has its share.
    let sharing = gpus.iter().filter(|other| **other == gpu).count().max(1) as u64;
    let memory = plan.frame_memory.map(|bytes| u32::try_from(bytes / sharing).unwrap_or(u32::MAX));
    CameraSetup {
        name: camera.name.clone(),
        source: source(&camera.source, plan.reconnect.stall),
        decoder,
        coded_queue: (2 * plan.queue_size).max(LEAST_CODED_QUEUE),
        picture_queue: plan.queue_size,
        picture_memory: memory,
        surfaces: Some(plan.decoder_surfaces),
        elements: elements(plan, camera, gpu.unwrap_or(0)),
        threads: ThreadSetup {
            pinned: plan.threads.affinity,
            decoder: plan.threads.decoder_priority,
            others: plan.threads.priority,
        },
    }
}

fn source(source: &config::Source, timeout: Duration) -> Source {
    match source {
        config::Source::Rtsp { url, transport, latency } => {
            Source::Rtsp(RtspSource { url: url.clone(), transport: *transport, latency: *latency, timeout })
        }
        config::Source::File { path, looping } => Source::File(FileSource { path: path.clone(), looping: *looping }),
        config::Source::Test { pattern, size, framerate } => Source::Test(TestSource {
            width: i32::try_from(size.0).unwrap_or(i32::MAX),
            height: i32::try_from(size.1).unwrap_or(i32::MAX),
            rate: gst::Fraction::approximate_f64(*framerate).unwrap_or_else(|| gst::Fraction::new(30, 1)),
            pattern: pattern.clone(),
        }),
    }
}

/// Models, then outputs.
fn elements(plan: &Plan, camera: &config::Camera, device: u32) -> Vec<ElementSetup> {
    let model = |factory: &str, model: &config::Model| ElementSetup {
        factory: factory.to_owned(),
        name: model.id.to_owned(),
        properties: model.properties(plan, device).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let mut elements: Vec<ElementSetup> = Vec::new();
    elements.extend(camera.detection.iter().map(|detection| model("trtdetect", detection)));
    elements.extend(camera.pose.iter().map(|pose| model("trtpose", pose)));
    elements.extend((1..).zip(&camera.outputs.lines).map(|(number, target)| lines(&camera.name, number, target)));
    elements
}

fn lines(camera: &str, number: u32, target: &LinesTarget) -> ElementSetup {
    let location = match target {
        LinesTarget::Stdout => "-".to_owned(),
        LinesTarget::File(path) => path.display().to_string(),
        LinesTarget::Tcp { host, port } if host.contains(':') => format!("tcp://[{host}]:{port}"),
        LinesTarget::Tcp { host, port } => format!("tcp://{host}:{port}"),
    };
    let properties = [("location", location.as_str()), ("append", "true"), ("stream-id", camera)];
    ElementSetup {
        factory: "trtpublish".into(),
        name: format!("lines-{number}"),
        properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    }
}
