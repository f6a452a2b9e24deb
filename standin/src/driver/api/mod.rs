//! The driver's C functions, under the names that its library exports.
//!
//! All are `unsafe` like the driver's own: pointers are null, which is an error, or point to what the driver's header says.

mod context;
mod copies;
mod device;
mod events;
mod graphics;
mod graphs;
mod interop;
mod memory;
mod modules;
mod pools;
mod streams;
mod video;

pub use copies::fill;
pub use device::compute_capability;

use super::status::{Fail, Status, log, refuse};
use crate::settings::settings;
use cudarc::driver::sys::CUresult;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call's body and returns its result as the driver does.
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

/// Writes a result to the caller's variable.
///
/// # Safety
/// `out` is null or writable.
unsafe fn put<T>(out: *mut T, value: T) -> Status {
    if out.is_null() {
        return refuse(CUresult::CUDA_ERROR_INVALID_VALUE, "a null pointer for a result");
    }
    // SAFETY: the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// Functions of the driver: `fn NAME(ARGUMENTS) { BODY }`, whose body returns a [`Status`].
macro_rules! driver {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {
        $($(#[$meta])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> cudarc::driver::sys::CUresult {
            #[allow(unused_unsafe)]
            super::answer(stringify!($name), || {
                // SAFETY: by contract the pointers are what the driver's header says.
                unsafe { $body }
            })
        })*
    };
}
use driver;

/// Functions that must exist because libraries look them up at start-up, but that are not implemented.
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
