//! Conversion of an ONNX model to FP16, for TensorRT releases that take each tensor's type from the model.
//!
//! The expensive part runs in FP16: every operator on a path from the inputs to a convolution or matrix product.
//! Operators after the last of these (boxes, keypoints, scores) stay FP32, and so do indices and operators that select
//! by them. A value keeps its name and type; its FP16 form has a separate name, and casts convert between the two where
//! both are needed. So inputs and outputs don't change.
//!
//! In quantised models, `QuantizeLinear` and `DequantizeLinear` nodes around FP16 operators get FP16 scales, so that
//! nothing stands between a DQ node and its convolution, which TensorRT fuses into one INT8 kernel. The integers don't
//! change. A scale that FP16 can't represent with full precision stays FP32, together with its node.
//!
//! Other nodes stay FP32 by name: those that [`sensitive`] finds, and those that a user names.

mod sensitive;
mod simulate;

pub use sensitive::sensitive;
pub use simulate::simulate;

use super::proto::{Attribute, Graph, Node, Tensor, data_type};
use super::types::{is_standard, value_types};
use super::{proto, visit_names};
use half::f16;
use half::slice::HalfFloatSliceExt;
use prost::bytes::Bytes;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Operators that stay FP32: those on indices or selecting by them, and those that not every release supports in FP16.
const STAY: [&str; 36] = [
    "ArgMax",
    "ArgMin",
    "Compress",
    "Constant",
    "ConstantOfShape",
    "CumSum",
    "Det",
    "EyeLike",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "GridSample",
    "If",
    "LSTM",
    "Loop",
    "Multinomial",
    "NonMaxSuppression",
    "NonZero",
    "OneHot",
    "RNN",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "RoiAlign",
    "Scan",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Size",
    "TopK",
    "Trilu",
    "Unique",
];

/// Operators with weights; everything after the last of them is decoding.
const WEIGHTED: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// Operators that move values without computing.
const MOVE: [&str; 6] = ["Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Flatten"];

/// Why a model can't be converted, for example an initialiser that can't be read.
pub type Reason = String;

/// Returns the bytes of a tensor in another file.
pub type External<'a> = dyn Fn(&Tensor) -> Result<Bytes, Reason> + 'a;

/// The name by which a node is known: that of its first output, which is unique in a graph. Names of nodes are optional.
pub fn id(node: &Node) -> &str {
    node.output.first().map_or("", String::as_str)
}

/// The nodes that can run in FP16.
///
/// # Errors
/// As for [`convert`].
pub fn candidates<'a>(graph: &'a Graph, external: &External<'_>) -> Result<Vec<&'a Node>, Reason> {
    let types = value_types(graph);
    let is_float = |name: &str| types.get(name) == Some(&data_type::FLOAT);
    let chosen = choose(graph, &is_float, &constants(graph, &is_float), external)?;
    Ok(graph.node.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(node, _)| node).collect())
}

