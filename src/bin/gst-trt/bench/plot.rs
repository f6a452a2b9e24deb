//! Plots the report: frames per second by streams, beside what engine and decoder achieve alone.

use super::report::{Kind, Report, Row};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use std::error::Error;

/// Width and height.
const SIZE: (u32, u32) = (760, 440);
/// The width of the legend.
const LEGEND: u32 = 190;
const FONT: (&str, i32) = ("sans-serif", 13);
/// Pixels of a dash and of the gap after it.
const DASH: (i32, i32) = (6, 4);

struct Line {
    name: &'static str,
    colour: RGBColor,
    /// Dashed lines show what engine or decoder achieve alone.
    dashed: bool,
    points: Vec<(usize, f64)>,
}

pub fn svg(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = draw(&mut text, report);
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
        line("decode alone (D)", RGBColor(0x88, 0x88, 0x88), true, of(Kind::Decode, fps)),
        line("engine alone (R)", RGBColor(0xCC, 0x88, 0x00), true, of(Kind::Detection, |row| row.engine_fps)),
        line("detection", RGBColor(0x00, 0x66, 0xCC), false, of(Kind::Detection, fps)),
        line("both engines alone", RGBColor(0xCC, 0x44, 0x44), true, of(Kind::DetectionAndPose, |row| row.engine_fps)),
        line("detection + pose", RGBColor(0x00, 0x88, 0x44), false, of(Kind::DetectionAndPose, fps)),
    ];
    lines.retain(|line| !line.points.is_empty());
    lines
}

fn draw(text: &mut String, report: &Report) -> Result<(), Box<dyn Error>> {
    let lines = lines(report);
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let mut streams: Vec<usize> = points().map(|(streams, _)| streams).collect();
    streams.sort_unstable();
    streams.dedup();
    let picture = SVGBackend::with_string(text, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    if streams.is_empty() {
        return Ok(picture.present()?);
    }
    let highest = points().map(|(_, fps)| fps).fold(1.0, f64::max);
    let machine = &report.machine;
    let (area, legend) = picture.split_horizontally(SIZE.0 - LEGEND);
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}, backend={}, {}", machine.device, machine.backend, machine.clip), ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..streams.len() as f64 - 0.5, 0.0..highest)?;
    // The numbers of streams are equally spaced on the axis.
    let place = |count: usize| streams.iter().position(|other| *other == count).map(|at| at as f64);
    let label = |at: &f64| match streams.get(at.round().max(0.0) as usize) {
        Some(count) if (at - at.round()).abs() < 1e-3 => count.to_string(),
        _ => String::new(),
    };
    let rate = |fps: &f64| ((fps * 100.0).round() / 100.0).to_string();
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().light_line_style(TRANSPARENT).label_style(FONT).x_desc("streams").y_desc("fps");
    mesh.x_labels(streams.len() + 1).x_label_formatter(&label).y_label_formatter(&rate).draw()?;
    for (line, top) in lines.iter().zip((60..).step_by(20)) {
        let places: Vec<_> = line.points.iter().filter_map(|&(count, fps)| Some((place(count)?, fps))).collect();
        let style = line.colour.stroke_width(2);
        let sample = [(0, top), (24, top)];
        if line.dashed {
            chart.draw_series(DashedLineSeries::new(places.iter().cloned(), DASH.0, DASH.1, style))?;
            legend.draw(&DashedPathElement::new(sample, DASH.0, DASH.1, style))?;
        } else {
            chart.draw_series(LineSeries::new(places.iter().cloned(), style))?;
            legend.draw(&PathElement::new(sample, style))?;
        }
        chart.draw_series(places.into_iter().map(|place| Circle::new(place, 3, line.colour.filled())))?;
        legend.draw(&Text::new(line.name, (32, top - 6), FONT))?;
    }
    Ok(picture.present()?)
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
        for name in ["decode alone (D)", "engine alone (R)", "detection"] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert!(!text.contains("detection + pose"));
        let circles = text.lines().filter(|line| line.starts_with("<circle"));
        let places: Vec<(i32, i32)> = circles.map(|line| (attribute(line, "cx"), attribute(line, "cy"))).collect();
        // Decoding with one stream, the engine with one and four, and detection with one and four.
        let [decode, _, _, one, four] = places[..] else { panic!("{places:?}") };
        assert!(decode.0 == one.0 && one.0 < four.0, "{places:?}");
        // 250 is half as far below 500 as 500 is below 1000.
        assert!((one.1 - decode.1 - (decode.1 - four.1) / 2).abs() <= 1, "{places:?}");
    }

    fn attribute(line: &str, name: &str) -> i32 {
        let after = line.split_once(&format!("{name}=\"")).unwrap().1;
        after.split_once('"').unwrap().0.parse().unwrap()
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() {
        assert!(svg(&Report::default()).contains("</svg>"));
    }
}
