//! Which camera runs on which GPU.

use crate::config::Gpu;
use crate::infer::{Error, ErrorKind};

/// The GPU of each camera, by the driver's numbers. `uuids` has one for each GPU, without prefix.
///
/// # Errors
/// There is no GPU, or not the one that's asked for.
pub fn assign<'a>(
    cameras: impl Iterator<Item = (&'a str, &'a Gpu)> + Clone,
    uuids: &[String],
) -> Result<Vec<u32>, Error> {
    let fixed: Vec<Option<u32>> =
        cameras.clone().map(|(name, gpu)| find(name, gpu, uuids)).collect::<Result<_, _>>()?;
    let mut loads: Vec<usize> = vec![0; uuids.len()];
    for gpu in fixed.iter().flatten() {
        if let Some(load) = loads.get_mut(*gpu as usize) {
            *load += 1;
        }
    }
    let free = |loads: &mut Vec<usize>| {
        let (gpu, load) = (0..).zip(loads.iter_mut()).min_by_key(|(_, load)| **load)?;
        *load += 1;
        Some(gpu)
    };
    let none = || Error::new(ErrorKind::Device, "the driver knows no GPU: `nvidia-smi` says why");
    fixed.into_iter().map(|gpu| gpu.or_else(|| free(&mut loads)).ok_or_else(none)).collect()
}

/// `None`: any.
fn find(camera: &str, gpu: &Gpu, uuids: &[String]) -> Result<Option<u32>, Error> {
    let known = match gpu {
        Gpu::Auto => return Ok(None),
        Gpu::Index(index) => Some(*index).filter(|index| (*index as usize) < uuids.len()),
        Gpu::Uuid(uuid) => {
            let wanted = uuid.trim_start_matches("GPU-").trim_start_matches("MIG-").to_ascii_lowercase();
            uuids.iter().position(|uuid| uuid.starts_with(&wanted)).and_then(|index| u32::try_from(index).ok())
        }
    };
    let wanted = match gpu {
        Gpu::Index(index) => index.to_string(),
        Gpu::Uuid(uuid) => uuid.clone(),
        Gpu::Auto => "auto".into(),
    };
    known.map(Some).ok_or_else(|| {
        let text = format!(
            "{camera}: there is no GPU {wanted}: the driver knows {} (CUDA_VISIBLE_DEVICES counts): [{}]",
            uuids.len(),
            uuids.join(", ")
        );
        Error::new(ErrorKind::Device, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(gpus: &[Gpu], count: usize) -> Result<Vec<u32>, String> {
        let uuids: Vec<String> = (0..count).map(|n| format!("{n}a2b-44")).collect();
        assign(gpus.iter().map(|gpu| ("door", gpu)), &uuids).map_err(|error| error.message)
    }

    #[test]
    fn cameras_go_where_the_fewest_are() {
        let auto = || Gpu::Auto;
        assert_eq!(of(&[auto(), auto(), auto()], 2), Ok(vec![0, 1, 0]));
        assert_eq!(of(&[auto(), auto(), Gpu::Index(0), Gpu::Index(0)], 2), Ok(vec![1, 1, 0, 0]));
        assert_eq!(of(&[Gpu::Uuid("GPU-1A2B".into()), auto()], 2), Ok(vec![1, 0]));
        assert_eq!(of(&[], 0), Ok(vec![]));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        assert!(of(&[Gpu::Auto], 0).unwrap_err().contains("no GPU"));
        assert!(of(&[Gpu::Index(2)], 2).unwrap_err().contains("door: there is no GPU 2: the driver knows 2"));
        assert!(of(&[Gpu::Uuid("GPU-77".into())], 1).unwrap_err().contains("GPU-77"));
    }
}
