//! What the host and the kernels both read: kernels/*.cu have the same structures, and check the same sizes and offsets.

use bytemuck::{Pod, Zeroable};

/// Candidates of a frame that the last kernel looks at, and so the most objects that it gives.
pub const MAX_CANDIDATES: usize = 1024;

/// One slot's frame, for the preprocessing kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct Source {
    pub(super) planes: [u64; 3],
    /// Bytes from one row to the next.
    pub(super) pitches: [u32; 3],
    pub(super) format: u16,
    /// 1: all target pixels of the axis are whole source pixels.
    pub(super) x_exact: u8,
    pub(super) y_exact: u8,
    /// The picture's place in the tensor, pixels.
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Where the region starts and source pixels a target pixel; the first and last source pixel it may read.
    pub(super) x: SourceAxis,
    pub(super) y: SourceAxis,
    pub(super) luma_offset: f32,
    pub(super) luma_scale: f32,
    pub(super) red_cr: f32,
    pub(super) green_cb: f32,
    pub(super) green_cr: f32,
    pub(super) blue_cb: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct SourceAxis {
    pub(super) start: f64,
    pub(super) scale: f64,
    pub(super) low: u32,
    pub(super) high: u32,
}

/// Thresholds, filters and geometry of one slot; `classes` thresholds (f32) follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct SlotParams {
    /// Frame pixels a network pixel.
    pub x_scale: f64,
    pub y_scale: f64,
    /// The region's corner in the frame, and its picture's in the network's input; pixels.
    pub x_start: f32,
    pub y_start: f32,
    pub left: u32,
    pub top: u32,
    pub frame_width: u32,
    pub frame_height: u32,
    /// Limits of a box, frame pixels; a greatest of 0 is none.
    pub min_width: u32,
    pub min_height: u32,
    pub max_width: u32,
    pub max_height: u32,
    pub iou: f32,
    pub class_agnostic: u32,
    pub max_detections: u32,
    /// The least of all thresholds.
    pub lowest: f32,
    /// The threshold of classes beyond the table.
    pub other: f32,
    pub classes: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct PreprocessArgs {
    pub sources: u64,
    /// The chain's counters, u32 a slot, to set to 0; 0 for none.
    pub counts: u64,
    pub tensor: u64,
    pub width: u32,
    pub height: u32,
    pub element: u32,
    pub nhwc: u32,
    pub bgr: u32,
    /// Lines a thread makes.
    pub rows: u32,
    pub pad: f32,
    pub mean: [f32; 3],
    pub scale: [f32; 3],
    pub reserved: u32,
}

/// Tables in mapped host memory, and their places on the device; all aligned to 16 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct StageArgs {
    pub from: [u64; 2],
    pub to: [u64; 2],
    /// 16 bytes each.
    pub units: [u32; 2],
}

/// Rows of one value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct FillArgs {
    pub to: u64,
    /// Bytes from one row to the next.
    pub pitch: u64,
    /// Elements a row.
    pub width: u64,
    pub rows: u64,
    pub value: u32,
    /// Bytes: 1, 2, 4, or 16 for four times the value.
    pub element: u32,
}

/// Where decoding leaves what passed.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Candidates {
    /// u32 a slot.
    pub counts: u64,
    /// u64 a place.
    pub keys: u64,
    /// Four f32 an anchor.
    pub boxes: u64,
    /// u32 an anchor.
    pub classes: u64,
    pub params: u64,
    pub params_stride: u32,
    /// Places a slot.
    pub capacity: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct ColumnsArgs {
    pub out: Candidates,
    pub data: u64,
    /// Elements from one slot to the next.
    pub slot_stride: u64,
    pub half: u32,
    pub anchors: u32,
    pub classes: u32,
    pub reserved: u32,
}

