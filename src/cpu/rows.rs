//! What the preprocessing does with rows of pixels. The loops are written for the compiler to vectorise; the CPU's
//! instruction set is chosen at run time.

use super::image::{Conversion, Image, PixelFormat};
use crate::model::ElementType;
use half::f16;
use half::slice::HalfFloatSliceExt;
use multiversion::multiversion;

/// Three channels of a row.
pub type Channels<T> = [Vec<T>; 3];

/// Reads the pixels at `columns` of row `y`: R, G, B, or Y, Cb, Cr. Chroma is that of the 2×2 block the pixel is in,
/// not interpolated. Columns outside the row leave their element as it was.
pub fn gather(image: &Image<'_>, y: usize, columns: &[u32], out: &mut Channels<u8>) {
    out.iter_mut().for_each(|channel| channel.resize(columns.len(), 0));
    let [a, b, c] = out;
    let row = |plane, y| image.row(plane, y).unwrap_or_default();
    match image.format {
        PixelFormat::Nv12 => {
            gather_luma(row(0, y), columns, a);
            let chroma = row(1, y / 2);
            for ((&x, b), c) in columns.iter().zip(b).zip(c) {
                let x = x as usize & !1;
                if let Some(&[cb, cr]) = chroma.get(x..x + 2) {
                    (*b, *c) = (cb, cr);
                }
            }
        }
        PixelFormat::I420 => {
            gather_luma(row(0, y), columns, a);
            let (cb, cr) = (row(1, y / 2), row(2, y / 2));
            for ((&x, b), c) in columns.iter().zip(b).zip(c) {
                let x = x as usize / 2;
                if let (Some(&cb), Some(&cr)) = (cb.get(x), cr.get(x)) {
                    (*b, *c) = (cb, cr);
                }
            }
        }
        PixelFormat::Rgb => gather_packed::<3>(row(0, y), columns, [a, b, c]),
        PixelFormat::Bgr => gather_packed::<3>(row(0, y), columns, [c, b, a]),
        PixelFormat::Rgba => gather_packed::<4>(row(0, y), columns, [a, b, c]),
        PixelFormat::Bgra => gather_packed::<4>(row(0, y), columns, [c, b, a]),
    }
}

fn gather_luma(row: &[u8], columns: &[u32], out: &mut [u8]) {
    for (&x, out) in columns.iter().zip(out) {
        if let Some(&y) = row.get(x as usize) {
            *out = y;
        }
    }
}

fn gather_packed<const N: usize>(row: &[u8], columns: &[u32], [a, b, c]: [&mut Vec<u8>; 3]) {
    let (pixels, _) = row.as_chunks::<N>();
    for (((&x, a), b), c) in columns.iter().zip(a).zip(b).zip(c) {
        if let Some(pixel) = pixels.get(x as usize) {
            (*a, *b, *c) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

/// Gathered pixels as R, G, B from 0 to 255.
pub fn to_rgb(conversion: Option<&Conversion>, pixels: &Channels<u8>, out: &mut Channels<f32>) {
    let [a, b, c] = pixels;
    out.iter_mut().for_each(|channel| channel.resize(a.len(), 0.0));
    match conversion {
        Some(conversion) => yuv_to_rgb(conversion, [a, b, c], out.each_mut().map(Vec::as_mut_slice)),
        None => out.iter_mut().zip(pixels).for_each(|(out, channel)| widen(channel, out)),
    }
}

/// Clamped like the 8-bit picture that a converter would make, but not rounded.
#[multiversion(targets("x86_64+avx2"))]
fn yuv_to_rgb(k: &Conversion, [y, cb, cr]: [&[u8]; 3], [r, g, b]: [&mut [f32]; 3]) {
    for (((((&y, &cb), &cr), r), g), b) in y.iter().zip(cb).zip(cr).zip(r).zip(g).zip(b) {
        let luma = (f32::from(y) - k.luma_offset) * k.luma_scale;
        let (cb, cr) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
        *r = (luma + k.red_cr * cr).max(0.0).min(255.0);
        *g = (luma + k.green_cb * cb + k.green_cr * cr).max(0.0).min(255.0);
        *b = (luma + k.blue_cb * cb).max(0.0).min(255.0);
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

/// Three planes to pixels.
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
            // In blocks, so that the CPU's own conversion is used without a buffer as long as the row.
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
