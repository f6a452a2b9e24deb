//! The driver's C functions, by the names that its library exports.
//!
//! Each is `unsafe` as the driver's own: pointers are null, which is an error, or lead to what the driver's header says.

mod context;
mod copies;
mod device;
mod events;
mod graphics;
mod graphs;
mod memory;
mod modules;
mod streams;
mod video;

pub use copies::fill;
pub use device::compute_capability;

use super::status::{Fail, Status, refuse, log};
use crate::settings::settings;
use cudarc::driver::sys::CUresult;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call's body and gives its result as the driver does.
fn answer(call: &str, body: impl FnOnce() -> Status) -> CUresult {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        log(&format!("{call} panicked"));
        std::process::abort()
    });
    let result = outcome.err().unwrap_or(CUresult::CUDA_SUCCESS);
    if settings().trace {
        log(&format!("{call}: {result:?}"));
    }
    result
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// `out` is null or can be written.
unsafe fn put<T>(out: *mut T, value: T) -> Status {
    if out.is_null() {
        return refuse(CUresult::CUDA_ERROR_INVALID_VALUE, "a null pointer for a result");
    }
    // SAFETY: the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// Functions of the driver: `fn NAME(ARGUMENTS) { BODY }`, whose body gives a [`Status`].
macro_rules! driver {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {
        $($(#[$meta])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> cudarc::driver::sys::CUresult {
            #[allow(unused_unsafe)]
            super::answer(stringify!($name), || {
                // SAFETY: the pointers are what the driver's header says, by its caller.
                unsafe { $body }
            })
        })*
    };
}
use driver;

/// Functions that exist, as libraries look for them when they start, and that nothing here has.
macro_rules! unsupported {
    ($($name:ident)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name() -> cudarc::driver::sys::CUresult {
            super::answer(stringify!($name), || super::unsupported_call(stringify!($name)))
        })*
    };
}
use unsupported;

fn unsupported_call(name: &str) -> Result<(), Fail> {
    refuse(CUresult::CUDA_ERROR_NOT_SUPPORTED, &format!("{name} isn't supported"))
}
