//! Structures shared by the host and the kernels: kernels/*.cu declare the same ones and check the same sizes and
//! offsets.

use bytemuck::{Pod, Zeroable};
use model::ElementType;

/// The most candidates per frame that the last kernel considers, and therefore the most objects it returns.
pub const MAX_CANDIDATES: usize = 1024;

/// The kernels' numbers of element types (ELEMENT_… in common.cuh).
pub(super) fn element_code(element: ElementType) -> u32 {
    match element {
        ElementType::F32 => 0,
        ElementType::F16 => 1,
        ElementType::U8 => 2,
        ElementType::I32 => 3,
        ElementType::I64 => 4,
    }
}

/// One slot's frame, for the preprocessing kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct SlotSource {
    pub(super) planes: [u64; 3],
    /// Bytes from one row to the next.
    pub(super) pitches: [u32; 3],
    pub(super) format: u8,
    /// 1: the region shows all that it covers of the frame, and border beyond it, instead of nothing but itself.
    pub(super) extended: u8,
    /// 1: every target pixel along the axis coincides with a source pixel.
    pub(super) x_exact: u8,
    pub(super) y_exact: u8,
    /// The picture's position in the tensor, in pixels.
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Start of the region, source pixels per target pixel, and the first and last source pixel that may be read.
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
    /// Frame pixels per network pixel.
    pub x_scale: f64,
    pub y_scale: f64,
    /// Corner of the region in the frame, and of its picture in the network's input, in pixels.
    pub x_start: f32,
    pub y_start: f32,
    pub left: u32,
    pub top: u32,
    pub frame_width: u32,
    pub frame_height: u32,
    /// Limits of a box in frame pixels; a maximum of 0 means no limit.
    pub min_width: u32,
    pub min_height: u32,
    pub max_width: u32,
    pub max_height: u32,
    pub iou: f32,
    pub class_agnostic: u32,
    pub max_detections: u32,
    /// The lowest of all thresholds.
    pub lowest: f32,
    /// The threshold of classes that the table doesn't cover.
    pub other: f32,
    pub classes: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct PreprocessArgs {
    pub sources: u64,
    /// Address of the chain's counters, one u32 per slot, which the kernel resets; 0 for none.
    pub counts: u64,
    pub tensor: u64,
    /// Unless interpolation is linear, address of [`spans_bytes`] for each slot.
    pub spans: u64,
    pub width: u32,
    pub height: u32,
    pub element: u32,
    pub nhwc: u32,
    pub bgr: u32,
    /// Lines per thread.
    pub rows: u32,
    pub pad: f32,
    pub mean: [f32; 3],
    pub scale: [f32; 3],
    /// Whether the filter is a cubic convolution instead of antialiasing's triangle.
    pub cubic: u32,
}

/// Bytes of one slot's spans and weights (Span in preprocess.cu), for the columns and lines of an input.
pub(super) fn spans_bytes(width: u32, height: u32) -> usize {
    const SPAN: usize = 32;
    const STORED_WEIGHTS: usize = 32;
    (width as usize + height as usize) * (SPAN + STORED_WEIGHTS * size_of::<f32>())
}

/// Tables in mapped host memory and their device addresses, all aligned to 16 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct StageArgs {
    pub from: [u64; 2],
    pub to: [u64; 2],
    /// Sizes in units of 16 bytes.
    pub units: [u32; 2],
}

/// Rows to be filled with one value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct FillArgs {
    pub to: u64,
    /// Bytes from one row to the next.
    pub pitch: u64,
    /// Elements per row.
    pub width: u64,
    pub rows: u64,
    pub value: u32,
    /// Element size in bytes: 1, 2, 4, or 16 for four copies of the value.
    pub element: u32,
}

/// Where decoding writes the candidates that passed the thresholds. Pairs of a box and a class have an entry for each
/// pair, a box for each `capacity / classes` entries, and no stored class.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Candidates {
    /// One u32 per slot.
    pub counts: u64,
    /// One u64 per entry.
    pub keys: u64,
    /// Four f32 per anchor.
    pub boxes: u64,
    /// One u32 per anchor.
    pub classes: u64,
    pub params: u64,
    pub params_stride: u32,
    /// Entries per slot.
    pub capacity: u32,
}

