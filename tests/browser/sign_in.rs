//! A server that asks for its token.

use crate::common::find;
use crate::common::operator::Operator;
use crate::common::web;
use crate::page::{barriers, with_site};
use serde_json::json;

const TOKEN: &str = "an-only-token-of-the-tests-0123456789";

#[test]
fn the_token_is_asked_for_and_what_was_looked_at_comes_back() {
    with_site(|site| {
        let browser = &site.browser;
        let operator = Operator::new();
        operator.write(&json!({
            "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true },
            "models": { "DETECTION": { "ONNX": find::test_model("yolo") }, "POSE": { "ENABLED": false } },
            "cameras": { "RTSP_STREAMS": [{ "NAME": "door", "URL": "test:ball", "WIDTH": 320, "HEIGHT": 240, "FPS": 5 }] },
            "outputs": { "JSON_LINES": [] },
        }));
        let mut server = web::Site::of(operator, &["--web", "127.0.0.1:0"], |command| {
            command.env("GST_TRT_WEB_TOKEN", TOKEN);
        });
        let sign_in = |token: &str| {
            browser.click("input[name=token]");
            browser.keys(token.chars());
            browser.click("form button");
        };
        browser.go(&format!("http://{}/", server.address));
        browser.wait_for_element("input[name=token]");
        sign_in(TOKEN);
        browser.wait_for_element("[data-camera=door]");
        assert!(!browser.script("return location.href").as_str().unwrap().contains(TOKEN));

        // A session that ends while the page is open.
        browser.script("location.hash = '#/camera/door'");
        browser.wait_for_element("camera-live");
        browser.devtools("Network.enable", json!({}));
        browser.devtools("Network.clearBrowserCookies", json!({}));
        browser.wait_for_element("input[name=token]");
        assert!(browser.text(".connection").contains("Signed out"));
        if let Some(found) = barriers(browser) {
            assert!(found.is_empty(), "{found:#?}");
        }
        sign_in(TOKEN);
        browser.wait_for_element("camera-live");
        assert_eq!(browser.script("return location.hash"), json!("#/camera/door"));
        server.operator.stop();
    });
}
