//! The picture of the page in docs/web.md.

use crate::common::find;
use crate::common::operator::Operator;
use crate::common::running::Running;
use crate::common::web;
use crate::driver::Screen;
use crate::page::with_site;
use serde_json::json;

/// The greatest size of the file, bytes.
const LARGEST: u64 = 150_000;

/// With `UPDATE_PAGE_PICTURE=1` it is taken anew, of a street and what NanoDet finds there.
#[test]
fn the_picture_of_the_page_is_small() {
    let picture = find::root().join("docs/web-page.jpg");
    if std::env::var_os("UPDATE_PAGE_PICTURE").is_some() {
        with_site(|site| {
            let (Some(clip), Some(model)) = (find::media("bikes.mp4"), find::real_model("nanodet")) else { return };
            let operator = Operator::new();
            operator.write(&json!({
                "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true, "MAX_QUEUE_SIZE": 2 },
                "models": { "DETECTION": { "ONNX": model, "CONFIDENCE": 0.35, "INTERVAL": 2 }, "POSE": { "ENABLED": false } },
                "cameras": { "RTSP_STREAMS": [{
                    "NAME": "street", "URL": clip,
                    "ZONES": [{ "NAME": "crossing", "POLYGON": [[0.03, 0.42], [0.97, 0.42], [0.97, 0.96], [0.03, 0.96]] }],
                    "LINES": [{ "NAME": "middle", "FROM": [0.5, 0.2], "TO": [0.5, 0.95], "ANCHOR": "centre" }],
                }] },
                "outputs": { "JSON_LINES": [] },
            }));
            let mut server = web::Site::of(operator, &["--web", "127.0.0.1:0"], |_| ());
            let browser = &site.browser;
            browser.show(Screen::Picture, false);
            browser.go(&format!("http://{}/#/camera/street", server.address));
            browser.wait_for("Number(document.querySelector('[data-line=middle] td:nth-of-type(2)')?.innerText) > 1");
            browser.wait_for("document.querySelectorAll('#seen-title ~ table tbody tr').length > 1");
            browser.wait_for("Number(document.querySelector('[data-zone=crossing] td').innerText) > 0");
            let screenshot = browser.screenshot("web-page");
            let (from, to) = (screenshot.display(), picture.display());
            Running::playing(&format!(
                "filesrc location={from} ! pngdec ! videoconvert ! video/x-raw,format=RGB ! jpegenc quality=80 ! filesink location={to}"
            ))
            .wait_for_end();
            server.operator.stop();
        });
    }
    let size = picture.metadata().unwrap().len();
    assert!(size < LARGEST, "{} has {size} bytes", picture.display());
}
