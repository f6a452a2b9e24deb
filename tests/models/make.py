#!/usr/bin/env python3
"""Makes the test models: real heads on top of one convolution that finds coloured squares.

    make.py             writes the models and README.md beside this file
    make.py --check     compares them with what this script makes, byte for byte, and runs them

Needs the packages of ../reference/requirements.txt. What the models have in common is in README (below).
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT, CELL = 96, 64, 8
COLUMNS, ROWS = WIDTH // CELL, HEIGHT // CELL
CELLS = COLUMNS * ROWS
# Strides 8, 16 and 32.
ANCHORS = CELLS + CELLS // 4 + CELLS // 16
COLOURS = ("red", "green", "blue")
KEYPOINTS = 17
# Oriented boxes are half as high as a cell; their directions by class, radians, clockwise.
ANGLES = (0.5, -0.5, 1.0)
# NanoDet's published input: BGR, (pixel - mean) / deviation.
NANODET_MEAN = np.array([103.53, 116.28, 123.675])
NANODET_STD = np.array([57.375, 57.12, 58.395])
# RGB, (pixel - mean) / deviation, of PicoDet, the top-down pose models and torchvision's classifiers.
IMAGENET_MEAN, IMAGENET_STD = NANODET_MEAN[::-1], NANODET_STD[::-1]

README = """# Models for the tests

The files are made by `make.py`; `make.py --check` verifies them. They have a few KB each, with results that can be computed.

- The input is 96 × 64 pixels (width × height), cut into 12 × 8 cells of 8 pixels.
- Class 0 is red, 1 green, 2 blue. A cell's score for red is the mean of `R - G/2 - B/2` over its pixels, clamped to
  0–255 and divided by 255; green and blue likewise. So a cell filled with (200, 0, 0) is class 0 with confidence
  200/255, and black, grey and white cells are nothing.
- An object's box is its cell: column 3, row 4 is the box from (24, 32) to (32, 40) in the network's pixels.
- The YOLO heads that leave overlapping boxes to NMS have anchors for strides 8, 16 and 32, like real ones. Stride 8 finds
  the squares; the other strides find those in columns and rows that are multiples of 2 and 4 again: 1 and 2 pixels to the
  right, with a half and a quarter of the confidence. After NMS one object per cell is left.
- Pose: a red cell is a person. Keypoint k = 0…16 lies at x = left + 8·(k + 1)/20, y = top + 8·(k + 2)/20, with the
  person's confidence times (20 - k)/20.
- Masks have a cell for 4 × 4 pixels: red squares are objects in their upper half, green ones in their left half, blue ones
  all over.
- Oriented boxes lie in the middle of their cells, 8 pixels wide and 4 high before they are turned: by 0.5 radians for red,
  -0.5 for green, 1 for blue, clockwise.
- Classifiers: the logit of a colour is 8 times the mean of its score over the whole picture.
- The pose models with maps have three keypoints: keypoint k is the middle of the cell that has the most of colour k, with
  that cell's score as its confidence.

| file | input | output | what it is |
|---|---|---|---|
"""


class Graph:
    """Collects nodes and constants; every result gets the next name."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
        return name

    def output(self, result, name, dtype, shape):
        """Renames `result` to the output's name."""
        for node in self.nodes:
            for i, n in enumerate(node.output):
                node.output[i] = name if n == result else n
            for i, n in enumerate(node.input):
                node.input[i] = name if n == result else n
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.outputs.append(helper.make_tensor_value_info(name, element, shape))

    def bytes(self, metadata=None):
        graph = helper.make_graph(self.nodes, "squares", self.inputs, self.outputs, self.constants)
        # IR 8 and opset 17: read by TensorRT 8.5 and ONNX Runtime 1.17.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model.producer_name = "tests/models/make.py"
        helper.set_model_props(model, metadata or {})
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def image(g, dtype=np.float32, layout="NCHW", batch="batch", size=(HEIGHT, WIDTH), name="images"):
    """The image input, as f32 or f16 NCHW."""
    shape = [batch, 3, *size] if layout == "NCHW" else [batch, *size, 3]
    x = g.input(name, dtype, shape)
    if np.dtype(dtype).kind in "iu":
        x = g.op("Cast", x, to=TensorProto.FLOAT)
    return x if layout == "NCHW" else g.op("Transpose", x, perm=[0, 3, 1, 2])


def colours(g, x, dtype=np.float32, scale=1.0, mean=np.zeros(3), std=np.ones(3), bgr=False):
    """How much of each colour each cell has, [B, 3, rows, columns]. The input is (pixel - mean) / std; white is `scale`."""
    matrix = (np.eye(3) * 1.5 - 0.5) / (CELL * CELL * scale)
    if bgr:
        matrix = matrix[:, ::-1]
    bias = matrix @ mean * CELL * CELL
    kernel = np.broadcast_to((matrix * std)[:, :, None, None], (3, 3, CELL, CELL))
    return g.op("Conv", x, g.constant(kernel, dtype), g.constant(bias, dtype), strides=[CELL, CELL])


def squares(g, x, dtype=np.float32, scale=1.0):
    """Scores [B, 3, rows, columns], 0–1."""
    return g.op("Clip", colours(g, x, dtype, scale), g.constant(0, dtype), g.constant(1, dtype))


