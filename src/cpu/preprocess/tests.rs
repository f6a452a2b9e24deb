//! Comparison with a reference that works as OpenCV does: the whole picture is converted to 8-bit RGB, resized
//! bilinearly in 8 bits, and then gets the border and the normalisation.

use super::*;
use half::f16;
use model::Resize;
use model::video::{Colorimetry, HostFormat, Matrix};

const FORMATS: [HostFormat; 6] =
    [HostFormat::Nv12, HostFormat::I420, HostFormat::Rgb, HostFormat::Bgr, HostFormat::Rgba, HostFormat::Bgra];

fn spec(width: u32, height: u32) -> InputSpec {
    InputSpec {
        width,
        height,
        layout: Layout::Nchw,
        element: ElementType::F32,
        normalization: Normalization::NONE,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 114,
    }
}

/// A picture's planes with padded rows.
struct Picture {
    format: HostFormat,
    colorimetry: Colorimetry,
    width: usize,
    height: usize,
    planes: Vec<Vec<u8>>,
    strides: [usize; 3],
}

impl Picture {
    /// Test data that changes slowly, but has hard edges and values outside the video range.
    fn new(format: HostFormat, colorimetry: Colorimetry, width: usize, height: usize) -> Self {
        const PADDING: usize = 5;
        let mut picture = Self { format, colorimetry, width, height, planes: Vec::new(), strides: [0; 3] };
        for plane in 0..format.planes() {
            let (bytes, step) = match (format, plane) {
                (HostFormat::Nv12, 1) => (2 * width.div_ceil(2), 2),
                (HostFormat::I420, 1..) => (width.div_ceil(2), 1),
                (HostFormat::Nv12 | HostFormat::I420, _) => (width, 1),
                (HostFormat::Rgb | HostFormat::Bgr, _) => (3 * width, 3),
                (HostFormat::Rgba | HostFormat::Bgra, _) => (4 * width, 4),
            };
            let wave = |x: usize| {
                let channel = (x % step + plane) as f32;
                ((x / step) as f32 / (7.0 + channel) + channel).sin()
            };
            let columns: Vec<_> = (0..bytes + PADDING).map(|x| (wave(x), x / step / 20)).collect();
            let mut data = Vec::new();
            for y in 0..format.plane_rows(plane, height) {
                let row = (y as f32 / 11.0).cos();
                data.extend(columns.iter().map(|(wave, block)| {
                    let edge = if (block + y / 15) % 5 == 0 { 121.0 } else { 66.0 };
                    (128.0 + wave * row * edge) as u8
                }));
            }
            picture.strides[plane] = bytes + PADDING;
            picture.planes.push(data);
        }
        picture
    }

