//! What a file that isn't ONNX is, by its first bytes.

/// Describes a file of another format, with the remedy, to follow the file's name; `None` if its first bytes are none of a
/// known format's. `start` are the first 64 bytes or more.
pub fn foreign_format(start: &[u8]) -> Option<&'static str> {
    const FORMATS: [(usize, &[u8], &str); 15] = [
        (0, b"ftrt", "is a TensorRT engine, not ONNX: give it a name ending in .engine, and set backend=tensorrt"),
        (0, b"ptrt", "is a TensorRT engine, not ONNX: give it a name ending in .engine, and set backend=tensorrt"),
        (
            0,
            b"PK\x03\x04",
            "is a zip file (a PyTorch .pt?), not ONNX: export it with `yolo export format=onnx`, or unpack it",
        ),
        (0, b"\x80\x02", "is a Python pickle (an old PyTorch .pt?), not ONNX: export it with `torch.onnx.export`"),
        (0, b"\x1f\x8b", "is compressed by gzip, not ONNX: unpack it"),
        (0, b"7z\xbc\xaf", "is a 7z archive, not ONNX: unpack it"),
        (4, b"TFL3", "is a TensorFlow Lite model, not ONNX: convert it with tf2onnx"),
        (0, b"\x89HDF", "is an HDF5 file (a Keras model?), not ONNX: convert it with tf2onnx"),
        (0, b"GGUF", "is a GGUF language model, not ONNX: only models of images are read"),
        (0, b"\x89PNG", "is a PNG picture, not ONNX: give the path of the .onnx"),
        (0, b"\xff\xd8\xff", "is a JPEG picture, not ONNX: give the path of the .onnx"),
        (4, b"ftyp", "is an MP4 video, not ONNX: give the path of the .onnx"),
        (4, b"ORTM", "is ONNX Runtime's own format (.ort), not ONNX: export it with `torch.onnx.export`"),
        (0, b"version https://git-lfs", "is a Git LFS pointer, not the model itself: run `git lfs pull`"),
        (0, b"\x7fELF", "is a program or library, not ONNX: give the path of the .onnx"),
    ];
    let has = |(at, magic, _): &&(usize, &[u8], &str)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((_, _, what)) = FORMATS.iter().find(has) {
        return Some(what);
    }
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") {
        Some("is a web page, not ONNX: download the file itself")
    } else if text.starts_with(b"<?xml") {
        Some("is XML (an OpenVINO model?), not ONNX: give the .onnx from which it was converted")
    } else if text.starts_with(b"{\"") || text.starts_with(b"{ ") || text.starts_with(b"{\n") {
        Some("is JSON, not ONNX: give the model itself")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_formats_are_named_and_onnx_is_none() {
        let named = |start: &[u8]| foreign_format(start).unwrap_or_default();
        assert!(named(b"PK\x03\x04rest").contains("zip"));
        assert!(named(b"\x1c\0\0\0TFL3").contains("TensorFlow Lite"));
        assert!(named(b"\n <!DOCTYPE html>").contains("web page"));
        assert!(named(b"{\"format\": 1}").contains("JSON"));
        // An ONNX file begins with its IR version, or the name of its producer.
        for start in [&b"\x08\x08\x12\x07pytorch"[..], b"\x12\x04onnx", b"", b"{", b"not a model"] {
            assert_eq!(foreign_format(start), None, "{start:?}");
        }
    }
}
