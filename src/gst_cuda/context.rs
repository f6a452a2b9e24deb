//! One CUDA context for all elements of a device: memory of one context can't be read from another.

use super::library::library;
use crate::cuda::Context;
use crate::error::{Error, ErrorKind};
use crate::video_caps::device_format;
use gst::glib;
use gst::glib::translate::{ToGlibPtr, from_glib_full};
use gst::prelude::*;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// The type of GStreamer contexts that carry a CUDA context, and their field with it.
pub const CONTEXT_TYPE: &str = "gst.cuda.context";

/// The key under which a wrapping GstCudaContext holds the context that we made.
const HELD: &std::ffi::CStr = c"gst-tensorrt-context";

/// A GstCudaContext, and what it stands for.
#[derive(Debug, Clone)]
pub struct SharedContext {
    object: gst::Object,
    context: Arc<Context>,
}

impl SharedContext {
    /// The process's own context of a device, in which waiting blocks; made when nobody has it any more.
    ///
    /// # Errors
    /// No driver, no such device, no library.
    pub fn own(device: u32) -> Result<Self, Error> {
        static OWN: Mutex<Option<HashMap<u32, glib::WeakRef<gst::Object>>>> = Mutex::new(None);
        let mut own = OWN.lock();
        let own = own.get_or_insert_default();
        // One that has failed is left to those that still hold it.
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
        // SAFETY: a context of the driver that is loaded; the CUcontext outlives the object, which holds it.
        let object = unsafe { (library.context_new_wrapped)(context.handle(), number) };
        if object.is_null() {
            let message =
                format!("GStreamer's CUDA library refuses our context of device {device}: see GST_DEBUG=cuda*:5");
            return Err(Error::new(ErrorKind::Device, message));
        }
        let held = Box::into_raw(Box::new(context.clone()));
        // SAFETY: a new object; what it holds is freed once, after its own finalisation, which uses the CUcontext.
        unsafe {
            glib::gobject_ffi::g_object_set_data_full(object, HELD.as_ptr(), held.cast(), Some(release));
        }
        // SAFETY: the reference is ours, and a GstCudaContext is a GstObject.
        let object: gst::Object = unsafe { from_glib_full(object.cast::<gst::ffi::GstObject>()) };
        remember(&context);
        Ok(Self { object, context })
    }

    /// The context that a GstCudaContext stands for.
    ///
    /// # Errors
    /// No library; it's no GstCudaContext; or it has failed before, with the first cause.
    pub(super) fn of(object: &gst::Object) -> Result<Self, Error> {
        let library = library()?;
        if object.type_().name() != "GstCudaContext" {
            let message = format!("a {CONTEXT_TYPE} holds a {}, not a GstCudaContext", object.type_().name());
            return Err(Error::new(ErrorKind::Device, message));
        }
        // SAFETY: a GstCudaContext.
        let handle = unsafe { (library.context_get_handle)(object.as_ptr().cast()) };
        // One context is one `Context`, so that its failure is known to all.
        if let Some(context) = remembered(handle as usize) {
            let failure = context.failure().cloned();
            return failure.map_or_else(|| Ok(Self { object: object.clone(), context }), Err);
        }
        // SAFETY: the object keeps its CUcontext, and is kept.
        let context = unsafe { Context::shared(handle, Box::new(object.clone())) }?;
        remember(&context);
        Ok(Self { object: object.clone(), context })
    }

    /// What a GStreamer context carries; `None` if it's of another type, or of another device than asked for.
    ///
    /// # Errors
    /// No library, or what it carries can't be used.
    pub fn from_gst(context: &gst::ContextRef, device: Option<u32>) -> Result<Option<Self>, Error> {
        if context.context_type() != CONTEXT_TYPE {
            return Ok(None);
        }
        let Ok(object) = context.structure().get::<gst::Object>(CONTEXT_TYPE) else { return Ok(None) };
        let shared = Self::of(&object)?;
        Ok(device.is_none_or(|device| device == shared.context.device()).then_some(shared))
    }

