//! Models that FP16 can't hold, made of exports: values that leave FP16's range and come back, without any effect in FP32.

use super::onnx::proto::{Attribute, Graph, Model, Node, Tensor, data_type};
use prost::Message;
use std::path::Path;

/// An ONNX file that is changed.
pub struct Overflowing {
    model: Model,
    /// How much larger its values become, and smaller again; a power of two, so that products with it are exact.
    up: f32,
}

impl Overflowing {
    pub fn open(file: &Path, up: f32) -> Self {
        Self { model: Model::decode(std::fs::read(file).unwrap().as_slice()).unwrap(), up }
    }

    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.model.encode_to_vec()).unwrap();
    }

    fn graph(&mut self) -> &mut Graph {
        self.model.graph.as_mut().unwrap()
    }

    fn position(&mut self, output: &str) -> usize {
        self.graph().node.iter().position(|node| node.output.iter().any(|name| name == output)).unwrap()
    }

    /// First outputs of the nodes of this operator.
    pub fn outputs(&mut self, op: &str) -> Vec<String> {
        self.graph().node.iter().filter(|node| node.op_type() == op).map(|node| node.output[0].clone()).collect()
    }

    /// The inputs of the node with this output.
    pub fn inputs(&mut self, output: &str) -> Vec<String> {
        let at = self.position(output);
        self.graph().node[at].input.clone()
    }

    /// The operator of the node with this output; empty for a constant.
    pub fn op(&mut self, output: &str) -> String {
        let graph = self.graph();
        graph.node.iter().find(|node| node.output.iter().any(|name| name == output)).map_or("", |n| n.op_type()).into()
    }

    /// Products with constants, one after the other, between a value and whatever takes it. Their nodes are called
    /// `NAME0`, `NAME1`, … Returns the last one's output.
    pub fn after(&mut self, value: &str, name: &str, factors: &[f32]) -> String {
        let at = self.position(value) + 1;
        let graph = self.graph();
        let last = format!("{name}{}", factors.len() - 1);
        for input in graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|input| *input == value) {
            input.clone_from(&last);
        }
        self.insert(at, value, name, factors);
        last
    }

    /// The same, between a value and one input of the node that has `output`.
    pub fn before(&mut self, output: &str, input: usize, name: &str, factors: &[f32]) {
        let at = self.position(output);
        let last = format!("{name}{}", factors.len() - 1);
        let value = std::mem::replace(&mut self.graph().node[at].input[input], last);
        self.insert(at, &value, name, factors);
    }

    fn insert(&mut self, at: usize, value: &str, name: &str, factors: &[f32]) {
        let mut from = value.to_owned();
        for (index, factor) in factors.iter().enumerate() {
            let (output, constant) = (format!("{name}{index}"), format!("{name}{index}_factor"));
            let node = Node {
                input: vec![from, constant.clone()],
                output: vec![output.clone()],
                name: Some(output.clone()),
                op_type: Some("Mul".into()),
                ..Node::default()
            };
            let tensor = Tensor {
                name: Some(constant),
                data_type: Some(data_type::FLOAT),
                float_data: vec![*factor],
                ..Tensor::default()
            };
            let graph = self.graph();
            graph.node.insert(at + index, node);
            graph.initializer.push(tensor);
            from = output;
        }
    }

    /// The input's values get noise of 0 to this, another one in each run.
    pub fn noise(&mut self, high: f32) {
        let image = self.graph().input[0].name().to_owned();
        for input in self.graph().node.iter_mut().flat_map(|node| &mut node.input).filter(|input| **input == image) {
            *input = "noisy".into();
        }
        let made = |op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>| Node {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(output.into()),
            op_type: Some(op.into()),
            attribute,
            ..Node::default()
        };
        /// `AttributeProto.AttributeType.FLOAT`
        const FLOAT: i32 = 1;
        let high = Attribute { name: Some("high".into()), f: Some(high), r#type: Some(FLOAT), ..Attribute::default() };
        let noise = made("RandomUniformLike", &[&image], "noise", vec![high]);
        self.graph().node.splice(0..0, [noise, made("Add", &[&image, "noise"], "noisy", vec![])]);
    }

    /// A value leaves the range of FP16 and comes back.
    pub fn detour(&mut self, value: &str, name: &str) {
        self.after(value, name, &[self.up, self.up, 1.0 / self.up, 1.0 / self.up]);
    }

    /// Each attention's product of queries and keys is too large, and its scores are scaled back.
    pub fn attention(&mut self) -> usize {
        let mut found = 0;
        for softmax in self.outputs("Softmax") {
            let mut scores = self.inputs(&softmax)[0].clone();
            while matches!(&*self.op(&scores), "Add" | "Mul" | "Div" | "Reshape" | "Where") {
                scores = self.inputs(&scores)[0].clone();
            }
            let is_product = self.op(&scores) == "MatMul" && {
                let inputs = self.inputs(&scores);
                inputs.iter().all(|input| !self.op(input).is_empty())
            };
            if is_product {
                let name = format!("attention{found}_");
                self.after(&scores, &name, &[1.0 / self.up, 1.0 / self.up]);
                self.before(&scores, 0, &format!("{name}q"), &[self.up]);
                self.before(&scores, 1, &format!("{name}k"), &[self.up]);
                found += 1;
            }
        }
        found
    }

    /// Each normalisation is in single operators, as exporters write them before opset 17, and of large values.
    pub fn normalisation(&mut self) -> usize {
        /// `AttributeProto.AttributeType.INTS`
        const INTS: i32 = 7;
        let (norms, up) = (self.outputs("LayerNormalization"), self.up);
        for (index, output) in norms.iter().enumerate() {
            self.before(output, 0, &format!("norm{index}_large"), &[self.up]);
            let at = self.position(output);
            let node = self.graph().node.remove(at);
            let epsilon = node.attribute.iter().find(|attribute| attribute.name() == "epsilon").map_or(1e-5, |a| a.f());
            let name = |part: &str| format!("norm{index}_{part}");
            let scalar = |part: &str, value: f32| Tensor {
                name: Some(name(part)),
                data_type: Some(data_type::FLOAT),
                float_data: vec![value],
                ..Tensor::default()
            };
            // The variance is scaled too.
            self.graph().initializer.extend([scalar("two", 2.0), scalar("epsilon", epsilon * up * up)]);
            let axes =
                Attribute { name: Some("axes".into()), ints: vec![-1], r#type: Some(INTS), ..Attribute::default() };
            let made = |op: &str, inputs: &[&str], output: &str| Node {
                input: inputs.iter().map(|name| (*name).to_owned()).collect(),
                output: vec![output.to_owned()],
                op_type: Some(op.into()),
                attribute: if op == "ReduceMean" { vec![axes.clone()] } else { vec![] },
                ..Node::default()
            };
            let [mean, centred, square, variance, shifted, deviation, scaled, weighted] =
                ["mean", "centred", "square", "variance", "shifted", "deviation", "scaled", "weighted"].map(name);
            let (x, gamma, beta) = (&*node.input[0], &*node.input[1], &*node.input[2]);
            let nodes = [
                made("ReduceMean", &[x], &mean),
                made("Sub", &[x, &mean], &centred),
                made("Pow", &[&centred, &name("two")], &square),
                made("ReduceMean", &[&square], &variance),
                made("Add", &[&variance, &name("epsilon")], &shifted),
                made("Sqrt", &[&shifted], &deviation),
                made("Div", &[&centred, &deviation], &scaled),
                made("Mul", &[&scaled, gamma], &weighted),
                made("Add", &[&weighted, beta], output),
            ];
            self.graph().node.splice(at..at, nodes);
        }
        norms.len()
    }

    /// Each sampling grid passes through large values.
    pub fn grids(&mut self) -> usize {
        let samples = self.outputs("GridSample");
        for (index, output) in samples.iter().enumerate() {
            let grid = self.inputs(output)[1].clone();
            self.detour(&grid, &format!("grid{index}_"));
            // What is sampled hardly matters with seeded weights.
            self.after(output, &format!("sampled{index}_"), &[64.0]);
        }
        samples.len()
    }

    /// Each inverse sigmoid passes through large values.
    pub fn inverse_sigmoids(&mut self) -> usize {
        let logs = self.outputs("Log");
        for (index, output) in logs.iter().enumerate() {
            self.detour(output, &format!("log{index}_"));
        }
        logs.len()
    }
}
