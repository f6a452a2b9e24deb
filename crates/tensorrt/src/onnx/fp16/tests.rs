//! Small graphs, and which parts of them are FP16 after the conversion.

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

/// A graph from the FP32 image `x` to the FP32 result `y`.
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
    convert(&mut graph, &BTreeSet::new(), &|_| Err("nothing is external".into())).unwrap();
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
    let reason = convert(&mut graph, &BTreeSet::new(), &|_| Err(String::new())).unwrap_err();
    assert_eq!(reason, "tensor \"w\" has 1 values, its shape [2] wants 2");
}

/// A quantised convolution: activations by one scale, int8 weights by another.
fn quantised(activations: f32, weights: f32) -> Graph {
    let integers = |name: &str, values: Vec<i32>| Tensor {
        name: Some(name.into()),
        dims: vec![values.len() as i64],
        data_type: Some(3),
        int32_data: values,
        ..Tensor::default()
    };
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "zero"], &["q"]),
        node("DequantizeLinear", &["q", "s", "zero"], &["d"]),
        node("DequantizeLinear", &["w", "t", "zero"], &["e"]),
        node("Conv", &["d", "e"], &["c"]),
        node("Sigmoid", &["c"], &["y"]),
    ];
    let scales = [floats_named("s", &[activations]), floats_named("t", &[weights])];
    graph(nodes, [integers("w", vec![127, -64]), integers("zero", vec![0])].into_iter().chain(scales).collect())
}

#[test]
fn quantised_convolutions_have_nothing_between_dq_and_conv() {
    let (lines, graph) = converted(quantised(0.01, 0.001));
    assert_eq!(
        lines,
        [
            "x_fp16 = Cast(x)",
            "q = QuantizeLinear(x_fp16, s_fp16, zero)",
            "d_fp16 = DequantizeLinear(q, s_fp16, zero)",
            "e_fp16 = DequantizeLinear(w, t_fp16, zero)",
            "c_fp16 = Conv(d_fp16, e_fp16)",
            "c = Cast(c_fp16)",
            "y = Sigmoid(c)",
        ]
    );
    let integers = graph.initializer.iter().find(|tensor| tensor.name() == "w").unwrap();
    assert_eq!(integers.int32_data, [127, -64], "the integers are unchanged");
}

#[test]
fn scales_that_would_lose_bits_stay() {
    // Below 2⁻¹⁴ FP16 has fewer than its 11 bits.
    let (lines, _) = converted(quantised(0.01, 3e-5));
    assert_eq!(
        lines[3..5],
        ["e = DequantizeLinear(w, t, zero)", "e_fp16 = Cast(e)"],
        "the weights are dequantised with the original scale: {lines:?}"
    );
    let (lines, _) = converted(quantised(1e-6, 0.001));
    assert_eq!(lines[..2], ["q = QuantizeLinear(x, s, zero)", "d = DequantizeLinear(q, s, zero)"]);
    assert!(lines.contains(&"d_fp16 = Cast(d)".to_owned()), "{lines:?}");
}

#[test]
fn quantised_decoding_stays() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["c"]),
        node("QuantizeLinear", &["c", "s", "zero"], &["q"]),
        node("DequantizeLinear", &["q", "s", "zero"], &["y"]),
    ];
    let (lines, _) = converted(graph(nodes, vec![floats_named("w", &[1.0]), floats_named("s", &[0.5])]));
    assert_eq!(lines[2..], ["c = Cast(c_fp16)", "q = QuantizeLinear(c, s, zero)", "y = DequantizeLinear(q, s, zero)"]);
}

/// The nodes that stay FP32 in a model of these nodes, and the first and last convolution that make them candidates.
fn sensitive_of(nodes: Vec<Node>, more: Vec<Tensor>) -> Vec<String> {
    let first = [node("Conv", &["x", "w"], &["in"])];
    let last = [node("Conv", &["out", "w"], &["y"])];
    let graph = graph([&first[..], &nodes, &last].concat(), [vec![floats_named("w", &[1.0])], more].concat());
    let found = sensitive(&graph, &|_| Err("nothing is external".into())).unwrap();
    // In the graph's order.
    graph.node.iter().map(|node| id(node).to_owned()).filter(|name| found.contains(name)).collect()
}

fn layer_norm(from: &str, to: &str) -> Vec<Node> {
    let name = |suffix: &str| format!("{to}_{suffix}");
    let [mean, centred, square, variance, shifted, deviation, scaled, weighted] =
        ["mean", "centred", "square", "variance", "shifted", "deviation", "scaled", "weighted"].map(name);
    vec![
        node("ReduceMean", &[from], &[&mean]),
        node("Sub", &[from, &mean], &[&centred]),
        node("Pow", &[&centred, "two"], &[&square]),
        node("ReduceMean", &[&square], &[&variance]),
        node("Add", &[&variance, "epsilon"], &[&shifted]),
        node("Sqrt", &[&shifted], &[&deviation]),
        node("Div", &[&centred, &deviation], &[&scaled]),
        node("Mul", &[&scaled, "gamma"], &[&weighted]),
        node("Add", &[&weighted, "beta"], &[to]),
    ]
}

fn norm_constants() -> Vec<Tensor> {
    ["two", "epsilon", "gamma", "beta"].map(|name| floats_named(name, &[1.0])).to_vec()
}

