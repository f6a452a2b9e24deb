//! `cargo xtask gpu-bundle`: everything that a machine with a GPU, but without GStreamer, compiler and network needs to run
//! the plugin, its GPU tests and its measurements.

mod archive;
mod clips;
mod gstreamer;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::command::{heading, run_quiet, step};
use crate::paths::Paths;
use crate::plugin::{self, Profile, cargo};
use crate::setup;
use crate::system::Purpose;
use crate::times::Times;

/// Name and text.
const SCRIPTS: [(&str, &str); 5] = [
    ("env", include_str!("scripts/env")),
    ("gpu-test", include_str!("scripts/gpu-test")),
    ("gpu-bench", include_str!("scripts/gpu-bench")),
    ("gpu-soak", include_str!("scripts/gpu-soak")),
    ("migrate", include_str!("../../../tests/migration/migrate.sh")),
];

/// Models with real weights, as far as they have been fetched, by their names in models.toml.
const MODELS: [&str; 4] = ["yolov12n", "nanodet", "movenet-multipose", "movenet-lightning"];

/// Of the guide's pair, of gpu-test's models, of tests/gpu_pipelines/clips.rs and of tests/gpu_objects; made with TensorRT 10.6
/// on an H100.
const TIMINGS: [&str; 4] = ["pair", "tests", "clips", "objects"];

/// Makes target/gpu-bundle/gpu-bundle.tar.gz, in parts where it's large.
pub fn run_all(paths: &Paths) -> Result<()> {
    setup(paths, Purpose::Test, &mut Times::default())?;
    heading("Build");
    plugin::build(paths, Profile::Release)?;
    let tests = test_executables(paths)?;

    let folder = paths.target().join("gpu-bundle");
    let root = folder.join("gpu-bundle");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
    }
    let clips = clips::make(paths, &folder.join("clips"))?;

    heading("Pack");
    let built = paths.target().join("release");
    copy_into(&built.join("libgsttensorrt.so"), &root.join("plugin"), true)?;
    copy_into(&built.join("gst-trt"), &root.join("bin"), true)?;
    for test in &tests {
        copy_to(&test.executable, &root.join("tests").join(&test.name), true)?;
    }
    step("GStreamer", || gstreamer::pack(&root.join("gst")))?;
    for clip in &clips.files {
        copy_into(clip, &root.join("media"), false)?;
    }
    copy_into(&paths.root.join("media/bikes.mp4"), &root.join("media"), false)?;
    // A street with many persons, where it's there.
    let street = clips::street(paths);
    if street.exists() {
        copy_into(&street, &root.join("media"), false)?;
    } else {
        println!("  without {}", paths.short(&street));
    }
    copy_models(paths, &root)?;
    copy_onnx_runtime(paths, &root)?;
    copy_timings(paths, &root)?;
    fs::write(root.join("README"), readme(&clips, &tests)).context("README")?;
    for (name, text) in SCRIPTS {
        let script = root.join(name);
        fs::write(&script, text).with_context(|| script.display().to_string())?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    let parts = step("archive", || archive::pack(&root, &folder))?;
    heading("Result");
    for part in &parts {
        let size = fs::metadata(part)?.len() as f64 / 1e6;
        println!("  {}  {size:.1} MB", paths.short(part));
    }
    println!("  on the machine with the GPU: cat gpu-bundle.tar.gz* | tar xz, then gpu-bundle/README says the rest");
    Ok(())
}

/// A test program by the name of its source.
struct Test {
    name: String,
    executable: PathBuf,
}

