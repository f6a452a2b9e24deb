//! TensorRT 10.6 and its ONNX parser, the parts that the plugin's binding uses, on ONNX Runtime.
//!
//! An engine's plan holds the ONNX it was built from, its profile, and its TensorRT version and GPU. Arithmetic is FP32 if the
//! ONNX is, regardless of flags. Rules that TensorRT documents but doesn't check are checked here.

mod allocator;
mod builder;
mod context;
mod dims;
mod engine;
mod external;
mod logger;
mod model;
mod network;
mod object;
mod onnx_runtime;
mod parser;
mod plan;
#[allow(dead_code, reason = "the complete format, of which only a part is used here")]
#[path = "../../../crates/tensorrt/src/onnx/proto.rs"]
mod proto;

use crate::settings::settings;
use std::ffi::{c_int, c_void};

/// `major · 10000 + minor · 100 + patch`
#[unsafe(no_mangle)]
pub extern "C" fn getInferLibVersion() -> c_int {
    settings().tensorrt
}

#[unsafe(no_mangle)]
pub extern "C" fn getNvOnnxParserVersion() -> c_int {
    settings().tensorrt
}

fn check_version(version: c_int) -> bool {
    let same = version == settings().tensorrt;
    if !same {
        logger::error(&format!("created for version {version}, this is {}", settings().tensorrt));
    }
    same
}

/// # Safety
/// `log` is an `ILogger` that lives as long as the process uses TensorRT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn createInferRuntime_INTERNAL(log: *mut c_void, version: c_int) -> *mut c_void {
    logger::set(log);
    if check_version(version) && driver_ready() { engine::new_runtime() } else { std::ptr::null_mut() }
}

/// # Safety
/// As for [`createInferRuntime_INTERNAL`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn createInferBuilder_INTERNAL(log: *mut c_void, version: c_int) -> *mut c_void {
    logger::set(log);
    if check_version(version) && driver_ready() { builder::new_builder() } else { std::ptr::null_mut() }
}

/// # Safety
/// `network` is an `INetworkDefinition` of this library, `log` as for [`createInferRuntime_INTERNAL`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn createNvOnnxParser_INTERNAL(
    network: *mut c_void,
    log: *mut c_void,
    version: c_int,
) -> *mut c_void {
    logger::set(log);
    // SAFETY: the caller's promise.
    if check_version(version) { unsafe { parser::new_parser(network) } } else { std::ptr::null_mut() }
}

/// TensorRT works in the current context.
fn driver_ready() -> bool {
    let ready = crate::driver::current().is_ok();
    if !ready {
        logger::error("CUDA initialization failure with error: 201 (no context is current on this thread)");
    }
    ready
}
