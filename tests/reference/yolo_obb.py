#!/usr/bin/env python3
"""Writes narrow networks in the form of YOLO-OBB's exports: `cargo xtask export-models`.

    yolo_obb.py --media DIR... --out DIR [--only NAME]

Ultralytics' code and weights are AGPL-3.0 and aren't kept here. The graphs are made with `onnx` alone, after its heads `OBB`
and `OBB26` (8.4.190): three strides, distances to four sides by distributions of 16 bins, scores by sigmoid, and decoding in
the graph. `yolo-obb.onnx` has the output of YOLOv8, YOLO11 and YOLO26 without its NMS-free head, [B, 4+nc+1, N], with angles of
-π/4 to 3π/4; `yolo-obb-end-to-end.onnx` that of YOLO26, [B, 300, 7], with any angles. Weights are seeded; the last layers are
scaled and shifted so that some objects come out of the pictures of reference.py.
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

HEIGHT, WIDTH = 256, 320
STRIDES = 8, 16, 32
CLASSES = 3
BINS = 16
ROWS = 300
# Scores above one half in a picture, and the spread of a class's and an angle's logits.
WANTED, SPREAD, TURN = 12, 2.0, 1.5


class Network:
    """Nodes and weights; the result of a node has its name."""

    def __init__(self, seed, title="oriented boxes", image="images", size=(HEIGHT, WIDTH), batch="batch"):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], {}
        self.title, self.image, self.size = title, image, size
        # Name, type, shape.
        self.inputs = [(image, onnx.TensorProto.FLOAT, [batch, 3, *size])]

    def op(self, kind, *inputs, name=None, **attributes):
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(values, dtype)
        return name

    def conv(self, x, before, after, kernel, stride=1, name=None, gain=1.0):
        scale = gain * np.sqrt(2 / (before * kernel**2))
        weight = self.constant(self.random.normal(0, scale, (after, before, kernel, kernel)))
        bias = self.constant(np.zeros(after))
        return self.op("Conv", x, weight, bias, strides=[stride] * 2, pads=[kernel // 2] * 4, name=name)

    def block(self, x, before, after, stride=1):
        x = self.conv(x, before, after, 3, stride)
        return self.op("Mul", x, self.op("Sigmoid", x))

    def last_layer(self, result):
        """The weight and the bias of the convolution that gives `result`."""
        node = next(node for node in self.nodes if node.output[0] == result)
        return node.input[1], node.input[2]

    def bytes(self, outputs, metadata=None):
        """The file; an output is its name and shape, and its type if that isn't FLOAT."""
        inputs = [helper.make_tensor_value_info(*i) for i in self.inputs]
        types = [(name, kind[0] if kind else onnx.TensorProto.FLOAT, shape) for name, shape, *kind in outputs]
        outputs = [helper.make_tensor_value_info(*o) for o in types]
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, self.title, inputs, outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model.producer_name = "tests/reference/yolo_obb.py"
        helper.set_model_props(model, metadata or {})
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)

    def values(self, names, pictures):
        """For each picture the values of these results, which are [B, channels, rows, columns]."""
        model = self.bytes([(name, ["batch", None, None, None]) for name in names])
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        return [session.run(None, {self.image: picture}) for picture in pictures]


def rescale(net, result, gain, shift):
    """Multiplies what a last layer gives by `gain` and adds `shift`, per channel."""
    weight, bias = net.last_layer(result)
    net.weights[weight] = (net.weights[weight] * gain[:, None, None, None]).astype(np.float32)
    net.weights[bias] = (net.weights[bias] * gain + shift).astype(np.float32)


def backbone(net, pictures, widths=(8, 12, 16, 24, 32)):
    """Features at the strides from 8 on; every layer's output has about the same spread."""
    x, channels, features = net.image, 3, []
    for index, width in enumerate(widths):
        x = net.block(x, channels, width, stride=2)
        channels = width
        values = np.concatenate([v[0].reshape(width, -1) for v in net.values([x], pictures)], axis=1)
        conv = next(n.input[0] for n in net.nodes if n.output[0] == x)
        rescale(net, conv, np.full(width, 1 / max(values.std(), 1e-6)), np.zeros(width))
        if index >= 2:
            features.append((x, width))
    return features


def heads(net, features, pictures):
    """The last layers of each stride: distances, scores, angles as logits."""
    levels = []
    for feature, width in features:
        level = []
        for channels in (4 * BINS, CLASSES, 1):
            level.append(net.conv(net.block(feature, width, width), width, channels, 1))
        levels.append(level)
    for distances, scores, angles in levels:
        values = net.values([distances, scores, angles], pictures)
        of = [np.concatenate([v[k][0].reshape(v[k].shape[1], -1) for v in values], axis=1) for k in range(3)]
        # Mostly the first bins: boxes of a few strides, wider than high.
        bins = np.concatenate([-np.arange(BINS) * pull for pull in (0.35, 1.0, 0.35, 1.0)])
        gain = 1.0 / of[0].std(1)
        rescale(net, distances, gain, bins - of[0].mean(1) * gain)
        for result, value, spread in ((scores, of[1], SPREAD), (angles, of[2], TURN)):
            gain = spread / value.std(1)
            rescale(net, result, gain, -value.mean(1) * gain)
    values = net.values([level[1] for level in levels], pictures)
    logits = np.stack([np.sort(np.concatenate([v.ravel() for v in of_picture]))[-WANTED] for of_picture in values])
    for _, scores, _ in levels:
        rescale(net, scores, np.ones(CLASSES), np.full(CLASSES, -logits.mean()))
    return levels


