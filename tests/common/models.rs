//! Test models with custom metadata.

use super::find;
use std::path::{Path, PathBuf};

/// A copy of a test model in `folder`, with these entries added to its metadata.
///
/// Concatenated protobuf messages merge, so entries that are appended to the file are added to the list.
pub fn with_metadata(folder: &Path, name: &str, model: &str, entries: &[(&str, &str)]) -> PathBuf {
    let mut bytes = std::fs::read(find::test_model(model)).unwrap();
    for (key, value) in entries {
        let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        // `ModelProto.metadata_props`
        bytes.extend(field(14, &entry));
    }
    let path = folder.join(format!("{name}.onnx"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A copy of a test model in `folder` with a tensor in an external file, which doesn't exist.
pub fn with_missing_weights(folder: &Path, file: &str) -> PathBuf {
    let location = [field(1, b"location"), field(2, file.as_bytes())].concat();
    // `TensorProto`: dims, data_type, name, external_data, data_location.
    let tensor = [vec![1 << 3, 1, 2 << 3, 1], field(8, b"elsewhere"), field(13, &location), vec![14 << 3, 1]].concat();
    // `ModelProto.graph.initializer`: graphs merge too.
    let bytes = [std::fs::read(find::test_model("yolo")).unwrap(), field(7, &field(5, &tensor))].concat();
    let path = folder.join("weights-elsewhere.onnx");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A length-delimited protobuf field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// The metadata that Ultralytics writes into each file, for this task.
pub fn ultralytics<'a>(task: &'a str, names: &'a str) -> [(&'a str, &'a str); 3] {
    [("author", "Ultralytics"), ("task", task), ("names", names)]
}
