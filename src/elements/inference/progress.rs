//! Reports the building of an engine as PROGRESS messages.

use crate::infer::BuildWatch;
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The code of the messages.
const CODE: &str = "build-engine";

/// Reports one opening of a model. Nothing is posted unless an engine is built.
pub struct Progress(Arc<Shared>);

struct Shared {
    element: glib::WeakRef<gst::Element>,
    model: String,
    watch: BuildWatch,
    /// The last posted percentage; `None` before the first message.
    told: Mutex<Option<u32>>,
}

/// The outcome of the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    Failed,
}

impl Progress {
    pub fn new(element: &impl IsA<gst::Element>, model: &str) -> Self {
        let (element, model) = (element.upcast_ref::<gst::Element>().downgrade(), model.to_owned());
        Self(Arc::new(Shared { element, model, watch: BuildWatch::default(), told: Mutex::default() }))
    }

    /// The callbacks for the builder. Setting `cancel` ends the build.
    pub fn watch(&self) -> BuildWatch {
        let (shared, noting) = (Arc::clone(&self.0), Arc::clone(&self.0));
        BuildWatch {
            on_progress: Some(Arc::new(move |what, fraction| shared.advance(what, fraction))),
            on_note: Some(Arc::new(move |text| noting.note(text))),
            ..self.0.watch.clone()
        }
    }

    /// Posts the last message, if any message was posted.
    pub fn finish(self, outcome: Outcome) {
        let shared = &*self.0;
        if shared.told.lock().is_none() {
            return;
        }
        let model = &shared.model;
        let (kind, text) = match outcome {
            Outcome::Complete => (gst::ProgressType::Complete, format!("{model}: the TensorRT engine is ready")),
            Outcome::Failed if shared.watch.cancel.load(Ordering::Relaxed) => {
                (gst::ProgressType::Canceled, format!("{model}: building the TensorRT engine was cancelled"))
            }
            Outcome::Failed => (gst::ProgressType::Error, format!("{model}: building the TensorRT engine failed")),
        };
        shared.post(kind, &text, None);
    }
}

impl Shared {
    fn advance(&self, what: &str, fraction: f32) {
        let percent = (fraction.clamp(0.0, 1.0) * 100.0) as u32;
        let before = {
            let mut told = self.told.lock();
            let before = *told;
            if before.is_some_and(|before| percent <= before) {
                return;
            }
            *told = Some(percent);
            before
        };
        let model = &self.model;
        if before.is_none() {
            let text = format!("{model}: building the TensorRT engine ({what})");
            self.post(gst::ProgressType::Start, &text, Some(percent));
        }
        if percent > 0 {
            self.post(gst::ProgressType::Continue, &format!("{model}: {percent} % ({what})"), Some(percent));
        }
    }

    fn note(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            gst::element_warning!(element, gst::LibraryError::Settings, ("{text}"));
        }
    }

    fn post(&self, kind: gst::ProgressType, text: &str, percent: Option<u32>) {
        let Some(element) = self.element.upgrade() else { return };
        let mut message = gst::message::Progress::builder(kind, CODE, text).src(&element);
        if let Some(percent) = percent {
            message = message.other_field("percent", percent);
        }
        // This fails only without a bus, and then there is no listener.
        let _ = element.post_message(message.build());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// The posted messages: type, text and percentage.
    fn messages(bus: &gst::Bus) -> Vec<(gst::ProgressType, String, Option<u32>)> {
        let told = bus.iter_filtered(&[gst::MessageType::Progress]);
        told.filter_map(|message| {
            let gst::MessageView::Progress(progress) = message.view() else { return None };
            let (kind, code, text) = progress.get();
            assert_eq!(code, CODE);
            Some((kind, text.to_owned(), message.structure()?.get("percent").ok()))
        })
        .collect()
    }

    fn element() -> (gst::Element, gst::Bus) {
        gst::init().unwrap();
        let (element, bus) = (gst::Bin::new().upcast::<gst::Element>(), gst::Bus::new());
        element.set_bus(Some(&bus));
        (element, bus)
    }

    #[test]
    fn a_build_starts_goes_on_and_is_complete() {
        use gst::ProgressType::{Complete, Continue, Start};
        let (element, bus) = element();
        let progress = Progress::new(&element, "yolo.onnx");
        let on_progress = progress.watch().on_progress.unwrap();
        for fraction in [0.0, 0.001, 0.25, 0.255, 0.2, 1.0] {
            on_progress("tactics", fraction);
        }
        progress.finish(Outcome::Complete);
        let told = messages(&bus);
        let kinds: Vec<_> = told.iter().map(|(kind, _, percent)| (*kind, *percent)).collect();
        assert_eq!(kinds, [(Start, Some(0)), (Continue, Some(25)), (Continue, Some(100)), (Complete, None)]);
        assert!(told.iter().all(|(_, text, _)| text.starts_with("yolo.onnx: ")), "{told:?}");
        assert!(told[1].1.contains("25 % (tactics)"), "{told:?}");
    }

    #[test]
    fn nothing_is_said_of_what_was_in_the_cache() {
        let (element, bus) = element();
        Progress::new(&element, "yolo.onnx").finish(Outcome::Complete);
        assert_eq!(messages(&bus), []);
    }

    #[test]
    fn a_failed_build_and_a_cancelled_one_are_told_apart() {
        for (cancelled, kind) in [(false, gst::ProgressType::Error), (true, gst::ProgressType::Canceled)] {
            let (element, bus) = element();
            let progress = Progress::new(&element, "yolo.onnx");
            let watch = progress.watch();
            watch.on_progress.unwrap()("parsing", 0.0);
            let flag: &AtomicBool = &watch.cancel;
            flag.store(cancelled, Ordering::Relaxed);
            progress.finish(Outcome::Failed);
            assert_eq!(messages(&bus).last().unwrap().0, kind);
        }
    }
}
