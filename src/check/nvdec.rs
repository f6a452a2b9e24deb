//! Checks whether the GPU's video decoder supports a stream.

use super::{Check, StreamFacts, Verdict};
use cuda::CodecCaps;

/// Checks the known facts of a camera's stream against the decoder's capabilities.
pub fn check(name: &str, facts: &StreamFacts, caps: &[CodecCaps]) -> Check {
    let name = format!("{name}: NVDEC");
    let unknown = |what: &str| {
        let found = format!("unknown, because the stream's {what} is unknown");
        Check::new(&name, Verdict::Unknown, found, "let check ask the camera, or set CODEC, WIDTH and HEIGHT for it")
    };
    let Some(codec) = facts.codec else { return unknown("codec") };
    let depth = facts.depth.unwrap_or(8);
    let missing = |found: String, remedy: &str| Check::new(&name, Verdict::Missing, found, remedy);
    let Some(caps) = caps.iter().find(|caps| caps.codec == codec.name() && caps.depth == depth) else {
        let depths: Vec<_> =
            caps.iter().filter(|caps| caps.codec == codec.name()).map(|caps| format!("{} bit", caps.depth)).collect();
        let able = if depths.is_empty() { "not at all".into() } else { format!("only with {}", depths.join(", ")) };
        let found = format!(
            "NVDEC initialization failed: this GPU decodes {} {able}, the camera sends {depth} bit",
            codec.name()
        );
        return missing(found, "set the camera to H.264 or HEVC with 8 bit, or use another GPU");
    };
    let Some((width, height)) = facts.size else { return unknown("size") };
    match caps.check_size(width, height) {
        Ok(()) => Check::ok(name, format!("{} {depth} bit to {}×{}", codec.name(), caps.max_width, caps.max_height)),
        Err(error) => missing(
            format!("NVDEC initialization failed: {}: {error}", codec.name()),
            "set the camera to a size that the GPU decodes, or use another GPU",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Codec;

    #[test]
    fn codec_depth_and_size_are_the_drivers_word() {
        let of = |codec, depth, max| CodecCaps {
            codec,
            depth,
            min_width: 48,
            min_height: 16,
            max_width: max,
            max_height: max,
            max_macroblocks: max * max / 256,
            engines: 2,
        };
        let caps = [of("H.264", 8, 4096), of("HEVC", 8, 8192), of("HEVC", 10, 8192)];
        let check =
            |codec, size, depth| check("door", &StreamFacts { codec, size, depth, ..StreamFacts::default() }, &caps);
        let good = check(Some(Codec::H265), Some((7680, 4320)), Some(10));
        assert_eq!((good.verdict, good.name.as_str()), (Verdict::Ok, "door: NVDEC"));
        for (codec, size, depth, verdict, words) in [
            (Some(Codec::H264), Some((1920, 1080)), Some(10), Verdict::Missing, "only with 8 bit"),
            (Some(Codec::H264), Some((7680, 4320)), None, Verdict::Missing, "more than 4096×4096"),
            (Some(Codec::H265), None, Some(8), Verdict::Unknown, "size"),
            (None, Some((1920, 1080)), None, Verdict::Unknown, "codec"),
        ] {
            let check = check(codec, size, depth);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.found.contains(words) && check.remedy.is_some(), "{check:?}");
        }
        let none = super::check("door", &StreamFacts { codec: Some(Codec::H264), ..StreamFacts::default() }, &[]);
        assert!(none.found.contains("NVDEC initialization failed") && none.found.contains("not at all"), "{none:?}");
    }
}
