//! Copies metadata from one buffer to another.

use super::analytics::keep_gst_tensors;
use gst::prelude::*;

/// Copies everything but the memory layout to a buffer with the same pixels.
pub fn copy_all(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    // This fails only for parts of the memory, and none is requested.
    let _ = from.copy_into(to, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..);
    let place = [gst_video::VideoMeta::meta_api(), gst::ParentBufferMeta::meta_api()];
    let whole = gst::meta::MetaTransformCopy::new(..);
    from.foreach_meta(|meta| {
        if !place.contains(&meta.api()) {
            // A meta that can't be copied is omitted, as in any other copy.
            let _ = meta.transform(to, &whole);
        }
        std::ops::ControlFlow::Continue(())
    });
    keep_gst_tensors(from, to);
}
