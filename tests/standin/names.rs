//! The functions that the stand-in exports.

use super::common::standin;
use super::common::systems::System;
use libloading::Library;

/// GStreamer looks up functions when it starts, and has no CUDA without them.
#[test]
fn each_gstreamer_finds_the_functions_that_it_looks_up() {
    let Some(folder) = standin::folder() else { return };
    // SAFETY: the stand-in's initialisers have no preconditions.
    let driver = unsafe { Library::new(folder.join("libcuda.so.1")) }.unwrap();
    for system in System::all() {
        for (library, most) in
            [("libgstcuda-1.0.so.0", "cuMemcpy2D_v2"), ("gstreamer-1.0/libgstnvcodec.so", "cuvidCreateDecoder")]
        {
            let path = system.file("usr/lib/x86_64-linux-gnu").join(library);
            let names = functions(&std::fs::read(&path).unwrap());
            assert!(names.iter().any(|name| name == most), "{}: {names:?}", path.display());
            // SAFETY: only its existence is asked for.
            let missing: Vec<_> =
                names.iter().filter(|name| unsafe { driver.get::<fn()>(name.as_bytes()) }.is_err()).collect();
            assert!(missing.is_empty(), "{} of {}: {missing:?}", path.display(), system.name);
        }
    }
}

/// The names of the driver's functions among a library's texts.
fn functions(library: &[u8]) -> Vec<String> {
    let texts = library.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    let names = texts.filter(|text| {
        let rest = text.strip_prefix("cuvid").or_else(|| text.strip_prefix("cu")).unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_uppercase())
            && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    names.map(str::to_owned).collect()
}
