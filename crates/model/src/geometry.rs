//! Letterbox geometry.

use super::{Alignment, Fit, InputSpec, Rect};

/// The placement of a region of a frame in a network's input, and the exact inverse.
///
/// The usual placement is that of Ultralytics' `LetterBox` (`auto=False`, `scale_fill=False`, `center=True`), with which YOLO
/// models are validated: one ratio `min(W / w, H / h)` for both axes, the resized size rounded half to even, and the
/// border divided equally, with an odd pixel at the right and bottom.
///
/// The inverse divides by each axis's actual scale, `width / region.w` and `height / region.h`. Since the resized size
/// is rounded, these differ slightly from the common ratio, which Ultralytics' `scale_boxes` uses for both axes. This
/// inverse has no error that grows across the frame; theirs reaches half a network pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// What the resized picture shows, in frame pixels: the region, the middle of it where it is cropped, or more than it where it
    /// is extended to the input's aspect ratio.
    pub region: Rect,
    /// Left and top border in the input, pixels.
    pub left: u32,
    /// Top border in the input, pixels.
    pub top: u32,
    /// Size of the resized picture in the input, pixels; at least 1 in an input that has pixels.
    pub width: u32,
    /// Height of the resized picture, pixels.
    pub height: u32,
    /// Which points of the region and of the picture coincide.
    pub alignment: Alignment,
}

/// The part of a frame that resampling divides into as many equal steps as the picture has pixels along one axis: each is
/// made from the middle of its step. Frame pixels; the frame's first pixel is 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SourceSpan {
    /// Where the first step begins.
    pub start: f64,
    /// The length of all steps.
    pub length: f64,
}

impl Letterbox {
    /// Places `region` (in frame pixels) in the input that `spec` describes. A region without width or height still
    /// gets one pixel.
    pub fn new(region: Rect, spec: &InputSpec) -> Self {
        if let Some(margin) = margin(spec.resize.fit) {
            let region = middle(region, spec, margin);
            let (width, height) = (spec.width, spec.height);
            return Self { region, left: 0, top: 0, width, height, alignment: spec.resize.alignment };
        }
        let region = if spec.resize.fit == Fit::Extended { extended(region, spec) } else { region };
        let (w, h) = (f64::from(region.w), f64::from(region.h));
        let ratio = (f64::from(spec.width) / w).min(f64::from(spec.height) / h);
        let resized = |size: f64, limit: u32| resized(size * ratio, limit, spec.resize.round_down);
        let (width, height) = match spec.resize.fit {
            Fit::Stretched | Fit::Cropped | Fit::CroppedInside | Fit::Extended => (spec.width, spec.height),
            Fit::Centred | Fit::TopLeft => (resized(w, spec.width), resized(h, spec.height)),
        };
        let (left, top) = match spec.resize.fit {
            Fit::Stretched | Fit::TopLeft | Fit::Cropped | Fit::CroppedInside | Fit::Extended => (0, 0),
            // The reference's `round(border / 2 - 0.1)` is the floor, both for even and odd borders.
            Fit::Centred => ((spec.width - width) / 2, (spec.height - height) / 2),
        };
        Self { region, left, top, width, height, alignment: spec.resize.alignment }
    }

    /// The parts of the frame from which the picture's columns and rows are made.
    pub fn sources(&self) -> [SourceSpan; 2] {
        let span = |start: f32, length: f32, target: u32| {
            let (start, length, pixels) = (f64::from(start), f64::from(length), f64::from(target.max(1)));
            // A step, and the source pixel, counted from its centre, that the first target pixel shows.
            let step = match self.alignment {
                Alignment::HalfPixel => return SourceSpan { start, length },
                Alignment::Asymmetric => length / pixels,
                Alignment::AlignCorners => length / (pixels - 1.0).max(1.0),
            };
            SourceSpan { start: start + 0.5 - 0.5 * step, length: step * pixels }
        };
        let Rect { x, y, w, h } = self.region;
        [span(x, w, self.width), span(y, h, self.height)]
    }

    /// Converts a width and a height in network pixels to frame pixels.
    pub fn size_to_frame(&self, width: f32, height: f32) -> [f32; 2] {
        let axis =
            |v: f32, resized: u32, size: f32| (f64::from(v) * f64::from(size) / f64::from(resized.max(1))) as f32;
        [axis(width, self.width, self.region.w), axis(height, self.height, self.region.h)]
    }

