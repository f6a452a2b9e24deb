//! The video caps that the elements accept.

use crate::infer::Backend;
use gst_video::VideoFormat;

/// Caps feature of frames in GPU memory, `video/x-raw(memory:CUDAMemory)`.
pub use crate::gst_cuda::CUDA_MEMORY;

/// Pixel formats in system memory.
pub const SYSTEM_FORMATS: [VideoFormat; 8] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
];

/// Pixel formats in GPU memory: what GStreamer's decoders and converters put there.
pub const CUDA_FORMATS: [VideoFormat; 5] =
    [VideoFormat::Nv12, VideoFormat::P01010le, VideoFormat::I420, VideoFormat::Rgba, VideoFormat::Bgra];

/// The caps that a backend accepts.
pub fn of_backend(backend: Backend) -> gst::Caps {
    match backend {
        Backend::TensorRt => {
            gst_video::VideoCapsBuilder::new().features([CUDA_MEMORY]).format_list(CUDA_FORMATS).build()
        }
        Backend::Cpu => gst_video::VideoCapsBuilder::new().format_list(SYSTEM_FORMATS).build(),
    }
}

/// The caps of the pad templates: both memories, GPU memory first.
pub fn template() -> gst::Caps {
    let mut caps = of_backend(Backend::TensorRt);
    caps.merge(of_backend(Backend::Cpu));
    caps
}

/// The caps without their formats. A pad that isn't linked yet accepts any format in its memories, so that linking
/// succeeds; an unsupported format is reported with its remedy when the caps arrive.
pub fn of_any_format(mut caps: gst::Caps) -> gst::Caps {
    for frames in caps.make_mut().iter_mut() {
        frames.remove_field("format");
    }
    caps
}

/// True if frames of these caps are in GPU memory.
pub fn in_gpu(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(|features| features.contains(CUDA_MEMORY))
}
/// The pads of an element that doesn't read the pixels, and takes frames of any format and memory.
pub fn any_frames() -> Vec<gst::PadTemplate> {
    let caps = gst::Caps::builder("video/x-raw").any_features().build();
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        .into_iter()
        .filter_map(|(name, way)| gst::PadTemplate::new(name, way, gst::PadPresence::Always, &caps).ok())
        .collect()
}

/// The size of frames in pixels. Nothing else is read, so that pixel formats unknown to this GStreamer pass too.
pub fn size(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let pixels = |name| u32::try_from(caps.structure(0)?.get::<i32>(name).ok()?).ok();
    Some((pixels("width")?, pixels("height")?))
}
