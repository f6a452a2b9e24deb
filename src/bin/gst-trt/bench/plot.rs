//! The report as a picture: frames per second by streams, beside what engine and decoder make alone.

use super::report::{Kind, Report, Row};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (70.0, 50.0, 200.0, 50.0);

struct Line {
    name: &'static str,
    colour: &'static str,
    /// What something alone could do: dashed.
    dashed: bool,
    points: Vec<(usize, f64)>,
}

pub fn svg(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write_svg(&mut text, report);
    text
}

fn lines(report: &Report) -> Vec<Line> {
    let rows = |kind: Kind| {
        let rows = report.rows.iter().filter(move |row| row.kind == kind && !row.paced && row.error.is_none());
        rows.collect::<Vec<&Row>>()
    };
    let of = |kind: Kind, value: fn(&Row) -> Option<f64>| -> Vec<(usize, f64)> {
        rows(kind).iter().filter_map(|row| Some((row.streams, value(row)?))).collect()
    };
    let fps = |row: &Row| Some(row.fps);
    let line = |name, colour, dashed, points| Line { name, colour, dashed, points };
    let mut lines = vec![
        line("decode alone (D)", "#888888", true, of(Kind::Decode, fps)),
        line("engine alone (R)", "#CC8800", true, of(Kind::Detection, |row| row.engine_fps)),
        line("detection", "#0066CC", false, of(Kind::Detection, fps)),
        line("both engines alone", "#CC4444", true, of(Kind::DetectionAndPose, |row| row.engine_fps)),
        line("detection + pose", "#008844", false, of(Kind::DetectionAndPose, fps)),
    ];
    lines.retain(|line| !line.points.is_empty());
    lines
}

fn write_svg(out: &mut String, report: &Report) -> std::fmt::Result {
    let lines = lines(report);
    let (left, top, right, bottom) = MARGINS;
    let (width, height) = (WIDTH - left - right, HEIGHT - top - bottom);
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let mut streams: Vec<usize> = points().map(|(streams, _)| streams).collect();
    streams.sort_unstable();
    streams.dedup();
    let step = nice_step(points().map(|(_, fps)| fps).fold(1.0, f64::max) / 5.0);
    let steps = (points().map(|(_, fps)| fps).fold(1.0, f64::max) / step).ceil().max(1.0);
    let x = |count: usize| {
        let at = streams.iter().position(|&other| other == count).unwrap_or(0) as f64;
        left + width * (at + 0.5) / streams.len().max(1) as f64
    };
    let y = |fps: f64| top + height * (1.0 - fps / (step * steps));

    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">"
    )?;
    writeln!(out, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>")?;
    let title =
        escaped(&format!("{}, backend={}, {}", report.machine.device, report.machine.backend, report.machine.clip));
    writeln!(out, "<text x=\"{left}\" y=\"28\" font-size=\"15\">{title}</text>")?;
    for k in 0..=steps as u32 {
        let fps = step * f64::from(k);
        let (at, right) = (y(fps), left + width);
        writeln!(out, "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#DDDDDD\"/>")?;
        writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{fps}</text>", left - 8.0, at + 4.0)?;
    }
    for &count in &streams {
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{count}</text>",
            x(count),
            HEIGHT - bottom + 20.0
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">streams</text>",
        left + width / 2.0,
        HEIGHT - 10.0
    )?;
    writeln!(out, "<text x=\"{left}\" y=\"{}\" text-anchor=\"end\">fps</text>", top - 8.0)?;
    for (k, line) in lines.iter().enumerate() {
        let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let places: Vec<_> = line.points.iter().map(|&(count, fps)| format!("{:.1},{:.1}", x(count), y(fps))).collect();
        let (colour, places) = (line.colour, places.join(" "));
        writeln!(out, "<polyline points=\"{places}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>")?;
        for &(count, fps) in &line.points {
            writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(count), y(fps))?;
        }
        let (at, from) = (top + 20.0 * k as f64, WIDTH - right + 16.0);
        writeln!(
            out,
            "<line x1=\"{from}\" y1=\"{at}\" x2=\"{}\" y2=\"{at}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            from + 24.0
        )?;
        writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", from + 32.0, at + 4.0, line.name)?;
    }
    writeln!(out, "</svg>")
}

/// 1, 2 or 5 times a power of ten, not less than `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|&step| step >= least).unwrap_or(10.0 * power)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::row;
    use super::*;

    #[test]
    fn lines_are_drawn_where_the_figures_are() {
        let mut report = Report {
            rows: vec![row(Kind::Decode, 1, 500.0), row(Kind::Detection, 1, 250.0), row(Kind::Detection, 4, 1000.0)],
            ..Report::default()
        };
        report.machine.device = "A <GPU> & more".into();
        let text = svg(&report);
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("A &lt;GPU&gt; &amp; more"));
        assert_eq!(text.matches("<polyline").count(), 3, "D, R, detection");
        // 1000 of 1000 is at the top, 500 in the middle.
        assert!(text.contains("cy=\"50.0\"") && text.contains("cy=\"220.0\""), "{text}");
        let open = text.matches("<text").count();
        assert_eq!(open, text.matches("</text>").count());
    }

    #[test]
    fn steps_are_round_numbers() {
        assert_eq!([nice_step(0.7), nice_step(130.0), nice_step(200.0), nice_step(51.0)], [1.0, 200.0, 200.0, 100.0]);
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() {
        assert!(svg(&Report::default()).contains("</svg>"));
    }
}