/// Values of an output: value `i` of row `r` is at `slot · slot_stride + r · row_stride + i · value_stride`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Values {
    pub data: u64,
    pub slot_stride: u64,
    pub row_stride: u32,
    pub value_stride: u32,
    /// See [`element_code`].
    pub element: u32,
    pub reserved: u32,
}

/// How the four values of a box become network pixels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Coding {
    /// 1: centre and size, 0: corners.
    pub centre: u32,
    /// Network pixels per unit.
    pub unit: [f32; 2],
}

/// The cells of one stride.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct CellLevel {
    /// Index of the first anchor.
    pub first: u32,
    /// Cells per row.
    pub columns: u32,
    /// Network pixels per cell.
    pub stride: f32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct DenseArgs {
    pub out: Candidates,
    pub scores: Values,
    pub boxes: Values,
    /// No data: the score alone is the confidence.
    pub objectness: Values,
    /// If there are any, boxes are relative to their cells.
    pub levels: [CellLevel; 4],
    pub level_count: u32,
    pub coding: Coding,
    pub anchors: u32,
    pub classes: u32,
    /// Whether a candidate is a pair of an anchor and a class.
    pub multi_label: u32,
    pub reserved: u32,
}

/// A range of the anchors of tensors `[anchors, channels]`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Level {
    /// Addresses of the first anchor's scores and distributions; elements from one slot, and from one anchor, to the
    /// next.
    pub scores: u64,
    pub boxes: u64,
    pub scores_slot: u64,
    pub boxes_slot: u64,
    pub scores_row: u32,
    pub boxes_row: u32,
    /// Index of the first anchor, and the number of anchors.
    pub first: u32,
    pub anchors: u32,
    /// Cells per row, and network pixels per cell.
    pub columns: u32,
    pub stride: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct DistributionsArgs {
    pub out: Candidates,
    pub levels: [Level; 4],
    pub level_count: u32,
    pub half: u32,
    pub classes: u32,
    /// Bins of each side's distribution.
    pub bins: u32,
    pub offset: f32,
    pub width: f32,
    pub height: f32,
    /// Whether a candidate is a pair of an anchor and a class.
    pub multi_label: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct ObjectsArgs {
    pub out: Candidates,
    pub boxes: Values,
    pub scores: Values,
    /// No data: all are of class 0.
    pub labels: Values,
    pub coding: Coding,
    pub rows: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct QueriesArgs {
    pub out: Candidates,
    pub boxes: Values,
    pub logits: u64,
    pub slot_stride: u64,
    pub half: u32,
    pub queries: u32,
    /// Logits per query; those of classes come first.
    pub columns: u32,
    pub classes: u32,
    pub coding: Coding,
    pub per_query: u32,
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

/// The table of each slot has one value more than thresholds: 1 if the values are logits, 0 if they are confidences.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct ClassesArgs {
    pub out: Candidates,
    pub data: u64,
    pub classes: u32,
    pub half: u32,
    /// Size of the network's input, pixels.
    pub width: f32,
    pub height: f32,
}

/// The values of a slot's vector follow its header in the results.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct EmbeddingArgs {
    pub params: u64,
    pub data: u64,
    pub results: u64,
    pub params_stride: u32,
    pub results_stride: u32,
    pub size: u32,
    pub half: u32,
}

/// The maps of one person's keypoints.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct PeaksArgs {
    /// Where x, y and confidence of each keypoint are written, in network pixels.
    pub points: u64,
    /// The rows along x and y; or the maps, and 0.
    pub x: u64,
    pub y: u64,
    /// Elements from one slot to the next.
    pub x_slot: u64,
    pub y_slot: u64,
    /// Places along both axes.
    pub columns: u32,
    pub rows: u32,
    pub keypoints: u32,
    /// 0: rows; 1, 2, 3: maps, whose peaks are refined by a quarter, by DARK, by DARK for UDP.
    pub maps: u32,
    pub half: u32,
    /// Network pixels per place.
    pub x_unit: f32,
    pub y_unit: f32,
    pub reserved: u32,
}

