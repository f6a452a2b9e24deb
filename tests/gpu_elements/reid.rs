//! `trttrack reid=…` on frames in GPU memory.

use super::common::{find, returning};
use super::on_gpu;

on_gpu! {
    fn who_comes_back_is_recognised() {
        let reid = format!("reid={}", find::test_model("classify-logits").display());
        returning::check(&reid, |tracker| {
            format!("cudaupload ! video/x-raw(memory:CUDAMemory) ! {tracker} ! cudadownload")
        });
    }
}
