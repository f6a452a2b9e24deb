//! Letterbox geometry.

use super::{Fit, InputSpec, Rect};

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
    /// What the resized picture shows, in frame pixels: the region, or the middle of it where it is cropped.
    pub region: Rect,
    /// Left and top border in the input, pixels.
    pub left: u32,
    /// Top border in the input, pixels.
    pub top: u32,
    /// Size of the resized picture in the input, pixels; at least 1 in an input that has pixels.
    pub width: u32,
    /// Height of the resized picture, pixels.
    pub height: u32,
}

impl Letterbox {
    /// Places `region` (in frame pixels) in the input that `spec` describes. A region without width or height still
    /// gets one pixel.
    pub fn new(region: Rect, spec: &InputSpec) -> Self {
        if let Some(margin) = margin(spec.resize.fit) {
            let region = middle(region, spec, margin);
            return Self { region, left: 0, top: 0, width: spec.width, height: spec.height };
        }
        let (w, h) = (f64::from(region.w), f64::from(region.h));
        let ratio = (f64::from(spec.width) / w).min(f64::from(spec.height) / h);
        let resized = |size: f64, limit: u32| resized(size * ratio, limit, spec.resize.round_down);
        let (width, height) = match spec.resize.fit {
            Fit::Stretched | Fit::Cropped | Fit::CroppedInside => (spec.width, spec.height),
            Fit::Centred | Fit::TopLeft => (resized(w, spec.width), resized(h, spec.height)),
        };
        let (left, top) = match spec.resize.fit {
            Fit::Stretched | Fit::TopLeft | Fit::Cropped | Fit::CroppedInside => (0, 0),
            // The reference's `round(border / 2 - 0.1)` is the floor, both for even and odd borders.
            Fit::Centred => ((spec.width - width) / 2, (spec.height - height) / 2),
        };
        Self { region, left, top, width, height }
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
        Fit::Stretched | Fit::Centred | Fit::TopLeft => None,
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