/// The keypoints that belong to one person.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct PersonArgs {
    pub out: Candidates,
    pub points: u64,
    pub keypoints: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct OrientedArgs {
    pub out: Candidates,
    pub data: u64,
    pub slot_stride: u64,
    /// Eight f32 per anchor, `capacity` anchors per slot: x and y of the four corners in network pixels.
    pub corners: u64,
    pub half: u32,
    pub anchors: u32,
    /// Elements from one value of an anchor, and from one anchor, to the next.
    pub value_stride: u32,
    pub anchor_stride: u32,
    /// 0: rows of centre, size, confidence, class and angle.
    pub classes: u32,
    pub reserved: u32,
}

/// [`FinishArgs::suppress`] of upright and of oriented boxes.
pub(super) const SUPPRESS_UPRIGHT: u32 = 1;
pub(super) const SUPPRESS_ORIENTED: u32 = 2;

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct FinishArgs {
    pub input: Candidates,
    pub results: u64,
    pub results_stride: u32,
    /// 0 for none.
    pub suppress: u32,
    /// Minimum number of objects kept, even if `max_detections` is smaller.
    pub least: u32,
    /// Keypoints per object; values per keypoint (2 or 3); whether y comes before x.
    pub keypoints: u32,
    pub dimensions: u32,
    pub y_first: u32,
    /// Address of the first keypoint's first value; elements from slot to slot, anchor to anchor, keypoint to keypoint,
    /// value to value.
    pub data: u64,
    pub slot_stride: u64,
    pub half: u32,
    pub anchor_stride: u32,
    pub keypoint_stride: u32,
    pub value_stride: u32,
    /// Factors from the output's unit to network pixels.
    pub x_unit: f32,
    pub y_unit: f32,
    /// Not 0: a candidate is a pair of a box and one of that many classes.
    pub pair_classes: u32,
    pub reserved: u32,
    /// Not 0: a kernel that makes masks follows and sets the flags; this is where it finds the objects.
    pub kept: u64,
}

/// Bytes per slot of the objects that are kept for masks: KEPT_STRIDE in common.cuh.
pub(super) const KEPT_STRIDE: usize = 16 + MAX_CANDIDATES * 32;

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct MasksArgs {
    /// Address of the objects, [`KEPT_STRIDE`] bytes per slot.
    pub kept: u64,
    /// Addresses in mapped memory of the results, and of the masks.
    pub results: u64,
    pub masks: u64,
    /// Address of the grid, and elements from one slot to the next.
    pub grid: u64,
    pub grid_slot: u64,
    /// Address of the first coefficient; elements from slot to slot, row to row, value to value.
    pub coefficients: u64,
    pub coefficients_slot: u64,
    pub row_stride: u32,
    pub value_stride: u32,
    pub grid_half: u32,
    pub coefficients_half: u32,
    /// Number of coefficients; 0: each row has its own plane of the grid.
    pub count: u32,
    pub columns: u32,
    pub rows: u32,
    /// Cells per network pixel.
    pub x_scale: f32,
    pub y_scale: f32,
    /// Bytes from one slot to the next.
    pub results_stride: u32,
    pub masks_stride: u32,
    /// Objects with space per slot, and words of bits with space per object.
    pub most: u32,
    pub words: u32,
    pub reserved: u32,
}

/// The cells of a mask, right and bottom exclusive.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct MaskHeader {
    pub left: u16,
    pub top: u16,
    pub right: u16,
    pub bottom: u16,
}

/// A shape to draw.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct Shape {
    /// Left bound, in whole pixels; the bounds may lie outside the frame.
    pub left: i32,
    /// Upper bound.
    pub top: i32,
    /// Right bound, exclusive.
    pub right: i32,
    /// Lower bound, exclusive.
    pub bottom: i32,
    /// 0: filled rectangle, 1: mask, 2: line, 3: cells.
    pub kind: u32,
    /// Y, Cb and Cr, or the four bytes of a pixel, lowest byte first.
    pub ink: u32,
    /// Offset of the mask's coverage in the atlas, or of the cells' bits behind the shapes; bytes.
    pub mask: u32,
    /// Of cells: columns (12 bits), rows (12 bits) and opacity (8 bits), from the lowest bit on.
    pub cells: u32,
    /// A [`Line`], or [`CellAxes`].
    pub geometry: [u64; 4],
}

