//! Where ONNX Runtime is looked for.

use files::user_folder;
use procfs::process::{MMapPath, Process};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ENVIRONMENT_VARIABLE;

pub const FILE_PREFIX: &str = "libonnxruntime.so";
/// The soname of ONNX Runtime's own builds.
const SONAME: &str = "libonnxruntime.so.1";
/// The dynamic loader's index of the libraries in its folders, which `ldconfig` writes.
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// The locations to search.
pub struct Search {
    /// The variable's value, unless it is unset or empty.
    pub named: Option<PathBuf>,
    /// The folder `gst-tensorrt/lib` in the user's data folder.
    folder: PathBuf,
    /// The file that contains this code: the plugin or a program.
    own_file: Option<PathBuf>,
    /// The folders that `LD_LIBRARY_PATH` names.
    loader_folders: Vec<PathBuf>,
}

/// One location.
#[derive(Debug, PartialEq)]
pub enum Place {
    Folder(PathBuf),
    /// A name that the dynamic loader resolves.
    Soname(&'static str),
    /// The libraries that a cache of the dynamic loader lists.
    LoaderCache(PathBuf),
}

impl Search {
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::new(variable(ENVIRONMENT_VARIABLE), &user_folder::data(), own_file(), variable("LD_LIBRARY_PATH"))
    }

    fn new(
        named: Option<OsString>,
        data_folder: &Path,
        own_file: Option<PathBuf>,
        loader_path: Option<OsString>,
    ) -> Self {
        let loader_path = loader_path.unwrap_or_default();
        // The loader separates folders by colons and semicolons.
        let folders = loader_path.as_bytes().split(|byte| b":;".contains(byte)).filter(|folder| !folder.is_empty());
        Self {
            named: named.map(PathBuf::from),
            folder: data_folder.join("gst-tensorrt").join("lib"),
            own_file,
            loader_folders: folders.map(|folder| PathBuf::from(OsStr::from_bytes(folder))).collect(),
        }
    }

    /// In the order of the search: the folders into which `cargo xtask setup` and pip's `--target` install the library,
    /// the one that was installed with the plugin, then what the dynamic loader finds. Distributions have sonames with the minor version in them
    /// (`libonnxruntime.so.1.21`), which the loader can only be asked for by a program that knows the version, so its
    /// folders are searched too.
    pub fn places(&self) -> Vec<Place> {
        let of_user = [self.folder.clone(), self.folder.join("onnxruntime").join("capi")];
        let mut places: Vec<_> = of_user.into_iter().map(Place::Folder).collect();
        places.extend(self.own_file.as_deref().and_then(private_folder).map(Place::Folder));
        places.push(Place::Soname(SONAME));
        places.extend(self.loader_folders.iter().cloned().map(Place::Folder));
        places.push(Place::LoaderCache(LOADER_CACHE.into()));
        places
    }

    pub fn remedy(&self) -> String {
        format!(
            "Install it by `cargo xtask setup` in the plugin's repository, by `python3 -m pip install --no-deps --target \
             {} onnxruntime`, or from the distribution (Debian 13: libonnxruntime1.21); or set {ENVIRONMENT_VARIABLE} to \
             the file of one that is installed",
            self.folder.display()
        )
    }
}

impl Place {
    /// Its library files, newest version first.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = match self {
            Self::Soname(name) => return vec![PathBuf::from(name)],
            Self::Folder(folder) => {
                folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect()
            }
            Self::LoaderCache(file) => paths_in_cache(&std::fs::read(file).unwrap_or_default()),
        };
        files.retain(|path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(FILE_PREFIX.as_bytes())));
        files.sort_by_key(|path| std::cmp::Reverse(version_numbers(&version_in_name(path))));
        // Links to one file.
        files.dedup_by_key(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        files
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soname(name) => f.write_str(name),
            Self::Folder(path) | Self::LoaderCache(path) => path.display().fmt(f),
        }
    }
}

/// The file from which this code was loaded.
fn own_file() -> Option<PathBuf> {
    let address = own_file as *const () as u64;
    let maps = Process::myself().and_then(|process| process.maps()).ok()?;
    let map = maps.into_iter().find(|map| (map.address.0..map.address.1).contains(&address))?;
    match map.pathname {
        MMapPath::Path(path) => Some(path),
        _ => None,
    }
}

/// The folder `lib/gst-tensorrt` of the prefix that a file is installed in, which a package's own libraries are in. For
/// `/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgsttensorrt.so` and for `/usr/bin/gst-trt` the prefix is `/usr`.
fn private_folder(installed: &Path) -> Option<PathBuf> {
    installed.ancestors().skip(1).map(|prefix| prefix.join("lib/gst-tensorrt")).find(|folder| folder.is_dir())
}