    /// As a GStreamer context, for set_context, messages and queries.
    pub fn to_gst(&self) -> gst::Context {
        let mut context = gst::Context::new(CONTEXT_TYPE, true);
        if let Some(context) = context.get_mut() {
            let structure = context.structure_mut();
            // As a GstCudaContext: GStreamer's elements overlook a field of another type, were it a base class.
            if let Ok(object) = self.object.to_value().transform_with_type(self.object.type_())
                && let Ok(object) = object.try_into_send_value::<gst::Object>()
            {
                structure.set_value(CONTEXT_TYPE, object);
            }
            structure.set("cuda-device-id", self.context.device());
        }
        context
    }

    /// Answers a CONTEXT query; `false` if it asks for something else, or the context has failed.
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

    /// A pool of frames in this context, not configured yet.
    ///
    /// # Errors
    /// No library.
    pub fn buffer_pool(&self) -> Result<gst::BufferPool, Error> {
        let library = library()?;
        let object: *mut gst::ffi::GstObject = self.object.to_glib_none().0;
        // SAFETY: a GstCudaContext; the pool takes a reference of its own. GstCudaBufferPool is a GstBufferPool.
        Ok(unsafe { from_glib_full((library.buffer_pool_new)(object.cast())) })
    }

    /// A pool of frames in this context, configured but not active, and the bytes of one of its buffers: rows are longer
    /// than the caps say. From GStreamer 1.24 on its frames are made on a stream of their own.
    ///
    /// # Errors
    /// No library; caps that aren't of a format that GStreamer puts in CUDA memory; no room.
    pub fn frame_pool(&self, caps: &gst::Caps, min: u32) -> Result<(gst::BufferPool, u32), Error> {
        let refused = || {
            let message = format!("no pool of {caps} in CUDA memory: GST_DEBUG=cuda*:5 says why");
            Error::new(ErrorKind::Memory, message)
        };
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| refused())?;
        // GStreamer asserts on others.
        device_format(info.format()).ok_or_else(refused)?;
        let pool = self.buffer_pool()?;
        let mut config = pool.config();
        config.set_params(Some(caps), u32::try_from(info.size()).unwrap_or(u32::MAX), min, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
        self.set_stream(&mut config)?;
        pool.set_config(config).map_err(|_| refused())?;
        // The pool has put in what the device's rows need.
        let (_, size, _, _) = pool.config().params().ok_or_else(refused)?;
        Ok((pool, size))
    }

    /// Has a pool's frames made on a new stream, where this GStreamer knows of streams.
    fn set_stream(&self, config: &mut gst::BufferPoolConfig) -> Result<(), Error> {
        let library = library()?;
        let (Some(new), Some(set)) = (library.stream_new, library.pool_config_set_stream) else { return Ok(()) };
        let object: *mut gst::ffi::GstObject = self.object.to_glib_none().0;
        // SAFETY: a GstCudaContext.
        let stream = unsafe { new(object.cast()) };
        if stream.is_null() {
            return Err(Error::new(ErrorKind::Device, "GStreamer can't make a CUDA stream: see GST_DEBUG=cuda*:5"));
        }
        // SAFETY: a structure that is ours alone, and a GstCudaStream, to which it takes a reference; ours goes after that.
        // A GstCudaStream is a GstMiniObject.
        unsafe {
            set(config.as_mut_ptr(), stream);
            gst::ffi::gst_mini_object_unref(stream.cast());
        }
        Ok(())
    }
}

/// Looks for a context that elements around already have: downstream, upstream, then bins and the application. Whoever has
/// one calls the element's set_context during this, so no lock that it takes may be held; `found` says whether it did.
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
        // False only without a bus: then there is nobody to have one.
        let _ = element.post_message(message);
    }
}

/// Frees what a GstCudaContext holds.
unsafe extern "C" fn release(held: glib::ffi::gpointer) {
    // SAFETY: the box of `create`, passed here once.
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
