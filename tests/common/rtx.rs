//! TensorRT-RTX 1.7, from PyPI: a real TensorRT that builds without a GPU.

use super::find;
use std::path::PathBuf;
use tensorrt::{BuildSettings, Library, Onnx};

/// Folder of the files that `cargo xtask setup` fetches.
pub fn cache() -> PathBuf {
    gst::glib::user_cache_dir().join("gst-tensorrt")
}

/// The library; else skips.
pub fn rtx() -> Option<&'static Library> {
    gst::init().unwrap();
    let folder = cache().join("tensorrt_rtx_cu13_libs-1.7.1.116");
    if !folder.is_dir() {
        find::skip(&folder.display().to_string(), "cargo xtask setup");
        return None;
    }
    Some(Library::open(Some(&folder)).unwrap())
}

/// A real model; else skips.
pub fn real_model(name: &str) -> Option<Onnx> {
    find::real_model(name).map(|path| Onnx::open(&path).unwrap())
}

pub fn test_model(name: &str) -> Onnx {
    Onnx::open(&find::test_model(name)).unwrap()
}

/// For an RTX 30 GPU, so that none is needed for the build.
pub fn settings() -> BuildSettings {
    BuildSettings { compute_capability: Some((8, 6)), ..BuildSettings::default() }
}
