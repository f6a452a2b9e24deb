//! What of a frame's objects is left behind GStreamer's elements, on the GStreamer that runs.
//!
//! Objects are coloured areas of the picture. Elements move the pixels, so that the areas found in their output say where
//! the objects are. Every object that is read must be there, once; what GStreamer doesn't tell must be missing. The result
//! is compared with the column of this version in docs/interop.md. `UPDATE_SURVIVAL=1` writes the column instead.

use super::objects::object;
use crate::common::find;
use crate::common::pixels::Rgb;
use crate::common::running::{Running, info, pull, register};
use gst_video::{VideoConverter, VideoFormat, VideoFrame, VideoInfo, VideoRegionOfInterestMeta};
use gsttensorrt::meta::{self, Inference, KeypointSet, ModelRun, Object, Record};
use model::{Keypoint, KeypointLayout, OrientedBox, Rect};
use std::path::PathBuf;
use std::sync::Arc;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
/// How far a box or keypoint may be from its pixels, pixels.
const TOLERANCE: f32 = 2.0;
/// The tips of an oriented box are thinner than a pixel.
const TIP: f32 = 5.0;
/// GStreamer rounds the position and the size of other vendors' ROI metas separately.
const ROI_TOLERANCE: f32 = 3.0;

/// Left, top, right, bottom in pixels.
type Edges = [f32; 4];

/// What is painted, and how. The names of objects are their labels.
#[derive(Clone, Copy)]
struct Area {
    name: &'static str,
    edges: [u32; 4],
    colour: [u8; 3],
}

const fn area(name: &'static str, edges: [u32; 4], colour: [u8; 3]) -> Area {
    Area { name, edges, colour }
}

const CAR: Area = area("car", [30, 60, 150, 200], [255, 0, 0]);
/// In the car.
const PERSON: Area = area("person", [50, 90, 100, 180], [0, 0, 255]);
/// It touches two edges, and its box extends beyond the right one.
const BUS: Area = area("bus", [200, 0, 320, 50], [255, 0, 255]);
/// The upright box around an oriented one; see `SHIP_BOX`. It is all in a cropped picture, or not at all.
const SHIP: Area = area("ship", [168, 117, 224, 163], [255, 255, 0]);
/// Centre, size and angle, pixels and radians.
const SHIP_BOX: [f32; 5] = [196.0, 140.0, 56.0, 16.0, 0.6];
/// Another vendor's detector finds it.
const FACE: Area = area("face", [230, 150, 290, 210], [255, 255, 255]);
/// The person's keypoints.
const NOSE: Area = area("nose", [68, 104, 76, 112], [0, 255, 0]);
const FOOT: Area = area("foot", [84, 156, 92, 164], [0, 255, 255]);
const OURS: [Area; 4] = [CAR, PERSON, BUS, SHIP];
const GREY: [u8; 3] = [128; 3];

impl Area {
    fn rect(&self) -> Rect {
        let [left, top, right, bottom] = self.edges.map(|at| at as f32);
        let beyond = if self.name == BUS.name { 20.0 } else { 0.0 };
        Rect::from_corners(left, top, right + beyond, bottom).scaled(1.0 / WIDTH as f32, 1.0 / HEIGHT as f32)
    }

    /// True if a pixel is closer to this colour than to those around.
    fn is_at(&self, pixel: &[u8]) -> bool {
        self.colour.iter().zip(pixel).all(|(wanted, there)| if *wanted == 255 { *there > 191 } else { *there < 64 })
    }

    /// The edges of this area's pixels in a part of a picture; `None` if there are none.
    fn seen(&self, picture: &Rgb, part: Edges) -> Option<Edges> {
        let mut found: Option<Edges> = None;
        for (index, pixel) in picture.data.chunks_exact(3).enumerate() {
            let (x, y) = ((index % picture.width as usize) as f32, (index / picture.width as usize) as f32);
            if x >= part[0] && y >= part[1] && x < part[2] && y < part[3] && self.is_at(pixel) {
                let [left, top, right, bottom] = found.unwrap_or([x, y, x, y]);
                found = Some([left.min(x), top.min(y), right.max(x + 1.0), bottom.max(y + 1.0)]);
            }
        }
        found
    }
}

