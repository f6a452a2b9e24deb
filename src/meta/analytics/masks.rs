//! Masks of objects, as segmentation entries: an object contains the entry of its mask.
//!
//! An entry has a picture of the object's box in whole pixels, in format GRAY8: the region's id where the object is, 0
//! elsewhere. Each object has another id, as long as there are fewer than 256.

use super::library::{Segmentation, SegmentationType, relation};
use super::relation::{Editor, Place, Relations};
use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use model::mask::Scaled;
use model::{Mask, Rect};

/// `GST_SEGMENTATION_TYPE_INSTANCE`.
pub(super) const INSTANCE: SegmentationType = 1;

/// Adds the mask of the object `id` to its entry `object`. A box without pixels has none.
pub(super) fn add(editor: &mut Editor, object: u32, id: u32, mask: &Mask, rect: &Rect, frame: (u32, u32)) {
    let Some(segmentation) = &editor.library.segmentation else { return };
    let scaled = mask.in_frame(rect, frame);
    let region = 1 + (id % 255) as u8;
    let Some(picture) = picture(&scaled, region) else { return };
    let pixel = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
    let place = Place {
        left: pixel(scaled.columns.start),
        top: pixel(scaled.rows.start),
        width: pixel(scaled.columns.len() as u32),
        height: pixel(scaled.rows.len() as u32),
    };
    if let Some(added) = editor.add_segmentation(segmentation, picture, INSTANCE, [0, u32::from(region)], place) {
        editor.put_into(added, object);
    }
}

/// The box's pixels in format GRAY8, as most programs expect them: without gaps between rows.
fn picture(scaled: &Scaled<'_>, region: u8) -> Option<gst::Buffer> {
    if scaled.is_empty() {
        return None;
    }
    let (width, height) = (scaled.columns.len(), scaled.rows.len());
    let mut pixels = Vec::with_capacity(width * height);
    for row in scaled.rows.clone() {
        pixels.extend(scaled.row(row).map(|inside| if inside { region } else { 0 }));
    }
    let mut picture = gst::Buffer::from_mut_slice(pixels);
    VideoMeta::add_full(
        picture.get_mut()?,
        VideoFrameFlags::empty(),
        VideoFormat::Gray8,
        u32::try_from(width).ok()?,
        u32::try_from(height).ok()?,
        &[0],
        &[i32::try_from(width).ok()?],
    )
    .ok()?;
    Some(picture)
}

/// The segmentation entries that an object contains.
pub(super) fn entries(relations: Relations, object: u32) -> Vec<u32> {
    let Some(segmentation) = &relations.library.segmentation else { return Vec::new() };
    // SAFETY: the function has no preconditions.
    let kind = unsafe { (segmentation.gst_analytics_segmentation_mtd_get_mtd_type)() };
    relations.related(object, relation::CONTAIN, kind).collect()
}

/// The mask of an object of any element, normalised to the frame: that of the only segmentation that it contains, where a
/// pixel isn't 0. Other formats than GRAY8 aren't read.
pub(super) fn of(relations: Relations, object: u32, frame: (u32, u32)) -> Option<Mask> {
    let segmentation: &'static Segmentation = relations.library.segmentation.as_ref()?;
    let [entry] = *entries(relations, object) else { return None };
    let (picture, place) = relations.segmentation(segmentation, entry)?;
    let meta = picture.meta::<VideoMeta>().filter(|meta| meta.format() == VideoFormat::Gray8)?;
    let (width, height) = (meta.width(), meta.height());
    let (offset, stride) = (*meta.offset().first()?, usize::try_from(*meta.stride().first()?).ok()?);
    let map = picture.map_readable().ok()?;
    let side = |pixels: i32, of: u32| pixels as f32 / of.max(1) as f32;
    let area = Rect::new(
        side(place.left, frame.0),
        side(place.top, frame.1),
        side(place.width, frame.0),
        side(place.height, frame.1),
    );
    Mask::from_cells(area, width, height, |column, row| {
        let at = offset + row as usize * stride + column as usize;
        map.get(at).is_some_and(|value| *value != 0)
    })
}
