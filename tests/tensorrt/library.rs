//! Finding and refusing libraries: stand-ins compiled here, which have only the functions that are called first.

use std::path::{Path, PathBuf};
use std::process::Command;
use tensorrt::{Error, Library};

const RUNTIME: &str = "void *createInferRuntime_INTERNAL(void *logger, int version) { return (void *)0x228; }";

/// A shared library from this C source in its own folder; `None` (reported) without a C compiler.
fn compile(folder: &Path, name: &str, source: &str) -> Option<PathBuf> {
    compile_with(&[], folder, name, source)
}

fn compile_with(options: &[&str], folder: &Path, name: &str, source: &str) -> Option<PathBuf> {
    gst::init().unwrap();
    let (c, library) = (folder.join("stand_in.c"), folder.join(name));
    std::fs::write(&c, source).unwrap();
    match Command::new("cc").args(options).args(["-shared", "-fPIC", "-o"]).args([&library, &c]).status() {
        Ok(status) => {
            assert!(status.success());
            Some(library)
        }
        Err(error) => {
            eprintln!("skipped: cc: {error}");
            None
        }
    }
}

fn version(number: u32) -> String {
    format!("int getInferLibVersion(void) {{ return {number}; }}")
}

#[test]
fn unverified_versions_are_refused() {
    for (name, number, found) in [
        ("libnvinfer.so.8", 8402, "TensorRT 8.4.2"),
        ("libnvinfer.so.10", 101_700, "TensorRT 10.17.0"),
        ("libnvinfer.so.12", 120_000, "TensorRT 12.0.0"),
        ("libtensorrt_rtx.so.1", 10_300, "TensorRT-RTX 1.3.0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(library) = compile(folder.path(), name, &format!("{}\n{RUNTIME}", version(number))) else { return };
        let error = Library::open(Some(&library)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{} is {found}, which this plugin can't call; supported: TensorRT 8.5, 8.6, 10.0 to 10.16, 11.1 to 11.4, \
                 TensorRT-RTX 1.7",
                library.canonicalize().unwrap().display()
            )
        );
    }
}

#[test]
fn missing_symbols_are_named() {
    for (source, symbol) in
        [("int other;".to_owned(), "getInferLibVersion"), (version(100_600), "createInferRuntime_INTERNAL")]
    {
        let folder = tempfile::tempdir().unwrap();
        let Some(library) = compile(folder.path(), "libnvinfer.so.10", &source) else { return };
        match Library::open(Some(&library)) {
            Err(Error::MissingSymbol { file, symbol: missing, .. }) => assert_eq!((file, missing), (library, symbol)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = compile(folder.path(), "libnvinfer.so.10", &format!("{}\n{RUNTIME}", version(100_600))) else {
        return;
    };
    let library = Library::open(Some(folder.path())).unwrap();
    assert_eq!(library.path(), file.canonicalize().unwrap());
    assert!(std::ptr::eq(library, Library::open(Some(&file)).unwrap()), "opened once");
    // Its runtime factory returns a null pointer, like 11.4's without a driver.
    let error = library.runtime(None).unwrap_err();
    assert_eq!(error.to_string(), "TensorRT 10.6.0: createInferRuntime failed");
    // It has neither builder nor parser.
    match library.builder(None, None) {
        Err(Error::MissingSymbol { symbol, .. }) => assert_eq!(symbol, "createInferBuilder_INTERNAL"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parser_and_builder_resource_come_from_the_librarys_folder() {
    let folder = tempfile::tempdir().unwrap();
    let builder = "void *createInferBuilder_INTERNAL(void *logger, int version) { return 0; }";
    let source = format!("{}\n{RUNTIME}\n{builder}", version(100_600));
    if compile(folder.path(), "libnvinfer.so.10", &source).is_none() {
        return;
    }
    let library = Library::open(Some(folder.path())).unwrap();
    let error = library.builder(None, None).unwrap_err().to_string();
    assert!(
        error.contains(&folder.path().canonicalize().unwrap().join("libnvonnxparser.so.10").display().to_string()),
        "{error}"
    );
    let error = library.builder_resources(None).unwrap_err().to_string();
    assert!(error.contains("libnvinfer_builder_resource.so.10.6.0"), "{error}");

    // From 10.15 there is one for each kind of GPU.
    for name in ["_sm80", "_sm90", "_ptx"] {
        std::fs::write(folder.path().join(format!("libnvinfer_builder_resource{name}.so.10.6.0")), "").unwrap();
    }
    let names = |capability| -> Vec<String> {
        let files = library.builder_resources(capability).unwrap();
        files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(None), ["libnvinfer_builder_resource_ptx.so.10.6.0"]);
    assert_eq!(
        names(Some((9, 0))),
        ["libnvinfer_builder_resource_ptx.so.10.6.0", "libnvinfer_builder_resource_sm90.so.10.6.0"]
    );
}

#[test]
fn nothing_there_says_how_to_get_it() {
    gst::init().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let error = Library::open(Some(empty.path())).unwrap_err().to_string();
    assert!(error.starts_with("TensorRT isn't installed: none of "), "{error}");
    assert!(error.contains("libnvinfer.so.11") && error.contains("GST_TENSORRT_LIBRARY"), "{error}");

    let missing = empty.path().join("libnvinfer.so.10");
    let error = Library::open(Some(&missing)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("can't open {}: ", missing.display())), "{error}");
}

#[test]
fn what_a_library_needs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(needed) = compile(folder.path(), "libneeded_by_it.so", "int needed(void) { return 1; }") else { return };
    let c = folder.path().join("stand_in.c");
    std::fs::write(&c, "int needed(void); int getInferLibVersion(void) { return needed(); }").unwrap();
    let library = folder.path().join("libnvinfer.so.10");
    let linked = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &c, &needed]).status().unwrap();
    assert!(linked.success());
    std::fs::remove_file(needed).unwrap();
    let error = Library::open(Some(folder.path())).unwrap_err().to_string();
    assert!(error.starts_with("can't open") && error.contains("libneeded_by_it.so"), "{error}");
}

/// A candidate that doesn't exist is skipped, whatever the language of the loader's message.
#[test]
fn the_search_continues_in_every_language() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}\n{RUNTIME}", version(100_600));
    let libraries = folder.path().join("libraries");
    std::fs::create_dir(&libraries).unwrap();
    if compile(&libraries, "libnvinfer.so.10", &source).is_none() || !translation(folder.path()) {
        return;
    }
    // With the folder given, and through the loader's own search.
    for (variable, value) in [("GST_TENSORRT_LIBRARY", &libraries), ("LD_LIBRARY_PATH", &libraries)] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "library::in_another_language", "--nocapture"])
            .env_remove("GST_TENSORRT_LIBRARY")
            .env("LOCPATH", folder.path())
            .env("LC_ALL", "xx_XX")
            .env("XDG_DATA_HOME", folder.path().join("data"))
            .env(variable, value)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success() && said.contains("1 passed"), "{variable}: {said}");
    }
}

