//! Assigns each camera its GPU.

use crate::config::{Camera, Gpu};
use crate::error::Error;
use cuda::Device;

/// The names of a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuName {
    /// The index within CUDA_VISIBLE_DEVICES.
    pub id: u32,
    pub uuid: String,
    pub name: String,
}

/// Returns the GPUs that the driver knows.
///
/// # Errors
/// There is no driver.
pub fn gpu_names() -> Result<Vec<GpuName>, Error> {
    let name = |device: Device| Ok(GpuName { id: device.id, uuid: device.uuid()?, name: device.facts.name });
    Device::all()?.into_iter().map(name).collect()
}

/// Returns a GPU's id for each camera: the one it names, or else the one with the fewest cameras, the first among
/// equals. `kept` returns the GPU that a camera already runs on; it stays there unless it names another.
///
/// # Errors
/// For a camera that names a GPU that doesn't exist.
pub fn assign(cameras: &[Camera], gpus: &[GpuName], kept: impl Fn(&str) -> Option<u32>) -> Vec<Result<u32, String>> {
    let named = |camera: &Camera| match &camera.gpu {
        Gpu::Auto => kept(&camera.name).filter(|id| gpus.iter().any(|gpu| gpu.id == *id)).map(Ok),
        Gpu::Index(index) => {
            let known = gpus.iter().find(|gpu| gpu.id == *index).map(|gpu| gpu.id);
            Some(known.ok_or_else(|| format!("GPU = {index}: {}", there_are(gpus))))
        }
        Gpu::Uuid(uuid) => {
            // With or without prefix, in lower or upper case.
            let bare = |text: &str| text.trim_start_matches("GPU-").trim_start_matches("MIG-").to_ascii_lowercase();
            let wanted = bare(uuid);
            let mut matching = gpus.iter().filter(|gpu| bare(&gpu.uuid).starts_with(&wanted));
            Some(match (matching.next(), matching.next()) {
                (Some(gpu), None) => Ok(gpu.id),
                (Some(_), Some(_)) => Err(format!("GPU = {uuid}: several UUIDs begin with it; {}", there_are(gpus))),
                (None, _) => Err(format!("GPU = {uuid}: {}", there_are(gpus))),
            })
        }
    };
    let mut given: Vec<Option<Result<u32, String>>> = cameras.iter().map(named).collect();
    for at in 0..given.len() {
        if given.get(at).is_some_and(Option::is_none) {
            let load = |gpu: &&GpuName| given.iter().filter(|id| matches!(id, Some(Ok(id)) if *id == gpu.id)).count();
            let free = gpus.iter().min_by_key(load).map(|gpu| gpu.id).ok_or_else(|| "there is no GPU".to_owned());
            if let Some(place) = given.get_mut(at) {
                *place = Some(free);
            }
        }
    }
    given.into_iter().flatten().collect()
}

fn there_are(gpus: &[GpuName]) -> String {
    if gpus.is_empty() {
        return "there is no GPU".into();
    }
    let names: Vec<_> = gpus.iter().map(|gpu| format!("{} ({}, {})", gpu.id, gpu.name, gpu.uuid)).collect();
    format!("there are {} (within CUDA_VISIBLE_DEVICES)", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CameraSource, Hint, Outputs};

    fn camera(name: &str, gpu: Gpu) -> Camera {
        Camera {
            name: name.into(),
            source: CameraSource::File { path: "a".into(), looping: true },
            hint: Hint::default(),
            gpu,
            detection: None,
            classification: None,
            pose: None,
            tracker: None,
            zones: None,
            outputs: Outputs::default(),
        }
    }

    fn gpus(count: u32) -> Vec<GpuName> {
        (0..count).map(|id| GpuName { id, uuid: format!("GPU-{id}abc"), name: "T4".into() }).collect()
    }

    fn ids(cameras: &[Camera], count: u32, kept: impl Fn(&str) -> Option<u32>) -> Vec<u32> {
        assign(cameras, &gpus(count), kept).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn cameras_without_a_gpu_go_where_the_fewest_are() {
        let cameras = [
            camera("a", Gpu::Auto),
            camera("b", Gpu::Index(0)),
            camera("c", Gpu::Uuid("GPU-0A".into())),
            camera("d", Gpu::Auto),
            camera("e", Gpu::Auto),
        ];
        assert_eq!(ids(&cameras, 2, |_| None), [1, 0, 0, 1, 0]);
        assert_eq!(ids(&cameras, 1, |_| None), [0; 5]);
    }

    #[test]
    fn a_running_camera_stays() {
        let cameras = [camera("a", Gpu::Auto), camera("b", Gpu::Auto), camera("c", Gpu::Index(0))];
        let kept = |name: &str| if name == "b" { Some(1) } else { None };
        assert_eq!(ids(&cameras, 2, kept), [0, 1, 0], "c has gone where it is told to");
        assert_eq!(ids(&cameras[1..2], 1, kept), [0], "that GPU is gone");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named_with_those_that_are() {
        for gpu in [Gpu::Index(7), Gpu::Uuid("GPU-f".into()), Gpu::Uuid("GPU-".into())] {
            let error = assign(&[camera("a", gpu.clone())], &gpus(2), |_| None).remove(0).unwrap_err();
            assert!(error.contains("0 (T4, GPU-0abc), 1 (T4, GPU-1abc)"), "{error}");
        }
        let error = assign(&[camera("a", Gpu::Auto)], &[], |_| None).remove(0).unwrap_err();
        assert_eq!(error, "there is no GPU");
    }
}