fn ship() -> OrientedBox {
    let [cx, cy, w, h, angle] = SHIP_BOX;
    OrientedBox::new(cx, cy, w, h, angle).unwrap()
}

/// Paints an oriented box.
fn paint(picture: &mut Rgb, [cx, cy, w, h, angle]: [f32; 5], colour: [u8; 3]) {
    let (sin, cos) = angle.sin_cos();
    for y in 0..picture.height {
        for x in 0..picture.width {
            let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
            if (dx * cos + dy * sin).abs() <= w / 2.0 && (dy * cos - dx * sin).abs() <= h / 2.0 {
                picture.fill(x..x + 1, y..y + 1, colour);
            }
        }
    }
}

/// Whether the corners of an oriented box are where its pixels end.
fn is_around(oriented: &OrientedBox, area: &Area, picture: &Rgb) -> bool {
    let at = |[x, y]: [f32; 2]| {
        let (x, y) = (x.max(0.0) as usize, y.max(0.0) as usize);
        picture.data.get(3 * (y * picture.width as usize + x)..).is_some_and(|rest| area.is_at(&rest[..3]))
    };
    let (cx, cy) = oriented.centre();
    let towards = |[x, y]: [f32; 2], share: f32| [cx + share * (x - cx), cy + share * (y - cy)];
    oriented.corners.iter().all(|&corner| at(towards(corner, 0.8)) && !at(towards(corner, 1.2)))
}

fn record() -> Arc<Record> {
    let mut objects: Vec<_> = (0..).zip(&OURS).map(|(id, area)| object(id, area.name, area.rect())).collect();
    let layout = KeypointLayout { name: "pair", names: vec!["nose".into(), "foot".into()], limbs: vec![(0, 1)] };
    let points = [NOSE, FOOT].map(|area| {
        let Rect { x, y, w, h } = area.rect();
        Keypoint { x: x + w / 2.0, y: y + h / 2.0, confidence: 0.5 }
    });
    objects[3].oriented = Some(ship().scaled(1.0 / WIDTH as f32, 1.0 / HEIGHT as f32));
    objects[1].parent = Some(0);
    objects[1].keypoints =
        Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points: points.to_vec() });
    Arc::new(Record {
        objects,
        models: vec![ModelRun { model_id: "det".into(), inference: Inference::Done }],
        ..Record::default()
    })
}

/// A frame with our objects and another vendor's.
fn frame() -> gst::Sample {
    let mut picture = Rgb::new(WIDTH, HEIGHT, GREY);
    for Area { edges: [left, top, right, bottom], colour, .. } in [CAR, PERSON, BUS, FACE, NOSE, FOOT] {
        picture.fill(left..right, top..bottom, colour);
    }
    paint(&mut picture, SHIP_BOX, SHIP.colour);
    let mut frame = picture.frame(VideoFormat::Rgb);
    let buffer = frame.buffer.get_mut().unwrap();
    buffer.set_pts(gst::ClockTime::ZERO);
    buffer.set_duration(gst::ClockTime::from_mseconds(40));
    let [left, top, right, bottom] = FACE.edges;
    let mut face = VideoRegionOfInterestMeta::add(buffer, FACE.name, (left, top, right - left, bottom - top));
    face.set_id(1);
    face.add_param(gst::Structure::builder("detection").field("confidence", 0.5f64).build());
    meta::set_record(buffer, record(), WIDTH, HEIGHT);
    gst::Sample::builder().buffer(&frame.buffer).caps(&frame.info.to_caps().unwrap()).build()
}

/// The frames that come out of a pipeline: one frame is pushed to each of its sources `s0`, `s1`.
fn through(launch: &str) -> Vec<(gst::Buffer, VideoInfo)> {
    register();
    let pipeline = Running::playing(launch);
    for name in ["s0", "s1"].iter().filter(|name| launch.contains(&format!("name={name}"))) {
        let source = pipeline.source(name);
        source.push_sample(&frame()).unwrap();
        source.end_of_stream().unwrap();
    }
    let sink = pipeline.sink("sink");
    let out: Vec<_> = std::iter::from_fn(|| pull(&sink)).map(|buffer| (buffer, info(&sink))).collect();
    assert!(!out.is_empty(), "{launch}: nothing comes out");
    out
}

