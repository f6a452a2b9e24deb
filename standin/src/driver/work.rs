//! The work that streams execute once, and graphs repeatedly.

use super::context::Context;
use super::event::Event;
use super::faults::injected;
use super::graph::Graph;
use super::kernel::Launch;
use super::memory::{check_range, find, what_is};
use super::status::{Status, refuse};
use super::stream::Stream;
use cudarc::driver::sys::CUresult::{CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_INVALID_VALUE};
use std::sync::Arc;

/// The source or destination of a copy.
#[derive(Debug, Clone)]
pub enum Location {
    Device(usize),
    /// Any host memory.
    Host(usize),
    /// Pageable memory as it was when the copy was queued, since the driver stages it.
    Staged(Arc<Vec<u8>>),
}

/// A copy of lines of bytes.
#[derive(Debug, Clone)]
pub struct Copy {
    pub from: Location,
    pub from_pitch: usize,
    pub to: Location,
    pub to_pitch: usize,
    pub width: usize,
    pub height: usize,
}

/// Sets lines to one value.
#[derive(Debug, Clone)]
pub struct Fill {
    pub to: usize,
    pub pitch: usize,
    /// 1, 2 or 4 bytes.
    pub value: Vec<u8>,
    /// Values per line.
    pub width: usize,
    pub height: usize,
}

/// Work that isn't the driver's own, such as TensorRT's.
pub type Function = Arc<dyn Fn() -> Status + Send + Sync>;

#[derive(Clone)]
pub enum Work {
    Kernel(Arc<Launch>),
    Copy(Copy),
    Fill(Fill),
    Function(Function),
    /// Marks the event as reached, for the record with this number.
    Record(Arc<Event>, u64),
    Wait(Arc<Event>, u64),
    /// Waits until another stream has completed this many pieces of work.
    WaitFor(Arc<Stream>, u64),
    Graph(Arc<Graph>),
}

impl Work {
    /// Executes it. After a failure of the context only events are executed.
    pub fn run(&self, context: &Context) -> Status {
        match self {
            Self::Record(event, number) => event.reach(*number),
            Self::Wait(event, number) => event.wait_for(*number),
            Self::WaitFor(stream, done) => stream.wait_until(*done),
            _ if context.failure().is_some() && !matches!(self, Self::Graph(_)) => {}
            Self::Kernel(launch) => {
                launch.run(context)?;
                injected("launch").map_or(Ok(()), Err)?;
            }
            Self::Copy(copy) => {
                copy.run(context)?;
                injected("copy").map_or(Ok(()), Err)?;
            }
            Self::Fill(fill) => fill.run(context)?,
            Self::Function(function) => function()?,
            Self::Graph(graph) => {
                graph.run(context);
                injected("graph").map_or(Ok(()), Err)?;
            }
        }
        Ok(())
    }
}

/// Bytes from the start of the first line to the end of the last.
fn span(pitch: usize, width: usize, height: usize) -> usize {
    if height == 0 { 0 } else { pitch * (height - 1) + width }
}

impl Copy {
    pub fn linear(from: Location, to: Location, bytes: usize) -> Self {
        Self { from, from_pitch: bytes, to, to_pitch: bytes, width: bytes, height: 1 }
    }

    /// The checks that the driver makes when the copy is queued.
    pub fn check(&self, context: &Context) -> Status {
        if self.height > 1 && (self.from_pitch < self.width || self.to_pitch < self.width) {
            return refuse(CUDA_ERROR_INVALID_VALUE, &format!("a copy whose lines overlap: {self:?}"));
        }
        self.sides(context).map_err(|why| {
            super::status::log(&format!("a copy {why}"));
            CUDA_ERROR_INVALID_VALUE
        })?;
        Ok(())
    }

    /// The addresses of source and destination, checked.
    fn sides(&self, context: &Context) -> Result<(usize, usize), String> {
        let side = |location: &Location, pitch: usize, word: &str| match location {
            Location::Device(address) => {
                check_range(context, *address, span(pitch, self.width, self.height))
                    .map_err(|e| format!("{word} {e}"))?;
                Ok(*address)
            }
            Location::Host(address) => match find(*address) {
                Some(block) if block.kind == super::memory::Kind::Device => {
                    Err(format!("{word} host memory at {address:#x}, which is {}", what_is(*address)))
                }
                Some(block) if block.address + block.size - address < span(pitch, self.width, self.height) => {
                    Err(format!("{word} beyond the end of pinned memory, {}", what_is(*address)))
                }
                _ => Ok(*address),
            },
            Location::Staged(bytes) => Ok(bytes.as_ptr() as usize),
        };
        Ok((side(&self.from, self.from_pitch, "from")?, side(&self.to, self.to_pitch, "to")?))
    }

    fn run(&self, context: &Context) -> Status {
        let (from, to) =
            self.sides(context).or_else(|why| refuse(CUDA_ERROR_ILLEGAL_ADDRESS, &format!("a copy {why}")))?;
        for line in 0..self.height {
            // SAFETY: device and pinned ranges were just checked; for pageable ones the driver's caller guarantees their size;
            // staged bytes are copies of them.
            unsafe {
                let from = (from + line * self.from_pitch) as *const u8;
                std::ptr::copy(from, (to + line * self.to_pitch) as *mut u8, self.width);
            }
        }
        Ok(())
    }
}

impl Fill {
    pub fn check(&self, context: &Context) -> Status {
        let bytes = span(self.pitch, self.width * self.value.len(), self.height);
        check_range(context, self.to, bytes)
            .map_or_else(|why| refuse(CUDA_ERROR_INVALID_VALUE, &format!("memory is set: {why}")), |_| Ok(()))
    }

    fn run(&self, context: &Context) -> Status {
        self.check(context).map_err(|_| CUDA_ERROR_ILLEGAL_ADDRESS)?;
        for line in 0..self.height {
            let start = (self.to + line * self.pitch) as *mut u8;
            for i in 0..self.width {
                // SAFETY: the range was just checked.
                unsafe {
                    let at = start.add(i * self.value.len());
                    std::ptr::copy_nonoverlapping(self.value.as_ptr(), at, self.value.len());
                }
            }
        }
        Ok(())
    }
}
