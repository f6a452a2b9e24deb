//! Failures injected by tests.

use super::status::{Fail, from_number, log};
use crate::settings::settings;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Counts a piece of work of `kind`, and returns the error that it is to fail with.
pub fn injected(kind: &'static str) -> Option<Fail> {
    static COUNTS: Mutex<Option<HashMap<&'static str, u64>>> = Mutex::new(None);
    if settings().failures.is_empty() {
        return None;
    }
    let mut counts = COUNTS.lock();
    let count = counts.get_or_insert_default().entry(kind).or_default();
    *count += 1;
    let failure = settings().failures.iter().find(|failure| failure.kind == kind && failure.number == *count)?;
    log(&format!("{kind} {count} fails with {}, as STANDIN_FAIL requests", failure.code));
    Some(from_number(failure.code))
}
