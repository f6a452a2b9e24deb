//! Files of numbered pictures in any codec and container, with the features that cameras, phones and editors write: edit
//! lists, orientations, timestamps with any start.

use super::barcode::{self, FRAMES_PER_SECOND, HEIGHT, PERIOD, WIDTH};
use gst::prelude::*;
use std::path::Path;

/// Encoders that reorder: groups of pictures are coded as I P B B P B B and start at every tenth picture.
pub const H264_REORDERED: &str = "x264enc speed-preset=ultrafast bframes=2 b-adapt=false key-int-max=10 bitrate=300 \
                                  option-string=scenecut=0:keyint=10:min-keyint=10:b-pyramid=none ! h264parse";
pub const H265_REORDERED: &str = "x265enc speed-preset=ultrafast bitrate=300 key-int-max=10 \
                                  option-string=keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:open-gop=0:log-level=0 \
                                  ! h265parse";
/// Encoders that don't reorder.
pub const H264_IN_ORDER: &str = "x264enc speed-preset=ultrafast tune=zerolatency sliced-threads=false threads=1 \
                                 key-int-max=10 bitrate=300 ! h264parse";
pub const H265_IN_ORDER: &str = "x265enc speed-preset=ultrafast tune=zerolatency bitrate=300 key-int-max=10 \
                                 option-string=keyint=10:min-keyint=10:scenecut=0:bframes=0:open-gop=0:log-level=0 ! h265parse";

