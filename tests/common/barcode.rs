//! Pictures that show their own number as bars that survive lossy coding, so that a test can detect missing frames.

use gst::prelude::*;
use std::sync::LazyLock;

pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 240;
/// Size of every clip made here.
pub const FRAMES_PER_SECOND: u64 = 25;
/// Time from one picture to the next.
pub const PERIOD: std::time::Duration = std::time::Duration::from_millis(1000 / FRAMES_PER_SECOND);
/// Number of pictures in a clip; they are numbered from 0.
pub const PICTURES: u64 = 250;
/// Distance of key frames in pictures.
pub const KEY_DISTANCE: u64 = 10;

const BARS: usize = 20;
const BAR_WIDTH: usize = WIDTH / BARS;
const BITS: usize = 16;

/// The bars of a number, left to right: white, black, sixteen bits from the highest, parity, its opposite.
fn bars(number: u64) -> [bool; BARS] {
    let bit = |n: usize| number >> (BITS - 1 - n) & 1 == 1;
    let parity = number.count_ones() % 2 == 1;
    std::array::from_fn(|n| match n {
        0 => true,
        1 => false,
        n if n < 2 + BITS => bit(n - 2),
        n if n == 2 + BITS => parity,
        _ => !parity,
    })
}

/// An I420 picture of a number.
pub fn picture(number: u64) -> Vec<u8> {
    let row: Vec<u8> = bars(number)
        .into_iter()
        .flat_map(|white| std::iter::repeat_n(if white { 235 } else { 16 }, BAR_WIDTH))
        .collect();
    let mut data: Vec<u8> = std::iter::repeat_n(row, HEIGHT).flatten().collect();
    data.resize(WIDTH * HEIGHT * 3 / 2, 128);
    data
}

/// An I420 picture of a number with a red square in its top left quarter: what the test models find.
fn picture_with_object(number: u64) -> Vec<u8> {
    let mut data = picture(number);
    let mut fill = |plane: usize, size: usize, width: usize, value: u8| {
        (16 / size..96 / size).for_each(|row| data[plane + row * width..][32 / size..112 / size].fill(value));
    };
    let luma = WIDTH * HEIGHT;
    fill(0, 1, WIDTH, 63);
    fill(luma, 2, WIDTH / 2, 102);
    fill(luma + luma / 4, 2, WIDTH / 2, 240);
    data
}

/// The number in a decoded picture whose first plane is luma; `None` if its bars can't be read.
pub fn number(buffer: &gst::BufferRef, stride: usize) -> Option<u64> {
    let map = buffer.map_readable().ok()?;
    let row = map.get(HEIGHT / 2 * stride..)?;
    let white = |bar: usize| row.get(bar * BAR_WIDTH + BAR_WIDTH / 2).map(|luma| *luma > 126);
    let read = (0..BARS).map(white).collect::<Option<Vec<bool>>>()?;
    let number = read[2..2 + BITS].iter().fold(0, |number, bit| number << 1 | u64::from(*bit));
    (read == bars(number)).then_some(number)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
}

impl Codec {
    /// The name used in caps and names of elements.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }
}

/// [`PICTURES`] coded pictures without reordering; decoding can start at each [`KEY_DISTANCE`]th.
pub struct Clip {
    pub codec: Codec,
    pub units: Vec<gst::Buffer>,
}

/// A codec's clip, encoded once per process.
pub fn clip(codec: Codec) -> &'static Clip {
    static H264: LazyLock<Clip> = LazyLock::new(|| of(Codec::H264));
    static H265: LazyLock<Clip> = LazyLock::new(|| of(Codec::H265));
    fn of(codec: Codec) -> Clip {
        Clip { codec, units: encode(codec, KEY_DISTANCE) }
    }
    match codec {
        Codec::H264 => &H264,
        Codec::H265 => &H265,
    }
}

/// [`PICTURES`] coded pictures with the given distance of key frames.
pub fn encode(codec: Codec, key_distance: u64) -> Vec<gst::Buffer> {
    let encoder = match codec {
        // One slice per picture: a client that joins in the middle of a picture then misses all of it, not a part.
        Codec::H264 => format!(
            "x264enc tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast \
             key-int-max={key_distance} bitrate=300"
        ),
        // Without scene cuts key frames are at the expected positions.
        Codec::H265 => format!(
            "x265enc tune=zerolatency speed-preset=ultrafast bitrate=300 \
             option-string=keyint={key_distance}:min-keyint={key_distance}:scenecut=0:bframes=0:open-gop=0:log-level=0"
        ),
    };
    let name = codec.name();
    let units = encode_by(&encoder, name, picture);
    for (n, unit) in units.iter().enumerate() {
        let key = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        assert_eq!(key, (n as u64).is_multiple_of(key_distance), "{name}: key frames are where they are expected: {n}");
    }
    units
}