    fn image(&self) -> Image<'_> {
        let plane = |i: usize| self.planes.get(i).map(Vec::as_slice).unwrap_or_default();
        Image {
            format: self.format,
            colorimetry: self.colorimetry,
            width: self.width,
            height: self.height,
            planes: [plane(0), plane(1), plane(2)],
            strides: self.strides,
        }
    }

    /// ITU-R BT.601 and BT.709, written out with the recommendations' constants.
    fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = |plane: usize, offset: usize, y: usize| self.planes[plane][y * self.strides[plane] + offset];
        let packed = |bytes: usize, order: [usize; 3]| order.map(|channel| at(0, bytes * x + channel, y));
        let (luma, cb, cr) = match self.format {
            HostFormat::Nv12 => (at(0, x, y), at(1, x / 2 * 2, y / 2), at(1, x / 2 * 2 + 1, y / 2)),
            HostFormat::I420 => (at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2)),
            HostFormat::Rgb => return packed(3, [0, 1, 2]),
            HostFormat::Bgr => return packed(3, [2, 1, 0]),
            HostFormat::Rgba => return packed(4, [0, 1, 2]),
            HostFormat::Bgra => return packed(4, [2, 1, 0]),
        };
        let (luma, cb, cr) = if self.colorimetry.full_range {
            (f64::from(luma), f64::from(cb) - 128.0, f64::from(cr) - 128.0)
        } else {
            let chroma = |value: u8| (f64::from(value) - 128.0) * 255.0 / 224.0;
            ((f64::from(luma) - 16.0) * 255.0 / 219.0, chroma(cb), chroma(cr))
        };
        let rgb = match self.colorimetry.matrix {
            Matrix::Bt601 => [luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb],
            Matrix::Bt709 => [luma + 1.5748 * cr, luma - 0.187324 * cb - 0.468124 * cr, luma + 1.8556 * cb],
            Matrix::Bt2020 => [luma + 1.4746 * cr, luma - 0.164553 * cb - 0.571353 * cr, luma + 1.8814 * cb],
            other => unreachable!("{other:?} isn't tested"),
        };
        rgb.map(|value| value.round() as u8)
    }

    /// The reference: channel planes of 0–255, for a region of whole pixels.
    fn reference(&self, (x0, y0, w, h): (usize, usize, usize, usize), spec: &InputSpec) -> [Vec<u8>; 3] {
        let region = Rect::new(x0 as f32, y0 as f32, w as f32, h as f32);
        let letterbox = Letterbox::new(region, spec);
        let axis = |target: u32, size: usize, resized: u32| {
            let position = (f64::from(target) + 0.5) * size as f64 / f64::from(resized) - 0.5;
            let position = position.clamp(0.0, (size - 1) as f64);
            (position as usize, (position as usize + 1).min(size - 1), position.fract())
        };
        let mut planes = [(); 3].map(|()| vec![spec.pad; (spec.width * spec.height) as usize]);
        for y in 0..letterbox.height {
            let (ya, yb, wy) = axis(y, h, letterbox.height);
            for x in 0..letterbox.width {
                let (xa, xb, wx) = axis(x, w, letterbox.width);
                let pixel = |x: usize, y: usize| self.rgb(x0 + x, y0 + y).map(f64::from);
                let corners = [pixel(xa, ya), pixel(xb, ya), pixel(xa, yb), pixel(xb, yb)];
                for (channel, plane) in planes.iter_mut().enumerate() {
                    let [a, b, c, d] = corners.map(|corner| corner[channel]);
                    let value = (a * (1.0 - wx) + b * wx) * (1.0 - wy) + (c * (1.0 - wx) + d * wx) * wy;
                    plane[((letterbox.top + y) * spec.width + letterbox.left + x) as usize] = value.round() as u8;
                }
            }
        }
        planes
    }
}

fn run(image: &Image<'_>, region: Rect, spec: &InputSpec) -> Vec<u8> {
    let mut out = vec![0xA5; spec.bytes()];
    preprocess(image, region, spec, &mut Workspace::default(), &mut out).unwrap();
    out
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes)).collect()
}

fn whole(picture: &Picture) -> Rect {
    Rect::new(0.0, 0.0, picture.width as f32, picture.height as f32)
}

const VIDEO: Colorimetry = Colorimetry { matrix: Matrix::Bt601, full_range: false };

/// The largest difference from the reference, in levels of 0–255.
fn difference(picture: &Picture, region: (usize, usize, usize, usize), spec: &InputSpec) -> f32 {
    let (x, y, w, h) = region;
    let got = floats(&run(&picture.image(), Rect::new(x as f32, y as f32, w as f32, h as f32), spec));
    let expected = picture.reference(region, spec).concat();
    got.iter().zip(&expected).map(|(&a, &b)| (a - f32::from(b)).abs()).fold(0.0, f32::max)
}

#[test]
fn every_format_and_colorimetry_is_within_two_levels() {
    for format in FORMATS {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for full_range in [false, true] {
                for (width, height) in [(192, 108), (101, 67), (64, 64), (37, 90)] {
                    let colorimetry = Colorimetry { matrix, full_range };
                    let picture = Picture::new(format, colorimetry, width, height);
                    let found = difference(&picture, (0, 0, width, height), &spec(64, 64));
                    assert!(found <= 2.0, "{format:?} {matrix:?} {full_range} {width}×{height}: {found}");
                }
            }
        }
    }
}

#[test]
fn region_equals_a_crop() {
    for format in FORMATS {
        let picture = Picture::new(format, VIDEO, 161, 121);
        for region in [(3, 5, 40, 80), (0, 0, 1, 1), (160, 120, 1, 1), (100, 21, 61, 100)] {
            let found = difference(&picture, region, &spec(48, 64));
            assert!(found <= 2.0, "{format:?} {region:?}: {found}");
        }
    }
}

#[test]
fn stretches_without_aspect_ratio() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 90, 40);
    let spec = InputSpec { resize: Resize::STRETCH, ..spec(32, 64) };
    assert!(difference(&picture, (0, 0, 90, 40), &spec) <= 2.0);
}

