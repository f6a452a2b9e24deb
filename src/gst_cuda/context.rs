//! One CUDA context per device, shared by all elements: memory of one context can't be read from another.

use super::library::library;
use super::stream::GstStream;
use crate::error::{Error, ErrorKind};
use crate::video_caps::device_format;
use cuda::Context;
use gst::glib;
use gst::glib::translate::from_glib_full;
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// The type of GStreamer contexts that carry a CUDA context, and the name of the field that holds it.
pub const CONTEXT_TYPE: &str = "gst.cuda.context";

/// The key under which a GstCudaContext that wraps our context keeps that context alive.
const HELD: &std::ffi::CStr = c"gst-tensorrt-context";

/// A GstCudaContext, and the [`Context`] for its CUcontext.
#[derive(Debug, Clone)]
pub struct SharedContext {
    object: gst::Object,
    context: Arc<Context>,
}

impl SharedContext {
    /// Returns the process's own context for a device, in which waiting blocks; creates it if none is in use.
    ///
    /// # Errors
    /// The driver, the device or GStreamer's CUDA library is missing.
    pub fn own(device: u32) -> Result<Self, Error> {
        static OWN: Mutex<Option<HashMap<u32, glib::WeakRef<gst::Object>>>> = Mutex::new(None);
        let mut own = OWN.lock();
        let own = own.get_or_insert_default();
        // A failed context isn't reused; it lives on until its last holder drops it.
        if let Some(Ok(shared)) = own.get(&device).and_then(glib::WeakRef::upgrade).map(|object| Self::of(&object)) {
            return Ok(shared);
        }
        let shared = Self::create(device)?;
        own.insert(device, shared.object.downgrade());
        Ok(shared)
    }

    fn create(device: u32) -> Result<Self, Error> {
        let library = library()?;
        let context = Context::create(device)?;
        let number = i32::try_from(context.device()).unwrap_or(0);
        // SAFETY: the context belongs to the loaded driver, and the object keeps the CUcontext alive.
        let object = unsafe { (library.context_new_wrapped)(context.handle(), number) };
        if object.is_null() {
            let message = format!(
                "GStreamer's CUDA library can't wrap our context of device {device}: GST_DEBUG=cuda*:5 shows why"
            );
            return Err(Error::new(ErrorKind::Device, message));
        }
        let held = Box::into_raw(Box::new(context.clone()));
        // SAFETY: the object is new; the data that it keeps is freed once, after its finalisation, which uses the
        // CUcontext.
        unsafe {
            glib::gobject_ffi::g_object_set_data_full(object, HELD.as_ptr(), held.cast(), Some(release));
        }
        // SAFETY: we own the reference, and a GstCudaContext is a GstObject.
        let object: gst::Object = unsafe { from_glib_full(object.cast::<gst::ffi::GstObject>()) };
        remember(&context);
        Ok(Self { object, context })
    }

    /// Returns the context that a GstCudaContext wraps.
    ///
    /// # Errors
    /// The library is missing, the object isn't a GstCudaContext, or the context has failed (the error is the original
    /// cause).
    pub(super) fn of(object: &gst::Object) -> Result<Self, Error> {
        let library = library()?;
        if object.type_().name() != "GstCudaContext" {
            let message = format!("a {CONTEXT_TYPE} holds a {}, not a GstCudaContext", object.type_().name());
            return Err(Error::new(ErrorKind::Device, message));
        }
        // SAFETY: the object is a GstCudaContext.
        let handle = unsafe { (library.context_get_handle)(object.as_ptr().cast()) };
        // There is one `Context` per CUcontext, so that all its users learn of a failure.
        if let Some(context) = remembered(handle as usize) {
            let failure = context.failure().cloned();
            return failure.map_or_else(|| Ok(Self { object: object.clone(), context }), |failure| Err(failure.into()));
        }
        // SAFETY: the object keeps its CUcontext alive, and `Context` keeps the object.
        let context = unsafe { Context::shared(handle, Box::new(object.clone())) }?;
        remember(&context);
        Ok(Self { object: object.clone(), context })
    }

    /// The CUDA context that a GStreamer context carries; `None` if the GStreamer context has another type, or the CUDA
    /// context is on another device than requested.
    ///
    /// # Errors
    /// The library is missing, or the CUDA context can't be used.
    pub fn from_gst(context: &gst::ContextRef, device: Option<u32>) -> Result<Option<Self>, Error> {
        if context.context_type() != CONTEXT_TYPE {
            return Ok(None);
        }
        let Ok(object) = context.structure().get::<gst::Object>(CONTEXT_TYPE) else { return Ok(None) };
        let shared = Self::of(&object)?;
        Ok(device.is_none_or(|device| device == shared.context.device()).then_some(shared))
    }

