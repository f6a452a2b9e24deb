//! The stand-in's own kernel (standin/cuda/probe.cu), and code shared by all parts.

use cuda::Error;
use cuda::{Context, CudaStream, DeviceBuffer};
use cudarc::driver::sys::{self, CUfunction, CUmodule, CUresult};
use std::ffi::c_void;
use std::sync::Arc;

/// The kernel's task: `Mode` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    Add,
    Neighbour,
    NeighbourRace,
    OverwriteRace,
    Warp,
    WarpRace,
    Beyond,
    Misaligned,
    Unwritten,
    Deadlock,
    WrongMask,
    Count,
    CountRace,
}

pub const THREADS: u32 = 256;
pub const BLOCKS: u32 = 4;
pub const COUNT: usize = (THREADS * BLOCKS) as usize;

/// The kernel's only argument.
#[repr(C)]
struct Arguments {
    memory: u64,
    count: u32,
    mode: Mode,
}

/// A context with the kernel loaded, a stream, and memory for its threads.
pub struct Probe {
    pub context: Arc<Context>,
    pub stream: CudaStream,
    pub memory: DeviceBuffer,
    function: CUfunction,
}

impl Probe {
    pub fn new() -> Self {
        let context = Context::create(0).unwrap();
        let stream = CudaStream::new(&context).unwrap();
        let mut memory = DeviceBuffer::new(&context, COUNT * 4).unwrap();
        let numbers: Vec<u32> = (0..COUNT as u32).map(|number| 3 * number).collect();
        memory.upload(&numbers, &stream).unwrap();
        const PTX: &std::ffi::CStr = c".version 7.8\n.target sm_60\n.address_size 64\n\
            .visible .entry standin_probe(\n.param .align 8 .b8 standin_probe_param_0[16]\n)\n{\nret;\n}\n";
        let function = {
            let _current = context.enter().unwrap();
            let (mut module, mut function): (CUmodule, CUfunction) = (std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: zero-terminated texts, and a current context.
            unsafe {
                sys::cuModuleLoadData(&mut module, PTX.as_ptr().cast()).result().unwrap();
                sys::cuModuleGetFunction(&mut function, module, c"standin_probe".as_ptr()).result().unwrap();
            }
            function
        };
        Self { context, stream, memory, function }
    }

    /// Queues the kernel on the probe's stream.
    pub fn launch(&self, mode: Mode) -> CUresult {
        self.launch_at(mode, self.memory.address(), &self.stream)
    }

    pub fn launch_at(&self, mode: Mode, memory: u64, stream: &CudaStream) -> CUresult {
        let _current = self.context.enter().unwrap();
        let mut arguments = Arguments { memory, count: COUNT as u32, mode };
        let mut parameters: [*mut c_void; 1] = [(&raw mut arguments).cast()];
        // SAFETY: the kernel takes this structure; invalid addresses are the subject of the test.
        unsafe {
            let (stream, parameters) = (stream.handle().cast(), parameters.as_mut_ptr());
            sys::cuLaunchKernel(self.function, BLOCKS, 1, 1, THREADS, 1, 1, 0, stream, parameters, std::ptr::null_mut())
        }
    }

    /// The result of launching the kernel and waiting.
    pub fn run(&self, mode: Mode) -> Result<Vec<u32>, Error> {
        assert_eq!(self.launch(mode), CUresult::CUDA_SUCCESS, "{mode:?}");
        self.stream.synchronise()?;
        let mut numbers = vec![0; COUNT];
        self.memory.download(&mut numbers, &self.stream)?;
        Ok(numbers)
    }
}

/// True if an error is the driver's with this number.
pub fn is(error: &Error, number: CUresult) -> bool {
    error.message.contains(&format!("({})", number as u32))
}
