//! The name under which the dynamic loader knows a library.
//!
//! TensorRT opens its builder resource by its bare file name, which the loader finds in its own search path, or among the
//! libraries that are loaded: there it compares with the soname, which for this file is another
//! (`do_not_link_against_nvinfer_builder_resource`), and with the name that the library was opened by. So a TensorRT in a
//! folder of its own builds only if that name is the bare one.

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

/// Has the loader know an open library by its bare file name, for as long as the process lives: it is never closed.
pub fn answer_to_file_name(library: libloading::os::unix::Library, file: &Path) {
    let handle = library.into_raw();
    let Some(name) = file.file_name().and_then(|name| CString::new(name.as_bytes()).ok()) else { return };
    let mut map: *mut LinkMap = std::ptr::null_mut();
    // SAFETY: the handle is open, and this request writes one pointer.
    let failed = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP as c_int, (&raw mut map).cast()) };
    if failed == 0 && !map.is_null() {
        // SAFETY: the loader's entry of a library that is never closed, so the loader never frees the name either; its name
        // is only read, under a lock that another thread's dlopen holds: it sees the one name or the other, both whole.
        unsafe { (&raw mut (*map).name).write_volatile(name.into_raw()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

    fn open(name: &Path) -> Result<Library, libloading::Error> {
        // SAFETY: a copy of a small library whose initialisers do nothing.
        unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
    }

    /// As TensorRT finds its builder resource: the file's name isn't the soname, and its folder isn't searched.
    #[test]
    fn a_library_is_found_by_its_bare_name() {
        let ffi = open(Path::new("libffi.so.8")).unwrap();
        // SAFETY: only its address is taken.
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
