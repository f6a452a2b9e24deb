//! How a stream's pictures are to be turned before they are shown.

use crate::sync::lock;
use std::sync::Mutex;

/// How they come.
const UPRIGHT: &str = "rotate-0";

/// The value of the tag `image-orientation` that a stream had last.
#[derive(Debug, Default)]
pub struct Orientation(Mutex<Option<String>>);

impl Orientation {
    /// Takes note of a stream's tags. Returns how its pictures are to be turned, if they are and it's news.
    pub fn tagged(&self, tags: &gst::TagListRef) -> Option<String> {
        let told = tags.get::<gst::tags::ImageOrientation>()?.get().to_owned();
        let before = lock(&self.0).replace(told.clone());
        (told != UPRIGHT && before.as_ref() != Some(&told)).then_some(told)
    }

    /// Another stream follows.
    pub fn reset(&self) {
        *lock(&self.0) = None;
    }
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