/// Converts the graph, except for the nodes whose first output is in `fp32`.
///
/// # Errors
/// An initialiser's bytes don't match its shape, or can't be read.
pub fn convert(graph: &mut Graph, fp32: &BTreeSet<String>, external: &External<'_>) -> Result<(), Reason> {
    let types = value_types(graph);
    let is_float = |name: &str| types.get(name) == Some(&data_type::FLOAT);
    let constants = constants(graph, &is_float);
    let mut chosen = choose(graph, &is_float, &constants, external)?;
    for (node, chosen) in graph.node.iter().zip(&mut chosen) {
        *chosen &= !fp32.contains(id(node));
    }

    let mut taken: HashSet<String> = HashSet::new();
    visit_names(graph, &mut |name| {
        taken.insert(name.to_owned());
    });
    let mut half_names: HashMap<String, String> = HashMap::new();
    let mut half_name = |name: &str| {
        let fresh = || {
            let mut half = format!("{name}_fp16");
            while !taken.insert(half.clone()) {
                half.push('_');
            }
            half
        };
        half_names.entry(name.to_owned()).or_insert_with(fresh).clone()
    };

    // Values that exist in FP16 so far.
    let mut halves: HashSet<String> = HashSet::new();
    let mut initializers = Vec::new();
    let mut nodes = Vec::new();
    let wanted_float = wanted_as_float(graph, &chosen);
    for (mut node, chosen) in std::mem::take(&mut graph.node).into_iter().zip(chosen) {
        if !chosen {
            // Shapes don't depend on the element type, so they need no cast.
            if matches!(node.op_type(), "Shape" | "Size") {
                for input in
                    node.input.iter_mut().filter(|input| halves.contains(*input) && !wanted_float.contains(*input))
                {
                    *input = half_name(input);
                }
            }
            nodes.push(node);
            continue;
        }
        for index in 0..node.input.len() {
            let Some(input) = node.input.get(index).filter(|input| is_float(input) && converts(&node, index)).cloned()
            else {
                continue;
            };
            let half = half_name(&input);
            if halves.insert(input.clone()) {
                match constants.get(&input) {
                    Some(tensor) => initializers.push(to_half(tensor, &half, external)?),
                    None => nodes.push(cast(&input, &half, data_type::FLOAT16)),
                }
            }
            if let Some(slot) = node.input.get_mut(index) {
                *slot = half;
            }
        }
        if node.op_type() == "Cast" {
            node.attribute
                .iter_mut()
                .filter(|a| a.name() == "to")
                .for_each(|a| a.i = Some(i64::from(data_type::FLOAT16)));
        }
        let mut casts = Vec::new();
        for output in node.output.iter_mut().filter(|output| is_float(output)) {
            let half = half_name(output);
            halves.insert(output.clone());
            if wanted_float.contains(output) {
                casts.push(cast(&half, output, data_type::FLOAT));
            }
            *output = half;
        }
        nodes.push(node);
        nodes.append(&mut casts);
    }
    graph.node = nodes;
    graph.initializer.append(&mut initializers);
    drop_unused(graph);
    Ok(())
}

/// The FP32 tensors of constants by name, from initialisers and `Constant` nodes.
fn constants(graph: &Graph, is_float: &dyn Fn(&str) -> bool) -> HashMap<String, Tensor> {
    let initializers = graph.initializer.iter().map(|tensor| (tensor.name().to_owned(), tensor.clone()));
    let nodes = graph.node.iter().filter(|node| node.op_type() == "Constant").filter_map(|node| {
        let (name, attribute) = (node.output.first()?.clone(), node.attribute.first()?);
        let floats =
            |dims, float_data| Tensor { dims, float_data, data_type: Some(data_type::FLOAT), ..Tensor::default() };
        let tensor = match attribute.name() {
            "value" => attribute.t.clone()?,
            "value_float" => floats(vec![], vec![attribute.f()]),
            "value_floats" => floats(vec![attribute.floats.len() as i64], attribute.floats.clone()),
            _ => return None,
        };
        Some((name, tensor))
    });
    initializers.chain(nodes).filter(|(name, _)| is_float(name)).collect()
}

/// Whether each node runs in FP16.
fn choose(
    graph: &Graph,
    is_float: &dyn Fn(&str) -> bool,
    constants: &HashMap<String, Tensor>,
    external: &External<'_>,
) -> Result<Vec<bool>, Reason> {
    let from_image = from_image(graph, is_float);
    let to_weights = to_weights(graph, constants);
    let mut fits: HashMap<&str, Fit> = HashMap::new();
    for (name, tensor) in constants {
        fits.insert(name, Fit::of(&floats(tensor, external)?));
    }
    let fit = |input: &String| fits.get(input.as_str()).copied();
    let chosen = graph.node.iter().enumerate().map(|(index, node)| {
        from_image.contains(&index)
            && to_weights.contains(&index)
            && is_standard(node)
            && !STAY.contains(&node.op_type())
            && match quantises(node) {
                // TensorRT doesn't support scales that aren't constants.
                true => node.input.get(1).and_then(fit) == Some(Fit::Exactly),
                false => node.output.iter().any(|output| is_float(output)),
            }
            && node.input.iter().all(|input| fit(input) != Some(Fit::Not))
    });
    Ok(chosen.collect())
}

