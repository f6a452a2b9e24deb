//! Modules, kernels and their launches.

use super::context::Context;
use super::memory;
use super::registry::Registry;
use super::status::{Status, log, refuse};
use crate::settings::settings;
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_INVALID_PTX, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_FOUND, CUDA_ERROR_NOT_SUPPORTED,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
};
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::Arc;

pub static MODULES: Registry<Module> = Registry::new("module");
pub static FUNCTIONS: Registry<Function> = Registry::new("kernel");

/// The names of a PTX module's kernels, each with the size of its single parameter in bytes.
pub struct Module {
    pub handle: usize,
    pub context: usize,
    kernels: Vec<(String, usize)>,
}

/// One kernel of a module.
pub struct Function {
    pub handle: usize,
    pub module: usize,
    context: usize,
    name: CString,
    bytes: usize,
}

/// `standin::Kernel`
#[repr(C)]
struct Kernel {
    name: *const c_char,
    bytes: usize,
    run: unsafe extern "C" fn(*const c_void),
}

/// Addresses from `start` up to, but excluding, `end`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

/// `standin::Launch`
#[repr(C)]
struct Request {
    kernel: *const Kernel,
    grid: [u32; 3],
    block: [u32; 3],
    arguments: *const c_void,
    seed: u64,
    ranges: *const Range,
    range_count: usize,
    message: [u8; 1024],
}

unsafe extern "C" {
    fn standin_kernel(name: *const c_char, checked: bool) -> *const Kernel;
    fn standin_launch(request: *mut Request) -> u32;
}

/// The newest PTX version that this driver accepts.
const NEWEST_PTX: (u32, u32) = (8, 3);

impl Module {
    pub fn load(context: &Context, ptx: &str) -> Status<Arc<Self>> {
        let version = ptx.lines().find_map(|line| line.trim().strip_prefix(".version "));
        let version = version.and_then(|text| text.trim().split_once('.'));
        let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let Some(version) = version else {
            return refuse(CUDA_ERROR_INVALID_PTX, "a module without a PTX version");
        };
        if version > NEWEST_PTX {
            return refuse(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, &format!("a module of PTX {version:?}"));
        }
        let kernels: Option<Vec<_>> = ptx.split(".entry ").skip(1).map(entry).collect();
        let Some(kernels) = kernels.filter(|kernels| !kernels.is_empty()) else {
            return refuse(CUDA_ERROR_INVALID_PTX, "a module without kernels");
        };
        Ok(MODULES.add(|handle| Self { handle, context: context.handle, kernels }))
    }

    pub fn function(&self, name: &CStr) -> Status<Arc<Function>> {
        let Some((_, bytes)) = self.kernels.iter().find(|(known, _)| known.as_bytes() == name.to_bytes()) else {
            return Err(CUDA_ERROR_NOT_FOUND);
        };
        Ok(FUNCTIONS.add(|handle| Function {
            handle,
            module: self.handle,
            context: self.context,
            name: name.to_owned(),
            bytes: *bytes,
        }))
    }
}

/// `NAME( .param .align 8 .b8 NAME_param_0[BYTES] )`
fn entry(text: &str) -> Option<(String, usize)> {
    let (name, rest) = text.split_once('(')?;
    let (parameters, _) = rest.split_once(')')?;
    let (_, rest) = parameters.split_once('[')?;
    let (bytes, _) = rest.split_once(']')?;
    Some((name.trim().to_owned(), bytes.parse().ok()?))
}

/// A kernel with its grid and arguments.
#[derive(Debug)]
pub struct Launch {
    name: CString,
    kernel: usize,
    grid: [u32; 3],
    block: [u32; 3],
    /// In 64-bit words, so that structures are aligned.
    arguments: Vec<u64>,
}

impl Launch {
    /// # Safety
    /// `parameters` is null or points to a pointer that is null or points to the kernel's parameter.
    pub unsafe fn new(
        context: &Context,
        function: &Function,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        parameters: *const *const c_void,
        extra: *const *const c_void,
    ) -> Status<Self> {
        let name = function.name.to_string_lossy();
        if !extra.is_null() || shared != 0 {
            return refuse(CUDA_ERROR_NOT_SUPPORTED, "a launch with dynamic shared memory, or arguments in one buffer");
        }
        // SAFETY: the caller's promise.
        let arguments = unsafe { parameters.as_ref() }.map_or(std::ptr::null(), |arguments| arguments.cast::<u8>());
        if arguments.is_null() {
            return refuse(CUDA_ERROR_INVALID_VALUE, "a launch without arguments");
        }
        if function.context != context.handle {
            return refuse(
                CUDA_ERROR_INVALID_VALUE,
                &format!("{name} is launched in a context other than its module's"),
            );
        }
        let threads = block.iter().map(|size| u64::from(*size)).product::<u64>();
        let limits = grid[0] <= i32::MAX as u32 && grid[1] <= 65535 && grid[2] <= 65535 && block[2] <= 64;
        if !limits || grid.contains(&0) || !(1..=1024).contains(&threads) {
            return refuse(CUDA_ERROR_INVALID_VALUE, &format!("{name}: a grid of {grid:?} with blocks of {block:?}"));
        }
        // SAFETY: the name is a C string.
        let kernel = unsafe { standin_kernel(function.name.as_ptr(), settings().check) };
        if kernel.is_null() {
            return refuse(CUDA_ERROR_NOT_SUPPORTED, &format!("{name} isn't one of crates/cuda/src/kernels"));
        }
        // SAFETY: the table's entries are static.
        let expected = unsafe { (*kernel).bytes };
        if expected != function.bytes {
            return refuse(
                CUDA_ERROR_INVALID_VALUE,
                &format!(
                    "{name}: its PTX takes {} bytes, its source {expected}: run `cargo xtask ptx`",
                    function.bytes
                ),
            );
        }
        let mut words = vec![0u64; expected.div_ceil(8)];
        // SAFETY: both sides have `expected` bytes.
        unsafe { std::ptr::copy_nonoverlapping(arguments, words.as_mut_ptr().cast(), expected) };
        Ok(Self { name: function.name.clone(), kernel: kernel as usize, grid, block, arguments: words })
    }

    pub fn run(&self, context: &Context) -> Status {
        let bytes: Vec<u8> = self.arguments.iter().flat_map(|word| word.to_ne_bytes()).collect();
        memory::check_arguments(context, &bytes)?;
        let mut ranges = Vec::new();
        if settings().check {
            ranges = memory::ranges_of(context);
            // The kernel also reads the arguments themselves.
            let start = self.arguments.as_ptr() as u64;
            ranges.push(Range { start, end: start + 8 * self.arguments.len() as u64 });
            ranges.sort_unstable();
        }
        let mut request = Request {
            kernel: self.kernel as *const Kernel,
            grid: self.grid,
            block: self.block,
            arguments: self.arguments.as_ptr().cast(),
            seed: settings().seed,
            ranges: if settings().check { ranges.as_ptr() } else { std::ptr::null() },
            range_count: ranges.len(),
            message: [0; 1024],
        };
        // SAFETY: the structure matches its C++ counterpart; the message it writes is zero-terminated.
        let outcome = unsafe { standin_launch(&mut request) };
        if outcome == 0 {
            return Ok(());
        }
        let message = CStr::from_bytes_until_nul(&request.message).unwrap_or_default().to_string_lossy();
        log(&format!("kernel {}: {message}", self.name.to_string_lossy()));
        Err(super::status::from_number(outcome))
    }
}
