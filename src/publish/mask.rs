//! The mask of an object in JSON.

use super::json;
use crate::config::MaskFormat;
use model::mask::Rle;
use model::{Mask, Rect};

/// Appends `,"mask":` and a mask for a frame of this size, or nothing. `rect` is the object's box, normalised like the mask.
pub fn write(out: &mut Vec<u8>, mask: &Mask, rect: &Rect, frame: (u32, u32), format: MaskFormat) {
    match format {
        MaskFormat::None => {}
        MaskFormat::Rle => {
            let rle = Rle::of(&mask.in_frame(rect, frame));
            out.extend_from_slice(br#","mask":{"size":["#);
            json::whole(out, rle.height);
            out.push(b',');
            json::whole(out, rle.width);
            out.extend_from_slice(br#"],"counts":"#);
            let mut counts = Vec::new();
            rle.write_text(&mut counts);
            // The characters are of ASCII.
            json::text(out, &String::from_utf8_lossy(&counts));
            out.push(b'}');
        }
        MaskFormat::Polygon => {
            out.extend_from_slice(br#","mask":["#);
            json::list(out, mask.rings(rect, frame), |out, ring| {
                out.push(b'[');
                json::list(out, ring, json::rounded::<2>);
                out.push(b']');
            });
            out.push(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mask: &Mask, rect: &Rect, format: MaskFormat) -> String {
        let mut out = Vec::new();
        write(&mut out, mask, rect, (8, 4), format);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn masks_are_written_as_the_format_says() {
        let rect = Rect::new(0.25, 0.25, 0.5, 0.5);
        let mask = Mask::new(rect, 2, 1, [0b01]).unwrap();
        assert_eq!(written(&mask, &rect, MaskFormat::None), "");
        // Columns 2 and 3 have rows 1 and 2.
        assert_eq!(written(&mask, &rect, MaskFormat::Rle), ",\"mask\":{\"size\":[4,8],\"counts\":\"9220?\"}");
        let polygon: serde_json::Value =
            serde_json::from_str(&format!("{{\"x\":0{}}}", written(&mask, &rect, MaskFormat::Polygon))).unwrap();
        let ring = polygon["mask"][0].as_array().unwrap();
        assert_eq!((polygon["mask"].as_array().unwrap().len(), ring.len() % 2), (1, 0));
        assert!(ring.iter().all(|value| (1.0..=4.0).contains(&value.as_f64().unwrap())), "{ring:?}");
    }

    #[test]
    fn characters_of_run_lengths_are_escaped() {
        // A run of 14 has the character `\\`'s neighbours; any text must survive.
        for pixels in 1..2000 {
            let mask = Mask::new(Rect::UNIT, 1, 1, [1]).unwrap();
            let mut out = b"{\"x\":0".to_vec();
            write(&mut out, &mask, &Rect::UNIT, (pixels, 3), MaskFormat::Rle);
            out.push(b'}');
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let rle = Rle::of(&mask.in_frame(&Rect::UNIT, (pixels, 3)));
            let mut text = Vec::new();
            rle.write_text(&mut text);
            assert_eq!(read["mask"]["counts"].as_str().unwrap().as_bytes(), text);
        }
    }
}
