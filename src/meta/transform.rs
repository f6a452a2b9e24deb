//! What GStreamer tells metas about a change of the picture.
//!
//! An element names the kind of change by a quark, and passes data for it:
//!
//! | kind | since | data |
//! |---|---|---|
//! | `gst-video-matrix` | 1.28 | `GstVideoMetaTransformMatrix`: which part of the input is where in the output, and how it is turned |
//! | `gst-video-scale` | 1.0 | `GstVideoMetaTransform`: only what the caps say about input and output |
//!
//! Elements of 1.28 try the first and then the second; older ones know only the second. It has no place for the black
//! borders that a scaler adds to keep the picture's shape, nor for the information that it adds none. So if the shape of
//! the frame changed, it isn't known where the picture is.
//!
//! Source: `gst/video/gstvideometa.h` of GStreamer 1.28.

use super::change::{Change, Turn, fractions};
use gst::glib;
use gst::glib::ffi::{GQuark, gpointer};
use gst::glib::translate::IntoGlib;
use gst::meta::MetaTransform;
use gst_video::ffi::{GstVideoInfo, GstVideoMetaTransform, GstVideoRectangle};
use gst_video::video_meta::VideoMetaTransformScale;
use model::Rect;
use std::sync::{LazyLock, Once};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("trtmeta", gst::DebugColorFlags::empty(), Some("Objects on buffers")));

/// `GstVideoMetaTransformMatrix`, which the headers that this crate is built with may not have. The matrix maps pixels,
/// counted from the top left corner of `in_rectangle`, to pixels counted from that of `out_rectangle`.
#[repr(C)]
struct Matrix {
    in_info: *const GstVideoInfo,
    in_rectangle: GstVideoRectangle,
    out_info: *const GstVideoInfo,
    out_rectangle: GstVideoRectangle,
    matrix: [[f32; 3]; 3],
}

/// The kinds of change, as quarks.
struct Kinds {
    matrix: GQuark,
    scale: GQuark,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds {
    matrix: glib::Quark::from_str("gst-video-matrix").into_glib(),
    scale: VideoMetaTransformScale::quark().into_glib(),
});

/// The change that an element tells a meta of, or `None` for a kind that this crate doesn't know.
///
/// # Safety
///
/// `data` is what GStreamer passes to a meta's transform function with this kind.
pub(super) unsafe fn change(kind: GQuark, data: gpointer) -> Option<Change> {
    let change = if kind == KINDS.matrix {
        // SAFETY: data of this kind are a `GstVideoMetaTransformMatrix` with two valid infos, or null.
        unsafe {
            let data = data.cast::<Matrix>().as_ref()?;
            of_matrix(data, data.in_info.as_ref()?, data.out_info.as_ref()?)
        }
    } else if kind == KINDS.scale {
        // SAFETY: data of this kind are a `GstVideoMetaTransform` with two valid infos, or null.
        unsafe {
            let data = data.cast::<GstVideoMetaTransform>().as_ref()?;
            of_scale(data.in_info.as_ref()?, data.out_info.as_ref()?)
        }
    } else {
        return None;
    };
    if !change.told {
        warn(&change);
    }
    Some(change)
}

/// Warns once: a scaler tells every object of every frame.
fn warn(change: &Change) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        let ((iw, ih), (ow, oh)) = (change.input, change.output);
        gst::warning!(
            CAT,
            "Objects are dropped where frames become {ow}x{oh} from {iw}x{ih}: before GStreamer 1.28 a scaler doesn't \
             tell whether it added borders. Put the model behind the scaler, or leave pixel-aspect-ratio open in the \
             scaler's caps"
        );
    });
}

fn size(info: &GstVideoInfo) -> (u32, u32) {
    (u32::try_from(info.width).unwrap_or(0), u32::try_from(info.height).unwrap_or(0))
}

