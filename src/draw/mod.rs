//! Draws results into frames. Pure code: no GStreamer, no GPU.
//!
//! 1. A [`Canvas`] is a picture in one layout: [`Packed`] (RGB) or [`Planar`] (NV12, I420), over [`Plane`]s in memory.
//! 2. Shapes and text use two operations: filling an [`Area`], and blending a colour through a [`Mask`].
//! 3. [`Overlay`] draws a frame's [`crate::meta::Record`] in a [`Style`].
//! 4. Labels use built-in fonts, system fonts for characters that those lack, and transliteration for the rest.
//!
//! Coordinates may have any value: parts outside the picture and coordinates that aren't numbers aren't drawn.

mod canvas;
mod caption;
mod color;
mod font;
mod frame;
mod overlay;
mod plane;
mod shape;
mod style;
mod system_fonts;
mod tails;
mod text;

pub use canvas::{Area, Canvas, Mask};
pub use color::Rgb;
pub use frame::{Chroma, Packed, Planar};
pub use overlay::Overlay;
pub use plane::Plane;
pub use shape::Point;
pub use style::{ColorBy, Style};
