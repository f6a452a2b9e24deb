//! Frames in device memory.

use super::context::SharedContext;
use super::library::library;
use crate::error::{Error, ErrorKind};
use crate::video_caps::{colorimetry, device_format};
use cuda::{Context, CudaStream, DevicePicture, Event};
use gst::glib::translate::from_glib_none;
use gst_video::VideoFormat;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// The caps feature of frames in device memory.
pub const CUDA_MEMORY: &str = "memory:CUDAMemory";

/// `GST_MAP_CUDA`: maps to device addresses, without a download.
const MAP_CUDA: gst::ffi::GstMapFlags = 1 << 17;

/// The public leading fields of GstCudaMemory.
#[repr(C)]
struct CudaMemory {
    memory: gst::ffi::GstMemory,
    context: *mut gst::glib::gobject_ffi::GObject,
}

/// Whether a buffer's frame is in device memory, as a single memory like those of GStreamer's CUDA elements.
///
/// # Errors
/// The driver or the library is missing.
pub fn is_cuda_memory(buffer: &gst::BufferRef) -> Result<bool, Error> {
    let library = library()?;
    Ok(memory(buffer).is_some_and(|memory| {
        // SAFETY: the memory belongs to the buffer.
        unsafe { (library.is_cuda_memory)(memory) != gst::glib::ffi::GFALSE }
    }))
}

fn memory(buffer: &gst::BufferRef) -> Option<*mut gst::ffi::GstMemory> {
    (buffer.n_memory() == 1).then(|| {
        // SAFETY: there is a memory at index 0, which is borrowed as long as the buffer is.
        unsafe { gst::ffi::gst_buffer_peek_memory(buffer.as_mut_ptr(), 0) }
    })
}

/// A frame mapped on the device. It keeps its buffer alive.
pub struct MappedFrame {
    mapping: gst::ffi::GstMapInfo,
    picture: DevicePicture,
    memory: *mut gst::ffi::GstMemory,
    /// The CUcontext that the frame is in.
    context: *mut c_void,
    /// Released after the mapping; `None` only during drop.
    buffer: Option<gst::Buffer>,
}

// SAFETY: any thread may use a mapping and unmap it.
unsafe impl Send for MappedFrame {}
// SAFETY: nothing changes through a shared reference.
unsafe impl Sync for MappedFrame {}

impl MappedFrame {
    /// Maps a frame for reading.
    ///
    /// # Errors
    /// The frame isn't in device memory, has a format that the kernels don't read, or can't be mapped.
    pub fn read(buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Result<Self, Error> {
        Self::map(buffer.clone(), info, gst::ffi::GST_MAP_READ)
    }

    /// Maps a frame for drawing on it; `buffer` must be the only reference to the buffer.
    ///
    /// # Errors
    /// As for [`Self::read`], or the buffer isn't writable.
    pub fn write(buffer: gst::Buffer, info: &gst_video::VideoInfo) -> Result<Self, Error> {
        if !buffer.is_writable() || !buffer.is_all_memory_writable() {
            return Err(failed("a frame that other elements hold too can't be drawn on".into()));
        }
        Self::map(buffer, info, gst::ffi::GST_MAP_READ | gst::ffi::GST_MAP_WRITE)
    }

    fn map(buffer: gst::Buffer, info: &gst_video::VideoInfo, access: gst::ffi::GstMapFlags) -> Result<Self, Error> {
        let library = library()?;
        let name = info.format().to_str();
        let format = device_format(info.format()).ok_or_else(|| {
            failed(format!("the GPU engine doesn't read {name} frames: put a cudaconvert to NV12 before it"))
        })?;
        let memory = match is_cuda_memory(&buffer)? {
            true => memory(&buffer),
            false => None,
        };
        let memory = memory.ok_or_else(|| {
            failed(format!(
                "a buffer of memory:CUDAMemory caps isn't in CUDA memory ({} memories): its producer downloads frames",
                buffer.n_memory()
            ))
        })?;
        let (planes, pitches) = places(&buffer, info)?;
        let mut mapping = MaybeUninit::uninit();
        // The single memory is mapped rather than the video frame, which would map it again for each plane.
        // SAFETY: the memory belongs to the buffer, which is kept beside the mapping; success initialises the mapping.
        let mapped = unsafe { gst::ffi::gst_memory_map(memory, mapping.as_mut_ptr(), access | MAP_CUDA) };
        if mapped == gst::glib::ffi::GFALSE {
            let (width, height) = (info.width(), info.height());
            return Err(failed(format!("can't map a {width}×{height} {name} frame in CUDA memory")));
        }
        // SAFETY: mapping succeeded, so the mapping is initialised.
        let mapping: gst::ffi::GstMapInfo = unsafe { mapping.assume_init() };
        // SAFETY: the memory is a GstCudaMemory, as checked above; its context lives as long as it does.
        let context = unsafe { (library.context_get_handle)((*memory.cast::<CudaMemory>()).context) };
        let picture = DevicePicture {
            format,
            colorimetry: colorimetry(info),
            width: info.width(),
            height: info.height(),
            planes: planes.map(|plane| plane.map_or(0, |offset| mapping.data as u64 + offset)),
            pitches,
        };
        Ok(Self { mapping, picture, memory, context, buffer: Some(buffer) })
    }

    /// Unmaps the frame and returns its buffer. The planes' addresses stay valid as long as the buffer's memory lives.
    pub fn into_buffer(mut self) -> Option<gst::Buffer> {
        let buffer = self.buffer.clone();
        self.unmap();
        buffer
    }

    fn unmap(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // SAFETY: the memory was mapped once and is unmapped once; the buffer that owns it is released after this.
            unsafe { gst::ffi::gst_memory_unmap(self.memory, &mut self.mapping) };
            drop(buffer);
        }
    }

