//! What pictures are made of, whatever memory they are in: pixel formats, and how Y'CbCr codes colour.

mod colour;
mod format;

pub use colour::{Colorimetry, Conversion, Matrix};
pub use format::{DeviceFormat, HostFormat};