    /// Converts network pixels to frame pixels. Points in the border map to points outside the region; nothing is
    /// clipped.
    pub fn to_frame(&self, x: f32, y: f32) -> (f32, f32) {
        let axis = |v: f32, border: u32, resized: u32, start: f32, size: f32| {
            let scale = f64::from(size) / f64::from(resized.max(1));
            ((f64::from(v) - f64::from(border)) * scale + f64::from(start)) as f32
        };
        (
            axis(x, self.left, self.width, self.region.x, self.region.w),
            axis(y, self.top, self.height, self.region.y, self.region.h),
        )
    }
}

/// How much larger than the input a picture is made before its middle is taken; `None` if all of it is used.
fn margin(fit: Fit) -> Option<f64> {
    match fit {
        Fit::Cropped => Some(1.0),
        Fit::CroppedInside => Some(8.0 / 7.0),
        Fit::Stretched | Fit::Centred | Fit::TopLeft | Fit::Extended => None,
    }
}

/// The part of a region that fills the input when the region is resized to cover it `margin` times, with sizes rounded down,
/// and the middle is cut out in whole pixels: torchvision's `Resize` and `CenterCrop`. A region without extent is its own
/// middle.
fn middle(region: Rect, spec: &InputSpec, margin: f64) -> Rect {
    let (w, h) = (f64::from(region.w), f64::from(region.h));
    let ratio = (f64::from(spec.width) / w).max(f64::from(spec.height) / h) * margin;
    let axis = |start: f32, size: f64, input: u32| {
        let input = f64::from(input);
        // Rounding errors of the ratio must not take a pixel off a size that is whole.
        let resized = (size * ratio + 1e-6).floor().max(input);
        let scale = size / resized;
        let offset = ((resized - input) / 2.0).round_ties_even() * scale;
        ((f64::from(start) + offset) as f32, (input * scale) as f32)
    };
    if !ratio.is_finite() {
        return region;
    }
    let ((x, w), (y, h)) = (axis(region.x, w, spec.width), axis(region.y, h, spec.height));
    Rect::new(x, y, w, h)
}

/// The region, made wider or higher around its centre until it has the input's aspect ratio (mmpose's `_fix_aspect_ratio`).
fn extended(region: Rect, spec: &InputSpec) -> Rect {
    let aspect = spec.width as f32 / spec.height.max(1) as f32;
    let (w, h) =
        if region.w > region.h * aspect { (region.w, region.w / aspect) } else { (region.h * aspect, region.h) };
    Rect::from_centre(region.x + region.w / 2.0, region.y + region.h / 2.0, w, h)
}

/// Rounds like Python's `round` or `int` and clamps to the input; NaN (from a region without extent) becomes the
/// minimum size.
fn resized(size: f64, limit: u32, down: bool) -> u32 {
    let rounded = if down { size.floor() } else { size.round_ties_even() };
    (rounded as u32).max(1).min(limit)
}

#[cfg(test)]
mod tests {
    use super::super::{ElementType, Layout, Normalization, Resize};
    use super::*;
    use proptest::prelude::*;

    fn spec(width: u32, height: u32, resize: Resize) -> InputSpec {
        InputSpec {
            width,
            height,
            layout: Layout::Nchw,
            element: ElementType::F32,
            normalization: Normalization::UNIT,
            bgr: false,
            resize,
            pad: 114,
        }
    }

    fn place(w: f32, h: f32, spec: &InputSpec) -> (u32, u32, u32, u32) {
        let l = Letterbox::new(Rect::new(0.0, 0.0, w, h), spec);
        (l.left, l.top, l.width, l.height)
    }

    /// Values computed with Ultralytics' formulas in Python 3.
    #[test]
    fn places_as_the_reference_does() {
        let square = spec(640, 640, Resize::LETTERBOX);
        assert_eq!(place(1920.0, 1080.0, &square), (0, 140, 640, 360));
        assert_eq!(place(768.0, 576.0, &square), (0, 80, 640, 480));
        assert_eq!(place(333.0, 500.0, &square), (107, 0, 426, 640));
        assert_eq!(place(1279.0, 719.0, &square), (0, 140, 640, 360));
        assert_eq!(place(101.0, 37.0, &square), (0, 203, 640, 234));
        // 640 · 5 / 1280 = 2.5: half to even.
        assert_eq!(place(1280.0, 5.0, &square), (0, 319, 640, 2));
        assert_eq!(place(1280.0, 7.0, &square), (0, 318, 640, 4));
        assert_eq!(place(640.0, 640.0, &spec(640, 384, Resize::LETTERBOX)), (128, 0, 384, 384));
    }

