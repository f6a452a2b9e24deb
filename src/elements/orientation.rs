//! The orientation in which a stream's pictures must be shown.

use super::upstream;
use gst::prelude::*;
use parking_lot::Mutex;

/// The value for pictures that need no rotation.
const UPRIGHT: &str = "rotate-0";

/// The last value of the stream's tag `image-orientation`.
#[derive(Debug, Default)]
pub struct Orientation(Mutex<Option<String>>);

impl Orientation {
    /// Records a stream's tags. Returns the required rotation if there is one and it has changed.
    pub fn tagged(&self, tags: &gst::TagListRef) -> Option<String> {
        let told = tags.get::<gst::tags::ImageOrientation>()?.get().to_owned();
        let before = self.0.lock().replace(told.clone());
        (told != UPRIGHT && before.as_ref() != Some(&told)).then_some(told)
    }

    /// Like [`Self::tagged`] for the stream that arrives at `sink`, unless an upstream element rotates the pictures.
    /// Rotating elements of GStreamer 1.22 leave the tag unchanged.
    pub fn unturned(&self, sink: &gst::Pad, tags: &gst::TagListRef) -> Option<String> {
        let told = self.tagged(tags)?;
        (!upstream::pads(sink).any(|(_, element)| turns(&element))).then_some(told)
    }

    /// Forgets the stream.
    pub fn reset(&self) {
        *self.0.lock() = None;
    }
}

/// True if an element rotates pictures, by their tag or by its own setting.
fn turns(element: &gst::Element) -> bool {
    let property =
        element.find_property("video-direction").is_some().then(|| element.property_value("video-direction"));
    let value = property.and_then(|value| value.get::<gst_video::VideoOrientationMethod>().ok());
    value.is_some_and(|value| value != gst_video::VideoOrientationMethod::Identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_turning_is_news_once() {
        gst::init().unwrap();
        let orientation = Orientation::default();
        let told = |way: &str| {
            let mut tags = gst::TagList::new();
            tags.make_mut().add::<gst::tags::ImageOrientation>(&way, gst::TagMergeMode::Replace);
            orientation.tagged(&tags)
        };
        assert_eq!(orientation.tagged(&gst::TagList::new()), None);
        assert_eq!(told("rotate-0"), None);
        assert_eq!(told("rotate-90").as_deref(), Some("rotate-90"));
        assert_eq!(told("rotate-90"), None);
        assert_eq!(told("flip-rotate-0").as_deref(), Some("flip-rotate-0"));
        assert_eq!(told("rotate-0"), None);
        assert_eq!(told("rotate-90").as_deref(), Some("rotate-90"), "turned again");
        orientation.reset();
        assert_eq!(told("rotate-90").as_deref(), Some("rotate-90"), "another stream");
    }
}
