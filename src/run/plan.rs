//! Turns the plan of a configuration into set-ups of pipelines.

use super::lifecycle::Patience;
use super::outputs;
use super::setup::{CameraSetup, Decoder, FileSource, RtspSource, SourceSetup, TestSource, ThreadSetup};
use crate::backoff::Backoff;
use crate::check::{assign, gpu_names};
use crate::config::{self, Pipeline, Plan};
use crate::elements::{ElementSetup, models};
use crate::error::{Error, ErrorKind};
use std::time::Duration;

/// Coded pictures that wait while their decoder doesn't keep up: a burst after a network stall, which a decoder works
/// off faster than it came, isn't lost.
const LEAST_CODED_QUEUE: u32 = 60;

/// The set-ups of the plan's cameras. `kept` returns the GPU that a camera already runs on.
///
/// # Errors
/// The driver is missing, or a GPU that a camera names.
pub fn cameras(plan: &Plan, kept: impl Fn(&str) -> Option<u32>) -> Result<Vec<CameraSetup>, Error> {
    let gpus = match plan.pipeline {
        Pipeline::Cpu => vec![None; plan.cameras.len()],
        Pipeline::UnifiedGpu => {
            let given = assign(&plan.cameras, &gpu_names()?, kept).into_iter().zip(&plan.cameras);
            let wrong = |name: &str, text: String| Error::new(ErrorKind::Device, format!("{name}: {text}"));
            given
                .map(|(gpu, camera)| gpu.map(Some).map_err(|text| wrong(&camera.name, text)))
                .collect::<Result<_, _>>()?
        }
    };
    Ok(plan.cameras.iter().zip(&gpus).map(|(camera, gpu)| setup(plan, camera, *gpu, &gpus)).collect())
}

/// The timeouts of the plan's cameras.
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
    // The memory is shared equally by the cameras of a GPU.
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
        recording: outputs::recording(&camera.name, &camera.outputs, gpu),
        clips: outputs::clips(camera),
        threads: ThreadSetup {
            pinned: plan.threads.affinity,
            decoder: plan.threads.decoder_priority,
            others: plan.threads.priority,
        },
        run: None,
    }
}

fn source(source: &config::CameraSource, timeout: Duration) -> SourceSetup {
    match source {
        config::CameraSource::Rtsp { url, transport, latency } => {
            SourceSetup::Rtsp(RtspSource { url: url.clone(), transport: *transport, latency: *latency, timeout })
        }
        config::CameraSource::File { path, looping } => {
            SourceSetup::File(FileSource { path: path.clone(), looping: *looping })
        }
        config::CameraSource::Test { pattern, size, framerate } => SourceSetup::Test(TestSource {
            width: i32::try_from(size.0).unwrap_or(i32::MAX),
            height: i32::try_from(size.1).unwrap_or(i32::MAX),
            rate: gst::Fraction::approximate_f64(*framerate).unwrap_or_else(|| gst::Fraction::new(30, 1)),
            pattern: pattern.clone(),
        }),
    }
}