fn picture(buffer: &gst::Buffer, info: &VideoInfo) -> Rgb {
    let rgb = VideoInfo::builder(VideoFormat::Rgb, info.width(), info.height()).fps(info.fps()).build().unwrap();
    let from = VideoFrame::from_buffer_readable(buffer.clone(), info).unwrap();
    let mut to = VideoFrame::from_buffer_writable(gst::Buffer::with_size(rgb.size()).unwrap(), &rgb).unwrap();
    VideoConverter::new(info, &rgb, None).unwrap().frame(&from, &mut to);
    let (stride, width) = (rgb.stride()[0] as usize, 3 * info.width() as usize);
    let data = to.plane_data(0).unwrap().chunks(stride).flat_map(|row| &row[..width]).copied().collect();
    Rgb { width: info.width(), height: info.height(), data }
}

fn near(a: Edges, b: Edges, tolerance: f32) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

/// What is left in an output frame, as the table says it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Left {
    /// Of ours: `all` or `nothing`.
    ours: &'static str,
    /// Of another vendor's ROI metas.
    others: &'static str,
}

/// Compares what is read from a frame with its pixels. `tiles` are the parts in which the input's picture is.
fn left_in(what: &str, buffer: &gst::Buffer, info: &VideoInfo, tiles: &[Edges]) -> Left {
    let picture = picture(buffer, info);
    let frame = [0.0, 0.0, info.width() as f32, info.height() as f32];
    let tiles = if tiles.is_empty() { &[frame] } else { tiles };
    let read = meta::read(buffer, info.width(), info.height());
    assert!((0..).zip(&read.objects).all(|(id, object)| object.id == id), "{what}: ids count from 0: {read:?}");

    // What is where, and as which object.
    let (mut named, mut expected) = (Vec::new(), 0);
    for tile in tiles {
        let seen = |area: &Area| area.seen(&picture, *tile);
        let here = |edges: Edges| {
            let (x, y) = ((edges[0] + edges[2]) / 2.0, (edges[1] + edges[3]) / 2.0);
            x >= tile[0] && y >= tile[1] && x < tile[2] && y < tile[3]
        };
        let edges_of = |rect: &Rect| {
            let rect = rect.scaled(frame[2], frame[3]);
            [rect.x, rect.y, rect.right().min(frame[2]), rect.bottom().min(frame[3])]
        };
        let mut parent = None;
        for area in &OURS {
            let objects: Vec<_> =
                read.objects.iter().filter(|o| &*o.label == area.name && here(edges_of(&o.rect))).collect();
            named.extend(objects.iter().map(|object| object.id));
            let Some(place) = seen(area) else {
                assert!(objects.is_empty(), "{what}: {} can't be seen but is read: {objects:?}", area.name);
                continue;
            };
            expected += 1;
            let [object] = objects[..] else {
                assert!(objects.is_empty(), "{what}: {} is read {} times: {read:?}", area.name, objects.len());
                continue;
            };
            let context =
                format!("{what}: {} is at {place:?}: {object:?}, edges {:?}", area.name, edges_of(&object.rect));
            let is_ship = area.name == SHIP.name;
            assert!(near(edges_of(&object.rect), place, if is_ship { TIP } else { TOLERANCE }), "{context}");
            let oriented = object.oriented.map(|oriented| oriented.scaled(frame[2], frame[3]));
            assert_eq!(oriented.is_some(), is_ship, "{context}");
            assert!(oriented.is_none_or(|oriented| is_around(&oriented, area, &picture)), "{context}, {oriented:?}");
            assert_eq!((object.confidence, &*object.source), (0.75, "det"), "{context}");
            assert!(object.class_id.is_some(), "{context}");
            if area.name == CAR.name {
                parent = Some(object.id);
            }
            if area.name == PERSON.name {
                assert_eq!(object.parent, parent, "{context}");
                let points = &object.keypoints.as_ref().unwrap().points;
                for (point, area) in points.iter().zip([NOSE, FOOT]) {
                    match seen(&area) {
                        Some([left, top, right, bottom]) => {
                            let at = (point.x * frame[2], point.y * frame[3]);
                            let off = ((left + right) / 2.0 - at.0, (top + bottom) / 2.0 - at.1);
                            assert!(off.0.abs() <= TOLERANCE && off.1.abs() <= TOLERANCE, "{context}");
                            assert_eq!(point.confidence, 0.5, "{context}");
                        }
                        None => assert_eq!(point.confidence, 0.0, "{context}"),
                    }
                }
            }
        }
    }
    let ours = read.objects.iter().filter(|object| &*object.label != FACE.name).count();
    assert_eq!(named.len(), ours, "{what}: some objects are nowhere: {read:?}");
    assert!(ours == 0 || ours == expected, "{what}: {ours} of {expected} objects are left: {read:?}");
    assert_eq!(read.models.len(), usize::from(ours > 0), "{what}: nothing found isn't nothing known");

    let ours = check_mirrors(what, buffer, info, &read.objects[..ours]);
    Left { ours, others: left_of_others(what, buffer, &picture, tiles) }
}

