//! Other programs that use the plugin: the examples, the commands in the documents, and what a fleet is deployed with.

#[path = "../common/mod.rs"]
mod common;
mod deploy;
mod docs;
mod examples;
mod links;
mod python;