def grids():
    x, y, strides = [], [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : HEIGHT // stride, 0 : WIDTH // stride]
        x.append(columns.ravel() + 0.5)
        y.append(rows.ravel() + 0.5)
        strides.append(np.full(columns.size, stride))
    return np.stack([np.concatenate(x), np.concatenate(y)]), np.concatenate(strides)


def decoded(net, levels, limited):
    """[B, 4+nc+1, N]: centre, size, scores, angle."""

    def flat(results, channels):
        shape = net.constant([0, channels, -1], np.int64)
        return net.op("Concat", *[net.op("Reshape", r, shape) for r in results], axis=2)

    anchors, strides = grids()
    distances = net.op("Reshape", flat([d for d, _, _ in levels], 4 * BINS), net.constant([0, 4, BINS, -1], np.int64))
    shares = net.op("Softmax", distances, axis=2)
    bins = net.op("Mul", shares, net.constant(np.arange(BINS).reshape(1, 1, BINS, 1)))
    distances = net.op("ReduceSum", bins, net.constant([2], np.int64), keepdims=0)
    scores = net.op("Sigmoid", flat([s for _, s, _ in levels], CLASSES))
    angle = flat([a for _, _, a in levels], 1)
    if limited:
        angle = net.op("Mul", net.op("Sub", net.op("Sigmoid", angle), net.constant(0.25)), net.constant(np.pi))

    def part(x, first, last):
        return net.op("Slice", x, *[net.constant([v], np.int64) for v in (first, last, 1)])

    near, far = part(distances, 0, 2), part(distances, 2, 4)
    offset = net.op("Mul", net.op("Sub", far, near), net.constant(0.5))
    x, y = part(offset, 0, 1), part(offset, 1, 2)
    cos, sin = net.op("Cos", angle), net.op("Sin", angle)
    turned_x = net.op("Sub", net.op("Mul", x, cos), net.op("Mul", y, sin))
    turned_y = net.op("Add", net.op("Mul", x, sin), net.op("Mul", y, cos))
    centre = net.op("Add", net.op("Concat", turned_x, turned_y, axis=1), net.constant(anchors[None]))
    boxes = net.op("Concat", centre, net.op("Add", near, far), axis=1)
    boxes = net.op("Mul", boxes, net.constant(strides[None, None]))
    return boxes, scores, angle, len(strides)


def anchors_export(net, levels):
    boxes, scores, angle, count = decoded(net, levels, limited=True)
    net.op("Concat", boxes, scores, angle, axis=1, name="output0")
    return ["batch", 4 + CLASSES + 1, count]


def rows_export(net, levels):
    """`Detect.postprocess`: the best anchors, and of these the best pairs with a class."""
    boxes, scores, angle, _ = decoded(net, levels, limited=False)
    rows = [net.op("Transpose", r, perm=[0, 2, 1]) for r in (boxes, scores, angle)]
    best = net.op("ReduceMax", rows[1], axes=[2], keepdims=0)
    count = net.constant([ROWS], np.int64)

    def top(x):
        node = helper.make_node("TopK", [x, count], [f"top_{len(net.nodes)}", f"at_{len(net.nodes)}"])
        net.nodes.append(node)
        return node.output

    def gathered(x, index, width):
        index = net.op("Unsqueeze", index, net.constant([2], np.int64))
        return net.op("GatherElements", x, net.op("Expand", index, net.constant([1, 1, width], np.int64)), axis=1)

    _, index = top(best)
    boxes, scores, angle = (gathered(x, index, width) for x, width in zip(rows, (4, CLASSES, 1)))
    score, index = top(net.op("Reshape", scores, net.constant([0, -1], np.int64)))
    classes = net.constant(CLASSES, np.int64)
    query = net.op("Div", index, classes)
    label = net.op("Cast", net.op("Sub", index, net.op("Mul", query, classes)), to=onnx.TensorProto.FLOAT)
    boxes, angle = gathered(boxes, query, 4), gathered(angle, query, 1)
    score, label = (net.op("Unsqueeze", x, net.constant([2], np.int64)) for x in (score, label))
    net.op("Concat", boxes, score, label, angle, axis=2, name="output0")
    return ["batch", ROWS, 7]


# name: (how it ends, seed, metadata)
MODELS = {
    "yolo-obb": (anchors_export, 3, {}),
    "yolo-obb-end-to-end": (rows_export, 4, {"end2end": "True"}),
}


def metadata(more):
    """What Ultralytics' exporter writes."""
    return {
        "description": "Oriented boxes", "author": "Ultralytics", "version": "8.4.190", "stride": "32", "task": "obb", "batch": "1",
        "imgsz": f"[{HEIGHT}, {WIDTH}]", "names": str({0: "plane", 1: "ship", 2: "bridge"}), "channels": "3", **more,
    }  # fmt: skip


def main():
    images, files = reference.exporter(__doc__, MODELS)
    pictures = [families.FAMILIES["yolo-obb"].tensor(image, (HEIGHT, WIDTH))[0][None] for image in images]
    for name, file in files.items():
        end, seed, more = MODELS[name]
        net = Network(seed)
        shape = end(net, heads(net, backbone(net, pictures), pictures))
        reference.write(file, net.bytes([("output0", shape)], metadata(more)))


if __name__ == "__main__":
    main()
