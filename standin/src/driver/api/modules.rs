//! Modules and kernels.

use super::super::capture::refuse_unsafe;
use super::super::context::current;
use super::super::kernel::{FUNCTIONS, Launch, MODULES, Module};
use super::super::stream::by_handle;
use super::super::work::Work;
use super::{driver, put, unsupported};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_VALUE};
use std::ffi::{CStr, c_char, c_uint, c_void};
use std::sync::Arc;

driver! {
    fn cuModuleLoadData(out: *mut usize, image: *const c_char) {
        refuse_unsafe("cuModuleLoadData")?;
        let context = current()?;
        if image.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let text = CStr::from_ptr(image).to_str().map_err(|_| CUDA_ERROR_INVALID_PTX)?;
        put(out, Module::load(&context, text)?.handle)
    }

    fn cuModuleUnload(module: usize) {
        current()?;
        MODULES.remove(module)?;
        FUNCTIONS.remove_where(|function| function.module == module);
        Ok(())
    }

    fn cuModuleGetFunction(out: *mut usize, module: usize, name: *const c_char) {
        current()?;
        if name.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        put(out, MODULES.get(module)?.function(CStr::from_ptr(name))?.handle)
    }

    fn cuLaunchKernel(
        function: usize,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: usize,
        parameters: *const *const c_void,
        extra: *const *const c_void,
    ) {
        let stream = by_handle(stream)?;
        let function = FUNCTIONS.get(function)?;
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let launch = Launch::new(&stream.context, &function, grid, block, shared, parameters, extra)?;
        stream.add(Work::Kernel(Arc::new(launch)))
    }
}

unsupported! {
    cuModuleLoadDataEx cuModuleLoad cuModuleLoadFatBinary cuModuleGetGlobal_v2 cuFuncGetAttribute cuFuncSetAttribute
    cuTexObjectCreate cuTexObjectDestroy cuLaunchCooperativeKernel cuOccupancyMaxActiveBlocksPerMultiprocessor
}
