#!/usr/bin/env python3
"""Writes narrow networks in the form of exports with masks: `cargo xtask export-models`.

    segmentation.py --media DIR... --out DIR [--only NAME]

Ultralytics' code and weights are AGPL-3.0 and aren't kept here. `yolo-seg.onnx` and `yolo-seg-end-to-end.onnx` are made with
`onnx` alone, after its heads `Segment` and `Segment26` (8.4.190): boxes, scores and 32 coefficients, and 32 prototypes at a quarter
of the input. `rf-detr-seg.onnx` is `rf-detr.onnx` of the same folder with the third output of RF-DETR-Seg (rfdetr 1.11): a mask of
logits for each query. Weights are seeded, and scaled and shifted so that some objects come out of the pictures of reference.py.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import families
import reference
from yolo_obb import BINS, CLASSES, HEIGHT, ROWS, SPREAD, WANTED, WIDTH, Network, backbone, grids, rescale

COEFFICIENTS = 32
RF_DETR_SEG = "rf-detr-seg"


def standardise(net, result, pictures, spread=1.0, shift=0.0):
    """Gives each channel of a last layer this spread over the pictures, and this mean."""
    values = np.concatenate([v[0][0].reshape(v[0].shape[1], -1) for v in net.values([result], pictures)], axis=1)
    gain = spread / values.std(1)
    rescale(net, result, gain, shift - values.mean(1) * gain)


def heads(net, features, pictures):
    """The last layers of each stride: distances, scores as logits, coefficients."""
    levels = []
    for feature, width in features:
        level = [
            net.conv(net.block(feature, width, width), width, channels, 1) for channels in (4 * BINS, CLASSES, COEFFICIENTS)
        ]
        # Mostly the first bins: boxes of a few strides.
        standardise(net, level[0], pictures, shift=np.tile(-np.arange(BINS) * 0.35, 4))
        standardise(net, level[1], pictures, spread=SPREAD)
        standardise(net, level[2], pictures)
        levels.append(level)
    values = net.values([level[1] for level in levels], pictures)
    logits = [np.sort(np.concatenate([v.ravel() for v in of_picture]))[-WANTED] for of_picture in values]
    for _, scores, _ in levels:
        rescale(net, scores, np.ones(CLASSES), np.full(CLASSES, -np.mean(logits)))
    return levels


def prototypes(net, feature, width, pictures):
    """`Proto`: from stride 8 to stride 4."""
    scales = net.constant([1, 1, 2, 2])
    x = net.op("Resize", net.block(feature, width, width), "", scales, mode="nearest", nearest_mode="floor",
               coordinate_transformation_mode="asymmetric")  # fmt: skip
    result = net.conv(net.block(x, width, width), width, COEFFICIENTS, 1, name="output1")
    standardise(net, result, pictures)


def decoded(net, levels):
    """Centres, sizes, scores and coefficients, each [B, channels, N]."""

    def flat(results, channels):
        shape = net.constant([0, channels, -1], np.int64)
        return net.op("Concat", *[net.op("Reshape", r, shape) for r in results], axis=2)

    def part(x, first, last):
        return net.op("Slice", x, *[net.constant([v], np.int64) for v in (first, last, 1)])

    anchors, strides = grids()
    distances = net.op("Reshape", flat([d for d, _, _ in levels], 4 * BINS), net.constant([0, 4, BINS, -1], np.int64))
    bins = net.op("Mul", net.op("Softmax", distances, axis=2), net.constant(np.arange(BINS).reshape(1, 1, BINS, 1)))
    distances = net.op("ReduceSum", bins, net.constant([2], np.int64), keepdims=0)
    near, far = part(distances, 0, 2), part(distances, 2, 4)
    offset = net.op("Mul", net.op("Sub", far, near), net.constant(0.5))
    strides_at = net.constant(strides[None, None])
    centres = net.op("Mul", net.op("Add", offset, net.constant(anchors[None])), strides_at)
    sizes = net.op("Mul", net.op("Add", near, far), strides_at)
    scores = net.op("Sigmoid", flat([s for _, s, _ in levels], CLASSES))
    return centres, sizes, scores, flat([c for _, _, c in levels], COEFFICIENTS), len(strides)


def anchors_export(net, levels):
    centres, sizes, scores, coefficients, count = decoded(net, levels)
    net.op("Concat", centres, sizes, scores, coefficients, axis=1, name="output0")
    return ["batch", 4 + CLASSES + COEFFICIENTS, count]


def rows_export(net, levels):
    """`Detect.postprocess`: the best anchors, and of these the best pairs with a class."""
    centres, sizes, scores, coefficients, _ = decoded(net, levels)
    half = net.op("Mul", sizes, net.constant(0.5))
    boxes = net.op("Concat", net.op("Sub", centres, half), net.op("Add", centres, half), axis=1)
    rows = [net.op("Transpose", r, perm=[0, 2, 1]) for r in (boxes, scores, coefficients)]
    count = net.constant([ROWS], np.int64)

    def top(x):
        node = helper.make_node("TopK", [x, count], [f"top_{len(net.nodes)}", f"at_{len(net.nodes)}"])
        net.nodes.append(node)
        return node.output

    def gathered(x, index, width):
        index = net.op("Unsqueeze", index, net.constant([2], np.int64))
        return net.op("GatherElements", x, net.op("Expand", index, net.constant([1, 1, width], np.int64)), axis=1)

    _, index = top(net.op("ReduceMax", rows[1], axes=[2], keepdims=0))
    boxes, scores, coefficients = (gathered(x, index, w) for x, w in zip(rows, (4, CLASSES, COEFFICIENTS)))
    score, index = top(net.op("Reshape", scores, net.constant([0, -1], np.int64)))
    classes = net.constant(CLASSES, np.int64)
    query = net.op("Div", index, classes)
    label = net.op("Cast", net.op("Sub", index, net.op("Mul", query, classes)), to=onnx.TensorProto.FLOAT)
    boxes, coefficients = gathered(boxes, query, 4), gathered(coefficients, query, COEFFICIENTS)
    score, label = (net.op("Unsqueeze", x, net.constant([2], np.int64)) for x in (score, label))
    net.op("Concat", boxes, score, label, coefficients, axis=2, name="output0")
    return ["batch", ROWS, 6 + COEFFICIENTS]


# name: (how it ends, seed, metadata)
YOLO = {
    "yolo-seg": (anchors_export, 5, {}),
    "yolo-seg-end-to-end": (rows_export, 6, {"end2end": "True"}),
}


def metadata(more):
    """What Ultralytics' exporter writes."""
    return {
        "description": "Masks", "author": "Ultralytics", "version": "8.4.190", "stride": "32", "task": "segment", "batch": "1",
        "imgsz": f"[{HEIGHT}, {WIDTH}]", "names": str({0: "cup", 1: "plate", 2: "fork"}), "channels": "3", **more,
    }  # fmt: skip


