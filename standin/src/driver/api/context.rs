//! Contexts.

use super::super::capture::refuse_unsafe;
use super::super::context::{CONTEXTS, Context, current, initialised, pop, push, set, top};
use super::super::status::{Status, refuse};
use super::super::stream::synchronise_all;
use super::device::check_device;
use super::{driver, put};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_INVALID_VALUE};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::{c_int, c_uint};
use std::sync::Arc;

/// A device's primary context, and its number of references.
type Held = (Arc<Context>, usize);

static PRIMARY: Mutex<Option<HashMap<c_int, Held>>> = Mutex::new(None);

fn by_handle(handle: usize) -> Status<Arc<Context>> {
    initialised()?;
    CONTEXTS.get(handle).map_err(|_| CUDA_ERROR_INVALID_CONTEXT)
}

driver! {
    fn cuCtxCreate_v2(out: *mut usize, flags: c_uint, device: c_int) {
        check_device(device)?;
        let context = Context::create(device, flags);
        put(out, context.handle)?;
        push(context);
        Ok(())
    }

    fn cuCtxDestroy_v2(handle: usize) {
        by_handle(handle)?.destroy();
        Ok(())
    }

    fn cuCtxPushCurrent_v2(handle: usize) {
        push(by_handle(handle)?);
        Ok(())
    }

    fn cuCtxPopCurrent_v2(out: *mut usize) {
        let context = pop()?;
        if out.is_null() { Ok(()) } else { put(out, context.handle) }
    }

    fn cuCtxSetCurrent(handle: usize) {
        set(if handle == 0 { None } else { Some(by_handle(handle)?) });
        Ok(())
    }

    fn cuCtxGetCurrent(out: *mut usize) {
        initialised()?;
        put(out, top().map_or(0, |context| context.handle))
    }

    fn cuCtxGetDevice(out: *mut c_int) {
        let context = top().ok_or(CUDA_ERROR_INVALID_CONTEXT)?;
        put(out, context.device)
    }

    fn cuCtxGetFlags(out: *mut c_uint) {
        put(out, current()?.flags)
    }

    fn cuCtxGetApiVersion(handle: usize, out: *mut c_uint) {
        if handle != 0 {
            by_handle(handle)?;
        }
        put(out, 3020)
    }

    fn cuCtxSynchronize() {
        refuse_unsafe("cuCtxSynchronize")?;
        synchronise_all()
    }

    fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) {
        current()?;
        put(least, 0)?;
        put(greatest, -5)
    }

    fn cuDevicePrimaryCtxRetain(out: *mut usize, device: c_int) {
        check_device(device)?;
        let mut primary = PRIMARY.lock();
        let primary = primary.get_or_insert_default();
        let (context, count) = primary.entry(device).or_insert_with(|| (Context::create(device, 0), 0));
        *count += 1;
        put(out, context.handle)
    }

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        check_device(device)?;
        let mut primary = PRIMARY.lock();
        let primary = primary.get_or_insert_default();
        let Some((context, count)) = primary.get_mut(&device) else {
            return refuse(CUDA_ERROR_INVALID_CONTEXT, "a primary context is released that isn't retained");
        };
        *count -= 1;
        if *count == 0 {
            context.destroy();
            primary.remove(&device);
        }
        Ok(())
    }

    fn cuDevicePrimaryCtxGetState(device: c_int, flags: *mut c_uint, active: *mut c_int) {
        check_device(device)?;
        let held = PRIMARY.lock().as_ref().is_some_and(|primary| primary.contains_key(&device));
        put(flags, 0)?;
        put(active, c_int::from(held))
    }

    fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, _flags: c_uint) {
        check_device(device)
    }

    fn cuCtxSetFlags(_flags: c_uint) {
        current().map(drop)
    }

    fn cuCtxSetLimit(_limit: c_uint, _value: usize) {
        current().map(drop)
    }

    fn cuCtxGetLimit(out: *mut usize, limit: c_uint) {
        current()?;
        // CU_LIMIT_STACK_SIZE, CU_LIMIT_PRINTF_FIFO_SIZE, CU_LIMIT_MALLOC_HEAP_SIZE
        let value = [1024, 1 << 20, 8 << 20].get(limit as usize).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        put(out, *value)
    }
}
