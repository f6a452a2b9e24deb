//! The parts of an ONNX model that the stand-in reads.

use super::proto::{Graph, Model as Proto, Type, ValueInfo};
use prost::Message;
use std::collections::HashSet;

/// An input or output.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub name: String,
    /// `nvinfer1::DataType`
    pub kind: i32,
    /// -1: dynamic.
    pub shape: Vec<i64>,
    /// Names of the dynamic dimensions, empty for those without.
    pub symbols: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    pub nodes: Vec<(String, String)>,
    /// Bytes of its weights.
    pub weights: u64,
}

impl Model {
    /// # Errors
    /// The data isn't ONNX, or an input or output isn't a tensor.
    pub fn read(onnx: &[u8]) -> Result<Self, String> {
        let proto = Proto::decode(onnx).map_err(|error| format!("Failed to parse the ONNX model: {error}"))?;
        let Some(graph) = proto.graph else {
            return Ok(Self { inputs: Vec::new(), outputs: Vec::new(), nodes: Vec::new(), weights: 0 });
        };
        let constants: HashSet<&str> = graph.initializer.iter().filter_map(|tensor| tensor.name.as_deref()).collect();
        let inputs = graph.input.iter().filter(|value| !constants.contains(value.name.as_deref().unwrap_or_default()));
        Ok(Self {
            inputs: inputs.map(tensor).collect::<Result<_, _>>()?,
            outputs: graph.output.iter().map(tensor).collect::<Result<_, _>>()?,
            nodes: nodes(&graph),
            weights: graph.initializer.iter().map(|tensor| tensor.encoded_len() as u64).sum(),
        })
    }
}

/// Name and operator of each node.
fn nodes(graph: &Graph) -> Vec<(String, String)> {
    let node =
        |node: &super::proto::Node| (node.name.clone().unwrap_or_default(), node.op_type.clone().unwrap_or_default());
    graph.node.iter().map(node).collect()
}

fn tensor(value: &ValueInfo) -> Result<Tensor, String> {
    let name = value.name.clone().unwrap_or_default();
    let Some(Type { tensor_type: Some(kind), .. }) = &value.r#type else {
        return Err(format!("{name} is not a tensor"));
    };
    // ONNX's type numbers as TensorRT's.
    let data = match kind.elem_type.unwrap_or(0) {
        1 => 0,
        10 => 1,
        3 => 2,
        6 => 3,
        9 => 4,
        2 => 5,
        7 => 8,
        other => return Err(format!("{name}: TensorRT has no element type {other}")),
    };
    let shape = Shape::decode(kind.shape.clone().unwrap_or_default()).map_err(|error| format!("{name}: {error}"))?;
    let size = |dimension: &Dimension| dimension.value.filter(|size| *size > 0).unwrap_or(-1);
    Ok(Tensor {
        name,
        kind: data,
        shape: shape.dimensions.iter().map(size).collect(),
        symbols: shape.dimensions.iter().map(|dimension| dimension.symbol.clone().unwrap_or_default()).collect(),
    })
}

/// `TensorShapeProto`
#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    symbol: Option<String>,
}

/// Bytes of an element of TensorRT's type.
pub fn size_of_kind(kind: i32) -> usize {
    match kind {
        0 | 3 => 4,
        1 => 2,
        8 => 8,
        _ => 1,
    }
}

/// Bytes of a tensor of this shape.
pub fn bytes(kind: i32, shape: &[i64]) -> usize {
    shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).product::<usize>() * size_of_kind(kind)
}
