//! Custom metas, which any program can read: a structure under a registered name.

use gst::glib;
use gst::meta::{CustomMeta, MetaRef, MetaRefMut, MetaTransform, MetaTransformCopy, Standalone};
use std::sync::OnceLock;

/// A kind of custom meta. Needs `gst::init`.
pub(super) struct Custom {
    name: &'static str,
    tags: &'static [&'static str],
    api: OnceLock<Option<glib::Type>>,
}

impl Custom {
    pub const fn new(name: &'static str, tags: &'static [&'static str]) -> Self {
        Self { name, tags, api: OnceLock::new() }
    }

    /// May be called more than once.
    pub fn register(&self) {
        self.api();
    }

    /// The API type, which distinguishes these metas from others.
    fn api(&self) -> Option<glib::Type> {
        *self.api.get_or_init(|| {
            register(self.name, self.tags);
            let mut buffer = gst::Buffer::new();
            CustomMeta::add(buffer.get_mut()?, self.name).ok()?;
            buffer.iter_meta::<gst::Meta>().next().map(|meta| meta.api())
        })
    }

    /// True if the buffer has such a meta. GStreamer's look-up by name takes two process-wide locks, and most frames
    /// have none.
    fn is_on(&self, buffer: &gst::BufferRef) -> bool {
        let api = self.api();
        buffer.iter_meta::<gst::Meta>().any(|meta| Some(meta.api()) == api)
    }

    pub fn of<'a>(&self, buffer: &'a gst::BufferRef) -> Option<MetaRef<'a, CustomMeta>> {
        self.is_on(buffer).then(|| CustomMeta::from_buffer(buffer, self.name).ok()).flatten()
    }

    /// The buffer's meta, or a new one.
    pub fn of_or_added<'a>(&self, buffer: &'a mut gst::BufferRef) -> Option<MetaRefMut<'a, CustomMeta, Standalone>> {
        if self.is_on(buffer) {
            CustomMeta::from_mut_buffer(buffer, self.name).ok()
        } else {
            CustomMeta::add(buffer, self.name).ok()
        }
    }
}

fn register(name: &'static str, tags: &[&str]) {
    if CustomMeta::is_registered(name) {
        return;
    }
    CustomMeta::register_with_transform(name, tags, move |to, meta, _, kind| {
        if kind != MetaTransformCopy::quark() {
            return false;
        }
        let Ok(mut copy) = CustomMeta::add(to, name) else { return false };
        // Copied field by field, whatever the type, because the value may belong to another copy of this crate.
        for (field, value) in meta.structure().iter() {
            copy.mut_structure().set_value(field, value.clone());
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_finds_its_own_alone() {
        static ONE: Custom = Custom::new("TrtTestOne", &["video"]);
        static OTHER: Custom = Custom::new("TrtTestOther", &["video"]);
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.get_mut().unwrap();
        assert!(ONE.of(buffer).is_none());
        ONE.of_or_added(buffer).unwrap().mut_structure().set("n", 1);
        assert!(ONE.of(buffer).is_some() && OTHER.of(buffer).is_none());
        ONE.of_or_added(buffer).unwrap().mut_structure().set("n", 2);
        OTHER.of_or_added(buffer).unwrap().mut_structure().set("n", 3);
        let of = |kind: &Custom| kind.of(buffer).unwrap().structure().get::<i32>("n").unwrap();
        assert_eq!((of(&ONE), of(&OTHER), buffer.iter_meta::<gst::Meta>().count()), (2, 3, 2));
    }
}
