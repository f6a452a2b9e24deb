//! Shows the progress of a build: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::io::{Write, stderr};
use std::sync::Arc;
use tensorrt::OnProgress;

/// The file's name, the bar, and TensorRT's current phase.
const TEMPLATE: &str = "{prefix} [{bar:30}] {pos:>3} % {wide_msg}";

/// Prints to stderr; stdout is for results.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(model: &str) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(100).with_style(style.progress_chars("# ")).with_prefix(model.to_owned()))
    }

    pub fn on_progress(&self) -> OnProgress {
        let bar = self.0.clone();
        let printed = Mutex::new(None);
        Arc::new(move |phase, fraction| {
            let percent = percent(fraction);
            if !bar.is_hidden() {
                bar.set_message(phase.to_owned());
                bar.set_position(percent);
                return;
            }
            let step = percent / 10 * 10;
            if printed.lock().replace(step) != Some(step) {
                // A closed stderr is no reason to end the build.
                let _ = writeln!(stderr(), "{}: {step} % {phase}", bar.prefix());
            }
        })
    }

    /// Ends the bar's line.
    pub fn finish(&self) {
        self.0.abandon();
    }
}

fn percent(fraction: f32) -> u64 {
    (fraction.clamp(0.0, 1.0) * 100.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn percent_is_between_0_and_100() {
        assert_eq!([-1.0, 0.0, 0.5, 1.0, 1.5].map(percent), [0, 0, 50, 100, 100]);
    }
}