    #[test]
    fn stretches_over_the_whole_input() {
        let l = Letterbox::new(Rect::new(10.0, 20.0, 100.0, 50.0), &spec(416, 416, Resize::STRETCH));
        assert_eq!((l.left, l.top, l.width, l.height), (0, 0, 416, 416));
        assert_eq!(l.to_frame(208.0, 208.0), (60.0, 45.0));
    }

    /// Values computed in Python 3 with the formulas of torchvision's `Resize` and `CenterCrop`.
    #[test]
    fn the_middle_is_cut_out_as_the_reference_does() {
        let middle = |w: f32, h: f32, spec: &InputSpec| {
            let l = Letterbox::new(Rect::new(10.0, 20.0, w, h), spec);
            assert_eq!((l.left, l.top, l.width, l.height), (0, 0, spec.width, spec.height));
            assert_eq!(l.to_frame(0.0, 0.0), (l.region.x, l.region.y));
            [l.region.x - 10.0, l.region.y - 20.0, l.region.w, l.region.h]
        };
        let near = |found: [f32; 4], wanted: [f32; 4]| {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}, {wanted:?}");
        };
        let (crop, inside) = (spec(224, 224, Resize::CROP), spec(224, 224, Resize::CROP_INSIDE));
        // 640 x 480 becomes 298 x 224, of which 37 columns are cut off at the left.
        near(middle(640.0, 480.0, &crop), [37.0 * 640.0 / 298.0, 0.0, 224.0 * 640.0 / 298.0, 480.0]);
        // 500 x 333 becomes 384 x 256; 80 columns and 16 rows are cut off.
        let (x, y) = (500.0 / 384.0, 333.0 / 256.0);
        near(middle(500.0, 333.0, &inside), [80.0 * x, 16.0 * y, 224.0 * x, 224.0 * y]);
        // 301 x 224 stays as it is; 38.5 columns are rounded to an even number.
        near(middle(301.0, 224.0, &crop), [38.0, 0.0, 224.0, 224.0]);
        // An input that isn't square is covered.
        near(middle(100.0, 100.0, &spec(128, 256, Resize::CROP)), [25.0, 0.0, 50.0, 100.0]);
    }

    /// Converts frame pixels to network pixels; `to_frame` is the inverse.
    fn to_network(l: &Letterbox, x: f32, y: f32) -> (f32, f32) {
        let axis = |v: f32, border: u32, resized: u32, start: f32, size: f32| {
            ((f64::from(v) - f64::from(start)) * f64::from(resized) / f64::from(size) + f64::from(border)) as f32
        };
        (axis(x, l.left, l.width, l.region.x, l.region.w), axis(y, l.top, l.height, l.region.y, l.region.h))
    }

    #[test]
    fn degenerate_regions_are_one_pixel() {
        let all = [Resize::STRETCH, Resize::LETTERBOX, Resize::TOP_LEFT, Resize::CROP, Resize::CROP_INSIDE];
        for resize in all {
            for (w, h) in [(0.0, 0.0), (1.0, 1.0), (0.0, 7.0), (7680.0, 1.0), (f32::NAN, 1.0), (-3.0, 2.0)] {
                let l = Letterbox::new(Rect::new(5.0, 6.0, w, h), &spec(640, 384, resize));
                assert!((1..=640).contains(&l.width) && (1..=384).contains(&l.height), "{l:?}");
                if w >= 0.0 && all[..3].contains(&resize) {
                    let (x, y) = l.to_frame(l.left as f32, l.top as f32);
                    assert_eq!((x, y), (5.0, 6.0), "{l:?}");
                }
            }
        }
    }

    /// Values computed with the formulas of YOLOX's `preproc` and D-FINE's `resize_with_aspect_ratio` in Python 3.
    #[test]
    fn sizes_are_rounded_down_where_the_reference_does() {
        let top_left = spec(640, 640, Resize::TOP_LEFT);
        assert_eq!(place(1920.0, 1080.0, &top_left), (0, 0, 640, 360));
        assert_eq!(place(333.0, 500.0, &top_left), (0, 0, 426, 640));
        assert_eq!(place(1279.0, 719.0, &top_left), (0, 0, 640, 359));
        let centred = Resize { round_down: true, ..Resize::LETTERBOX };
        assert_eq!(place(1279.0, 719.0, &spec(640, 640, centred)), (0, 140, 640, 359));
        assert_eq!(place(101.0, 37.0, &spec(640, 640, centred)), (0, 203, 640, 234));
    }

    /// Values of mmpose's `TopdownAffine` for the box (100, 50, 140, 210) enlarged by 1.25: its scale is 150 × 200 at (120,
    /// 130), and its affine matrix is 1.28 · x − 57.6, 1.28 · y − 38.4; with `use_udp` 191 / 150 · (x − 45) and
    /// 255 / 200 · (y − 30).
    #[test]
    fn a_crop_is_that_of_the_published_affine() {
        let region = Rect::from_centre(120.0, 130.0, 50.0, 200.0);
        for (resize, position) in [
            (Resize::EXTENDED, (|i: f64, j: f64| ((i + 57.6) / 1.28, (j + 38.4) / 1.28)) as fn(f64, f64) -> (f64, f64)),
            (Resize::EXTENDED_UDP, |i, j| (i * 150.0 / 191.0 + 45.0, j * 200.0 / 255.0 + 30.0)),
        ] {
            let l = Letterbox::new(region, &spec(192, 256, resize));
            assert_eq!(l.region, Rect::new(45.0, 30.0, 150.0, 200.0));
            assert_eq!((l.left, l.top, l.width, l.height), (0, 0, 192, 256));
            let [x, y] = l.sources();
            // The source pixel, counted from its centre, of a target pixel.
            let shown = |span: SourceSpan, i: f64, n: f64| span.start + (i + 0.5) * span.length / n - 0.5;
            for (i, j) in [(0.0, 0.0), (96.0, 128.0), (191.0, 255.0)] {
                let (wanted_x, wanted_y) = position(i, j);
                let (shown_x, shown_y) = (shown(x, i, 192.0), shown(y, j, 256.0));
                assert!((shown_x - wanted_x).abs() < 1e-9 && (shown_y - wanted_y).abs() < 1e-9, "{resize}: {i} {j}");
            }
            // `keypoints / input_size * scale + center - scale / 2`
            assert_eq!(l.to_frame(96.0, 64.0), (120.0, 80.0));
        }
        let wide = Letterbox::new(Rect::new(0.0, 0.0, 300.0, 100.0), &spec(192, 256, Resize::EXTENDED));
        assert_eq!(wide.region, Rect::new(0.0, -150.0, 300.0, 400.0));
        let plain = Letterbox::new(Rect::new(3.0, 4.0, 30.0, 10.0), &spec(192, 256, Resize::STRETCH));
        assert_eq!(plain.sources()[0], SourceSpan { start: 3.0, length: 30.0 });
    }

    fn resizes() -> impl Strategy<Value = Resize> {
        prop::sample::select(&[Resize::STRETCH, Resize::LETTERBOX, Resize::TOP_LEFT])
    }

    proptest! {
        #[test]
        fn inverse_is_exact(
            (w, h) in (1u32..7681, 1u32..4321),
            (nw, nh) in (1u32..1281, 1u32..1281),
            (ox, oy) in (0u32..500, 0u32..500),
            (fx, fy) in (0.0f32..=1.0, 0.0f32..=1.0),
            resize in resizes(),
        ) {
            let region = Rect::new(ox as f32, oy as f32, w as f32, h as f32);
            let l = Letterbox::new(region, &spec(nw, nh, resize));
            prop_assert!(l.left + l.width <= nw && l.top + l.height <= nh);
            let (x, y) = (region.x + fx * region.w, region.y + fy * region.h);
            let (nx, ny) = to_network(&l, x, y);
            let (bx, by) = l.to_frame(nx, ny);
            // An f32 in network pixels has a resolution of 2⁻¹⁴ px here, multiplied by the axis's reduction.
            let tolerance = |size: f32, resized: u32| 0.01f32.max(size / resized as f32 * 2e-4);
            prop_assert!((bx - x).abs() <= tolerance(region.w, l.width), "{bx} {x} {l:?}");
            prop_assert!((by - y).abs() <= tolerance(region.h, l.height), "{by} {y} {l:?}");
        }

        /// The corners of the resized picture map to the corners of the region, independently of rounding.
        #[test]
        fn corners_map_to_corners((w, h) in (1u32..7681, 1u32..4321), resize in resizes()) {
            let l = Letterbox::new(Rect::new(0.0, 0.0, w as f32, h as f32), &spec(640, 640, resize));
            prop_assert_eq!(l.to_frame(l.left as f32, l.top as f32), (0.0, 0.0));
            let (x, y) = l.to_frame((l.left + l.width) as f32, (l.top + l.height) as f32);
            prop_assert!((x - w as f32).abs() < 0.01 && (y - h as f32).abs() < 0.01);
        }
    }
}
