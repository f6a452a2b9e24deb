//! Small graphs, and what of them is FP16 afterwards.

use super::super::proto::{TensorType, Type, ValueInfo};
use super::*;

fn value(name: &str, elem: i32) -> ValueInfo {
    let tensor_type = Some(TensorType { elem_type: Some(elem), shape: None });
    ValueInfo { name: Some(name.into()), r#type: Some(Type { tensor_type, ..Type::default() }), ..ValueInfo::default() }
}

fn floats_named(name: &str, values: &[f32]) -> Tensor {
    let dims = vec![values.len() as i64];
    Tensor {
        name: Some(name.into()),
        dims,
        data_type: Some(data_type::FLOAT),
        float_data: values.into(),
        ..Tensor::default()
    }
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let strings = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect();
    Node { op_type: Some(op.into()), input: strings(inputs), output: strings(outputs), ..Node::default() }
}

/// From the FP32 image `x` to the FP32 result `y`.
fn graph(nodes: Vec<Node>, initializer: Vec<Tensor>) -> Graph {
    Graph {
        node: nodes,
        initializer,
        input: vec![value("x", data_type::FLOAT)],
        output: vec![value("y", data_type::FLOAT)],
        ..Graph::default()
    }
}

/// The converted graph's nodes, as `output = operator(inputs)`.
fn converted(mut graph: Graph) -> (Vec<String>, Graph) {
    convert(&mut graph, &|_| Err("nothing is external".into())).unwrap();
    let lines = graph.node.iter().map(|n| format!("{} = {}({})", n.output.join(", "), n.op_type(), n.input.join(", ")));
    (lines.collect(), graph)
}

#[test]
fn up_to_the_last_convolution_and_no_further() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("Relu", &["a"], &["b"]),
        node("Conv", &["b", "w"], &["c"]),
        node("Sigmoid", &["c"], &["y"]),
    ];
    let (lines, graph) = converted(graph(nodes, vec![floats_named("w", &[1.0])]));
    assert_eq!(
        lines,
        [
            "x_fp16 = Cast(x)",
            "a_fp16 = Conv(x_fp16, w_fp16)",
            "b_fp16 = Relu(a_fp16)",
            "c_fp16 = Conv(b_fp16, w_fp16)",
            "c = Cast(c_fp16)",
            "y = Sigmoid(c)",
        ]
    );
    assert_eq!((graph.input[0].name(), graph.output[0].name()), ("x", "y"));
    let [weights] = &graph.initializer[..] else { panic!("{:?}", graph.initializer) };
    assert_eq!((weights.name(), weights.data_type()), ("w_fp16", data_type::FLOAT16));
}

#[test]
fn the_mean_of_a_softmax_is_decoding() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("Softmax", &["a"], &["b"]),
        node("Transpose", &["b"], &["c"]),
        node("Conv", &["c", "range"], &["y"]),
    ];
    let (lines, _) = converted(graph(nodes, vec![floats_named("w", &[1.0]), floats_named("range", &[0.0, 1.0, 2.0])]));
    assert_eq!(lines[2..], ["a = Cast(a_fp16)", "b = Softmax(a)", "c = Transpose(b)", "y = Conv(c, range)"]);
}

#[test]
fn attention_is_no_decoding() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("Softmax", &["a"], &["b"]),
        node("MatMul", &["b", "a"], &["c"]),
        node("Conv", &["c", "w"], &["y"]),
    ];
    let (lines, _) = converted(graph(nodes, vec![floats_named("w", &[1.0])]));
    assert_eq!(lines[2], "b_fp16 = Softmax(a_fp16)");
    assert_eq!(lines.last().unwrap(), "y = Cast(y_fp16)");
}

#[test]
fn what_picks_stays_and_is_cast_around() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("TopK", &["a", "k"], &["b", "i"]),
        node("Gather", &["a", "i"], &["c"]),
        node("MatMul", &["c", "w"], &["y"]),
    ];
    let (lines, _) = converted(graph(nodes, vec![floats_named("w", &[1.0])]));
    assert_eq!(
        lines,
        [
            "x_fp16 = Cast(x)",
            "a_fp16 = Conv(x_fp16, w_fp16)",
            "a = Cast(a_fp16)",
            "b, i = TopK(a, k)",
            "c = Gather(a, i)",
            "c_fp16 = Cast(c)",
            "y_fp16 = MatMul(c_fp16, w_fp16)",
            "y = Cast(y_fp16)",
        ]
    );
}

#[test]
fn shapes_need_no_cast() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("Shape", &["a"], &["s"]),
        node("Resize", &["a", "", "scales"], &["b"]),
        node("Conv", &["b", "w"], &["y"]),
    ];
    let (lines, _) =
        converted(graph(nodes, vec![floats_named("w", &[1.0]), floats_named("scales", &[1.0, 1.0, 2.0, 2.0])]));
    assert_eq!(lines[2], "s = Shape(a_fp16)");
    assert_eq!(lines[3], "b_fp16 = Resize(a_fp16, , scales)");
}

#[test]
fn constants_beyond_fp16_stay_and_small_ones_do_not_vanish() {
    let nodes = vec![
        node("Clip", &["x", "low", "high"], &["a"]),
        node("Add", &["a", "epsilon"], &["b"]),
        node("Conv", &["b", "w"], &["y"]),
    ];
    let initializers = vec![
        floats_named("low", &[0.0]),
        floats_named("high", &[1e9]),
        floats_named("epsilon", &[1e-12, -1e-12, 0.0]),
        floats_named("w", &[1.0]),
    ];
    let (lines, graph) = converted(graph(nodes, initializers));
    assert_eq!(lines[..2], ["a = Clip(x, low, high)", "a_fp16 = Cast(a)"]);
    let epsilon = graph.initializer.iter().find(|tensor| tensor.name() == "epsilon_fp16").unwrap();
    assert_eq!(epsilon.raw_data.as_ref().unwrap()[..], [1, 0, 1, 0x80, 0, 0]);
}

#[test]
fn indices_made_of_floats_stay() {
    let nodes = vec![
        node("Range", &["zero", "end", "one"], &["r"]),
        node("Mul", &["r", "one"], &["p"]),
        node("Add", &["x", "p"], &["a"]),
        node("Conv", &["a", "w"], &["y"]),
    ];
    let initializers = vec![
        floats_named("zero", &[0.0]),
        floats_named("one", &[1.0]),
        floats_named("end", &[9.0]),
        floats_named("w", &[1.0]),
    ];
    let (lines, _) = converted(graph(nodes, initializers));
    assert_eq!(lines[..2], ["r = Range(zero, end, one)", "p = Mul(r, one)"]);
    assert!(lines.contains(&"a_fp16 = Add(x_fp16, p_fp16)".to_owned()), "{lines:?}");
}

#[test]
fn tensors_that_do_not_fit_their_shape_are_named() {
    let mut graph = graph(vec![node("Conv", &["x", "w"], &["y"])], vec![floats_named("w", &[1.0])]);
    graph.initializer[0].dims = vec![2];
    let reason = convert(&mut graph, &|_| Err(String::new())).unwrap_err();
    assert_eq!(reason, "tensor \"w\" has 1 values, its shape [2] wants 2");
}
