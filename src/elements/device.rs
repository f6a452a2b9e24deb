//! The CUDA context of an element with `backend=tensorrt`: acquired at NULL→READY, shared, and released at READY→NULL.
//!
//! State changes run from sink to source, so these elements are often the first to look for a context. If none exists
//! they create one (waiting on it blocks the thread, whereas a context made by GStreamer spins) and offer it to bins,
//! application and peers. Decoders then use it.
//!
//! An element
//! - calls [`Device::open`] at NULL→READY and [`Device::close`] at READY→NULL,
//! - passes `ElementImpl::set_context` on to [`Device::set_context`] before it chains up,
//! - returns it from `Stage::device`, so that the pads answer CONTEXT queries.

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::{CONTEXT_TYPE, SharedContext, find};
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtdevice", gst::DebugColorFlags::empty(), Some("CUDA contexts of TensorRT elements"))
});

/// The property `device-id` of an element.
pub fn id_property<'a>(default: u32) -> glib::ParamSpecUIntBuilder<'a> {
    glib::ParamSpecUInt::builder("device-id")
        .nick("GPU")
        .blurb("Index of the GPU among those that CUDA_VISIBLE_DEVICES leaves visible; only for backend=tensorrt")
        .maximum(255)
        .default_value(default)
}

/// The CUDA context that an element shares with others.
///
/// While the element searches for a context, its owner calls the element's `set_context` on the same thread. No lock is
/// held during the search.
#[derive(Debug, Default)]
pub struct Device(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Set from `open` to `close`: the context that the element accepts.
    wanted: Option<Wanted>,
    context: Option<SharedContext>,
}

/// The context that an element accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The context of the device with this `device-id`.
    Device(u32),
    /// The context of the frames, on any device.
    Any,
}

impl Wanted {
    fn device(self) -> Option<u32> {
        match self {
            Self::Device(device) => Some(device),
            Self::Any => None,
        }
    }
}

impl Device {
    /// Finds a context for the device, or creates one and offers it.
    ///
    /// # Errors
    /// There is no driver, no such device or no libgstcuda.
    pub fn open(&self, element: &impl IsA<gst::Element>, wanted: Wanted) -> Result<(), Error> {
        let element = element.upcast_ref::<gst::Element>();
        cuda::check_driver()?;
        *self.0.lock() = State { wanted: Some(wanted), context: None };
        // The application may have set a context earlier.
        if let Some(context) = element.context(CONTEXT_TYPE) {
            self.set_context(element, &context);
        }
        find(element, || self.0.lock().context.is_some());
        if self.0.lock().context.is_some() {
            return Ok(());
        }
        let device = wanted.device().unwrap_or(0);
        let own = SharedContext::own(device).inspect_err(|_| self.close())?;
        let offered = own.to_gst();
        self.0.lock().context.get_or_insert(own);
        gst::info!(CAT, obj = element, "Created a context for device {device} and offers it");
        // This fails only without a bus, and then there is no application to use the context.
        let _ = element.post_message(gst::message::HaveContext::builder(offered).src(element).build());
        Ok(())
    }

    /// Takes an offered context if the element is looking for one and the device matches. A context that has failed is
    /// never taken.
    pub fn set_context(&self, element: &impl IsA<gst::Element>, context: &gst::Context) {
        let element = element.upcast_ref::<gst::Element>();
        let wanted = {
            let state = self.0.lock();
            if state.context.is_some() { None } else { state.wanted }
        };
        let Some(wanted) = wanted else { return };
        match SharedContext::from_gst(context, wanted.device()) {
            Ok(Some(found)) => {
                gst::info!(CAT, obj = element, "Uses the context offered for device {}", found.context().device());
                self.0.lock().context.get_or_insert(found);
            }
            Ok(None) => gst::debug!(CAT, obj = element, "Ignores {}: it isn't for {wanted:?}", context.context_type()),
            Err(error) => gst::warning!(CAT, obj = element, "The offered context is unusable: {error}"),
        }
    }

    /// Replaces the current context with the context of the frames.
    pub fn adopt(&self, frames: SharedContext) {
        let before = self.0.lock().context.replace(frames);
        drop(before);
    }

    /// The current context.
    ///
    /// # Errors
    /// The reason why the context has failed, or that there is none in NULL.
    pub fn context(&self) -> Result<SharedContext, Error> {
        let none = || Error::new(ErrorKind::Device, "there is no CUDA context in state NULL");
        let shared = self.0.lock().context.clone().ok_or_else(none)?;
        shared.context().failure().map_or(Ok(shared.clone()), |error| Err(error.clone().into()))
    }

    /// Answers a neighbour's CONTEXT query. Returns false for any other query, or without a working context.
    pub fn answer(&self, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::Context(query) = query.view_mut() else { return false };
        let shared = self.0.lock().context.clone();
        shared.is_some_and(|shared| shared.answer(query))
    }

    /// Releases the context.
    pub fn close(&self) {
        let before = std::mem::take(&mut *self.0.lock());
        // The last reference may destroy the context, so it is dropped outside the lock.
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a GPU the error names what is missing; with one, two elements share a context.
    #[test]
    fn one_context_for_all_or_an_error() {
        gst::init().unwrap();
        let (one, two) = (gst::Bin::new(), gst::Bin::new());
        let (first, second) = (Device::default(), Device::default());
        if let Err(error) = first.open(&one, Wanted::Device(0)) {
            assert!(error.message.contains("backend=cpu"), "{error}");
            assert_eq!(first.context().unwrap_err().message, "there is no CUDA context in state NULL");
            assert!(!first.answer(gst::query::Context::new(CONTEXT_TYPE).get_mut().unwrap()));
            eprintln!("skipped: one_context_for_all needs a GPU: {error}");
            return;
        }
        second.open(&two, Wanted::Device(0)).unwrap();
        let (a, b) = (first.context().unwrap(), second.context().unwrap());
        assert_eq!(a.context().handle(), b.context().handle());
        assert!(first.answer(gst::query::Context::new(CONTEXT_TYPE).get_mut().unwrap()));
        first.close();
        assert!(first.context().is_err());
    }

    #[test]
    fn what_is_no_context_query_is_not_answered() {
        gst::init().unwrap();
        let device = Device::default();
        assert!(!device.answer(gst::query::Latency::new().get_mut().unwrap()));
        assert!(!device.answer(gst::query::Context::new("other").get_mut().unwrap()));
    }

    /// In NULL the element looks for no context. GStreamer keeps one that is set then, and `open` reads it.
    #[test]
    fn other_contexts_are_left_alone() {
        gst::init().unwrap();
        let (element, device) = (gst::Bin::new(), Device::default());
        device.set_context(&element, &gst::Context::new("other", true));
        device.set_context(&element, &gst::Context::new(CONTEXT_TYPE, true));
        assert!(device.context().is_err());
    }
}
