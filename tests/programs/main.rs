//! Other programs with the plugin: the examples, and what the documents tell people to run.

#[path = "../common/mod.rs"]
mod common;
mod docs;
mod examples;
mod python;
