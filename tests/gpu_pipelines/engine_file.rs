//! Engine files that a configuration names, and their handling when they no longer fit: `gst-trt check` and `run` report the
//! same.

use crate::common::find;
use crate::common::onnx::{Export, KERNEL};
use crate::common::operator::Operator;
use crate::on_gpu;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

const OLD: [&str; 3] = ["red", "green", "blue"];
const NEW: [&str; 3] = ["new red", "new green", "new blue"];

/// A folder with `models/m.onnx` and a camera that shows bars in all colours.
struct Site {
    operator: Operator,
    config: Value,
}

/// The messages of a run, and the labels of its objects.
struct Run {
    said: String,
    labels: Vec<String>,
    status: bool,
}

impl Run {
    #[track_caller]
    fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.said.contains(word), "{word}: {}", self.said);
        }
    }

    #[track_caller]
    fn finds(&self, known: [&str; 3]) {
        let right = !self.labels.is_empty() && self.labels.iter().all(|label| known.contains(&label.as_str()));
        assert!(right, "{:?} instead of {known:?}: {}", self.labels, self.said);
    }
}

impl Site {
    /// With this model's engine, built by `gst-trt build`.
    fn new(export: &Export) -> Self {
        let operator = Operator::new();
        std::fs::create_dir(operator.path("models")).unwrap();
        let config = json!({
            "processing": { "FORCE_GPU_ONLY": false, "ENABLE_NVDEC": false },
            "models": {
                "ENGINE_CACHE": find::engine_cache(&operator.path(".")).to_str().unwrap(),
                "DETECTION": { "ONNX": "models/m.onnx" },
                "POSE": { "ENABLED": false }
            },
            "cameras": { "RTSP_STREAMS": [{ "NAME": "cam", "URL": "test:smpte", "WIDTH": 320, "HEIGHT": 240 }] },
            "outputs": { "JSON_LINES": "out.jsonl" }
        });
        let site = Self { operator, config };
        export.write(&site.onnx());
        site.operator.write(&site.config);
        site.build();
        assert!(site.engine().exists() && site.record().exists());
        site
    }

    fn onnx(&self) -> PathBuf {
        self.operator.path("models/m.onnx")
    }

    fn engine(&self) -> PathBuf {
        self.operator.path("models/engines/m_fp16.engine")
    }

    fn record(&self) -> PathBuf {
        self.engine().with_extension("json")
    }

