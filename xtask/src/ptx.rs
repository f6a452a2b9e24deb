//! Compiles the CUDA kernels to PTX with one pinned compiler: the same sources give the same bytes everywhere.
//!
//! NVRTC of CUDA 11.8 and the header for half-precision numbers come from NVIDIA's wheels on PyPI; neither a CUDA toolkit nor
//! a driver nor a GPU is needed.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr;

use anyhow::{Context, Result, bail};
use libloading::Library;

use crate::command::step;
use crate::manifest::{Member, Package, Registry};
use crate::package;
use crate::paths::Paths;

/// Relative to the repository's root.
const FOLDER: &str = "crates/cuda/src/kernels";
/// The header that the kernels include from their own folder.
const HEADER: &str = "common.cuh";
/// Pascal is the oldest supported architecture. Fused multiply-add is off, so that results equal those of the CPU engine.
const OPTIONS: [&str; 3] = ["--gpu-architecture=compute_60", "--std=c++17", "--fmad=false"];

/// Compiles every kernel; with `check` nothing is written, and a difference from the committed PTX is an error.
pub fn run(paths: &Paths, check: bool) -> Result<()> {
    let compiler = Compiler::open(paths)?;
    let folder = paths.root.join(FOLDER);
    let header = read(&folder.join(HEADER))?;
    let mut stale = Vec::new();
    for source in sources(&folder)? {
        let ptx = step(&paths.short(&source).to_string(), || compiler.compile(&source, &header))?;
        let target = source.with_extension("ptx");
        if !check {
            package::write_atomically(&target, ptx.as_bytes())?;
        } else if fs::read_to_string(&target).ok().as_ref() != Some(&ptx) {
            stale.push(paths.short(&target).to_string());
        }
    }
    if !stale.is_empty() {
        bail!("stale PTX: {}. Run `cargo xtask ptx` and commit the result", stale.join(", "));
    }
    Ok(())
}

/// The .cu files, sorted by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut sources = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    sources.sort();
    Ok(sources)
}

fn read(path: &Path) -> Result<CString> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    CString::new(text).with_context(|| path.display().to_string())
}

fn nvrtc() -> (Package, Vec<Member>) {
    let package = Package {
        registry: Registry::Pypi,
        name: "nvidia-cuda-nvrtc-cu11".into(),
        version: "11.8.89".into(),
        file: "nvidia_cuda_nvrtc_cu11-11.8.89-py3-none-manylinux2014_x86_64.whl".into(),
        sha256: "a8d02f3cba345be56b1ffc3e74d8f61f02bb758dd31b0f20e12277a5a244f756".into(),
        megabytes: 23,
    };
    let members = [
        ("nvidia/cuda_nvrtc/lib/libnvrtc.so.11.2", "6960d05ae43a3e335e2d26f325db48bf7843c22ba4f40540ba7d0090597030c5"),
        (
            "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.11.8",
            "2dc4bf687034e89e117ef82fb300291e4833319a2d47722005d40eeafbafdaaf",
        ),
    ];
    (package, members.map(member).into())
}

fn headers() -> (Package, Vec<Member>) {
    let package = Package {
        registry: Registry::Pypi,
        name: "nvidia-cuda-runtime-cu11".into(),
        version: "11.8.89".into(),
        file: "nvidia_cuda_runtime_cu11-11.8.89-py3-none-manylinux2014_x86_64.whl".into(),
        sha256: "92d04069a987e1fbc9213f8376d265df0f7bb42617d44f5eda1f496acea7f2d1".into(),
        megabytes: 1,
    };
    let members = [
        ("nvidia/cuda_runtime/include/cuda_fp16.h", "df73ba39574f3715e539b383c8889b97473972e7b5007460d2067c8b56e88a5a"),
        (
            "nvidia/cuda_runtime/include/cuda_fp16.hpp",
            "f948ef31bd8bda0147a5eadd87198ea2eb442f9180d147f9c2646f7d832ac8a0",
        ),
    ];
    (package, members.map(member).into())
}

fn member((path, sha256): (&str, &str)) -> Member {
    Member { path: path.into(), inside: None, sha256: sha256.into() }
}

/// The C functions of NVRTC used here; source: its documentation, which is valid for every 11.x.
struct Compiler {
    library: Library,
    /// The compiler option with the headers' folder.
    include: CString,
}

