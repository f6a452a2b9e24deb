//! TensorRT's messages: they go to the listener, and errors are included in ours.

use super::callback::{API_LANGUAGE_CPP, InterfaceInfo, Vtable, destroy, guard};
use super::object::text;
use super::progress::Cancel;
use super::slots;
use super::version::Group;
use crate::log::{Level, say};
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

/// An `ILogger` that lives forever, because TensorRT keeps the first one it receives for the whole process.
#[repr(C)]
#[derive(Debug)]
pub struct Logger {
    vtable: &'static Vtable,
}

static VTABLES: LazyLock<[Vtable; 4]> = LazyLock::new(|| {
    Vtable::lay_out_all(&[
        (slots::logger::API_LANGUAGE, api_language as _),
        (slots::logger::INTERFACE_INFO, interface_info as _),
        (slots::logger::LOG, log as _),
        (slots::logger::DESTROY, destroy as _),
        (slots::logger::DELETE, destroy as _),
    ])
});

impl Logger {
    pub fn leak(group: Group) -> &'static Self {
        let vtable = Vtable::of(&VTABLES, group);
        Box::leak(Box::new(Self { vtable }))
    }

    /// The pointer that TensorRT takes.
    pub fn raw(&'static self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }
}

/// The most TensorRT errors that one of our error messages includes.
const KEPT: usize = 8;

thread_local! {
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static CANCEL: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// Runs `call` and returns the first few errors that TensorRT logged on this thread meanwhile.
pub fn capture<R>(call: impl FnOnce() -> R) -> (R, Vec<String>) {
    ERRORS.take();
    let result = call();
    (result, ERRORS.take())
}

/// Runs `call`, which may be cancelled: after cancellation, TensorRT's errors on this thread are logged at DEBUG.
pub fn cancellable<R>(cancel: &Cancel, call: impl FnOnce() -> R) -> R {
    CANCEL.set(Some(Cancel::clone(cancel)));
    let result = call();
    CANCEL.take();
    result
}

fn is_cancelled() -> bool {
    CANCEL.with_borrow(|cancel| cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed)))
}

/// `nvinfer1::ILogger::Severity`
const INTERNAL_ERROR: i32 = 0;
const ERROR: i32 = 1;
const WARNING: i32 = 2;
const INFO: i32 = 3;

extern "C" fn log(_this: *mut c_void, severity: i32, message: *const c_char) {
    guard((), || {
        // SAFETY: TensorRT passes a string that is valid during this call.
        let message = unsafe { text(message) };
        match severity {
            INTERNAL_ERROR | ERROR => {
                match is_cancelled() {
                    true => say(Level::Debug, format_args!("{message}")),
                    false => say(Level::Error, format_args!("{message}")),
                }
                ERRORS.with_borrow_mut(|errors| {
                    if errors.len() < KEPT {
                        errors.push(message);
                    }
                });
            }
            WARNING => say(Level::Warning, format_args!("{message}")),
            INFO => say(Level::Info, format_args!("{message}")),
            _ => say(Level::Trace, format_args!("{message}")),
        }
    });
}

extern "C" fn api_language(_this: *const c_void) -> i32 {
    API_LANGUAGE_CPP
}

extern "C" fn interface_info(_this: *const c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"ILogger".as_ptr(), major: 1, minor: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::thread::{self, ThreadId};

    static HEARD: Mutex<Vec<(ThreadId, Level, String)>> = Mutex::new(Vec::new());

    #[test]
    fn what_is_said_of_a_cancel_is_no_error() {
        crate::log::listen(|level, text| HEARD.lock().push((thread::current().id(), level, text.to_string())));
        let say = |text: &std::ffi::CStr| log(std::ptr::null_mut(), ERROR, text.as_ptr());
        let cancel = Cancel::default();
        let ((), errors) = capture(|| {
            cancellable(&cancel, || {
                say(c"before");
                cancel.store(true, Ordering::Relaxed);
                say(c"of it");
            });
        });
        say(c"after");
        let here = thread::current().id();
        let heard: Vec<_> = HEARD.lock().iter().filter(|(thread, ..)| *thread == here).cloned().collect();
        let heard: Vec<_> = heard.iter().map(|(_, level, text)| (*level, text.as_str())).collect();
        assert_eq!(heard, [(Level::Error, "before"), (Level::Debug, "of it"), (Level::Error, "after")]);
        assert_eq!(errors, ["before", "of it"]);
    }
}
