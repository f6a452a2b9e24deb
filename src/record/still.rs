//! Single frames as JPEG, for clients that look.

use super::session::{Event, Session, size};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::meta::Record;
use gst::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How a picture is made of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    /// Whether it shows what models have found.
    pub drawn: bool,
    /// The most pixels in a row: a wider frame is scaled down with its proportions.
    pub width: Option<u32>,
}

/// Makes pictures of frames, one after the other. Its pipeline stays until frames have another format.
#[derive(Debug)]
pub struct Stills {
    look: Look,
    open: Option<(Session, Receiver<Made>)>,
}

/// A picture, or what has failed.
type Made = Result<Vec<u8>, String>;

impl Stills {
    const QUALITY: u8 = 85;
    /// How long a picture may take.
    const LIMIT: Duration = Duration::from_secs(5);

    pub fn new(look: Look) -> Self {
        Self { look, open: None }
    }

    /// Makes a JPEG of a frame, which is in the memory of `gpu` or of the system. Blocks until it's there.
    ///
    /// # Errors
    /// An element is missing, or fails, or takes longer than five seconds.
    pub fn make(
        &mut self,
        frame: &gst::Buffer,
        caps: &gst::Caps,
        record: Arc<Record>,
        gpu: Option<u32>,
    ) -> Result<Vec<u8>, Error> {
        if self.open.as_ref().is_none_or(|(session, _)| session.caps() != caps) {
            self.open = None;
            self.open = Some(self.start(caps, gpu)?);
        }
        let made = self.open.as_ref().map(|(session, made)| {
            // The failing element has posted the reason before this.
            let pushed = session.push(frame, record).map_err(|flow| format!("the frame isn't taken: {flow}"));
            let silent = |_| "it takes too long".to_owned();
            pushed.and_then(|()| made.recv_timeout(Self::LIMIT).map_err(silent)?).or_else(|text| {
                // What was posted says more than the flow.
                made.try_iter().find_map(Result::err).map_or(Err(text), Err)
            })
        });
        let failed = |text: String| Error::new(ErrorKind::Failed, format!("the picture can't be made: {text}"));
        made.unwrap_or_else(|| Err("there is no pipeline".into())).map_err(|text| {
            self.open = None;
            failed(text)
        })
    }

    fn start(&self, caps: &gst::Caps, gpu: Option<u32>) -> Result<(Session, Receiver<Made>), Error> {
        let gpu = gpu.map(SharedContext::own).transpose()?;
        let (sender, receiver) = channel();
        let failures = sender.clone();
        let listen = move |event: Event<'_>| {
            if let Event::Failed(text) = event {
                // The request that waited for it may be gone.
                let _ = failures.send(Err(text.to_owned()));
            }
        };
        let elements = self.elements(size(caps));
        let session = Session::start(
            self.look.drawn,
            &elements,
            caps,
            gpu.as_ref(),
            |pipeline| connect(pipeline, sender),
            listen,
        )?;
        Ok((session, receiver))
    }

    /// The elements behind the overlay, for frames of this size.
    fn elements(&self, size: Option<(u32, u32)>) -> String {
        let scale = match (self.look.width, size) {
            (Some(width), Some((from, height))) if width < from => {
                // Of a block of 16 pixels that the frame's edge cuts, the encoder leaves the rest as it is in memory, and it shows.
                let width = if width < 16 { width } else { width / 16 * 16 };
                let height = (u64::from(height) * u64::from(width)).div_ceil(u64::from(from));
                // The formats that cameras send have colours for 2 x 2 pixels.
                let even = |pixels: u64| (pixels / 2 * 2).max(2);
                format!(
                    "videoscale add-borders=false ! video/x-raw,width={},height={} ! ",
                    even(width.into()),
                    even(height)
                )
            }
            _ => String::new(),
        };
        format!("{scale}{}", jpeg(Self::QUALITY))
    }
}

/// Elements that make JPEGs of any frames, for a sink named `jpeg`. The values of a JPEG have the full range, of video mostly not:
/// the encoder takes YCbCr as it comes, and only RGB is the same for both.
pub fn jpeg(quality: u8) -> String {
    format!(
        "videoconvert ! video/x-raw,format=RGB ! jpegenc quality={quality} ! fakesink name=jpeg sync=false async=false"
    )
}

