//! A sample as text for a terminal.

use super::columns::{columns, lines};
use super::sample::{CameraRow, Sample};
use super::snapshot::Camera;
use std::fmt::Write;

/// The most characters of a camera's name that are shown.
const LONGEST_NAME: usize = 32;

/// A row for each camera, and the figures of the process, the machine and the GPUs. Unknown figures are `-`.
pub fn table(sample: &Sample) -> String {
    let mut out = String::new();
    let names = sample.cameras.iter().map(|row| row.camera.name.chars().take(LONGEST_NAME).collect::<String>());
    let mut table = columns(
        2,
        &[
            ("CAMERA", 6),
            ("STATE", 12),
            ("FPS", 7),
            ("FRAMES", 9),
            ("P50 ms", 8),
            ("P95 ms", 8),
            ("P99 ms", 8),
            ("DROPS", 8),
            ("RECONNECTS", 10),
        ],
    );
    for (CameraRow { camera, fps, .. }, name) in sample.cameras.iter().zip(names) {
        let Camera { state, frames, latency, drops, reconnects, .. } = camera;
        let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(|value| number(value, 1));
        let (frames, drops, reconnects) = (frames.to_string(), drops.to_string(), reconnects.to_string());
        table.add_row([name, state.name().into(), format!("{fps:.1}"), frames, p50, p95, p99, drops, reconnects]);
    }
    let indent = table.column_max_content_widths().first().map_or(0, |width| usize::from(*width)) + 2;
    let mut rows = lines(&table);
    if !sample.cameras.is_empty() {
        out.extend(rows.next().map(|titles| titles + "\n"));
    }
    for (row, CameraRow { camera: Camera { reason, lines_dropped, .. }, .. }) in rows.zip(&sample.cameras) {
        let _ = writeln!(out, "{row}");
        if let Some(reason) = reason {
            let _ = writeln!(out, "{:indent$}{reason}", "");
        }
        if *lines_dropped > 0 {
            let _ = writeln!(out, "{:indent$}{lines_dropped} lines dropped by outputs", "");
        }
    }
    if !sample.cameras.is_empty() {
        out.push('\n');
    }
    if let Some(process) = &sample.process {
        let _ = writeln!(
            out,
            "process  CPU {} % of the machine ({:.2} cores), {} core-ms a frame, {} MiB",
            number(process.cpu_percent, 1),
            process.cores,
            number(process.core_ms_per_frame, 2),
            number(process.memory_mib, 0)
        );
    }
    let machine = &sample.machine;
    let _ = writeln!(
        out,
        "machine  CPU {} % of {} cores, memory {} of {} MiB",
        number(machine.cpu_percent, 1),
        machine.cores.map_or("-".into(), |cores| cores.to_string()),
        number(machine.memory_used_mib, 0),
        number(machine.memory_total_mib, 0)
    );
    for gpu in &sample.gpus {
        let _ = writeln!(
            out,
            "GPU {}    {}: compute {} %, NVDEC {} %, memory {} of {} MiB",
            gpu.index,
            gpu.name.as_deref().unwrap_or("-"),
            number(gpu.gpu_percent, 0),
            number(gpu.decoder_percent, 0),
            number(gpu.memory_used_mib, 0),
            number(gpu.memory_total_mib, 0)
        );
    }
    if sample.gpus.is_empty() {
        out.push_str("GPU      none that NVIDIA's driver knows\n");
    }
    for warning in &sample.warnings {
        let _ = writeln!(out, "⚠️  {warning}");
    }
    out
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::super::gpu::Gpu;
    use super::super::sample::{Machine, Process};
    use super::super::snapshot::{CameraState, Latency};
    use super::*;

    #[test]
    fn every_number_has_its_place() {
        let door = Camera {
            name: "door".into(),
            state: CameraState::Playing,
            frames: 1234,
            drops: 5,
            latency: Latency { p50: Some(12.34), p95: Some(20.0), p99: Some(31.06), ..Latency::default() },
            ..Camera::default()
        };
        let yard = Camera {
            name: "yard".into(),
            state: CameraState::Reconnecting,
            reason: Some("no answer".into()),
            reconnects: 2,
            lines_dropped: 7,
            ..Camera::default()
        };
        let row = |camera, fps| CameraRow { camera, fps, drops_per_second: 0.0 };
        let gpu = Gpu { index: 0, name: Some("NVIDIA T4".into()), gpu_percent: Some(61.0), ..Gpu::default() };
        let sample = Sample {
            time: String::new(),
            interval: 1.0,
            process: Some(Process {
                pid: 1,
                cpu_percent: Some(6.25),
                cores: 1.0,
                core_ms_per_frame: Some(4.167),
                memory_mib: Some(512.4),
                cpu_seconds: 1.0,
            }),
            machine: Machine {
                cpu_percent: Some(16.0),
                cores: Some(16),
                memory_used_mib: None,
                memory_total_mib: None,
            },
            cameras: vec![row(door, 29.97), row(yard, 0.0)],
            gpus: vec![gpu],
            warnings: vec!["CPU usage higher than expected".into()],
        };
        assert_eq!(
            table(&sample),
            "\
CAMERA  STATE            FPS    FRAMES   P50 ms   P95 ms   P99 ms    DROPS RECONNECTS
door    playing         30.0      1234     12.3     20.0     31.1        5          0
yard    reconnecting     0.0         0        -        -        -        0          2
        no answer
        7 lines dropped by outputs

process  CPU 6.2 % of the machine (1.00 cores), 4.17 core-ms a frame, 512 MiB
machine  CPU 16.0 % of 16 cores, memory - of - MiB
GPU 0    NVIDIA T4: compute 61 %, NVDEC - %, memory - of - MiB
⚠️  CPU usage higher than expected
"
        );
    }
}
