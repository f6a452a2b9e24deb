//! Texts about a file's content, for `gst-trt check` and `gst-trt run`.

/// The beginnings of the texts for a file without pictures, or with others.
const NO_PICTURES: &str = "it has no pictures";
const OTHER_PICTURES: &str = "its pictures are";

/// Whether this text is about a file without pictures that can be decoded.
pub(crate) fn is_without_pictures(said: &str) -> bool {
    said.starts_with(NO_PICTURES) || said.starts_with(OTHER_PICTURES)
}

/// Why a file without anything to decode can't be played, given what its reader reported.
pub(crate) fn unplayable(said: &str) -> String {
    if is_without_pictures(said) { said.to_owned() } else { format!("{NO_PICTURES} that can be decoded: {said}") }
}

/// Why a file with these streams, by the names of their caps, can't be played: none of them can be decoded.
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

/// The problem with pictures in GPU memory that are to be rotated by `way`, a value of the tag `image-orientation`.
pub(crate) fn unturned(way: &str) -> String {
    format!(
        "the file is to be shown turned (image-orientation={way}), and what NVDEC decodes can't be turned in GPU memory: \
         the models see the pictures as they were coded"
    )
}

/// The remedy.
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
