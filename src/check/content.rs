//! What is to be said of a file's content, by `gst-trt check` as by `gst-trt run`.

/// What a file is told by that has no pictures, or others.
const NO_PICTURES: &str = "it has no pictures";
const OTHER_PICTURES: &str = "its pictures are";

/// Whether a file was told by that.
pub(crate) fn is_without_pictures(said: &str) -> bool {
    said.starts_with(NO_PICTURES) || said.starts_with(OTHER_PICTURES)
}

/// Why a file can't be played in which nothing was found to decode, after what its reader said.
pub(crate) fn unplayable(said: &str) -> String {
    if is_without_pictures(said) { said.to_owned() } else { format!("{NO_PICTURES} that can be decoded: {said}") }
}

/// Why a file can't be played that has these streams, by the names of their caps: none of them can be decoded.
pub(crate) fn nothing_to_decode(streams: &[String]) -> String {
    let pictures = |name: &&String| name.starts_with("video/") || name.starts_with("image/");
    match streams.iter().find(pictures) {
        Some(name) => format!("{OTHER_PICTURES} {name}, and only H.264 and H.265 can be decoded: convert the file"),
        None => format!("{NO_PICTURES}, only {}", streams.join(" and ")),
    }
}

/// The name of a stream's caps.
pub(crate) fn stream_name(stream: &gst::Pad) -> Option<String> {
    use gst::prelude::*;
    let caps = stream.current_caps().unwrap_or_else(|| stream.query_caps(None));
    caps.structure(0).map(|structure| structure.name().to_string())
}

/// What is wrong with pictures that are to be turned `way`, as the tag `image-orientation` has it, and are in GPU memory.
pub(crate) fn unturned(way: &str) -> String {
    format!(
        "the file is to be shown turned (image-orientation={way}), and what NVDEC decodes can't be turned in GPU memory: \
         models see the pictures as they were coded"
    )
}

/// What helps.
pub(crate) const TURN: &str = "turn the file's pictures (ffmpeg does when it codes them anew), or set processing.ENABLE_NVDEC \
                               to false: what the CPU decodes is turned";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_has_in_the_place_of_pictures_is_named() {
        assert_eq!(unplayable("it's a text"), "it has no pictures that can be decoded: it's a text");
        let text = |streams: &[&str]| nothing_to_decode(&streams.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(text(&["audio/mpeg"]), "it has no pictures, only audio/mpeg");
        assert_eq!(text(&["audio/mpeg", "text/x-raw"]), "it has no pictures, only audio/mpeg and text/x-raw");
        for coded in ["video/x-vp9", "image/jpeg"] {
            let found = text(&["audio/mpeg", coded]);
            assert!(found.contains(coded) && found.contains("only H.264 and H.265"), "{found}");
            assert_eq!(unplayable(&found), found);
            assert!(is_without_pictures(&found) && !is_without_pictures("the decoder failed"));
        }
    }
}
