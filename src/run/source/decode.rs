//! From a coded stream to pictures: the parser, a queue, and the decoder behind it on its own thread.

use super::super::channel::Report;
use super::super::lifecycle::Event;
use super::super::setup::Decoder;
use super::SourceContext;
use super::gate::{Gate, Verdict};
use super::{orientation, running};
use crate::config::Codec;
use crate::elements::make;
use crate::error::{Error, ErrorKind};
use gst::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The name of the queue whose thread decodes.
pub const DECODER_QUEUE: &str = "coded";

/// How a stream is coded.
///
/// # Errors
/// Names the coding that can't be decoded.
pub fn codec(caps: &gst::CapsRef) -> Result<Codec, Error> {
    Codec::of(caps).map_err(|other| {
        let text =
            format!("the stream is {other}, and only H.264 and H.265 can be decoded: set the camera to one of them");
        Error::new(ErrorKind::Setting, text)
    })
}

/// Name of the element that decodes.
fn decoder_name(codec: Codec, decoder: Decoder) -> String {
    match decoder {
        Decoder::Cpu | Decoder::Upload(_) => codec.software_decoder(),
        Decoder::Gpu(device) => codec.gpu_decoder(device),
    }
}

/// Adds parser, queue and decoder to `bin`, in front of `pad`. Returns the pad that takes the coded stream. `paced`
/// streams play at the speed of their timestamps, others as they come.
///
/// # Errors
/// An element is missing.
pub fn add(
    bin: &gst::Bin,
    pad: &gst::GhostPad,
    codec: Codec,
    paced: bool,
    context: &SourceContext,
) -> Result<gst::Pad, Error> {
    let parse = make(&codec.parser(), "parse")?;
    let queue = make("queue", DECODER_QUEUE)?;
    queue.set_property("max-size-buffers", context.setup.coded_queue);
    queue.set_property("max-size-bytes", 0_u32);
    queue.set_property("max-size-time", 0_u64);
    let decode = decoder(codec, context.setup.decoder)?;
    if let Some(surfaces) = context.setup.surfaces
        // The property exists from GStreamer 1.24 on, in the GPU's decoders.
        && let Some(spec) = decode.find_property("num-output-surfaces")
        && spec.value_is_valid(&surfaces.to_value())
    {
        decode.set_property("num-output-surfaces", surfaces);
    }
    let pace = paced.then(|| make("clocksync", "pace")).transpose()?;
    let mut elements = vec![parse];
    elements.extend(pace.clone());
    elements.extend([queue.clone(), decode]);
    if !matches!(context.setup.decoder, Decoder::Gpu(_)) {
        // Converts pixel formats that models don't take, such as those with 10 bits; the others pass untouched.
        elements.push(make("videoconvert", "convert")?);
        // Files carry the orientation of their pictures, cameras don't.
        elements.extend(paced.then(orientation::turn).transpose()?);
    }
    if let Decoder::Upload(device) = context.setup.decoder {
        elements.push(upload(device)?);
    }
    tap(elements.first(), pace.as_ref(), codec, context);
    guard(&queue, paced, context);
    let into = |what: &str| Error::new(ErrorKind::Failed, format!("the decoder can't be {what}"));
    bin.add_many(&elements).map_err(|_| into("added"))?;
    gst::Element::link_many(&elements).map_err(|_| into("linked"))?;
    let end = elements.last().and_then(|last| last.static_pad("src")).ok_or_else(|| into("linked"))?;
    match pace {
        Some(pace) => {
            context.paced_start.hold(&pace, &queue, &end);
            expect(&pace, context);
            running::stamp(&end);
        }
        None => context.backlog.hold(&context.pictures, &queue, &end),
    }
    if paced && matches!(context.setup.decoder, Decoder::Gpu(_)) {
        orientation::warn(&end);
    }
    pad.set_target(Some(&end)).map_err(|_| into("linked"))?;
    for element in elements.iter().rev() {
        element.sync_state_with_parent().map_err(|_| into("started"))?;
    }
    elements.first().and_then(|first| first.static_pad("sink")).ok_or_else(|| into("linked"))
}

/// Gives what the camera sends to the recording of clips: a file's pictures when they are due.
fn tap(parse: Option<&gst::Element>, pace: Option<&gst::Element>, codec: Codec, context: &SourceContext) {
    let (Some(clips), Some(parse)) = (&context.clips, parse) else { return };
    if matches!(codec, Codec::H264 | Codec::H265) {
        // The description of the stream is in front of each key frame: a clip can begin with any.
        parse.set_property("config-interval", -1);
    }
    let Some(pad) = pace.unwrap_or(parse).static_pad("src") else { return };
    match pace {
        Some(_) => clips.tap(&pad, running::time_in_full),
        None => clips.tap(&pad, |_, timestamp| i64::try_from(timestamp.nseconds()).ok()),
    }
}

/// Loads the plugins with the parsers and decoders that a stream may need. A missing one is an error of the source that
/// needs it.
pub fn load(decoder: Decoder) {
    for codec in [Codec::H264, Codec::H265] {
        for name in [codec.parser(), decoder_name(codec, decoder)] {
            let _ = gst::ElementFactory::find(&name).map(|factory| factory.load());
        }
    }
}

