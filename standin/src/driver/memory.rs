//! Device memory and pinned host memory: pages of this process between guard pages, each with its owner.

use super::context::Context;
use super::faults::injected;
use super::status::{Status, log, refuse};
use crate::settings::settings;
use cudarc::driver::sys::CUresult::{CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const PAGE: usize = 4096;
/// Addresses are multiples of this, as are pitches.
pub const ALIGNMENT: usize = 512;
/// Fill byte of fresh memory: NaN in floating point, otherwise the greatest number.
const FRESH: u8 = 0xff;
/// Fill byte between the end of a block and its guard page.
const SLACK: u8 = 0xc7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Device,
    /// Pinned host memory; the device accesses it at the same address.
    Pinned,
}

/// An allocation.
#[derive(Debug)]
pub struct Block {
    pub address: usize,
    pub size: usize,
    pub kind: Kind,
    /// Handle of its context.
    pub context: usize,
    /// Pinned memory that every context may use.
    pub portable: bool,
    mapping: Range<usize>,
}

/// All allocations of the process.
#[derive(Default)]
struct Memory {
    blocks: BTreeMap<usize, Arc<Block>>,
    device_bytes: u64,
    /// The most recently freed blocks, to report a use after free.
    freed: Vec<Range<usize>>,
}

static MEMORY: Mutex<Option<Memory>> = Mutex::new(None);

fn with<R>(work: impl FnOnce(&mut Memory) -> R) -> R {
    work(MEMORY.lock().get_or_insert_default())
}

/// Number of blocks, in device and pinned memory.
pub fn count() -> usize {
    with(|memory| memory.blocks.len())
}

/// Bytes of device memory in use.
pub fn in_use() -> u64 {
    with(|memory| memory.device_bytes)
}

pub fn allocate(context: &Context, size: usize, kind: Kind, portable: bool) -> Status<usize> {
    if size == 0 {
        return Err(CUDA_ERROR_INVALID_VALUE);
    }
    let device = kind == Kind::Device;
    if device {
        if let Some(error) = injected("alloc") {
            return Err(error);
        }
        let fits = with(|memory| {
            let fits = memory.device_bytes.checked_add(size as u64).is_some_and(|all| all <= settings().memory);
            memory.device_bytes += if fits { size as u64 } else { 0 };
            fits
        });
        if !fits {
            return Err(CUDA_ERROR_OUT_OF_MEMORY);
        }
    }
    let pages = size.next_multiple_of(PAGE);
    let length = pages + 2 * PAGE;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    // SAFETY: the pages between the guards are in the mapping.
    let mapped = start != libc::MAP_FAILED
        && unsafe { libc::mprotect(start.byte_add(PAGE), pages, libc::PROT_READ | libc::PROT_WRITE) } == 0;
    if !mapped {
        if device {
            with(|memory| memory.device_bytes -= size as u64);
        }
        return Err(CUDA_ERROR_OUT_OF_MEMORY);
    }
    let start = start as usize;
    // As close to the guard page behind it as the alignment allows.
    let address = start + PAGE + pages - size.next_multiple_of(ALIGNMENT);
    // SAFETY: both ranges are between the guard pages.
    unsafe {
        std::ptr::write_bytes(address as *mut u8, FRESH, size);
        std::ptr::write_bytes((address + size) as *mut u8, SLACK, size.next_multiple_of(ALIGNMENT) - size);
    }
    let block = Block { address, size, kind, context: context.handle, portable, mapping: start..start + length };
    with(|memory| memory.blocks.insert(address, Arc::new(block)));
    Ok(address)
}

/// Frees a block, which must no longer be in use.
pub fn free(address: usize, kind: Kind) -> Status {
    let removed = with(|memory| {
        let found = memory.blocks.get(&address).filter(|block| block.kind == kind)?;
        let block = Arc::clone(found);
        memory.blocks.remove(&address);
        if kind == Kind::Device {
            memory.device_bytes -= block.size as u64;
        }
        memory.freed.push(block.address..block.address + block.size);
        if memory.freed.len() > 4096 {
            memory.freed.drain(..2048);
        }
        Some(block)
    });
    let Some(block) = removed else {
        return refuse(CUDA_ERROR_INVALID_VALUE, &format!("{address:#x} is freed, but it is {}", what_is(address)));
    };
    release(&block)
}

