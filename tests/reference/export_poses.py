#!/usr/bin/env python3
"""Makes narrow pose models for the tests, with `onnx` alone: a part of `cargo xtask export-models`.

    export_poses.py --media DIR... --out DIR [--only NAME]

Names, shapes, types and dynamic dimensions of the tensors are those of the families' exporters: mmdeploy (3f8604b;
`pose-detection_simcc_onnxruntime_dynamic.py`, `pose-detection_onnxruntime_static.py`, `pose-detection_rtmo_onnxruntime_dynamic.py`)
and Hugging Face's Optimum for ViTPose. The networks between them are small convolutions with seeded weights. Each keypoint
has a place where it is expected, and the picture decides how far from there its peak is, and how high.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import families
import reference

KEYPOINTS = 17
# Width and height of the input of the top-down models, and of their maps.
WIDTH, HEIGHT, STRIDE = 192, 256, 4
COLUMNS, ROWS = WIDTH // STRIDE, HEIGHT // STRIDE
# RTMO: side of the input, stride, and persons per picture above a confidence of one half.
SIDE, CELL, WANTED = 320, 16, 8


class Graph:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.outputs = [], [], []

    def op(self, kind, *inputs, name=None, **attributes):
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype, order="C"), name))
        return name

    def conv(self, x, channels, out, size, stride=1, gain=1.0, bias=0.0):
        """With weights that keep a signal's size."""
        weights = self.random.normal(0, gain * np.sqrt(2 / (channels * size * size)), (out, channels, size, size))
        biases = np.broadcast_to(np.float64(bias), (out,))
        return self.op("Conv", x, self.constant(weights), self.constant(biases), strides=[stride] * 2, pads=[size // 2] * 4)

    def output(self, value, name, shape):
        self.op("Identity", value, name=name)
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def save(self, path, name, shape):
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self.nodes, "pose", inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model.producer_name = "tests/reference/export_poses.py"
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(path.stem, path.stat().st_size)


def maps(g, name):
    """[B, K, rows, columns], peaks from 0.1 to 1."""
    x = g.op("Relu", g.conv(name, 3, 8, 3, 2))
    x = g.op("Relu", g.conv(x, 8, 12, 3, 2))
    x = g.op("Sigmoid", g.conv(x, 12, KEYPOINTS, 1, gain=4.0))
    x = g.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4)
    centres = g.random.uniform((6, 6), (COLUMNS - 6, ROWS - 6), (KEYPOINTS, 2))
    # One at an edge.
    centres[3] = (0.6, 30.2)
    prior = [np.exp(-((np.arange(n) - centre[:, None]) ** 2) / (2 * 6.0**2)) for n, centre in zip((COLUMNS, ROWS), centres.T)]
    columns, rows = g.constant(prior[0][None, :, None, :]), g.constant(prior[1][None, :, :, None])
    share = g.op("Add", g.op("Mul", x, g.constant(0.9)), g.constant(0.1))
    return g.op("Mul", g.op("Mul", share, columns), rows)


def simcc(path, _):
    g = Graph(1)
    heat = maps(g, "input")
    for axis, name, places in ((2, "simcc_x", COLUMNS), (3, "simcc_y", ROWS)):
        line = g.op("ReduceMax", heat, axes=[axis], keepdims=0)
        scales = g.constant([1, 1, 2 * STRIDE])
        line = g.op("Resize", line, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
        g.output(line, name, ["batch", KEYPOINTS, 2 * STRIDE * places])
    g.save(path, "input", ["batch", 3, HEIGHT, WIDTH])


def heatmap(path, _):
    """HRNet and SimpleBaseline, static."""
    g = Graph(2)
    g.output(maps(g, "input"), "output", [1, KEYPOINTS, ROWS, COLUMNS])
    g.save(path, "input", [1, 3, HEIGHT, WIDTH])


def vitpose(path, _):
    g = Graph(3)
    g.output(maps(g, "pixel_values"), "heatmaps", ["batch", KEYPOINTS, ROWS, COLUMNS])
    g.save(path, "pixel_values", ["batch", 3, HEIGHT, WIDTH])


def rtmo_graph(scale, shift):
    """`scale` and `shift` of the scores' logits."""
    g = Graph(4)
    n = SIDE // CELL
    x = g.op("Mul", "input", g.constant(1 / 64))
    x = g.op("Relu", g.conv(x, 3, 8, 3, 2))
    x = g.op("Relu", g.conv(x, 8, 16, 3, 2))
    x = g.op("Relu", g.conv(x, 16, 16, 3, 2))
    x = g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])

    def rows(values, channels):
        flat = g.op("Reshape", values, g.constant([1, channels, n * n], np.int64))
        return g.op("Transpose", flat, perm=[0, 2, 1])

    score = rows(g.conv(x, 16, 1, 1), 1)
    score = g.op("Sigmoid", g.op("Add", g.op("Mul", score, g.constant(scale)), g.constant(shift)))
    y, x_ = np.mgrid[0:n, 0:n]
    cells = g.constant((np.stack([x_.ravel(), y.ravel()], axis=1)[None] + 0.5) * CELL)
    centre = g.op("Add", cells, g.op("Mul", g.op("Tanh", rows(g.conv(x, 16, 2, 1, gain=0.3), 2)), g.constant(CELL)))
    half = g.op("Mul", g.op("Exp", g.op("Tanh", rows(g.conv(x, 16, 2, 1, gain=0.3), 2))), g.constant([[[16.0, 32.0]]]))
    boxes = g.op("Concat", g.op("Sub", centre, half), g.op("Add", centre, half), axis=2)
    places = g.op("Tanh", g.op("Reshape", rows(g.conv(x, 16, 2 * KEYPOINTS, 1, gain=0.3), 2 * KEYPOINTS),
                               g.constant([1, n * n, KEYPOINTS, 2], np.int64)))  # fmt: skip
    axis = g.constant([2], np.int64)
    places = g.op("Add", g.op("Unsqueeze", centre, axis), g.op("Mul", places, g.op("Unsqueeze", half, axis)))
    seen = g.op("Unsqueeze", g.op("Sigmoid", rows(g.conv(x, 16, KEYPOINTS, 1), KEYPOINTS)), g.constant([3], np.int64))
    points = g.op("Concat", places, seen, axis=3)
    # The exporter's suppression; how many rows it leaves depends on the picture.
    best = g.op("NonMaxSuppression", boxes, g.op("Transpose", score, perm=[0, 2, 1]), g.constant([50], np.int64),
                g.constant([0.5]), g.constant([0.05]))  # fmt: skip
    best = g.op("Gather", best, g.constant(2, np.int64), axis=1)
    g.output(g.op("Gather", g.op("Concat", boxes, score, axis=2), best, axis=1), "dets", [1, "persons", 5])
    g.output(g.op("Gather", points, best, axis=1), "keypoints", [1, "persons", KEYPOINTS, 3])
    return g, score


def rtmo(path, pictures):
    import onnxruntime

    # First the logits as they come, from which their mean and spread are known.
    g, score = rtmo_graph(1.0, 0.0)
    logits = next(node for node in g.nodes if node.output[0] == score).input[0]
    g.output(logits, "logits", [1, "anchors", 1])
    g.save(path, "input", [1, 3, SIDE, SIDE])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = [families.Yolox().tensor(picture, (SIDE, SIDE))[0][None] for picture in pictures]
    found = np.stack([session.run(["logits"], {"input": x})[0].ravel() for x in inputs]).astype(np.float64)
    scale = 2.0 / found.std()
    cut = np.sort(found, axis=1)[:, -4 * WANTED].mean()
    g, _ = rtmo_graph(scale, -cut * scale)
    g.save(path, "input", [1, 3, SIDE, SIDE])


MODELS = {"simcc": simcc, "heatmap": heatmap, "heatmap-udp": vitpose, "rtmo": rtmo}


def main():
    pictures, files = reference.exporter(__doc__, MODELS)
    for name, file in files.items():
        MODELS[name](file, pictures)


if __name__ == "__main__":
    main()