/// The geometry of a line, whose coverage fades out at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct Line {
    /// One end.
    pub from: [f32; 2],
    /// The other end.
    pub to: [f32; 2],
    /// A unit vector.
    pub direction: [f32; 2],
    /// The distance of the ends.
    pub length: f32,
    /// The distance at which coverage ends.
    pub reach: f32,
}

/// The position of a frame's pixels among the cells of an object's mask: that of pixel 0, and cells per pixel, both times
/// 2³².
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub struct CellAxes {
    /// Of the first column, from the centre of the first cell.
    pub x: i64,
    /// Per column.
    pub x_step: i64,
    /// Of the first row, from the centre of the first cell.
    pub y: i64,
    /// Per row.
    pub y_step: i64,
}

/// What [`crate::Kernels::overlay`] draws, and into which frame.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct OverlayArgs {
    /// Address of the [`Shape`]s.
    pub shapes: u64,
    /// Address of the masks' coverage, one byte per pixel.
    pub atlas: u64,
    /// Address of the bits of cells, one mask after another.
    pub cells: u64,
    /// Addresses of the frame's planes.
    pub planes: [u64; 2],
    /// Bytes from one row of each plane to the next.
    pub pitches: [u32; 2],
    /// Number of shapes.
    pub count: u32,
    /// 1: four bytes per pixel, 0: NV12.
    pub packed: u32,
    /// Pixels per row.
    pub width: i32,
    /// Rows.
    pub height: i32,
}

/// The header of a slot's results; [`MAX_CANDIDATES`] objects follow, then as many sets of keypoints (x, y,
/// confidence).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
pub(super) struct ResultHeader {
    pub objects: u32,
    /// Candidates that passed the thresholds, and how many of them were considered.
    pub candidates: u32,
    pub considered: u32,
    /// 0 before a launch; 1 once the slot's results are complete and the launch no longer reads or writes its tables.
    pub ready: u32,
}

/// One object; coordinates are normalised to the frame.
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

/// Offset of the keypoints in a slot's results, in bytes.
pub(super) const KEYPOINTS_AT: usize = size_of::<ResultHeader>() + MAX_CANDIDATES * size_of::<ResultObject>();

/// Size of a slot's results in bytes, for objects with that many keypoints.
pub(super) const fn results_stride(objects: usize, keypoints: usize) -> usize {
    (KEYPOINTS_AT + objects * keypoints * 3 * size_of::<f32>()).next_multiple_of(128)
}

