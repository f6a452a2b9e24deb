//! The version of a TensorRT library, and the versions that this binding supports.

use std::fmt;

/// Releases that share one vtable layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// 8.5 and 8.6.
    V8,
    /// 10.0 to 10.16.
    V10,
    /// 11.1 to 11.4.
    V11,
    /// TensorRT-RTX 1.7. 1.3 has another layout; the layouts of 1.4 to 1.6 are unknown.
    Rtx1,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 4] = [Self::V8, Self::V10, Self::V11, Self::Rtx1];

    /// The group's column in the slot tables.
    pub(super) fn index(self) -> usize {
        match self {
            Self::V8 => 0,
            Self::V10 => 1,
            Self::V11 => 2,
            Self::Rtx1 => 3,
        }
    }
}

/// The kind of a TensorRT library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// `libnvinfer`: builds and runs.
    Full,
    /// `libnvinfer_lean` or `libnvinfer_dispatch`: runs only.
    Lean,
    /// `libtensorrt_rtx`: TensorRT-RTX.
    Rtx,
}

/// A library's version, for example `TensorRT 10.6.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// TensorRT, or TensorRT for RTX.
    pub flavour: Flavour,
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
}

impl Version {
    /// The supported versions, for messages.
    pub const SUPPORTED: &str = "TensorRT 8.5, 8.6, 10.0 to 10.16, 11.1 to 11.4, TensorRT-RTX 1.7";

    /// Decodes the result of `getInferLibVersion()`: up to 8 it is major · 1000 + minor · 100 + patch, from 10 on (and
    /// in RTX 1) major · 10000 + minor · 100 + patch; the ranges don't overlap. Lean libraries are recognised only by
    /// their file name.
    pub fn decode(number: u32, file_name: &str) -> Self {
        let unit = if number < 10_000 { 1_000 } else { 10_000 };
        let (major, minor, patch) = (number / unit, number % unit / 100, number % 100);
        let flavour = if major == 1 && unit == 10_000 {
            Flavour::Rtx
        } else if file_name.contains("nvinfer_lean") || file_name.contains("nvinfer_dispatch") {
            Flavour::Lean
        } else {
            Flavour::Full
        };
        Self { flavour, major, minor, patch }
    }

    /// The vtable layout of this version; `None` if it isn't known.
    pub fn group(&self) -> Option<Group> {
        match (self.flavour, self.major, self.minor) {
            (Flavour::Rtx, 1, 7) => Some(Group::Rtx1),
            (Flavour::Rtx, ..) => None,
            (_, 8, 5..=6) => Some(Group::V8),
            (_, 10, 0..=16) => Some(Group::V10),
            (_, 11, 1..=4) => Some(Group::V11),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavour {
            Flavour::Full => "TensorRT",
            Flavour::Lean => "TensorRT lean runtime",
            Flavour::Rtx => "TensorRT-RTX",
        };
        write!(f, "{name} {}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_scheme() {
        for (number, file, text, group) in [
            (8503, "libnvinfer.so.8", "TensorRT 8.5.3", Some(Group::V8)),
            (8601, "libnvinfer.so.8", "TensorRT 8.6.1", Some(Group::V8)),
            (100_001, "libnvinfer.so.10", "TensorRT 10.0.1", Some(Group::V10)),
            (100_600, "libnvinfer.so.10", "TensorRT 10.6.0", Some(Group::V10)),
            (101_601, "libnvinfer.so.10", "TensorRT 10.16.1", Some(Group::V10)),
            (110_400, "libnvinfer_lean.so.11", "TensorRT lean runtime 11.4.0", Some(Group::V11)),
            (10_701, "libtensorrt_rtx.so.1", "TensorRT-RTX 1.7.1", Some(Group::Rtx1)),
            (10_300, "libtensorrt_rtx.so.1", "TensorRT-RTX 1.3.0", None),
            (8402, "libnvinfer.so.8", "TensorRT 8.4.2", None),
            (7203, "libnvinfer.so.7", "TensorRT 7.2.3", None),
            (101_700, "libnvinfer.so.10", "TensorRT 10.17.0", None),
            (110_000, "libnvinfer.so.11", "TensorRT 11.0.0", None),
            (120_000, "libnvinfer.so.12", "TensorRT 12.0.0", None),
        ] {
            let version = Version::decode(number, file);
            assert_eq!((version.to_string().as_str(), version.group()), (text, group), "{number}");
        }
    }
}
