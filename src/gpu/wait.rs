//! Waiting for a batch on the device.

use crate::error::Error;
use crate::scheduling::CompletionWait;
use std::time::Instant;

/// Sleeps until `done` returns true, polling at the times that `wait` gives; `block` waits for a batch that takes
/// unusually long.
///
/// # Errors
/// Work on the device failed.
pub fn wait_until(
    wait: &mut CompletionWait,
    mut done: impl FnMut() -> bool,
    block: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let start = Instant::now();
    for (looks, time) in wait.sleeps().enumerate() {
        std::thread::sleep(time);
        let is_done = done();
        if looks == 0 {
            wait.looked(is_done);
        }
        if is_done {
            return Ok(());
        }
    }
    block()?;
    wait.blocked(start.elapsed());
    Ok(())
}
