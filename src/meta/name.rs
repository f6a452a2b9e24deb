//! Names that objects carry.

use gst::glib;
use std::fmt;
use std::ops::Deref;

/// A name that lives as long as the process, as every label of GStreamer's own metadata does.
///
/// With many streams every thread copies, compares and drops the same few names thousands of times a second: counting
/// their users, or looking them up, would have the threads wait for each other.
#[derive(Clone, Copy)]
pub struct Name {
    text: &'static str,
    quark: glib::Quark,
}

impl Name {
    /// What metadata of GStreamer calls it.
    pub fn quark(self) -> glib::Quark {
        self.quark
    }
}

/// Takes a lock of the whole process: not for every object of every frame.
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
