//! `gst-trt generate`: man pages and completions, made from the options themselves.

use clap_complete::Shell;
use gsttensorrt::error::{Error, ErrorKind};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The folders where distributions' shells look for completions, relative to the folder of shared data.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/gst-trt"),
    (Shell::Zsh, "zsh/site-functions/_gst-trt"),
    (Shell::Fish, "fish/vendor_completions.d/gst-trt.fish"),
];

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder, in which man/, bash-completion/, zsh/ and fish/ are created.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub fn run(arguments: &Arguments, command: clap::Command) -> Result<ExitCode, Error> {
    let folder = &arguments.folder;
    write(folder, command).map_err(|error| {
        let text = format!("{} can't be written: {error}; name a folder that may be written", folder.display());
        Error::new(ErrorKind::File, text).caused_by(error)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, mut command: clap::Command) -> io::Result<()> {
    let pages = folder.join("man/man1");
    fs::create_dir_all(&pages)?;
    // One page for the program and one for each of its commands. What completions do with a command adds `help` to it and to
    // each of its commands, which would have pages too.
    clap_mangen::generate_to(command.clone(), pages)?;
    for (shell, name) in COMPLETIONS {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        clap_complete::generate(shell, &mut command, "gst-trt", &mut fs::File::create(file)?);
    }
    Ok(())
}
