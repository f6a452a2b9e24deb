//! Objects as `GstAnalyticsRelationMeta`, GStreamer's own metadata of analysis since 1.24.
//!
//! Each object of the record is one entry of type object detection (`GstAnalyticsODMtd`):
//!
//! | of the entry | value |
//! |---|---|
//! | object type | the label |
//! | location | the box in pixels, rounded and clipped to the frame |
//! | oriented location (since 1.26) | an oriented box, not clipped: the rectangle before it is rotated about its centre, in pixels, and the angle in radians, clockwise |
//! | confidence | the object's |
//! | tag (since 1.30) | the `model-id` |
//! | `RELATE_TO` a classification | the label and the confidence |
//! | `RELATE_TO` classifications | the classes of each classifier that ran on the object, most probable first; their tag (since 1.30) is its `model-id` |
//! | `RELATE_TO` a track | where a tracker has given one |
//! | `IS_PART_OF` another object, which has `CONTAIN` in return | the parent |
//! | `CONTAIN` a group or a classification, which has `IS_PART_OF` in return | the keypoints |
//! | `CONTAIN` a segmentation (since 1.26), which has `IS_PART_OF` in return | the mask |
//!
//! Classes of the whole frame are classifications without relations.
//!
//! Entries have ids of their own; where there were none before, the objects' entries come first and have the ids of
//! their objects, which the ROI metas have too.
//!
//! # Keypoints
//!
//! Since 1.30 they are a group of keypoint entries, in pixels, in the order of the model, with the skeleton as relations
//! between them. The group's tag is `MODEL-ID/body-pose/coco-17` for COCO's 17 points, as in DL Streamer, else
//! `MODEL-ID/keypoints/LAYOUT-COUNT`.
//!
//! Older libraries have no entries for points: there they are a classification with one class for the whole and three
//! for each point, in the model's order. No element takes it for the object's class, because that has the relation
//! `RELATE_TO`.
//!
//! | class | level |
//! |---|---|
//! | `keypoints/` and the tag above | the number of points |
//! | `NAME.x` | from the left edge of the object's box (0) to its right edge (1); may lie outside |
//! | `NAME.y` | from the top (0) to the bottom (1) |
//! | `NAME.confidence` | 0–1 |
//!
//! # Masks
//!
//! A segmentation of kind instance has the object's box in whole pixels as its location, and a picture of the same size in
//! format GRAY8: 0 where there is nothing, and a region's id, which differs for the first 255 objects, where the object is.
//! Its regions are 0 and that id. A foreign object has the mask of the only segmentation that it contains.
//!
//! # Other elements' entries
//!
//! They are kept, and read as objects: `others`. An entry is an object of the record if it has its label, the same
//! confidence to the last bit and its box apart from rounding; no element changes the first two. So no object is read
//! twice, and what an element relates to our entry, such as a track, is known to belong to our object.

mod classes;
mod identity;
mod keypoints;
mod library;
mod masks;
mod read;
mod relation;
mod tensors;
mod write;

pub use library::{check, is_there};
pub(super) use read::{Found, others};
pub use tensors::{GstTensor, attach_gst_tensors, gst_tensors_exist, keep_gst_tensors, tensor_groups};
pub(super) use write::{follow, followers, mirror};