/// Every one of our objects has its ROI meta, with everything in it, and there are no others of ours.
fn check_mirrors(what: &str, buffer: &gst::Buffer, info: &VideoInfo, objects: &[Object]) -> &'static str {
    let metas = buffer.iter_meta::<VideoRegionOfInterestMeta>();
    let mirrors: Vec<_> = metas.filter(|meta| meta.roi_type() != FACE.name).collect();
    assert_eq!(mirrors.len(), objects.len(), "{what}: {mirrors:?}");
    for (id, object) in (0..).zip(objects) {
        let context = format!("{what}: {object:?}: {mirrors:?}");
        assert_eq!(object.id, id, "{context}: programs look metas up by ids from 0");
        let [meta] = mirrors.iter().filter(|meta| meta.id() == object.id as i32).collect::<Vec<_>>()[..] else {
            panic!("{context}");
        };
        let (frame, (x, y, w, h)) = (Rect::new(0.0, 0.0, info.width() as f32, info.height() as f32), meta.rect());
        let box_ = object.rect.scaled(frame.w, frame.h).intersection(&frame);
        let at = |x: f32, y: f32, right: f32, bottom: f32| [x, y, right, bottom];
        let place = at(x as f32, y as f32, (x + w) as f32, (y + h) as f32);
        assert!(near(place, at(box_.x, box_.y, box_.right(), box_.bottom()), 0.51), "{context}");
        assert_eq!(meta.parent_id(), object.parent.map_or(-1, |id| id as i32), "{context}");
        let detection = meta.param("detection").unwrap_or_else(|| panic!("{context}"));
        assert_eq!(detection.get::<f64>("confidence"), Ok(0.75), "{context}");
        assert!((detection.get::<f64>("x_min").unwrap() - f64::from(object.rect.x)).abs() < 1e-6, "{context}");
        assert_eq!(meta.param("keypoints").is_some(), object.keypoints.is_some(), "{context}");
    }
    if objects.is_empty() { "nothing" } else { "all" }
}

/// GStreamer moves other vendors' metas. They are read as it leaves them.
fn left_of_others(what: &str, buffer: &gst::Buffer, picture: &Rgb, tiles: &[Edges]) -> &'static str {
    let visible: Vec<_> = tiles.iter().filter_map(|tile| FACE.seen(picture, *tile)).collect();
    let metas = buffer.iter_meta::<VideoRegionOfInterestMeta>();
    let faces: Vec<_> = metas.filter(|meta| meta.roi_type() == FACE.name).collect();
    let read = meta::read(buffer, picture.width, picture.height);
    let read = read.objects.iter().filter(|object| &*object.label == FACE.name).count();
    assert_eq!(read, faces.len(), "{what}: others' objects are read once each: {faces:?}");
    let is_right = |(x, y, w, h): (u32, u32, u32, u32)| {
        // `compositor` writes negative positions, and boxes that extend beyond the frame.
        let (x, y) = (x.cast_signed() as f32, y.cast_signed() as f32);
        let (right, bottom) = ((x + w as f32).min(picture.width as f32), (y + h as f32).min(picture.height as f32));
        let place = [x.max(0.0), y.max(0.0), right, bottom];
        visible.iter().any(|seen| near(place, *seen, ROI_TOLERANCE))
    };
    match &faces[..] {
        [] => "lost",
        [face, ..] if faces.iter().all(|face| is_right(face.rect())) => {
            assert_eq!(faces.len(), visible.len(), "{what}: {faces:?}");
            if face.params().next().is_some() { "kept" } else { "moved" }
        }
        _ => "wrong",
    }
}

