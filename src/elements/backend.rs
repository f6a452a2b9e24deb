//! State-change steps shared by the elements with a `backend` property. There is never a silent fallback.

use super::{caps, refusal};
use crate::backend::check_backend;
use crate::error::Error;
use crate::infer::Backend;
use gst::prelude::*;

/// NULL→READY: checks that the backend's libraries and devices are available.
///
/// # Errors
/// Names what is missing and how to get it.
pub fn open(backend: Backend) -> Result<(), Error> {
    check_backend(backend)
}

/// The caps that the pads accept. While no backend is open they accept both memories, so that an element that can't run
/// reports the reason instead of "could not link". Once a backend is open they accept its memory only.
pub fn caps(open: Option<Backend>) -> gst::Caps {
    open.map_or_else(caps::template, caps::of_backend)
}

/// READY→PAUSED: checks that upstream delivers frames in the backend's memory.
///
/// # Errors
/// Names the upstream element and the remedy.
pub fn check_upstream(sink: &gst::Pad, backend: Backend) -> Result<(), Error> {
    let (offered, taken) = (sink.peer_query_caps(None), caps::of_backend(backend));
    if offered.is_empty() || offered.can_intersect(&taken) {
        return Ok(());
    }
    let whose = match backend {
        Backend::TensorRt => "backend=tensorrt",
        Backend::Cpu => "backend=cpu",
    };
    Err(refusal::error(whose, sink, &offered, &taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Elements that offer only system memory in front of `backend=tensorrt`, and the reverse.
    #[test]
    fn frames_in_another_memory_name_their_producer_and_the_remedy() {
        gst::init().unwrap();
        let launch = "videotestsrc name=camera ! video/x-raw,format=NV12 ! queue ! tee ! identity name=ours ! fakesink";
        let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Bin>().unwrap();
        let sink = pipeline.by_name("ours").unwrap().static_pad("sink").unwrap();
        let error = check_upstream(&sink, Backend::TensorRt).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Setting);
        for part in ["takes video/x-raw(memory:CUDAMemory)", "upstream camera offers", "nvh264dec", "backend=cpu"] {
            assert!(error.message.contains(part), "{part}: {error}");
        }
        check_upstream(&sink, Backend::Cpu).unwrap();

        let ours = gst::ElementFactory::make("identity").build().unwrap();
        let alone = ours.static_pad("sink").unwrap();
        check_upstream(&alone, Backend::TensorRt).unwrap();
        let caps = "video/x-raw(memory:CUDAMemory),format=NV12".parse::<gst::Caps>().unwrap();
        let filter = gst::ElementFactory::make("capsfilter").property("caps", caps).build().unwrap();
        let bin = gst::Bin::new();
        bin.add_many([&filter, &ours]).unwrap();
        filter.link(&ours).unwrap();
        check_upstream(&alone, Backend::TensorRt).unwrap();
        assert!(check_upstream(&alone, Backend::Cpu).unwrap_err().message.contains("cudadownload"));
    }
}