    /// Wraps this in a GStreamer context, for set_context, messages and queries.
    pub fn to_gst(&self) -> gst::Context {
        let mut context = gst::Context::new(CONTEXT_TYPE, true);
        if let Some(context) = context.get_mut() {
            let structure = context.structure_mut();
            // The field must have the type GstCudaContext: GStreamer's elements ignore a field of a base type.
            if let Ok(object) = self.object.to_value().transform_with_type(self.object.type_())
                && let Ok(object) = object.try_into_send_value::<gst::Object>()
            {
                structure.set_value(CONTEXT_TYPE, object);
            }
            structure.set("cuda-device-id", self.context.device());
        }
        context
    }

    /// Answers a CONTEXT query; `false` if the query is for another type of context, or the context has failed.
    pub fn answer(&self, query: &mut gst::query::Context) -> bool {
        if query.context_type() != CONTEXT_TYPE || self.context.failure().is_some() {
            return false;
        }
        query.set_context(&self.to_gst());
        true
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The GstCudaContext.
    pub(super) fn as_ptr(&self) -> *mut glib::gobject_ffi::GObject {
        self.object.as_ptr().cast()
    }

    /// Creates a pool of frames in this context, not configured yet.
    ///
    /// # Errors
    /// The library is missing.
    pub fn buffer_pool(&self) -> Result<gst::BufferPool, Error> {
        let library = library()?;
        // SAFETY: the object is a GstCudaContext, to which the pool takes a reference. GstCudaBufferPool is a
        // GstBufferPool.
        Ok(unsafe { from_glib_full((library.buffer_pool_new)(self.as_ptr())) })
    }

    /// Creates a pool of frames in this context, configured but not active. Also returns the size of its buffers, which
    /// have longer rows than the caps say. From GStreamer 1.24 on the pool's frames are produced on a separate stream.
    ///
    /// # Errors
    /// The library is missing, GStreamer doesn't support the caps' format in CUDA memory, or memory ran out.
    pub fn frame_pool(&self, caps: &gst::Caps, min: u32) -> Result<(gst::BufferPool, u32), Error> {
        let refused = || {
            let message = format!("can't create a pool of {caps} in CUDA memory: GST_DEBUG=cuda*:5 shows why");
            Error::new(ErrorKind::Memory, message)
        };
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| refused())?;
        // GStreamer fails an assertion on other formats.
        device_format(info.format()).ok_or_else(refused)?;
        let pool = self.buffer_pool()?;
        let mut config = pool.config();
        config.set_params(Some(caps), u32::try_from(info.size()).unwrap_or(u32::MAX), min, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
        self.set_stream(&mut config)?;
        pool.set_config(config).map_err(|_| refused())?;
        // The pool has raised the size to what the device's row pitch requires.
        let (_, size, _, _) = pool.config().params().ok_or_else(refused)?;
        Ok((pool, size))
    }

    /// Makes a pool produce its frames on a new stream, if this GStreamer supports streams.
    fn set_stream(&self, config: &mut gst::BufferPoolConfig) -> Result<(), Error> {
        if let Some(stream) = GstStream::new(self)? {
            stream.set_for_pool(config);
        }
        Ok(())
    }
}

/// Looks for a context that other elements already have: downstream, upstream, then in bins and the application. An
/// element that has one calls our element's set_context during this call, so no lock that set_context takes may be
/// held; `found` tells whether a context was set.
pub fn find(element: &gst::Element, found: impl Fn() -> bool) {
    for pad in element.src_pads().into_iter().chain(element.sink_pads()) {
        if found() {
            return;
        }
        let mut query = gst::query::Context::new(CONTEXT_TYPE);
        if pad.peer_query(&mut query)
            && let Some(context) = query.context_owned()
        {
            element.set_context(&context);
        }
    }
    if !found() {
        let message = gst::message::NeedContext::builder(CONTEXT_TYPE).src(element).build();
        // This fails only without a bus, and then there is no application or bin that could have a context.
        let _ = element.post_message(message);
    }
}

/// Frees the data that a GstCudaContext keeps.
unsafe extern "C" fn release(held: glib::ffi::gpointer) {
    // SAFETY: this is the box that was attached to the object, passed here once.
    drop(unsafe { Box::from_raw(held.cast::<Arc<Context>>()) });
}

/// Contexts in use, by handle.
static KNOWN: Mutex<Option<HashMap<usize, Weak<Context>>>> = Mutex::new(None);

fn remember(context: &Arc<Context>) {
    let mut known = KNOWN.lock();
    let known = known.get_or_insert_default();
    known.retain(|_, context| context.strong_count() > 0);
    known.insert(context.handle() as usize, Arc::downgrade(context));
}

fn remembered(handle: usize) -> Option<Arc<Context>> {
    let known = KNOWN.lock();
    known.as_ref()?.get(&handle)?.upgrade()
}