/// The absolute paths in a cache of the dynamic loader. They are in its table of strings, each ended by a NUL byte, in
/// every version of the format.
fn paths_in_cache(cache: &[u8]) -> Vec<PathBuf> {
    let strings = cache.split(|byte| *byte == 0).filter(|string| string.starts_with(b"/"));
    strings.map(|string| PathBuf::from(OsStr::from_bytes(string))).collect()
}

/// The version `1.32.0` in `libonnxruntime.so.1.32.0`; empty if the name has none. Links are followed.
pub fn version_in_name(path: &Path) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_prefix(FILE_PREFIX).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default().to_owned()
}

fn version_numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn newest_library_of_a_folder_comes_first() {
        let folder =
            folder_with(&["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"]);
        let files = Place::Folder(folder.path().into()).files();
        let versions: Vec<_> = files.iter().map(|path| version_in_name(path)).collect();
        assert_eq!(versions, ["1.32.0", "1.9.0"]);
    }

    #[test]
    fn missing_places_have_no_libraries() {
        assert!(Place::Folder("/nonexistent/folder".into()).files().is_empty());
        assert!(Place::LoaderCache("/nonexistent/file".into()).files().is_empty());
    }

    /// As Debian installs it: a soname with the minor version, and a link to it.
    #[test]
    fn a_distributions_library_is_found_in_the_loaders_cache() {
        let folder = folder_with(&["libonnxruntime.so.1.21.0", "libonnxruntime.so.1.17.3", "libz.so.1"]);
        let path = |name: &str| folder.path().join(name);
        for link in ["libonnxruntime.so.1.21", "libonnxruntime.so"] {
            std::os::unix::fs::symlink("libonnxruntime.so.1.21.0", path(link)).unwrap();
        }
        let mut cache = b"glibc-ld.so.cache1.1\x02\0\0\0\x40\0\0\0\0\0\0\0".to_vec();
        for name in ["libz.so.1", "libonnxruntime.so.1.17.3", "libonnxruntime.so.1.21", "libonnxruntime.so"] {
            cache.extend_from_slice(path(name).as_os_str().as_bytes());
            cache.push(0);
        }
        cache.extend_from_slice(b"ldconfig (Debian GLIBC 2.41) stable release\0");
        let file = path("ld.so.cache");
        std::fs::write(&file, cache).unwrap();
        let found: Vec<_> = Place::LoaderCache(file).files().iter().map(|path| version_in_name(path)).collect();
        assert_eq!(found, ["1.21.0", "1.17.3"]);
    }

    /// The machine's cache lists what is on every system.
    #[test]
    fn the_machines_cache_can_be_read() {
        let paths = paths_in_cache(&std::fs::read(LOADER_CACHE).unwrap());
        let libc = paths.iter().find(|path| path.ends_with("libc.so.6"));
        assert!(libc.is_some_and(|path| path.exists()), "{paths:?}");
    }

    #[test]
    fn the_users_library_comes_before_the_loaders() {
        let search = Search::new(None, Path::new("/data"), None, Some("/opt/a:/opt/b;:/opt/c".into()));
        let capi = "/data/gst-tensorrt/lib/onnxruntime/capi";
        let folders = ["/data/gst-tensorrt/lib", capi, "/opt/a", "/opt/b", "/opt/c"];
        let mut expected: Vec<_> = folders.iter().map(|folder| Place::Folder(folder.into())).collect();
        expected.insert(2, Place::Soname("libonnxruntime.so.1"));
        expected.push(Place::LoaderCache("/etc/ld.so.cache".into()));
        assert_eq!(search.places(), expected);
        assert!(search.remedy().contains("--target /data/gst-tensorrt/lib onnxruntime"));
    }

    /// As a package installs it, under any prefix.
    #[test]
    fn the_library_that_was_installed_with_the_plugin_comes_before_the_loaders() {
        let prefix = tempfile::tempdir().unwrap();
        let path = |name: &str| prefix.path().join(name);
        let private = path("lib/gst-tensorrt");
        std::fs::create_dir_all(&private).unwrap();
        let plugins = ["lib/x86_64-linux-gnu/gstreamer-1.0/libgsttensorrt.so", "lib/gstreamer-1.0/libgsttensorrt.so"];
        for installed in plugins.into_iter().chain(["bin/gst-trt"]) {
            let search = Search::new(None, Path::new("/data"), Some(path(installed)), None);
            let places = search.places();
            assert_eq!(places[2], Place::Folder(private.clone()), "{installed}");
            assert_eq!(places[3], Place::Soname(SONAME), "{installed}");
        }
        let elsewhere = Search::new(None, Path::new("/data"), Some("/nonexistent/bin/gst-trt".into()), None);
        assert_eq!(elsewhere.places()[2], Place::Soname(SONAME));
    }

    #[test]
    fn the_tests_code_is_in_the_tests_program() {
        assert_eq!(own_file(), Some(std::env::current_exe().unwrap()));
    }
}
