//! An element that measures the CPU time that the elements after it, up to the next meter, take on the thread that
//! pushes frames into them.

use super::clock;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

thread_local! {
    /// CPU time of this thread that meters have measured.
    static MEASURED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

mod imp {
    use super::*;

    pub struct Meter {
        sink: gst::Pad,
        src: gst::Pad,
        /// Nanoseconds.
        pub spent: AtomicU64,
        /// Whether the meter before counts this time too.
        pub is_part: AtomicBool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Meter {
        const NAME: &'static str = "GstTrtBenchMeter";
        type Type = super::Meter;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = |name| class.pad_template(name).expect("one of pad_templates()");
            let proxy = gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION;
            let sink = gst::Pad::builder_from_template(&template("sink"))
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |meter| meter.pass(buffer))
                })
                .flags(proxy)
                .build();
            let src = gst::Pad::builder_from_template(&template("src")).flags(proxy).build();
            Self { sink, src, spent: AtomicU64::new(0), is_part: AtomicBool::new(false) }
        }
    }

    impl Meter {
        fn pass(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let measured = MEASURED.get();
            let before = clock::thread();
            let flow = self.src.push(buffer);
            let spent = clock::thread().saturating_sub(before);
            // The time that the next meter has measured belongs to that meter.
            let own = spent.saturating_sub(MEASURED.get() - measured);
            if !self.is_part.load(Ordering::Relaxed) {
                MEASURED.set(measured + spent);
            }
            self.spent.fetch_add(u64::try_from(own.as_nanos()).unwrap_or(0), Ordering::Relaxed);
            flow
        }
    }

    impl ObjectImpl for Meter {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink, &self.src] {
                // This can't fail: there is no pad of that name yet.
                let _ = self.obj().add_pad(pad);
            }
        }
    }

    impl GstObjectImpl for Meter {}

    impl ElementImpl for Meter {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "CPU meter",
                    "Generic",
                    "Measures what pushing frames on costs its thread",
                    env!("CARGO_PKG_NAME"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let any = gst::Caps::new_any();
                [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                    .into_iter()
                    .filter_map(|(name, way)| gst::PadTemplate::new(name, way, gst::PadPresence::Always, &any).ok())
                    .collect()
            });
            &TEMPLATES
        }
    }
}

glib::wrapper! {
    pub struct Meter(ObjectSubclass<imp::Meter>) @extends gst::Element, gst::Object;
}

impl Meter {
    /// CPU time so far that the elements after it, up to the next meter, have taken on the threads that push through
    /// it.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.imp().spent.load(Ordering::Relaxed))
    }
}

impl Meter {
    /// Lets the meter before it, where that pushes on the same thread, count this one's time as its own too.
    pub fn be_part_of_the_one_before(&self) {
        self.imp().is_part.store(true, Ordering::Relaxed);
    }
}

/// Registers the element for launch strings as `benchmeter`.
pub fn register() -> Result<(), glib::BoolError> {
    gst::Element::register(None, "benchmeter", gst::Rank::NONE, Meter::static_type())
}