/// A row of the table: the element with its settings, and what it is in a pipeline.
struct Row {
    name: &'static str,
    chain: &'static str,
    /// The parts of the output in which to look, if there are several.
    tiles: &'static [Edges],
}

const fn row(name: &'static str, chain: &'static str) -> Row {
    Row { name, chain, tiles: &[] }
}

const COMPOSED: &str = "video/x-raw,format=RGB,width=640,height=480,pixel-aspect-ratio=1/1";

/// The rows in the order of the table. `COMPOSED` stands for caps; a chain with `sink` is a whole pipeline.
const ROWS: &[Row] = &[
    row("`tee ! queue`", "tee ! queue"),
    row("`videorate`", "videorate ! video/x-raw,framerate=50/1"),
    row("`videoconvert`", "videoconvert ! video/x-raw,format=NV12"),
    row("`videoscale`, smaller", "videoscale ! video/x-raw,width=160,height=120"),
    row("`videoscale`, larger", "videoscale ! video/x-raw,width=1280,height=960"),
    row("`videoscale` to another size, `pixel-aspect-ratio` open", "videoscale ! video/x-raw,width=200,height=180"),
    row(
        "`videoscale` with borders above and below",
        "videoscale ! video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1",
    ),
    row(
        "`videoscale` with borders at the sides",
        "videoscale ! video/x-raw,width=640,height=240,pixel-aspect-ratio=1/1",
    ),
    row(
        "`videoscale add-borders=false` to another shape",
        "videoscale add-borders=false ! video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1",
    ),
    row(
        "`videoconvertscale` with borders",
        "videoconvertscale ! video/x-raw,format=I420,width=480,height=480,pixel-aspect-ratio=1/1",
    ),
    row("`videoflip video-direction=identity`", "videoflip video-direction=identity"),
    row("`videoflip video-direction=90r`", "videoflip video-direction=90r"),
    row("`videoflip video-direction=180`", "videoflip video-direction=180"),
    row("`videoflip video-direction=90l`", "videoflip video-direction=90l"),
    row("`videoflip video-direction=horiz`", "videoflip video-direction=horiz"),
    row("`videoflip video-direction=vert`", "videoflip video-direction=vert"),
    row("`videoflip video-direction=ul-lr`", "videoflip video-direction=ul-lr"),
    row("`videoflip video-direction=ur-ll`", "videoflip video-direction=ur-ll"),
    row(
        "`videoflip video-direction=auto`, a picture tagged `rotate-90`",
        "taginject tags=image-orientation=rotate-90 ! videoflip video-direction=auto",
    ),
    row("`videocrop`, all objects left", "videocrop left=20 top=0 right=8 bottom=20"),
    row("`videocrop` through objects", "videocrop left=70 top=100"),
    row("`videocrop`, some objects gone", "videocrop left=160"),
    row("`aspectratiocrop`", "video/x-raw,width=320,height=240 ! aspectratiocrop aspect-ratio=5/4 ! video/x-raw"),
    row("`videobox` that crops", "videobox left=70 top=20"),
    row("`videobox` that adds borders", "videobox left=-40 top=-20 right=-8 bottom=-4"),
    row("`videobox` that does both", "videobox left=70 right=-40 bottom=-10"),
    row(
        "`compositor`, one picture that fills the frame",
        "appsrc name=s0 format=time ! compositor ! video/x-raw,format=RGB,width=320,height=240 ! appsink name=sink sync=false",
    ),
    row(
        "`compositor`, one picture in a larger frame",
        "appsrc name=s0 format=time ! compositor sink_0::xpos=100 sink_0::ypos=50 ! COMPOSED ! appsink name=sink sync=false",
    ),
    row(
        "`compositor` that scales",
        "appsrc name=s0 format=time ! compositor sink_0::xpos=10 sink_0::width=480 sink_0::height=360 ! COMPOSED ! appsink name=sink sync=false",
    ),
    row(
        "`compositor sink_0::sizing-policy=keep-aspect-ratio`",
        "appsrc name=s0 format=time ! compositor sink_0::width=640 sink_0::height=240 sink_0::sizing-policy=keep-aspect-ratio ! COMPOSED ! appsink name=sink sync=false",
    ),
    row(
        "`compositor`, the picture partly outside",
        "appsrc name=s0 format=time ! compositor sink_0::xpos=-70 sink_0::ypos=300 ! COMPOSED ! appsink name=sink sync=false",
    ),
    Row {
        name: "`compositor` of two pictures",
        chain: "appsrc name=s0 format=time ! compositor name=c sink_1::xpos=320 sink_1::ypos=100 ! COMPOSED ! appsink name=sink sync=false \
                appsrc name=s1 format=time ! c.sink_1",
        tiles: &[[0.0, 0.0, 320.0, 240.0], [320.0, 100.0, 640.0, 340.0]],
    },
    row(
        "`videoscale ! videoflip ! videocrop`",
        "videoscale ! video/x-raw,width=640,height=480 ! videoflip video-direction=90r ! videocrop top=70 left=20",
    ),
    row("`videocrop ! videocrop`", "videocrop left=30 ! videocrop left=40 top=20"),
    row("`videocrop ! videobox`", "videocrop left=70 ! videobox left=-70 right=-10"),
];

