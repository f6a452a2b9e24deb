//! Scripts of npm: what the web page is drawn with, and what its tests check it with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::heading;
use crate::manifest::{Asset, Manifest};
use crate::models;
use crate::package::{self, write_atomically};
use crate::paths::Paths;

/// Where archives of npm have everything.
const TOP: &str = "package";

/// Installs axe-core where the tests of the page look for it.
pub fn install_for_tests(paths: &Paths, manifest: &Manifest) -> Result<()> {
    heading("axe-core of the web page's tests");
    let axe = script(manifest, "axe-core")?;
    models::install(paths, manifest, axe, &paths.target().join("axe-core").join(&axe.file))
}

/// `cargo xtask page`: writes lit-html into the page's folder.
pub fn vendor(paths: &Paths, manifest: &Manifest) -> Result<()> {
    let lit = script(manifest, "lit-html")?;
    let archive = package::fetch(paths, manifest.package(&lit.package)?)?;
    for (member, bytes) in lit.members.iter().zip(package::extract(&archive, &lit.members)?) {
        let target = vendored(paths, lit, &member.path)?;
        write_atomically(&target, &bytes)?;
        println!("  {}", paths.short(&target));
    }
    Ok(())
}

/// Where the page has a member of a package.
fn vendored(paths: &Paths, script: &Asset, member: &str) -> Result<PathBuf> {
    let path = Path::new(member).strip_prefix(TOP).with_context(|| format!("{member} isn't in {TOP}/"))?;
    Ok(paths.root.join("src/web/page/vendor").join(&script.file).join(path))
}

fn script<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Asset> {
    manifest.script.get(name).with_context(|| format!("models/models.toml has no [script.{name}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::sha256_of;

    #[test]
    fn what_the_page_has_of_a_package_is_what_the_package_has() {
        let paths = Paths::find().unwrap();
        let manifest = Manifest::read(&paths).unwrap();
        let lit = script(&manifest, "lit-html").unwrap();
        let mut expected = Vec::new();
        for member in &lit.members {
            let file = vendored(&paths, lit, &member.path).unwrap();
            assert_eq!(
                sha256_of(&file).unwrap().as_ref(),
                Some(&member.sha256),
                "{}: cargo xtask page",
                file.display()
            );
            expected.push(file);
        }
        let mut found = crate::paths::walk(&paths.root.join("src/web/page/vendor")).unwrap();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