/// OpenCV's `warpAffine` with a black border, for the affine of mmpose's `TopdownAffine`.
#[test]
fn an_extended_region_is_warped_as_the_reference_does() {
    let picture = Picture::new(HostFormat::Rgb, VIDEO, 61, 43);
    let pixel = |x: i64, y: i64| match (usize::try_from(x), usize::try_from(y)) {
        (Ok(x), Ok(y)) if x < 61 && y < 43 => picture.rgb(x, y).map(f64::from),
        _ => [0.0; 3],
    };
    for resize in [Resize::EXTENDED, Resize::EXTENDED_UDP] {
        let spec = InputSpec { resize, pad: 0, ..spec(24, 32) };
        for region in [
            Rect::new(10.0, 5.5, 12.0, 30.0),
            Rect::new(-7.25, -3.0, 20.0, 20.0),
            Rect::new(40.0, 20.0, 40.0, 20.0),
            Rect::new(20.0, 20.0, 3.0, 4.0),
            Rect::new(0.0, 0.0, 61.0, 43.0),
        ] {
            let got = floats(&run(&picture.image(), region, &spec));
            let (w, h) = (
                f64::from(region.w).max(f64::from(region.h) * 0.75),
                f64::from(region.h).max(f64::from(region.w) / 0.75),
            );
            let (left, top) =
                (f64::from(region.x + region.w / 2.0) - w / 2.0, f64::from(region.y + region.h / 2.0) - h / 2.0);
            let step =
                |size: f64, pixels: f64| if resize == Resize::EXTENDED { size / pixels } else { size / (pixels - 1.0) };
            for (i, j) in (0..32).flat_map(|j| (0..24).map(move |i| (i, j))) {
                let (x, y) = (left + step(w, 24.0) * f64::from(i), top + step(h, 32.0) * f64::from(j));
                let (wx, wy) = (x - x.floor(), y - y.floor());
                let (x, y) = (x.floor() as i64, y.floor() as i64);
                for channel in 0..3 {
                    let [a, b, c, d] = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| pixel(x + dx, y + dy)[channel]);
                    let wanted = (a * (1.0 - wx) + b * wx) * (1.0 - wy) + (c * (1.0 - wx) + d * wx) * wy;
                    let found = f64::from(got[(channel * 32 + j as usize) * 24 + i as usize]);
                    assert!(
                        (found - wanted).abs() < 0.02,
                        "{resize} {region:?}: {i} {j} {channel}: {found}, not {wanted}"
                    );
                }
            }
        }
    }
}

/// Whole numbers of pixels: each target pixel is the mean of a triangle over the source.
#[test]
fn antialiasing_averages_what_it_skips() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 128, 96);
    let resize = Resize::STRETCH.antialiased();
    let got = floats(&run(&picture.image(), whole(&picture), &InputSpec { resize, ..spec(32, 32) }));
    let triangle = |steps: i32, length: i32, at: i32| {
        let centre = (f64::from(at) + 0.5) * f64::from(steps);
        let weight = move |pixel: i32| (1.0 - ((f64::from(pixel) + 0.5 - centre) / f64::from(steps)).abs()).max(0.0);
        (0..length).map(|pixel| (pixel as usize, weight(pixel))).filter(|(_, w)| *w > 0.0).collect::<Vec<_>>()
    };
    for (x, y) in [(0, 0), (5, 7), (31, 31), (16, 0)] {
        for channel in 0..3 {
            let (columns, lines) = (triangle(4, 128, x), triangle(3, 96, y));
            let pairs = || columns.iter().flat_map(|c| lines.iter().map(move |l| (c, l)));
            let sum: f64 = pairs().map(|((_, a), (_, b))| a * b).sum();
            let value =
                |(&(x, a), &(y, b)): (&(usize, f64), &(usize, f64))| f64::from(picture.rgb(x, y)[channel]) * a * b;
            let wanted = pairs().map(value).sum::<f64>() / sum;
            let found = got[channel * 1024 + (y * 32 + x) as usize];
            assert!((f64::from(found) - wanted).abs() <= 1.0, "{x}, {y}, {channel}: {found}, not {wanted}");
        }
    }
}

