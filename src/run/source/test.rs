//! A test picture in place of a camera.

use super::super::setup::TestSource;
use super::SourceContext;
use super::decode::upload;
use crate::elements::make;
use crate::error::{Error, ErrorKind};
use gst::prelude::*;

/// Fills `bin` with a live test source. Its timestamps begin at the pipeline's `running` time.
pub fn fill(
    bin: &gst::Bin,
    pad: &gst::GhostPad,
    source: &TestSource,
    context: &SourceContext,
    running: gst::ClockTime,
) -> Result<(), Error> {
    let pictures = make("videotestsrc", "client")?;
    pictures.set_property("is-live", true);
    pictures.set_property("timestamp-offset", i64::try_from(running.nseconds()).unwrap_or(0));
    let wrong = |spec: gst::glib::ParamSpec| {
        gst::glib::Value::deserialize_with_pspec(&source.pattern, &spec)
            .map_err(|_| Error::new(ErrorKind::Setting, format!("videotestsrc has no pattern {}", source.pattern)))
    };
    if let Some(spec) = pictures.find_property("pattern") {
        pictures.set_property_from_value("pattern", &wrong(spec)?);
    }
    let filter = make("capsfilter", "filter")?;
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Nv12);
    filter.set_property("caps", caps.width(source.width).height(source.height).framerate(source.rate).build());
    let mut elements = vec![pictures, filter];
    if let Some(device) = context.setup.decoder.gpu() {
        elements.push(upload(device)?);
    }
    let failed = || Error::new(ErrorKind::Failed, "the test source can't be linked");
    bin.add_many(&elements).map_err(|_| failed())?;
    gst::Element::link_many(&elements).map_err(|_| failed())?;
    let end = elements.last().and_then(|last| last.static_pad("src")).ok_or_else(failed)?;
    pad.set_target(Some(&end)).map_err(|_| failed())
}
