//! Row operations of the preprocessing. The loops are written so that the compiler vectorises them; the CPU's
//! instruction set is chosen at run time.

use super::image::Image;
use super::resample::Taps;
use half::f16;
use half::slice::HalfFloatSliceExt;
use model::ElementType;
use model::video::{Conversion, HostFormat};
use multiversion::multiversion;

/// Three channels of a row.
pub type Channels<T> = [Vec<T>; 3];

/// A source row's bytes at the columns that the target needs: R, G, B, or Y, Cb, Cr. Chroma is that of the pixel's 2×2
/// block, without interpolation.
#[derive(Debug, Default)]
pub struct Pixels {
    /// The pixels at each target column's first tap.
    pub first: Channels<u8>,
    /// The pixels at the second tap; unused if the taps are exact.
    pub second: Channels<u8>,
    /// The chroma row currently gathered; two rows of a picture share one.
    chroma_row: Option<usize>,
}

impl Pixels {
    /// Resizes the rows and forgets the last picture.
    pub fn reset(&mut self, columns: usize) {
        self.first.iter_mut().chain(&mut self.second).for_each(|channel| channel.resize(columns, 0));
        self.chroma_row = None;
    }

    pub fn gather(&mut self, image: &Image<'_>, y: usize, columns: &Taps) {
        if columns.exact {
            self.gather_taps::<false>(image, y, &columns.first);
        } else {
            self.gather_taps::<true>(image, y, &columns.first);
        }
    }

    /// `BOTH`: gather the second tap too, the pixel to the right.
    fn gather_taps<const BOTH: bool>(&mut self, image: &Image<'_>, y: usize, columns: &[u32]) {
        let row = |plane, y| image.row(plane, y).unwrap_or_default();
        let ([a, b, c], [a2, b2, c2]) = (&mut self.first, &mut self.second);
        match image.format {
            HostFormat::Rgb => packed::<3, BOTH>(row(0, y), columns, [a, b, c], [a2, b2, c2]),
            HostFormat::Bgr => packed::<3, BOTH>(row(0, y), columns, [c, b, a], [c2, b2, a2]),
            HostFormat::Rgba => packed::<4, BOTH>(row(0, y), columns, [a, b, c], [a2, b2, c2]),
            HostFormat::Bgra => packed::<4, BOTH>(row(0, y), columns, [c, b, a], [c2, b2, a2]),
            HostFormat::Nv12 | HostFormat::I420 => {
                single::<BOTH>(row(0, y), columns, a, a2);
                if self.chroma_row.replace(y / 2) == Some(y / 2) {
                    return;
                }
                if image.format == HostFormat::Nv12 {
                    nv12_chroma::<BOTH>(row(1, y / 2), columns, [b, c], [b2, c2]);
                } else {
                    i420_chroma::<BOTH>(row(1, y / 2), columns, b, b2);
                    i420_chroma::<BOTH>(row(2, y / 2), columns, c, c2);
                }
            }
        }
    }
}

fn single<const BOTH: bool>(row: &[u8], columns: &[u32], first: &mut [u8], second: &mut [u8]) {
    for ((&x, first), second) in columns.iter().zip(first).zip(second) {
        let x = x as usize;
        if BOTH {
            if let Some(&[left, right]) = row.get(x..x + 2) {
                (*first, *second) = (left, right);
            }
        } else if let Some(&value) = row.get(x) {
            *first = value;
        }
    }
}

fn i420_chroma<const BOTH: bool>(row: &[u8], columns: &[u32], first: &mut [u8], second: &mut [u8]) {
    for ((&x, first), second) in columns.iter().zip(first).zip(second) {
        let x = x as usize;
        if let Some(&value) = row.get(x / 2) {
            *first = value;
        }
        if let (true, Some(&value)) = (BOTH, row.get(x.div_ceil(2))) {
            *second = value;
        }
    }
}

fn nv12_chroma<const BOTH: bool>(row: &[u8], columns: &[u32], [cb, cr]: [&mut [u8]; 2], [cb2, cr2]: [&mut [u8]; 2]) {
    let (blocks, _) = row.as_chunks::<2>();
    for ((((&x, cb), cr), cb2), cr2) in columns.iter().zip(cb).zip(cr).zip(cb2).zip(cr2) {
        let x = x as usize;
        if let Some(block) = blocks.get(x / 2) {
            [*cb, *cr] = *block;
        }
        if let (true, Some(block)) = (BOTH, blocks.get(x.div_ceil(2))) {
            [*cb2, *cr2] = *block;
        }
    }
}

