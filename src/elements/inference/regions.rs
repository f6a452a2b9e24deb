//! The regions of a frame that a model runs on.

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
        InferenceRegion::Frame if settings.rois.is_empty() => vec![Region { rect: frame, object: None }],
        InferenceRegion::Frame => {
            let rect = |roi: &Rect| roi.scaled(w, h).intersection(&frame);
            settings.rois.iter().map(|roi| Region { rect: rect(roi), object: None }).collect()
        }
        InferenceRegion::Objects => {
            let wanted =
                |label: &str| settings.object_classes.is_empty() || settings.object_classes.iter().any(|c| c == label);
            let inside = |rect: &Rect| {
                let (x, y) = (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0);
                let holds = |roi: &Rect| (roi.x..=roi.right()).contains(&x) && (roi.y..=roi.bottom()).contains(&y);
                settings.rois.is_empty() || settings.rois.iter().any(holds)
            };
            record
                .objects
                .iter()
                .filter(|o| wanted(&o.label) && inside(&o.rect))
                .map(|o| {
                    let rect = enlarged(&o.rect.scaled(w, h), kind.enlargement());
                    (Region { rect, object: Some(o.id) }, rect.intersection(&frame))
                })
                .filter(|(_, inside)| inside.w >= 1.0 && inside.h >= 1.0)
                .map(|(region, inside)| match fit {
                    Fit::Extended => region,
                    Fit::Stretched | Fit::Centred | Fit::TopLeft => Region { rect: inside, ..region },
                })
                .collect()
        }
    }
}

fn enlarged(rect: &Rect, factor: f32) -> Rect {
    let (cx, cy) = (rect.x + rect.w / 2.0, rect.y + rect.h / 2.0);
    Rect::from_centre(cx, cy, rect.w * factor, rect.h * factor)
}
