//! From a picture to a model's input tensor: letterbox, colour and normalisation in one pass.
//!
//! Resampling is bilinear with half-pixel centres and repeated edge pixels, without antialiasing, unless the model was
//! trained with antialiasing or cubic convolution (`filtered.rs`). The result equals,
//! within 2 of 255 levels, that of converting the whole picture to RGB and then resizing it (OpenCV's `cvtColor` and
//! `resize` with `INTER_LINEAR`): each source pixel is converted to 8 bits before it is mixed with others, and 4:2:0
//! chroma applies to its whole 2×2 block without interpolation, as in OpenCV. Only the pixels that are read are
//! converted: at most four per target pixel.

use super::filtered::Filtered;
use super::image::Image;
use super::resample::{Axis, Taps};
use super::rows::{self, Channels, Pixels};
use model::video::Conversion;
use model::{ElementType, Fit, InputSpec, Interpolation, Layout, Letterbox, Normalization, Rect, SourceSpan};

/// The reason why a picture can't be preprocessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreprocessError {
    #[error("the picture's planes are shorter than its size and strides say")]
    Planes,
    #[error("the tensor has {got} bytes, its specification needs {needed}")]
    Output { got: usize, needed: usize },
}

/// Tables and rows that are kept between calls, so that nothing is allocated while sizes stay the same.
#[derive(Debug, Default)]
pub struct Workspace {
    columns: Taps,
    lines: Taps,
    pixels: Pixels,
    filtered: Filtered,
    /// Scratch space for a row's second taps.
    second: Channels<f32>,
    /// The last two source rows used, at target width.
    rows: [Row; 2],
    /// One row of the tensor, borders included.
    line: Channels<f32>,
    interleaved: Vec<f32>,
}

/// A source row, resampled to the target's columns.
#[derive(Debug, Default)]
struct Row {
    y: Option<u32>,
    rgb: Channels<f32>,
}

/// Makes the tensor of a region (in frame pixels) of `image`; `out` is one image in `spec`'s layout and element type,
/// in native byte order. A region without pixels gives only the border.
///
/// # Errors
/// A plane or `out` is too short.
pub fn preprocess(
    image: &Image<'_>,
    region: Rect,
    spec: &InputSpec,
    workspace: &mut Workspace,
    out: &mut [u8],
) -> Result<(), PreprocessError> {
    let needed = spec.bytes();
    if out.len() != needed {
        return Err(PreprocessError::Output { got: out.len(), needed });
    }
    if !image.is_complete() {
        return Err(PreprocessError::Planes);
    }
    let mut target = Target::new(spec, out);
    workspace.line.iter_mut().for_each(|channel| channel.resize(spec.width as usize, 0.0));

    let picture = Letterbox::new(region, spec);
    let (left, width) = (picture.left as usize, picture.width as usize);
    let (top, height) = (picture.top as usize, picture.height as usize);
    workspace.fill_border(spec);
    if !has_pixels(picture.region, image) {
        (0..spec.height as usize).for_each(|y| target.put(y, workspace));
        return Ok(());
    }
    let border_rows = (0..top).chain(top + height..spec.height as usize);
    border_rows.for_each(|y| target.put(y, workspace));

    let axis = |SourceSpan { start, length }, source: usize, target: usize| {
        let extended = spec.resize.fit == Fit::Extended;
        Axis { start, length, source, target, extended }
    };
    let [columns, lines] = picture.sources();
    let (columns, lines) = (axis(columns, image.width, width), axis(lines, image.height, height));
    let conversion = image.format.is_yuv().then(|| Conversion::new(image.colorimetry));
    if spec.resize.interpolation != Interpolation::Linear {
        workspace.filtered.start(columns, lines, spec.resize.interpolation, &mut workspace.pixels);
        for y in 0..height {
            workspace.make_filtered_line(image, conversion.as_ref(), y, left..left + width, spec);
            target.put(top + y, workspace);
        }
        return Ok(());
    }
    workspace.columns.update(columns);
    workspace.lines.update(lines);
    workspace.rows.iter_mut().for_each(|row| row.y = None);
    workspace.pixels.reset(width);
    for y in 0..height {
        workspace.make_line(image, conversion.as_ref(), y, left..left + width, spec);
        target.put(top + y, workspace);
    }
    Ok(())
}

/// Whether the region overlaps the picture.
fn has_pixels(region: Rect, image: &Image<'_>) -> bool {
    let frame = Rect::new(0.0, 0.0, image.width as f32, image.height as f32);
    [region.x, region.y, region.w, region.h].iter().all(|v| v.is_finite()) && region.intersection(&frame).area() > 0.0
}

