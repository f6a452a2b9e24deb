//! Finding TensorRT, loading it, and identifying its version before the first call.

use super::builder::Builder;
use super::error::Error;
use super::executable_stack::executable_stack_refusal;
use super::loaded_name::answer_to_file_name;
use super::logger::Logger;
use super::object::{Vtable, non_null};
use super::runtime::Runtime;
use super::slots::vtable_length;
use super::version::{Flavour, Group, Version};
use super::{GpuAllocator, memory_map};
use crate::log::{Level, say};
use libloading::os::unix;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// The variable that names the library or its folder and replaces the search.
pub const LIBRARY_VARIABLE: &str = "GST_TENSORRT_LIBRARY";

/// In the order of the search.
const NAMES: [&str; 4] = ["libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8", "libtensorrt_rtx.so.1"];

type VersionFn = unsafe extern "C" fn() -> c_int;
type FactoryFn = unsafe extern "C" fn(logger: *mut c_void, version: c_int) -> *mut c_void;
type ParserFactoryFn = unsafe extern "C" fn(network: *mut c_void, logger: *mut c_void, version: c_int) -> *mut c_void;

/// The C functions of libnvinfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbols {
    pub version: VersionFn,
    pub create_runtime: FactoryFn,
    /// `None` in lean libraries.
    pub create_builder: Option<FactoryFn>,
}

/// The C functions of the ONNX parser.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParserSymbols {
    pub version: VersionFn,
    pub create: ParserFactoryFn,
}

/// A loaded TensorRT. It is never unloaded, because its threads and static objects outlive every handle.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    /// The folder of the parser and the builder resource; `None` for a test's mock, which provides its own.
    folder: Option<PathBuf>,
    version: Version,
    group: Group,
    symbols: Symbols,
    parser: OnceLock<Result<ParserSymbols, Error>>,
    logger: &'static Logger,
    checked: Mutex<BTreeSet<&'static str>>,
}

static OPENED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

/// The path given to [`Library::choose`].
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

impl Library {
    /// Sets the library (or its folder) that is opened when a caller names none; only the first call in a process
    /// counts.
    pub fn choose(library: &Path) {
        let _ = CHOSEN.set(library.to_owned());
    }