type Program = *mut c_void;
type Status = c_int;
type Text = *const c_char;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> Status;
type GetSize = unsafe extern "C" fn(Program, *mut usize) -> Status;

impl Compiler {
    /// Unpacks the wheels in the cache; the libraries look for each other in their own folder.
    fn open(paths: &Paths) -> Result<Self> {
        let folder = paths.cache.join("nvrtc-11.8.89");
        for (package, members) in [nvrtc(), headers()] {
            let targets: Vec<PathBuf> = members.iter().map(|member| folder.join(name_of(&member.path))).collect();
            let mut there = true;
            for (target, member) in targets.iter().zip(&members) {
                there = there && package::sha256_of(target)?.as_ref() == Some(&member.sha256);
            }
            if there {
                continue;
            }
            let contents = package::extract(&package::fetch(paths, &package)?, &members)?;
            for (target, bytes) in targets.iter().zip(contents) {
                package::write_atomically(target, &bytes)?;
            }
        }
        let library = folder.join("libnvrtc.so.11.2");
        // SAFETY: NVIDIA's library, checked by its hash; its initialisers have no preconditions.
        let library = unsafe { Library::new(&library) }.with_context(|| library.display().to_string())?;
        let include = format!("--include-path={}", folder.display());
        Ok(Self { library, include: CString::new(include)? })
    }

    fn compile(&self, source: &Path, header: &CStr) -> Result<String> {
        let (text, name) = (read(source)?, CString::new(name_of(&source.to_string_lossy()))?);
        let header_name = CString::new(HEADER)?;
        let mut program: Program = ptr::null_mut();
        // SAFETY: the signature is NVRTC's; one header with its name; every string ends with a zero and outlives the call.
        let created = unsafe {
            type Create = unsafe extern "C" fn(*mut Program, Text, Text, c_int, *const Text, *const Text) -> Status;
            self.library.get::<Create>(b"nvrtcCreateProgram")?(
                &mut program,
                text.as_ptr(),
                name.as_ptr(),
                1,
                &header.as_ptr(),
                &header_name.as_ptr(),
            )
        };
        if created != 0 {
            bail!("nvrtcCreateProgram: error {created}");
        }
        let result = self.compile_program(program);
        // SAFETY: the signature is NVRTC's; the program was made above and isn't used after this.
        let destroyed = unsafe {
            self.library.get::<unsafe extern "C" fn(*mut Program) -> Status>(b"nvrtcDestroyProgram")?(&mut program)
        };
        if destroyed != 0 {
            bail!("nvrtcDestroyProgram: error {destroyed}");
        }
        result.with_context(|| source.display().to_string())
    }

    fn compile_program(&self, program: Program) -> Result<String> {
        let options = OPTIONS.map(CString::new).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut options: Vec<Text> = options.iter().map(|option| option.as_ptr()).collect();
        options.push(self.include.as_ptr());
        // SAFETY: the signature is NVRTC's; the program is alive, and the given number of zero-terminated options is passed.
        let compiled = unsafe {
            type Compile = unsafe extern "C" fn(Program, c_int, *const Text) -> Status;
            self.library.get::<Compile>(b"nvrtcCompileProgram")?(program, options.len() as c_int, options.as_ptr())
        };
        if compiled != 0 {
            bail!("{}", self.text(program, b"nvrtcGetProgramLogSize", b"nvrtcGetProgramLog")?.trim_end());
        }
        self.text(program, b"nvrtcGetPTXSize", b"nvrtcGetPTX")
    }

    /// One of a program's output texts.
    fn text(&self, program: Program, size: &[u8], get: &[u8]) -> Result<String> {
        let mut length = 0;
        // SAFETY: the signature is NVRTC's; the program is alive.
        let sized = unsafe { self.library.get::<GetSize>(size)?(program, &mut length) };
        let mut bytes = vec![0u8; length];
        // SAFETY: the signature is NVRTC's; the buffer has the requested size.
        let got = unsafe { self.library.get::<Get>(get)?(program, bytes.as_mut_ptr().cast()) };
        if sized != 0 || got != 0 {
            bail!("{}: error {}", String::from_utf8_lossy(get), sized.max(got));
        }
        // The terminating zero.
        bytes.pop();
        Ok(String::from_utf8(bytes)?)
    }
}

/// A path's last part.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
