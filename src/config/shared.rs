//! A file as a fleet shares it: each camera by itself, and everything else once. Variables (`${NAME}`) stay as they are and
//! are filled in where the cameras run; so are paths.

use super::finding::{Finding, Findings, Origin, Severity};
use super::resolve::{Context, Purpose, names};
use super::text::parse;
use super::typed::typed;
use super::variables::Variables;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CAMERAS: &str = "cameras";
const STREAMS: &str = "RTSP_STREAMS";

/// A file, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Everything but the cameras.
    pub settings: Map<String, Value>,
    /// The cameras by name; each has its `NAME`.
    pub cameras: BTreeMap<String, Map<String, Value>>,
}

/// Takes the text of a file apart. Keys, types and names are checked; files that it names aren't, because they are on the
/// hosts.
///
/// # Errors
/// All errors, with the warnings.
pub fn split(path: &Path, text: &str) -> Result<(Shared, Findings), Findings> {
    let mut findings = Findings { file: path.into(), pipeline: None, list: Vec::new() };
    let (tree, twice) = match parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.list.push(*error);
            return Err(findings);
        }
    };
    findings.list.extend(twice);
    let variables = Variables::deferred();
    let (file, written, wrong) = typed(&tree, &variables);
    findings.list.extend(wrong);
    let mut ctx = Context::new(&file, &written, &variables, path, Purpose::Build, findings);
    let names = names(&mut ctx);
    let mut findings = ctx.findings;
    findings.sort();
    let Value::Object(mut settings) = tree.to_json() else {
        let rule = "the whole file is one object".to_owned();
        let remedy = "compare it with docs/configuration.md".to_owned();
        let origin = Some(Origin::File { line: 1, column: 1 });
        let finding = Finding { severity: Severity::Error, key: String::new(), value: None, rule, remedy, origin };
        findings.list.push(finding);
        return Err(findings);
    };
    if findings.has_errors() {
        return Err(findings);
    }
    // For editors of the file.
    settings.remove("$schema");
    let streams = settings.get_mut(CAMERAS).and_then(Value::as_object_mut).and_then(|cameras| cameras.remove(STREAMS));
    let streams = match streams {
        Some(Value::Array(streams)) => streams,
        _ => Vec::new(),
    };
    let named = |(name, stream): (String, Value)| {
        let mut camera = match stream {
            Value::Object(camera) => camera,
            url => Map::from_iter([("URL".to_owned(), url)]),
        };
        camera.insert("NAME".to_owned(), name.clone().into());
        (name, camera)
    };
    let cameras = names.into_iter().zip(streams).map(named).collect();
    Ok((Shared { settings, cameras }, findings))
}

/// The text of a file with these settings and cameras, for [`load_text`](super::load_text).
pub fn joined<'a>(settings: &Map<String, Value>, cameras: impl IntoIterator<Item = &'a Map<String, Value>>) -> String {
    let mut settings = settings.clone();
    let streams: Vec<&Map<String, Value>> = cameras.into_iter().collect();
    // What isn't an object was not written by `split`, and is an error when the text is loaded.
    if let Value::Object(cameras) = settings.entry(CAMERAS).or_insert_with(|| json!({})) {
        cameras.insert(STREAMS.to_owned(), json!(streams));
    }
    Value::Object(settings).to_string()
}

/// The position in a file's list of the camera that a finding is about; `None`: it's about the settings.
pub fn camera_of(finding: &Finding) -> Option<usize> {
    let rest = finding.key.strip_prefix(CAMERAS)?.strip_prefix('.')?.strip_prefix(STREAMS)?.strip_prefix('.')?;
    rest.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, load_text};
    use super::*;

    #[test]
    fn what_is_taken_apart_and_joined_means_the_same() {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/yolo.onnx");
        let text = format!(
            r#"{{
                "$schema": "config.schema.json",
                "processing": {{ "USE_UNIFIED_GPU_PIPELINE": false, "FORCE_GPU_ONLY": false }},
                "models": {{ "DETECTION": {{ "ONNX": "{model}" }}, "POSE": {{ "ENABLED": false }} }},
                "cameras": {{
                    "RTSP_STREAMS": [
                        "rtsp://${{USER}}:${{WORD}}@door/1", # the door
                        {{ "URL": "test:ball", "DETECTION": {{ "CONFIDENCE": 0.5 }} }},
                        {{ "NAME": "yard", "URL": "rtsp://yard" }},
                        'test:ball',
                    ],
                    "LATENCY_MS": 70,
                }},
                "outputs": {{ "JSON_LINES": "{{camera}}.jsonl" }},
            }}"#
        );
        let (shared, findings) = split(Path::new("config.json"), &text).unwrap();
        assert!(!findings.has_errors());
        let names: Vec<_> = shared.cameras.keys().map(String::as_str).collect();
        assert_eq!(names, ["door-1", "test-ball", "test-ball-2", "yard"]);
        assert_eq!(shared.cameras["door-1"]["URL"], "rtsp://${USER}:${WORD}@door/1", "the secret stays out");
        assert!(shared.settings["cameras"].get("RTSP_STREAMS").is_none());

        let overrides =
            Overrides { variables: Variables::from_iter([("USER", "me"), ("WORD", "s3cret")]), ..Overrides::default() };
        let load = |text: &str| load_text(Path::new("config.json"), text, &overrides).unwrap().plan;
        let mut plan = load(&text);
        plan.cameras.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(load(&joined(&shared.settings, shared.cameras.values())), plan);
    }

    #[test]
    fn what_is_wrong_anywhere_is_said_before_it_is_shared() {
        for (text, says) in [
            ("{", "}"),
            ("[]", "object"),
            (r#"{"processing": {"MAX_QUEUE_SIZE": "x"}}"#, "MAX_QUEUE_SIZE"),
            (r#"{"cameras": {"RTSP_STREAMS": [{"NAME": "a b", "URL": "test:ball"}]}}"#, "a-b"),
            (r#"{"cameras": {"RTSP_STREAMS": [{"NAME": "a", "URL": "b"}, {"NAME": "a", "URL": "c"}]}}"#, "same name"),
            (r#"{"cameras": {"RTSP_STREAMS": [7]}}"#, "RTSP_STREAMS.0"),
        ] {
            let findings = split(Path::new("config.json"), text).unwrap_err();
            assert!(findings.has_errors() && findings.to_string().contains(says), "{text}: {findings}");
        }
    }

    #[test]
    fn a_finding_names_its_camera() {
        let text =
            r#"{"cameras": {"RTSP_STREAMS": [{"NAME": "a", "URL": "test:ball"}, {"NAME": "b", "URL": "ftp://x"}]}}"#;
        let findings = load_text(Path::new("config.json"), text, &Overrides::default()).unwrap_err();
        let of: Vec<_> = findings.list.iter().filter(|f| f.severity == Severity::Error).filter_map(camera_of).collect();
        assert_eq!(of, [1], "{findings}");
        let whole = Finding { key: "cameras.LATENCY_MS".into(), ..findings.list[0].clone() };
        assert_eq!(camera_of(&whole), None);
    }
}
