//! `gst-trt run --web`: what its server answers, to whom, and what it costs.

mod access;
mod load;
mod pictures;
mod routes;
mod streams;
mod zones;

use crate::common::find;
use crate::common::http::{Answer, get};
use crate::common::operator::Operator;
use serde_json::{Value, json};

/// A standing picture, in which the test model finds the same in every frame.
pub fn camera(name: &str) -> Value {
    json!({ "NAME": name, "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240, "FPS": 25 })
}

/// Cameras on the CPU with one model.
pub fn config(cameras: &[Value]) -> Value {
    json!({
        "processing": { "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false, "COUNTING": { "SETTLE_S": 0 } },
        "models": { "DETECTION": { "ONNX": find::test_model("yolo").to_str().unwrap() }, "POSE": { "ENABLED": false } },
        "cameras": { "RTSP_STREAMS": cameras },
        "outputs": { "JSON_LINES": "{camera}.jsonl" },
        "monitoring": { "INTERVAL_S": 0.5 }
    })
}

/// A zone that is the whole picture.
pub fn whole(name: &str) -> Value {
    json!({ "NAME": name, "POLYGON": [[0, 0], [1, 0], [1, 1], [0, 1]], "ANCHOR": "centre" })
}

/// A process that serves the page.
pub struct Site {
    pub operator: Operator,
    pub address: String,
}

impl Site {
    pub fn start(config: &Value) -> Self {
        let operator = Operator::new();
        operator.write(config);
        Self::of(operator, &["--web", "127.0.0.1:0"], |_| ())
    }

    /// Starts it with these arguments, and waits until all cameras play that can.
    pub fn of(
        mut operator: Operator,
        arguments: &[&str],
        environment: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        operator.run_in(arguments, environment);
        operator.wait_for_line("web page at http://");
        let address = operator.said().iter().find_map(|line| {
            let rest = line.split_once("web page at http://")?.1;
            Some(rest.split('/').next()?.to_owned())
        });
        let address = address.unwrap().replace("0.0.0.0", "127.0.0.1");
        Self { operator, address }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    #[track_caller]
    pub fn camera(&self, name: &str) -> Value {
        let answer = self.get(&format!("/api/v1/cameras/{name}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub fn wait_until_playing(&self, cameras: &[&str]) {
        for name in cameras {
            self.operator.wait_for(name, || {
                let answer = self.get(&format!("/api/v1/cameras/{name}"));
                answer.status == 200 && answer.json()["state"] == "playing"
            });
        }
    }
}
