//! Element types of a graph's values, as far as they can be inferred from the file.

use super::proto::{Graph, Node, data_type};
use std::collections::HashMap;

/// `TensorProto.DataType` by the value's name. Values whose type can't be inferred are left out.
pub fn value_types(graph: &Graph) -> HashMap<String, i32> {
    let mut types: HashMap<String, i32> = HashMap::new();
    for info in graph.value_info.iter().chain(&graph.output).chain(&graph.input) {
        if let Some(elem) = info.r#type.as_ref().and_then(|r#type| r#type.tensor_type.as_ref()?.elem_type) {
            types.insert(info.name().to_owned(), elem);
        }
    }
    types.extend(graph.initializer.iter().map(|tensor| (tensor.name().to_owned(), tensor.data_type())));
    // Nodes are topologically sorted, so a value is defined before it is used.
    for node in &graph.node {
        for (index, output) in node.output.iter().enumerate() {
            if let Some(elem) = output_type(node, index, &types) {
                types.entry(output.clone()).or_insert(elem);
            }
        }
    }
    types
}

fn output_type(node: &Node, index: usize, types: &HashMap<String, i32>) -> Option<i32> {
    let input = |index: usize| types.get(node.input.get(index)?).copied();
    match node.op_type() {
        "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" | "NonMaxSuppression" => Some(data_type::INT64),
        "TopK" if index == 1 => Some(data_type::INT64),
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" | "Not" | "IsNaN"
        | "IsInf" => Some(data_type::BOOL),
        "Cast" => attribute(node, "to").map(|to| to as i32),
        "Constant" => constant_type(node),
        "ConstantOfShape" => Some(tensor_attribute(node).unwrap_or(data_type::FLOAT)),
        "Where" => input(1),
        "OneHot" => input(2),
        "DequantizeLinear" => input(1),
        "QuantizeLinear" => Some(input(2).unwrap_or(data_type::UINT8)),
        // Their results are defined in subgraphs.
        "If" | "Loop" | "Scan" => None,
        _ if !is_standard(node) => None,
        _ => input(0),
    }
}

/// Whether the operator is one of ONNX's standard operators.
pub fn is_standard(node: &Node) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

fn attribute(node: &Node, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.i())
}

fn tensor_attribute(node: &Node) -> Option<i32> {
    node.attribute.iter().find_map(|attribute| attribute.t.as_ref()).map(|tensor| tensor.data_type())
}

fn constant_type(node: &Node) -> Option<i32> {
    let attribute = node.attribute.first()?;
    match attribute.name() {
        "value" => attribute.t.as_ref().map(|tensor| tensor.data_type()),
        "value_float" | "value_floats" => Some(data_type::FLOAT),
        "value_int" | "value_ints" => Some(data_type::INT64),
        _ => None,
    }
}
