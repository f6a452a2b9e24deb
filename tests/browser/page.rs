//! What the tests look at: cameras that run, and a browser.

use crate::common::barcode::{self, Codec};
use crate::common::find;
use crate::common::operator::Operator;
use crate::common::rtsp::Camera;
use crate::common::web;
use crate::driver::{Browser, Screen};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Cameras of `gst-trt run --web`, and a browser that can look at them.
pub struct Site {
    pub browser: Browser,
    server: web::Site,
    /// The camera `gate`.
    pub gate: Camera,
}

/// Runs a test on the site, which the tests share: it's started for the first, and ends with the last. Without a browser or an engine
/// the test is skipped.
#[track_caller]
pub fn with_site(test: impl FnOnce(&mut Site)) {
    static SHARED: Mutex<Weak<Mutex<Site>>> = Mutex::new(Weak::new());
    if !crate::common::running::start() {
        return;
    }
    let shared = {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.upgrade() {
            Some(site) => site,
            None => {
                let Some(browser) = Browser::open() else { return };
                let site = Arc::new(Mutex::new(Site::start(browser)));
                *shared = Arc::downgrade(&site);
                site
            }
        }
    };
    // A test that has failed may leave a dialog, but the site still works.
    let mut site = shared.lock().unwrap_or_else(PoisonError::into_inner);
    site.browser.show(Screen::Wide, false);
    site.see("");
    site.browser.complaints();
    test(&mut site);
}

/// The camera that [`config`] describes for a test of its own.
fn still(name: &str, more: &str) -> String {
    format!("{{ \"NAME\": \"{name}\", \"URL\": \"test:smpte\", \"WIDTH\": 320, \"HEIGHT\": 240, \"FPS\": 5, {more} }}")
}

/// Cameras of each kind, in a file as a person writes it.
fn config(gate: &str) -> String {
    let model = find::test_model("yolo");
    let cameras = [
        still("door", "\"ZONES\": []"),
        // A key that there isn't, for a finding of `check`.
        still("keys", "\"ZONES\": [], \"COLOUR\": \"red\""),
        still(
            "corners",
            r#"
        "ZONES": [{
            "NAME": "old", "POLYGON": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]], // the old one
            "ANCHOR": "centre", "CLASSES": ["red", "green"], "FORBIDDEN": ["red"],
            "CROWDING": { "MORE_THAN": 7, "FOR_S": 2.5 }, "LOITERING_S": 90
        }],
        "LINES": [{ "NAME": "way", "FROM": [0.9, 0.1], "TO": [0.9, 0.9] }]"#,
        ),
    ];
    format!(
        r#"{{
    # All cameras of the yard: this comment must stay.
    "processing": {{
        "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "ENABLE_DECOUPLED_PIPELINE": true,
        "COUNTING": {{ "SETTLE_S": 0 }}
    }},
    "models": {{ "DETECTION": {{ "ONNX": "{model}" }}, "POSE": {{ "ENABLED": false }} }},
    "cameras": {{
        "STALL_TIMEOUT_S": 3,
        "RECONNECT_MAX_S": 1,
        "RTSP_STREAMS": [
            {cameras},
            // It moves: something comes and goes every ten seconds.
            {{ "NAME": "yard", "URL": "yard.mp4",
               "ZONES": [{{ "NAME": "left", "POLYGON": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "ANCHOR": "centre" }}],
               "OUTPUTS": {{ "CLIPS": {{ "FOLDER": "clips", "BEFORE_S": 1, "AFTER_S": 1 }} }} }},
            {{ "NAME": "gate", "URL": "{gate}", "ZONES_FILE": "gate-zones.json" }},
        ],
    }},
    "outputs": {{ "JSON_LINES": [] }},
}}
"#,
        model = model.display(),
        cameras = cameras.join(",\n            "),
    )
}

/// The names of all cameras.
pub const CAMERAS: [&str; 5] = ["corners", "door", "gate", "keys", "yard"];

impl Site {
    fn start(browser: Browser) -> Self {
        let operator = Operator::new();
        let gate = Camera::start(Codec::H264);
        barcode::write_with_object(50, &operator.path("yard.mp4"));
        std::fs::write(operator.path("config.json"), config(&gate.url())).unwrap();
        let zones = r#"{"zones": [{"name": "way in", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}]}"#;
        std::fs::write(operator.path("gate-zones.json"), zones).unwrap();
        let server = web::Site::of(operator, &["--web", "127.0.0.1:0"], |_| ());
        Self { browser, server, gate }
    }

    /// Loads the page at an address behind `#`.
    #[track_caller]
    pub fn see(&self, route: &str) {
        // A change behind `#` alone loads nothing.
        self.browser.go("about:blank");
        self.browser.go(&format!("http://{}/#/{route}", self.server.address));
        self.browser.wait_for_element("main");
    }

    /// Waits until a camera is in a state.
    #[track_caller]
    pub fn wait_for_state(&self, camera: &str, state: &str) {
        self.browser.wait_for_element(&format!("[data-camera={camera}] [data-state={state}]"));
    }

    /// The file as text.
    pub fn file(&self) -> String {
        std::fs::read_to_string(self.path("config.json")).unwrap()
    }

    /// What the API says.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        self.server.get(&format!("/api/v1/{path}")).json()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.server.operator.path(name)
    }
}

/// What axe-core finds in the page as it is, of serious and critical things; `None`, after reporting it, if it isn't installed.
#[track_caller]
pub fn barriers(browser: &Browser) -> Option<Vec<String>> {
    let axe = find::root().join("target/axe-core/axe.min.js");
    if !Path::new(&axe).exists() {
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!ci, "{} is missing: cargo xtask setup", axe.display());
        find::skip("axe-core", "cargo xtask setup");
        return None;
    }
    if browser.script("return typeof axe") != "object" {
        let source = std::fs::read_to_string(axe).unwrap();
        browser.script(&format!("{source};\nwindow.axe = axe;"));
    }
    let found = browser.asynchronous("return (await axe.run({ resultTypes: ['violations'] })).violations");
    let bad = |one: &&Value| matches!(one["impact"].as_str(), Some("serious" | "critical"));
    let text = |one: &Value| {
        let places =
            one["nodes"].as_array().unwrap().iter().map(|node| format!("{}: {}", node["html"], node["failureSummary"]));
        format!("{} ({}): {}", one["id"], one["impact"], places.collect::<Vec<_>>().join("; "))
    };
    Some(found.as_array().unwrap().iter().filter(bad).map(text).collect())
}
