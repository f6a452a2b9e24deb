//! A buffer in system memory as an [`Image`].

use super::image::Image;
use crate::error::{Error, ErrorKind};
use crate::infer::Frame;
use crate::video_caps::{colorimetry, host_format};
use gst_video::VideoFrameRef;
use gst_video::prelude::*;
use model::video::{Colorimetry, HostFormat};

/// A frame mapped for reading.
pub struct Mapped<'a> {
    frame: VideoFrameRef<&'a gst::BufferRef>,
    format: HostFormat,
    colorimetry: Colorimetry,
    /// Size of the buffer in bytes.
    size: usize,
}

impl<'a> Mapped<'a> {
    /// # Errors
    /// The CPU engine doesn't read the format, or the buffer is too small for its caps.
    pub fn new(frame: &'a Frame) -> Result<Self, Error> {
        let info = &frame.info;
        let format = host_format(info.format()).ok_or_else(|| {
            failed(format!(
                "the CPU engine doesn't read {} frames: put a videoconvert before it",
                info.format().to_str()
            ))
        })?;
        let mapped = VideoFrameRef::from_buffer_ref_readable(&frame.buffer, info).map_err(|_| {
            failed(format!(
                "can't map a {}×{} {} frame: the buffer has {} bytes, its caps need {}",
                info.width(),
                info.height(),
                info.format().to_str(),
                frame.buffer.size(),
                info.size()
            ))
        })?;
        Ok(Self { frame: mapped, format, colorimetry: colorimetry(info), size: frame.buffer.size() })
    }

    /// The planes with their actual strides, which a `GstVideoMeta` may override.
    ///
    /// # Errors
    /// The metadata contradicts the buffer.
    pub fn image(&self) -> Result<Image<'_>, Error> {
        let (frame, empty) = (&self.frame, [].as_slice());
        let mut image = Image {
            format: self.format,
            colorimetry: self.colorimetry,
            width: frame.width() as usize,
            height: frame.height() as usize,
            planes: [empty; 3],
            strides: [0; 3],
        };
        let layout = frame.plane_offset().iter().zip(frame.plane_stride());
        for (plane, (&offset, &stride)) in (0u32..).zip(layout).take(self.format.planes()) {
            let wrong = || failed(format!("plane {plane} (offset {offset}, stride {stride}) isn't inside its buffer"));
            let stride = usize::try_from(stride).map_err(|_| wrong())?;
            let rows = self.format.plane_rows(plane as usize, image.height);
            if offset.saturating_add(stride.saturating_mul(rows)) > self.size {
                return Err(wrong());
            }
            let data = frame.plane_data(plane).map_err(|_| wrong())?;
            if let (Some(d), Some(s)) = (image.planes.get_mut(plane as usize), image.strides.get_mut(plane as usize)) {
                (*d, *s) = (data, stride);
            }
        }
        Ok(image)
    }
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};

    fn frame(format: VideoFormat, width: u32, height: u32) -> Frame {
        gst::init().unwrap();
        let info = VideoInfo::builder(format, width, height).build().unwrap();
        Frame { buffer: gst::Buffer::with_size(info.size()).unwrap(), info }
    }

    #[test]
    fn maps_every_format_and_odd_sizes() {
        for format in FORMATS {
            for (width, height) in [(1, 1), (2, 1), (17, 9), (640, 480)] {
                let frame = frame(format, width, height);
                let mapped = Mapped::new(&frame).unwrap();
                let image = mapped.image().unwrap();
                assert_eq!((image.width, image.height), (width as usize, height as usize));
                assert!(image.row(0, 0).is_some(), "{format:?} {width}×{height}");
            }
        }
    }

    const FORMATS: [VideoFormat; 8] = [
        VideoFormat::Nv12,
        VideoFormat::I420,
        VideoFormat::Rgb,
        VideoFormat::Bgr,
        VideoFormat::Rgba,
        VideoFormat::Bgra,
        VideoFormat::Rgbx,
        VideoFormat::Bgrx,
    ];

    #[test]
    fn takes_strides_from_the_video_meta() {
        let mut frame = frame(VideoFormat::Rgb, 4, 2);
        frame.buffer = gst::Buffer::with_size(200).unwrap();
        let buffer = frame.buffer.get_mut().unwrap();
        VideoMeta::add_full(buffer, VideoFrameFlags::empty(), VideoFormat::Rgb, 4, 2, &[8], &[64]).unwrap();
        let mapped = Mapped::new(&frame).unwrap();
        assert_eq!(mapped.image().unwrap().strides[0], 64);
    }

    #[test]
    fn small_buffer_is_an_error() {
        let mut frame = frame(VideoFormat::Nv12, 64, 64);
        frame.buffer = gst::Buffer::with_size(100).unwrap();
        let error = Mapped::new(&frame).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Failed);
        assert!(error.message.contains("100 bytes"), "{error}");
    }

    #[test]
    fn meta_beyond_the_buffer_is_an_error() {
        let mut frame = frame(VideoFormat::Rgb, 4, 2);
        let buffer = frame.buffer.get_mut().unwrap();
        VideoMeta::add_full(buffer, VideoFrameFlags::empty(), VideoFormat::Rgb, 4, 2, &[0], &[4096]).unwrap();
        let result = Mapped::new(&frame).and_then(|mapped| mapped.image().map(|_| ()));
        assert_eq!(result.err().unwrap().kind, ErrorKind::Failed);
    }

    #[test]
    fn unknown_format_is_an_error() {
        let frame = frame(VideoFormat::Yuy2, 64, 64);
        assert!(Mapped::new(&frame).err().unwrap().message.contains("YUY2"));
    }
}
