//! Estimates from above whether the models and frames of a GPU's cameras fit into its memory.

use super::{Check, Verdict};

/// The memory of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMemory {
    pub name: String,
    /// Bytes of weights: the engine's, or of the ONNX where there is no engine yet.
    pub weights: u64,
    /// Bytes that a lane's contexts share; `None`: unknown, because there is no engine to query.
    pub context: Option<u64>,
}

/// Lanes of a GPU engine: one batch is computed while the other is copied.
const LANES: u64 = 2;
/// Assumed for an unknown context: YOLO12m and YOLO11m-pose with batch 2 take less.
const CONTEXT: u64 = 512 << 20;
/// The driver's context, and the kernels of TensorRT and of this plugin.
const BASE: u64 = 600 << 20;
/// The most reference frames of H.264 and HEVC.
const REFERENCES: u64 = 16;
/// The most frames that a model's element holds.
const IN_FLIGHT: u64 = 4;

/// A camera's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameraFrames {
    /// Bytes of one frame.
    pub frame: u64,
    /// `NVDEC_BUFFER_SIZE`
    pub surfaces: u64,
    /// `MAX_QUEUE_SIZE`
    pub queue: u64,
    pub models: u64,
}

impl CameraFrames {
    /// Bytes of all frames. `pool`: the camera's share of the memory for waiting frames.
    fn bytes(self, pool: Option<u64>) -> u64 {
        let waiting = (self.queue * self.frame).min(pool.unwrap_or(u64::MAX));
        (REFERENCES + self.surfaces + IN_FLIGHT * self.models) * self.frame + waiting
    }
}

/// The most bytes that everything takes. `pool`: bytes for waiting frames over all cameras of the GPU.
pub fn needed(models: &[ModelMemory], cameras: &[CameraFrames], pool: Option<u64>) -> u64 {
    let models = models.iter().map(|model| model.weights + LANES * model.context.unwrap_or(CONTEXT));
    let share = pool.map(|pool| pool / cameras.len().max(1) as u64);
    BASE + models.sum::<u64>() + cameras.iter().map(|camera| camera.bytes(share)).sum::<u64>()
}

/// The verdict for one GPU.
pub fn check(gpu: u32, models: &[ModelMemory], cameras: &[CameraFrames], pool: Option<u64>, free: u64) -> Check {
    let name = format!("GPU {gpu}: memory for {} camera(s)", cameras.len());
    let needed = needed(models, cameras, pool);
    let unasked: Vec<_> =
        models.iter().filter(|model| model.context.is_none()).map(|model| model.name.as_str()).collect();
    let guess = if unasked.is_empty() { String::new() } else { format!(" ({} guessed)", unasked.join(", ")) };
    let found = format!("{} MiB at most{guess}, {} MiB are free", needed >> 20, free >> 20);
    if needed <= free {
        return Check::ok(name, found);
    }
    let remedy = "reduce GPU_BATCH_SIZE, MAX_QUEUE_SIZE or the number of cameras, use smaller models, or end other programs \
                  on the GPU (nvidia-smi lists them)";
    Check::new(name, Verdict::Missing, format!("GPU out of memory: {found}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn model(context: Option<u64>) -> ModelMemory {
        ModelMemory { name: "detection".into(), weights: 40 * MIB, context }
    }

    fn camera() -> CameraFrames {
        CameraFrames { frame: 3 * MIB, surfaces: 5, queue: 20, models: 2 }
    }

    #[test]
    fn models_count_once_and_cameras_each() {
        // 16 references, 5 surfaces, 8 with the models, 20 in the queue: 49 frames of 3 MiB.
        let one = needed(&[model(Some(100 * MIB))], &[camera()], None);
        assert_eq!(one, (600 + 40 + 200 + 49 * 3) * MIB);
        assert_eq!(needed(&[model(Some(100 * MIB))], &[camera(); 3], None), one + 2 * 49 * 3 * MIB);
        // The pool bounds the queues: 30 MiB over two cameras are 15 for each instead of 60.
        assert_eq!(needed(&[], &[camera(); 2], Some(30 * MIB)), (600 + 2 * (29 * 3 + 15)) * MIB);
    }

    #[test]
    fn what_does_not_fit_has_the_guides_words_and_remedies() {
        let models = [model(None), ModelMemory { name: "pose".into(), ..model(Some(MIB)) }];
        let check = super::check(0, &models, &[camera()], None, 1000 * MIB);
        assert_eq!(check.verdict, Verdict::Missing);
        assert!(
            check.found.starts_with("GPU out of memory: ") && check.found.contains("(detection guessed)"),
            "{check:?}"
        );
        assert!(check.remedy.unwrap().contains("GPU_BATCH_SIZE"));
        assert_eq!(super::check(0, &models, &[camera()], None, 4000 * MIB).verdict, Verdict::Ok);
    }
}
