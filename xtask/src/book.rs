//! The documentation as HTML.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::tools;

/// Builds `docs/` into `target/book`, without a warning.
pub fn build(paths: &Paths) -> Result<()> {
    let folder = paths.target().join("book");
    let mut mdbook = tools::program(paths, &tools::BOOK);
    mdbook.arg("build").arg(paths.root.join("docs")).arg("--dest-dir").arg(&folder);
    // Nothing is printed but warnings and errors.
    let output = mdbook.env("MDBOOK_LOG", "warn").output().context("mdbook")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "mdbook build docs:\n{said}");
    let pages = fs::read_dir(&folder).with_context(|| folder.display().to_string())?.flatten();
    let pages = pages.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "html")).count();
    println!("  {pages} pages in {}", folder.display());
    Ok(())
}
