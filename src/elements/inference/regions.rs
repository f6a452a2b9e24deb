//! The regions of a frame that a model runs on.

use super::attributes::Tracks;
use super::settings::Resolved;
use crate::meta::{Attach, Record};
use crate::options::InferenceRegion;
use model::{Fit, Rect, head::HeadKind};

/// A part of the frame to run the model on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// In frame pixels; only that of an object reaches beyond the frame, if the model's input is made so.
    pub rect: Rect,
    /// The object that the region is the box of.
    pub object: Option<u32>,
    /// That object's track, if a tracker follows it.
    pub track: Option<u64>,
}

/// Whether a model works on objects that other elements may have found: it runs on their boxes, or its poses belong to
/// them.
pub fn needs_others(settings: &Resolved, kind: HeadKind) -> bool {
    let poses = matches!(kind, HeadKind::Pose | HeadKind::TopDownPose);
    settings.region == InferenceRegion::Objects || (poses && settings.attach == Attach::Match)
}

/// A frame's regions for a model with a head of this kind and this fit of its input; empty if the frame has no object to run
/// on.
pub fn regions(
    settings: &Resolved,
    (kind, fit): (HeadKind, Fit),
    record: &Record,
    (width, height): (u32, u32),
) -> Vec<Region> {
    let (w, h) = (width as f32, height as f32);
    let frame = Rect::new(0.0, 0.0, w, h);
    match settings.region {
        InferenceRegion::Frame if settings.rois.is_empty() => vec![Region { rect: frame, object: None, track: None }],
        InferenceRegion::Frame => {
            let rect = |roi: &Rect| roi.scaled(w, h).intersection(&frame);
            settings.rois.iter().map(|roi| Region { rect: rect(roi), object: None, track: None }).collect()
        }
        InferenceRegion::Objects => {
            let inside = |rect: &Rect| {
                let (x, y) = (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0);
                let holds = |roi: &Rect| (roi.x..=roi.right()).contains(&x) && (roi.y..=roi.bottom()).contains(&y);
                settings.rois.is_empty() || settings.rois.iter().any(holds)
            };
            record
                .objects
                .iter()
                .filter(|o| is_wanted(settings, &o.label) && inside(&o.rect))
                .map(|o| {
                    let rect = enlarged(&o.rect.scaled(w, h), kind.enlargement());
                    (Region { rect, object: Some(o.id), track: o.track_id }, rect.intersection(&frame))
                })
                .filter(|(_, inside)| inside.w >= 1.0 && inside.h >= 1.0 && settings.object_size.has(inside))
                .map(|(region, inside)| match fit {
                    Fit::Extended => region,
                    _ => Region { rect: inside, ..region },
                })
                .collect()
        }
    }
}

/// Whether the model runs on a region in the frame with this number; that counts as a run on the object's track.
pub fn is_due(region: &Region, number: u64, settings: &Resolved, tracks: &Tracks) -> bool {
    match region.track {
        // The frame as a whole was due.
        _ if !settings.by_object => true,
        Some(track) => tracks.is_due(track, number, settings.interval),
        None => settings.is_at_interval(number),
    }
}

/// Whether the model runs on objects with this label.
pub fn is_wanted(settings: &Resolved, label: &str) -> bool {
    settings.object_classes.is_empty() || settings.object_classes.iter().any(|class| class == label)
}

fn enlarged(rect: &Rect, factor: f32) -> Rect {
    let (cx, cy) = (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0);
    Rect::from_centre(cx, cy, rect.w * factor, rect.h * factor)
}