/// OpenCV's `INTER_CUBIC` of floats, then limited to the range of pixels.
#[test]
fn cubic_convolution_is_that_of_four_pixels() {
    let mut picture = Picture::new(HostFormat::Rgb, VIDEO, 61, 43);
    // Hard edges, beside which the filter exceeds the range.
    picture.planes[0].iter_mut().for_each(|value| *value = if *value < 128 { 0 } else { 255 });
    let cubic = |distance: f64| match distance.abs() {
        x if x < 1.0 => (1.25 * x - 2.25) * x * x + 1.0,
        x => ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0,
    };
    for (width, height) in [(24, 16), (100, 90), (61, 43)] {
        let spec = InputSpec { resize: Resize::STRETCH.cubic(), ..spec(width, height) };
        let got = floats(&run(&picture.image(), whole(&picture), &spec));
        let taps = |at: u32, source: usize, target: u32| {
            let position = (f64::from(at) + 0.5) * source as f64 / f64::from(target) - 0.5;
            let first = position.floor() - 1.0;
            [0.0, 1.0, 2.0, 3.0].map(|tap| {
                let pixel = first + tap;
                (pixel.clamp(0.0, source as f64 - 1.0) as usize, cubic(position - pixel))
            })
        };
        let mut limited = 0;
        for (i, j) in (0..height).flat_map(|j| (0..width).map(move |i| (i, j))) {
            let (columns, lines) = (taps(i, 61, width), taps(j, 43, height));
            for channel in 0..3 {
                let pairs = columns.iter().flat_map(|c| lines.iter().map(move |l| (c, l)));
                let value = pairs.map(|(&(x, a), &(y, b))| f64::from(picture.rgb(x, y)[channel]) * a * b).sum::<f64>();
                limited += usize::from(!(0.0..=255.0).contains(&value));
                let found = f64::from(got[((channel as u32 * height + j) * width + i) as usize]);
                assert!((found - value.clamp(0.0, 255.0)).abs() < 0.01, "{i} {j} {channel}: {found}, not {value}");
            }
        }
        assert!(limited > 0 || width == 61, "no value exceeded the range of pixels");
    }
}

/// Regions of any size and place read only their own pixels.
#[test]
fn filters_stay_in_the_region() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 128, 96);
    for region in
        [Rect::new(3.0, 5.0, 40.5, 80.0), Rect::new(127.5, 0.0, 0.5, 1.0), Rect::new(-9.0, -9.0, 500.0, 500.0)]
    {
        for resize in [Resize::LETTERBOX.antialiased(), Resize::LETTERBOX.cubic()] {
            run(&picture.image(), region, &InputSpec { resize, ..spec(48, 64) });
        }
    }
}

#[test]
fn odd_tiny_and_huge_pictures_work() {
    for format in FORMATS {
        for (width, height) in [(1, 1), (1, 2), (2, 1), (3, 3), (1, 500), (500, 1), (7680, 2), (641, 359)] {
            let picture = Picture::new(format, VIDEO, width, height);
            assert!(difference(&picture, (0, 0, width, height), &spec(32, 32)) <= 2.0, "{format:?} {width}×{height}");
        }
    }
    let huge = Picture::new(HostFormat::Nv12, VIDEO, 7680, 4320);
    assert!(difference(&huge, (0, 0, 7680, 4320), &spec(64, 64)) <= 2.0);
}

#[test]
fn normalisation_is_per_channel_of_the_model() {
    let picture = Picture::new(HostFormat::Rgb, VIDEO, 32, 32);
    let rgb = InputSpec {
        normalization: Normalization { mean: [10.0, 20.0, 30.0], scale: [1.0, 0.5, 0.25] },
        ..spec(32, 32)
    };
    let bgr = InputSpec { bgr: true, ..rgb.clone() };
    let (r, g, b) = (0..1024, 1024..2048, 2048..3072);
    let (got_rgb, got_bgr) =
        (floats(&run(&picture.image(), whole(&picture), &rgb)), floats(&run(&picture.image(), whole(&picture), &bgr)));
    for (i, pixel) in (0..1024).map(|i| (i, picture.rgb(i % 32, i / 32).map(f32::from))) {
        assert_eq!(got_rgb[r.clone()][i], pixel[0] - 10.0);
        assert_eq!(got_rgb[g.clone()][i], (pixel[1] - 20.0) * 0.5);
        assert_eq!(got_rgb[b.clone()][i], (pixel[2] - 30.0) * 0.25);
        assert_eq!(got_bgr[r.clone()][i], pixel[2] - 10.0);
        assert_eq!(got_bgr[b.clone()][i], (pixel[0] - 30.0) * 0.25);
    }
}

