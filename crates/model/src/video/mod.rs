//! Properties of pictures that don't depend on the kind of memory: pixel formats and colour coding.

mod colour;
mod format;

pub use colour::{Colorimetry, Conversion, Matrix};
pub use format::{DeviceFormat, HostFormat};
