//! Tests that need a GPU are skipped on machines without one.

use super::*;
use crate::error::ErrorKind;
use crate::video_caps::device_format;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

/// The shared context; `None` if the machine has no GPU, after checking that the error names a remedy.
fn shared(test: &str) -> Option<SharedContext> {
    gst::init().unwrap();
    match SharedContext::own(0) {
        Ok(shared) => Some(shared),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::Library | ErrorKind::Device), "{error}");
            assert!(error.message.contains("backend=cpu") || error.message.contains("driver"), "{error}");
            eprintln!("skipped: {test} needs a GPU: {error}");
            None
        }
    }
}

#[test]
fn formats_are_those_of_the_kernels() {
    use model::video::DeviceFormat;
    assert_eq!(device_format(VideoFormat::Nv12), Some(DeviceFormat::Nv12));
    assert_eq!(device_format(VideoFormat::P01010le), Some(DeviceFormat::P010));
    assert_eq!(device_format(VideoFormat::Bgrx), Some(DeviceFormat::Bgra));
    assert_eq!(device_format(VideoFormat::Y444), None);
}

#[test]
fn one_context_is_shared_through_gstreamers() {
    let Some(first) = shared("one_context_is_shared_through_gstreamers") else { return };
    let again = SharedContext::own(0).unwrap();
    assert_eq!(first.context().handle(), again.context().handle());
    let carried = first.to_gst();
    let read = SharedContext::from_gst(&carried, Some(0)).unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(read.context(), first.context()));
    assert!(SharedContext::from_gst(&carried, Some(7)).unwrap().is_none(), "the context is on another device");
    assert!(SharedContext::from_gst(&gst::Context::new("other", true), None).unwrap().is_none());

    let mut query = gst::query::Context::new(CONTEXT_TYPE);
    assert!(first.answer(&mut query));
    assert!(SharedContext::from_gst(&query.context_owned().unwrap(), None).unwrap().is_some());
    assert!(!first.answer(&mut gst::query::Context::new("other")));
}

/// GStreamer may hold a context longer than this crate does.
#[test]
fn the_wrapped_context_outlives_us() {
    let Some(shared) = shared("the_wrapped_context_outlives_us") else { return };
    let carried = shared.to_gst();
    drop(shared);
    let later = SharedContext::from_gst(&carried, None).unwrap().unwrap();
    assert!(later.context().memory().unwrap().1 > 0);
}

#[test]
fn frames_have_their_real_planes() {
    let Some(shared) = shared("frames_have_their_real_planes") else { return };
    let info = VideoInfo::builder(VideoFormat::Nv12, 1918, 1078).build().unwrap();
    let mut caps = info.to_caps().unwrap();
    caps.get_mut().unwrap().set_features_simple(Some(gst::CapsFeatures::new(["memory:CUDAMemory"])));
    let pool = shared.buffer_pool().unwrap();
    let mut config = pool.config();
    config.set_params(Some(&caps), info.size() as u32, 0, 0);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    let buffer = pool.acquire_buffer(None).unwrap();
    assert!(is_cuda_memory(&buffer).unwrap());
    let frame = MappedFrame::read(&buffer, &info).unwrap();
    let picture = frame.picture();
    picture.check().unwrap();
    assert!(picture.pitches[0] >= 1918 && picture.pitches[1] >= 1918, "{picture:?}");
    assert!(picture.planes[1] >= picture.planes[0] + u64::from(picture.pitches[0]) * 1078, "{picture:?}");
    assert_eq!(frame.context(), shared.context().handle());
    let (event, stream) =
        (cuda::Event::new(shared.context()).unwrap(), cuda::CudaStream::new(shared.context()).unwrap());
    frame.wait_for_producer(&event, &stream).unwrap();
    stream.synchronise().unwrap();
    drop(frame);
    let larger = VideoInfo::builder(VideoFormat::Nv12, 1920, 1080).build().unwrap();
    let error = MappedFrame::read(&buffer, &larger).err().unwrap();
    assert!(error.message.contains("received a 1918×1078 NV12 frame, but the caps say a 1920×1080 NV12"), "{error}");
    drop(buffer);
    pool.set_active(false).unwrap();
}

#[test]
fn system_memory_is_refused() {
    if shared("system_memory_is_refused").is_none() {
        return;
    }
    let info = VideoInfo::builder(VideoFormat::Nv12, 64, 64).build().unwrap();
    let buffer = gst::Buffer::with_size(info.size()).unwrap();
    let error = MappedFrame::read(&buffer, &info).err().unwrap();
    assert!(error.message.contains("isn't in CUDA memory"), "{error}");
}