fn release(block: &Block) -> Status {
    let end = block.address + block.size;
    let slack = block.size.next_multiple_of(ALIGNMENT) - block.size;
    // SAFETY: between the guard pages, and mapped until below.
    let whole = unsafe { std::slice::from_raw_parts(end as *const u8, slack) }.iter().all(|byte| *byte == SLACK);
    // SAFETY: the mapping of `allocate`, unmapped once.
    unsafe { libc::munmap(block.mapping.start as *mut libc::c_void, block.mapping.len()) };
    if whole {
        Ok(())
    } else {
        refuse(
            CUDA_ERROR_ILLEGAL_ADDRESS,
            &format!("something wrote beyond the end of a block of {} bytes, which is being freed", block.size),
        )
    }
}

/// Frees a context's memory; returns the number of blocks of device memory and their bytes.
pub fn free_all_of(context: &Context) -> (usize, usize) {
    let blocks = with(|memory| {
        let (of_it, others) = std::mem::take(&mut memory.blocks)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, block)| block.context == context.handle && !block.portable);
        memory.blocks = others;
        let device: usize = of_it.values().filter(|block| block.kind == Kind::Device).map(|block| block.size).sum();
        memory.device_bytes -= device as u64;
        of_it
    });
    let device: Vec<_> = blocks.values().filter(|block| block.kind == Kind::Device).map(|block| block.size).collect();
    for block in blocks.values() {
        let _ = release(block);
    }
    (device.len(), device.iter().sum())
}

/// The block that contains an address.
pub fn find(address: usize) -> Option<Arc<Block>> {
    with(|memory| {
        let (_, block) = memory.blocks.range(..=address).next_back()?;
        (address < block.address + block.size).then(|| Arc::clone(block))
    })
}

/// Describes an address that can't be used.
pub fn what_is(address: usize) -> String {
    if let Some(block) = find(address) {
        let kind = if block.kind == Kind::Device { "device" } else { "pinned host" };
        return format!("inside a block of {} bytes of {kind} memory of context {:#x}", block.size, block.context);
    }
    let freed = with(|memory| memory.freed.iter().any(|range| range.contains(&address)));
    if freed { "memory that was freed earlier".into() } else { "not device memory".into() }
}

/// Checks that the range is memory that this context's work may use on the device.
pub fn check_range(context: &Context, address: usize, bytes: usize) -> Result<Arc<Block>, String> {
    let inside = find(address).filter(|block| bytes <= block.address + block.size - address);
    match inside {
        Some(block) if block.portable || block.context == context.handle => Ok(block),
        _ => Err(format!("{bytes} bytes at {address:#x}, which is {}", what_is(address))),
    }
}

/// The sorted ranges of all memory that a context's kernels may access.
pub fn ranges_of(context: &Context) -> Vec<super::kernel::Range> {
    with(|memory| {
        let usable = memory.blocks.values().filter(|block| block.portable || block.context == context.handle);
        let range = |block: &Arc<Block>| {
            let start = block.address as u64;
            super::kernel::Range { start, end: start + block.size as u64 }
        };
        usable.map(range).collect()
    })
}

/// Reports addresses among a kernel's arguments that are memory of another context, or freed memory.
pub fn check_arguments(context: &Context, arguments: &[u8]) -> Status {
    for word in arguments.chunks_exact(8) {
        let address = u64::from_ne_bytes(word.try_into().unwrap_or_default()) as usize;
        let wrong = match find(address) {
            Some(block) => !block.portable && block.context != context.handle,
            None => with(|memory| memory.freed.iter().any(|range| range.contains(&address))),
        };
        if wrong {
            log(&format!("a kernel gets {address:#x}, which is {}", what_is(address)));
            return Err(CUDA_ERROR_ILLEGAL_ADDRESS);
        }
    }
    Ok(())
}
