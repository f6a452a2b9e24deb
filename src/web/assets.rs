//! The files of the page, compiled in.

/// A file of the page.
pub struct Asset {
    /// Below `/assets/`.
    pub name: &'static str,
    /// Its content type.
    pub kind: &'static str,
    pub content: &'static [u8],
}

/// The page itself.
pub const PAGE: &str = "index.html";

macro_rules! assets {
    ($($name:literal $kind:literal)*) => {
        &[$(Asset { name: $name, kind: $kind, content: include_bytes!(concat!("page/", $name)) }),*]
    };
}

const ASSETS: &[Asset] = assets! {
    "index.html" "text/html; charset=utf-8"
};

/// What asks for the token in a browser.
pub const LOGIN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
    content=\"width=device-width\"><title>gst-trt</title><h1>gst-trt</h1><form action=\"/\"><label>Token, the value of \
    GST_TRT_WEB_TOKEN: <input name=\"token\" type=\"password\" required autofocus></label> <button>Open</button></form></html>\n";

/// The file of this name.
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}
