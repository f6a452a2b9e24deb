//! ONNX files made by tests: the test model `yolo` with other weights, other names, and external data.

use super::find;
use prost::Message;
use proto::{Attribute, EXTERNAL, Entry, Graph, Model, Node, Tensor, ValueInfo};
use std::collections::BTreeMap;
use std::path::Path;

#[path = "../../crates/tensorrt/src/onnx/proto.rs"]
pub mod proto;

/// The weights of the convolution that detects the colours, `[3, 3, 8, 8]`: the first dimension is the class.
pub const KERNEL: &str = "c0";
/// The positions of the boxes, `[1, 4, 126]`.
pub const BOXES: &str = "c21";

/// A model and its external data files.
#[derive(Clone)]
pub struct Export {
    model: Model,
    files: BTreeMap<String, Vec<u8>>,
}

impl Export {
    /// The model of the repository.
    pub fn yolo() -> Self {
        let bytes = std::fs::read(find::test_model("yolo")).unwrap();
        Self { model: Model::decode(bytes.as_slice()).unwrap(), files: BTreeMap::new() }
    }

    fn graph(&mut self) -> &mut Graph {
        self.model.graph.as_mut().unwrap()
    }

    fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.graph().initializer.iter_mut().find(|tensor| tensor.name() == name).unwrap()
    }

    /// A retrained model: it detects red as blue and blue as red.
    pub fn swapped(mut self) -> Self {
        let kernel = self.tensor(KERNEL);
        let mut bytes = kernel.raw_data().to_vec();
        let class = bytes.len() / 3;
        let (red, others) = bytes.split_at_mut(class);
        red.swap_with_slice(&mut others[class..]);
        kernel.raw_data = Some(bytes.into());
        self
    }

    /// Moves every box a cell to the right.
    pub fn shifted(mut self) -> Self {
        let boxes = self.tensor(BOXES);
        let mut bytes = boxes.raw_data().to_vec();
        let row = bytes.len() / 4;
        for x in bytes[..row].as_chunks_mut::<4>().0 {
            *x = (f32::from_le_bytes(*x) + 8.0).to_le_bytes();
        }
        boxes.raw_data = Some(bytes.into());
        self
    }

    /// Renames the classes.
    pub fn named(mut self, names: [&str; 3]) -> Self {
        let text = format!("{{0: '{}', 1: '{}', 2: '{}'}}", names[0], names[1], names[2]);
        let entry = self.model.metadata_props.iter_mut().find(|entry| entry.key() == "names").unwrap();
        entry.value = Some(text);
        self
    }

    /// Moves a tensor to an external file, appended to its content.
    pub fn external(mut self, name: &str, file: &str) -> Self {
        let data = self.tensor(name).raw_data.take().unwrap();
        let content = self.files.entry(file.to_owned()).or_default();
        let (offset, length) = (content.len(), data.len());
        content.extend_from_slice(&data);
        let entry = |key: &str, value: String| Entry { key: Some(key.into()), value: Some(value) };
        let tensor = self.tensor(name);
        tensor.data_location = Some(EXTERNAL);
        tensor.external_data = vec![
            entry("location", file.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        self
    }

    /// Makes a tensor the output of an `If`, with the data in its two branches.
    pub fn in_a_subgraph(mut self, name: &str) -> Self {
        /// `AttributeProto.AttributeType.GRAPH`, `TensorProto.DataType.BOOL`
        const GRAPH: i32 = 5;
        const BOOL: i32 = 9;
        let at = self.graph().initializer.iter().position(|tensor| tensor.name() == name).unwrap();
        let tensor = self.graph().initializer.remove(at);
        let branch = |branch: &str| {
            let inner = format!("{name}_{branch}");
            let tensor = Tensor { name: Some(inner.clone()), ..tensor.clone() };
            let output = format!("{inner}_out");
            let pass = Node {
                input: vec![inner],
                output: vec![output.clone()],
                op_type: Some("Identity".into()),
                ..Node::default()
            };
            let graph = Graph {
                node: vec![pass],
                name: Some(branch.into()),
                initializer: vec![tensor],
                output: vec![ValueInfo { name: Some(output), ..ValueInfo::default() }],
                ..Graph::default()
            };
            Attribute { name: Some(branch.into()), g: Some(graph), r#type: Some(GRAPH), ..Attribute::default() }
        };
        let choice = Node {
            input: vec!["always".into()],
            output: vec![name.into()],
            op_type: Some("If".into()),
            attribute: vec![branch("then_branch"), branch("else_branch")],
            ..Node::default()
        };
        let always = Tensor {
            data_type: Some(BOOL),
            name: Some("always".into()),
            raw_data: Some(vec![1].into()),
            ..Tensor::default()
        };
        self.graph().node.insert(0, choice);
        self.graph().initializer.push(always);
        self
    }

    /// The ONNX file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// Overwrites existing files: the same names with other content.
    pub fn write(&self, model: &Path) {
        self.write_files(model.parent().unwrap());
        std::fs::write(model, self.bytes()).unwrap();
    }

    /// Writes the external files alone.
    pub fn write_files(&self, folder: &Path) {
        for (name, content) in &self.files {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), content).unwrap();
        }
    }
}