fn of_matrix(data: &Matrix, in_info: &GstVideoInfo, out_info: &GstVideoInfo) -> Change {
    let (input, output) = (size(in_info), size(out_info));
    let (from, out) = (rect(&data.in_rectangle), rect(&data.out_rectangle));
    let [[xx, xy, x0], [yx, yy, y0], last] = data.matrix;
    let none = |values: [f32; 2]| values.iter().all(|value| value.abs() < 1e-6);
    let (straight, exchanged) = (none([xy, yx]), none([xx, yy]));
    // Where the corners of `from` are in the output.
    let [left, right] = [x0, xx * from.w + xy * from.h + x0].map(|x| x + out.x);
    let [top, bottom] = [y0, yx * from.w + yy * from.h + y0].map(|y| y + out.y);
    let mut onto = Rect::from_corners(left.min(right), top.min(bottom), left.max(right), top.max(bottom));
    // A picture that is sheared, tilted or in perspective has no boxes.
    let is_upright = last == [0.0, 0.0, 1.0] && straight != exchanged && [onto.x, onto.y].iter().all(|v| v.is_finite());
    let has_size = |rect: &Rect| rect.w > 0.0 && rect.h > 0.0 && (rect.w * rect.h).is_finite();
    if !is_upright || !has_size(&from) || !has_size(&onto) {
        return Change { told: false, ..Change::scaled(input, output) };
    }
    // Flips map pixel indices, which are one less than edges. Then, and after rounding, the rectangle is meant.
    let edges = |rect: &Rect| [rect.x, rect.y, rect.right(), rect.bottom()];
    if edges(&onto).iter().zip(edges(&out)).all(|(a, b)| (a - b).abs() <= 1.001) {
        onto = out;
    }
    let turn = Turn { exchanged, flipped_x: xx + xy < 0.0, flipped_y: yx + yy < 0.0 };
    let shown = fractions(&out.intersection(&onto), output).intersection(&Rect::UNIT);
    Change { input, output, from: fractions(&from, input), turn, onto: fractions(&onto, output), shown, told: true }
}

fn rect(rectangle: &GstVideoRectangle) -> Rect {
    Rect::new(rectangle.x as f32, rectangle.y as f32, rectangle.w as f32, rectangle.h as f32)
}

/// Borders of so many pixels in all move no edge by more than one.
const NEGLIGIBLE: f64 = 2.0;

