//! A converted model whose FP16 arithmetic ONNX Runtime's CPU provider carries out.
//!
//! The provider has FP32 kernels only: it removes the pair of casts between two of them, so that a value that FP16 can't
//! hold survives. Between the nodes of the simulated model stands a pair of operators on sequences, which no optimisation
//! removes and which exists for FP16: each value is rounded to FP16, as if the operator had accumulated in FP32 and
//! stored FP16.

use super::super::proto::{Graph, Node, Tensor, data_type};
use super::super::{types::value_types, visit_names};
use std::collections::HashSet;

/// Rounds every FP16 value of a converted graph.
pub fn simulate(graph: &mut Graph) {
    let types = value_types(graph);
    let outputs: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    visit_names(graph, &mut |name| {
        taken.insert(name.to_owned());
    });
    let mut fresh = |name: String| {
        let mut name = name;
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    let first = fresh("first_of_sequence".to_owned());
    let mut nodes = Vec::with_capacity(3 * graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        let mut rounding = Vec::new();
        let half = |name: &String| types.get(name) == Some(&data_type::FLOAT16);
        // A cast back to FP32 would be fused with a normalisation behind it, which then has inputs of two types.
        let from_half = node.op_type() == "Cast" && node.input.iter().any(half);
        for output in &mut node.output {
            if !(half(output) || from_half) || outputs.contains(output) {
                continue;
            }
            let (exact, sequence) = (fresh(format!("{output}_exact")), fresh(format!("{output}_sequence")));
            rounding.push(operator("SequenceConstruct", &[&exact], &sequence));
            rounding.push(operator("SequenceAt", &[&sequence, &first], output));
            *output = exact;
        }
        nodes.push(node);
        nodes.append(&mut rounding);
    }
    graph.node = nodes;
    graph.initializer.push(Tensor {
        name: Some(first),
        data_type: Some(data_type::INT64),
        int64_data: vec![0],
        ..Tensor::default()
    });
}

fn operator(op: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        op_type: Some(op.into()),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Node::default()
    }
}
