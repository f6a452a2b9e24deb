//! The page of `gst-trt run --web` in headless Chromium, as a person uses it.
//!
//! The tests share one browser and one `gst-trt run`, and have them one after the other. Screenshots for a look by eye are in
//! target/screenshots.

mod cameras;
#[path = "../common/mod.rs"]
mod common;
mod documents;
mod driver;
mod editor;
mod page;
mod sign_in;
mod views;
