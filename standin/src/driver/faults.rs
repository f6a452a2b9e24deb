//! Failures that a test asked for.

use super::status::{Fail, from_number, log};
use crate::settings::settings;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Counts a piece of work of `kind`, and gives the error that it is to end with.
pub fn injected(kind: &'static str) -> Option<Fail> {
    static COUNTS: Mutex<Option<HashMap<&'static str, u64>>> = Mutex::new(None);
    if settings().failures.is_empty() {
        return None;
    }
    let mut counts = COUNTS.lock();
    let count = counts.get_or_insert_default().entry(kind).or_default();
    *count += 1;
    let failure = settings().failures.iter().find(|failure| failure.kind == kind && failure.number == *count)?;
    log(&format!("{kind} {count} fails with {}, as STANDIN_FAIL says", failure.code));
    Some(from_number(failure.code))
}