/// Size of a slot's results in bytes, for a vector of that many values.
pub(super) const fn vector_stride(values: usize) -> usize {
    (size_of::<ResultHeader>() + values * size_of::<f32>()).next_multiple_of(128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The numbers are those that kernels/*.cu check.
    #[test]
    fn structures_are_those_of_the_kernels() {
        assert_eq!(size_of::<SlotSource>(), 128);
        assert_eq!(offset_of!(SlotSource, pitches), 24);
        assert_eq!(offset_of!(SlotSource, format), 36);
        assert_eq!(offset_of!(SlotSource, x_exact), 38);
        assert_eq!(offset_of!(SlotSource, x), 56);
        assert_eq!(offset_of!(SlotSource, y), 80);
        assert_eq!(offset_of!(SlotSource, luma_offset), 104);
        assert_eq!(size_of::<SlotParams>(), 80);
        assert_eq!(offset_of!(SlotParams, x_start), 16);
        assert_eq!(offset_of!(SlotParams, frame_width), 32);
        assert_eq!(offset_of!(SlotParams, iou), 56);
        assert_eq!(offset_of!(SlotParams, classes), 76);
        assert_eq!(size_of::<PreprocessArgs>(), 88);
        assert_eq!(offset_of!(PreprocessArgs, width), 32);
        assert_eq!(offset_of!(PreprocessArgs, mean), 60);
        assert_eq!(size_of::<StageArgs>(), 40);
        assert_eq!(offset_of!(StageArgs, units), 32);
        assert_eq!(size_of::<FillArgs>(), 40);
        assert_eq!(offset_of!(FillArgs, value), 32);
        assert_eq!(size_of::<Candidates>(), 48);
        assert_eq!(offset_of!(Candidates, params_stride), 40);
        assert_eq!(size_of::<Values>(), 32);
        assert_eq!(offset_of!(Values, element), 24);
        assert_eq!(size_of::<Coding>(), 12);
        assert_eq!(size_of::<CellLevel>(), 16);
        assert_eq!(size_of::<DenseArgs>(), 240);
        assert_eq!(offset_of!(DenseArgs, scores), 48);
        assert_eq!(offset_of!(DenseArgs, levels), 144);
        assert_eq!(offset_of!(DenseArgs, level_count), 208);
        assert_eq!(offset_of!(DenseArgs, anchors), 224);
        assert_eq!(size_of::<Level>(), 56);
        assert_eq!(offset_of!(Level, columns), 48);
        assert_eq!(size_of::<DistributionsArgs>(), 304);
        assert_eq!(offset_of!(DistributionsArgs, level_count), 272);
        assert_eq!(size_of::<ObjectsArgs>(), 160);
        assert_eq!(offset_of!(ObjectsArgs, coding), 144);
        assert_eq!(size_of::<QueriesArgs>(), 128);
        assert_eq!(offset_of!(QueriesArgs, logits), 80);
        assert_eq!(offset_of!(QueriesArgs, coding), 112);
        assert_eq!(size_of::<PersonsArgs>(), 80);
        assert_eq!(size_of::<PeaksArgs>(), 72);
        assert_eq!(offset_of!(PeaksArgs, columns), 40);
        assert_eq!(offset_of!(PeaksArgs, x_unit), 60);
        assert_eq!(size_of::<PersonArgs>(), 64);
        assert_eq!(size_of::<OrientedArgs>(), 96);
        assert_eq!(offset_of!(OrientedArgs, corners), 64);
        assert_eq!(offset_of!(OrientedArgs, classes), 88);
        assert_eq!(size_of::<ClassesArgs>(), 72);
        assert_eq!(size_of::<EmbeddingArgs>(), 40);
        assert_eq!(size_of::<FinishArgs>(), 136);
        assert_eq!(offset_of!(FinishArgs, results), 48);
        assert_eq!(offset_of!(FinishArgs, data), 80);
        assert_eq!(offset_of!(FinishArgs, x_unit), 112);
        assert_eq!(size_of::<MasksArgs>(), 112);
        assert_eq!(offset_of!(MasksArgs, row_stride), 56);
        assert_eq!(offset_of!(MasksArgs, x_scale), 84);
        assert_eq!(offset_of!(MasksArgs, most), 100);
        assert_eq!(size_of::<MaskHeader>(), 8);
        assert_eq!(size_of::<Shape>(), 64);
        assert_eq!(offset_of!(Shape, kind), 16);
        assert_eq!(offset_of!(Shape, geometry), 32);
        assert_eq!((size_of::<Line>(), size_of::<CellAxes>()), (32, 32));
        assert_eq!(offset_of!(Line, length), 24);
        assert_eq!(size_of::<OverlayArgs>(), 64);
        assert_eq!(offset_of!(OverlayArgs, pitches), 40);
        assert_eq!(size_of::<ResultHeader>(), 16);
        assert_eq!(offset_of!(ResultHeader, ready), 12);
        assert_eq!(size_of::<ResultObject>(), 24);
    }

    /// The requirement is at most 16 KB per frame with 60 persons.
    #[test]
    fn results_of_sixty_persons_are_small() {
        let bytes = size_of::<ResultHeader>() + 60 * (size_of::<ResultObject>() + 17 * 3 * size_of::<f32>());
        assert!(bytes <= 16 * 1024, "{bytes}");
    }
}
