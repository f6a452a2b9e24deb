//! Every pixel format and colorimetry is converted to the RGB that the standards define, within two levels, and to that of
//! GStreamer's own converter, as near as it is to the standards.

use crate::common::pixels::{self, Rgb};
use gst_video::prelude::*;
use gst_video::{
    VideoChromaMode, VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoConverter,
    VideoConverterConfig, VideoDitherMethod, VideoFormat, VideoFrame, VideoInfo, VideoTransferFunction,
};
use gsttensorrt::cpu;
use gsttensorrt::infer::Frame;
use model::{ElementType, InputSpec, Layout, Normalization, Rect, Resize};

const LEVELS: u8 = 2;
/// GStreamer expands 8 bits to 16 by 257/256 of the factor that its offsets and scales expect: up to 3 levels off.
const GSTREAMER_LEVELS: u8 = LEVELS + 3;
/// Frame rate, which the converter requires.
const FRAME_RATE: gst::Fraction = gst::Fraction::from_integer(25);

/// Smooth colours with hard edges between them, covering luma and chroma; no two rows or columns are alike.
fn picture(width: u32, height: u32) -> Rgb {
    let mut out = Rgb::new(width, height, [0; 3]);
    for (i, pixel) in out.data.chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        let step = 60 * ((x / 16 + y / 12) % 4);
        let channel = |a: u32, b: u32| ((x * a + y * b + step) % 256) as u8;
        pixel.copy_from_slice(&[channel(3, 1), channel(1, 5), channel(7, 2)]);
    }
    out
}

fn info(
    format: VideoFormat,
    (width, height): (u32, u32),
    matrix: VideoColorMatrix,
    range: VideoColorRange,
) -> VideoInfo {
    let colorimetry = VideoColorimetry::new(range, matrix, VideoTransferFunction::Bt709, VideoColorPrimaries::Bt709);
    VideoInfo::builder(format, width, height).colorimetry(&colorimetry).fps(FRAME_RATE).build().unwrap()
}

/// The frame as RGB bytes without row padding, by GStreamer's converter with chroma repeated, not interpolated.
///
/// Through 16 bits per channel: its direct conversion to 8 bits calculates with 8 bits and is up to 6 levels off.
fn converted(frame: &Frame) -> Vec<u8> {
    let (width, height) = (frame.info.width(), frame.info.height());
    let out = info(VideoFormat::Argb64, (width, height), VideoColorMatrix::Rgb, VideoColorRange::Range0_255);
    let mut config = VideoConverterConfig::new();
    config.set_chroma_mode(VideoChromaMode::None);
    config.set_dither_method(VideoDitherMethod::None);
    let converter = VideoConverter::new(&frame.info, &out, Some(config)).unwrap();
    let source = VideoFrame::from_buffer_readable(frame.buffer.clone(), &frame.info).unwrap();
    let mut target = VideoFrame::from_buffer_writable(gst::Buffer::with_size(out.size()).unwrap(), &out).unwrap();
    converter.frame(&source, &mut target);
    let stride = target.plane_stride()[0] as usize;
    let rows = target.plane_data(0).unwrap().chunks(stride);
    let pixels = rows.flat_map(|row| row[..8 * width as usize].chunks_exact(8));
    let level = |bytes: &[u8]| ((u32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) + 128) / 257) as u8;
    pixels.flat_map(|argb| argb[2..].chunks_exact(2).map(level)).collect()
}

/// The frame as RGB bytes from our preprocessing, at its own size.
fn preprocessed(frame: &Frame) -> Vec<u8> {
    let (width, height) = (frame.info.width(), frame.info.height());
    let spec = InputSpec {
        width,
        height,
        layout: Layout::Nhwc,
        element: ElementType::U8,
        normalization: Normalization::NONE,
        bgr: false,
        resize: Resize::LETTERBOX,
        pad: 114,
    };
    let mut data = Vec::new();
    cpu::preprocess_frame(frame, Rect::new(0.0, 0.0, width as f32, height as f32), &spec, &mut data).unwrap();
    data
}

#[track_caller]
fn assert_near(what: &str, frame: &Frame, wanted: &[u8], levels: u8) {
    let ours = preprocessed(frame);
    assert_eq!(ours.len(), wanted.len(), "{what}");
    let width = frame.info.width() as usize;
    let worst = (0..ours.len()).max_by_key(|&i| ours[i].abs_diff(wanted[i])).unwrap();
    let (x, y) = (worst / 3 % width, worst / 3 / width);
    let (a, b) = (ours[worst], wanted[worst]);
    assert!(a.abs_diff(b) <= levels, "{what}: pixel {x},{y} channel {}: {a}, wanted {b}", worst % 3);
}

#[track_caller]
fn assert_same(what: &str, frame: &Frame) {
    assert_near(&format!("{what}, by the standard"), frame, &pixels::decoded(frame), LEVELS);
    assert_near(&format!("{what}, by GStreamer"), frame, &converted(frame), GSTREAMER_LEVELS);
}

#[test]
fn subsampled_formats_in_each_matrix_and_range() {
    gst::init().unwrap();
    for size in [(320, 180), (321, 181), (64, 2), (7, 5)] {
        let picture = picture(size.0, size.1);
        for matrix in [VideoColorMatrix::Bt601, VideoColorMatrix::Bt709] {
            for range in [VideoColorRange::Range16_235, VideoColorRange::Range0_255] {
                for format in [VideoFormat::Nv12, VideoFormat::I420] {
                    let frame = picture.frame_of(&info(format, size, matrix, range));
                    assert_same(&format!("{format:?} {matrix:?} {range:?} {size:?}"), &frame);
                }
            }
        }
    }
}

#[test]
fn packed_formats_are_taken_as_they_are() {
    gst::init().unwrap();
    for size in [(320, 180), (33, 17)] {
        let picture = picture(size.0, size.1);
        let formats = [
            VideoFormat::Rgb,
            VideoFormat::Bgr,
            VideoFormat::Rgba,
            VideoFormat::Bgra,
            VideoFormat::Rgbx,
            VideoFormat::Bgrx,
        ];
        for format in formats {
            let frame = picture.frame(format);
            assert_eq!(preprocessed(&frame), picture.data, "{format:?} {size:?}");
            assert_near(&format!("{format:?} {size:?}, by GStreamer"), &frame, &converted(&frame), 0);
        }
    }
}

/// Without a colorimetry in the caps GStreamer assumes BT.709 from 720 lines on, BT.601 below; both limited range.
#[test]
fn caps_without_colorimetry_mean_what_gstreamer_takes_them_for() {
    gst::init().unwrap();
    for size in [(640, 360), (1280, 720)] {
        let frame = picture(size.0, size.1).frame(VideoFormat::Nv12);
        assert_same(&format!("{size:?}"), &frame);
    }
}
