//! All elements share one CUDA context, whichever starts first, and pools of frames in it.

use super::common::running::Running;
use super::{context_of, gpu_caps, on_gpu};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoMeta};
use gsttensorrt::gst_cuda::SharedContext;

const LAUNCH: &str = "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=64,height=48 ! cudaupload name=upload \
                      ! trtpreprocess name=tensors width=32 height=32 ! trtoverlay name=overlay ! cudadownload name=download \
                      ! fakesink";

on_gpu! {
    fn elements_share_a_context() {
        // From sink to source, as gst-launch does it; then GStreamer's element first; then ours alone first.
        for first in ["", "upload", "tensors"] {
            let p = Running::new(LAUNCH);
            if !first.is_empty() {
                p.element(first).set_state(gst::State::Ready).unwrap();
            }
            p.set_state(gst::State::Playing);
            p.wait_for_end();
            let ours = context_of(&p.element("tensors"), "src").expect("ours answers");
            assert_eq!(context_of(&p.element("tensors"), "sink").as_ref(), Some(&ours), "both pads: {first:?}");
            for other in ["upload", "download", "overlay"] {
                assert_eq!(context_of(&p.element(other), "src").as_ref(), Some(&ours), "{other}, {first:?} first");
            }
        }
    }
}

on_gpu! {
    fn an_applications_context_is_taken() {
        let context = SharedContext::own(0).unwrap().to_gst();
        let given: gst::Object = context.structure().get(gsttensorrt::gst_cuda::CONTEXT_TYPE).unwrap();
        let p = Running::new(LAUNCH);
        p.0.set_context(&context);
        p.set_state(gst::State::Playing);
        p.wait_for_end();
        for element in ["upload", "tensors", "overlay", "download"] {
            let answered = context_of(&p.element(element), "src").unwrap();
            assert_eq!(answered, given.clone().upcast::<gst::glib::Object>(), "{element}");
        }
        // Released at NULL, and found again at the next start.
        p.set_state(gst::State::Null);
        assert!(context_of(&p.element("tensors"), "src").is_none());
        p.set_state(gst::State::Ready);
        assert_eq!(context_of(&p.element("tensors"), "src"), Some(given.upcast()));
    }
}

on_gpu! {
    fn pipelines_share_a_context() {
        let (one, two) = (Running::new(LAUNCH), Running::new(LAUNCH));
        for pipeline in [&one, &two] {
            pipeline.set_state(gst::State::Playing);
            pipeline.wait_for_end();
        }
        let of = |p: &Running| context_of(&p.element("tensors"), "src").unwrap();
        assert_eq!(of(&one), of(&two));
    }
}

on_gpu! {
    /// A frame on GPU 0 arrives at an element that works on GPU 1.
    fn another_device_is_named(STANDIN_DEVICES = "2") {
        let p = Running::new(
            "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=64,height=48 ! cudaupload cuda-device-id=0 \
             ! trtpreprocess device-id=1 width=32 height=32 ! fakesink",
        );
        let _ = p.0.set_state(gst::State::Playing);
        let error = p.error();
        assert!(error.contains("device-id=1") && error.contains("GPU 0") && error.contains("set device-id=0"), "{error}");
        // The error for a missing device lists the existing ones.
        let error = Running::refusal("videotestsrc ! cudaupload ! trtpreprocess device-id=7 width=32 height=32 ! fakesink");
        assert!(error.contains("device-id=7") && error.contains("CUDA_VISIBLE_DEVICES"), "{error}");
    }
}

on_gpu! {
    fn frames_are_allocated_in_our_context() {
        let ask = |launch: &str, format| {
            let p = Running::new(launch);
            p.set_state(gst::State::Paused);
            let info = VideoInfo::builder(format, 1918, 1078).build().unwrap();
            let (sink, caps) = (p.element("ours").static_pad("sink").unwrap(), gpu_caps(&info));
            // Downstream is asked only once it knows the caps, as GStreamer's own elements do it.
            assert!(sink.send_event(gst::event::StreamStart::new("frames")));
            assert!(sink.send_event(gst::event::Caps::new(&caps)));
            let mut query = gst::query::Allocation::new(Some(&caps), true);
            assert!(sink.query(&mut query));
            assert!(query.find_allocation_meta::<VideoMeta>().is_some(), "VideoMeta is offered");
            let pools: Vec<_> =
                query.allocation_pools().map(|(pool, size, min, max)| (pool.clone(), size, min, max)).collect();
            let [(Some(pool), size, min, 0)] = &pools[..] else { panic!("{pools:?}") };
            assert_eq!(pool.type_().name(), "GstCudaBufferPool");
            let (_, configured, ..) = pool.config().params().unwrap();
            assert_eq!(configured, *size, "as the pool itself says");
            assert!(*size as usize >= info.size(), "{size}");
            *min
        };
        // The frames that the element holds, and two for the decoder.
        let nowhere = "appsrc ! trtpreprocess name=ours width=32 height=32 max-in-flight=3 ! fakesink async=false";
        assert_eq!(ask(nowhere, VideoFormat::Nv12), 3 + 1 + 2);
        assert_eq!(ask(nowhere, VideoFormat::P01010le), 3 + 1 + 2);
        // Also those that downstream elements hold, in one pool.
        let two = "appsrc ! trtpreprocess name=ours width=32 height=32 max-in-flight=3 \
                   ! trtpreprocess width=48 height=32 max-in-flight=5 ! fakesink async=false";
        assert_eq!(ask(two, VideoFormat::Rgba), (3 + 1) + (5 + 1 + 2));
    }
}
