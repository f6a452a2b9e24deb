//! The licences of everything in a package: this project's, those of all crates, the models', ONNX Runtime's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::run_quiet;
use crate::package::{sha256, sha256_of, write_atomically};
use crate::paths::Paths;
use crate::tools::{self, cargo_with_tools};

/// Licences whose texts are on every Debian system, where they are named instead of repeated; the archive has them as files.
const COMMON: [&str; 2] = ["Apache-2.0", "MPL-2.0"];

#[derive(Deserialize)]
struct Answer {
    licenses: Vec<Licence>,
}

/// One text and the crates that come under it.
#[derive(Deserialize)]
struct Licence {
    id: String,
    text: String,
    used_by: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "crate")]
    of: Crate,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// None for a crate of this workspace.
    source: Option<String>,
}

/// The stanzas of all crates that are compiled into plugin and program. Recognising the texts takes minutes, so the answer is kept
/// for as long as the crates are the same.
///
/// # Errors
/// A crate has a licence that about.toml doesn't accept.
pub fn crates(paths: &Paths) -> Result<String> {
    let mut made_of = format!("{:?}", tools::ABOUT);
    for file in ["Cargo.lock", "Cargo.toml", "about.toml"] {
        made_of += &sha256_of(&paths.root.join(file))?.with_context(|| format!("{file} is missing"))?;
    }
    let kept = paths.cache.join("licences").join(format!("{}.json", &sha256(made_of.as_bytes())[..16]));
    let text = match fs::read_to_string(&kept) {
        Ok(text) => text,
        Err(_) => {
            let mut about = cargo_with_tools(paths)?;
            about.args(["about", "generate", "--frozen", "--fail", "--format", "json", "--config", "about.toml"]);
            let text = run_quiet(&mut about)?;
            write_atomically(&kept, text.as_bytes())?;
            text
        }
    };
    let answer: Answer = serde_json::from_str(&text).with_context(|| kept.display().to_string())?;
    Ok(answer.licenses.iter().filter_map(stanza).collect::<Vec<_>>().join("\n"))
}

/// A paragraph of Debian's machine-readable format; none for this project's own crates, which the head covers.
fn stanza(licence: &Licence) -> Option<String> {
    let of_others = licence.used_by.iter().map(|user| &user.of).filter(|of| of.source.is_some());
    let files: Vec<_> = of_others.map(|of| format!("crates/{}-{}/*", of.name, of.version)).collect();
    if files.is_empty() {
        return None;
    }
    let notices: Vec<_> = licence.text.lines().map(str::trim).filter(|line| is_notice(line)).collect();
    let notices = if notices.is_empty() { vec!["the authors of these crates"] } else { notices };
    let text = if COMMON.contains(&licence.id.as_str()) { in_common(&licence.id) } else { indented(&licence.text) };
    let (files, notices) = (files.join("\n       "), notices.join("\n           "));
    Some(format!("Files: {files}\nCopyright: {notices}\nLicense: {}\n{text}", licence.id))
}

/// A line that claims the copyright, and not the mention of one.
fn is_notice(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("copyright ") && line.contains(|c: char| c.is_ascii_digit() || c == '©')
}

fn in_common(id: &str) -> String {
    format!(" The text is in /usr/share/common-licenses/{id} on Debian, and beside this file in the archive.\n")
}

/// A text as a field's continuation: each line begins with a space, and an empty one has a dot.
pub fn indented(text: &str) -> String {
    let lines = text.trim().lines().map(str::trim_end);
    lines.map(|line| if line.is_empty() { " .\n".into() } else { format!(" {line}\n") }).collect()
}

/// The whole file. `onnx_runtime` is its licence, where the package carries it.
pub fn file(paths: &Paths, crates: &str, onnx_runtime: Option<&str>) -> Result<String> {
    let read = |name: &str| fs::read_to_string(paths.root.join(name)).with_context(|| name.to_owned());
    let part = |files: &str, copyright: &str, id: &str, text: &str| {
        format!("\nFiles: {files}\nCopyright: {copyright}\nLicense: {id}\n{}", indented(text))
    };
    let mut text = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: gst-plugin-tensorrt\n\
         Comment: Plugin and program contain the crates that are listed as crates/NAME-VERSION.\n\
         \nFiles: *\nCopyright: the authors of gst-plugin-tensorrt\nLicense: MPL-2.0\n",
    );
    text += &in_common("MPL-2.0");
    text +=
        "\nFiles: usr/share/gst-tensorrt/models/movenet-lightning.onnx\nCopyright: Google LLC\nLicense: Apache-2.0\n";
    text += &in_common("Apache-2.0");
    text += "\nFiles: usr/share/gst-tensorrt/models/nanodet.onnx\nCopyright: RangiLyu\nLicense: Apache-2.0\n";
    text += &in_common("Apache-2.0");
    text += &part(
        "fonts/Ubuntu-Light.ttf",
        "2011 Canonical Ltd.",
        "Ubuntu-font-1.0",
        &read("docs/ubuntu-font-licence-1.0.txt")?,
    );
    text += &part("fonts/NotoEmoji.ttf", "2013 Google Inc.", "OFL-1.1", &read("docs/sil-open-font-licence-1.1.txt")?);
    let lit = read("src/web/page/vendor/lit-html/LICENSE")?;
    text += &part("src/web/page/vendor/lit-html/*", "2017 Google LLC", "BSD-3-Clause", &lit);
    if let Some(licence) = onnx_runtime {
        text += "\nFiles: usr/lib/gst-tensorrt/libonnxruntime.so.*\nCopyright: Microsoft Corporation\nLicense: MIT\n";
        text += &indented(licence);
        text += "Comment: The notices of what it contains are in onnxruntime-ThirdPartyNotices.txt beside this file.\n";
    }
    Ok(text + "\n" + crates)
}

/// Copies the texts that [`in_common`] names.
pub fn write_common(paths: &Paths, folder: &Path) -> Result<()> {
    for (id, file) in [("Apache-2.0", "models/LICENSE-movenet"), ("MPL-2.0", "LICENSE")] {
        let target = folder.join(id);
        fs::copy(paths.root.join(file), &target).with_context(|| target.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licence(id: &str, text: &str, source: Option<&str>) -> Licence {
        let of = Crate { name: "a".into(), version: "1.2.3".into(), source: source.map(str::to_owned) };
        Licence { id: id.into(), text: text.into(), used_by: vec![User { of }] }
    }

    #[test]
    fn a_text_is_indented_and_common_ones_are_named() {
        let text = "MIT License\n\nCopyright (c) 2020 A\nThe above copyright notice\n";
        let found = stanza(&licence("MIT", text, Some("registry"))).unwrap();
        let expected = "Files: crates/a-1.2.3/*\nCopyright: Copyright (c) 2020 A\nLicense: MIT\n MIT License\n .\n Copyright (c) 2020 A\n The above copyright notice\n";
        assert_eq!(found, expected);
        let found = stanza(&licence("Apache-2.0", "Apache License\n2.0", Some("registry"))).unwrap();
        assert!(found.contains("common-licenses/Apache-2.0") && !found.contains("Apache License"), "{found}");
        assert!(stanza(&licence("MPL-2.0", "x", None)).is_none());
    }
}
