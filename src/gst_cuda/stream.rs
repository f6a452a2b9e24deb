//! Streams that GStreamer knows too, and our device memory in its buffers.

use super::context::SharedContext;
use super::library::{Streams, library};
use crate::error::{Error, ErrorKind};
use cuda::CudaStream;
use gst::glib;
use gst::glib::translate::{ToGlibPtr, from_glib_full};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A GstCudaStream, which GStreamer has from 1.24 on.
#[derive(Debug)]
pub struct GstStream {
    object: NonNull<c_void>,
    context: SharedContext,
    functions: &'static Streams,
}

// SAFETY: the object is reference-counted atomically and doesn't change.
unsafe impl Send for GstStream {}
// SAFETY: as above.
unsafe impl Sync for GstStream {}

impl GstStream {
    /// Creates a stream; `None` before GStreamer 1.24.
    ///
    /// # Errors
    /// The library is missing, or the device is out of memory or failed.
    pub fn new(context: &SharedContext) -> Result<Option<Self>, Error> {
        let Some(functions) = &library()?.streams else { return Ok(None) };
        // SAFETY: the object is a GstCudaContext.
        let stream = NonNull::new(unsafe { (functions.new)(context.as_ptr()) });
        let failed =
            || Error::new(ErrorKind::Device, "GStreamer can't create a CUDA stream: GST_DEBUG=cuda*:5 shows why");
        Ok(Some(Self { object: stream.ok_or_else(failed)?, context: context.clone(), functions }))
    }

    /// The same stream for our own work.
    pub fn to_cuda(&self) -> CudaStream {
        // SAFETY: the object is a GstCudaStream of this context; the clone keeps it.
        unsafe {
            let handle = (self.functions.get_handle)(self.object.as_ptr());
            CudaStream::shared(self.context.context(), handle, Box::new(self.clone()))
        }
    }

    /// Makes a pool that isn't active produce its frames on this stream.
    pub(super) fn set_for_pool(&self, config: &mut gst::BufferPoolConfig) {
        // SAFETY: only the caller holds the structure, which takes a reference to the stream.
        unsafe { (self.functions.pool_config_set)(config.as_mut_ptr(), self.object.as_ptr()) };
    }

    /// Makes a buffer of device memory that work on this stream writes. A reader on the device has to queue its work on
    /// this stream or behind it, as with every GstCudaMemory; mapping for the CPU downloads.
    ///
    /// # Errors
    /// GStreamer refuses the size.
    ///
    /// # Safety
    /// There are `bytes` of device memory at `address` in this stream's context for as long as `held` lives.
    pub unsafe fn wrap<T: Send>(&self, address: u64, bytes: usize, held: T) -> Result<gst::Buffer, Error> {
        let failed = || Error::new(ErrorKind::Memory, format!("GStreamer can't wrap {bytes} bytes of device memory"));
        // GStreamer describes device memory as pictures: this one has a single line.
        let width = u32::try_from(bytes).map_err(|_| failed())?;
        let line = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, width, 1).build();
        let line = line.map_err(|_| failed())?;
        let held = Box::into_raw(Box::new(held));
        // SAFETY: the objects are of this type, and the memory takes references to them. It frees `held` once.
        let memory = unsafe {
            (self.functions.alloc_wrapped)(
                std::ptr::null_mut(),
                self.context.as_ptr(),
                self.object.as_ptr(),
                line.to_glib_none().0,
                address,
                held.cast(),
                Some(release::<T>),
            )
        };
        if memory.is_null() {
            // SAFETY: the function refused and hasn't taken the box.
            drop(unsafe { Box::from_raw(held) });
            return Err(failed());
        }
        let mut buffer = gst::Buffer::new();
        if let Some(buffer) = buffer.get_mut() {
            // SAFETY: we own the memory's reference.
            buffer.append_memory(unsafe { from_glib_full::<_, gst::Memory>(memory) });
            // The line is padded.
            buffer.set_size(bytes);
        }
        Ok(buffer)
    }
}

impl Clone for GstStream {
    fn clone(&self) -> Self {
        // SAFETY: a GstCudaStream is a GstMiniObject.
        unsafe { gst::ffi::gst_mini_object_ref(self.object.as_ptr().cast()) };
        Self { object: self.object, context: self.context.clone(), functions: self.functions }
    }
}

impl Drop for GstStream {
    fn drop(&mut self) {
        // SAFETY: we own a reference.
        unsafe { gst::ffi::gst_mini_object_unref(self.object.as_ptr().cast()) };
    }
}

/// Frees what a memory has held.
unsafe extern "C" fn release<T>(held: glib::ffi::gpointer) {
    // SAFETY: this is the box that the memory was made with, passed here once.
    drop(unsafe { Box::from_raw(held.cast::<T>()) });
}
