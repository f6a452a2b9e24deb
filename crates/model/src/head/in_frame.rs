//! A model's outputs with their boxes and keypoints in pixels of the frame, for programs that decode them and know nothing
//! of regions and letterboxes.

use super::super::Letterbox;
use super::{BoxCoding, DecodePlan};

impl DecodePlan {
    /// The shape in which [`Self::place_in_frame`] leaves an output; both without the batch dimension.
    pub fn shape_in_frame(&self, output: usize, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Self::Anchors { output: decoded, channels_first: false, .. }, &[anchors, channels])
                if *decoded == output =>
            {
                vec![channels, anchors]
            }
            _ => shape.to_vec(),
        }
    }

    /// Converts the boxes and keypoints of an output from network pixels to frame pixels. Anchors become `[channels,
    /// anchors]`, the order that decoders expect. Outputs of other heads, and those of another shape, stay as they are.
    pub fn place_in_frame(&self, output: usize, shape: &[usize], data: &mut Vec<f32>, letterbox: &Letterbox) {
        match (self, shape) {
            (&Self::Anchors { output: decoded, channels_first, classes, keypoints }, &[a, b]) if decoded == output => {
                let (channels, anchors) = if channels_first { (a, b) } else { (b, a) };
                let (count, dims) = keypoints.unwrap_or((0, 1));
                if data.len() != channels * anchors || channels != 4 + classes + count * dims {
                    return;
                }
                if !channels_first {
                    *data = transposed(data, anchors, channels);
                }
                for anchor in 0..anchors {
                    let at = |channel: usize| channel * anchors + anchor;
                    let (centre, size) = ((at(0), at(1)), (at(2), at(3)));
                    let [w, h] = letterbox.size_to_frame(data[size.0], data[size.1]);
                    (data[size.0], data[size.1]) = (w, h);
                    point(data, centre, letterbox);
                    for first in (0..count).map(|keypoint| 4 + classes + keypoint * dims) {
                        point(data, (at(first), at(first + 1)), letterbox);
                    }
                }
            }
            // Boxes of another coding aren't what a decoder of these outputs expects; they stay as they are.
            (&Self::Objects { output: decoded, coding: BoxCoding::CORNERS, keypoints }, &[_, columns])
                if decoded == output =>
            {
                let (count, dims) = keypoints.unwrap_or((0, 1));
                if columns < 6 + count * dims {
                    return;
                }
                for row in data.chunks_exact_mut(columns) {
                    point(row, (0, 1), letterbox);
                    point(row, (2, 3), letterbox);
                    for first in (0..count).map(|keypoint| 6 + keypoint * dims) {
                        point(row, (first, first + 1), letterbox);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Converts the point whose coordinates are at these places.
fn point(data: &mut [f32], (x, y): (usize, usize), letterbox: &Letterbox) {
    (data[x], data[y]) = letterbox.to_frame(data[x], data[y]);
}

fn transposed(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{ElementType, InputSpec, Layout, Normalization, Rect, Resize};
    use super::*;

    /// A frame of 200 × 100 in an input of 100 × 100: half the size, 25 pixels of border above.
    fn letterbox() -> Letterbox {
        let spec = InputSpec {
            width: 100,
            height: 100,
            layout: Layout::Nchw,
            element: ElementType::F32,
            normalization: Normalization::UNIT,
            bgr: false,
            resize: Resize::LETTERBOX,
            pad: 114,
        };
        Letterbox::new(Rect::new(10.0, 0.0, 200.0, 100.0), &spec)
    }

    #[test]
    fn anchors_are_placed_and_ordered_as_decoders_expect() {
        let plan =
            |channels_first| DecodePlan::Anchors { output: 0, channels_first, classes: 2, keypoints: Some((1, 3)) };
        // Centre, size, two scores, one keypoint; two anchors.
        let rows =
            [[50.0, 50.0, 10.0, 20.0, 0.1, 0.9, 1.0, 25.0, 0.5], [0.0, 25.0, 1.0, 1.0, 0.2, 0.3, 2.0, 26.0, 0.6]];
        let placed =
            [[110.0, 50.0, 20.0, 40.0, 0.1, 0.9, 12.0, 0.0, 0.5], [10.0, 0.0, 2.0, 2.0, 0.2, 0.3, 14.0, 2.0, 0.6]];
        let columns = |rows: [[f32; 9]; 2]| transposed(rows.as_flattened(), 2, 9);
        for (channels_first, shape, data) in
            [(true, [9, 2], columns(rows)), (false, [2, 9], rows.as_flattened().to_vec())]
        {
            let (plan, mut data) = (plan(channels_first), data);
            plan.place_in_frame(0, &shape, &mut data, &letterbox());
            assert_eq!(data, columns(placed));
            assert_eq!(plan.shape_in_frame(0, &shape), [9, 2]);
        }
    }

    #[test]
    fn rows_of_objects_are_placed() {
        let plan = DecodePlan::Objects { output: 1, coding: BoxCoding::CORNERS, keypoints: Some((1, 2)) };
        let mut data = vec![50.0, 50.0, 60.0, 70.0, 0.9, 3.0, 0.0, 25.0];
        let before = data.clone();
        plan.place_in_frame(0, &[1, 8], &mut data, &letterbox());
        assert_eq!(data, before, "another output");
        plan.place_in_frame(1, &[1, 8], &mut data, &letterbox());
        assert_eq!(data, [110.0, 50.0, 130.0, 90.0, 0.9, 3.0, 10.0, 0.0]);
        assert_eq!(plan.shape_in_frame(1, &[1, 8]), [1, 8]);
    }

    #[test]
    fn what_is_no_box_stays_as_it_is() {
        let unexpected = DecodePlan::Anchors { output: 0, channels_first: true, classes: 2, keypoints: None };
        let persons = DecodePlan::Persons { output: 0, many: false, width: 100.0, height: 100.0 };
        for (plan, shape) in [(unexpected, [5, 2]), (persons, [5, 2])] {
            let mut data = vec![1.0; 10];
            plan.place_in_frame(0, &shape, &mut data, &letterbox());
            assert_eq!(data, [1.0; 10]);
        }
    }
}
