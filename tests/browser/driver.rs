//! Headless Chromium, driven through chromedriver.

use crate::common::find;
use fantoccini::actions::{
    InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction, TouchActions,
};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Timeout of all waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A window of a browser that ends with it.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    /// The browser's own files.
    _profile: tempfile::TempDir,
}

/// What the page is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    Wide,
    /// That of the documentation.
    Picture,
    Phone,
}

/// A command of chromedriver that isn't of the WebDriver standard.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// `None`, after reporting it, if there is no Chromium or no chromedriver. In CI that is a failure.
    pub fn open() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let (Some(browser), Some(driver)) = (names.iter().find_map(|name| program(name)), program("chromedriver"))
        else {
            let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!ci, "Chromium and chromedriver are missing: cargo xtask setup");
            find::skip("Chromium or chromedriver", "apt install chromium chromium-driver");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let started =
            lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()));
        let address = format!("http://127.0.0.1:{}", started.expect("chromedriver says its port"));
        // Its output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--window-size=1440,900".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if nix::unistd::geteuid().is_root() {
            // Its sandbox doesn't work for root.
            arguments.push("--no-sandbox".into());
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": browser, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "unhandledPromptBehavior": { "default": "ignore", "beforeUnload": "accept" },
            "timeouts": { "script": PATIENCE.as_millis() as u64 },
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let client = runtime.block_on(builder.connect(&address)).unwrap();
        Some(Self { runtime, client, driver, _profile: profile })
    }

    #[track_caller]
    fn run<T, E: std::fmt::Debug>(&self, future: impl Future<Output = Result<T, E>>) -> T {
        self.runtime.block_on(future).unwrap()
    }

    #[track_caller]
    fn vendor(&self, path: &'static str, body: Value) -> Value {
        self.run(self.client.issue_cmd(Vendor { path, body }))
    }

    /// A command of the DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: Value) {
        self.vendor("goog/cdp/execute", json!({ "cmd": command, "params": parameters }));
    }

    #[track_caller]
    pub fn go(&self, address: &str) {
        self.run(self.client.goto(address));
    }

    /// Shows a screen of this kind, with light or dark colours.
    #[track_caller]
    pub fn show(&self, screen: Screen, dark: bool) {
        let phone = screen == Screen::Phone;
        let (width, height) = match screen {
            Screen::Wide => (1440, 900),
            Screen::Picture => (1200, 720),
            Screen::Phone => (390, 844),
        };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        self.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": phone }));
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The value of a script's `return`.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.run(self.client.execute(script, vec![]))
    }

    /// The value of a script that may `await`.
    #[track_caller]
    pub fn asynchronous(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {script} }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));"
        );
        let answer = self.run(self.client.execute_async(&script, vec![]));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        let start = Instant::now();
        while self.script(&script) != true {
            if start.elapsed() > PATIENCE {
                self.screenshot("failed");
                let text = self.script("return document.body.innerText");
                panic!("not true: {expression}\nThe page (target/screenshots/failed.png): {text}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a selector finds an element that is shown.
    #[track_caller]
    pub fn wait_for_element(&self, selector: &str) {
        self.wait_for(&format!("document.querySelector({selector:?})?.checkVisibility()"));
    }

    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let text = self.script(&format!("return document.querySelector({selector:?})?.innerText ?? null"));
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// The centre of an element that has been scrolled into view, in pixels of the window.
    #[track_caller]
    fn centre(&self, selector: &str) -> (f64, f64) {
        self.wait_for_element(selector);
        let script = format!(
            "const element = document.querySelector({selector:?});
             element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
             const box = element.getBoundingClientRect();
             return [box.left + box.width / 2, box.top + box.height / 2]"
        );
        point(&self.script(&script))
    }

    /// Clicks an element with the mouse.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let at = self.centre(selector);
        self.mouse(&[at]);
    }

    /// Clicks the button with this text.
    #[track_caller]
    pub fn press(&self, button: &str) {
        self.script(&format!(
            "document.querySelectorAll('[data-pressed]').forEach((one) => one.removeAttribute('data-pressed'));
             [...document.querySelectorAll('button')].find((one) => one.innerText.trim() === {button:?})?.setAttribute('data-pressed', '')"
        ));
        self.click("button[data-pressed]:not(:disabled)");
    }

    /// Presses the mouse's button at the first point, moves over the others and releases it.
    #[track_caller]
    pub fn mouse(&self, way: &[(f64, f64)]) {
        let mut actions = MouseActions::new("mouse".into());
        for action in pointer(way) {
            actions = actions.then(action);
        }
        self.run(self.client.perform_actions(actions));
    }

    /// The same with a finger.
    #[track_caller]
    pub fn touch(&self, way: &[(f64, f64)]) {
        let mut actions = TouchActions::new("finger".into());
        for action in pointer(way) {
            actions = actions.then(action);
        }
        self.run(self.client.perform_actions(actions));
    }

    /// Strokes of keys, one after the other, with this one held meanwhile.
    #[track_caller]
    pub fn keys_with(&self, held: Option<char>, strokes: impl IntoIterator<Item = char>) {
        let mut actions = KeyActions::new("keyboard".into());
        if let Some(value) = held {
            actions = actions.then(KeyAction::Down { value });
        }
        for value in strokes {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        if let Some(value) = held {
            actions = actions.then(KeyAction::Up { value });
        }
        self.run(self.client.perform_actions(actions));
    }

    #[track_caller]
    pub fn keys(&self, strokes: impl IntoIterator<Item = char>) {
        self.keys_with(None, strokes);
    }

    /// The text of a prompt, which is accepted or dismissed.
    #[track_caller]
    pub fn answer_prompt(&self, accept: bool) -> String {
        let start = Instant::now();
        let text = loop {
            match self.runtime.block_on(self.client.get_alert_text()) {
                Ok(text) => break text,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        if accept {
            self.run(self.client.accept_alert());
        } else {
            self.run(self.client.dismiss_alert());
        }
        text
    }

    /// Writes target/screenshots/NAME.png.
    #[track_caller]
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let folder = find::root().join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, self.run(self.client.screenshot())).unwrap();
        path
    }

    /// Messages of the browser's console since the last call, without mere information.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.vendor("se/log", json!({ "type": "browser" }));
        let bad = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        let entries = log.as_array().unwrap().iter().filter(bad);
        entries.map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser whose driver is killed would go on.
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The way of a pointer.
fn pointer(way: &[(f64, f64)]) -> Vec<PointerAction> {
    let to = |&(x, y): &(f64, f64)| PointerAction::MoveTo { duration: Some(Duration::ZERO), x, y };
    let mut actions = vec![to(&way[0]), PointerAction::Down { button: MOUSE_BUTTON_LEFT }];
    actions.extend(way[1..].iter().map(to));
    actions.push(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    actions
}

pub fn point(value: &Value) -> (f64, f64) {
    (value[0].as_f64().unwrap(), value[1].as_f64().unwrap())
}

/// A program in PATH.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
