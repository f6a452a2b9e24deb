//! Measures how long each step of a task takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::heading;

/// The steps of a task in order, each with its duration.
#[derive(Default)]
pub struct Times(Vec<(&'static str, Duration)>);

impl Times {
    /// Runs one step, and names it in its error.
    pub fn measure<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let result = work().with_context(|| format!("{name} failed"));
        self.0.push((name, start.elapsed()));
        result
    }

    /// Prints each step's duration and the total.
    pub fn print(&self) {
        heading("Times");
        for (name, time) in &self.0 {
            println!("  {name:19}{:7.1} s", time.as_secs_f64());
        }
        println!("  {:19}{:7.1} s", "total", self.0.iter().map(|(_, time)| time.as_secs_f64()).sum::<f64>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_step() {
        let mut times = Times::default();
        assert_eq!(times.measure("models", || Ok(3)).unwrap(), 3);
        let error = times.measure::<()>("build", || Err(anyhow::anyhow!("no compiler"))).unwrap_err();
        assert_eq!(format!("{error:#}"), "build failed: no compiler");
        assert_eq!(times.0.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["models", "build"]);
    }
}
