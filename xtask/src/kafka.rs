//! The Kafka broker of the tests: its Java libraries, fetched by Maven.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::{heading, run_quiet, step, succeeds};
use crate::package::{scratch, sha256_of, verify};
use crate::paths::Paths;

const LIST: &str = include_str!("kafka.toml");

/// The libraries of one broker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Libraries {
    version: String,
    /// Of all libraries, for display.
    megabytes: u32,
    jars: Vec<Jar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jar {
    /// GROUP:ARTIFACT:VERSION
    name: String,
    sha256: String,
}

impl Jar {
    /// Group, artifact and version.
    fn parts(&self) -> Result<[&str; 3]> {
        let parts: Vec<&str> = self.name.split(':').collect();
        parts.try_into().ok().with_context(|| format!("{}: it must be GROUP:ARTIFACT:VERSION", self.name))
    }

    fn file(&self) -> Result<String> {
        let [_, artifact, version] = self.parts()?;
        Ok(format!("{artifact}-{version}.jar"))
    }
}

/// Installs the broker in the cache, where the tests look for it.
pub fn install_for_tests(paths: &Paths) -> Result<()> {
    heading("Kafka broker of the tests");
    let libraries: Libraries = toml::from_str(LIST).context("kafka.toml")?;
    let target = paths.cache.join(format!("kafka-{}", libraries.version));
    if !is_complete(&libraries, &target)? {
        if !succeeds(Command::new("mvn").arg("--version")) {
            bail!("fetching Kafka {} needs Maven, and mvn isn't installed: install maven", libraries.version);
        }
        let what = format!("Kafka {} from Maven Central, {} MB", libraries.version, libraries.megabytes);
        step(&what, || fetch(paths, &libraries, &target))?;
    }
    println!("  {} exists", target.display());
    Ok(())
}

fn is_complete(libraries: &Libraries, folder: &Path) -> Result<bool> {
    for jar in &libraries.jars {
        if sha256_of(&folder.join(jar.file()?))?.is_none_or(|found| found != jar.sha256) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fetches all libraries in one run of Maven, and puts them in place together, once each has the right hash.
fn fetch(paths: &Paths, libraries: &Libraries, target: &Path) -> Result<()> {
    let scratch = scratch(paths, "kafka")?;
    fs::write(scratch.path().join("pom.xml"), project(libraries)?)?;
    let jars = scratch.path().join("jars");
    let mut mvn = Command::new("mvn");
    mvn.args(["--quiet", "--batch-mode", "dependency:copy-dependencies"]).current_dir(scratch.path());
    mvn.arg(format!("-DoutputDirectory={}", jars.display()));
    // A separate local repository, so that the libraries aren't stored twice.
    mvn.arg(format!("-Dmaven.repo.local={}", scratch.path().join("repository").display()));
    run_quiet(&mut mvn)
        .context("check the network, and that mvn reaches its registry (proxy, mirror, certificates)")?;
    for jar in &libraries.jars {
        let file = jar.file()?;
        let found = sha256_of(&jars.join(&file))?.with_context(|| format!("mvn didn't create {file}"))?;
        verify("xtask/src/kafka.toml", &file, &found, &jar.sha256)?;
    }
    if target.exists() {
        fs::remove_dir_all(target).with_context(|| target.display().to_string())?;
    }
    fs::rename(&jars, target).with_context(|| target.display().to_string())
}

/// A Maven project that depends on exactly these libraries, and not on what they depend on.
fn project(libraries: &Libraries) -> Result<String> {
    let mut pom = "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
        <groupId>gst-tensorrt</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>"
        .to_owned();
    for jar in &libraries.jars {
        let [group, artifact, version] = jar.parts()?;
        write!(
            pom,
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>\
             <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
        )?;
    }
    pom.push_str("</dependencies></project>");
    Ok(pom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_each_library_with_its_hash() {
        let libraries: Libraries = toml::from_str(LIST).unwrap();
        for jar in &libraries.jars {
            assert!(jar.file().is_ok(), "{}", jar.name);
            assert!(jar.sha256.len() == 64 && jar.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{}", jar.name);
        }
        let broker = format!("org.apache.kafka:kafka_2.13:{}", libraries.version);
        assert!(libraries.jars.iter().any(|jar| jar.name == broker));
        let pom = project(&libraries).unwrap();
        assert_eq!(pom.matches("<dependency>").count(), libraries.jars.len());
    }
}