fn of_scale(in_info: &GstVideoInfo, out_info: &GstVideoInfo) -> Change {
    // As `videoscale` computes borders: the largest part of the output that has the shape of the input.
    let shape = |info: &GstVideoInfo| {
        let (par_n, par_d) = (f64::from(info.par_n.max(1)), f64::from(info.par_d.max(1)));
        (f64::from(info.width.max(1)) * par_n) / (f64::from(info.height.max(1)) * par_d)
    };
    let (width, height) = (f64::from(out_info.width), f64::from(out_info.height));
    let ratio = shape(in_info) / shape(out_info);
    let borders = (width * (1.0 - ratio)).max(height * (1.0 - 1.0 / ratio));
    Change { told: borders <= NEGLIGIBLE, ..Change::scaled(size(in_info), size(out_info)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    fn info(width: i32, height: i32, par: (i32, i32)) -> GstVideoInfo {
        gst::init().unwrap();
        // SAFETY: an info of zeros is valid, and only these fields are read.
        let mut info: GstVideoInfo = unsafe { std::mem::zeroed() };
        (info.width, info.height, info.par_n, info.par_d) = (width, height, par.0, par.1);
        info
    }

    /// As a compiler lays it out for the header of GStreamer 1.28.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_layout_is_the_header_s() {
        let offsets = [
            offset_of!(Matrix, in_info),
            offset_of!(Matrix, in_rectangle),
            offset_of!(Matrix, out_info),
            offset_of!(Matrix, out_rectangle),
            offset_of!(Matrix, matrix),
            size_of::<Matrix>(),
        ];
        assert_eq!(offsets, [0, 8, 24, 32, 48, 88]);
    }

    #[test]
    fn scaling_is_told_unless_the_shape_changes() {
        let square = (1, 1);
        for (input, output, told) in [
            (info(320, 240, square), info(640, 480, square), true),
            (info(320, 240, square), info(100, 74, (74, 75)), true),
            (info(854, 480, square), info(1280, 720, square), true),
            (info(720, 576, (16, 11)), info(1048, 576, square), true),
            (info(320, 240, square), info(320, 320, square), false),
            (info(320, 240, square), info(320, 240, (2, 1)), false),
            (info(320, 240, square), info(330, 240, square), false),
            (info(320, 240, (0, 0)), info(640, 480, square), true),
        ] {
            let change = of_scale(&input, &output);
            assert_eq!(change.told, told, "{}x{} to {}x{}", input.width, input.height, output.width, output.height);
            assert_eq!((change.input, change.output), (size(&input), size(&output)));
        }
    }

    const WHOLE: [i32; 4] = [0, 0, 320, 240];

    fn told(from: [i32; 4], out: [i32; 4], matrix: [[f32; 3]; 3], output: (i32, i32)) -> Change {
        let rectangle = |[x, y, w, h]: [i32; 4]| GstVideoRectangle { x, y, w, h };
        let (in_info, out_info) = (info(320, 240, (1, 1)), info(output.0, output.1, (1, 1)));
        let data = Matrix {
            in_info: &in_info,
            in_rectangle: rectangle(from),
            out_info: &out_info,
            out_rectangle: rectangle(out),
            matrix,
        };
        // SAFETY: the data are of this kind.
        unsafe { change(KINDS.matrix, (&raw const data).cast_mut().cast()) }.unwrap()
    }

    #[test]
    fn a_matrix_says_which_part_is_where() {
        let scale = |x: f32, y: f32| [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]];
        assert_eq!(told(WHOLE, [0, 0, 640, 480], scale(2.0, 2.0), (640, 480)), Change::scaled((320, 240), (640, 480)));
        let bordered = told(WHOLE, [0, 40, 320, 240], scale(1.0, 1.0), (320, 320));
        assert_eq!(
            (bordered.onto, bordered.shown),
            (Rect::new(0.0, 0.125, 1.0, 0.75), Rect::new(0.0, 0.125, 1.0, 0.75))
        );
        let cropped = told([100, 0, 220, 240], [0, 0, 220, 240], scale(1.0, 1.0), (220, 240));
        assert_eq!(cropped, Change::cropped((320, 240), Rect::new(100.0, 0.0, 220.0, 240.0)));
        // Partly outside of a larger picture, as a compositor may place it.
        let outside = told(WHOLE, [-160, 0, 320, 240], scale(1.0, 1.0), (640, 480));
        assert_eq!((outside.onto, outside.shown), (Rect::new(-0.25, 0.0, 0.5, 0.5), Rect::new(0.0, 0.0, 0.25, 0.5)));
        // The matrix alone zooms in: what doesn't fit into the rectangle isn't shown.
        let zoomed = told(WHOLE, WHOLE, scale(2.0, 2.0), (320, 240));
        assert_eq!((zoomed.onto, zoomed.shown), (Rect::new(0.0, 0.0, 2.0, 2.0), Rect::UNIT));
    }

    #[test]
    fn a_matrix_says_how_the_picture_is_turned() {
        let turned = |matrix: [[f32; 3]; 2], output: (i32, i32)| {
            let matrix = [matrix[0], matrix[1], [0.0, 0.0, 1.0]];
            let change = told(WHOLE, [0, 0, output.0, output.1], matrix, output);
            assert_eq!((change.from, change.onto, change.told), (Rect::UNIT, Rect::UNIT, true), "{matrix:?}");
            (change.turn.exchanged, change.turn.flipped_x, change.turn.flipped_y)
        };
        // The eight directions of `videoflip`, as it writes them: pixel 0 becomes the last pixel.
        let (w, h) = (319.0, 239.0);
        let (same, other) = ((320, 240), (240, 320));
        assert_eq!(turned([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], same), (false, false, false));
        assert_eq!(turned([[-1.0, 0.0, w], [0.0, 1.0, 0.0]], same), (false, true, false));
        assert_eq!(turned([[1.0, 0.0, 0.0], [0.0, -1.0, h]], same), (false, false, true));
        assert_eq!(turned([[-1.0, 0.0, w], [0.0, -1.0, h]], same), (false, true, true));
        assert_eq!(turned([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], other), (true, false, false));
        assert_eq!(turned([[0.0, -1.0, h], [1.0, 0.0, 0.0]], other), (true, true, false));
        assert_eq!(turned([[0.0, 1.0, 0.0], [-1.0, 0.0, w]], other), (true, false, true));
        assert_eq!(turned([[0.0, -1.0, h], [-1.0, 0.0, w]], other), (true, true, true));
    }

    #[test]
    fn other_matrices_are_not_told() {
        for matrix in [
            [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.7, -0.7, 0.0], [0.7, 0.7, 0.0], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.001, 0.0, 1.0]],
            [[0.0; 3]; 3],
            [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            [[f32::NAN; 3]; 3],
            [[f32::INFINITY, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ] {
            assert!(!told(WHOLE, WHOLE, matrix, (320, 240)).told, "{matrix:?}");
        }
        assert!(!told([0; 4], WHOLE, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], (320, 240)).told);
    }

    #[test]
    fn what_is_unknown_or_without_data_is_no_change() {
        gst::init().unwrap();
        let other = glib::Quark::from_str("gst-video-of-the-future").into_glib();
        for kind in [other, KINDS.matrix, KINDS.scale] {
            // SAFETY: null is accepted.
            assert!(unsafe { change(kind, std::ptr::null_mut()) }.is_none());
        }
    }
}