/// Encodes `pictures` numbered pictures with these elements. `timed`: the encoder knows the frame rate, which it writes into
/// the stream.
pub fn write(path: &Path, pictures: u64, timed: bool, elements: &str) {
    let rate = if timed { FRAMES_PER_SECOND } else { 0 };
    let caps = format!("video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={rate}/1");
    let launch = format!("appsrc name=source format=time caps={caps} ! {elements} ! filesink name=file");
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", path.to_str().unwrap());
    let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for n in 0..pictures {
        let mut buffer = gst::Buffer::from_mut_slice(barcode::picture(n));
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(gst::ClockTime::from_nseconds(n * PERIOD.as_nanos() as u64));
        writable.set_duration(gst::ClockTime::from_nseconds(PERIOD.as_nanos() as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    finish(&pipeline, elements);
}

/// Runs a pipeline that ends by itself, such as one that writes a file.
pub fn run(launch: &str) {
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    finish(&pipeline, launch);
}

fn finish(pipeline: &gst::Pipeline, what: &str) {
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{what}: {end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// An entry of an edit list, in pictures: how many are shown, and the first one; `None`: an empty edit of that length.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    pub pictures: u64,
    pub from: Option<u64>,
}

/// Replaces the edit list of an MP4 file with a single track and its index at the end, as mp4mux writes it.
pub fn set_edits(path: &Path, edits: &[Edit]) {
    let mut file = std::fs::read(path).unwrap();
    let moov = find(&file, 0..file.len(), b"moov");
    let trak = find(&file, inside(&file, moov), b"trak");
    let edts = find(&file, inside(&file, trak), b"edts");
    let elst = find(&file, inside(&file, edts), b"elst");
    let mdia = find(&file, inside(&file, trak), b"mdia");
    let scale = |file: &[u8], header: usize| u64::from(number(file, header + 20));
    let movie = scale(&file, find(&file, inside(&file, moov), b"mvhd"));
    let media = scale(&file, find(&file, inside(&file, mdia), b"mdhd"));
    // The media time of the single entry that mp4mux writes: the first picture.
    let first = u64::from(number(&file, elst + 20));
    let mut list = vec![];
    list.extend_from_slice(&0_u32.to_be_bytes());
    list.extend_from_slice(&(edits.len() as u32).to_be_bytes());
    for edit in edits {
        let from = edit.from.map_or(u32::MAX, |n| (first + n * media / FRAMES_PER_SECOND) as u32);
        list.extend_from_slice(&((edit.pictures * movie / FRAMES_PER_SECOND) as u32).to_be_bytes());
        list.extend_from_slice(&from.to_be_bytes());
        list.extend_from_slice(&0x0001_0000_u32.to_be_bytes());
    }
    let before = inside(&file, elst);
    let more = list.len() as i64 - before.len() as i64;
    file.splice(before, list);
    for parent in [moov, trak, edts, elst] {
        let size = i64::from(number(&file, parent)) + more;
        file[parent..parent + 4].copy_from_slice(&(size as u32).to_be_bytes());
    }
    std::fs::write(path, file).unwrap();
}

/// A player's rotation: the four numbers of the matrix in an MP4 track.
pub fn set_orientation(path: &Path, matrix: [i32; 4]) {
    let mut file = std::fs::read(path).unwrap();
    let moov = find(&file, 0..file.len(), b"moov");
    let trak = find(&file, inside(&file, moov), b"trak");
    let tkhd = find(&file, inside(&file, trak), b"tkhd");
    // a b u c d v x y w, after header, times, track number, duration, layer and volume.
    for (place, value) in [0, 4, 12, 16].into_iter().zip(matrix) {
        let at = tkhd + 48 + place;
        file[at..at + 4].copy_from_slice(&(value << 16).to_be_bytes());
    }
    std::fs::write(path, file).unwrap();
}

/// The position of the box of this kind among those in `range`.
fn find(file: &[u8], range: std::ops::Range<usize>, kind: &[u8; 4]) -> usize {
    let mut at = range.start;
    while at < range.end {
        if &file[at + 4..at + 8] == kind {
            return at;
        }
        at += number(file, at) as usize;
    }
    panic!("no {}", String::from_utf8_lossy(kind));
}

fn inside(file: &[u8], at: usize) -> std::ops::Range<usize> {
    at + 8..at + number(file, at) as usize
}

fn number(file: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(file[at..at + 4].try_into().unwrap())
}

/// Adds `ticks` of 90 kHz to all timestamps of an MPEG transport stream; they wrap at 33 bits.
pub fn shift_transport_stream(path: &Path, ticks: u64) {
    const PACKET: usize = 188;
    let shifted = |time: u64| (time + ticks) & 0x1_ffff_ffff;
    let mut file = std::fs::read(path).unwrap();
    for packet in file.chunks_exact_mut(PACKET) {
        assert_eq!(packet[0], 0x47);
        let (begins, adaptation) = (packet[1] & 0x40 != 0, packet[3] & 0x20 != 0);
        let mut payload = 4;
        if adaptation {
            payload += 1 + packet[4] as usize;
            if packet[4] >= 7 && packet[5] & 0x10 != 0 {
                let pcr = packet[6..11].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) >> 7;
                let rest = packet[10] & 0x7f;
                let bytes = (shifted(pcr) << 7).to_be_bytes();
                packet[6..11].copy_from_slice(&bytes[3..]);
                packet[10] |= rest;
            }
        }
        if !begins || packet.get(payload..payload + 3) != Some(&[0, 0, 1]) {
            continue;
        }
        // PTS, then DTS, each in five bytes with marker bits.
        let times = usize::from(packet[payload + 7] >> 7) + usize::from(packet[payload + 7] >> 6 & 1);
        for at in (0..times).map(|n| payload + 9 + 5 * n) {
            let bytes = &mut packet[at..at + 5];
            let parts = [u64::from(bytes[0] >> 1 & 7), u64::from(bytes[1]) << 7 | u64::from(bytes[2] >> 1)];
            let time = shifted(parts[0] << 30 | parts[1] << 15 | u64::from(bytes[3]) << 7 | u64::from(bytes[4] >> 1));
            bytes[0] = (bytes[0] & 0xf1) | ((time >> 30 & 7) as u8 * 2);
            bytes[1] = (time >> 22) as u8;
            bytes[2] = (time >> 14) as u8 & 0xfe | 1;
            bytes[3] = (time >> 7) as u8;
            bytes[4] = ((time & 0x7f) as u8) << 1 | 1;
        }
    }
    std::fs::write(path, file).unwrap();
}
