//! Finding TensorRT, opening it, and knowing what it is before the first call.

use super::builder::Builder;
use super::error::Error;
use super::loaded_name::answer_to_file_name;
use super::logger::Logger;
use super::object::{Vtable, non_null};
use super::runtime::Runtime;
use super::slots::vtable_length;
use super::version::{Flavour, Group, Version};
use super::{GpuAllocator, memory_map};
use crate::log::{Level, say};
use crate::user_folder;
use libloading::os::unix;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// Names the library, or the folder it is in, ahead of any search.
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
    /// Lean libraries have none.
    pub create_builder: Option<FactoryFn>,
}

/// The C functions of the ONNX parser.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParserSymbols {
    pub version: VersionFn,
    pub create: ParserFactoryFn,
}

/// An opened TensorRT. Never closed: its threads and static objects outlive every handle.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    /// Where parser and builder resource are; `None` for a test's stand-in, which brings its own.
    folder: Option<PathBuf>,
    version: Version,
    group: Group,
    symbols: Symbols,
    parser: OnceLock<Result<ParserSymbols, Error>>,
    logger: &'static Logger,
    checked: Mutex<BTreeSet<&'static str>>,
}

static OPENED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

/// What [`Library::choose`] was given.
static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

impl Library {
    /// Has this library (or the folder it is in) opened wherever none is asked for; the first choice of a process counts.
    pub fn choose(library: &Path) {
        let _ = CHOSEN.set(library.to_owned());
    }

    /// Opens `wanted` (a library or the folder it is in), else what was chosen by [`Self::choose`], else what
    /// [`LIBRARY_VARIABLE`] names, else the first of TensorRT 11, 10, 8 and RTX 1 in the user's `gst-tensorrt/lib` (where
    /// `cargo xtask setup --tensorrt` puts it), else the first that the loader finds. The same library is opened once in a
    /// process.
    ///
    /// # Errors
    /// Nothing found; found but not to be opened; a version that can't be called.
    pub fn open(wanted: Option<&Path>) -> Result<&'static Self, Error> {
        let named = wanted.or(CHOSEN.get().map(PathBuf::as_path)).map(Path::to_owned);
        let named = named.or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from));
        let candidates = match named {
            Some(file) if !file.is_dir() => return Self::open_file(&file),
            Some(folder) => names_in(&folder).collect(),
            None => unnamed(&user_folder::data()),
        };
        let mut tried = Vec::new();
        for candidate in &candidates {
            let name = candidate.display();
            // Where in a folder, the file tells whether it's there; the loader's own places only the loader knows, and what
            // it says is text for people, in their language.
            let by_loader = candidate.components().count() == 1;
            if !by_loader && !candidate.exists() {
                tried.push(name.to_string());
                continue;
            }
            match Self::open_file(candidate) {
                Err(Error::Open { reason, .. }) if by_loader => {
                    say(Level::Info, format_args!("{name} isn't taken: {reason}"));
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

    /// Asks for the version and picks the layout.
    pub(super) fn new(path: PathBuf, folder: Option<PathBuf>, symbols: Symbols) -> Result<&'static Self, Error> {
        // SAFETY: `int getInferLibVersion()`, in every release.
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

    /// Where it was loaded from, links resolved.
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

    /// Whether it can build engines, or only run them.
    pub fn has_builder(&self) -> bool {
        self.symbols.create_builder.is_some()
    }

    /// A runtime whose engines take device memory from `allocator`.
    ///
    /// # Errors
    /// No driver, no GPU, or one that this TensorRT can't use.
    pub fn runtime(&'static self, allocator: Option<Arc<GpuAllocator>>) -> Result<Arc<Runtime>, Error> {
        Runtime::new(self, self.create(self.symbols.create_runtime, "createInferRuntime")?, allocator)
    }

    /// A builder for a GPU of `compute_capability` that takes device memory from `allocator`.
    ///
    /// Opens parser and builder resource first, by full path: TensorRT opens the latter by soname, which needn't be on the
    /// loader's path but is found where it is loaded already.
    ///
    /// # Errors
    /// A lean library; parser or builder resource missing; no driver (TensorRT-RTX needs none).
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
        // SAFETY: the factory's C signature, in every release; the logger lives forever; the version is the library's own.
        let (object, log) = super::logger::capture(|| unsafe { factory(self.logger.raw(), (self.symbols.version)()) });
        non_null(object).ok_or_else(|| Error::Call { version: self.version, call: call.into(), log })
    }

    pub(super) fn logger(&self) -> &'static Logger {
        self.logger
    }

    /// The ONNX parser next to the library.
    pub(super) fn parser(&self) -> Result<ParserSymbols, Error> {
        self.parser.get_or_init(|| self.open_parser()).clone()
    }

    #[cfg(test)]
    pub(super) fn set_parser(&self, symbols: ParserSymbols) {
        self.parser.set(Ok(symbols)).expect("set once");
    }

    /// Where the ONNX parser is, opened.
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

    /// The kernels that the builder chooses from, in the library's folder: one file, or from 10.15 one for each kind of GPU
    /// (`_sm90`) and `_ptx`; only what `compute_capability` uses. RTX has its kernels in the library itself.
    ///
    /// # Errors
    /// There is none for this version in the library's folder.
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

    /// Compares a vtable's length with the class's, once a class.
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

/// What is tried where nobody named a library; `data` is the user's folder for data.
fn unnamed(data: &Path) -> Vec<PathBuf> {
    names_in(&data.join("gst-tensorrt").join("lib")).chain(NAMES.iter().map(PathBuf::from)).collect()
}

const NOT_TENSORRT: &str = "it isn't TensorRT's library";
const NOT_PARSER: &str = "it isn't TensorRT's ONNX parser";

/// RTLD_LOCAL: two TensorRT versions, or another plugin's CUDA libraries, don't see each other's symbols.
fn open_shared(file: &Path) -> Result<unix::Library, Error> {
    // SAFETY: runs the library's initialisers; that is what opening TensorRT, named by the user or the system, means.
    unsafe { unix::Library::open(Some(file), libc::RTLD_NOW | libc::RTLD_LOCAL) }
        .map_err(|error| Error::Open { file: file.to_owned(), reason: loader_reason(&error) })
}

/// The loader's own words.
fn loader_reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| source.to_string())
}

fn symbol<F: Copy>(handle: &unix::Library, file: &Path, name: &'static str, remedy: &'static str) -> Result<F, Error> {
    // SAFETY: the caller's `F` is the C signature that NVIDIA's headers give `name`.
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
