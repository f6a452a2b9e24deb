//! The stand-in GPU (`standin/`): its own driver, TensorRT 10.6 on ONNX Runtime, and the project's kernels on the CPU.
//!
//! A process uses it through its environment, so each test on it runs in a separate process:
//!
//! ```ignore
//! #[test]
//! fn something() {
//!     standin::run_ignored("something_on_the_standin", &[]);
//! }
//!
//! #[test]
//! #[ignore = "for the test above"]
//! fn something_on_the_standin() { … }
//! ```

use super::find;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder with its libraries. Without it this skips, or fails if `cargo xtask test` announced it.
pub fn folder() -> Option<PathBuf> {
    let promised = std::env::var_os("GST_TENSORRT_STANDIN").map(PathBuf::from);
    let folder = promised.clone().unwrap_or_else(|| find::root().join("target/standin"));
    if folder.join("libcuda.so.1").exists() {
        return Some(folder);
    }
    assert!(promised.is_none(), "{} has no libcuda.so.1", folder.display());
    find::skip("target/standin", "cargo xtask standin");
    None
}

/// A machine with a stand-in GPU: the environment for a process on it, with a separate cache and registry.
pub struct Standin {
    folder: PathBuf,
    scratch: tempfile::TempDir,
}

impl Standin {
    /// Skips if it is missing.
    pub fn new() -> Option<Self> {
        Some(Self { folder: folder()?, scratch: tempfile::tempdir().unwrap() })
    }

    /// A folder for its files.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A registry that all tests on this GStreamer share: otherwise each process would scan all plugins again.
    fn registry(&self) -> PathBuf {
        let system = std::env::var("IN_ROOT").unwrap_or_else(|_| "tests".into());
        self.folder.join(format!("{system}-registry.bin"))
    }

    /// Prepares a process to run on it. `STANDIN_…` variables (standin/src/settings.rs) make it check, fail or delay.
    pub fn set_environment(&self, command: &mut Command) {
        let mut search = vec![self.folder.clone()];
        search.extend(std::env::split_paths(&std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
        command
            .env("LD_LIBRARY_PATH", std::env::join_paths(search).unwrap())
            .env("GST_TENSORRT_LIBRARY", &self.folder)
            .env("GST_REGISTRY", self.registry())
            .env("XDG_CACHE_HOME", self.scratch.path().join("cache"))
            .env_remove("CUDA_VISIBLE_DEVICES");
    }

    /// A command that runs on it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        self.set_environment(&mut command);
        command
    }

    /// Runs an ignored test of this executable in a process on it.
    pub fn ignored(&self, test: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", test, "--nocapture", "--test-threads", "1"]);
        command.envs(variables.iter().copied()).output().unwrap()
    }
}

/// True if this process runs on it: [`on_gpu`] makes it check every access.
pub fn is_this() -> bool {
    std::env::var_os("STANDIN_CHECK").is_some()
}

/// Number of streams, events, graphs, modules and memory blocks that this process has created and not destroyed; `None` on a
/// GPU, whose driver doesn't tell.
pub fn objects() -> Option<usize> {
    // SAFETY: the library is already loaded, so its initialisers have run.
    let driver = unsafe { libloading::Library::new("libcuda.so.1") }.ok()?;
    // SAFETY: if it is the stand-in's, the function has this type.
    let count = unsafe { driver.get::<extern "C" fn() -> usize>(c"standin_objects") }.ok()?;
    Some(count())
}

/// Runs one ignored test of this executable on the stand-in, and passes if it does; else skips.
pub fn run_ignored(test: &str, variables: &[(&str, &str)]) {
    let Some(standin) = Standin::new() else { return };
    let output = standin.ignored(test, variables);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{test} on the stand-in: {}\n{text}", output.status);
}

/// Defines a test of whole pipelines twice: `NAME::on_the_standin` runs in every test run, in a process on the stand-in;
/// `NAME::on_a_gpu` is the test in that process, and runs on a machine with a GPU. `fn NAME(VARIABLE = VALUE, …) { … }`
/// sets variables of the stand-in; a test with variables is skipped elsewhere.
#[allow(unused_macros)]
macro_rules! on_gpu {
    ($(#[$attribute:meta])* fn $name:ident($($variable:ident = $value:expr),*) $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn on_the_standin() {
                let (_, module) = module_path!().split_once("::").expect("inside the crate");
                // Each access of a kernel is checked, and delays expose missing waits.
                let always = [("STANDIN_CHECK", "1"), ("STANDIN_DELAY", "200")];
                let more: &[(&str, &str)] = &[$((stringify!($variable), $value)),*];
                crate::common::standin::run_ignored(&format!("{module}::on_a_gpu"), &[&always, more].concat());
            }

            #[test]
            #[ignore = "needs a GPU"]
            fn on_a_gpu() {
                $(if std::env::var(stringify!($variable)).as_deref() != Ok($value) {
                    return crate::common::find::skip("the stand-in GPU", "it's told to fail");
                })*
                if !crate::common::running::start() {
                    return;
                }
                $body
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use on_gpu;