/// `QuantizeLinear` or `DequantizeLinear`.
pub fn quantises(node: &Node) -> bool {
    is_standard(node) && matches!(node.op_type(), "QuantizeLinear" | "DequantizeLinear")
}

/// How well FP16 represents a constant's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// All values have FP16's full precision.
    Exactly,
    /// Some values are 0 or so small that they lose bits.
    Roughly,
    /// Some values are too large.
    Not,
}

impl Fit {
    fn of(values: &[f32]) -> Self {
        let largest = |value: &f32| !value.is_finite() || value.abs() <= f16::MAX.to_f32();
        let normal = |value: &f32| value.is_finite() && value.abs() >= f16::MIN_POSITIVE.to_f32();
        match (values.iter().all(largest), values.iter().all(normal)) {
            (false, _) => Self::Not,
            (true, true) => Self::Exactly,
            (true, false) => Self::Roughly,
        }
    }
}

/// Nodes that compute with floats derived from the graph's inputs, not only from constants or indices.
fn from_image(graph: &Graph, is_float: &dyn Fn(&str) -> bool) -> HashSet<usize> {
    let initializers: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    let mut values: HashSet<&str> =
        graph.input.iter().map(|info| info.name()).filter(|name| !initializers.contains(name)).collect();
    let mut nodes = HashSet::new();
    for (index, node) in graph.node.iter().enumerate() {
        // Integer images are moved and cast; other integers are indices.
        let picks = matches!(node.op_type(), "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression");
        // Quantised weights are converted as activations are.
        if picks || !(quantises(node) || node.input.iter().any(|input| values.contains(input.as_str()))) {
            continue;
        }
        nodes.insert(index);
        let indices = if node.op_type() == "TopK" { 1 } else { usize::MAX };
        let outputs = node.output.iter().enumerate().filter(|(output, _)| *output != indices);
        values.extend(outputs.map(|(_, output)| output.as_str()).filter(|output| is_float(output) || is_image(node)));
    }
    nodes
}

/// Whether the node only moves or casts an image of any type.
fn is_image(node: &Node) -> bool {
    MOVE.contains(&node.op_type()) || matches!(node.op_type(), "Slice" | "Cast" | "Pad" | "Concat")
}

/// Nodes with weights, and all nodes that lead to them.
fn to_weights(graph: &Graph, constants: &HashMap<String, Tensor>) -> HashSet<usize> {
    let producers: HashMap<&str, &Node> =
        graph.node.iter().flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node))).collect();
    let mut nodes = HashSet::new();
    let mut leading: HashSet<&str> = HashSet::new();
    for (index, node) in graph.node.iter().enumerate().rev() {
        let weighted = WEIGHTED.contains(&node.op_type()) && !is_expectation(node, &producers, constants);
        if weighted || node.output.iter().any(|output| leading.contains(output.as_str())) {
            nodes.insert(index);
            leading.extend(node.input.iter().map(String::as_str));
        }
    }
    nodes
}

/// A product of a softmax with constants: the mean of a distribution over distances (DFL), which is decoding.
fn is_expectation(node: &Node, producers: &HashMap<&str, &Node>, constants: &HashMap<String, Tensor>) -> bool {
    if !node.input.get(1).is_some_and(|weights| constants.contains_key(weights)) {
        return false;
    }
    let mut value = node.input.first();
    // The steps are limited to the number of nodes: a cycle is invalid ONNX, but the loop must still end.
    for _ in 0..producers.len() {
        match value.and_then(|value| producers.get(value.as_str())) {
            Some(producer) if producer.op_type() == "Softmax" => return true,
            Some(producer) if MOVE.contains(&producer.op_type()) => value = producer.input.first(),
            _ => return false,
        }
    }
    false
}

