//! The CUDA context of an element with `backend=tensorrt`: found at NULL→READY, shared, and given back at READY→NULL.
//!
//! State changes go from sink to source, so our elements are often the first to look. What they find nowhere they make
//! themselves (waiting in it blocks, where GStreamer's own spins) and offer to bins, application and peers: decoders take
//! it then.
//!
//! An element
//! - calls [`Device::open`] at NULL→READY and [`Device::close`] at READY→NULL,
//! - hands `ElementImpl::set_context` on to [`Device::set_context`] before it chains up,
//! - returns it from `Stage::device`, so that its pads answer CONTEXT queries.

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::{CONTEXT_TYPE, SharedContext, find};
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtdevice", gst::DebugColorFlags::empty(), Some("CUDA contexts of TensorRT elements"))
});

/// An element's place for the context that it shares with others.
///
/// Whoever has one calls the element's `set_context` while it looks, on the same thread: no lock is held meanwhile.
#[derive(Debug, Default)]
pub struct Device(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// From `open` to `close`: whose context is taken.
    wanted: Option<Wanted>,
    context: Option<SharedContext>,
}

/// Whose context an element takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// That of `device-id`.
    Device(u32),
    /// Whatever the frames are in.
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
    /// Finds the context of a device, or makes the process's own and offers it.
    ///
    /// # Errors
    /// No driver, no such device, no libgstcuda.
    pub fn open(&self, element: &impl IsA<gst::Element>, wanted: Wanted) -> Result<(), Error> {
        let element = element.upcast_ref::<gst::Element>();
        crate::cuda::check_driver()?;
        *self.0.lock() = State { wanted: Some(wanted), context: None };
        // The application may have set one before.
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
        gst::info!(CAT, obj = element, "Offers its own context of device {device}");
        // False only without a bus: then there is nobody to take it.
        let _ = element.post_message(gst::message::HaveContext::builder(offered).src(element).build());
        Ok(())
    }

    /// Takes an offered context, if one is looked for and it's of the right device. One that has failed is never taken.
    pub fn set_context(&self, element: &impl IsA<gst::Element>, context: &gst::Context) {
        let element = element.upcast_ref::<gst::Element>();
        let wanted = {
            let state = self.0.lock();
            if state.context.is_some() { None } else { state.wanted }
        };
        let Some(wanted) = wanted else { return };
        match SharedContext::from_gst(context, wanted.device()) {
            Ok(Some(found)) => {
                gst::info!(
                    CAT,
                    obj = element,
                    "Takes a context of device {} that it was offered",
                    found.context().device()
                );
                self.0.lock().context.get_or_insert(found);
            }
            Ok(None) => gst::debug!(CAT, obj = element, "{} isn't of {wanted:?}", context.context_type()),
            Err(error) => gst::warning!(CAT, obj = element, "The context offered can't be used: {error}"),
        }
    }

    /// Takes the frames' own context in place of the one in use.
    pub fn adopt(&self, frames: SharedContext) {
        let before = self.0.lock().context.replace(frames);
        drop(before);
    }

    /// The context in use.
    ///
    /// # Errors
    /// Why nothing works in it any more; or there's none, in NULL.
    pub fn context(&self) -> Result<SharedContext, Error> {
        let none = || Error::new(ErrorKind::Device, "there is no CUDA context in state NULL");
        let shared = self.0.lock().context.clone().ok_or_else(none)?;
        shared.context().failure().map_or(Ok(shared.clone()), |error| Err(error.clone()))
    }

    /// Answers a CONTEXT query of a neighbour; `false` if it asks for something else, or there's none that works.
    pub fn answer(&self, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::Context(query) = query.view_mut() else { return false };
        let shared = self.0.lock().context.clone();
        shared.is_some_and(|shared| shared.answer(query))
    }

    /// Lets go of the context.
    pub fn close(&self) {
        let before = std::mem::take(&mut *self.0.lock());
        // The last reference may destroy the context: not under the lock.
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a GPU the error says what is missing; with one, two elements share.
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

    /// Nobody looks for one in NULL: what is set then is kept by the element, and looked at in `open`.
    #[test]
    fn other_contexts_are_left_alone() {
        gst::init().unwrap();
        let (element, device) = (gst::Bin::new(), Device::default());
        device.set_context(&element, &gst::Context::new("other", true));
        device.set_context(&element, &gst::Context::new(CONTEXT_TYPE, true));
        assert!(device.context().is_err());
    }
}
