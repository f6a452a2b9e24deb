//! How far a build is: a bar on a terminal, lines elsewhere.

use gsttensorrt::tensorrt::OnProgress;
use parking_lot::Mutex;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;

/// Characters of the bar.
const WIDTH: usize = 30;

/// Prints to stderr; stdout is for results.
pub fn printer(model: &str) -> OnProgress {
    let (model, terminal) = (model.to_owned(), stderr().is_terminal());
    let printed = Mutex::new(None);
    Arc::new(move |phase, fraction| {
        let percent = (fraction * 100.0) as usize;
        // Lines every 10 %, the bar every 1 %.
        let step = if terminal { percent } else { percent / 10 * 10 };
        let mut printed = printed.lock();
        if printed.replace(step) != Some(step) {
            // Nobody is there to tell when stderr is closed.
            let _ = if terminal {
                write!(stderr(), "\r{model} {} {percent:3} % {phase:.40}\x1b[K", bar(fraction))
            } else {
                writeln!(stderr(), "{model}: {step} % {phase}")
            };
        }
    })
}

/// Ends the bar's line.
pub fn finish() {
    if stderr().is_terminal() {
        let _ = writeln!(stderr());
    }
}

fn bar(fraction: f32) -> String {
    let full = ((fraction * WIDTH as f32) as usize).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), " ".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_fills() {
        assert_eq!(bar(0.0), format!("[{}]", " ".repeat(30)));
        assert_eq!(bar(0.5), format!("[{}{}]", "#".repeat(15), " ".repeat(15)));
        assert_eq!(bar(1.5), format!("[{}]", "#".repeat(30)));
    }
}