/// Sends what comes out of the encoder.
fn connect(pipeline: &gst::Pipeline, sender: Sender<Made>) {
    let Some(pad) = pipeline.by_name("jpeg").and_then(|jpeg| jpeg.static_pad("sink")) else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let made = buffer.map_readable().map(|bytes| bytes.to_vec());
            let _ = sender.send(made.map_err(|_| "the encoder's memory can't be read".to_owned()));
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Object;
    use model::Rect;

    /// A grey frame with one object.
    fn frame(width: u32, height: u32) -> (gst::Buffer, gst::Caps, Arc<Record>) {
        gst::init().unwrap();
        crate::register_elements().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Nv12, width, height).build().unwrap();
        let buffer = gst::Buffer::from_slice(vec![128_u8; info.size()]);
        let mut record = Record::default();
        let rect = Rect { x: 0.25, y: 0.25, w: 0.5, h: 0.5 };
        record.push(Object { rect, label: "person".into(), confidence: 0.9, ..Object::default() });
        (buffer, info.to_caps().unwrap(), Arc::new(record))
    }

    /// Width, height and RGB of a JPEG.
    fn decoded(jpeg: Vec<u8>) -> (u32, u32, Vec<u8>) {
        let text = "appsrc name=in ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false";
        let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("in").unwrap();
        source.set_property("caps", gst::Caps::builder("image/jpeg").build());
        pipeline.set_state(gst::State::Playing).unwrap();
        let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&gst::Buffer::from_slice(jpeg)]);
        let sample = pipeline.by_name("out").unwrap().emit_by_name::<gst::Sample>("pull-sample", &[]);
        let (width, height) = size(sample.caps().unwrap()).unwrap();
        let pixels = sample.buffer().unwrap().map_readable().unwrap().to_vec();
        pipeline.set_state(gst::State::Null).unwrap();
        (width, height, pixels)
    }

    fn is_grey(pixels: &[u8]) -> bool {
        pixels.iter().all(|value| value.abs_diff(128) < 16)
    }

    #[test]
    fn pictures_are_drawn_or_plain_and_as_small_as_asked_for() {
        let (buffer, caps, record) = frame(320, 240);
        let mut drawn = Stills::new(Look { drawn: true, width: None });
        let (width, height, pixels) = decoded(drawn.make(&buffer, &caps, record.clone(), None).unwrap());
        assert_eq!((width, height), (320, 240));
        assert!(!is_grey(&pixels), "there is a box");
        // The same pipeline makes the next; another format needs another.
        drawn.make(&buffer, &caps, record.clone(), None).unwrap();
        let (small, small_caps, _) = frame(160, 120);
        assert_eq!(decoded(drawn.make(&small, &small_caps, record.clone(), None).unwrap()).0, 160);
        let mut plain = Stills::new(Look { drawn: false, width: Some(100) });
        let (width, height, pixels) = decoded(plain.make(&buffer, &caps, record.clone(), None).unwrap());
        assert_eq!((width, height), (96, 72));
        assert!(is_grey(&pixels));
        let mut wide = Stills::new(Look { drawn: false, width: Some(1000) });
        assert_eq!(decoded(wide.make(&buffer, &caps, record, None).unwrap()).0, 320, "nothing is scaled up");
    }

    /// Black and white of video are 16 and 235.
    #[test]
    fn black_is_black_and_white_is_white() {
        let (_, caps, record) = frame(320, 240);
        for (luma, expected) in [(16, 0), (235, 255)] {
            let mut bytes = vec![luma; 320 * 240];
            bytes.resize(320 * 240 * 3 / 2, 128);
            let mut stills = Stills::new(Look { drawn: false, width: None });
            let (.., pixels) =
                decoded(stills.make(&gst::Buffer::from_slice(bytes), &caps, record.clone(), None).unwrap());
            assert!(pixels.iter().all(|value| value.abs_diff(expected) <= 2), "{luma}: {:?}", &pixels[..3]);
        }
    }

    #[test]
    fn a_frame_that_cannot_be_drawn_says_why_and_the_next_can() {
        let (buffer, caps, record) = frame(320, 240);
        let mut stills = Stills::new(Look { drawn: true, width: None });
        let short = gst::Buffer::from_slice([0_u8; 16]);
        let error = stills.make(&short, &caps, record.clone(), None).unwrap_err();
        assert!(error.message.starts_with("the picture can't be made: "), "{error}");
        stills.make(&buffer, &caps, record, None).unwrap();
    }
}
