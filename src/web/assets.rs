//! The files of the page, compiled in: all that are in `page/`.

/// The page itself.
pub const PAGE: &str = "index.html";

// `ASSETS`, which build.rs writes: names below `page/`, sorted, and contents.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the page.
pub struct Asset {
    /// Its content type.
    pub kind: &'static str,
    pub content: &'static [u8],
}

/// The file of this name, which may be in a folder.
pub fn asset(name: &str) -> Option<Asset> {
    let index = ASSETS.binary_search_by_key(&name, |(known, _)| known).ok()?;
    let (name, content) = ASSETS.get(index)?;
    Some(Asset { kind: kind(name), content })
}

/// The content type of a file.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js" | "mjs")) => "text/javascript; charset=utf-8",
        Some((_, "json")) => "application/json",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "png")) => "image/png",
        Some((_, "ico")) => "image/x-icon",
        Some((_, "woff2")) => "font/woff2",
        // Licences, which have no extension, and what isn't known: browsers show it and never run it.
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_names() {
        assert!(asset(PAGE).is_some_and(|page| page.kind.starts_with("text/html") && page.content.starts_with(b"<!")));
        for none in ["", "index", "../assets.rs", "index.html/", "/index.html"] {
            assert!(asset(none).is_none(), "{none}");
        }
        assert!(ASSETS.is_sorted_by_key(|(name, _)| *name));
        assert!(ASSETS.iter().all(|(name, _)| asset(name).is_some()));
    }

    #[test]
    fn the_page_keeps_to_its_content_security_policy() {
        for (name, content) in ASSETS.iter().filter(|(name, _)| !name.starts_with("vendor/")) {
            let text = std::str::from_utf8(content).unwrap();
            for wrong in ["style=", "<style", "innerHTML", "eval(", "onclick="] {
                assert!(!text.contains(wrong), "{name}: {wrong}");
            }
            for address in ["http://", "https://"].iter().flat_map(|scheme| text.split(scheme).skip(1)) {
                assert!(address.starts_with("www.w3.org/"), "{name} names another host: {address:.40}");
            }
        }
    }
}