/// The elements of a camera: models, then outputs.
fn elements(plan: &Plan, camera: &config::Camera, device: u32) -> Vec<ElementSetup> {
    let mut elements = models(plan, camera, device);
    elements.extend(outputs::elements(&camera.name, &camera.outputs));
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Priority, Transport, load_text};
    use crate::elements::ElementOptions;
    use crate::infer::Backend;
    use crate::options::InferenceRegion;

    /// The plan of a configuration with these keys in `processing`, and two cameras.
    fn plan(processing: &str) -> Plan {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
        let text = format!(
            r#"{{
                "processing": {{ {processing} }},
                "models": {{
                    "DETECTION": {{ "ONNX": "{0}/yolo.onnx", "CONFIDENCE": 0.5 }},
                    "POSE": {{ "ONNX": "{0}/yolo-pose.onnx" }},
                    "CLASSIFICATION": {{ "ONNX": "{0}/classify.onnx", "TOP_K": 2, "INTERVAL": 9, "MIN_SIZE": [32, 32] }}
                }},
                "cameras": {{
                    "RTSP_STREAMS": [
                        {{ "NAME": "door", "URL": "rtsp://user:word@door/1" }},
                        {{ "NAME": "test", "URL": "test:ball", "WIDTH": 320, "HEIGHT": 240, "FPS": 29.97 }}
                    ],
                    "TRANSPORT": "udp", "LATENCY_MS": 50, "STALL_TIMEOUT_S": 7, "RECONNECT_MAX_S": 9
                }},
                "outputs": {{ "JSON_LINES": ["-", "tcp://[::1]:4000"] }}
            }}"#,
            models.display()
        );
        load_text(std::path::Path::new("config.json"), &text, &Overrides::default()).unwrap().plan
    }

    fn options<'a>(setup: &'a CameraSetup, name: &str) -> &'a ElementOptions {
        &setup.elements.iter().find(|element| element.name == name).unwrap().options
    }

    #[test]
    fn the_guides_keys_take_effect() {
        gst::init().unwrap();
        let plan = plan(
            r#""USE_UNIFIED_GPU_PIPELINE": true, "MAX_QUEUE_SIZE": 40, "NVDEC_BUFFER_SIZE": 7, "GPU_BATCH_SIZE": 3,
               "PIPELINE_QUEUE_TIMEOUT_MS": 2.5, "GPU_MEMORY_POOL_SIZE_MB": 500, "ENABLE_MEMORY_POOLING": true,
               "USE_THREAD_AFFINITY": true, "THREAD_PRIORITY": "HIGH", "DECODER_THREAD_PRIORITY": "REALTIME""#,
        );
        let gpus = [Some(1), Some(1)];
        let setup = setup(&plan, &plan.cameras[0], Some(1), &gpus);
        assert_eq!(setup.decoder, Decoder::Gpu(1));
        assert_eq!((setup.picture_queue, setup.coded_queue, setup.surfaces), (40, 80, Some(7)));
        assert_eq!(setup.picture_memory, Some(250 << 20));
        let threads = ThreadSetup { pinned: true, decoder: Priority::Realtime, others: Priority::High };
        assert_eq!(setup.threads, threads);
        for element in ["detection", "pose", "classification"] {
            let options = options(&setup, element);
            let (ElementOptions::Detect(options) | ElementOptions::Pose(options) | ElementOptions::Classify(options)) =
                options
            else {
                panic!("{element}")
            };
            assert_eq!((options.batch_size, options.batch_timeout), (3, Duration::from_micros(2500)));
            assert_eq!((options.backend, options.device_id), (Backend::TensorRt, 1));
            assert!(!options.roi_meta && !options.analytics_meta);
        }
        assert!(matches!(options(&setup, "detection"), ElementOptions::Detect(options) if options.confidence == 0.5));
        let factories: Vec<_> = setup.elements.iter().map(|element| element.options.factory()).collect();
        assert_eq!(factories, ["trtdetect", "trtpose", "trtclassify", "trtpublish", "trtpublish"]);
        let ElementOptions::Classify(classification) = options(&setup, "classification") else { panic!() };
        assert_eq!((classification.top_k, classification.interval), (2, 9));
        assert_eq!((classification.region, classification.min_size.value().width), (InferenceRegion::Objects, 32));
        let ElementOptions::Publish(lines) = options(&setup, "lines-2") else { panic!() };
        assert_eq!(lines.location, "tcp://[::1]:4000");
        let SourceSetup::Rtsp(source) = &setup.source else { panic!() };
        assert_eq!((source.transport, source.latency), (Transport::Udp, Duration::from_millis(50)));
        assert!(!format!("{setup:?}").contains("word"));
        let patience = patience(&plan);
        assert_eq!((patience.silence, patience.backoff.longest), (Duration::from_secs(7), Duration::from_secs(9)));
    }

    #[test]
    fn the_rollback_is_on_the_cpu() {
        gst::init().unwrap();
        let plan = plan(
            r#""USE_UNIFIED_GPU_PIPELINE": false, "ENABLE_DECOUPLED_PIPELINE": true, "FORCE_GPU_ONLY": false,
               "GPU_MEMORY_POOL_SIZE_MB": 500"#,
        );
        let cameras = cameras(&plan, |_| None).unwrap();
        assert_eq!(cameras.iter().map(|camera| camera.decoder).collect::<Vec<_>>(), [Decoder::Cpu, Decoder::Cpu]);
        let ElementOptions::Detect(detection) = options(&cameras[0], "detection") else { panic!() };
        assert_eq!(detection.backend, Backend::Cpu);
        let SourceSetup::Test(source) = &cameras[1].source else { panic!() };
        assert_eq!((source.width, source.height), (320, 240));
        assert!((f64::from(source.rate.numer()) / f64::from(source.rate.denom()) - 29.97).abs() < 1e-3);
    }
}
