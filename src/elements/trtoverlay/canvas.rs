//! A mapped frame as a canvas.

use crate::draw::{Overlay, Packed, Planar, Plane, Style};
use crate::meta::Record;
use crate::video_caps::{colorimetry, host_format};
use gst_video::VideoFrameRef;
use gst_video::prelude::*;
use model::video::HostFormat;

/// Draws a record into a frame that is mapped for writing.
///
/// # Errors
/// The frame's format isn't supported, or its metadata contradicts its buffer. The frame is unchanged then.
pub fn draw(
    overlay: &mut Overlay,
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    record: &Record,
    style: &Style,
) -> Result<(), String> {
    let format = host_format(frame.format())
        .ok_or_else(|| format!("can't draw on {} frames: put videoconvert before it", frame.format().to_str()))?;
    let strides = strides(frame, format)?;
    let colorimetry = colorimetry(frame.info());
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (cells, rows) = (width.div_ceil(2), height.div_ceil(2));
    let [first, second, third, _] = frame.planes_data_mut();
    match format {
        HostFormat::Nv12 => {
            let luma = Plane::new(first, strides[0], width, height);
            let chroma = Plane::<2>::new(second, strides[1], cells, rows);
            overlay.draw(&mut Planar::new(luma, chroma, colorimetry), record, style);
        }
        HostFormat::I420 => {
            let luma = Plane::new(first, strides[0], width, height);
            let cb = Plane::<1>::new(second, strides[1], cells, rows);
            let cr = Plane::<1>::new(third, strides[2], cells, rows);
            overlay.draw(&mut Planar::new(luma, [cb, cr], colorimetry), record, style);
        }
        HostFormat::Rgb | HostFormat::Bgr => {
            let plane = Plane::<3>::new(first, strides[0], width, height);
            overlay.draw(&mut Packed::new(plane, format == HostFormat::Bgr), record, style);
        }
        HostFormat::Rgba | HostFormat::Bgra => {
            let plane = Plane::<4>::new(first, strides[0], width, height);
            overlay.draw(&mut Packed::new(plane, format == HostFormat::Bgra), record, style);
        }
    }
    Ok(())
}

/// Bytes from row to row of each plane, which a `GstVideoMeta` may set. They are checked, because the planes' slices
/// are made from them.
fn strides(frame: &VideoFrameRef<&mut gst::BufferRef>, format: HostFormat) -> Result<[usize; 3], String> {
    let mut strides = [0; 3];
    let layout = frame.plane_offset().iter().zip(frame.plane_stride()).take(format.planes());
    for ((plane, checked), (&offset, &stride)) in strides.iter_mut().enumerate().zip(layout) {
        let rows = format.plane_rows(plane, frame.height() as usize);
        *checked = usize::try_from(stride)
            .ok()
            .filter(|stride| offset.saturating_add(stride.saturating_mul(rows)) <= frame.buffer().size())
            .ok_or_else(|| format!("plane {plane} (offset {offset}, stride {stride}) isn't inside its buffer"))?;
    }
    Ok(strides)
}
