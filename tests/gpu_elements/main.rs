//! Elements and GPU memory, on a GPU or on the stand-in: shared contexts, frames that stay in GPU memory, and tensors and
//! drawings that equal those of the CPU.
//!
//! `cargo test --test gpu_elements -- --ignored on_a_gpu --test-threads 1` on a machine with a GPU; see common/standin.rs.

#[path = "../common/mod.rs"]
mod common;

mod contexts;
mod drawing;
mod reid;
mod strictness;
mod tensors;

use common::running::Running;
use common::standin::on_gpu;
use gst::prelude::*;
use gst_video::VideoInfo;
use std::sync::Mutex;

/// The caps of these frames in GPU memory.
fn gpu_caps(info: &VideoInfo) -> gst::Caps {
    let mut caps = info.to_caps().unwrap();
    caps.get_mut().unwrap().set_features_simple(Some(gst::CapsFeatures::new(["memory:CUDAMemory"])));
    caps
}

/// Modifies each buffer that arrives at a pad.
fn on_arrival(pad: &gst::Pad, change: impl Fn(&mut gst::BufferRef) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            change(buffer.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
}

/// A moving picture with fine detail, the same each time.
fn noise(info: &VideoInfo, seed: u32) -> gst::Buffer {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let bytes = (0..info.size()).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    gst::Buffer::from_mut_slice(bytes.collect::<Vec<_>>())
}

/// The GstCudaContext in an element's answer.
fn context_of(element: &gst::Element, pad: &str) -> Option<gst::glib::Object> {
    let mut query = gst::query::Context::new(gsttensorrt::gst_cuda::CONTEXT_TYPE);
    let pad = element.static_pad(pad).unwrap();
    pad.query(&mut query).then_some(())?;
    let context = query.context_owned()?;
    context.structure().get::<gst::Object>(gsttensorrt::gst_cuda::CONTEXT_TYPE).ok().map(|object| object.upcast())
}

/// Keeps the error messages of a bus for later checks.
#[derive(Default)]
struct Errors(Mutex<Vec<String>>);

impl Errors {
    fn of(running: &Running) -> Self {
        let errors = Self::default();
        let bus = running.0.bus().unwrap();
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                let from = message.src().map(|source| source.name().to_string()).unwrap_or_default();
                errors.0.lock().unwrap().push(format!("{from}: {}", error.error().message()));
            }
        }
        errors
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}
