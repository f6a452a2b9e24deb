//! Test programs, as cargo builds them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::run_quiet;
use crate::paths::Paths;
use crate::plugin::cargo;

/// A test program.
#[derive(Debug, PartialEq)]
pub struct Program {
    /// The name of its source in tests/, of the library, or of the binary that it tests.
    pub name: String,
    pub executable: PathBuf,
}

/// Cargo's message about a finished artifact.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the programs that `cargo test` with these arguments would run, in alphabetical order.
pub fn built(paths: &Paths, arguments: &[&str]) -> Result<Vec<Program>> {
    let mut build = cargo(paths);
    build.args(["test", "--no-run"]).args(arguments).args(["--message-format", "json-render-diagnostics"]);
    named(&run_quiet(&mut build)?)
}

fn named(messages: &str) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let artifact: Artifact = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if let (Some(target), Some(profile), Some(executable)) =
            (artifact.target, artifact.profile, artifact.executable)
            && artifact.reason == "compiler-artifact"
            && profile.test
        {
            programs.push(Program { name: target.name, executable });
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_in_cargos_messages() {
        let text = r#"   Compiling something
{"reason":"compiler-artifact","target":{"name":"metadata"},"profile":{"test":true},"executable":"/t/metadata-1"}
{"reason":"compiler-artifact","target":{"name":"elements"},"profile":{"test":true},"executable":"/t/elements-1"}
{"reason":"compiler-artifact","target":{"name":"gst-trt"},"profile":{"test":false},"executable":"/t/gst-trt"}
{"reason":"compiler-artifact","target":{"name":"a_library"},"profile":{"test":false},"executable":null}
{"reason":"build-finished","success":true}
"#;
        let program = |name: &str| Program { name: name.into(), executable: format!("/t/{name}-1").into() };
        assert_eq!(named(text).unwrap(), [program("elements"), program("metadata")]);
    }
}
