//! The functions of libgstcuda. The signatures are those of its installed headers, 1.22 and 1.24.

use crate::error::{Error, ErrorKind};
use cuda::check_driver;
use gst::glib;
use libloading::Library;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

const NAME: &str = "libgstcuda-1.0.so.0";

/// GstCudaContext, GstCudaMemory, GstCudaStream: only their addresses are passed around.
type Pointer = *mut c_void;

/// Of a GstCudaAllocator (null: the default one), context, stream, picture, address, and data for the function.
type AllocWrapped = unsafe extern "C" fn(
    Pointer,
    *mut glib::gobject_ffi::GObject,
    Pointer,
    *const gst_video::ffi::GstVideoInfo,
    u64,
    Pointer,
    glib::ffi::GDestroyNotify,
) -> *mut gst::ffi::GstMemory;

pub(super) struct GstCuda {
    pub context_new_wrapped: unsafe extern "C" fn(Pointer, c_int) -> *mut glib::gobject_ffi::GObject,
    pub context_get_handle: unsafe extern "C" fn(*mut glib::gobject_ffi::GObject) -> Pointer,
    pub is_cuda_memory: unsafe extern "C" fn(*mut gst::ffi::GstMemory) -> glib::ffi::gboolean,
    pub buffer_pool_new: unsafe extern "C" fn(*mut glib::gobject_ffi::GObject) -> *mut gst::ffi::GstBufferPool,
    /// `None` before 1.24.
    pub streams: Option<Streams>,
}

/// Streams of memories.
#[derive(Debug)]
pub(super) struct Streams {
    pub memory_get_stream: unsafe extern "C" fn(*mut gst::ffi::GstMemory) -> Pointer,
    /// A stream's CUstream.
    pub get_handle: unsafe extern "C" fn(Pointer) -> Pointer,
    /// Creates a stream in a context; null if that failed.
    pub new: unsafe extern "C" fn(*mut glib::gobject_ffi::GObject) -> Pointer,
    /// Sets the stream on which a pool produces its frames.
    pub pool_config_set: unsafe extern "C" fn(*mut gst::ffi::GstStructure, Pointer),
    /// Makes a memory of an address, and calls a function with the pointer before it once the memory is freed.
    pub alloc_wrapped: AllocWrapped,
}

/// Opens the library, once.
///
/// # Errors
/// The driver or the library is missing; the error names the package that contains it.
pub(super) fn library() -> Result<&'static GstCuda, Error> {
    static LIBRARY: OnceLock<Result<GstCuda, Error>> = OnceLock::new();
    check_driver()?;
    LIBRARY.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn open() -> Result<GstCuda, Error> {
    // SAFETY: this is GStreamer's library, whose initialisers have no preconditions.
    let library = unsafe { Library::new(NAME) }.map_err(|error| missing(&error))?;
    // SAFETY: these are the functions' signatures in the library's headers.
    let (load, init, found) = unsafe {
        let load = symbol::<unsafe extern "C" fn() -> glib::ffi::gboolean>(&library, "gst_cuda_load_library")?;
        let init = symbol::<unsafe extern "C" fn()>(&library, "gst_cuda_memory_init_once")?;
        let found = GstCuda {
            context_new_wrapped: symbol(&library, "gst_cuda_context_new_wrapped")?,
            context_get_handle: symbol(&library, "gst_cuda_context_get_handle")?,
            is_cuda_memory: symbol(&library, "gst_is_cuda_memory")?,
            buffer_pool_new: symbol(&library, "gst_cuda_buffer_pool_new")?,
            streams: streams(&library).ok(),
        };
        (load, init, found)
    };
    // The library registers types, so it can't be unloaded.
    std::mem::forget(library);
    // SAFETY: the call has no preconditions, and must precede every other call of the library.
    if unsafe { load() } == glib::ffi::GFALSE {
        return Err(Error::new(
            ErrorKind::Library,
            format!("{NAME} can't load the NVIDIA driver: install driver 520 or later"),
        ));
    }
    // SAFETY: the driver is loaded.
    unsafe { init() };
    Ok(found)
}

/// # Safety
/// The library is GStreamer's.
unsafe fn streams(library: &Library) -> Result<Streams, Error> {
    // SAFETY: these are the functions' signatures in the library's headers.
    unsafe {
        Ok(Streams {
            memory_get_stream: symbol(library, "gst_cuda_memory_get_stream")?,
            get_handle: symbol(library, "gst_cuda_stream_get_handle")?,
            new: symbol(library, "gst_cuda_stream_new")?,
            pool_config_set: symbol(library, "gst_buffer_pool_config_set_cuda_stream")?,
            alloc_wrapped: symbol(library, "gst_cuda_allocator_alloc_wrapped")?,
        })
    }
}

/// # Safety
/// `T` is the type of the function `name`.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, Error> {
    // SAFETY: the caller guarantees it.
    unsafe { library.get::<T>(name.as_bytes()) }.map(|symbol| *symbol).map_err(|error| missing(&error))
}

fn missing(error: &libloading::Error) -> Error {
    Error::new(
        ErrorKind::Library,
        format!(
            "frames in CUDA memory need GStreamer's {NAME}, 1.22 or later, and it can't be used: {error}. \
             Install GStreamer's bad plugins (apt: gstreamer1.0-plugins-bad), or set backend=cpu to run on the CPU"
        ),
    )
}