#[test]
fn layouts_and_element_types_hold_the_same_values() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 75, 50);
    let spec = spec(40, 48);
    let planes = floats(&run(&picture.image(), whole(&picture), &spec));
    let pixels = 40 * 48;
    let expected: Vec<f32> = (0..3 * pixels).map(|i| planes[i % 3 * pixels + i / 3]).collect();
    for (element, size) in [
        (ElementType::F32, 4),
        (ElementType::F16, 2),
        (ElementType::U8, 1),
        (ElementType::I32, 4),
        (ElementType::I64, 8),
    ] {
        let bytes =
            run(&picture.image(), whole(&picture), &InputSpec { layout: Layout::Nhwc, element, ..spec.clone() });
        for (bytes, &value) in bytes.chunks(size).zip(&expected) {
            let got = match element {
                ElementType::F32 => f32::from_ne_bytes(bytes.try_into().unwrap()),
                ElementType::F16 => f16::from_ne_bytes(bytes.try_into().unwrap()).to_f32(),
                ElementType::U8 => f32::from(bytes[0]),
                ElementType::I32 => i32::from_ne_bytes(bytes.try_into().unwrap()) as f32,
                ElementType::I64 => i64::from_ne_bytes(bytes.try_into().unwrap()) as f32,
            };
            let tolerance = match element {
                ElementType::F32 => 0.0,
                // Half a unit in the last place, below 256.
                ElementType::F16 => 0.0625,
                _ => 0.5,
            };
            assert!((got - value).abs() <= tolerance, "{element:?}: {got} {value}");
        }
    }
}

#[test]
fn workspace_of_another_picture_changes_nothing() {
    let (a, b) = (Picture::new(HostFormat::Nv12, VIDEO, 64, 48), Picture::new(HostFormat::Bgra, VIDEO, 200, 31));
    let (first, second) = (spec(32, 32), InputSpec { layout: Layout::Nhwc, ..spec(48, 16) });
    let mut workspace = Workspace::default();
    for _ in 0..2 {
        for (picture, spec) in [(&a, &first), (&b, &second), (&a, &second)] {
            let mut out = vec![0; spec.elements() * 4];
            preprocess(&picture.image(), whole(picture), spec, &mut workspace, &mut out).unwrap();
            assert_eq!(out, run(&picture.image(), whole(picture), spec));
        }
    }
}

#[test]
fn region_without_pixels_is_all_border() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 64, 48);
    let nowhere = [
        Rect::new(0.0, 0.0, 0.0, 0.0),
        Rect::new(10.0, 10.0, -5.0, 5.0),
        Rect::new(100.0, 0.0, 5.0, 5.0),
        Rect::new(f32::NAN, 0.0, f32::NAN, 5.0),
    ];
    for region in nowhere {
        assert!(floats(&run(&picture.image(), region, &spec(16, 16))).iter().all(|&v| v == 114.0), "{region:?}");
    }
    let image = Image { width: 0, height: 0, ..picture.image() };
    assert!(floats(&run(&image, whole(&picture), &spec(16, 16))).iter().all(|&v| v == 114.0));
}

#[test]
fn short_planes_and_tensors_are_errors() {
    let picture = Picture::new(HostFormat::Nv12, VIDEO, 64, 48);
    let spec = spec(16, 16);
    let mut out = vec![0; spec.elements() * 4];
    let short = Image { planes: [&[0; 100], &[0; 100], &[]], ..picture.image() };
    let result = preprocess(&short, whole(&picture), &spec, &mut Workspace::default(), &mut out);
    assert_eq!(result, Err(PreprocessError::Planes));
    let overflow = Image { strides: [usize::MAX / 2; 3], ..picture.image() };
    let result = preprocess(&overflow, whole(&picture), &spec, &mut Workspace::default(), &mut out);
    assert_eq!(result, Err(PreprocessError::Planes));
    let result = preprocess(&picture.image(), whole(&picture), &spec, &mut Workspace::default(), &mut out[1..]);
    assert_eq!(result, Err(PreprocessError::Output { got: 3071, needed: 3072 }));
}
