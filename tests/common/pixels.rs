//! Pictures in memory, and as frames in any pixel format that the elements accept.

use gst_video::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo};
use gsttensorrt::infer::Frame;
use std::ops::Range;
use std::path::Path;

/// RGB bytes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    pub width: u32,
    pub height: u32,
    pub data: Vec<u8>,
}

impl Rgb {
    pub fn new(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self { width, height, data: colour.repeat(width as usize * height as usize) }
    }

    pub fn fill(&mut self, columns: Range<u32>, rows: Range<u32>, colour: [u8; 3]) {
        for y in rows {
            for x in columns.clone() {
                let at = self.offset(x, y);
                self.data[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    /// Reads a binary PPM file (`P6`, 255 levels, no comments).
    pub fn read_ppm(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut fields = bytes.splitn(4, u8::is_ascii_whitespace);
        let mut field = || fields.next().unwrap_or_else(|| panic!("{} isn't a PPM file", path.display()));
        assert_eq!(field(), b"P6");
        let mut number = || std::str::from_utf8(field()).unwrap().parse().unwrap();
        let (width, height) = (number(), number());
        let data = field().strip_prefix(b"255\n").expect("255 levels").to_vec();
        assert_eq!(data.len(), 3 * width as usize * height as usize);
        Self { width, height, data }
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        3 * (y as usize * self.width as usize + x as usize)
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = self.offset(x.min(self.width - 1), y.min(self.height - 1));
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// Video caps of this picture in a format, with GStreamer's default colorimetry for its size.
    pub fn info(&self, format: VideoFormat) -> VideoInfo {
        VideoInfo::builder(format, self.width, self.height).fps(gst::Fraction::new(25, 1)).build().unwrap()
    }

    /// The picture as a frame in one of the eight formats.
    pub fn frame(&self, format: VideoFormat) -> Frame {
        self.frame_of(&self.info(format))
    }

    /// The picture as a frame with the info's format, colorimetry and strides.
    pub fn frame_of(&self, info: &VideoInfo) -> Frame {
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        let writable = buffer.get_mut().unwrap();
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, info).unwrap();
        match info.format() {
            VideoFormat::Nv12 | VideoFormat::I420 => self.write_yuv(&mut frame),
            _ => self.write_packed(&mut frame),
        }
        drop(frame);
        Frame { buffer, info: info.clone() }
    }

    fn write_packed(&self, frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>) {
        let (order, bytes) = match frame.format() {
            VideoFormat::Rgb => ([0, 1, 2], 3),
            VideoFormat::Bgr => ([2, 1, 0], 3),
            VideoFormat::Rgba | VideoFormat::Rgbx => ([0, 1, 2], 4),
            VideoFormat::Bgra | VideoFormat::Bgrx => ([2, 1, 0], 4),
            other => panic!("{other:?} isn't a packed format of the elements"),
        };
        let stride = frame.plane_stride()[0] as usize;
        let data = frame.plane_data_mut(0).unwrap();
        for (from, to) in self.data.chunks_exact(3 * self.width as usize).zip(data.chunks_mut(stride)) {
            for (from, to) in from.chunks_exact(3).zip(to.chunks_exact_mut(bytes)) {
                to[..3].copy_from_slice(&order.map(|channel| from[channel]));
                // The fourth byte must not be read: 0 would be transparent.
                to[3..].fill(0);
            }
        }
    }

    /// Each chroma value is the mean of 2 × 2 pixels.
    fn write_yuv(&self, frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>) {
        let nv12 = frame.format() == VideoFormat::Nv12;
        let code = YCbCr::new(&frame.info().colorimetry());
        let strides = frame.plane_stride().to_vec();
        let luma = frame.plane_data_mut(0).unwrap();
        for y in 0..self.height {
            for x in 0..self.width {
                luma[y as usize * strides[0] as usize + x as usize] = code.encode(self.pixel(x, y).map(f64::from))[0];
            }
        }
        for y in 0..self.height.div_ceil(2) {
            for x in 0..self.width.div_ceil(2) {
                let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dx, dy)| self.pixel(2 * x + dx, 2 * y + dy));
                let mean = [0, 1, 2].map(|c| four.iter().map(|p| f64::from(p[c])).sum::<f64>() / 4.0);
                let [_, cb, cr] = code.encode(mean);
                let (x, y) = (x as usize, y as usize);
                if nv12 {
                    let at = y * strides[1] as usize + 2 * x;
                    frame.plane_data_mut(1).unwrap()[at..at + 2].copy_from_slice(&[cb, cr]);
                } else {
                    frame.plane_data_mut(1).unwrap()[y * strides[1] as usize + x] = cb;
                    frame.plane_data_mut(2).unwrap()[y * strides[2] as usize + x] = cr;
                }
            }
        }
    }
}

/// An NV12 or I420 frame as RGB bytes; each 2 × 2 pixels share a chroma value.
pub fn decoded(frame: &Frame) -> Vec<u8> {
    let code = YCbCr::new(&frame.info.colorimetry());
    let mapped = gst_video::VideoFrame::from_buffer_readable(frame.buffer.clone(), &frame.info).unwrap();
    let plane = |i: u32, x: usize, y: usize| {
        let stride = mapped.plane_stride()[i as usize] as usize;
        f64::from(mapped.plane_data(i).unwrap()[y * stride + x])
    };
    let mut out = Vec::new();
    for y in 0..frame.info.height() as usize {
        for x in 0..frame.info.width() as usize {
            let (cb, cr) = match frame.info.format() {
                VideoFormat::Nv12 => (plane(1, x / 2 * 2, y / 2), plane(1, x / 2 * 2 + 1, y / 2)),
                VideoFormat::I420 => (plane(1, x / 2, y / 2), plane(2, x / 2, y / 2)),
                other => panic!("{other:?} has no chroma planes"),
            };
            out.extend(code.decode([plane(0, x, y), cb, cr]));
        }
    }
    out
}

/// R'G'B' to Y'CbCr and back as the standards define it (Rec. ITU-R BT.601, BT.709, BT.2020).
struct YCbCr {
    kr: f64,
    kb: f64,
    /// Luma of black, and the ranges of luma and chroma for 255 levels of R'G'B'.
    offset: f64,
    luma: f64,
    chroma: f64,
}

impl YCbCr {
    fn new(colorimetry: &gst_video::VideoColorimetry) -> Self {
        let (kr, kb) = match colorimetry.matrix() {
            VideoColorMatrix::Bt709 => (0.2126, 0.0722),
            VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        let full = colorimetry.range() == VideoColorRange::Range0_255;
        let (offset, luma, chroma) = if full { (0.0, 1.0, 1.0) } else { (16.0, 219.0 / 255.0, 224.0 / 255.0) };
        Self { kr, kb, offset, luma, chroma }
    }

    fn encode(&self, [r, g, b]: [f64; 3]) -> [u8; 3] {
        let y = self.kr * r + (1.0 - self.kr - self.kb) * g + self.kb * b;
        let cb = (b - y) / (2.0 * (1.0 - self.kb));
        let cr = (r - y) / (2.0 * (1.0 - self.kr));
        [self.offset + self.luma * y, 128.0 + self.chroma * cb, 128.0 + self.chroma * cr].map(byte)
    }

    fn decode(&self, [y, cb, cr]: [f64; 3]) -> [u8; 3] {
        let y = (y - self.offset) / self.luma;
        let (cb, cr) = ((cb - 128.0) / self.chroma, (cr - 128.0) / self.chroma);
        let r = y + 2.0 * (1.0 - self.kr) * cr;
        let b = y + 2.0 * (1.0 - self.kb) * cb;
        let g = (y - self.kr * r - self.kb * b) / (1.0 - self.kr - self.kb);
        [r, g, b].map(byte)
    }
}

fn byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}
