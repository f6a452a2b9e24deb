//! Conversion of video caps to the pixel formats of the CPU engine and the kernels, and to colour coding.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo};
use model::video::{Colorimetry, DeviceFormat, HostFormat, Matrix};

/// The format as the CPU engine knows it; `None` if the engine doesn't support it.
pub fn host_format(format: VideoFormat) -> Option<HostFormat> {
    Some(match format {
        VideoFormat::Nv12 => HostFormat::Nv12,
        VideoFormat::I420 => HostFormat::I420,
        VideoFormat::Rgb => HostFormat::Rgb,
        VideoFormat::Bgr => HostFormat::Bgr,
        VideoFormat::Rgba | VideoFormat::Rgbx => HostFormat::Rgba,
        VideoFormat::Bgra | VideoFormat::Bgrx => HostFormat::Bgra,
        _ => return None,
    })
}

/// The format as the kernels number it; `None` if they don't support it.
pub fn device_format(format: VideoFormat) -> Option<DeviceFormat> {
    Some(match format {
        VideoFormat::Nv12 => DeviceFormat::Nv12,
        VideoFormat::P01010le => DeviceFormat::P010,
        VideoFormat::I420 => DeviceFormat::I420,
        VideoFormat::Rgba | VideoFormat::Rgbx => DeviceFormat::Rgba,
        VideoFormat::Bgra | VideoFormat::Bgrx => DeviceFormat::Bgra,
        _ => return None,
    })
}

/// The colour coding that the caps give. Unknown values get GStreamer's defaults: limited range, and a matrix by
/// height.
pub fn colorimetry(info: &VideoInfo) -> Colorimetry {
    let given = info.colorimetry();
    let matrix = match given.matrix() {
        VideoColorMatrix::Bt601 => Matrix::Bt601,
        VideoColorMatrix::Bt709 => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        VideoColorMatrix::Fcc => Matrix::Fcc,
        VideoColorMatrix::Smpte240m => Matrix::Smpte240m,
        _ => matrix_by_height(info.height()),
    };
    Colorimetry { matrix, full_range: given.range() == VideoColorRange::Range0_255 }
}

/// The default of `gst_video_info_set_format`.
fn matrix_by_height(height: u32) -> Matrix {
    if height > 576 { Matrix::Bt709 } else { Matrix::Bt601 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoColorPrimaries, VideoColorimetry, VideoTransferFunction};

    #[test]
    fn colour_is_the_caps_or_gstreamers_default() {
        gst::init().unwrap();
        for height in [1, 480, 576, 577, 720, 1080, 1440, 2159, 2160, 4320] {
            let info = VideoInfo::builder(VideoFormat::Nv12, 64, height).build().unwrap();
            assert_eq!(colorimetry(&info), Colorimetry { matrix: matrix_by_height(height), full_range: false });
        }
        let jpeg = VideoColorimetry::new(
            VideoColorRange::Range0_255,
            VideoColorMatrix::Bt601,
            VideoTransferFunction::Bt709,
            VideoColorPrimaries::Bt709,
        );
        let info = VideoInfo::builder(VideoFormat::I420, 1920, 1080).colorimetry(&jpeg).build().unwrap();
        assert_eq!(colorimetry(&info), Colorimetry { matrix: Matrix::Bt601, full_range: true });
    }
}