    /// Opens, in this order of preference, `wanted` (a library or its folder), the one set by [`Self::choose`], the one
    /// that [`LIBRARY_VARIABLE`] names, the first of TensorRT 11, 10, 8 and RTX 1 in the user's `gst-tensorrt/lib`
    /// (where `cargo xtask setup --tensorrt` installs it), or the first that the loader finds. A library is opened once
    /// per process.
    ///
    /// # Errors
    /// No library was found, it can't be opened, or its version isn't supported.
    pub fn open(wanted: Option<&Path>) -> Result<&'static Self, Error> {
        let named = wanted.or(CHOSEN.get().map(PathBuf::as_path)).map(Path::to_owned);
        let named = named.or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from));
        let candidates = match named {
            Some(file) if !file.is_dir() => return Self::open_file(&file),
            Some(folder) => names_in(&folder).collect(),
            None => unnamed(&files::user_folder::data()),
        };
        let mut tried = Vec::new();
        for candidate in &candidates {
            let name = candidate.display();
            // A path in a folder can be checked for existence. Only the loader knows its search path, and its messages
            // are localised text that can't be parsed.
            let by_loader = candidate.components().count() == 1;
            if !by_loader && !candidate.exists() {
                tried.push(name.to_string());
                continue;
            }
            match Self::open_file(candidate) {
                Err(Error::Open { reason, .. }) if by_loader => {
                    say(Level::Info, format_args!("{name} isn't used: {reason}"));
                    tried.push(format!("{name} ({reason})"));
                }
                other => return other,
            }
        }
        Err(Error::NotFound { tried })
    }

    fn open_file(file: &Path) -> Result<&'static Self, Error> {
        let handle = open_shared(file)?;
        let version_fn: VersionFn = symbol(&handle, file, "getInferLibVersion", NOT_TENSORRT)?;
        let create_runtime = symbol(&handle, file, "createInferRuntime_INTERNAL", NOT_TENSORRT)?;
        let create_builder = symbol(&handle, file, "createInferBuilder_INTERNAL", NOT_TENSORRT).ok();
        std::mem::forget(handle);
        let path = memory_map::file_of(version_fn as *const c_void).unwrap_or_else(|| file.to_owned());

        let mut opened = OPENED.lock();
        if let Some(library) = opened.iter().find(|library| library.path == path) {
            return Ok(library);
        }
        let folder = path.parent().map(Path::to_owned);
        let library = Self::new(path, folder, Symbols { version: version_fn, create_runtime, create_builder })?;
        opened.push(library);
        Ok(library)
    }

    /// Reads the version and selects the vtable layout.
    pub(super) fn new(path: PathBuf, folder: Option<PathBuf>, symbols: Symbols) -> Result<&'static Self, Error> {
        // SAFETY: the signature is `int getInferLibVersion()` in every release.
        let number = unsafe { (symbols.version)() };
        let version = Version::decode(u32::try_from(number).unwrap_or(0), &file_name(&path));
        let Some(group) = version.group() else {
            return Err(Error::Version { file: path, found: version });
        };
        say(Level::Info, format_args!("{version} at {}", path.display()));
        Ok(Box::leak(Box::new(Self {
            path,
            folder,
            version,
            group,
            symbols,
            parser: OnceLock::new(),
            logger: Logger::leak(group),
            checked: Mutex::default(),
        })))
    }

    /// The path it was loaded from, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The library's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The group of releases that has its vtables.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Whether it can build engines, not only run them.
    pub fn has_builder(&self) -> bool {
        self.symbols.create_builder.is_some()
    }

    /// Creates a runtime whose engines allocate device memory from `allocator`.
    ///
    /// # Errors
    /// There is no driver or no GPU, or this TensorRT can't use the GPU.
    pub fn runtime(&'static self, allocator: Option<Arc<GpuAllocator>>) -> Result<Arc<Runtime>, Error> {
        Runtime::new(self, self.create(self.symbols.create_runtime, "createInferRuntime")?, allocator)
    }

    /// Creates a builder for a GPU of `compute_capability` that allocates device memory from `allocator`.
    ///
    /// This first opens the parser and the builder resource by full path: TensorRT opens the latter by its file name,
    /// which may not be on the loader's path but is found if it is already loaded.
    ///
    /// # Errors
    /// The library is lean, the parser or builder resource is missing, or there is no driver (TensorRT-RTX needs none).
    pub fn builder(
        &'static self,
        compute_capability: Option<(u32, u32)>,
        allocator: Option<Arc<GpuAllocator>>,
    ) -> Result<Builder, Error> {
        let create = self.symbols.create_builder.ok_or_else(|| Error::MissingSymbol {
            file: self.path.clone(),
            symbol: "createInferBuilder_INTERNAL",
            remedy: "it only runs engines; building needs the full TensorRT",
        })?;
        self.parser()?;
        for file in self.builder_resources(compute_capability)? {
            answer_to_file_name(open_shared(&file)?, &file);
        }
        Builder::new(self, self.create(create, "createInferBuilder")?, allocator)
    }

    fn create(&'static self, factory: FactoryFn, call: &str) -> Result<NonNull<c_void>, Error> {
        // SAFETY: the factory has this C signature in every release; the logger lives forever; the version is the
        // library's.
        let (object, log) = super::logger::capture(|| unsafe { factory(self.logger.raw(), (self.symbols.version)()) });
        non_null(object).ok_or_else(|| Error::Call { version: self.version, call: call.into(), log })
    }

    pub(super) fn logger(&self) -> &'static Logger {
        self.logger
    }

    /// Opens the ONNX parser in the library's folder.
    pub(super) fn parser(&self) -> Result<ParserSymbols, Error> {
        self.parser.get_or_init(|| self.open_parser()).clone()
    }

    #[cfg(test)]
    pub(super) fn set_parser(&self, symbols: ParserSymbols) {
        self.parser.set(Ok(symbols)).expect("set once");
    }

    /// Opens the ONNX parser and returns its path.
    ///
    /// # Errors
    /// It isn't in the library's folder, or can't be opened.
    pub fn parser_path(&self) -> Result<PathBuf, Error> {
        self.parser().map(|_| self.parser_file())
    }

    fn parser_file(&self) -> PathBuf {
        let name = match self.group {
            Group::V8 => "libnvonnxparser.so.8",
            Group::V10 => "libnvonnxparser.so.10",
            Group::V11 => "libnvonnxparser.so.11",
            Group::Rtx1 => "libtensorrt_onnxparser_rtx.so.1",
        };
        self.folder.as_deref().unwrap_or(Path::new("")).join(name)
    }

    fn open_parser(&self) -> Result<ParserSymbols, Error> {
        let file = self.parser_file();
        let handle = open_shared(&file)?;
        let symbols = ParserSymbols {
            version: symbol(&handle, &file, "getNvOnnxParserVersion", NOT_PARSER)?,
            create: symbol(&handle, &file, "createNvOnnxParser_INTERNAL", NOT_PARSER)?,
        };
        std::mem::forget(handle);
        Ok(symbols)
    }

    /// The files with the builder's kernels in the library's folder: one file or, from 10.15 on, one per kind of GPU
    /// (`_sm90`) and `_ptx`; only those that `compute_capability` uses. RTX has its kernels in the library itself.
    ///
    /// # Errors
    /// The library's folder has none for this version.
    pub fn builder_resources(&self, compute_capability: Option<(u32, u32)>) -> Result<Vec<PathBuf>, Error> {
        let Some(folder) = self.folder.as_ref().filter(|_| self.version.flavour != Flavour::Rtx) else {
            return Ok(Vec::new());
        };
        let Version { major, minor, patch, .. } = self.version;
        let version = format!(".so.{major}.{minor}.{patch}");
        let entries = std::fs::read_dir(folder)
            .map_err(|error| Error::File { path: folder.clone(), reason: error.to_string() })?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| {
                let name = file_name(file);
                let kind = name.strip_prefix("libnvinfer_builder_resource").and_then(|n| n.strip_suffix(&version));
                match kind.map(|kind| kind.strip_prefix("_sm").unwrap_or("")) {
                    Some("") => true,
                    Some(sm) => compute_capability.is_some_and(|(major, minor)| *sm == format!("{major}{minor}")),
                    None => false,
                }
            })
            .collect();
        files.sort();
        if files.is_empty() {
            let file = folder.join(format!("libnvinfer_builder_resource{version}"));
            let reason = "not there, and building needs it: install the whole TensorRT of this version".into();
            return Err(Error::Open { file, reason });
        }
        Ok(files)
    }

    /// Checks a vtable's length against the class's, once per class.
    pub(super) fn check_vtable(&self, vtable: Vtable, class: &'static str) -> Result<(), Error> {
        let mut checked = self.checked.lock();
        if checked.contains(class) {
            return Ok(());
        }
        let expected = vtable_length(class, self.group, &self.version).unwrap_or(usize::MAX);
        let found = memory_map::count_functions(vtable, expected);
        if found < expected {
            let (file, version) = (self.path.clone(), self.version);
            return Err(Error::Layout { file, version, class, found, expected });
        }
        checked.insert(class);
        Ok(())
    }
}

