//! Finding and opening ONNX Runtime, once per process.

mod search;

use super::CAT;
use crate::error::{Error, ErrorKind};
use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder, GlobalThreadPoolOptions};
use ort::logging::LogLevel;
use parking_lot::Mutex;
use search::{Search, version_in_name};
use std::error::Error as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The variable that names the library's file and replaces the search.
const ENVIRONMENT_VARIABLE: &str = "ORT_DYLIB_PATH";

/// ONNX Runtime, loaded.
pub struct Runtime {
    pub environment: Environment,
    /// For example `1.32.0`; empty if the library's file name doesn't contain a version.
    version: String,
}

impl Runtime {
    /// For example `ONNX Runtime 1.32`.
    pub fn name(&self) -> String {
        let minor = self.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        if minor.is_empty() { "ONNX Runtime".to_owned() } else { format!("ONNX Runtime {minor}") }
    }
}

/// The process's ONNX Runtime, which the first call opens. A failed search isn't remembered, because the user may
/// install the library and try again.
///
/// # Errors
/// [`ErrorKind::Library`] lists the searched locations, what was wrong with each, and how to install the library.
pub fn runtime() -> Result<&'static Runtime, Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static OPENING: Mutex<()> = Mutex::new(());

    let _one_at_a_time = OPENING.lock();
    match RUNTIME.get() {
        Some(runtime) => Ok(runtime),
        None => {
            let opened = open(&Search::from_environment())?;
            Ok(RUNTIME.get_or_init(|| opened))
        }
    }
}

fn open(search: &Search) -> Result<Runtime, Error> {
    let (builder, path) = find(search)?;
    let environment = environment(builder).map_err(|error| {
        Error::new(
            ErrorKind::Library,
            format!("ONNX Runtime ({path}) can't be initialised: {error}", path = path.display()),
        )
    })?;
    let version = version_in_name(&path);
    gst::info!(CAT, "Opened ONNX Runtime {version} ({}), {} threads", path.display(), threads());
    Ok(Runtime { environment, version })
}

fn find(search: &Search) -> Result<(EnvironmentBuilder, PathBuf), Error> {
    if let Some(path) = &search.named {
        // ort would resolve a relative path against the executable's folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        return match load(&path) {
            Ok(builder) => Ok((builder, path)),
            Err(reason) => Err(Error::new(
                ErrorKind::Library,
                format!(
                    "{ENVIRONMENT_VARIABLE}={} {reason}. Correct it, or unset it to search for ONNX Runtime",
                    path.display()
                ),
            )),
        };
    }

    let mut looked = Vec::new();
    for place in search.places() {
        let files = place.files();
        if files.is_empty() {
            looked.push(format!("{place}: no {}*", search::FILE_PREFIX));
        }
        for file in files {
            match load(&file) {
                Ok(builder) => return Ok((builder, file)),
                Err(reason) => looked.push(skip(&file, &reason)),
            }
        }
    }
    Err(Error::new(
        ErrorKind::Library,
        format!(
            "backend=cpu needs ONNX Runtime 1.{} or newer, which wasn't found. Looked for: {}. {}",
            ort::MINOR_VERSION,
            looked.join("; "),
            search.remedy()
        ),
    ))
}

fn skip(path: &Path, reason: &str) -> String {
    let text = format!("{} {reason}", path.display());
    // A bare name is one that the loader may not know; a file is there and unusable.
    if path.is_absolute() {
        gst::warning!(CAT, "Skipped: {text}");
    } else {
        gst::info!(CAT, "Skipped: {text}");
    }
    text
}

/// Opens one library. The error describes what is wrong with the file.
fn load(path: &Path) -> Result<EnvironmentBuilder, String> {
    ort::init_from(path).map_err(|error| match error {
        // The loader's message is the error's source.
        LoadDynamicError::Dlopen { error, .. } => match error.source() {
            Some(source) => format!("can't be opened ({source})"),
            None => format!("can't be opened ({error})"),
        },
        LoadDynamicError::MissingApi { .. } => "isn't an ONNX Runtime library".to_owned(),
        LoadDynamicError::InvalidVersionString => "has no readable version".to_owned(),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("is version {version_str}; at least 1.{} is needed", ort::MINOR_VERSION)
        }
    })
}

