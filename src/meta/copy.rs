//! From one buffer to another.

use gst::prelude::*;

/// What a buffer says of its frame, for another with the same pixels: all but where they are.
pub fn copy_all(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    // Fails only for parts of the memory, of which none is asked for.
    let _ = from.copy_into(to, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..);
    let place = [gst_video::VideoMeta::meta_api(), gst::ParentBufferMeta::meta_api()];
    let whole = gst::meta::MetaTransformCopy::new(..);
    from.foreach_meta(|meta| {
        if !place.contains(&meta.api()) {
            // One that can't be copied stays behind, as with every other copy.
            let _ = meta.transform(to, &whole);
        }
        std::ops::ControlFlow::Continue(())
    });
}
