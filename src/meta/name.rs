//! Names that objects carry.

use gst::glib;
use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

/// A name that lives as long as the process, like the labels in GStreamer's metadata.
///
/// With many streams, all threads copy, compare and drop the same few names thousands of times a second. Reference
/// counts or look-ups would cause contention between them.
#[derive(Clone, Copy)]
pub struct Name {
    text: &'static str,
    quark: glib::Quark,
}

impl Default for Name {
    /// The empty name.
    fn default() -> Self {
        Self::empty()
    }
}

impl Name {
    /// The empty name. Takes no lock.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Name> = LazyLock::new(|| "".into());
        *EMPTY
    }

    /// The name as a quark, for GStreamer's metadata.
    pub fn quark(self) -> glib::Quark {
        self.quark
    }
}

/// Takes a process-wide lock, so it must not run for every object of every frame.
impl From<&str> for Name {
    fn from(text: &str) -> Self {
        glib::Quark::from_str(text).into()
    }
}

impl From<glib::Quark> for Name {
    fn from(quark: glib::Quark) -> Self {
        Self { text: quark.as_str().as_str(), quark }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.text
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.quark == other.quark
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