impl Workspace {
    fn fill_border(&mut self, spec: &InputSpec) {
        let Normalization { mean, scale } = spec.normalization;
        for ((line, mean), scale) in self.line.iter_mut().zip(mean).zip(scale) {
            line.fill((f32::from(spec.pad) - mean) * scale);
        }
    }

    /// Makes the picture's part of the tensor's row at target line `y`.
    fn make_line(
        &mut self,
        image: &Image<'_>,
        conversion: Option<&Conversion>,
        y: usize,
        columns: std::ops::Range<usize>,
        spec: &InputSpec,
    ) {
        let (Some(&first), Some(&weight)) = (self.lines.first.get(y), self.lines.weight.get(y)) else { return };
        // Lines are made from top to bottom, so the previous lower row is often the upper row now.
        if self.rows[1].y == Some(first) {
            self.rows.swap(0, 1);
        }
        self.load_row(0, image, conversion, first);
        let lower = if weight == 0.0 { 0 } else { 1 };
        if lower == 1 {
            self.load_row(1, image, conversion, first + 1);
        }
        let Normalization { mean, scale } = spec.normalization;
        for (channel, line) in self.line.iter_mut().enumerate() {
            let source = if spec.bgr { 2 - channel } else { channel };
            let (upper, lower) = (&self.rows[0].rgb[source], &self.rows[lower].rgb[source]);
            if let Some(line) = line.get_mut(columns.clone()) {
                rows::blend_rows(upper, lower, weight, mean[channel], scale[channel], line);
                if let Some(&cover) = self.lines.cover.get(y) {
                    let border = (f32::from(spec.pad) - mean[channel]) * scale[channel];
                    blend_border(line, border, &self.columns.cover, cover);
                }
            }
        }
    }

    /// As [`Self::make_line`], with a filter.
    fn make_filtered_line(
        &mut self,
        image: &Image<'_>,
        conversion: Option<&Conversion>,
        y: usize,
        columns: std::ops::Range<usize>,
        spec: &InputSpec,
    ) {
        let rgb = self.filtered.line(image, conversion, y, &mut self.pixels);
        let Normalization { mean, scale } = spec.normalization;
        for (channel, line) in self.line.iter_mut().enumerate() {
            let source = &rgb[if spec.bgr { 2 - channel } else { channel }];
            if let Some(line) = line.get_mut(columns.clone()) {
                rows::blend_rows(source, source, 0.0, mean[channel], scale[channel], line);
            }
        }
    }

    fn load_row(&mut self, slot: usize, image: &Image<'_>, conversion: Option<&Conversion>, y: u32) {
        let row = &mut self.rows[slot];
        if row.y == Some(y) {
            return;
        }
        row.y = Some(y);
        self.pixels.gather(image, y as usize, &self.columns);
        rows::to_rgb(conversion, &self.pixels.first, &mut row.rgb);
        if !self.columns.exact {
            rows::to_rgb(conversion, &self.pixels.second, &mut self.second);
            for (channel, second) in row.rgb.iter_mut().zip(&self.second) {
                rows::blend_columns(channel, second, &self.columns.weight);
            }
        }
    }
}

/// Mixes a row with the border by the share of each pixel that the picture covers, `columns · row`.
fn blend_border(line: &mut [f32], border: f32, columns: &[f32], row: f32) {
    for (value, &column) in line.iter_mut().zip(columns) {
        let cover = column * row;
        if cover < 1.0 {
            *value = border + (*value - border) * cover;
        }
    }
}

/// The tensor, written row by row.
struct Target<'a> {
    layout: Layout,
    element: ElementType,
    /// Bytes per row of one channel.
    row: usize,
    /// Bytes per channel.
    plane: usize,
    out: &'a mut [u8],
}

impl<'a> Target<'a> {
    fn new(spec: &InputSpec, out: &'a mut [u8]) -> Self {
        let row = spec.width as usize * spec.element.size();
        Self { layout: spec.layout, element: spec.element, row, plane: row * spec.height as usize, out }
    }

    /// Writes the workspace's line as row `y`.
    fn put(&mut self, y: usize, workspace: &mut Workspace) {
        match self.layout {
            Layout::Nchw => {
                for (channel, line) in workspace.line.iter().enumerate() {
                    let start = channel * self.plane + y * self.row;
                    if let Some(out) = self.out.get_mut(start..start + self.row) {
                        rows::store(line, self.element, out);
                    }
                }
            }
            Layout::Nhwc => {
                rows::interleave(&workspace.line, &mut workspace.interleaved);
                let start = 3 * y * self.row;
                if let Some(out) = self.out.get_mut(start..start + 3 * self.row) {
                    rows::store(&workspace.interleaved, self.element, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
