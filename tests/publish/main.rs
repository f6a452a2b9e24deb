//! `trtpublish`.

#[path = "../common/mod.rs"]
mod common;
mod element;
mod servers;