impl Row {
    fn launch(&self) -> String {
        if self.chain.contains("appsink") {
            return self.chain.replace("COMPOSED", COMPOSED);
        }
        format!("appsrc name=s0 format=time ! {} ! appsink name=sink sync=false", self.chain)
    }

    fn left(&self) -> String {
        let frames = through(&self.launch());
        let left: Vec<_> = frames.iter().map(|(buffer, info)| left_in(self.name, buffer, info, self.tiles)).collect();
        assert!(left.iter().all(|other| *other == left[0]), "{}: frames differ: {left:?}", self.name);
        format!("{} / {}", left[0].ours, left[0].others)
    }
}

/// The first cells of the table.
const HEADER: &str = "| behind | 1.22 |";

fn path() -> PathBuf {
    find::root().join("docs/interop.md")
}

/// The cells of the table's rows, the header first.
fn table(document: &str) -> Vec<Vec<String>> {
    let rows = document.lines().skip_while(|line| !line.starts_with(HEADER)).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.filter(|row| !row.starts_with("|-")).map(cells).collect()
}

/// The column of this GStreamer: the last that isn't of a later version.
fn column(header: &[String]) -> usize {
    let (major, minor, ..) = gst::version();
    let of = |name: &String| name.split_once('.').map(|(a, b)| (a.parse::<u32>().unwrap(), b.parse::<u32>().unwrap()));
    header.iter().rposition(|name| of(name).is_some_and(|version| version <= (major, minor))).unwrap()
}

/// The document with the rows of now, and with this column in them.
fn updated(document: &str, column: usize, left: &[String]) -> String {
    let table = table(document);
    let rows = ROWS.iter().zip(left).map(|(row, left)| {
        let there = table.iter().find(|cells| cells[0] == row.name).cloned();
        let mut cells = there.unwrap_or_else(|| vec!["?".to_owned(); table[0].len()]);
        cells[0] = row.name.to_owned();
        cells[column] = left.clone();
        format!("| {} |", cells.join(" | "))
    });
    let (mut lines, mut rest) = (Vec::new(), document.lines().map(str::to_owned));
    lines.extend(rest.by_ref().take_while(|line| !line.starts_with(HEADER)));
    lines.push(format!("| {} |", table[0].join(" | ")));
    lines.extend(rest.next());
    lines.extend(rows);
    lines.extend(rest.skip_while(|line| line.starts_with('|')));
    lines.join("\n") + "\n"
}

#[test]
fn objects_are_where_their_pixels_are_or_nowhere() {
    register();
    let document = std::fs::read_to_string(path()).unwrap();
    let table = table(&document);
    let column = column(&table[0]);
    let left: Vec<_> = ROWS.iter().map(Row::left).collect();
    for (row, left) in ROWS.iter().zip(&left) {
        println!("{}: {:70} {left}", table[0][column], row.name);
    }
    if std::env::var_os("UPDATE_SURVIVAL").is_some() {
        return std::fs::write(path(), updated(&document, column, &left)).unwrap();
    }
    let documented: Vec<_> = table[1..].iter().map(|cells| (&*cells[0], &*cells[column])).collect();
    let found: Vec<_> = ROWS.iter().zip(&left).map(|(row, left)| (row.name, &**left)).collect();
    assert_eq!(found, documented, "docs/interop.md; UPDATE_SURVIVAL=1 writes the column of {}", table[0][column]);
}