#[test]
#[ignore = "for the test above"]
fn in_another_language() {
    unsafe extern "C" {
        fn bindtextdomain(domain: *const std::ffi::c_char, folder: *const std::ffi::c_char) -> *mut std::ffi::c_char;
    }
    let folder = std::ffi::CString::new(std::env::var("LOCPATH").unwrap()).unwrap();
    // SAFETY: C strings; no other thread of this process asks for messages meanwhile.
    unsafe {
        assert!(!libc::setlocale(libc::LC_ALL, c"".as_ptr()).is_null());
        assert!(!bindtextdomain(c"libc".as_ptr(), folder.as_ptr()).is_null());
    }
    // SAFETY: the library doesn't exist.
    let missing = unsafe { libloading::Library::new("libnvinfer.so.1000") }.unwrap_err();
    let missing = format!("{missing:?}");
    assert!(missing.contains("Datei nicht gefunden") && !missing.contains("cannot open"), "{missing}");
    gst::init().unwrap();
    assert_eq!(Library::open(None).unwrap().version().to_string(), "TensorRT 10.6.0");
}

/// A locale `xx_XX` in this folder, with the C library's catalogue; `false` (reported) if it can't be created.
fn translation(folder: &Path) -> bool {
    let definition = folder.join("definition");
    std::fs::write(&definition, "LC_MESSAGES\nyesexpr \"<U005E>\"\nnoexpr \"<U005E>\"\nEND LC_MESSAGES\n").unwrap();
    // It warns about undefined categories, which become the C locale's.
    let made = Command::new("localedef").arg("-c").arg("-i").arg(&definition).arg(folder.join("xx_XX")).output();
    if made.is_err() || !folder.join("xx_XX/LC_MESSAGES").exists() {
        eprintln!("skipped: the_search_continues_in_every_language: localedef is missing: apt install libc-bin");
        return false;
    }
    let catalogue = folder.join("xx/LC_MESSAGES");
    std::fs::create_dir_all(&catalogue).unwrap();
    let strings = [
        ("", "Content-Type: text/plain; charset=US-ASCII\n"),
        ("cannot open shared object file", "Datei nicht gefunden"),
    ];
    std::fs::write(catalogue.join("libc.mo"), mo(&strings)).unwrap();
    true
}

/// A catalogue in GNU gettext's format: a header, tables of lengths and offsets, the strings, sorted.
fn mo(strings: &[(&str, &str)]) -> Vec<u8> {
    let (count, header) = (strings.len() as u32, 28);
    let mut file: Vec<u8> = Vec::new();
    let words = [0x9504_12de, 0, count, header, header + 8 * count, 0, 0];
    words.iter().for_each(|word: &u32| file.extend(word.to_le_bytes()));
    let (mut at, mut texts) = (header + 16 * count, Vec::new());
    for text in strings.iter().map(|(id, _)| id).chain(strings.iter().map(|(_, text)| text)) {
        file.extend((text.len() as u32).to_le_bytes());
        file.extend(at.to_le_bytes());
        texts.extend(text.as_bytes());
        texts.push(0);
        at += text.len() as u32 + 1;
    }
    file.extend(texts);
    file
}

/// Where glibc refuses libraries that ask for an executable stack (from 2.41 on), the error says so, and the library can be
/// opened once its flag is cleared; where glibc doesn't, it is opened as it is.
#[test]
fn a_library_that_asks_for_an_executable_stack_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}\n{RUNTIME}", version(100_600));
    let Some(file) = compile_with(&["-Wl,-z,execstack"], folder.path(), "libnvinfer.so.10", &source) else { return };
    assert!(files::executable_stack::is_asked_for(&file).unwrap());
    match (Library::open(Some(&file)), tensorrt::executable_stack_refusal(&file)) {
        (Err(error @ Error::ExecutableStack { .. }), Some(_)) => {
            assert!(error.to_string().contains("GLIBC_TUNABLES=glibc.rtld.execstack=2"), "{error}");
            assert!(files::executable_stack::clear(&file).unwrap());
            Library::open(Some(&file)).unwrap();
        }
        (Ok(_), None) => {
            crate::common::find::skip("a glibc that refuses it", "run this on glibc 2.41 or later (Debian 13)")
        }
        other => panic!("{other:?}"),
    }
}
