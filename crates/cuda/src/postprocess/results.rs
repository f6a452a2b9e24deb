//! Reading the results of a launch.

use super::super::error::Error;
use super::super::layout::{KEYPOINTS_AT, MAX_CANDIDATES, ResultHeader, ResultObject};
use super::masks::Masks;
use super::{Postprocessor, no_slot};
use bytemuck::Zeroable;
use model::{Detection, Keypoint, OrientedBox, Rect};
use std::mem::offset_of;

/// The results of one slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotResult {
    /// Normalised to the frame, in order of descending confidence.
    pub detections: Vec<Detection>,
    /// Number of candidates that passed the thresholds, at most as many as the head keeps.
    pub candidates: u32,
    /// How many of them were considered: at most the best [`MAX_CANDIDATES`].
    pub considered: u32,
}

impl Postprocessor {
    /// Resets the first `batch` slots' flags; call it before a launch that [`Self::is_ready`] is to wait for.
    ///
    /// # Errors
    /// The batch is larger than this was created for.
    pub fn expect(&mut self, batch: usize) -> Result<(), Error> {
        (0..batch).try_for_each(|slot| self.results.write(self.ready_at(slot), &[0u32]))
    }

    /// Whether a launch of the first `batch` slots has completed. This doesn't call the driver, so it stays false when
    /// the device has failed.
    #[inline]
    pub fn is_ready(&self, batch: usize) -> bool {
        (0..batch).all(|slot| self.results.poll(self.ready_at(slot)) == Some(1))
    }

    fn ready_at(&self, slot: usize) -> usize {
        slot * self.finish.results_stride as usize + offset_of!(ResultHeader, ready)
    }

    /// Reads a slot's results, once they are [ready](Self::is_ready) or an event recorded behind the launch has
    /// completed.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn results(&mut self, slot: usize, found: &mut SlotResult) -> Result<(), Error> {
        if slot >= self.batch {
            return Err(no_slot(slot, self.batch));
        }
        let at = slot * self.finish.results_stride as usize;
        let mut header = [ResultHeader::default()];
        self.results.read(at, &mut header)?;
        let [header] = header;
        found.detections.clear();
        let kept = |count: u32| count.min(u32::try_from(self.kept).unwrap_or(u32::MAX));
        (found.candidates, found.considered) = (kept(header.candidates), kept(header.considered));
        if self.vector > 0 {
            if header.objects > 0 {
                let mut embedding = vec![0.0; self.vector];
                self.results.read(at + size_of::<ResultHeader>(), &mut embedding)?;
                found.detections.push(Detection { confidence: 1.0, embedding, ..Detection::default() });
            }
            return Ok(());
        }
        let count = (header.objects as usize).min(MAX_CANDIDATES);
        self.objects.resize(count, ResultObject::zeroed());
        self.results.read(at + size_of::<ResultHeader>(), &mut self.objects)?;
        self.points.resize(count * self.keypoints, [0.0; 3]);
        self.results.read(at + KEYPOINTS_AT, &mut self.points)?;

        let points = self.points.as_slice();
        let of = |index: usize| points.get(index * self.keypoints..(index + 1) * self.keypoints).unwrap_or_default();
        found.detections.extend(self.objects.iter().enumerate().map(|(index, object)| {
            let (oriented, keypoints) = match *of(index) {
                [a, b, c, d] if self.oriented => {
                    let corners = [a, b, c, d].map(|[x, y, _]| [x, y]);
                    (Some(OrientedBox { corners }), Vec::new())
                }
                ref points => {
                    let keypoint = |&[x, y, confidence]: &[f32; 3]| Keypoint { x, y, confidence };
                    (None, points.iter().map(keypoint).collect())
                }
            };
            let rect = Rect::new(object.x, object.y, object.width, object.height);
            let (class_id, confidence) = (object.class_id, object.confidence);
            Detection { rect, oriented, class_id, confidence, keypoints, ..Detection::default() }
        }));
        if let Some(masks) = &mut self.masks {
            for (object, detection) in found.detections.iter_mut().enumerate() {
                detection.mask = masks.read(slot, object)?;
            }
        }
        Ok(())
    }

    /// Bytes of a slot's results that are transferred to the host.
    pub fn bytes_to_host(&self, found: &SlotResult) -> usize {
        let object = match self.vector {
            0 => size_of::<ResultObject>() + self.keypoints * size_of::<[f32; 3]>(),
            vector => vector * size_of::<f32>(),
        };
        let masks = found.detections.iter().filter(|_| self.masks.is_some());
        let masks: usize = masks.map(|detection| Masks::bytes_to_host(detection.mask.as_ref())).sum();
        size_of::<ResultHeader>() + found.detections.len() * object + masks
    }
}
