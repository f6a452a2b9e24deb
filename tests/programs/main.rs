//! Other programs that use the plugin: the examples, and the commands in the documents.

#[path = "../common/mod.rs"]
mod common;
mod docs;
mod examples;
mod links;
mod python;
