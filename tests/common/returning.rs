//! People of one colour each who come, leave and come back, through `trttrack`: by their places alone, and with a model that tells
//! colours.

use super::running::{PERIOD, Running, pull};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::meta::{self, Inference, ModelRun, Object, Record};
use model::Rect;
use std::sync::Arc;

const SIZE: (u32, u32) = (320, 240);
pub const FRAMES: usize = 100;

/// In which frames a person is there, and where: in fractions of the frame's width.
struct Stay {
    colour: [u8; 3],
    frames: std::ops::Range<usize>,
    x: f32,
}

/// Red is there, away for 60 frames, and back elsewhere; blue comes meanwhile, and stands where red was.
const STAYS: [Stay; 3] = [
    Stay { colour: [200, 0, 0], frames: 0..20, x: 0.2 },
    Stay { colour: [0, 0, 200], frames: 30..FRAMES, x: 0.2 },
    Stay { colour: [200, 0, 0], frames: 80..FRAMES, x: 0.6 },
];

fn place(stay: &Stay) -> Rect {
    Rect::new(stay.x, 0.3, 0.1, 0.4)
}

fn present(frame: usize) -> impl Iterator<Item = &'static Stay> {
    STAYS.iter().filter(move |stay| stay.frames.contains(&frame))
}

fn record(frame: usize) -> Arc<Record> {
    let models = vec![ModelRun { model_id: "det".into(), inference: Inference::Done }];
    let mut record = Record { models, ..Record::default() };
    record.extend(present(frame).map(|stay| Object {
        rect: place(stay),
        class_id: Some(0),
        label: "person".into(),
        confidence: 0.9,
        source: "det".into(),
        ..Object::default()
    }));
    Arc::new(record)
}

fn picture(frame: usize) -> gst::Buffer {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let mut pixels = vec![0; 4 * width * height];
    for stay in present(frame) {
        let Rect { x, y, w, h } = place(stay).scaled(width as f32, height as f32);
        for row in y as usize..(y + h) as usize {
            for column in x as usize..(x + w) as usize {
                pixels[4 * (row * width + column)..][..3].copy_from_slice(&stay.colour);
            }
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    buffer.get_mut().unwrap().set_pts(PERIOD * frame as u64);
    buffer
}

/// The ids of red before and after, and of blue, and how many objects were looked at.
#[derive(Debug)]
pub struct Ids {
    pub before: u64,
    pub after: u64,
    pub blue: u64,
    pub embedded: u64,
}

/// Sends them through `tracker`, which may have elements around it.
pub fn through(tracker: &str) -> Ids {
    let p = Running::new(&format!("appsrc name=in format=time ! {tracker} ! appsink name=out sync=false"));
    let element = p.element("tracker");
    let sink = element.static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let frame = buffer.pts().unwrap().nseconds() / PERIOD.nseconds();
            meta::set_record_alone(buffer.make_mut(), record(frame as usize), SIZE.0, SIZE.1);
        }
        gst::PadProbeReturn::Ok
    });
    let source = p.source("in");
    let info = VideoInfo::builder(VideoFormat::Rgba, SIZE.0, SIZE.1).fps((25, 1)).build().unwrap();
    source.set_caps(Some(&info.to_caps().unwrap()));
    p.set_state(gst::State::Playing);
    for frame in 0..FRAMES {
        source.push_buffer(picture(frame)).unwrap();
    }
    source.end_of_stream().unwrap();
    let out = p.sink("out");
    let mut seen: [Vec<u64>; 3] = Default::default();
    for frame in 0..FRAMES {
        let buffer = pull(&out).unwrap_or_else(|| panic!("frame {frame} is missing"));
        let found = meta::record(&buffer).unwrap();
        for (ids, stay) in seen.iter_mut().zip(&STAYS).filter(|(_, stay)| stay.frames.contains(&frame)) {
            let object = found.objects.iter().find(|object| object.rect == place(stay)).unwrap();
            ids.extend(object.track_id);
        }
    }
    for (ids, stay) in seen.iter().zip(&STAYS) {
        assert_eq!(ids.len(), stay.frames.len());
        assert!(ids.iter().all(|id| *id == ids[0]), "an id stays while the person is there: {ids:?}");
    }
    let stats: gst::Structure = element.property("stats");
    let embedded = stats.get("objects-embedded").unwrap();
    Ids { before: seen[0][0], after: seen[2][0], blue: seen[1][0], embedded }
}

/// Compares ids with and without `reid`, whose properties these are.
pub fn check(reid: &str, around: impl Fn(&str) -> String) {
    let ids = |properties: &str| through(&around(&format!("trttrack name=tracker max-age=5 {properties}")));
    let all_differ = |ids: &Ids| ids.before != ids.after && ids.before != ids.blue && ids.after != ids.blue;
    let places = ids("");
    assert!(all_differ(&places) && places.embedded == 0, "{places:?}");
    for algorithm in ["bytetrack", "oc-sort", "bot-sort"] {
        let looks = ids(&format!("{reid} algorithm={algorithm}"));
        assert!(looks.before == looks.after && looks.before != looks.blue, "{algorithm}: {looks:?}");
        // New ones, and each once a second.
        assert!((3..20).contains(&looks.embedded), "{algorithm}: {looks:?}");
    }
    let forgotten = ids(&format!("{reid} reid-max-age=1000000000"));
    assert!(all_differ(&forgotten), "{forgotten:?}");
    let strict = ids(&format!("{reid} reid-distance=0 reid-interval=0"));
    assert!(strict.blue != strict.before, "{strict:?}");
    assert_eq!(strict.embedded, 110, "each object of each frame");
}
