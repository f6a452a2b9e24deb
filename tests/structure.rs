//! The layers of the plugin: each folder of `src` imports only from those below it.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from bottom to top. A folder (or a file beside `lib.rs`) may import from every earlier one, so no two of them
/// import each other.
const LAYERS: [(&str, &str); 25] = [
    ("scheduling", "which frame runs when: pure code"),
    ("backoff", "times between attempts"),
    ("tensorrt_log", "TensorRT's messages, shown as GStreamer's"),
    ("error", "the error that all layers above share"),
    ("http", "HTTP for metrics and the web page"),
    ("infer", "engines behind one trait, and the service that batches across streams"),
    ("video_caps", "what caps say of pictures"),
    ("gst_cuda", "GStreamer's CUDA contexts and frames"),
    ("meta", "what was found, on its buffer"),
    ("draw", "drawing into frames of any layout"),
    ("cpu", "the CPU engine"),
    ("gpu", "the GPU engine, tensors and drawing on the device"),
    ("backend", "the choice between the two, and which elements share a service"),
    ("verify", "whether an engine finds what its FP32 model finds"),
    ("options", "what elements that run a model are told"),
    ("config", "from config.json to a plan"),
    ("publish", "results as JSON lines, and where they go"),
    ("monitor", "what cameras, process and machine do"),
    ("record", "annotated pictures and videos"),
    ("elements", "the elements"),
    ("clips", "what cameras have sent around events"),
    ("check", "whether this machine can run a plan"),
    ("run", "cameras that run"),
    ("fleet", "cameras shared out over hosts"),
    ("web", "the web page of running cameras, and its API"),
];

fn layer_of(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|(name, _)| *name == folder)
}

/// The code of a file without comments and literals.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut parts = line.split('"').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part);
        let first = parts.next().unwrap_or_default();
        let line: String = std::iter::once(first).chain(parts).collect::<Vec<_>>().join("\"");
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// The folders that a file's code names after `crate::`, each with its import as written.
fn imports(text: &str) -> Vec<(String, String)> {
    let code = code(text);
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let Some(rest) = code.get(at + "crate::".len()..) else { continue };
        let import = |folder: &str| {
            let path = rest.split([';', '(', ' ', ',', ')', '>']).next().unwrap_or_default();
            (folder.to_owned(), format!("crate::{}", path.trim()))
        };
        match rest.strip_prefix('{') {
            // `use crate::{a, b::c};`
            Some(list) => {
                let list = list.split(';').next().unwrap_or_default();
                found.extend(list.split([',', '{', '}']).map(|item| name(item.trim())).map(|item| import(&item)));
            }
            None => found.push(import(&name(rest))),
        }
    }
    found
}

/// What a file of `folder` imports from above.
fn upward(folder: &str, text: &str) -> Vec<String> {
    let own = layer_of(folder);
    let above = |(other, _): &(String, String)| layer_of(other).is_some_and(|other| own.is_none_or(|own| other > own));
    imports(text).into_iter().filter(above).map(|(_, import)| import).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file, and the folder of `src` that it belongs to. The crate's root and the program `gst-trt` are above all.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    let folder = |path: PathBuf| {
        let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
        let folder = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
        (path, folder)
    };
    found.into_iter().map(folder).filter(|(_, folder)| folder != "lib" && folder != "bin").collect()
}

#[test]
fn no_layer_imports_upwards() {
    let mut wrong = Vec::new();
    for (path, folder) in sources() {
        assert!(layer_of(&folder).is_some(), "{}: src/{folder} has no place in LAYERS", path.display());
        for import in upward(&folder, &fs::read_to_string(&path).unwrap()) {
            wrong.push(format!("{}: {import}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "imports from a layer above (tests/structure.rs has the order):\n{}", wrong.join("\n"));
}

#[test]
fn every_layer_exists() {
    let sources = sources();
    for (name, _) in LAYERS {
        assert!(sources.iter().any(|(_, folder)| folder == name), "src/{name} isn't there");
    }
}

#[test]
fn an_import_upwards_is_found_in_every_form() {
    for text in [
        "use crate::gpu::Chain;",
        "use crate::{error, gpu};",
        "use crate::{\n    error::Error,\n    gpu::{Chain, Painter},\n};",
        "fn a() {\n    crate::gpu::check();\n}",
        "    pub(crate) use crate::gpu as other;",
        "let text = \"crate\"; let chain: Option<crate::gpu::Chain> = None;",
    ] {
        let found = upward("video_caps", text);
        assert!(found.len() == 1 && found[0].starts_with("crate::"), "{text}: {found:?}");
        assert!(upward("backend", text).is_empty(), "{text}");
    }
    for text in ["// crate::gpu", "/// As [`crate::gpu`].", "let a = \"crate::gpu\";", "use crate::error::Error;"] {
        assert!(upward("video_caps", text).is_empty(), "{text}");
    }
}

/// What every clone carries besides sources.
#[test]
fn committed_models_and_pictures_stay_small() {
    const MIB: u64 = 1 << 20;
    for (folder, extension, most) in
        [("tests/reference/exports", "onnx", 10 * MIB), ("docs/models", "jpg", 3 * MIB / 2)]
    {
        let entries =
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.path().extension().is_some_and(|found| found == extension));
        let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
        assert!((1..=most).contains(&bytes), "{folder}: {bytes} bytes, at most {most}");
    }
}