    /// The frame's actual planes and pitches.
    pub fn picture(&self) -> &DevicePicture {
        &self.picture
    }

    /// The CUcontext that the frame is in.
    pub fn context(&self) -> *mut c_void {
        self.context
    }

    /// The shared context that the frame is in.
    ///
    /// # Errors
    /// The context has failed.
    pub fn shared_context(&self) -> Result<SharedContext, Error> {
        // SAFETY: the buffer keeps the GstCudaMemory; its GstCudaContext is a GstObject and lives as long as it does.
        let object: gst::Object = unsafe { from_glib_none((*self.memory.cast::<CudaMemory>()).context.cast()) };
        SharedContext::of(&object)
    }

    /// Checks that the frame is in `context`, the only context in which it can be read.
    ///
    /// # Errors
    /// Names both devices, or says that one device has two contexts.
    pub fn check_context(&self, context: &Context) -> Result<(), Error> {
        if self.context == context.handle() {
            return Ok(());
        }
        let (ours, theirs) = (context.device(), self.shared_context()?.context().device());
        Err(Error::new(
            ErrorKind::Setting,
            match ours == theirs {
                true => format!(
                    "the frame is in another CUDA context of GPU {ours} than this element: stop the pipeline and start it \
                     again, so that its elements share one, or give them all the same by set_context"
                ),
                false => format!(
                    "device-id={ours}, but the frame is on GPU {theirs}: set device-id={theirs}, or decode on GPU {ours} \
                     (nvh264device{ours}dec; cudaupload cuda-device-id={ours})"
                ),
            },
        ))
    }

    /// Makes `stream` wait, through `event`, for the frame's producer. Before GStreamer 1.24 producers wait for the
    /// device themselves.
    ///
    /// # Errors
    /// A device failure.
    pub fn wait_for_producer(&self, event: &Event, stream: &CudaStream) -> Result<(), Error> {
        let Some(streams) = &library()?.streams else { return Ok(()) };
        // SAFETY: the buffer keeps the GstCudaMemory.
        let producer = unsafe { (streams.memory_get_stream)(self.memory) };
        if producer.is_null() {
            return Ok(());
        }
        // SAFETY: the memory's stream lives as long as the memory, and event and stream are of the frame's context.
        unsafe { event.record_on((streams.get_handle)(producer))? };
        Ok(stream.wait(event)?)
    }
}

impl Drop for MappedFrame {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// The offset of each plane in the buffer and the bytes from row to row. They are taken from the buffer's metadata,
/// because a decoder's layout differs from the caps' default.
///
/// # Errors
/// The buffer's frame doesn't match the caps.
fn places(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<([Option<u64>; 3], [u32; 3]), Error> {
    let own = buffer.meta::<gst_video::VideoMeta>();
    let fits = |own: &gst_video::VideoMeta| {
        own.format() == info.format() && own.width() >= info.width() && own.height() >= info.height()
    };
    if let Some(own) = own.as_ref().filter(|own| !fits(own)) {
        let what = |format: VideoFormat, width, height| format!("a {width}×{height} {} frame", format.to_str());
        return Err(failed(format!(
            "received {}, but the caps say {}",
            what(own.format(), own.width(), own.height()),
            what(info.format(), info.width(), info.height())
        )));
    }
    let (offsets, strides) = match &own {
        Some(own) => (own.offset(), own.stride()),
        None => (info.offset(), info.stride()),
    };
    let (mut planes, mut pitches) = ([None; 3], [0; 3]);
    for (k, (offset, stride)) in offsets.iter().zip(strides).enumerate().take(planes.len()) {
        (planes[k], pitches[k]) = (Some(*offset as u64), u32::try_from(*stride).unwrap_or(0));
    }
    Ok((planes, pitches))
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::Failed, message)
}