/// All sessions of the process share one thread pool, so that more models and pipelines don't mean more threads than
/// cores. Idle threads sleep; spinning would keep every core busy between frames.
fn environment(builder: EnvironmentBuilder) -> ort::Result<Environment> {
    let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads())?.with_spin_control(false)?;
    let environment = builder
        .with_name("gst-tensorrt")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .with_logger(Arc::new(|level, _category, _id, location, message| log(level, location, message)))
        .build()?;
    environment.set_log_level(log_level());
    Ok(environment)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The lowest severity of ONNX Runtime's messages that our category shows. ONNX Runtime would otherwise format messages
/// that are then discarded.
pub fn log_level() -> LogLevel {
    let threshold = CAT.threshold();
    if threshold >= gst::DebugLevel::Log {
        LogLevel::Verbose
    } else if threshold >= gst::DebugLevel::Debug {
        LogLevel::Info
    } else {
        LogLevel::Warning
    }
}

fn log(level: LogLevel, location: &str, message: &str) {
    gst::log_with_level!(CAT, level_of(level, location), "ONNX Runtime: {message} ({location})");
}

/// The level at which a message of ONNX Runtime is shown. From 1.32 on it prepares telemetry before a program can turn that
/// off, and warns of what would keep it from sending, although nothing is sent: a user can't act on that.
fn level_of(level: LogLevel, location: &str) -> gst::DebugLevel {
    match level {
        LogLevel::Verbose => gst::DebugLevel::Log,
        LogLevel::Info => gst::DebugLevel::Debug,
        LogLevel::Warning if location.contains("telemetry") => gst::DebugLevel::Debug,
        LogLevel::Warning => gst::DebugLevel::Warning,
        LogLevel::Error | LogLevel::Fatal => gst::DebugLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one of these tests in a separate process in which no library is open yet; returns true in that process.
    fn in_own_process(test: &str, variables: &[(&str, &Path)]) -> bool {
        const MARK: &str = "GST_TENSORRT_TEST_PROCESS";
        if std::env::var_os(MARK).is_some() {
            return true;
        }
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("cpu::library::tests::{test}")])
            .envs(variables.iter().copied())
            .env(MARK, "1")
            .status();
        assert!(status.unwrap().success(), "{test} failed in its process");
        false
    }

    #[test]
    fn named_library_that_is_unusable_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libonnxruntime.so.1.30.0");
        std::fs::write(&file, "no library").unwrap();
        if in_own_process("named_library_that_is_unusable_is_an_error", &[(ENVIRONMENT_VARIABLE, &file)]) {
            let error = runtime().err().unwrap();
            assert_eq!(error.kind, ErrorKind::Library);
            assert!(error.message.contains("ORT_DYLIB_PATH=/"), "{error}");
            assert!(error.message.contains("libonnxruntime.so.1.30.0 can't be opened"), "{error}");
        }
    }

    #[test]
    fn missing_library_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("gst-tensorrt/lib/libonnxruntime.so.1.2.3");
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        std::fs::write(&library, "no library").unwrap();
        let variables = [("XDG_DATA_HOME", folder.path()), (ENVIRONMENT_VARIABLE, Path::new(""))];
        if in_own_process("missing_library_says_where_it_was_looked_for", &variables) {
            // If the system has a library, the broken file is skipped and the system's is used.
            let Err(error) = runtime() else { return };
            assert_eq!(error.kind, ErrorKind::Library);
            for part in [
                "gst-tensorrt/lib/libonnxruntime.so.1.2.3 can't be",
                "libonnxruntime.so.1 ",
                "pip install",
                "cargo xtask setup",
            ] {
                assert!(error.message.contains(part), "{part}: {error}");
            }
            println!("{error}");
        }
    }

    /// ONNX Runtime 1.32 warns from there at each start where it finds no certificates.
    #[test]
    fn a_message_about_telemetry_is_no_warning() {
        assert_eq!(level_of(LogLevel::Warning, "telemetry_1ds.cc:443 Initialize"), gst::DebugLevel::Debug);
        assert_eq!(level_of(LogLevel::Warning, "graph.cc:4499 CleanUnusedInitializers"), gst::DebugLevel::Warning);
    }
}
