//! Failing outputs, over minutes:
//!
//!     cargo test --release --test soak_outputs -- --ignored --nocapture --test-threads=1

mod common;

use std::time::Duration;

#[test]
#[ignore = "minutes: cargo test --release --test soak_outputs -- --ignored"]
fn outputs_fail_by_chance_for_minutes() {
    for seed in 1..=4 {
        eprintln!("seed {seed}");
        common::outputs::run_with_failures(seed, 24, Duration::from_millis(2500));
    }
}
