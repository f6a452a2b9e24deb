//! The facts that determine an engine: its cache key is derived from them, and its record lists them in clear text.

use crate::content::ModelContent;
use crate::recipe::{BuildSettings, EnginePrecision, HardwareCompatibility};
use crate::version::Version;
use files::digest::hex;
use model::GpuFacts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Version of this crate's ONNX conversions and of its choice of profiles.
pub const CONVERTER: u32 = 3;

/// Everything that determines an engine: equal facts give an equal engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// SHA-256 of the ONNX file, and, by name, of the files with external weights.
    pub onnx: String,
    /// SHA-256 of the ONNX file's external files and of its list of FP32 nodes, by name.
    pub external_data: BTreeMap<String, String>,
    /// This crate's [`CONVERTER`].
    pub converter: u32,
    /// Flavour and full version.
    pub tensorrt: String,
    /// `None`: built without a GPU (RTX).
    pub gpu: Option<GpuFacts>,
    /// The compute capability for which it was built without a GPU (RTX).
    pub compute_capability: Option<(u32, u32)>,
    /// The precision of the arithmetic.
    pub precision: EnginePrecision,
    /// Whether tensors have the types that the model gives.
    pub strongly_typed: bool,
    /// Together with the ONNX file, these two determine the minimum, optimum and maximum shape of every input.
    pub batch_size: u32,
    /// Width and height of the input, if they are dynamic in the model.
    pub size: Option<(u32, u32)>,
    /// The builder's effort, 0 to 5.
    pub optimization_level: u8,
    /// MiB.
    pub workspace: u32,
    /// The other GPUs on which it runs.
    pub hardware_compatibility: HardwareCompatibility,
    /// Whether TF32 is allowed.
    pub tf32: bool,
    /// Bits of the libraries whose tactics are tried.
    pub tactic_sources: Option<u32>,
    /// Number of runs that are averaged when a tactic is timed.
    pub timing_iterations: Option<u8>,
    /// Nodes that stay FP32 besides those that follow from the model.
    #[serde(default)]
    pub fp32_nodes: BTreeSet<String>,
}

impl Facts {
    /// The facts of an engine of `model` that is built with these settings.
    pub fn new(model: &ModelContent, version: Version, gpu: Option<GpuFacts>, settings: &BuildSettings) -> Self {
        // The pattern names every field, so that adding a setting forces a decision here.
        let BuildSettings {
            precision,
            batch_size,
            workspace,
            optimization_level,
            size,
            hardware_compatibility,
            tf32,
            strongly_typed,
            tactic_sources,
            timing_iterations,
            compute_capability,
            fp32_nodes,
        } = settings.clone();
        Self {
            onnx: hex(&model.file),
            external_data: model.beside.iter().map(|(name, hash)| (name.clone(), hex(hash))).collect(),
            converter: CONVERTER,
            tensorrt: version.to_string(),
            gpu,
            compute_capability,
            precision,
            strongly_typed,
            batch_size,
            size,
            optimization_level,
            workspace,
            hardware_compatibility,
            tf32,
            tactic_sources,
            timing_iterations,
            fp32_nodes,
        }
    }

    /// Whether an engine with these facts runs on several kinds of GPU.
    pub fn runs_on_other_gpus(&self) -> bool {
        self.hardware_compatibility != HardwareCompatibility::None
    }

    /// SHA-256 of all facts, in hexadecimal.
    pub fn key(&self) -> String {
        // Fields are in declaration order and maps are sorted, so equal facts give equal text.
        hex(&Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// Lists every field in which `self` (stored) differs from `wanted`.
    pub fn differences(&self, wanted: &Self) -> Vec<Difference> {
        let (stored, wanted) = (serde_json::to_value(self), serde_json::to_value(wanted));
        let mut differences = Vec::new();
        if let (Ok(stored), Ok(wanted)) = (stored, wanted) {
            compare("", &stored, &wanted, &mut differences);
        }
        differences
    }
}

/// One field in which two engines' facts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name, with a dot for a nested field.
    pub field: String,
    /// The stored engine's value.
    pub stored: String,
    /// The requested value.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, wanted {}", self.field, self.stored, self.wanted)
    }
}

fn compare(field: &str, stored: &Value, wanted: &Value, into: &mut Vec<Difference>) {
    match (stored, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                compare(&path, a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null), into);
            }
        }
        (a, b) if a != b => into.push(Difference { field: field.into(), stored: a.to_string(), wanted: b.to_string() }),
        _ => {}
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn facts() -> Facts {
        let gpu = GpuFacts {
            name: "NVIDIA H200".into(),
            compute_capability: (9, 0),
            multiprocessors: 132,
            memory: 150_000_000_000,
        };
        let version = Version::decode(100_600, "libnvinfer.so.10");
        let model = ModelContent { file: [7; 32], beside: BTreeMap::new() };
        Facts::new(&model, version, Some(gpu), &BuildSettings::default())
    }

    #[test]
    fn every_fact_changes_the_key() {
        let changes: [fn(&mut Facts); 19] = [
            |f| f.onnx = "cd".into(),
            |f| f.external_data = BTreeMap::from([("weights.bin".into(), "ef".into())]),
            |f| f.converter += 1,
            |f| f.tensorrt = "TensorRT-RTX 10.6.0".into(),
            |f| f.gpu = None,
            |f| f.gpu.as_mut().unwrap().name += " MIG 1g.18gb",
            |f| f.gpu.as_mut().unwrap().compute_capability = (8, 0),
            |f| f.gpu.as_mut().unwrap().multiprocessors = 16,
            |f| f.gpu.as_mut().unwrap().memory /= 2,
            |f| f.precision = EnginePrecision::Fp32,
            |f| f.strongly_typed = true,
            |f| f.batch_size = 2,
            |f| f.size = Some((640, 640)),
            |f| f.optimization_level = 3,
            |f| f.workspace = 1,
            |f| f.hardware_compatibility = HardwareCompatibility::AmperePlus,
            |f| f.tf32 = false,
            |f| f.tactic_sources = Some(0),
            |f| f.fp32_nodes = BTreeSet::from(["/norm/Add_output_0".into()]),
        ];
        let mut keys = vec![facts().key()];
        for change in changes {
            let mut other = facts();
            change(&mut other);
            assert_eq!(facts().differences(&other).len(), 1);
            keys.push(other.key());
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 20);
        assert_eq!(facts().key(), facts().key());
        assert_eq!(facts().key().len(), 64);
    }

    #[test]
    fn differences_name_the_field() {
        let mut other = facts();
        other.gpu.as_mut().unwrap().name = "Tesla T4".into();
        other.tensorrt = "TensorRT 10.9.0".into();
        let text: Vec<String> = facts().differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                r#"gpu.name is "NVIDIA H200", wanted "Tesla T4""#,
                r#"tensorrt is "TensorRT 10.6.0", wanted "TensorRT 10.9.0""#
            ]
        );
    }
}
