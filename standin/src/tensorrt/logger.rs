//! The application's logger: the first one is used for the whole process, as in TensorRT.

use super::object::method;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

static LOGGER: AtomicUsize = AtomicUsize::new(0);

pub fn set(logger: *mut c_void) {
    let _ = LOGGER.compare_exchange(0, logger.addr(), Ordering::AcqRel, Ordering::Acquire);
}

fn log(severity: i32, message: &str) {
    let logger = LOGGER.load(Ordering::Acquire);
    let Ok(message) = CString::new(message) else { return };
    if logger == 0 {
        return;
    }
    // SAFETY: the logger that the application gave and keeps.
    unsafe {
        let log: unsafe extern "C" fn(usize, i32, *const c_char) = method(logger, "ILogger", "log");
        log(logger, severity, message.as_ptr());
    }
}

pub fn error(message: &str) {
    log(1, message);
}

pub fn warning(message: &str) {
    log(2, message);
}

pub fn info(message: &str) {
    log(3, message);
}