#[test]
fn a_normalisation_stays_from_the_mean_to_the_bias() {
    let nodes = [layer_norm("in", "norm"), vec![node("Relu", &["norm"], &["out"])]].concat();
    let found = sensitive_of(nodes, norm_constants());
    assert_eq!(
        found,
        [
            "norm_mean",
            "norm_centred",
            "norm_square",
            "norm_variance",
            "norm_shifted",
            "norm_deviation",
            "norm_scaled",
            "norm_weighted",
            "norm"
        ]
    );
    for op in ["LayerNormalization", "RMSNormalization"] {
        assert_eq!(sensitive_of(vec![node(op, &["in", "w"], &["out"])], vec![]), ["out"], "{op}");
    }
    // x · 1 / √(mean(x²) + ε) · γ
    let rms = vec![
        node("Mul", &["in", "in"], &["square"]),
        node("ReduceMean", &["square"], &["mean"]),
        node("Add", &["mean", "epsilon"], &["shifted"]),
        node("Sqrt", &["shifted"], &["root"]),
        node("Reciprocal", &["root"], &["inverse"]),
        node("Mul", &["in", "inverse"], &["scaled"]),
        node("Mul", &["gamma", "scaled"], &["weighted"]),
        node("Add", &["weighted", "in"], &["out"]),
    ];
    let found = sensitive_of(rms, norm_constants());
    assert_eq!(found, ["square", "mean", "shifted", "root", "inverse", "scaled", "weighted"], "the residual doesn't");
}

/// Queries, keys and values from `from`.
fn attention(from: &str, to: &str) -> Vec<Node> {
    vec![
        node("MatMul", &[from, "w"], &["q"]),
        node("MatMul", &[from, "w"], &["k"]),
        node("MatMul", &[from, "w"], &["v"]),
        node("Transpose", &["k"], &["k_t"]),
        node("MatMul", &["q", "k_t"], &["scores"]),
        node("Div", &["scores", "root"], &["scaled"]),
        node("Add", &["scaled", "mask"], &["masked"]),
        node("Softmax", &["masked"], &["weights"]),
        node("MatMul", &["weights", "v"], &[to]),
    ]
}

#[test]
fn an_attention_stays_from_the_scores_to_the_softmax() {
    let more = || [norm_constants(), vec![floats_named("root", &[8.0]), floats_named("mask", &[0.0])]].concat();
    let nodes = [attention("in", "mixed"), vec![node("LayerNormalization", &["mixed", "w"], &["out"])]].concat();
    assert_eq!(sensitive_of(nodes, more()), ["scores", "scaled", "masked", "weights", "out"]);
    // The attention of a convolutional detector (YOLO11, YOLOv12), which has no normalisation over channels.
    assert!(sensitive_of(attention("in", "out"), more()).is_empty());
}

#[test]
fn reference_points_and_sampling_grids_stay() {
    let nodes = vec![
        node("MatMul", &["in", "w"], &["delta"]),
        node("Sigmoid", &["delta"], &["reference"]),
        node("Clip", &["reference", "low", "high"], &["clipped"]),
        node("Sub", &["high", "clipped"], &["rest"]),
        node("Div", &["clipped", "rest"], &["odds"]),
        node("Log", &["odds"], &["inverse"]),
        node("MatMul", &["in", "w"], &["step"]),
        node("Add", &["inverse", "step"], &["moved"]),
        node("Sigmoid", &["moved"], &["points"]),
        node("MatMul", &["points", "w"], &["position"]),
        node("MatMul", &["position", "w"], &["offsets"]),
        node("Add", &["points", "offsets"], &["places"]),
        node("Mul", &["places", "high"], &["doubled"]),
        node("Sub", &["doubled", "high"], &["grid"]),
        node("GridSample", &["in", "grid"], &["sampled"]),
        node("Relu", &["sampled"], &["out"]),
    ];
    let found = sensitive_of(nodes, vec![floats_named("low", &[0.0]), floats_named("high", &[1.0])]);
    assert_eq!(
        found,
        ["reference", "clipped", "rest", "odds", "inverse", "moved", "points", "places", "doubled", "grid"],
        "products with weights don't"
    );
}

#[test]
fn what_a_name_says_stays() {
    let nodes =
        vec![node("Conv", &["x", "w"], &["a"]), node("Conv", &["a", "w"], &["b"]), node("Conv", &["b", "w"], &["y"])];
    let mut graph = graph(nodes, vec![floats_named("w", &[1.0])]);
    convert(&mut graph, &BTreeSet::from(["b".into()]), &|_| Err("nothing is external".into())).unwrap();
    let lines: Vec<_> = graph
        .node
        .iter()
        .map(|n| format!("{} = {}({})", n.output.join(", "), n.op_type(), n.input.join(", ")))
        .collect();
    assert_eq!(
        lines,
        [
            "x_fp16 = Cast(x)",
            "a_fp16 = Conv(x_fp16, w_fp16)",
            "a = Cast(a_fp16)",
            "b = Conv(a, w)",
            "b_fp16 = Cast(b)",
            "y_fp16 = Conv(b_fp16, w_fp16)",
            "y = Cast(y_fp16)",
        ]
    );
    let names: Vec<_> = graph.initializer.iter().map(|tensor| tensor.name().to_owned()).collect();
    assert_eq!(names, ["w", "w_fp16"]);
}

/// Every FP16 value is rounded by a pair of operators that no optimisation removes, and so is what a cast makes of it.
#[test]
fn a_simulation_rounds_every_value() {
    let nodes = vec![
        node("Conv", &["x", "w"], &["a"]),
        node("TopK", &["a", "k"], &["b", "i"]),
        node("Conv", &["b", "w"], &["y"]),
    ];
    let (_, mut graph) = converted(graph(nodes, vec![floats_named("w", &[1.0])]));
    simulate(&mut graph);
    let of = |op: &str| {
        graph.node.iter().filter(|node| node.op_type() == op).map(|node| node.output[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("SequenceAt"), ["x_fp16", "a_fp16", "a", "b_fp16", "y_fp16"]);
    assert_eq!(of("SequenceConstruct").len(), 5);
    assert_eq!(graph.output[0].name(), "y", "the result keeps its name and type");
}
