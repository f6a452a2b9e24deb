//! Copies of frames on the device.

use super::error::{Error, ErrorKind};
use super::preprocess::DevicePicture;
use super::stream::CudaStream;
use cudarc::driver::sys::{self, CUDA_MEMCPY2D, CUmemorytype};

/// Queues a copy of a frame's pixels into another frame of the same format and size; their pitches may differ.
///
/// # Errors
/// The frames differ in format or size, or the device failed.
///
/// # Safety
/// Both frames' planes are in the stream's context and stay valid until the copy has run; nothing else uses the target
/// until then.
pub unsafe fn copy_picture(from: &DevicePicture, to: &DevicePicture, stream: &CudaStream) -> Result<(), Error> {
    if (from.format, from.width, from.height) != (to.format, to.width, to.height) {
        let shape = |p: &DevicePicture| format!("{}×{} {:?}", p.width, p.height, p.format);
        let message = format!("a {} frame can't be copied into a {} one", shape(from), shape(to));
        return Err(Error::new(ErrorKind::Failed, message));
    }
    from.check()?;
    to.check()?;
    let context = stream.context();
    let _current = context.enter()?;
    let sources = from.planes.iter().zip(&from.pitches);
    let targets = to.planes.iter().zip(&to.pitches);
    for (((&source, &source_pitch), (&target, &target_pitch)), (row, _, rows)) in
        sources.zip(targets).zip(from.layout())
    {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let copy = CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: std::ptr::null(),
            srcDevice: source,
            srcArray: std::ptr::null_mut(),
            srcPitch: source_pitch as usize,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: target,
            dstArray: std::ptr::null_mut(),
            dstPitch: target_pitch as usize,
            WidthInBytes: size(row),
            Height: size(rows),
        };
        // SAFETY: `check` and the caller ensure that both planes contain these rows; the context is current.
        context.check("cuMemcpy2DAsync", unsafe { sys::cuMemcpy2DAsync_v2(&copy, stream.raw()) }.result())?;
    }
    Ok(())
}
