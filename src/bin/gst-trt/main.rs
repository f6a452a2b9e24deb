//! The operators' tool: checks the machine, builds engines ahead of time, runs cameras, monitors them, manages the
//! engine cache, and measures.

#[macro_use]
mod print;

mod bench;
mod build;
mod cache;
mod check;
mod fleet;
mod generate;
mod host;
mod monitor;
mod progress;
mod reading;
mod run;
mod watch;
mod web;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Detection and pose with TensorRT: checks the machine, builds engines, runs cameras and watches them.
#[derive(Parser)]
#[command(name = "gst-trt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the GPU side of the machine, and names the remedy for what is missing.
    Check(check::Arguments),
    /// Builds engines from ONNX models, into the cache or a file.
    Build(build::Arguments),
    /// Runs the cameras of a configuration until SIGTERM or SIGINT.
    Run(run::Arguments),
    /// Shows what a running system does: cameras, CPU, GPUs.
    Monitor(monitor::Arguments),
    /// Shares the cameras of a configuration out over hosts, by Kafka.
    Fleet(fleet::Arguments),
    /// Lists or clears the engine cache.
    Cache(cache::Arguments),
    /// Measures how fast this machine runs a model on a clip.
    Bench(bench::Arguments),
    /// Writes man pages and completions for bash, zsh and fish into a folder such as /usr/local/share.
    Generate(generate::Arguments),
}

fn main() -> ExitCode {
    if let Err(error) = gst::init() {
        errln!("gst-trt: GStreamer doesn't start: {error}");
        return ExitCode::FAILURE;
    }
    gsttensorrt::listen_to_tensorrt();
    let done = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Monitor(arguments) => monitor::run(&arguments),
        Command::Fleet(arguments) => fleet::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments, Arguments::command()),
    };
    done.unwrap_or_else(|error| {
        errln!("gst-trt: {error}");
        ExitCode::FAILURE
    })
}
