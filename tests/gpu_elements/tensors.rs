//! `trtpreprocess` on the GPU creates the same tensors as on the CPU.

use super::common::running::{Running, pull};
use super::common::tensors::{ROW_MAJOR, gst_tensors};
use super::{noise, on_gpu};
use cuda::CudaStream;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::cpu;
use gsttensorrt::gpu::ReadyTensor;
use gsttensorrt::infer::{Frame, Tensor};
use gsttensorrt::meta;
use half::f16;
use model::{ElementType, Layout, Rect};

/// A tensor's bytes, once they are ready.
fn download(tensor: &Tensor) -> Vec<u8> {
    let Some(ReadyTensor { buffer, ready }) = ReadyTensor::of(&tensor.data) else {
        panic!("the tensor isn't on the device")
    };
    let stream = CudaStream::new(buffer.context()).unwrap();
    stream.wait(ready).unwrap();
    let mut bytes = vec![0; tensor.spec.elements() * tensor.spec.element.size()];
    buffer.download(&mut bytes, &stream).unwrap();
    bytes
}

/// As pixel values 0–255, for every type and range.
fn values(bytes: &[u8], tensor: &Tensor) -> Vec<f32> {
    let scale = 1.0 / (255.0 * tensor.spec.normalization.scale[0]);
    let plain: Vec<f32> = match tensor.spec.element {
        ElementType::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        ElementType::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        ElementType::U8 => bytes.iter().map(|b| f32::from(*b)).collect(),
        ElementType::I32 => bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
        ElementType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
    };
    plain.into_iter().map(|value| value * 255.0 * scale).collect()
}

struct Run {
    pipeline: Running,
    info: VideoInfo,
}

impl Run {
    fn new(format: VideoFormat, elements: &str) -> Self {
        let info = VideoInfo::builder(format, 322, 242).fps(gst::Fraction::new(25, 1)).build().unwrap();
        let pipeline = Running::new(&format!(
            "appsrc name=in format=time ! cudaupload ! {elements} ! appsink name=out sync=false"
        ));
        pipeline.source("in").set_caps(Some(&info.to_caps().unwrap()));
        pipeline.set_state(gst::State::Playing);
        Self { pipeline, info }
    }

    fn push(&self, seed: u32) -> Frame {
        let buffer = noise(&self.info, seed);
        self.pipeline.source("in").push_buffer(buffer.clone()).unwrap();
        Frame { buffer, info: self.info.clone() }
    }

    #[track_caller]
    fn check(&self, frame: &Frame, out: &gst::Buffer, what: &str) {
        let tensors = meta::tensors(out);
        let [tensor] = &tensors[..] else { panic!("{} tensors: {what}", tensors.len()) };
        let whole = Rect::new(0.0, 0.0, 322.0, 242.0);
        assert_eq!(tensor.region, whole, "{what}");
        let mut expected = Vec::new();
        cpu::preprocess_frame(frame, whole, &tensor.spec, &mut expected).unwrap();
        let (got, expected) = (values(&download(tensor), tensor), values(&expected, tensor));
        let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Of 255: rounding to integers may go either way, FP16 has 11 bits.
        let limit = match tensor.spec.element {
            ElementType::F32 => 0.05,
            ElementType::F16 => 0.2,
            _ => 1.01,
        };
        assert!(worst <= limit, "{what}: {worst} of 255 apart");
    }
}

/// `GstTensorMeta` has the same values, which mapping for the CPU downloads.
#[track_caller]
fn gstreamer_has_it_too(out: &gst::Buffer) {
    if !meta::gst_tensors_exist() {
        return;
    }
    let tensor = &meta::tensors(out)[0];
    let [tensors] = &gst_tensors(out)[..] else { panic!("{:?}", gst_tensors(out)) };
    let [gst_tensor] = &tensors[..] else { panic!("{tensors:?}") };
    let dims: &[usize] = match tensor.spec.layout {
        Layout::Nchw => &[1, 3, 96, 160],
        Layout::Nhwc => &[1, 96, 160, 3],
    };
    assert_eq!((gst_tensor.id.as_str(), &gst_tensor.dims[..]), ("image", dims));
    assert_eq!(gst_tensor.dims_order, ROW_MAJOR);
    assert!(gst_tensor.data == download(tensor), "the values differ");
}

on_gpu! {
    fn tensors_are_those_of_the_cpu() {
        for format in [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgba, VideoFormat::Bgra] {
            for settings in [
                "tensor-type=float32",
                "tensor-type=float16 layout=nhwc",
                "tensor-type=uint8 normalization=none layout=nhwc",
                "tensor-type=int32 normalization=none keep-aspect-ratio=false",
            ] {
                let run = Run::new(format, &format!("trtpreprocess name=p width=160 height=96 {settings}"));
                for seed in 0..3 {
                    let frame = run.push(seed);
                    let out = pull(&run.pipeline.sink("out")).unwrap();
                    run.check(&frame, &out, &format!("{format:?} {settings} frame {seed}"));
                    gstreamer_has_it_too(&out);
                }
                let stats = run.pipeline.stats("p");
                assert_eq!(stats.get::<u64>("tensors"), Ok(3));
                assert!(stats.get::<u64>("bytes-to-device").unwrap() > 0);
                assert!(stats.get::<u64>("memory").unwrap() > 0);
            }
        }
    }
}

on_gpu! {
    /// Frames without other references would return to their pool while the device still reads them, if the element didn't hold
    /// them: the tensor would then have the next frame's pixels. The tensors are checked only after all frames are through.
    fn frames_are_kept_until_they_are_read(STANDIN_DELAY = "5000") {
        let run = Run::new(VideoFormat::Nv12, "trtpreprocess width=160 height=96");
        let frames: Vec<_> = (0..8).map(|seed| run.push(seed)).collect();
        let kept: Vec<_> = frames
            .iter()
            .map(|_| {
                // Only the tensor is kept, so that the frame is free.
                let buffer = pull(&run.pipeline.sink("out")).unwrap();
                meta::tensors(&buffer)
            })
            .collect();
        for (n, (frame, tensors)) in frames.iter().zip(&kept).enumerate() {
            let mut out = gst::Buffer::new();
            meta::attach_tensor(out.get_mut().unwrap(), tensors[0].clone());
            run.check(frame, &out, &format!("frame {n}"));
        }
    }
}

on_gpu! {
    /// `model` names an ONNX file, or an engine with its ONNX beside it.
    fn the_model_is_read_without_onnx_runtime() {
        let model = crate::common::find::test_model("yolo-nhwc-u8");
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(&model, folder.path().join("yolo.onnx")).unwrap();
        let engine = folder.path().join("yolo.engine");
        std::fs::write(&engine, b"an unused plan").unwrap();
        for path in [&model, &engine] {
            let run = Run::new(VideoFormat::Nv12, &format!("trtpreprocess model={}", path.display()));
            let frame = run.push(1);
            let out = pull(&run.pipeline.sink("out")).unwrap();
            run.check(&frame, &out, &path.display().to_string());
            assert_eq!(meta::tensors(&out)[0].spec.element, ElementType::U8);
        }
    }
}
