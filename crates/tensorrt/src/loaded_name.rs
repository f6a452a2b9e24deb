//! Registering a loaded library with the dynamic loader under its bare file name.
//!
//! TensorRT opens its builder resource by its bare file name. The loader looks for that name in its search path and
//! among the loaded libraries, whose sonames and opening names it compares. The soname of this file differs
//! (`do_not_link_against_nvinfer_builder_resource`), so a TensorRT outside the search path can only build if the
//! library's opening name is the bare file name.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The public part of glibc's `struct link_map` (link.h), the same since SVR4.
#[repr(C)]
struct LinkMap {
    address: usize,
    name: *mut c_char,
    dynamic: *mut c_void,
    next: *mut LinkMap,
    previous: *mut LinkMap,
}

/// Makes the loader find an open library by its bare file name for the rest of the process: the library is never
/// closed.
pub fn answer_to_file_name(library: libloading::os::unix::Library, file: &Path) {
    let handle = library.into_raw();
    let Some(name) = file.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) else { return };
    let mut map: *mut LinkMap = std::ptr::null_mut();
    // SAFETY: the handle is open, and the request writes one pointer.
    let failed = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP as c_int, (&raw mut map).cast()) };
    if failed == 0 && !map.is_null() {
        // SAFETY: the entry belongs to a library that is never closed, so the loader never frees the name. Other
        // threads' dlopen calls only read the pointer, and see either the old or the new name, both complete.
        unsafe { (&raw mut (*map).name).write_volatile(name.into_raw()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

    fn open(name: &Path) -> Result<Library, libloading::Error> {
        // SAFETY: this is a copy of a small library whose initialisers do nothing.
        unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
    }

    /// The case of TensorRT's builder resource: the file's name isn't the soname, and its folder isn't searched.
    #[test]
    fn a_library_is_found_by_its_bare_name() {
        let ffi = open(Path::new("libffi.so.8")).unwrap();
        // SAFETY: only the symbol's address is taken.
        let symbol = unsafe { ffi.get::<unsafe extern "C" fn()>(b"ffi_call") }.unwrap();
        let original = crate::memory_map::file_of(*symbol as *const c_void).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let name = Path::new("libgst-tensorrt-renamed.so.1");
        let file = folder.path().join(name);
        std::fs::copy(original, &file).unwrap();
        let library = open(&file).unwrap();
        assert!(open(name).is_err(), "found before");
        answer_to_file_name(library, &file);
        open(name).unwrap();
    }
}
