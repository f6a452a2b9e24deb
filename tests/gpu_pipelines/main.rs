//! Whole pipelines with `backend=tensorrt`.
//!
//! Each test is there twice: `…::on_the_standin` runs in every test run, in a process on the stand-in GPU; `…::on_a_gpu` is
//! what that process runs, and is ignored here. On a machine with a GPU, TensorRT and GStreamer's nvcodec plugin:
//! `cargo test --test gpu_pipelines -- --ignored on_a_gpu --test-threads 1`
//! (those that need the stand-in's settings say so and skip).

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod failures;
mod frames;
mod life;
mod objects;

/// See the module: `fn NAME(VARIABLE = VALUE, …) { … }` with the stand-in's variables.
macro_rules! on_gpu {
    ($(#[$attribute:meta])* fn $name:ident($($variable:ident = $value:expr),*) $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn on_the_standin() {
                let (_, module) = module_path!().split_once("::").expect("inside the crate");
                // Each access of a kernel is checked, and each missing wait shows.
                let always = [("STANDIN_CHECK", "1"), ("STANDIN_DELAY", "200")];
                let more: &[(&str, &str)] = &[$((stringify!($variable), $value)),*];
                crate::common::standin::run_ignored(&format!("{module}::on_a_gpu"), &[&always, more].concat());
            }

            #[test]
            #[ignore = "needs a GPU"]
            fn on_a_gpu() {
                $(if std::env::var(stringify!($variable)).as_deref() != Ok($value) {
                    return crate::common::find::skip("the stand-in GPU", "it's told to fail");
                })*
                if !crate::common::running::start() {
                    return;
                }
                $body
            }
        }
    };
}
pub(crate) use on_gpu;
