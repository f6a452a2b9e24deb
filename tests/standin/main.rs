//! The stand-in GPU's promises: it refuses what the real one refuses, and fails where the real one's behaviour is undefined.
//! Other tests on it prove something only as far as these do.
//!
//! Each part runs in a process on the stand-in, as the ignored test with its name.

mod captures;
#[path = "../common/mod.rs"]
mod common;
mod driver;
mod engines;
mod examples;
mod kernels;
mod names;
mod probe;

use common::standin::run_ignored;

macro_rules! on_standin {
    ($($name:ident: $test:literal $(, $variable:literal = $value:literal)*;)*) => {
        $(#[test]
        fn $name() {
            run_ignored($test, &[$(($variable, $value)),*]);
        })*
    };
}

on_standin! {
    streams_work_beside_their_callers: "driver::streams", "STANDIN_DELAY" = "20000", "STANDIN_SEED" = "5";
    the_default_stream_waits_for_others: "driver::default_stream", "STANDIN_DELAY" = "20000", "STANDIN_SEED" = "5";
    misuse_is_refused: "driver::misuse";
    pools_free_in_a_streams_order: "driver::pools", "STANDIN_DELAY" = "20000";
    lines_are_set: "driver::lines_are_set";
    memory_ends: "driver::memory_ends", "STANDIN_MEMORY" = "1000000", "STANDIN_FAIL" = "alloc=5:2";
    errors_stick: "driver::errors_stick", "STANDIN_FAIL" = "launch=2:700";
    captures_follow_the_rules: "captures::rules";
    captured_work_runs_when_launched: "captures::launches", "STANDIN_DELAY" = "2000";
    kernels_do_what_they_should: "kernels::correct";
    kernels_do_what_they_should_in_any_order: "kernels::correct", "STANDIN_SEED" = "9";
    checked_kernels_do_what_they_should: "kernels::correct", "STANDIN_CHECK" = "1", "STANDIN_SEED" = "9";
    an_unallocated_address_fails_the_context: "kernels::beyond";
    checks_find_every_fault: "kernels::faults", "STANDIN_CHECK" = "1";
    checks_find_every_fault_in_any_order: "kernels::faults", "STANDIN_CHECK" = "1", "STANDIN_SEED" = "3";
    engines_state_their_rules: "engines::rules";
    engines_belong_to_their_tensorrt_and_gpu: "engines::belong";
    an_enqueue_fails_when_told: "engines::enqueue_fails", "STANDIN_FAIL" = "enqueue=2:999";
}