def rf_detr_seg(model):
    """Adds `masks` [B, queries, height / 4, width / 4], which depend on the picture alone, and differ from query to query."""
    graph = model.graph
    random = np.random.default_rng(7)
    height, width = (d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[2:])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # Its export leaves the number open.
    empty = np.zeros((1, 3, height, width), np.float32)
    queries = session.run(["dets"], {graph.input[0].name: empty})[0].shape[1]

    def weight(name, shape, scale):
        graph.initializer.append(numpy_helper.from_array(random.normal(0, scale, shape).astype(np.float32), name))
        return name

    small = helper.make_node("AveragePool", [graph.input[0].name], ["mask_small"], kernel_shape=[4, 4], strides=[4, 4])
    first = helper.make_node(
        "Conv", ["mask_small", weight("mask_a", (12, 3, 5, 5), 0.3), weight("mask_b", (12,), 1.0)], ["mask_first"], pads=[2] * 4
    )
    bent = helper.make_node("Tanh", ["mask_first"], ["mask_bent"])
    last = helper.make_node("Conv", ["mask_bent", weight("mask_c", (queries, 12, 1, 1), 1.0)], ["masks"])
    graph.node.extend([small, first, bent, last])
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param
    shape = [batch, queries, height // 4, width // 4]
    graph.output.append(helper.make_tensor_value_info("masks", onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    return model


def main():
    images, files = reference.exporter(__doc__, [*YOLO, RF_DETR_SEG])
    pictures = [families.FAMILIES["yolo-seg"].tensor(image, (HEIGHT, WIDTH))[0][None] for image in images]
    for name in [name for name in YOLO if name in files]:
        end, seed, more = YOLO[name]
        net = Network(seed)
        features = backbone(net, pictures)
        prototypes(net, *features[0], pictures)
        shape = end(net, heads(net, features, pictures))
        outputs = [("output0", shape), ("output1", ["batch", COEFFICIENTS, HEIGHT // 4, WIDTH // 4])]
        reference.write(files[name], net.bytes(outputs, metadata(more)))
    if file := files.get(RF_DETR_SEG):
        model = rf_detr_seg(onnx.load(file.with_name("rf-detr.onnx")))
        reference.write(file, model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