/// Makes the element that copies pictures to a GPU.
pub fn upload(device: u32) -> Result<gst::Element, Error> {
    let upload = make("cudaupload", "upload")?;
    upload.set_property("cuda-device-id", i32::try_from(device).unwrap_or(-1));
    Ok(upload)
}

fn decoder(codec: Codec, decoder: Decoder) -> Result<gst::Element, Error> {
    let factory = decoder_name(codec, decoder);
    let made = make(&factory, "decoder");
    match decoder {
        Decoder::Cpu | Decoder::Upload(_) => made,
        Decoder::Gpu(device) => made.map_err(|_| {
            let text = format!(
                "NVDEC initialization failed: GStreamer has no {factory} here: GPU {device} has no decoder for it, its \
                 driver isn't loaded, or GStreamer's nvcodec plugin is missing (`gst-trt check` says which)"
            );
            Error::new(ErrorKind::Library, text)
        }),
    }
}

/// Records coded pictures as they arrive, and drops those that the decoder is too far behind for.
fn guard(queue: &gst::Element, paced: bool, context: &SourceContext) {
    let most = context.setup.coded_queue;
    let (gate, of) = (Gate::new(context.patience.key_frame()), queue.downgrade());
    let (context, said) = (context.clone(), AtomicBool::new(false));
    let Some(pad) = queue.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let (Some(buffer), Some(queue)) = (info.buffer(), of.upgrade()) else { return gst::PadProbeReturn::Ok };
        let shown = if paced { running::time(pad, buffer.pts()) } else { buffer.pts() };
        // A file's pictures that are decoded only as references for later ones come as fast as they are read, and wait
        // for space.
        let unseen = shown.is_none() && buffer.pts().is_some();
        let full = queue.property::<u32>("current-level-buffers") >= most && !unseen;
        let SourceContext { tracker, paced_start, patience, .. } = &context;
        let verdict = gate.judge(full, !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT), Instant::now());
        if let Verdict::NoKeyFrame(waited) = verdict {
            tracker.waits_for_key_frame();
            if waited >= patience.silence && !said.swap(true, Ordering::Relaxed) {
                say_no_key_frame(&context);
            }
        }
        if verdict != Verdict::Pass {
            if tracker.is_playing() {
                tracker.dropped("before the decoder");
            }
            paced_start.taken();
            return gst::PadProbeReturn::Handled;
        }
        tracker.arrived(shown);
        gst::PadProbeReturn::Ok
    });
}

/// A file's own times say when its next picture is due: until then its silence is explained.
fn expect(pace: &gst::Element, context: &SourceContext) {
    let Some(pad) = pace.static_pad("sink") else { return };
    let (tracker, of) = (context.tracker.clone(), pace.downgrade());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let wait = info.buffer().zip(of.upgrade()).and_then(|(buffer, pace)| {
            let time = running::time(pad, buffer.dts()).or_else(|| running::time(pad, buffer.pts()))?;
            let due = time.nseconds().saturating_add_signed(pace.property("ts-offset"));
            // While the decoder is being opened, pictures come as it takes them.
            pace.property::<bool>("sync").then_some(due.saturating_sub(pace.current_running_time()?.nseconds()))
        });
        tracker.due(Duration::from_nanos(wait.unwrap_or(0)));
        gst::PadProbeReturn::Ok
    });
}

/// Reports that the stream can't be decoded yet.
fn say_no_key_frame(context: &SourceContext) {
    let SourceContext { tracker, patience, reporter, .. } = context;
    let text = format!(
        "data comes, but no key frame for {:?}: set the camera's key frame interval (GOP) to a few seconds; after {:?} it is \
         decoded without one",
        patience.silence,
        patience.key_frame()
    );
    if tracker.tells_no_key_frame() {
        reporter.report(Report::Note(text.clone()));
    }
    reporter.event(Event::NoKeyFrame(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_recognised_from_what_the_camera_announces() {
        gst::init().unwrap();
        let rtp = |name: &str| gst::Caps::builder("application/x-rtp").field("encoding-name", name).build();
        assert_eq!(codec(&rtp("H264")).unwrap(), Codec::H264);
        assert_eq!(codec(&rtp("H265")).unwrap(), Codec::H265);
        assert_eq!(codec(&gst::Caps::new_empty_simple("video/x-h265")).unwrap(), Codec::H265);
        for (caps, named) in [(rtp("JPEG"), "JPEG"), (gst::Caps::new_empty(), "nothing")] {
            let error = codec(&caps).unwrap_err().message;
            assert!(error.contains(named) && error.contains("H.264 and H.265"), "{error}");
        }
    }

    #[test]
    fn each_device_has_decoders_of_its_own() {
        assert_eq!(decoder_name(Codec::H264, Decoder::Cpu), "avdec_h264");
        assert_eq!(decoder_name(Codec::H264, Decoder::Upload(0)), "avdec_h264");
        assert_eq!(decoder_name(Codec::H265, Decoder::Gpu(0)), "nvh265dec");
        assert_eq!(decoder_name(Codec::H264, Decoder::Gpu(2)), "nvh264device2dec");
    }
}
