//! Frames in device memory.

use super::context::SharedContext;
use super::library::library;
use crate::cuda::{Context, DevicePicture, Event, Stream};
use crate::error::{Error, ErrorKind};
use crate::video_caps::{colorimetry, device_format};
use gst::glib::translate::from_glib_none;
use gst_video::VideoFormat;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// The caps feature of frames in device memory.
pub const CUDA_MEMORY: &str = "memory:CUDAMemory";

/// `GST_MAP_CUDA`: the addresses are the device's, nothing is downloaded.
const MAP_CUDA: gst::ffi::GstMapFlags = 1 << 17;

/// The public begin of GstCudaMemory.
#[repr(C)]
struct CudaMemory {
    memory: gst::ffi::GstMemory,
    context: *mut gst::glib::gobject_ffi::GObject,
}

/// Whether a buffer's frame is in device memory: the one memory that GStreamer's CUDA elements make.
///
/// # Errors
/// No driver or library.
pub fn is_cuda_memory(buffer: &gst::BufferRef) -> Result<bool, Error> {
    let library = library()?;
    Ok(memory(buffer).is_some_and(|memory| {
        // SAFETY: a memory of the buffer.
        unsafe { (library.is_cuda_memory)(memory) != gst::glib::ffi::GFALSE }
    }))
}

fn memory(buffer: &gst::BufferRef) -> Option<*mut gst::ffi::GstMemory> {
    (buffer.n_memory() == 1).then(|| {
        // SAFETY: there is a memory at index 0; it's borrowed as long as the buffer is.
        unsafe { gst::ffi::gst_buffer_peek_memory(buffer.as_mut_ptr(), 0) }
    })
}

/// A frame mapped on the device. It keeps its buffer.
pub struct MappedFrame {
    mapping: gst::ffi::GstMapInfo,
    picture: DevicePicture,
    memory: *mut gst::ffi::GstMemory,
    /// The CUcontext that the frame is in.
    context: *mut c_void,
    /// Given back after the mapping; `None` only while dropped.
    buffer: Option<gst::Buffer>,
}

// SAFETY: a mapping may be used and undone on any thread.
unsafe impl Send for MappedFrame {}
// SAFETY: nothing changes through a shared reference.
unsafe impl Sync for MappedFrame {}

impl MappedFrame {
    /// For reading.
    ///
    /// # Errors
    /// When the frame isn't in device memory, has a format that the kernels don't read, or can't be mapped.
    pub fn read(buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Result<Self, Error> {
        Self::map(buffer.clone(), info, gst::ffi::GST_MAP_READ)
    }

    /// For drawing on it; it has to be the buffer's only reference.
    ///
    /// # Errors
    /// As [`Self::read`], and when the buffer isn't writable.
    pub fn write(buffer: gst::Buffer, info: &gst_video::VideoInfo) -> Result<Self, Error> {
        if !buffer.is_writable() || !buffer.is_all_memory_writable() {
            return Err(failed("a frame that others hold too can't be drawn on".into()));
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
        // Its one memory instead of the frame, which would be mapped anew for each plane.
        // SAFETY: the memory is the buffer's, which is kept beside the mapping; that is written if it succeeds.
        let mapped = unsafe { gst::ffi::gst_memory_map(memory, mapping.as_mut_ptr(), access | MAP_CUDA) };
        if mapped == gst::glib::ffi::GFALSE {
            let (width, height) = (info.width(), info.height());
            return Err(failed(format!("can't map a {width}×{height} {name} frame in CUDA memory")));
        }
        // SAFETY: mapped.
        let mapping: gst::ffi::GstMapInfo = unsafe { mapping.assume_init() };
        // SAFETY: a GstCudaMemory, checked above; its context lives as long as it.
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

    /// Unmaps it. Its planes stay where they are as long as its memory does.
    pub fn into_buffer(mut self) -> Option<gst::Buffer> {
        let buffer = self.buffer.clone();
        self.unmap();
        buffer
    }

    fn unmap(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // SAFETY: mapped once, unmapped once; the buffer, and with it the memory, goes after this.
            unsafe { gst::ffi::gst_memory_unmap(self.memory, &mut self.mapping) };
            drop(buffer);
        }
    }

    /// Its real planes and pitches.
    pub fn picture(&self) -> &DevicePicture {
        &self.picture
    }

    /// The CUcontext that it's in.
    pub fn context(&self) -> *mut c_void {
        self.context
    }

    /// The context that it's in, as others share it.
    ///
    /// # Errors
    /// When the context has failed.
    pub fn shared_context(&self) -> Result<SharedContext, Error> {
        // SAFETY: a GstCudaMemory, kept by the buffer; its GstCudaContext is a GstObject and lives as long as it.
        let object: gst::Object = unsafe { from_glib_none((*self.memory.cast::<CudaMemory>()).context.cast()) };
        SharedContext::of(&object)
    }

    /// Whether it's in `context`, out of which alone it can be read.
    ///
    /// # Errors
    /// Names both devices, or says that there are two contexts of one.
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

    /// Makes `stream` wait for what produces the frame, by way of `event`. Before GStreamer 1.24 producers have waited
    /// themselves.
    ///
    /// # Errors
    /// A device failure.
    pub fn wait_for_producer(&self, event: &Event, stream: &Stream) -> Result<(), Error> {
        let library = library()?;
        let (Some(get_stream), Some(get_handle)) = (library.memory_get_stream, library.stream_get_handle) else {
            return Ok(());
        };
        // SAFETY: a GstCudaMemory, kept by the buffer.
        let producer = unsafe { get_stream(self.memory) };
        if producer.is_null() {
            return Ok(());
        }
        // SAFETY: the memory's stream, which lives as long as it; the event is of the frame's context, as the stream.
        unsafe { event.record_on(get_handle(producer))? };
        stream.wait(event)
    }
}

impl Drop for MappedFrame {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// Where each plane begins in the buffer, and bytes from row to row: the buffer's own, as a decoder's differ from the caps'.
///
/// # Errors
/// Its frame isn't what the caps say.
fn places(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<([Option<u64>; 3], [u32; 3]), Error> {
    let own = buffer.meta::<gst_video::VideoMeta>();
    let fits = |own: &gst_video::VideoMeta| {
        own.format() == info.format() && own.width() >= info.width() && own.height() >= info.height()
    };
    if let Some(own) = own.as_ref().filter(|own| !fits(own)) {
        let what = |format: VideoFormat, width, height| format!("a {width}×{height} {} frame", format.to_str());
        return Err(failed(format!(
            "{} came where the caps say {}",
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
