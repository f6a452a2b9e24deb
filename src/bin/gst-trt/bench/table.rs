//! The report as text.

use super::report::{Alone, Outcome, Report, Row};
use gsttensorrt::monitor::{columns, lines};
use std::fmt::Write;

pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write_table(&mut text, report);
    text
}

fn write_table(out: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    let driver = machine.driver.as_deref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
    writeln!(
        out,
        "backend={} on {}{driver}, {} cores, {}",
        machine.backend, machine.device, machine.cores, machine.gstreamer
    )?;
    writeln!(
        out,
        "clip {}, at its own rate {}; {} s a row; batch-timeout {} ms",
        machine.clip, machine.latency_clip, machine.seconds, machine.batch_timeout_ms
    )?;
    for engine in [&report.detector, &report.pose].into_iter().flatten() {
        write_alone(out, engine)?;
    }
    writeln!(out)?;
    write_rows(out, &report.rows)?;
    writeln!(
        out,
        "  R, D: frames per second of the engines and of decoding alone; ratio: fps / min(R, D); own: our threads'"
    )?;
    writeln!(
        out,
        "  and our code's CPU time a frame, of it lanes, source pads' tasks and writers, decoders' threads; CPU: the process's;"
    )?;
    writeln!(out, "  tracks: tracker's and zones' CPU time; core/n: cores busy a stream; latency: p50 p95 p99")?;
    write_verdicts(out, report)
}

fn write_alone(out: &mut String, engine: &Alone) -> std::fmt::Result {
    write!(out, "{} alone:", engine.engine)?;
    match &engine.error {
        Some(error) => writeln!(out, " {error}"),
        None => {
            for time in &engine.batches {
                write!(out, "  {}: {:.2} ms", time.batch, time.milliseconds)?;
            }
            let best = engine.best().map_or(0.0, |best| best.fps);
            writeln!(out, "  (R = {best:.0}/s)")
        }
    }
}

fn write_rows(out: &mut String, rows: &[Row]) -> std::fmt::Result {
    let mut table = columns(
        1,
        &[
            ("row", 34),
            ("n", 3),
            ("fps", 8),
            ("batch", 6),
            ("cand.", 6),
            ("objects", 7),
            ("R", 8),
            ("D", 8),
            ("ratio", 6),
            ("own µs", 6),
            ("of it", 12),
            ("tracks", 6),
            ("CPU µs", 7),
            ("core/n", 7),
            ("B→host", 7),
            ("latency ms", 17),
        ],
    );
    for row in rows {
        let figures = if row.error.is_none() { figures(row) } else { Vec::new() };
        table.add_row([row.name(), row.streams.to_string()].into_iter().chain(figures));
    }
    let mut lines = lines(&table);
    if let Some(titles) = lines.next() {
        writeln!(out, "{titles}")?;
    }
    for (line, row) in lines.zip(rows) {
        let error = row.error.as_ref().map(|error| format!(" failed: {error}"));
        writeln!(out, "{line}{}", error.unwrap_or_default())?;
    }
    Ok(())
}

fn figures(row: &Row) -> Vec<String> {
    let some = |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
    let infers = row.kind.infers();
    let counted = |value: f64, digits| some(Some(value).filter(|_| infers), digits);
    let ratio = row.engine_fps.into_iter().chain(row.decode_fps).reduce(f64::min).map(|least| row.fps / least);
    let parts = row
        .own_cpu
        .map_or("–".into(), |own| format!("{:.0} {:.0} {:.0}", own.lanes_us, own.pads_us, own.decoders_us));
    let latency =
        row.latency.map_or("–".into(), |times| format!("{:.1} {:.1} {:.1}", times.p50, times.p95, times.p99));
    vec![
        format!("{:.1}", row.fps),
        counted(row.batch, 1),
        counted(row.candidates, 0),
        counted(row.objects, 1),
        some(row.engine_fps, 1),
        some(row.decode_fps, 1),
        some(ratio.filter(|_| !row.paced), 2),
        some(row.own_cpu.map(|own| own.total()), 0),
        parts,
        some(row.tracking_us, 1),
        format!("{:.0}", row.process_cpu_us),
        format!("{:.3}", row.cores_per_stream),
        some(row.to_host, 0),
        latency,
    ]
}

fn write_verdicts(out: &mut String, report: &Report) -> std::fmt::Result {
    if report.rows.iter().all(|row| row.verdicts.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    for row in &report.rows {
        for verdict in &row.verdicts {
            let outcome = match verdict.outcome {
                Outcome::Held => "held  ",
                Outcome::Missed => "MISSED",
                Outcome::Void => "void  ",
            };
            let (name, streams) = (row.name(), row.streams);
            let (value, bound) = (number(verdict.value), number(verdict.bound));
            writeln!(out, "{outcome}  {name}, {streams}: {} ({value}, bound {bound})", verdict.requirement)?;
        }
    }
    let all = || report.rows.iter().flat_map(|row| &row.verdicts);
    let count = |outcome| all().filter(|verdict| verdict.outcome == outcome).count();
    let (held, missed, void) = (count(Outcome::Held), count(Outcome::Missed), count(Outcome::Void));
    writeln!(out, "{held} held, {missed} missed, {void} void (fewer than 10 objects a frame)")
}

/// Formats a number with its significant digits only.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Kind;
    use super::super::verdict;
    use super::super::verdict::tests::{alone, gpu, row};
    use super::*;

    #[test]
    fn every_row_is_one_line_and_failures_say_why() {
        let failed = Row { error: Some("no decoder".into()), ..row(Kind::Decode, 2, 0.0) };
        let mut report = Report {
            machine: gpu(),
            detector: Some(alone(1000.0)),
            rows: vec![row(Kind::Detection, 4, 951.0), failed],
            ..Report::default()
        };
        verdict::judge(&mut report);
        let text = table(&report);
        assert!(text.contains("failed: no decoder"), "{text}");
        assert!(text.contains("held    detection, 4: fps ≥ 0.95 · min(R, D) (951, bound 950)"), "{text}");
        assert!(text.contains("0 missed"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("detection ")).count(), 1);
    }

    #[test]
    fn numbers_have_few_digits() {
        assert_eq!([number(951.4), number(12.345), number(0.0437)], ["951", "12.35", "0.044"]);
    }
}