fn packed<const N: usize, const BOTH: bool>(
    row: &[u8],
    columns: &[u32],
    [a, b, c]: [&mut [u8]; 3],
    [a2, b2, c2]: [&mut [u8]; 3],
) {
    let (pixels, _) = row.as_chunks::<N>();
    let firsts = columns.iter().zip(a).zip(b).zip(c);
    for ((((((&x, a), b), c), a2), b2), c2) in firsts.zip(a2).zip(b2).zip(c2) {
        let x = x as usize;
        if let Some(pixel) = pixels.get(x) {
            (*a, *b, *c) = (pixel[0], pixel[1], pixel[2]);
        }
        if let (true, Some(pixel)) = (BOTH, pixels.get(x + 1)) {
            (*a2, *b2, *c2) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

/// Converts gathered pixels to R, G, B from 0 to 255.
pub fn to_rgb(conversion: Option<&Conversion>, pixels: &Channels<u8>, out: &mut Channels<f32>) {
    let [a, b, c] = pixels;
    out.iter_mut().for_each(|channel| channel.resize(a.len(), 0.0));
    match conversion {
        Some(conversion) => yuv_to_rgb(conversion, [a, b, c], out.each_mut().map(Vec::as_mut_slice)),
        None => out.iter_mut().zip(pixels).for_each(|(out, channel)| widen(channel, out)),
    }
}

/// Adding and then subtracting 1.5 · 2²³, where an f32 has a resolution of 1, rounds a small f32 to the nearest
/// integer. Not every CPU has rounding instructions.
const ROUND: f32 = 12_582_912.0;

/// The result is clamped and rounded, like the 8-bit picture that a converter produces.
#[multiversion(targets("x86_64+avx2"))]
fn yuv_to_rgb(k: &Conversion, [y, cb, cr]: [&[u8]; 3], [r, g, b]: [&mut [f32]; 3]) {
    for (((((&y, &cb), &cr), r), g), b) in y.iter().zip(cb).zip(cr).zip(r).zip(g).zip(b) {
        let luma = (f32::from(y) - k.luma_offset) * k.luma_scale;
        let (cb, cr) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
        *r = (luma + k.red_cr * cr).clamp(0.0, 255.0) + ROUND - ROUND;
        *g = (luma + k.green_cb * cb + k.green_cr * cr).clamp(0.0, 255.0) + ROUND - ROUND;
        *b = (luma + k.blue_cb * cb).clamp(0.0, 255.0) + ROUND - ROUND;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn widen(values: &[u8], out: &mut [f32]) {
    for (&value, out) in values.iter().zip(out) {
        *out = f32::from(value);
    }
}

/// Moves each value towards `other` by its weight.
#[multiversion(targets("x86_64+avx2"))]
pub fn blend_columns(values: &mut [f32], other: &[f32], weights: &[f32]) {
    for ((value, &other), &weight) in values.iter_mut().zip(other).zip(weights) {
        *value += (other - *value) * weight;
    }
}

/// `(upper + (lower - upper) · weight - mean) · scale`
#[multiversion(targets("x86_64+avx2"))]
pub fn blend_rows(upper: &[f32], lower: &[f32], weight: f32, mean: f32, scale: f32, out: &mut [f32]) {
    for ((&upper, &lower), out) in upper.iter().zip(lower).zip(out) {
        *out = (upper + (lower - upper) * weight - mean) * scale;
    }
}

/// Adds `values · weight`.
#[multiversion(targets("x86_64+avx2"))]
pub fn add_scaled(values: &[f32], weight: f32, sum: &mut [f32]) {
    for (&value, sum) in values.iter().zip(sum) {
        *sum += value * weight;
    }
}

/// Interleaves three planes into pixels.
pub fn interleave([a, b, c]: &Channels<f32>, out: &mut Vec<f32>) {
    out.resize(3 * a.len(), 0.0);
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (((pixel, &a), &b), &c) in pixels.iter_mut().zip(a).zip(b).zip(c) {
        *pixel = [a, b, c];
    }
}

/// Writes values as elements of a tensor; integers are rounded and saturate.
pub fn store(values: &[f32], element: ElementType, out: &mut [u8]) {
    match element {
        ElementType::F32 => store_each(values, out, |value| value.to_ne_bytes()),
        ElementType::U8 => store_each(values, out, |value| (value.round_ties_even() as u8).to_ne_bytes()),
        ElementType::I32 => store_each(values, out, |value| (value.round_ties_even() as i32).to_ne_bytes()),
        ElementType::I64 => store_each(values, out, |value| (value.round_ties_even() as i64).to_ne_bytes()),
        ElementType::F16 => {
            // Converting in blocks uses the CPU's conversion instructions without a buffer as long as the row.
            let mut block = [f16::ZERO; 64];
            for (values, out) in values.chunks(block.len()).zip(out.chunks_mut(2 * block.len())) {
                let block = &mut block[..values.len()];
                block.convert_from_f32_slice(values);
                let bytes: &[u8] = bytemuck::cast_slice(block);
                out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = byte);
            }
        }
    }
}

fn store_each<const N: usize>(values: &[f32], out: &mut [u8], to_bytes: impl Fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (element, &value) in elements.iter_mut().zip(values) {
        *element = to_bytes(value);
    }
}
