//! Errors of the TensorRT binding.

use super::version::Version;
use std::path::{Path, PathBuf};

/// How to install TensorRT, for error messages.
const GET_TENSORRT: &str = "install it (apt: libnvinfer10 libnvonnxparsers10 from NVIDIA's CUDA repository; or \
    `cargo xtask setup --tensorrt`), or name library or folder in GST_TENSORRT_LIBRARY";

/// Why TensorRT cannot be used, or what failed in it.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its name says")]
pub enum Error {
    /// The names tried, each with the loader's message if it tried to load the file.
    #[error("TensorRT isn't installed: none of {} was found; {GET_TENSORRT}", tried.join(", "))]
    NotFound { tried: Vec<String> },

    /// The loader can't open the library.
    #[error("can't open {}: {reason}", file.display())]
    Open { file: PathBuf, reason: String },

    /// The C library refuses to open it, because it asks for an executable stack.
    #[error("can't open {}: it asks for an executable stack, which glibc {glibc} gives to no library that is opened at run \
        time; set GLIBC_TUNABLES=glibc.rtld.execstack=2 in the program's environment, or clear the flag in the file, as \
        `cargo xtask setup --tensorrt` does in those that it installs and `patchelf --clear-execstack {}` in any", file.display(), file.display())]
    ExecutableStack { file: PathBuf, glibc: String },

    /// The library lacks a function, so it isn't the expected library.
    #[error("{} has no symbol {symbol}: {remedy}", file.display())]
    MissingSymbol { file: PathBuf, symbol: &'static str, remedy: &'static str },

    /// This crate doesn't support the release.
    #[error("{} is {found}, which this plugin can't call; supported: {}", file.display(), Version::SUPPORTED)]
    Version { file: PathBuf, found: Version },

    /// The vtables don't have the layout of the release.
    #[error("{} ({version}): the vtable of {class} has {found} entries instead of {expected}; \
        this isn't the layout that NVIDIA published, so the plugin doesn't use it", file.display())]
    Layout { file: PathBuf, version: Version, class: &'static str, found: usize, expected: usize },

    /// The release lacks a method.
    #[error("{version} has no {class}::{method}")]
    NoMethod { version: Version, class: &'static str, method: &'static str },

    /// A call failed; `log` has the messages that TensorRT logged during it.
    #[error("{version}: {call} failed{}", log_text(log))]
    Call { version: Version, call: String, log: Vec<String> },

    /// The ONNX parser rejects the model.
    #[error("{}: TensorRT's ONNX parser refuses it: {}", model.display(), errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Parse { model: PathBuf, errors: Vec<ParserError> },

    /// The model cannot be read or converted.
    #[error("{}: {reason}", model.display())]
    Model { model: PathBuf, reason: String },

    /// The device is out of memory, or the allocator's limit is reached.
    #[error("GPU out of memory: {who} asked for {} MiB with {} MiB in use{}", mib(*asked), mib(*in_use), limit_text(*limit, asked + in_use))]
    OutOfMemory { who: String, asked: u64, in_use: u64, limit: Option<u64> },

    /// Neither the engine nor its ONNX file exists.
    #[error("TensorRT engine not found: neither {} exists nor {}, from which it could be built: build it \
        (`gst-trt build MODEL.onnx -o {}`), or set model to the .onnx", engine.display(), onnx.display(), engine.display())]
    EngineNotFound { engine: PathBuf, onnx: PathBuf },

    /// The engine cannot be loaded.
    #[error("{}: {fault}", engine.display())]
    Engine { engine: PathBuf, fault: EngineFault },

    /// The engine doesn't fit the settings or the machine, and its ONNX file is missing.
    #[error("{} doesn't fit: {differences}; and {}, from which it could be built again, doesn't exist: put the ONNX file there, or an \
        engine that fits", engine.display(), onnx.display())]
    Misfit { engine: PathBuf, differences: String, onnx: PathBuf },

    /// The build was cancelled.
    #[error("building {} was cancelled", model.display())]
    Cancelled { model: PathBuf },

    /// A setting is invalid.
    #[error("{0}")]
    Setting(String),

    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

/// One error of the ONNX parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParserError {
    /// Index of the ONNX node; -1 if the error isn't about a node.
    pub node: i32,
    /// Name and operator of that node, if this TensorRT version reports them.
    pub node_name: String,
    /// The node's operator, if this TensorRT version reports it.
    pub operator: String,
    /// The parser's error code.
    pub code: i32,
    /// The parser's text.
    pub description: String,
}

impl std::fmt::Display for ParserError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.node >= 0 {
            write!(f, "node {}", self.node)?;
            for part in [&self.node_name, &self.operator] {
                if !part.is_empty() {
                    write!(f, " {part}")?;
                }
            }
            f.write_str(": ")?;
        }
        write!(f, "{} (code {})", self.description.trim_end(), self.code)
    }
}

/// Why an engine can't be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its name says")]
pub enum EngineFault {
    /// It was built by another version of TensorRT.
    #[error("built by another TensorRT than {running}: build it again{}", log_text(log))]
    OtherTensorRt { running: Version, log: Vec<String> },
    /// It was built for another GPU.
    #[error("built for another GPU: build it again on this one{}", log_text(log))]
    OtherGpu { log: Vec<String> },
    /// The file is incomplete or damaged.
    #[error("truncated or damaged ({reason}): build it again")]
    Damaged { reason: String },
    /// TensorRT rejects the profile.
    #[error("{running} can't load it{}", log_text(log))]
    Unknown { running: Version, log: Vec<String> },
}

impl Error {
    /// The error for a file operation that failed.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.into(), reason: error.to_string() }
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}

/// Which limit was hit.
fn limit_text(limit: Option<u64>, wanted: u64) -> String {
    match limit.filter(|limit| wanted > *limit) {
        Some(limit) => format!(", limit {} MiB", mib(limit)),
        None => ", and the device is full".to_owned(),
    }
}

fn log_text(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!(": {}", log.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_says_who_asked_for_how_much() {
        let error = Error::OutOfMemory { who: "engine".into(), asked: 3 << 20, in_use: 1 << 19, limit: Some(2 << 20) };
        let text = "GPU out of memory: engine asked for 3.0 MiB with 0.5 MiB in use, limit 2.0 MiB";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn parser_error_names_the_node() {
        let error = ParserError {
            node: 3,
            node_name: "/conv".into(),
            operator: "Conv".into(),
            code: 8,
            description: "no importer\n".into(),
        };
        assert_eq!(error.to_string(), "node 3 /conv Conv: no importer (code 8)");
    }
}
