//! The elements upstream of a pad, nearest first, as long as the path is unambiguous.

use gst::prelude::*;

/// The source pads on the path to `sink`, with their elements: those inside bins, not the bins.
pub fn pads(sink: &gst::Pad) -> impl Iterator<Item = (gst::Pad, gst::Element)> {
    std::iter::successors(before(sink), |(_, element)| match element.sink_pads().as_slice() {
        [only] => before(only),
        _ => None,
    })
}

fn before(sink: &gst::Pad) -> Option<(gst::Pad, gst::Element)> {
    let mut source = sink.peer()?;
    loop {
        if let Some(ghost) = source.downcast_ref::<gst::GhostPad>() {
            // Into a bin.
            source = ghost.target()?;
        } else if let Some(ghost) = source.parent().and_downcast::<gst::GhostPad>() {
            // Out of a bin.
            source = ghost.peer()?;
        } else {
            let element = source.parent_element()?;
            return Some((source, element));
        }
    }
}

/// True if the element's classification contains this word.
pub fn is_a(element: &gst::Element, kind: &str) -> bool {
    element.metadata(gst::ELEMENT_METADATA_KLASS).is_some_and(|klass| klass.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_goes_through_bins_and_ends_where_ways_meet() {
        gst::init().unwrap();
        let launch = "videotestsrc name=a ! identity name=b ! bin.( identity name=c ! queue name=d ) ! tee name=e ! \
                      funnel name=f ! identity name=g ! fakesink name=h";
        let launch = launch.replace("bin.(", "(");
        let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Bin>().unwrap();
        let way = |name: &str| {
            let sink = pipeline.by_name(name).unwrap().static_pad("sink").unwrap();
            pads(&sink).map(|(_, element)| element.name().to_string()).collect::<String>()
        };
        assert_eq!(way("g"), "fedcba");
        assert_eq!(way("c"), "ba");
        assert!(is_a(&pipeline.by_name("d").unwrap(), "Generic"));
    }
}
