//! models/models.toml: the files to fetch, their packages and their hashes.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths::Paths;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub package: BTreeMap<String, Package>,
    pub library: BTreeMap<String, Asset>,
    pub tensorrt: BTreeMap<String, TensorRt>,
    pub clip: BTreeMap<String, Asset>,
    pub script: BTreeMap<String, Asset>,
    pub model: BTreeMap<String, Model>,
}

/// A package of a public registry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub registry: Registry,
    pub name: String,
    pub version: String,
    /// Name of the registry's archive.
    pub file: String,
    pub sha256: String,
    /// Size of the archive, for display.
    pub megabytes: u32,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    Cargo,
    /// `name` is GROUP:ARTIFACT; the rest of `file` names the classifier.
    Maven,
    Npm,
    Pypi,
}

/// The libraries of one TensorRT version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorRt {
    pub about: String,
    #[serde(rename = "use")]
    pub usage: Usage,
    /// Relative to the cache for tests, otherwise to the user's data folder.
    pub folder: String,
    pub licence: String,
    pub package: String,
    /// Each is stored in the folder under its own name.
    pub members: Vec<Member>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// The tests pass its folder explicitly.
    Test,
    /// The plugin finds it by itself.
    Run,
}

/// A file that is extracted from a package, or made from several of its members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    pub about: String,
    /// Name of the installed file.
    pub file: String,
    pub licence: String,
    pub package: String,
    pub members: Vec<Member>,
    /// Its licence, and the licences of what it contains.
    #[serde(default)]
    pub notices: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Path in the package's archive.
    pub path: String,
    /// Path within the member, if that is itself a zip.
    pub inside: Option<String>,
    pub sha256: String,
}

#[derive(Deserialize)]
pub struct Model {
    pub head: String,
    pub input: String,
    pub labels: String,
    #[serde(rename = "use")]
    pub usage: String,
    pub convert: Option<Convert>,
    /// The converted file is part of the repository. If it is missing, it is made again like any other.
    #[serde(default)]
    pub committed: bool,
    #[serde(flatten)]
    pub asset: Asset,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Convert {
    pub input_shape: Vec<u32>,
    /// File beside models.toml with the expected outputs for the fixed images.
    pub expected: String,
}

impl Manifest {
    pub fn read(paths: &Paths) -> Result<Self> {
        let path = paths.root.join("models/models.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let manifest: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let assets = manifest.library.values().chain(manifest.clip.values()).chain(manifest.script.values());
        for asset in assets.chain(manifest.model.values().map(|model| &model.asset)) {
            manifest.package(&asset.package).with_context(|| format!("{}: {}", path.display(), asset.file))?;
        }
        for (name, tensorrt) in &manifest.tensorrt {
            manifest.package(&tensorrt.package).with_context(|| format!("{}: {name}", path.display()))?;
        }
        for (name, model) in &manifest.model {
            if model.convert.is_none() && model.asset.members.len() != 1 {
                bail!("{}: model {name} has {} members and no 'convert'", path.display(), model.asset.members.len());
            }
        }
        Ok(manifest)
    }

    /// Names of the models that need no TensorFlow, because they are committed or only fetched.
    pub fn without_conversion(&self) -> Vec<String> {
        let models = self.model.iter().filter(|(_, model)| model.convert.is_none() || model.committed);
        models.map(|(name, _)| name.clone()).collect()
    }

    pub fn package(&self, name: &str) -> Result<&Package> {
        self.package.get(name).with_context(|| format!("no [package.{name}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_manifest_is_complete() {
        let paths = Paths::find().unwrap();
        let manifest = Manifest::read(&paths).unwrap();
        let hashes = manifest.package.values().map(|package| &package.sha256);
        let assets = manifest.library.values().chain(manifest.clip.values()).chain(manifest.script.values());
        let assets = assets.chain(manifest.model.values().map(|model| &model.asset));
        let members = assets.flat_map(|asset| asset.members.iter().chain(&asset.notices));
        let members = members.chain(manifest.tensorrt.values().flat_map(|tensorrt| &tensorrt.members));
        for hash in hashes.chain(members.map(|member| &member.sha256)) {
            assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
        }
        for model in manifest.model.values() {
            if let Some(convert) = &model.convert {
                assert!(paths.root.join("models").join(&convert.expected).is_file(), "{}", convert.expected);
            }
            assert!(model.usage.contains(&model.asset.file), "{}", model.usage);
            assert!(!model.committed || paths.root.join("models").join(&model.asset.file).is_file());
        }
        for usage in [Usage::Test, Usage::Run] {
            assert!(manifest.tensorrt.values().any(|tensorrt| tensorrt.usage == usage), "{usage:?}");
        }
    }
}
