//! `trtpublish`.

#[path = "../common/mod.rs"]
mod common;
mod element;
mod events;
mod servers;

use std::process::Command;

/// gst-launch-1.0 with the plugin of this build, as a separate process with its own environment.
fn gst_launch(launch: &str) -> Command {
    let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    assert!(library.is_file(), "{} is built with the tests", library.display());
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").arg(format!("--gst-plugin-load={}", library.display())).args(launch.split(' '));
    command
}