/// Some of the anchors of a tensor `[anchors, channels]`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Level {
    /// The first anchor's scores and box; elements from one slot, and from one anchor, to the next.
    pub scores: u64,
    pub boxes: u64,
    pub scores_slot: u64,
    pub boxes_slot: u64,
    pub scores_row: u32,
    pub boxes_row: u32,
    /// Index of the first anchor, and how many there are.
    pub first: u32,
    pub anchors: u32,
    /// NanoDet: cells a row, and network pixels a cell.
    pub columns: u32,
    pub stride: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct RowsArgs {
    pub out: Candidates,
    pub levels: [Level; 4],
    pub level_count: u32,
    pub half: u32,
    pub classes: u32,
    /// NanoDet: bins of a side's distribution; 0: boxes are centre and size.
    pub bins: u32,
    pub offset: f32,
    pub width: f32,
    pub height: f32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct ObjectsArgs {
    pub out: Candidates,
    pub data: u64,
    pub slot_stride: u64,
    pub half: u32,
    pub rows: u32,
    pub columns: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct PersonsArgs {
    pub out: Candidates,
    pub data: u64,
    pub slot_stride: u64,
    pub half: u32,
    pub multi: u32,
    pub width: f32,
    pub height: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct FinishArgs {
    pub input: Candidates,
    pub results: u64,
    pub results_stride: u32,
    pub suppress: u32,
    /// At least this many objects whatever `max_detections` says.
    pub least: u32,
    /// Keypoints an object, values of each: 2 or 3; y before x.
    pub keypoints: u32,
    pub dimensions: u32,
    pub y_first: u32,
    /// The keypoints' first value; elements from slot to slot, anchor to anchor, keypoint to keypoint, value to value.
    pub data: u64,
    pub slot_stride: u64,
    pub half: u32,
    pub anchor_stride: u32,
    pub keypoint_stride: u32,
    pub value_stride: u32,
    /// From the output's unit to network pixels.
    pub x_unit: f32,
    pub y_unit: f32,
}

/// Something to draw.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct Shape {
    /// Whole pixels up to, and without, right and bottom; may lie outside of the frame.
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
    /// 0: all of it, 1: through a mask, 2: a line.
    pub kind: u32,
    /// Y, Cb, Cr, or the four bytes of a pixel, the lowest first.
    pub ink: u32,
    /// Where a mask's coverage is in the atlas.
    pub mask: u32,
    pub reserved: u32,
    /// A line's ends, direction and length, and how far from it coverage ends.
    pub from: [f32; 2],
    pub to: [f32; 2],
    pub direction: [f32; 2],
    pub length: f32,
    pub reach: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct OverlayArgs {
    pub shapes: u64,
    pub atlas: u64,
    pub planes: [u64; 2],
    pub pitches: [u32; 2],
    pub count: u32,
    /// Four bytes a pixel instead of NV12.
    pub packed: u32,
    pub width: i32,
    pub height: i32,
}

/// What a slot's results begin with; [`MAX_CANDIDATES`] objects follow, then as many sets of keypoints (x, y, confidence).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct ResultHeader {
    pub objects: u32,
    /// All that passed the thresholds, and those of them that were looked at.
    pub candidates: u32,
    pub considered: u32,
    /// Set to 0 before a launch; 1: the slot's results are there, and nothing of the launch reads or writes its tables.
    pub ready: u32,
}

/// Normalised to the frame.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct ResultObject {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    pub confidence: f32,
    pub class_id: u32,
}

/// Bytes of a slot's results before its keypoints.
pub(super) const KEYPOINTS_AT: usize = size_of::<ResultHeader>() + MAX_CANDIDATES * size_of::<ResultObject>();

/// Bytes of a slot's results for objects with that many keypoints.
pub(super) const fn results_stride(keypoints: usize) -> usize {
    (KEYPOINTS_AT + MAX_CANDIDATES * keypoints * 3 * size_of::<f32>()).next_multiple_of(128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The numbers of the checks in kernels/*.cu.
    #[test]
    fn structures_are_those_of_the_kernels() {
        assert_eq!(size_of::<Source>(), 128);
        assert_eq!(offset_of!(Source, pitches), 24);
        assert_eq!(offset_of!(Source, format), 36);
        assert_eq!(offset_of!(Source, x_exact), 38);
        assert_eq!(offset_of!(Source, x), 56);
        assert_eq!(offset_of!(Source, y), 80);
        assert_eq!(offset_of!(Source, luma_offset), 104);
        assert_eq!(size_of::<SlotParams>(), 80);
        assert_eq!(offset_of!(SlotParams, x_start), 16);
        assert_eq!(offset_of!(SlotParams, frame_width), 32);
        assert_eq!(offset_of!(SlotParams, iou), 56);
        assert_eq!(offset_of!(SlotParams, classes), 76);
        assert_eq!(size_of::<PreprocessArgs>(), 80);
        assert_eq!(offset_of!(PreprocessArgs, width), 24);
        assert_eq!(offset_of!(PreprocessArgs, mean), 52);
        assert_eq!(size_of::<StageArgs>(), 40);
        assert_eq!(offset_of!(StageArgs, units), 32);
        assert_eq!(size_of::<FillArgs>(), 40);
        assert_eq!(offset_of!(FillArgs, value), 32);
        assert_eq!(size_of::<Candidates>(), 48);
        assert_eq!(offset_of!(Candidates, params_stride), 40);
        assert_eq!(size_of::<ColumnsArgs>(), 80);
        assert_eq!(offset_of!(ColumnsArgs, half), 64);
        assert_eq!(size_of::<Level>(), 56);
        assert_eq!(offset_of!(Level, columns), 48);
        assert_eq!(size_of::<RowsArgs>(), 304);
        assert_eq!(offset_of!(RowsArgs, level_count), 272);
        assert_eq!(size_of::<ObjectsArgs>(), 80);
        assert_eq!(size_of::<PersonsArgs>(), 80);
        assert_eq!(size_of::<FinishArgs>(), 120);
        assert_eq!(offset_of!(FinishArgs, results), 48);
        assert_eq!(offset_of!(FinishArgs, data), 80);
        assert_eq!(offset_of!(FinishArgs, x_unit), 112);
        assert_eq!(size_of::<Shape>(), 64);
        assert_eq!(offset_of!(Shape, kind), 16);
        assert_eq!(offset_of!(Shape, from), 32);
        assert_eq!(size_of::<OverlayArgs>(), 56);
        assert_eq!(offset_of!(OverlayArgs, pitches), 32);
        assert_eq!(size_of::<ResultHeader>(), 16);
        assert_eq!(offset_of!(ResultHeader, ready), 12);
        assert_eq!(size_of::<ResultObject>(), 24);
    }

    /// The requirement is 16 KB a frame at 60 persons.
    #[test]
    fn results_of_sixty_persons_are_small() {
        let bytes = size_of::<ResultHeader>() + 60 * (size_of::<ResultObject>() + 17 * 3 * size_of::<f32>());
        assert!(bytes <= 16 * 1024, "{bytes}");
    }
}
