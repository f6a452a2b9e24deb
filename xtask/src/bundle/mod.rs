//! `cargo xtask gpu-bundle`: packs everything that a machine with a GPU, but without GStreamer, compiler and network, needs to
//! run the plugin, its GPU tests and its measurements.

mod archive;
mod clips;
mod gstreamer;
mod root;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{heading, run, run_quiet, step};
use crate::paths::Paths;
use crate::plugin::{self, Profile};
use crate::programs::{self, Program};
use crate::roots::{self, Root};
use crate::setup;
use crate::system::Purpose;
use crate::times::Times;

/// File names and contents.
const SCRIPTS: [(&str, &str); 6] = [
    ("env", include_str!("scripts/env")),
    ("run-in-root", include_str!("../roots/run-in-root")),
    ("gpu-test", include_str!("scripts/gpu-test")),
    ("gpu-bench", include_str!("scripts/gpu-bench")),
    ("gpu-soak", include_str!("scripts/gpu-soak")),
    ("migrate", include_str!("../../../tests/migration/migrate.sh")),
];

/// Models with real weights, by their names in models.toml; those that have not been fetched are left out.
const MODELS: [&str; 4] = ["yolov12n", "nanodet", "movenet-multipose", "movenet-lightning"];

/// Timing caches of TensorRT 10.6 in tests/data. Made on an H100: those for the guide's pair, gpu-test's models,
/// tests/gpu_pipelines/clips.rs and tests/gpu_objects; on an H200: that for the models of tests/reference/export_full_size.py, which
/// also has the pair and gpu-test's models.
const TIMINGS: [&str; 5] = [
    "h100-pair.timing-cache.gz",
    "h100-tests.timing-cache.gz",
    "h100-clips.timing-cache.gz",
    "h100-objects.timing-cache.gz",
    "h200-formats.timing-cache.xz",
];

/// Makes target/gpu-bundle/gpu-bundle.tar.gz, split into parts if it is large, with this machine's GStreamer and those of `roots`.
pub fn run_all(paths: &Paths, roots: &[Root]) -> Result<()> {
    setup(paths, Purpose::Test, &mut Times::default())?;
    heading("Build");
    plugin::build(paths, Profile::Release)?;
    let tests = step("test programs", || programs::built(paths, &TESTS))?;
    if tests.is_empty() {
        bail!("cargo built no tests/gpu_*");
    }

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
    if !roots.is_empty() {
        roots::make_all(paths)?;
    }
    let mut programs = vec![built.join("libgsttensorrt.so"), built.join("gst-trt")];
    programs.extend(tests.iter().map(|test| test.executable.clone()));
    for other in roots {
        let target = root.join("roots").join(other.gstreamer);
        step(&format!("GStreamer {}", other.gstreamer), || root::pack(paths, other, &programs, &target))?;
    }
    for clip in &clips.files {
        copy_into(clip, &root.join("media"), false)?;
    }
    copy_into(&paths.root.join("media/bikes.mp4"), &root.join("media"), false)?;
    // A street with many people, if the clip exists.
    let street = clips::street(paths);
    if street.exists() {
        copy_into(&street, &root.join("media"), false)?;
    } else {
        println!("  without {}", paths.short(&street));
    }
    copy_models(paths, &root)?;
    copy_onnx_runtime(paths, &root)?;
    copy_timings(paths, &root)?;
    fs::write(root.join("README"), readme(&clips, &tests, roots)).context("README")?;
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
    println!("  on the machine with the GPU: cat gpu-bundle.tar.gz* | tar xz, then see gpu-bundle/README");
    Ok(())
}

/// The tests that need a GPU: tests/gpu_* and tests/soak_gpu*. All tests would take most of the time to compile and link, and
/// are not needed.
const TESTS: [&str; 7] = ["--release", "--package", "gst-plugin-tensorrt", "--test", "gpu_*", "--test", "soak_gpu*"];

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

/// Removes symbols that only a debugger reads.
fn strip_symbols(file: &Path) -> Result<()> {
    run_quiet(Command::new("strip").arg("--strip-unneeded").arg(file)).map(drop)
}

/// Copies the models to where the tests look for them, in the same folders as in the repository.
fn copy_models(paths: &Paths, root: &Path) -> Result<()> {
    for name in MODELS {
        let model = paths.root.join("models").join(format!("{name}.onnx"));
        if model.exists() {
            copy_into(&model, &root.join("models"), false)?;
        } else {
            println!("  without {name}: run cargo xtask models {name} to include it");
        }
    }
    for folder in ["tests/models", "tests/reference/exports"] {
        let tests = paths.root.join(folder);
        for entry in fs::read_dir(&tests).with_context(|| tests.display().to_string())? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "onnx") {
                copy_into(&file, &root.join(folder), false)?;
            }
        }
    }
    Ok(())
}

/// Copies the timing caches of tests/data, with which building an engine takes seconds on GPUs that accept them.
fn copy_timings(paths: &Paths, root: &Path) -> Result<()> {
    let folder = root.join("timings");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for name in TIMINGS {
        let packed = paths.root.join(format!("tests/data/trt10.6-{name}"));
        let unpacker = if name.ends_with(".xz") { "xz" } else { "gzip" };
        let name = name.split_once('.').map_or(name, |(name, _)| name);
        let cache = folder.join(format!("{name}.cache"));
        let file = fs::File::create(&cache).with_context(|| cache.display().to_string())?;
        run(Command::new(unpacker).arg("-dc").arg(&packed).stdout(file))?;
    }
    Ok(())
}

/// Copies the CPU engine, which the tests compare with.
fn copy_onnx_runtime(paths: &Paths, root: &Path) -> Result<()> {
    let folder = paths.data.join("lib");
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")) {
            return copy_to(&file, &root.join("lib/libonnxruntime.so"), false);
        }
    }
    bail!("{} has no libonnxruntime.so: run cargo xtask setup", folder.display())
}

fn readme(clips: &clips::Clips, tests: &[Program], roots: &[Root]) -> String {
    let others: Vec<String> = roots.iter().map(|root| format!("GSTREAMER={} ./gpu-test", root.gstreamer)).collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!(
            "Each runs on another GStreamer, in a Debian root with its own C library, where GSTREAMER says so (only as root, who\n\
             may mount folders): {}. Its output is in logs/VERSION/; engines are shared.\n",
            others.join(", ")
        ),
    };
    let tests: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    format!(
        "The tensorrt plugin for GStreamer on a machine with an NVIDIA GPU, with its tests and measurements.\n\
         Requirements: an NVIDIA driver (520 or later), glibc 2.36 or later, TensorRT (its folder in GST_TENSORRT_LIBRARY).\n\n\
         ./gpu-test    tests of kernels, elements and pipelines on the GPU; about 25 minutes\n\
         ./gpu-bench   gst-trt bench; at most 8 minutes. MODEL and POSE_MODEL name .onnx or .engine files\n\
         ./gpu-soak    starts, stops and memory; with MODEL and POSE_MODEL as .onnx also the migration guide's procedure\n\
         \x20             for 8 cameras (./migrate runs it for any number); at most 9 minutes\n\n\
         Each ends with a short table; its complete output is in logs/. `. ./env` sets up a shell.\n\
         {others}\n\
         Clips, made from {}: street.mp4 with B-frames, street-no-b.mp4 without; 1920x1080, 30 fps, 20 s, H.264 High,\n\
         8 Mbit/s, a key frame every 60 frames.\n\
         Test programs: {}.\n",
        clips.source,
        tests.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A syntax error would otherwise show only on a machine with a GPU.
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