def centres():
    """Cell centres, row by row: x [n], y [n]."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    return ((x + 0.5) * CELL).ravel(), ((y + 0.5) * CELL).ravel()


def keypoints(k=np.arange(KEYPOINTS)):
    """Places relative to the cell's centre in cells, and share of the person's confidence."""
    return (k + 1) / 20 - 0.5, (k + 2) / 20 - 0.5, (20 - k) / 20


def ultralytics(task, names, **more):
    return {
        "description": "Coloured squares", "author": "Ultralytics", "version": "8.3.40", "stride": "32", "task": task,
        "batch": "1", "imgsz": f"[{HEIGHT}, {WIDTH}]", "names": str(dict(enumerate(names))), **more,
    }  # fmt: skip


def yolo_scores(g, x, dtype, scale, count):
    """Scores [B, count, anchors]: all cells, every second one at half, every fourth one at a quarter."""
    grid = squares(g, x, dtype, scale)
    if count < 3:
        grid = g.op("Slice", grid, g.constant([0], np.int64), g.constant([count], np.int64), g.constant([1], np.int64))
    if count > 3:
        grid = g.op("Pad", grid, g.constant([0, 0, 0, 0, 0, count - 3, 0, 0], np.int64), g.constant(0, dtype))
    return yolo_levels(g, grid, dtype, count)


def yolo_levels(g, grid, dtype, count):
    """Scores [B, count, anchors] of a grid's."""
    levels = []
    for step in (1, 2, 4):
        level = grid
        if step > 1:
            ends, axes = g.constant([ROWS, COLUMNS], np.int64), g.constant([2, 3], np.int64)
            level = g.op("Slice", grid, g.constant([0, 0], np.int64), ends, axes, g.constant([step, step], np.int64))
            level = g.op("Mul", level, g.constant(1 / step, dtype))
        levels.append(g.op("Reshape", level, g.constant([0, count, CELLS // step**2], np.int64)))
    return g.op("Concat", *levels, axis=2)


def yolo_boxes(g, scores, dtype):
    """Boxes [B, 4, anchors], centre and size."""
    boxes = []
    for step in (1, 2, 4):
        x, y = (v.reshape(ROWS, COLUMNS)[::step, ::step].ravel() for v in centres())
        boxes.append(np.stack([x + step // 2, y, np.full(len(x), CELL), np.full(len(x), CELL)]))
    first = g.op("Slice", scores, g.constant([0], np.int64), g.constant([1], np.int64), g.constant([1], np.int64))
    return g.op("Add", g.op("Mul", first, g.constant(0, dtype)), g.constant(np.concatenate(boxes, axis=1)[None], dtype))


def yolo(dtype=np.float32, layout="NCHW", batch="batch", classes=3, metadata=True, dynamic=False, slow=False, loud=False):
    g = Graph()
    work = np.float16 if dtype == np.float16 else np.float32
    x = image(g, dtype, layout, batch, ("height", "width") if dynamic else (HEIGHT, WIDTH))
    scores = yolo_scores(g, x, work, 255.0 if dtype == np.uint8 else 1.0, classes)
    if slow:
        scores = g.op("Add", scores, idle_work(g, x))
    if loud:
        scores = g.op("Mul", scores, g.constant(3))
    out = g.op("Concat", yolo_boxes(g, scores, work), scores, axis=1)
    g.output(out, "output0", work, [batch, 4 + classes, "anchors" if dynamic else ANCHORS])
    more = {} if isinstance(batch, str) else {"batch": str(batch)}
    return g.bytes(ultralytics("detect", COLOURS, **more) if metadata else None)


def idle_work(g, x, channels=8, layers=12):
    """Zero [B, 1, 1], after a lot of convolutions with one shared kernel on a picture enlarged four times."""
    x = g.op("Resize", x, "", g.constant([1, 1, 4, 4]), mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric")  # fmt: skip
    x = g.op("Conv", x, g.constant(np.full((channels, 3, 1, 1), 1 / 3)))
    kernel = g.constant(np.full((channels, channels, 3, 3), 1 / (9 * channels)))
    for _ in range(layers):
        x = g.op("Conv", x, kernel, pads=[1, 1, 1, 1])
    mean = g.op("ReduceMean", x, axes=[1, 2, 3], keepdims=0)
    zero = g.op("Mul", mean, g.constant(0))
    return g.op("Reshape", zero, g.constant([-1, 1, 1], np.int64))


def rounded(g, x, scale):
    """To int8 and back, one scale for all; the zero point is 0, as TensorRT wants it."""
    scale, zero = g.constant(scale), g.constant(0, np.int8)
    return g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)


def int8_conv(g, x, kernel, **attributes):
    """A convolution with int8 weights, a scale for each channel that comes out."""
    scale = np.abs(kernel).max(axis=(1, 2, 3)) / 127
    weights = g.constant(np.round(kernel / scale[:, None, None, None]), np.int8)
    weights = g.op("DequantizeLinear", weights, g.constant(scale), g.constant(np.zeros(3), np.int8), axis=0)
    return g.op("Conv", x, weights, **attributes)


def quantized():
    """The YOLO head as quantisers leave a model: pairs of Q and DQ before both convolutions, float32 scales."""
    g = Graph()
    matrix = (np.eye(3) * 1.5 - 0.5) / (CELL * CELL)
    kernel = np.ascontiguousarray(np.broadcast_to(matrix[:, :, None, None], (3, 3, CELL, CELL)))
    x = int8_conv(g, rounded(g, image(g), 1 / 127), kernel, strides=[CELL, CELL])
    x = rounded(g, g.op("Clip", x, g.constant(0), g.constant(1)), 1 / 127)
    grid = int8_conv(g, x, np.eye(3)[:, :, None, None])
    scores = yolo_levels(g, grid, np.float32, 3)
    out = g.op("Concat", yolo_boxes(g, scores, np.float32), scores, axis=1)
    g.output(out, "output0", np.float32, ["batch", 7, ANCHORS])
    return g.bytes(ultralytics("detect", COLOURS))


def pose_points(g, x, y, score, dtype, axis, count=KEYPOINTS):
    """Keypoints' x, y and confidence from the cells' centres and scores, stacked behind `axis`, which has `count` of them."""
    shape = [1, 1, 1]
    shape[axis] = count
    places = scaled(keypoints(np.arange(count)), (CELL, CELL, 1))
    dx, dy, share = (g.constant(v.reshape(shape), dtype) for v in places)
    parts = [g.op("Add", x, dx), g.op("Add", y, dy), g.op("Mul", score, share)]
    inner = g.constant([axis + 1], np.int64)
    return g.op("Concat", *[g.op("Unsqueeze", p, inner) for p in parts], axis=axis + 1)


def scaled(values, factors):
    return [v * f for v, f in zip(values, factors)]


def yolo_pose(count=KEYPOINTS, metadata=True):
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 1.0, 1)
    boxes = yolo_boxes(g, scores, np.float32)
    x, y, _, _ = g.op("Split", boxes, outputs=4, axis=1)
    points = pose_points(g, x, y, scores, np.float32, 1, count)
    flat = g.op("Reshape", points, g.constant([0, 3 * count, ANCHORS], np.int64))
    g.output(g.op("Concat", boxes, scores, flat, axis=1), "output0", np.float32, ["batch", 5 + 3 * count, ANCHORS])
    return g.bytes(ultralytics("pose", ["person"], kpt_shape=f"[{count}, 3]") if metadata else None)


def yolo_obb():
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 1.0, 3)
    boxes = g.op("Mul", yolo_boxes(g, scores, np.float32), g.constant(np.array([1, 1, 1, 0.5])[None, :, None]))
    # Each colour's direction where there is some of it.
    turned = g.op("Mul", g.op("Sign", scores), g.constant(np.array(ANGLES)[None, :, None]))
    angle = g.op("ReduceSum", turned, g.constant([1], np.int64), keepdims=1)
    g.output(g.op("Concat", boxes, scores, angle, axis=1), "output0", np.float32, ["batch", 8, ANCHORS])
    return g.bytes(ultralytics("obb", COLOURS))


def yolo_obb_end_to_end():
    g = Graph()
    score, rows = best(g, squares(g, image(g)), 3, 300)
    box, c = g.op("Split", rows, g.constant([4, 1], np.int64), outputs=2, axis=2)
    box = g.op("Mul", box, g.constant([1, 1, 1, 0.5]))
    angle = g.op("Gather", g.constant(ANGLES), g.op("Cast", c, to=TensorProto.INT64))
    g.output(g.op("Concat", box, score, c, angle, axis=2), "output0", np.float32, ["batch", 300, 7])
    return g.bytes(ultralytics("obb", COLOURS, end2end="True"))


def oriented():
    """One class, and the angle that an oriented box has everywhere, also where there is nothing."""
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 1.0, 1)
    boxes = yolo_boxes(g, scores, np.float32)
    angle = g.op("Add", g.op("Mul", scores, g.constant(0)), g.constant(0.6))
    g.output(g.op("Concat", boxes, scores, angle, axis=1), "output0", np.float32, ["batch", 6, ANCHORS])
    return g.bytes()


def best(g, scores, classes, count):
    """The best `count` scores [B, count, 1] and their rows [B, count, 5]: centre x, y, size, class."""
    flat = g.op("Reshape", scores, g.constant([0, classes * CELLS], np.int64))
    missing = max(0, count - classes * CELLS)
    if missing:
        flat = g.op("Pad", flat, g.constant([0, 0, 0, missing], np.int64), g.constant(0))
    values, indices = g.op("TopK", flat, g.constant([count], np.int64), outputs=2)
    x, y = centres()
    size = np.full(CELLS, CELL)
    table = np.concatenate([np.stack([x, y, size, size, np.full(CELLS, c)], axis=1) for c in range(classes)])
    table = np.concatenate([table, np.zeros((missing, 5))])
    rows = g.op("Gather", g.constant(table), indices, axis=0)
    return g.op("Unsqueeze", values, g.constant([2], np.int64)), rows


def corners(g, rows):
    """x, y, width, height and class [B, n, 1], and the boxes' corners x1, y1, x2, y2 [B, n, 4]."""
    x, y, w, h, c = g.op("Split", rows, g.constant([1] * 5, np.int64), outputs=5, axis=2)
    half = g.constant(0.5)
    w2, h2 = g.op("Mul", w, half), g.op("Mul", h, half)
    edges = [g.op("Sub", x, w2), g.op("Sub", y, h2), g.op("Add", x, w2), g.op("Add", y, h2)]
    return x, y, c, edges


def fractions():
    """Rows as RT-DETR has them: centre x, centre y, width, height as fractions of the input, score, class."""
    g = Graph()
    score, rows = best(g, squares(g, image(g)), 3, 300)
    rows = g.op("Mul", rows, g.constant([1 / WIDTH, 1 / HEIGHT, 1 / WIDTH, 1 / HEIGHT, 1]))
    box, c = g.op("Split", rows, g.constant([4, 1], np.int64), outputs=2, axis=2)
    g.output(g.op("Concat", box, score, c, axis=2), "output0", np.float32, ["batch", 300, 6])
    return g.bytes()


def objectness():
    """YOLOX's rows: box, objectness, scores."""
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 1.0, 3)
    boxes = yolo_boxes(g, scores, np.float32)
    best_score = g.op("ReduceMax", scores, axes=[1], keepdims=1)
    rows = g.op("Transpose", g.op("Concat", boxes, best_score, scores, axis=1), perm=[0, 2, 1])
    g.output(rows, "output", np.float32, ["batch", ANCHORS, 8])
    return g.bytes()


def end_to_end(pose, metadata=True):
    g = Graph()
    scores = squares(g, image(g))
    classes = 1 if pose else 3
    if pose:
        scores = g.op("Slice", scores, g.constant([0], np.int64), g.constant([1], np.int64), g.constant([1], np.int64))
    score, rows = best(g, scores, classes, 300)
    x, y, c, edges = corners(g, rows)
    parts = [*edges, score, c]
    if pose:
        points = pose_points(g, x, y, score, np.float32, 2)
        parts.append(g.op("Reshape", points, g.constant([0, 300, 3 * KEYPOINTS], np.int64)))
    columns = 6 + 3 * KEYPOINTS if pose else 6
    g.output(g.op("Concat", *parts, axis=2), "output0", np.float32, ["batch", 300, columns])
    return g.bytes(None if pose or not metadata else ultralytics("detect", COLOURS, end2end="True"))


def prototypes(g, x):
    """Three masks of 4 × 4 pixels a cell, [B, 3, 16, 24]: positive in the upper halves of the squares, in their left halves,
    and everywhere; and negative elsewhere."""
    y, xs = np.mgrid[0 : HEIGHT // 4, 0 : WIDTH // 4]
    masks = np.stack([1 - 2 * (y % 2), 1 - 2 * (xs % 2), np.ones_like(y)])
    batch = g.op("Mul", g.op("ReduceMean", x, axes=[1, 2, 3], keepdims=1), g.constant(0))
    g.output(g.op("Add", batch, g.constant(masks[None])), "output1", np.float32, ["batch", 3, HEIGHT // 4, WIDTH // 4])


def yolo_seg():
    """The YOLO head with a coefficient for each colour: its score."""
    g = Graph()
    x = image(g)
    scores = yolo_scores(g, x, np.float32, 1.0, 3)
    out = g.op("Concat", yolo_boxes(g, scores, np.float32), scores, scores, axis=1)
    g.output(out, "output0", np.float32, ["batch", 10, ANCHORS])
    prototypes(g, x)
    return g.bytes(ultralytics("segment", COLOURS))


def end_to_end_seg():
    """The end-to-end head with the same coefficients."""
    g = Graph()
    x = image(g)
    score, rows = best(g, squares(g, x), 3, 300)
    _, _, c, edges = corners(g, rows)
    colour = g.op("Cast", g.op("Equal", c, g.constant(np.arange(3)[None, None])), to=TensorProto.FLOAT)
    out = g.op("Concat", *edges, score, c, g.op("Mul", colour, score), axis=2)
    g.output(out, "output0", np.float32, ["batch", 300, 9])
    prototypes(g, x)
    return g.bytes(ultralytics("segment", COLOURS, end2end="True"))


def split():
    """RT-DETR's three outputs: class numbers, corners times a second input, scores."""
    g = Graph()
    x, sizes = image(g), g.input("orig_target_sizes", np.int64, ["batch", 2])
    score, rows = best(g, squares(g, x), 3, 300)
    _, _, c, edges = corners(g, rows)
    boxes = g.op("Mul", g.op("Concat", *edges, axis=2), g.constant([1 / WIDTH, 1 / HEIGHT] * 2))
    sizes = g.op("Cast", sizes, to=TensorProto.FLOAT)
    sizes = g.op("Unsqueeze", g.op("Concat", sizes, sizes, axis=1), g.constant([1], np.int64))
    last = g.constant([2], np.int64)
    labels = g.op("Cast", g.op("Squeeze", c, last), to=TensorProto.INT64)
    g.output(labels, "labels", np.int64, ["batch", 300])
    g.output(g.op("Mul", boxes, sizes), "boxes", np.float32, ["batch", 300, 4])
    g.output(g.op("Squeeze", score, last), "scores", np.float32, ["batch", 300])
    return g.bytes()


def anchor_corners(g, scores):
    """The anchors' corners [B, anchors, 4]."""
    x, y, w, h = g.op("Split", g.op("Transpose", yolo_boxes(g, scores, np.float32), perm=[0, 2, 1]), outputs=4, axis=2)
    w2, h2 = g.op("Mul", w, g.constant(0.5)), g.op("Mul", h, g.constant(0.5))
    edges = [g.op("Sub", x, w2), g.op("Sub", y, h2), g.op("Add", x, w2), g.op("Add", y, h2)]
    return g.op("Concat", *edges, axis=2)


def paddle():
    """PP-YOLOE's outputs and second inputs: boxes are divided by the picture's scale, and end at its size."""
    g = Graph()
    x = image(g, name="image")
    shape, factor = (g.input(name, np.float32, ["batch", 2]) for name in ("im_shape", "scale_factor"))
    scores = yolo_scores(g, x, np.float32, 1.0, 3)
    # Height before width in both.
    order = g.constant([1, 0, 1, 0], np.int64)
    shape, factor = (g.op("Unsqueeze", g.op("Gather", v, order, axis=1), g.constant([1], np.int64)) for v in (shape, factor))
    boxes = g.op("Div", g.op("Min", anchor_corners(g, scores), shape), factor)
    g.output(boxes, "boxes", np.float32, ["batch", ANCHORS, 4])
    g.output(scores, "scores", np.float32, ["batch", 3, ANCHORS])
    return g.bytes()


def damo():
    """DAMO-YOLO's outputs."""
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 255.0, 3)
    boxes = anchor_corners(g, scores)
    g.output(g.op("Transpose", scores, perm=[0, 2, 1]), "output", np.float32, ["batch", ANCHORS, 3])
    g.output(boxes, "953", np.float32, ["batch", ANCHORS, 4])
    return g.bytes()


def yolov5():
    """YOLOv5's rows: box, objectness, classes under it; three anchors per cell, of which the first is the best."""
    g = Graph()
    scores = yolo_scores(g, image(g), np.float32, 1.0, 3)
    boxes = yolo_boxes(g, scores, np.float32)
    greatest = g.op("ReduceMax", scores, axes=[1], keepdims=1)
    shares = g.op("Div", scores, g.op("Max", greatest, g.constant(1e-6)))
    anchors = [g.op("Concat", boxes, g.op("Mul", greatest, g.constant(part)), shares, axis=1) for part in (1, 0.5, 0.25)]
    rows = g.op("Transpose", g.op("Concat", *anchors, axis=2), perm=[0, 2, 1])
    g.output(rows, "output0", np.float32, ["batch", 3 * ANCHORS, 8])
    return g.bytes()


def picodet():
    """As NanoDet's, with 8 bins and a fourth stride, which finds nothing."""
    g = Graph()
    found = colours(g, image(g, name="image"), scale=255.0, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    wanted = distributions(g, found, 8)
    scores, sides, _ = wanted[32]
    few = [g.constant(v, np.int64) for v in ([0], [2], [1])]
    wanted[64] = g.op("Mul", g.op("Slice", scores, *few), g.constant(0)), g.op("Slice", sides, *few), 2
    for kind, name, columns in ((0, "cls", 80), (1, "reg", 32)):
        for stride, outputs in wanted.items():
            g.output(outputs[kind], f"{name}_{stride}", np.float32, ["batch", outputs[2], columns])
    return g.bytes()


def nanodet():
    """Per stride a score tensor [B, n, 80] and a box tensor [B, n, 44]: 4 sides × logits of 0…10 strides."""
    g = Graph()
    x = image(g, name="input_1:0")
    found = colours(g, x, scale=255.0, mean=NANODET_MEAN, std=NANODET_STD, bgr=True)
    wanted = distributions(g, found, 11)
    # The order of the exports that are about: neither by stride nor by kind.
    for name, stride, kind in (("2", 32, 0), ("5", 32, 1), ("1", 16, 0), ("0", 8, 0), ("4", 16, 1), ("3", 8, 1)):
        g.output(wanted[stride][kind], f"Identity_{name}:0", np.float32, ["batch", wanted[stride][2], (80, 44)[kind]])
    return g.bytes()


def distributions(g, found, bins):
    """By stride: scores [B, n, 80], logits of four sides [B, n, 4 · bins], and n."""
    wanted = {}
    for stride in (8, 16, 32):
        count = (WIDTH // stride) * (HEIGHT // stride)
        s = found
        if stride > CELL:
            n = stride // CELL
            s = g.op("AveragePool", s, kernel_shape=[n, n], strides=[n, n])
            # A square of one small cell must not show in the large one around it.
            s = g.op("Sub", g.op("Mul", s, g.constant(2)), g.constant(1))
        s = g.op("Clip", s, g.constant(0), g.constant(1))
        flat = g.op("Reshape", s, g.constant([0, 3, count], np.int64))
        flat = g.op("Transpose", flat, perm=[0, 2, 1])
        scores = g.op("Pad", flat, g.constant([0, 0, 0, 0, 0, 77], np.int64), g.constant(0))
        first = g.op("Slice", flat, g.constant([0], np.int64), g.constant([1], np.int64), g.constant([2], np.int64))
        # Half a stride to each side: as likely 0 as 1, and nothing else.
        logits = np.where(np.arange(bins) < 2, 0.0, -50.0)
        sides = g.op("Add", g.op("Mul", first, g.constant(0)), g.constant(np.tile(logits, 4)[None, None]))
        wanted[stride] = (scores, sides, count)
    return wanted


def movenet(persons):
    """Top-down for one person [B, 1, 17, 3], else [B, persons, 56]; y before x, all of it 0–1 of the input."""
    g = Graph()
    x = image(g, np.int32, "NHWC", name="input:0")
    red = g.op("Slice", squares(g, x, scale=255.0), *[g.constant([v], np.int64) for v in (0, 1, 1)])
    score, rows = best(g, red, 1, persons)
    x, y, _, edges = corners(g, rows)
    points = pose_points(g, x, y, score, np.float32, 2)
    unit = g.constant([1 / WIDTH, 1 / HEIGHT, 1])
    points = g.op("Gather", g.op("Mul", points, unit), g.constant([1, 0, 2], np.int64), axis=3)
    if persons == 1:
        g.output(points, "Identity:0", np.float32, ["batch", 1, KEYPOINTS, 3])
        return g.bytes()
    flat = g.op("Reshape", points, g.constant([0, persons, 3 * KEYPOINTS], np.int64))
    box = g.op("Concat", *[edges[i] for i in (1, 0, 3, 2)], axis=2)
    box = g.op("Mul", box, g.constant([1 / HEIGHT, 1 / WIDTH] * 2))
    g.output(g.op("Concat", flat, box, score, axis=2), "Identity:0", np.float32, ["batch", persons, 56])
    return g.bytes()


def crop_squares(g, name="input"):
    """The scores of a picture with ImageNet's mean and deviation."""
    raw = colours(g, image(g, name=name), scale=255.0, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return g.op("Clip", raw, g.constant(0), g.constant(1))


def places(g, x, axis, count, after=0):
    """Makes `count` places of each cell along an axis that has `after` others after it. The one in the middle has the cell's
    value, the others half of it."""
    weights = np.where(np.arange(count) == count // 2, 1.0, 0.5)
    wide = g.op("Unsqueeze", x, g.constant([axis + 1], np.int64))
    return g.op("Mul", wide, g.constant(weights.reshape([count] + [1] * after)))


def simcc():
    """The colours' greatest scores in each column and row, two places a pixel."""
    g = Graph()
    scores = crop_squares(g)
    for axis, name, size in ((2, "simcc_x", 2 * WIDTH), (3, "simcc_y", 2 * HEIGHT)):
        line = g.op("ReduceMax", scores, axes=[axis], keepdims=0)
        spread = g.op("Reshape", places(g, line, 2, 2 * CELL), g.constant([0, 3, size], np.int64))
        g.output(spread, name, np.float32, ["batch", 3, size])
    return g.bytes()


def heatmaps(input_name="input", output_name="output"):
    """The colours' scores, a place for four pixels."""
    g = Graph()
    count = CELL // 4
    wide = places(g, crop_squares(g, input_name), 3, count)
    wide = g.op("Reshape", wide, g.constant([0, 3, ROWS, COLUMNS * count], np.int64))
    high = g.op("Reshape", places(g, wide, 2, count, 1), g.constant([0, 3, ROWS * count, COLUMNS * count], np.int64))
    g.output(high, output_name, np.float32, ["batch", 3, ROWS * count, COLUMNS * count])
    return g.bytes()


def rtmo(persons=6):
    """Boxes and keypoints of the reddest cells, BGR of 0-255."""
    g = Graph()
    raw = colours(g, image(g, name="input"), scale=255.0, bgr=True)
    red = g.op("Slice", g.op("Clip", raw, g.constant(0), g.constant(1)), *[g.constant([v], np.int64) for v in (0, 1, 1)])
    score, rows = best(g, red, 1, persons)
    x, y, _, edges = corners(g, rows)
    points = pose_points(g, x, y, score, np.float32, 2)
    g.output(g.op("Concat", *edges, score, axis=2), "dets", np.float32, ["batch", persons, 5])
    g.output(points, "keypoints", np.float32, ["batch", persons, KEYPOINTS, 3])
    return g.bytes()


def classifier():
    """The softmax of the colours' logits, in the form of Ultralytics' exports."""
    g = Graph()
    logits = colour_logits(g, squares(g, image(g)))
    g.output(g.op("Softmax", logits, axis=1), "output0", np.float32, ["batch", 3])
    return g.bytes(ultralytics("classify", COLOURS))


def logit_classifier():
    """The colours' logits, in the form of torchvision's and timm's exports."""
    g = Graph()
    found = colours(g, image(g, name="input"), scale=255.0, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    g.output(colour_logits(g, g.op("Clip", found, g.constant(0), g.constant(1))), "output", np.float32, ["batch", 3])
    return g.bytes()


def colour_logits(g, found):
    """Eight times the colours' means over the picture."""
    return g.op("Mul", g.op("ReduceMean", found, axes=[2, 3], keepdims=0), g.constant(8))


def unknown():
    g = Graph()
    means = g.op("ReduceMean", squares(g, image(g)), axes=[2, 3], keepdims=0)
    means = g.op("Pad", means, g.constant([0, 0, 0, 7], np.int64), g.constant(0))
    g.output(g.op("Unsqueeze", means, g.constant([2], np.int64)), "output0", np.float32, ["batch", 10, 1])
    return g.bytes()


def two_inputs():
    g = Graph()
    x = g.op("Add", image(g), image(g, name="previous"))
    scores = yolo_scores(g, x, np.float32, 1.0, 3)
    out = g.op("Concat", yolo_boxes(g, scores, np.float32), scores, axis=1)
    g.output(out, "output0", np.float32, ["batch", 7, ANCHORS])
    return g.bytes()


F16, U8 = np.float16, np.uint8
# name: (bytes, input, output, what it is)
MODELS = {
    "yolo": (lambda: yolo(), "f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`",
             "YOLO head, Ultralytics metadata; next to no work: for overhead"),
    "yolo-f16": (lambda: yolo(F16), "f16 `[B, 3, 64, 96]`", "f16 `[B, 7, 126]`", "the same"),
    "yolo-u8": (lambda: yolo(U8), "u8 `[B, 3, 64, 96]`, 0–255", "`[B, 7, 126]`", "the same"),
    "yolo-nhwc": (lambda: yolo(layout="NHWC"), "f32 `[B, 64, 96, 3]`", "`[B, 7, 126]`", "the same"),
    "yolo-nhwc-f16": (lambda: yolo(F16, "NHWC"), "f16 `[B, 64, 96, 3]`", "f16 `[B, 7, 126]`", "the same"),
    "yolo-nhwc-u8": (lambda: yolo(U8, "NHWC"), "u8 `[B, 64, 96, 3]`, 0–255", "`[B, 7, 126]`", "the same"),
    "yolo-batch1": (lambda: yolo(batch=1), "f32 `[1, 3, 64, 96]`", "`[1, 7, 126]`", "the same, batch fixed"),
    "yolo-batch4": (lambda: yolo(batch=4), "f32 `[4, 3, 64, 96]`", "`[4, 7, 126]`", "the same, batch fixed"),
    "yolo-qdq": (quantized, "f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`",
                 "the same in int8, with Q/DQ nodes; confidences within 1/100"),
    "yolo-dynamic": (lambda: yolo(dynamic=True), "f32 `[B, 3, H, W]`", "`[B, 7, N]`",
                     "the same; the size is in the metadata only, and no other works"),
    "yolo-coco": (lambda: yolo(classes=80, metadata=False), "f32 `[B, 3, 64, 96]`", "`[B, 84, 126]`",
                  "YOLO head, no metadata: red is COCO's person, green bicycle, blue car"),
    "yolo-e2e": (lambda: end_to_end(False), "f32 `[B, 3, 64, 96]`", "`[B, 300, 6]`",
                 "end-to-end head, Ultralytics metadata"),
    "yolo-pose": (yolo_pose, "f32 `[B, 3, 64, 96]`", "`[B, 56, 126]`", "YOLO-pose head, Ultralytics metadata"),
    "yolo-pose-e2e": (lambda: end_to_end(True), "f32 `[B, 3, 64, 96]`", "`[B, 300, 57]`",
                      "end-to-end pose head, no metadata"),
    "yolo-seg": (yolo_seg, "f32 `[B, 3, 64, 96]`", "`[B, 10, 126]`, `[B, 3, 16, 24]`",
                 "YOLO-seg head, Ultralytics metadata"),
    "yolo-seg-e2e": (end_to_end_seg, "f32 `[B, 3, 64, 96]`", "`[B, 300, 9]`, `[B, 3, 16, 24]`",
                     "end-to-end head with masks, Ultralytics metadata"),
    "yolo-obb": (yolo_obb, "f32 `[B, 3, 64, 96]`", "`[B, 8, 126]`", "YOLO-OBB head, Ultralytics metadata"),
    "yolo-obb-e2e": (yolo_obb_end_to_end, "f32 `[B, 3, 64, 96]`", "`[B, 300, 7]`",
                     "end-to-end YOLO-OBB head, Ultralytics metadata"),
    "nanodet": (nanodet, "f32 `[B, 3, 64, 96]`, BGR, NanoDet's mean and deviation",
                "`[B, n, 80]` and `[B, n, 44]` for n = 96, 24, 6",
                "NanoDet's GFL head: red is person, green bicycle, blue car; the cells of 16 and 32 pixels find squares "
                "that fill more than half of them, with confidence 2·mean - 1; no doubles"),
    "rt-detr": (split, "f32 `[B, 3, 64, 96]`, and i64 `orig_target_sizes` `[B, 2]`",
                "`labels` i64 `[B, 300]`, `boxes` `[B, 300, 4]`, `scores` `[B, 300]`",
                "RT-DETR's outputs: boxes are fractions times the second input"),
    "pp-yoloe": (paddle, "f32 `[B, 3, 64, 96]`, `im_shape` and `scale_factor` `[B, 2]`",
                 "`boxes` `[B, 126, 4]`, `scores` `[B, 3, 126]`",
                 "PP-YOLOE's outputs: corners, cut at `im_shape` and divided by `scale_factor`"),
    "damo-yolo": (damo, "f32 `[B, 3, 64, 96]`, 0–255", "`[B, 126, 3]` and `[B, 126, 4]`",
                  "DAMO-YOLO's scores and corners"),
    "picodet": (picodet, "f32 `[B, 3, 64, 96]`, ImageNet's mean and deviation",
                "`[B, n, 80]` and `[B, n, 32]` for n = 96, 24, 6, 2", "PicoDet's head, as NanoDet's"),
    "yolov5": (yolov5, "f32 `[B, 3, 64, 96]`", "`[B, 378, 8]`",
               "YOLOv5's rows of box, objectness, and scores that are multiplied by it; three anchors per cell"),
    "movenet": (lambda: movenet(1), "i32 `[B, 64, 96, 3]`, 0–255", "`[B, 1, 17, 3]`",
                "MoveNet top-down: the reddest cell's person"),
    "movenet-multipose": (lambda: movenet(6), "i32 `[B, 64, 96, 3]`, 0–255", "`[B, 6, 56]`",
                          "MoveNet multi-pose: the six reddest cells"),
    "simcc": (simcc, "f32 `[B, 3, 64, 96]`, ImageNet's mean and deviation", "`[B, 3, 192]` and `[B, 3, 128]`",
              "RTMPose's rows for three keypoints"),
    "heatmaps": (heatmaps, "f32 `[B, 3, 64, 96]`, ImageNet's mean and deviation", "`[B, 3, 16, 24]`",
                 "bad without more said: heatmaps of three keypoints"),
    "vitpose": (lambda: heatmaps("pixel_values", "heatmaps"), "f32 `[B, 3, 64, 96]`, ImageNet's mean and deviation",
                "`[B, 3, 16, 24]`", "the same, named as Hugging Face's ViTPose exports are"),
    "rtmo": (rtmo, "f32 `[B, 3, 64, 96]`, BGR, 0–255", "`[B, 6, 5]` and `[B, 6, 17, 3]`",
             "RTMO's boxes and keypoints: the six reddest cells"),
    "slow": (lambda: yolo(slow=True), "f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`",
             "the YOLO head with tens of milliseconds of work an image"),
    "yolo-bare": (lambda: yolo(metadata=False), "f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`",
                  "the YOLO head without metadata; tests append some"),
    "yolo-e2e-bare": (lambda: end_to_end(False, metadata=False), "f32 `[B, 3, 64, 96]`", "`[B, 300, 6]`",
                      "end-to-end head without metadata"),
    "yolo-loud": (lambda: yolo(loud=True), "f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`",
                  "bad: the YOLO head with three times the scores, beyond 1 for what is bright"),
    "pose5-bare": (lambda: yolo_pose(5, metadata=False), "f32 `[B, 3, 64, 96]`", "`[B, 20, 126]`",
                   "bad without more metadata: the YOLO-pose head with keypoints 0 to 4, in the shape of 16 classes"),
    "obb-bare": (oriented, "f32 `[B, 3, 64, 96]`", "`[B, 6, 126]`",
                 "bad without more metadata: one class and an angle of 0.6 everywhere, in the shape of two classes"),
    "rtdetr-bare": (fractions, "f32 `[B, 3, 64, 96]`", "`[B, 300, 6]`",
                    "bad: boxes as centre and size, 0–1, in the shape of an end-to-end head"),
    "yolox": (objectness, "f32 `[B, 3, 64, 96]`", "`[B, 126, 8]`", "bad: YOLOX's rows of box, objectness, scores"),
    "unknown-head": (unknown, "f32 `[B, 3, 64, 96]`", "`[B, 10, 1]`", "bad: no known head"),
    "classify": (classifier, "f32 `[B, 3, 64, 96]`", "`[B, 3]`", "classifier with softmax, Ultralytics metadata"),
    "classify-logits": (logit_classifier, "f32 `[B, 3, 64, 96]`, ImageNet's mean and deviation", "`[B, 3]`",
                        "the same without softmax and without metadata"),
    "two-inputs": (two_inputs, "twice f32 `[B, 3, 64, 96]`", "`[B, 7, 126]`", "bad: which input is the picture?"),
}  # fmt: skip


def files():
    rows = [f"| `{n}.onnx` | {i} | {o} | {text} |" for n, (_, i, o, text) in MODELS.items()]
    out = {f"{name}.onnx": make() for name, (make, *_) in MODELS.items()}
    out["README.md"] = (README + "\n".join(rows) + "\n").encode()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare and run instead of writing")
    check = parser.parse_args().check
    wanted = files()
    if not check:
        for name, content in wanted.items():
            (HERE / name).write_bytes(content)
        return 0
    import check_models

    differ = [n for n, content in wanted.items() if not (HERE / n).exists() or (HERE / n).read_bytes() != content]
    stray = sorted({p.name for p in HERE.glob("*.onnx")} - set(wanted))
    problems = [f"{n} is not what make.py makes" for n in differ] + [f"{n} is not made by make.py" for n in stray]
    problems += check_models.run(HERE)
    print("\n".join(problems) or f"{len(wanted)} files as make.py makes them, and their answers right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