/// Values that are needed in FP32: by nodes that stay FP32, by subgraphs or as outputs.
fn wanted_as_float(graph: &Graph, chosen: &[bool]) -> HashSet<String> {
    let mut wanted: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    for (node, chosen) in graph.node.iter().zip(chosen) {
        let taken = node.input.iter().enumerate();
        let shape = matches!(node.op_type(), "Shape" | "Size");
        wanted.extend(
            taken.filter(|(index, _)| !(shape || *chosen && converts(node, *index))).map(|(_, name)| name.clone()),
        );
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            visit_names(inner, &mut |name| {
                wanted.insert(name.to_owned());
            });
        }
    }
    wanted
}

/// Whether an input follows the node's type; scales and regions of interest don't.
fn converts(node: &Node, input: usize) -> bool {
    input == 0 || !matches!(node.op_type(), "Resize" | "Upsample")
}

fn cast(from: &str, to: &str, elem: i32) -> Node {
    /// `AttributeProto.AttributeType.INT`
    const INT: i32 = 2;
    let attribute =
        Attribute { name: Some("to".into()), i: Some(i64::from(elem)), r#type: Some(INT), ..Attribute::default() };
    Node {
        input: vec![from.into()],
        output: vec![to.into()],
        name: Some(format!("cast {to}")),
        op_type: Some("Cast".into()),
        attribute: vec![attribute],
        ..Node::default()
    }
}

fn to_half(tensor: &Tensor, name: &str, external: &External<'_>) -> Result<Tensor, Reason> {
    // A small divisor or epsilon must not become 0.
    const LEAST: f32 = 5.960_464_5e-8;
    let mut values = floats(tensor, external)?;
    for value in values.iter_mut().filter(|value| **value != 0.0 && value.abs() < LEAST) {
        *value = LEAST.copysign(*value);
    }
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(&values);
    let bytes: Vec<u8> = halves.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Tensor {
        dims: tensor.dims.clone(),
        data_type: Some(data_type::FLOAT16),
        name: Some(name.into()),
        raw_data: Some(bytes.into()),
        ..Tensor::default()
    })
}

/// The elements of an FP32 tensor.
fn floats(tensor: &Tensor, external: &External<'_>) -> Result<Vec<f32>, Reason> {
    let raw = if tensor.data_location() == proto::EXTERNAL { Some(external(tensor)?) } else { tensor.raw_data.clone() };
    let values: Vec<f32> = match raw {
        Some(raw) => raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        None => tensor.float_data.clone(),
    };
    let count: i64 = tensor.dims.iter().product();
    if usize::try_from(count) == Ok(values.len()) {
        Ok(values)
    } else {
        Err(format!(
            "tensor {:?} has {} values, its shape {:?} wants {count}",
            tensor.name(),
            values.len(),
            tensor.dims
        ))
    }
}

/// Removes constants that only FP16 nodes used, and the type information of values that no longer exist.
fn drop_unused(graph: &mut Graph) {
    let mut used: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    for node in &graph.node {
        used.extend(node.input.iter().cloned());
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            visit_names(inner, &mut |name| {
                used.insert(name.to_owned());
            });
        }
    }
    let gone: HashSet<String> =
        graph.initializer.iter().map(|tensor| tensor.name().to_owned()).filter(|name| !used.contains(name)).collect();
    graph.initializer.retain(|tensor| !gone.contains(tensor.name()));
    // Old files list initialisers among the inputs.
    graph.input.retain(|info| !gone.contains(info.name()));
    graph.node.retain(|node| node.op_type() != "Constant" || node.output.iter().any(|output| used.contains(output)));
    let made: HashSet<&str> = graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    graph.value_info.retain(|info| made.contains(info.name()));
}

#[cfg(test)]
mod tests;
