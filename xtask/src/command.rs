//! Running other programs and reporting the result.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Prints a line that starts a section of the output.
pub fn heading(text: &str) {
    println!("\n== {text}");
}

/// The command line as a user could type it, without its environment.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn could_not_start(command: &Command, error: &std::io::Error) -> String {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => format!("{program} is not installed (needed for: {})", line(command)),
        _ => format!("can't start {program}"),
    }
}

/// Runs a command whose output the user sees.
pub fn run(command: &mut Command) -> Result<()> {
    // Both streams may go to one file: earlier output must come first.
    std::io::stdout().flush()?;
    let status =
        command.status().map_err(|error| anyhow::Error::msg(could_not_start(command, &error)).context(error))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command whose output only matters if it fails; returns its standard output.
pub fn run_quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| anyhow::Error::msg(could_not_start(command, &error)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = printed.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(25)..].join("\n  ");
    bail!("{} ended with {}:\n  {last}", line(command), output.status)
}

/// True if the program can be started and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Prints a description of the work, does it, and adds the time it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let terminal = std::io::stdout().is_terminal();
    print!("  {what} ...");
    std::io::stdout().flush().context("standard output")?;
    let start = Instant::now();
    let result = work();
    let (end, seconds) = (if terminal { "\r" } else { "" }, start.elapsed().as_secs_f64());
    match &result {
        Ok(_) if terminal => println!("{end}  {what}: {seconds:.1} s   "),
        Ok(_) => println!(" {seconds:.1} s"),
        Err(_) => println!(" failed"),
    }
    result
}
