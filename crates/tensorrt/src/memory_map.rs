//! The loader's information about addresses in this process.

use super::object::Vtable;
use std::ffi::{CStr, OsStr, c_int, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file from which the code at `address` was loaded, with links resolved.
pub fn file_of(address: *const c_void) -> Option<PathBuf> {
    // SAFETY: an all-zero Dl_info is valid; dladdr fills it or fails.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr accepts any address.
    if unsafe { libc::dladdr(address, &mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the name lives as long as the file is loaded, and `address` is code in it.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

/// Counts the entries of a vtable, up to `limit`, that point to code. The last one is followed by the next table's
/// offset, which isn't code.
pub fn count_functions(vtable: Vtable, limit: usize) -> usize {
    let segments = Segments::loaded();
    let mut count = 0;
    while count < limit {
        let entry = vtable.wrapping_add(count);
        if !Segments::contain(&segments.readable, entry.addr()) {
            break;
        }
        // SAFETY: the entry lies in a readable segment of a loaded file.
        let function = unsafe { entry.read_unaligned() };
        if !Segments::contain(&segments.executable, function.addr()) {
            break;
        }
        count += 1;
    }
    count
}

/// The segments of all loaded files.
#[derive(Default)]
struct Segments {
    readable: Vec<Range<usize>>,
    executable: Vec<Range<usize>>,
}

impl Segments {
    fn loaded() -> Self {
        let mut segments = Self::default();
        // SAFETY: the callback receives the pointer that it expects, during this call only.
        unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut segments).cast()) };
        segments
    }

    fn contain(ranges: &[Range<usize>], address: usize) -> bool {
        ranges.iter().any(|range| range.contains(&address) && range.contains(&(address + size_of::<usize>() - 1)))
    }
}

unsafe extern "C" fn collect(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: `data` comes from `loaded` and `info` from the loader; both are valid during this call.
    let (segments, info) = unsafe { (&mut *data.cast::<Segments>(), &*info) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's table has that many headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        let range = start..start.saturating_add(header.p_memsz as usize);
        if header.p_flags & libc::PF_X != 0 {
            segments.executable.push(range.clone());
        }
        if header.p_flags & libc::PF_R != 0 {
            segments.readable.push(range);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    extern "C" fn function() {}

    #[test]
    fn counts_up_to_the_first_word_that_is_no_code() {
        static TABLE: [usize; 1] = [0];
        let code = function as *const c_void;
        let table = [code, code, code, (&raw const TABLE).cast(), code];
        // The stack isn't part of a loaded file.
        assert_eq!(count_functions(table.as_ptr(), 5), 0);

        // Written once, below; unused entries stay zero.
        static VTABLE: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];
        for (entry, address) in VTABLE.iter().zip(table) {
            entry.store(address.addr(), Ordering::Relaxed);
        }
        let vtable = VTABLE[0].as_ptr().cast();
        assert_eq!(count_functions(vtable, 5), 3);
        assert_eq!(count_functions(vtable, 2), 2);
    }

    #[test]
    fn finds_the_file_of_code() {
        assert_eq!(file_of(function as *const c_void), std::env::current_exe().unwrap().canonicalize().ok());
        assert_eq!(file_of(std::ptr::null()), None);
    }
}
