//! The list beside a model of nodes that stay FP32: `yolo.onnx.fp32`.
//!
//! One name a line, that of a node's first output; `#` begins a comment. The list belongs to the model as its external
//! weights do: an engine fits only if it was built with the same list.

use crate::cache::write_atomically;
use crate::error::Error;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the list's name adds to the model's.
pub const FP32_LIST: &str = ".fp32";

/// Where a model's list is.
pub fn fp32_list(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(FP32_LIST);
    name.into()
}

/// The list of a model; empty if there is none.
///
/// # Errors
/// The file can't be read.
pub fn read_fp32_list(model: &Path) -> Result<BTreeSet<String>, Error> {
    let path = fp32_list(model);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::file(&path, &error)),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Writes the list of a model, and what it is as comments above; an empty list deletes the file.
///
/// # Errors
/// The model's folder can't be written.
pub fn write_fp32_list(model: &Path, about: &str, nodes: &BTreeSet<String>) -> Result<(), Error> {
    let path = fp32_list(model);
    if nodes.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&path, &error)),
            _ => Ok(()),
        };
    }
    let comments = about.lines().map(|line| format!("# {line}\n"));
    let names = nodes.iter().map(|name| format!("{name}\n"));
    write_atomically(&path, comments.chain(names).collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_names_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("a.onnx");
        assert_eq!(read_fp32_list(&model).unwrap(), BTreeSet::new());
        std::fs::write(folder.path().join("a.onnx.fp32"), "# found\n/norm/Add_output_0\n\n  x y \r\n").unwrap();
        let names: Vec<String> = read_fp32_list(&model).unwrap().into_iter().collect();
        assert_eq!(names, ["/norm/Add_output_0", "x y"]);
        write_fp32_list(&model, "by a test\nof two lines", &BTreeSet::from(["b".into(), "a".into()])).unwrap();
        let text = std::fs::read_to_string(folder.path().join("a.onnx.fp32")).unwrap();
        assert_eq!(text, "# by a test\n# of two lines\na\nb\n");
        write_fp32_list(&model, "", &BTreeSet::new()).unwrap();
        assert!(!fp32_list(&model).exists());
        std::fs::write(folder.path().join("a.onnx.fp32"), [0xff]).unwrap();
        assert!(read_fp32_list(&model).unwrap_err().to_string().contains("a.onnx.fp32: "));
    }
}