/// What cargo says of a finished artifact.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the tests that need a GPU: tests/gpu_* and tests/soak_gpu*.
fn test_executables(paths: &Paths) -> Result<Vec<Test>> {
    let mut build = cargo(paths);
    // Not all tests: compiling and linking those for nothing would take most of the time.
    build.args(["test", "--no-run", "--release", "--package", "gst-plugin-tensorrt"]);
    build.args(["--test", "gpu_*", "--test", "soak_gpu*"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let text = step("test programs", || run_quiet(&mut build))?;
    let tests = artifacts(&text)?;
    if tests.is_empty() {
        bail!("cargo built no tests/gpu_*");
    }
    Ok(tests)
}

fn artifacts(text: &str) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let artifact: Artifact = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if let (Some(target), Some(executable)) = (artifact.target, artifact.executable)
            && artifact.reason == "compiler-artifact"
            && target.kind.iter().any(|kind| kind == "test")
        {
            tests.push(Test { name: target.name, executable });
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn copy_into(file: &Path, folder: &Path, strip: bool) -> Result<()> {
    copy_to(file, &folder.join(file.file_name().context("a file")?), strip)
}

fn copy_to(file: &Path, target: &Path, strip: bool) -> Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::copy(file, target).with_context(|| format!("{} to {}", file.display(), target.display()))?;
    if strip {
        strip_symbols(target)?;
    }
    Ok(())
}

/// Leaves out what only a debugger reads.
fn strip_symbols(file: &Path) -> Result<()> {
    run_quiet(Command::new("strip").arg("--strip-unneeded").arg(file)).map(drop)
}

/// Where the tests look for them: as in the repository.
fn copy_models(paths: &Paths, root: &Path) -> Result<()> {
    for name in MODELS {
        let model = paths.root.join("models").join(format!("{name}.onnx"));
        if model.exists() {
            copy_into(&model, &root.join("models"), false)?;
        } else {
            println!("  without {name}: cargo xtask models {name}");
        }
    }
    let tests = paths.root.join("tests/models");
    for entry in fs::read_dir(&tests).with_context(|| tests.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "onnx") {
            copy_into(&file, &root.join("tests/models"), false)?;
        }
    }
    Ok(())
}

/// TensorRT's timings of tests/data, so that building takes seconds where they serve.
fn copy_timings(paths: &Paths, root: &Path) -> Result<()> {
    let folder = root.join("timings");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for name in TIMINGS {
        let packed = paths.root.join(format!("tests/data/trt10.6-h100-{name}.timing-cache.gz"));
        let reader = fs::File::open(&packed).with_context(|| packed.display().to_string())?;
        let mut bytes = Vec::new();
        GzDecoder::new(reader).read_to_end(&mut bytes).with_context(|| packed.display().to_string())?;
        fs::write(folder.join(format!("{name}.cache")), bytes).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// The CPU engine, with which the tests compare.
fn copy_onnx_runtime(paths: &Paths, root: &Path) -> Result<()> {
    let folder = paths.data.join("lib");
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")) {
            return copy_to(&file, &root.join("lib/libonnxruntime.so"), false);
        }
    }
    bail!("{} has no libonnxruntime.so: cargo xtask setup", folder.display())
}

fn readme(clips: &clips::Clips, tests: &[Test]) -> String {
    let tests: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    format!(
        "The tensorrt plugin for GStreamer on a machine with an NVIDIA GPU, with its tests and measurements.\n\
         Needed there: an NVIDIA driver (520 or later), glibc 2.36 or later, TensorRT (its folder in GST_TENSORRT_LIBRARY).\n\n\
         ./gpu-test    kernels, elements and pipelines on the GPU; about 9 minutes\n\
         ./gpu-bench   gst-trt bench; at most 8 minutes. MODEL and POSE_MODEL name .onnx or .engine files\n\
         ./gpu-soak    starts and stops, and memory; with MODEL and POSE_MODEL as .onnx the migration guide's procedure for\n\
         \x20             8 cameras (./migrate does it for any); at most 9 minutes\n\n\
         Each prints a short table last; all of its output is in logs/. `. ./env` sets up a shell.\n\n\
         Clips, of {}: street.mp4 with B-frames, street-no-b.mp4 without; 1920x1080, 30 fps, 20 s, H.264 High,\n\
         8 Mbit/s, a key frame every 60.\n\
         Test programs: {}.\n",
        clips.source,
        tests.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_in_cargos_messages() {
        let text = r#"   Compiling something
{"reason":"compiler-artifact","target":{"name":"gpu_elements","kind":["test"]},"executable":"/t/gpu_elements-1"}
{"reason":"compiler-artifact","target":{"name":"gst-trt","kind":["bin"]},"executable":"/t/gst-trt"}
{"reason":"compiler-artifact","target":{"name":"gpu_thing","kind":["lib"]},"executable":null}
{"reason":"build-finished","success":true}
"#;
        let tests = artifacts(text).unwrap();
        assert_eq!(tests.len(), 1);
        assert_eq!((tests[0].name.as_str(), tests[0].executable.to_str()), ("gpu_elements", Some("/t/gpu_elements-1")));
    }

    /// A mistake in one of them would show only on a machine with a GPU.
    #[test]
    fn scripts_are_shell() {
        for (name, text) in SCRIPTS {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            run_quiet(Command::new("bash").arg("-n").arg(&file)).unwrap();
        }
    }
}
