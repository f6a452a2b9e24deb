//! What elements with a `backend` property do in their state changes: never a silent fallback.

use super::caps;
use crate::infer::{Backend, Error, ErrorKind, check_backend};
use gst::prelude::*;

/// NULL→READY: the backend's libraries and devices.
///
/// # Errors
/// What is missing, and how to get it.
pub fn open(backend: Backend) -> Result<(), Error> {
    check_backend(backend)
}

/// What pads take: both memories while no backend is open, so that an element that can't run says why instead of
/// "could not link"; then the backend's only.
pub fn caps(open: Option<Backend>) -> gst::Caps {
    open.map_or_else(caps::template, caps::of_backend)
}

/// READY→PAUSED: whether upstream has frames in the backend's memory.
///
/// # Errors
/// Names the upstream element and the remedy.
pub fn check_upstream(sink: &gst::Pad, backend: Backend) -> Result<(), Error> {
    let offered = sink.peer_query_caps(None);
    if offered.is_empty() || offered.can_intersect(&caps::of_backend(backend)) {
        return Ok(());
    }
    let name = producer(sink).map_or_else(|| "upstream".into(), |element| format!("upstream {}", element.name()));
    Err(Error::new(
        ErrorKind::Setting,
        match backend {
            Backend::TensorRt => format!(
                "backend=tensorrt takes video/x-raw(memory:CUDAMemory), {name} offers {offered}: use nvh264dec (or \
                 cudaupload), or set backend=cpu"
            ),
            Backend::Cpu => format!(
                "backend=cpu takes video/x-raw in system memory as NV12, I420 or 8-bit RGB, {name} offers {offered}: use \
                 videoconvert (or cudadownload), or set backend=tensorrt"
            ),
        },
    ))
}

/// The element upstream that makes the frames: behind those that pass them on as they are (capsfilter, queue, tee).
fn producer(sink: &gst::Pad) -> Option<gst::Element> {
    let mut element = sink.peer()?.parent_element()?;
    while element.metadata(gst::ELEMENT_METADATA_KLASS).is_some_and(|klass| klass.starts_with("Generic"))
        && let [before] = element.sink_pads().as_slice()
        && let Some(next) = before.peer().and_then(|peer| peer.parent_element())
    {
        element = next;
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements with system memory only before an element with `backend=tensorrt`, and the other way round.
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
