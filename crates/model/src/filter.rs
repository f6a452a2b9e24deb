//! Filters that are applied to detections after decoding.

use super::{Detection, Params, Rect};

/// Clips boxes to the frame, and drops those that lie outside, aren't finite, or have a size that `params` excludes.
///
/// Boxes are normalised to the frame, 0–1 over its width and height; `frame` is that size in pixels, the unit of
/// `min_size` and `max_size` (inclusive limits, applied to the clipped box). Ultralytics clips in the same way.
/// Keypoints aren't clipped: a joint outside the frame is still a joint.
pub fn refine(found: &mut Vec<Detection>, params: &Params, frame: (u32, u32)) {
    let (frame_w, frame_h) = (frame.0 as f32, frame.1 as f32);
    // A box of n pixels, normalised and scaled back in floating point, can differ from n by a rounding error.
    const SLACK: f32 = 0.01;
    let fits = |size: f32, min: u32, max: u32| size + SLACK >= min as f32 && (max == 0 || size - SLACK <= max as f32);
    found.retain_mut(|d| {
        if !d.rect.right().is_finite() || !d.rect.bottom().is_finite() {
            return false;
        }
        // A box inside the frame must stay bit-identical.
        if d.rect.x < 0.0 || d.rect.y < 0.0 || d.rect.right() > 1.0 || d.rect.bottom() > 1.0 {
            d.rect = d.rect.intersection(&Rect::UNIT);
        }
        let (w, h) = (d.rect.w * frame_w, d.rect.h * frame_h);
        d.rect.area() > 0.0
            && fits(w, params.min_size.0, params.max_size.0)
            && fits(h, params.min_size.1, params.max_size.1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(rects: &[Rect]) -> Vec<Detection> {
        rects.iter().map(|&rect| Detection { rect, ..Detection::default() }).collect()
    }

    #[test]
    fn clips_to_the_frame_and_drops_what_is_outside() {
        let mut found = boxes(&[
            Rect::from_corners(-0.5, 0.25, 0.5, 1.5),
            Rect::from_corners(1.0, 0.0, 1.5, 0.5),
            Rect::new(0.5, 0.5, 0.0, 0.2),
            Rect::new(0.5, 0.5, -0.2, 0.2),
        ]);
        refine(&mut found, &Params::default(), (100, 100));
        assert_eq!(found, boxes(&[Rect::from_corners(0.0, 0.25, 0.5, 1.0)]));
    }

    #[test]
    fn size_limits_are_frame_pixels_and_included() {
        let size = |w: f32, h: f32| Rect::new(0.1, 0.1, w / 1920.0, h / 1080.0);
        let all =
            boxes(&[size(20.0, 40.0), size(19.0, 40.0), size(20.0, 39.0), size(300.0, 200.0), size(301.0, 200.0)]);
        let mut found = all.clone();
        refine(&mut found, &Params { min_size: (20, 40), ..Params::default() }, (1920, 1080));
        assert_eq!(found, [all[0].clone(), all[3].clone(), all[4].clone()]);
        refine(&mut found, &Params { max_size: (300, 0), ..Params::default() }, (1920, 1080));
        assert_eq!(found, [all[0].clone(), all[3].clone()]);
        // The size of the part inside the frame counts.
        let mut found = boxes(&[Rect::new(-0.5, 0.0, 0.51, 1.0)]);
        refine(&mut found, &Params { min_size: (20, 0), ..Params::default() }, (1920, 1080));
        assert_eq!(found.len(), 0, "19.2 pixels are inside");
    }

    #[test]
    fn odd_values_do_not_panic() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0];
        let rects: Vec<_> = odd.iter().flat_map(|&a| odd.map(|b| Rect::new(a, b, b, a))).collect();
        let mut found = boxes(&rects);
        refine(&mut found.clone(), &Params::default(), (0, 0));
        refine(&mut found, &Params::default(), (100, 100));
        assert_eq!(found, []);
    }
}