fn names_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    NAMES.iter().map(|name| folder.join(name))
}

/// The candidates if no library was named; `data` is the user's data folder.
fn unnamed(data: &Path) -> Vec<PathBuf> {
    names_in(&data.join("gst-tensorrt").join("lib")).chain(NAMES.iter().map(PathBuf::from)).collect()
}

const NOT_TENSORRT: &str = "it isn't TensorRT's library";
const NOT_PARSER: &str = "it isn't TensorRT's ONNX parser";

/// Opens a library with RTLD_LOCAL, so that two TensorRT versions, or another plugin's CUDA libraries, don't see each
/// other's symbols.
fn open_shared(file: &Path) -> Result<unix::Library, Error> {
    // SAFETY: this runs the initialisers of a library that the user or the system designated as TensorRT.
    unsafe { unix::Library::open(Some(file), libc::RTLD_NOW | libc::RTLD_LOCAL) }.map_err(|error| {
        executable_stack_refusal(file)
            .unwrap_or_else(|| Error::Open { file: file.to_owned(), reason: loader_reason(&error) })
    })
}

/// The loader's message.
fn loader_reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| source.to_string())
}

fn symbol<F: Copy>(handle: &unix::Library, file: &Path, name: &'static str, remedy: &'static str) -> Result<F, Error> {
    // SAFETY: `F` is the C signature that NVIDIA's headers declare for `name`.
    unsafe { handle.get::<F>(name) }.map(|symbol| *symbol).map_err(|_| Error::MissingSymbol {
        file: file.to_owned(),
        symbol: name,
        remedy,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_comes_before_the_systems() {
        let tried = unnamed(Path::new("/home/user/.local/share"));
        assert_eq!(tried.first().unwrap(), Path::new("/home/user/.local/share/gst-tensorrt/lib/libnvinfer.so.11"));
        let names: Vec<_> = NAMES.iter().map(PathBuf::from).collect();
        assert!(tried.ends_with(&names) && tried.len() == 2 * names.len(), "{tried:?}");
    }
}
