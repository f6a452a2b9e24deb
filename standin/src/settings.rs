//! The stand-in's settings, from environment variables.

use std::sync::OnceLock;
use std::time::Duration;

/// Read once per process.
#[derive(Debug)]
pub struct Settings {
    /// `STANDIN_CHECK`: every memory access of a kernel is checked (ownership, alignment, races between barriers); slow.
    pub check: bool,
    /// `STANDIN_SEED`: shuffles the order of threads and blocks; 0, the default, leaves it.
    pub seed: u64,
    /// `STANDIN_DELAY`: maximum microseconds of a random delay before each piece of a stream's work, which exposes missing waits.
    pub delay: Duration,
    /// `STANDIN_DEVICES`: number of GPUs, 1 by default.
    pub devices: i32,
    /// `STANDIN_MEMORY`: bytes of device memory, 8 GiB by default.
    pub memory: u64,
    /// `STANDIN_NAME`: the GPU's name.
    pub name: String,
    /// `STANDIN_TENSORRT`: TensorRT's version as a number, 100600 by default; 10.3 to 10.8 have the same layout.
    pub tensorrt: i32,
    /// `STANDIN_BUILD_TIME`: minimum milliseconds that building an engine takes.
    pub build_time: Duration,
    /// `STANDIN_TRACE`: prints each driver call and its result on stderr.
    pub trace: bool,
    /// `STANDIN_FAIL`: see [`Failure`]; separated by commas.
    pub failures: Vec<Failure>,
}

/// `KIND=N:CODE`: the N-th piece of work of that kind in the process, from 1, fails with this driver error. The error of
/// asynchronous work is reported by a later call that waits, and nothing works in its context any more.
///
/// Kinds: `launch` (of a kernel), `copy`, `graph` (its launch), `alloc` (the call fails at once, and only that call),
/// `enqueue` (TensorRT's: the call fails).
#[derive(Debug)]
pub struct Failure {
    pub kind: String,
    pub number: u64,
    pub code: u32,
}

pub fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings {
        check: number("STANDIN_CHECK", 0) != 0,
        seed: number("STANDIN_SEED", 0),
        delay: Duration::from_micros(number("STANDIN_DELAY", 0)),
        devices: number("STANDIN_DEVICES", 1) as i32,
        memory: number("STANDIN_MEMORY", 8 << 30),
        name: std::env::var("STANDIN_NAME").unwrap_or_else(|_| "Stand-in GPU".into()),
        tensorrt: number("STANDIN_TENSORRT", 100_600) as i32,
        build_time: Duration::from_millis(number("STANDIN_BUILD_TIME", 0)),
        trace: number("STANDIN_TRACE", 0) != 0,
        failures: std::env::var("STANDIN_FAIL").map(|text| failures(&text)).unwrap_or_default(),
    })
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}

fn failures(text: &str) -> Vec<Failure> {
    let one = |part: &str| {
        let (kind, rest) = part.split_once('=')?;
        let (number, code) = rest.split_once(':')?;
        Some(Failure { kind: kind.into(), number: number.parse().ok()?, code: code.parse().ok()? })
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(|part| one(part).unwrap_or_else(|| panic!("STANDIN_FAIL: {part} isn't KIND=N:CODE"))).collect()
}