/// [`PICTURES`] pictures as an encoder codes them, in the order of decoding. `name` is the codec's.
fn encode_by(encoder: &str, name: &str, picture: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Vec<gst::Buffer> {
    let launch = format!(
        "appsrc name=source format=time caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},\
         framerate={FRAMES_PER_SECOND}/1 ! {encoder} ! {name}parse config-interval=-1 \
         ! video/x-{name},stream-format=byte-stream,alignment=au ! appsink name=sink sync=false"
    );
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let feeder = std::thread::spawn(move || {
        for n in 0..PICTURES {
            let mut buffer = gst::Buffer::from_mut_slice(picture(n));
            let writable = buffer.get_mut().unwrap();
            writable.set_pts(gst::ClockTime::from_nseconds(n * PERIOD.as_nanos() as u64));
            writable.set_duration(gst::ClockTime::from_nseconds(PERIOD.as_nanos() as u64));
            source.push_buffer(buffer).unwrap();
        }
        source.end_of_stream().unwrap();
    });
    let mut units = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
        units.push(sample.buffer_owned().unwrap());
    }
    feeder.join().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(units.len() as u64, PICTURES, "{name}: a picture is one unit");
    units
}

/// Writes [`PICTURES`] pictures, of which each third is decoded before the two that are shown before it, as an MP4 file.
pub fn write_reordered(path: &std::path::Path) {
    let encoder =
        format!("x264enc speed-preset=ultrafast bframes=2 b-adapt=false key-int-max={KEY_DISTANCE} bitrate=300");
    let units = encode_by(&encoder, Codec::H264.name(), picture);
    let is_reordered = units.windows(2).any(|pair| pair[0].pts() > pair[1].pts());
    assert!(is_reordered);
    write(Codec::H264, &format!(",framerate={FRAMES_PER_SECOND}/1"), "mp4mux", &units, path);
}

/// Writes [`PICTURES`] pictures, with a red square from this one on, as an MP4 file.
pub fn write_with_object(from: u64, path: &std::path::Path) {
    let encoder = format!("x264enc tune=zerolatency speed-preset=ultrafast key-int-max={KEY_DISTANCE} bitrate=1000");
    let picture = move |number| if number < from { picture(number) } else { picture_with_object(number) };
    let units = encode_by(&encoder, Codec::H264.name(), picture);
    write(Codec::H264, &format!(",framerate={FRAMES_PER_SECOND}/1"), "mp4mux", &units, path);
}

/// Writes a clip's first pictures as an MP4 file.
pub fn write_mp4(codec: Codec, pictures: u64, path: &std::path::Path) {
    let units: Vec<_> = clip(codec).units.iter().take(pictures as usize).cloned().collect();
    write(codec, &format!(",framerate={FRAMES_PER_SECOND}/1"), "mp4mux", &units, path);
}

/// Writes a clip's first pictures with the given timestamps, as a file of the muxer's format.
pub fn write_timed(codec: Codec, times: &[std::time::Duration], muxer: &str, path: &std::path::Path) {
    let timed = |(unit, time): (&gst::Buffer, &std::time::Duration)| {
        let mut unit = unit.copy();
        let (writable, time) = (unit.get_mut().unwrap(), gst::ClockTime::try_from(*time).unwrap());
        writable.set_pts(time);
        writable.set_dts(time);
        writable.set_duration(None);
        unit
    };
    let units: Vec<_> = clip(codec).units.iter().zip(times).map(timed).collect();
    write(codec, "", muxer, &units, path);
}

fn write(codec: Codec, rate: &str, muxer: &str, units: &[gst::Buffer], path: &std::path::Path) {
    let name = codec.name();
    let launch = format!(
        "appsrc name=source format=time caps=video/x-{name},stream-format=byte-stream,alignment=au,width={WIDTH},\
         height={HEIGHT}{rate} ! {name}parse ! {muxer} ! filesink name=file"
    );
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", path.to_str().unwrap());
    let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for unit in units {
        source.push_buffer(unit.copy()).unwrap();
    }
    source.end_of_stream().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}
