//! With `backend=tensorrt` nothing is downloaded silently.

use super::common::find::test_model;
use super::common::running::{Running, pull};
use super::on_gpu;

on_gpu! {
    fn a_hidden_download_is_an_error() {
        let model = test_model("yolo");
        let model = model.display();
        for element in [format!("trtdetect model={model}"), "trtpreprocess width=32 height=32".into()] {
            for download in [
                "cudadownload name=culprit ! video/x-raw ! queue",
                "cudadownload ! video/x-raw ! videoconvert name=culprit",
            ] {
                let launch =
                    format!("videotestsrc ! video/x-raw,format=NV12 ! cudaupload ! {download} ! {element} ! fakesink");
                let error = Running::refusal(&launch);
                for part in [
                    "backend=tensorrt takes video/x-raw(memory:CUDAMemory)",
                    "upstream culprit",
                    "nvh264dec",
                    "backend=cpu",
                ] {
                    assert!(error.contains(part), "{launch}: no `{part}` in: {error}");
                }
            }
        }
        // A cudadownload with nothing to download forwards frames unmodified.
        let p = Running::playing(
            "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=64,height=48 ! cudaupload ! cudadownload \
             ! trtpreprocess width=32 height=32 ! appsink name=out sync=false",
        );
        assert!(gsttensorrt::gst_cuda::is_cuda_memory(&pull(&p.sink("out")).unwrap()).unwrap());
    }
}

on_gpu! {
    /// `trtpublish` forwards frames in any memory without touching or copying them: both branches of a tee get the same memory.
    fn publishing_leaves_frames_where_they_are() {
        let p = Running::playing(
            "videotestsrc num-buffers=2 ! video/x-raw,format=NV12,width=64,height=48 ! cudaupload \
             ! video/x-raw(memory:CUDAMemory) ! tee name=t \
             t. ! queue ! trtpublish location=/dev/null ! appsink name=published sync=false \
             t. ! queue ! appsink name=plain sync=false",
        );
        for _ in 0..2 {
            let (published, plain) = (pull(&p.sink("published")).unwrap(), pull(&p.sink("plain")).unwrap());
            assert_eq!(published.peek_memory(0).as_ptr(), plain.peek_memory(0).as_ptr());
            assert!(gsttensorrt::gst_cuda::is_cuda_memory(&published).unwrap());
        }
    }
}