    fn build(&self) {
        let mut command = Command::new(find::gst_trt());
        let built = command.args(["build", "--config"]).arg(self.operator.path("config.json")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    fn set(&mut self, section: &str, key: &str, value: Value) {
        self.config[section][key] = value;
        self.operator.write(&self.config);
    }

    /// `ENGINE` names the same file in every configuration.
    fn name_the_engine(&mut self) {
        self.config["models"]["DETECTION"]["ENGINE"] = "models/engines/m_fp16.engine".into();
        self.operator.write(&self.config);
    }

    /// The report of `check` about the engine: verdict, finding, remedy.
    fn check(&self) -> (String, String) {
        let mut command = Command::new(find::gst_trt());
        let config = self.operator.path("config.json");
        let output = command.args(["check", "--json", "--no-probe", "--config"]).arg(config).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
        let named = |check: &&Value| check["name"].as_str().unwrap().starts_with("engine ");
        let check = checks.iter().find(named).unwrap_or_else(|| panic!("no engine: {report:#}"));
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("verdict"), format!("{} {}", text("found"), text("remedy")))
    }

    #[track_caller]
    fn check_says(&self, verdict: &str, words: &[&str]) {
        let (found, text) = self.check();
        assert_eq!(found, verdict, "{text}");
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    /// Runs until it has found an object or ended by itself.
    fn run(&mut self) -> Run {
        let lines = self.operator.path("out.jsonl");
        let _ = std::fs::remove_file(&lines);
        self.operator.run(&[]);
        let text = || std::fs::read_to_string(&lines).unwrap_or_default();
        let ended = |operator: &Operator| operator.said().iter().any(|line| line.contains("no camera can run"));
        let operator = &self.operator;
        operator.wait_for("object", || text().contains("\"label\"") || ended(operator));
        let status = !ended(operator);
        let said = if status {
            let said = operator.said();
            self.operator.stop();
            said
        } else {
            self.operator.end().1
        };
        let lines: Vec<Value> = text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let objects = lines.iter().flat_map(|line| line["objects"].as_array().unwrap());
        let labels = objects.map(|object| object["label"].as_str().unwrap().to_owned()).collect();
        Run { said: said.join("\n"), labels, status }
    }
}

on_gpu! {
    fn a_fitting_engine_is_used_unchanged() {
        let mut site = Site::new(&Export::yolo());
        site.check_says("ok", &[]);
        let plan = std::fs::read(site.engine()).unwrap();
        std::fs::remove_dir_all(site.operator.path("cache")).unwrap();
        let run = site.run();
        run.finds(OLD);
        assert!(!run.said.contains("engine"), "{}", run.said);
        assert_eq!(std::fs::read(site.engine()).unwrap(), plan);
    }
}

on_gpu! {
    /// A retrained model under the same name, also if only the labels have changed.
    fn another_model_under_the_same_name_is_built_again() {
        for export in [Export::yolo().swapped().named(NEW), Export::yolo().named(NEW)] {
            let mut site = Site::new(&Export::yolo());
            export.write(&site.onnx());
            site.check_says("limited", &["built from another ONNX", "m.onnx", "builds it again"]);
            let run = site.run();
            run.finds(NEW);
            run.says(&["m_fp16.engine", "another ONNX", "m.onnx"]);
            site.check_says("ok", &[]);
            assert!(!site.run().said.contains("m_fp16.engine"), "once");
        }
    }
}

on_gpu! {
    fn other_files_beside_the_model_are_another_model() {
        let outside = |export: Export| export.external(KERNEL, "weights.bin");
        let mut site = Site::new(&outside(Export::yolo()));
        outside(Export::yolo().swapped()).write(&site.onnx());
        site.check_says("limited", &["built from another", "weights.bin"]);
        site.run().says(&["m_fp16.engine", "weights.bin"]);
        site.check_says("ok", &[]);
    }
}

on_gpu! {
    fn other_settings_are_built_again() {
        let mut site = Site::new(&Export::yolo());
        site.name_the_engine();
        site.set("processing", "GPU_BATCH_SIZE", 8.into());
        site.check_says("limited", &["it doesn't fit: ", "batch_size is 2, wanted 8"]);
        site.run().says(&["m_fp16.engine", "batch_size is 2, wanted 8"]);
        site.check_says("ok", &[]);
        site.set("models", "TENSORRT_FP16", false.into());
        site.check_says("limited", &["precision is \"fp16\", wanted \"fp32\""]);
        let run = site.run();
        run.says(&["m_fp16.engine", "precision is \"fp16\", wanted \"fp32\""]);
        run.finds(OLD);
        site.check_says("ok", &[]);
        site.set("models", "TENSORRT_WORKSPACE_SIZE", 1.into());
        site.run().says(&["workspace is 2048, wanted 1024"]);
        site.check_says("ok", &[]);
    }
}

on_gpu! {
    /// Options that only `gst-trt build` has are kept.
    fn what_only_build_can_set_is_the_engines_own() {
        let mut site = Site::new(&Export::yolo());
        let mut command = Command::new(find::gst_trt());
        command.args(["build", "--optimization-level", "3", "--config"]).arg(site.operator.path("config.json"));
        assert!(command.output().unwrap().status.success());
        site.check_says("ok", &[]);
        let run = site.run();
        assert!(!run.said.contains("engine"), "{}", run.said);
        // Also when it is rebuilt for another reason.
        Export::yolo().named(NEW).write(&site.onnx());
        site.run().finds(NEW);
        assert!(std::fs::read_to_string(site.record()).unwrap().contains("\"optimization_level\": 3"));
    }
}

on_gpu! {
    /// As after a TensorRT upgrade, or on another machine.
    fn an_engine_of_another_tensorrt_or_gpu_is_built_again() {
        let mut site = Site::new(&Export::yolo());
        let text = std::fs::read_to_string(site.record()).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let facts = &record["facts"];
        for (field, now, then) in [
            ("tensorrt", facts["tensorrt"].as_str().unwrap(), "TensorRT 10.0.0"),
            ("gpu.name", facts["gpu"]["name"].as_str().unwrap(), "Another GPU"),
        ] {
            std::fs::write(site.record(), text.replace(now, then)).unwrap();
            std::fs::write(site.engine(), "what that one has made").unwrap();
            let hash = "0".repeat(64);
            let plan = record["plan"].as_str().unwrap();
            let stale = std::fs::read_to_string(site.record()).unwrap().replace(plan, &hash);
            std::fs::write(site.record(), stale).unwrap();
            site.check_says("limited", &[then]);
            let run = site.run();
            run.finds(OLD);
            run.says(&["m_fp16.engine"]);
            site.check_says("ok", &[]);

            std::fs::write(site.record(), text.replace(now, then)).unwrap();
            let difference = format!("{field} is \"{then}\", wanted \"{now}\"");
            site.check_says("limited", &[&difference]);
            site.run().says(&[&difference]);
            site.check_says("ok", &[]);
        }
    }
}

on_gpu! {
    fn a_damaged_engine_is_built_again() {
        let mut site = Site::new(&Export::yolo());
        std::fs::write(site.engine(), "no plan").unwrap();
        site.check_says("limited", &["damaged"]);
        let run = site.run();
        run.finds(OLD);
        run.says(&["m_fp16.engine", "damaged"]);
        site.check_says("ok", &[]);
    }
}

on_gpu! {
    /// An engine of unknown origin belongs to the user and is kept; the ONNX is used instead.
    fn an_engine_without_a_record_is_left_alone() {
        let mut site = Site::new(&Export::yolo());
        let plan = std::fs::read(site.engine()).unwrap();
        std::fs::remove_file(site.record()).unwrap();
        Export::yolo().named(NEW).write(&site.onnx());
        site.check_says("limited", &["m_fp16.json", "m.onnx"]);
        let run = site.run();
        run.finds(NEW);
        run.says(&["m_fp16.engine", "m_fp16.json", "m.onnx"]);
        assert!(std::fs::read(site.engine()).unwrap() == plan && !site.record().exists());

        // Without an ONNX there is nothing else to run.
        std::fs::remove_file(site.onnx()).unwrap();
        site.check_says("ok", &[]);
        assert!(site.run().status);
    }
}

on_gpu! {
    fn without_the_onnx_what_does_not_fit_is_refused() {
        let mut site = Site::new(&Export::yolo());
        site.name_the_engine();
        std::fs::remove_file(site.onnx()).unwrap();
        site.check_says("ok", &[]);
        site.run().finds(OLD);
        for (section, key, value, difference) in [
            ("processing", "GPU_BATCH_SIZE", json!(8), "batch_size is 2, wanted 8"),
            ("models", "TENSORRT_FP16", json!(false), "precision is \"fp16\", wanted \"fp32\""),
        ] {
            let before = site.config.clone();
            site.set(section, key, value);
            let words = ["m_fp16.engine", difference, "m.onnx"];
            site.check_says("missing", &words);
            let run = site.run();
            assert!(!run.status && run.labels.is_empty());
            run.says(&words);
            site.config = before;
        }
        site.operator.write(&site.config);
        let text = std::fs::read_to_string(site.record()).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let now = record["facts"]["tensorrt"].as_str().unwrap();
        std::fs::write(site.record(), text.replace(now, "TensorRT 10.0.0")).unwrap();
        let difference = format!("tensorrt is \"TensorRT 10.0.0\", wanted \"{now}\"");
        site.check_says("missing", &[&difference]);
        let run = site.run();
        assert!(!run.status);
        run.says(&[&difference, "m.onnx"]);
    }
}

on_gpu! {
    /// If the path can't be written to, not even by root, the engine comes from the cache, which is reported.
    fn an_unwritable_path_is_reported() {
        let mut site = Site::new(&Export::yolo());
        site.config["models"]["DETECTION"]["ENGINE"] = "/proc/m_fp16.engine".into();
        site.operator.write(&site.config);
        let run = site.run();
        run.finds(OLD);
        run.says(&["/proc/m_fp16.engine", "cache"]);
    }
}

on_gpu! {
    /// When `gst-trt run` reads its configuration again, the engine's content counts, with the ONNX and without.
    fn an_engine_replaced_while_it_runs_counts() {
        let mut site = Site::new(&Export::yolo());
        let other = Site::new(&Export::yolo().named(NEW));
        let lines = site.operator.path("out.jsonl");
        let finds = |label: &str| {
            let text = std::fs::read_to_string(&lines).unwrap_or_default();
            let last = text.lines().rfind(|line| line.ends_with('}')).unwrap_or_default().to_owned();
            last.contains(&format!("\"{label}\""))
        };
        site.operator.run(&[]);
        site.operator.wait_for("object", || finds("red"));
        // Without the ONNX, which it replaces.
        std::fs::rename(site.onnx(), site.operator.path("away.onnx")).unwrap();
        std::fs::copy(other.engine(), site.engine()).unwrap();
        std::fs::copy(other.record(), site.record()).unwrap();
        site.operator.signal("HUP");
        site.operator.wait_for("the other engine's names", || finds("new red"));
        std::fs::write(site.engine(), "no plan").unwrap();
        site.operator.signal("HUP");
        site.operator.wait_for_line("the previous model stays in force");
        assert!(finds("new red"));
        // With the ONNX: the engine is rebuilt.
        std::fs::rename(site.operator.path("away.onnx"), site.onnx()).unwrap();
        site.operator.signal("HUP");
        site.operator.wait_for("the ONNX's names", || finds("red"));
        site.check_says("ok", &[]);
        let said = |text: &str| site.operator.said().iter().filter(|line| line.contains(text)).count();
        let before = said("no longer fits");
        std::fs::write(site.engine(), "no plan").unwrap();
        site.operator.signal("HUP");
        site.operator.wait_for("complaint", || said("no longer fits") > before);
        site.operator.wait_for("the engine in its place", || site.check().0 == "ok");
        // A different model in the ONNX.
        Export::yolo().named(NEW).write(&site.onnx());
        site.operator.signal("HUP");
        site.operator.wait_for("the new model's names", || finds("new red"));
        site.check_says("ok", &[]);
        let said = site.operator.said();
        assert!(!said.iter().any(|line| line.contains("anew") || line.contains("lost")), "{said:#?}");
        site.operator.stop();
    }
}

on_gpu! {
    /// A first start builds the engine at the configured path.
    fn a_first_start_puts_the_engine_in_its_place() {
        let mut site = Site::new(&Export::yolo());
        std::fs::remove_dir_all(site.operator.path("models/engines")).unwrap();
        std::fs::remove_dir_all(site.operator.path("cache")).unwrap();
        site.check_says("limited", &["not built yet"]);
        site.run().finds(OLD);
        site.check_says("ok", &[]);
    }
}
