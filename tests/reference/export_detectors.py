#!/usr/bin/env python3
"""Writes narrow networks in the form of the exports that detectors.py decodes: `cargo xtask export-models`.

    export_detectors.py --media DIR... --out DIR [--only NAME]

The graphs are made with `onnx` alone: names, shapes, types and metadata are those of the families' exporters, which MODELS names,
and so is what their graphs do behind the last layers. The backbone is five or six convolutions. Of families under the AGPL neither
code nor weights are here. Weights are seeded; the last layers are scaled and shifted so that some objects come out of the pictures
of reference.py.
"""

import json
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import detectors
import reference
from segmentation import standardise
from yolo_obb import Network, backbone, rescale

WIDTHS = 8, 8, 8, 16, 16, 16
CLASSES = 3
NAMES = {0: "plane", 1: "ship", 2: "bridge"}
ROWS = 300
QUERIES = 60
# Candidates of a picture above one half, and the spread of a class's logits.
WANTED, SPREAD = 16, 2.0
# Distances of boxes: mostly the first bins, so that boxes have a few strides.
PULL = 0.35


class Levels:
    """The last layers of each stride, of all `branches` (channels, spread, mean), and the strides' cells."""

    def __init__(self, net, pictures, branches, strides=(8, 16, 32)):
        self.net, self.pictures, self.strides = net, pictures, strides
        self.results = []
        for feature, width in backbone(net, pictures, WIDTHS[: 2 + len(strides)])[-len(strides) :]:
            x = net.block(feature, width, width)
            level = [net.conv(x, width, channels, 1) for channels, _, _ in branches]
            for result, (_, spread, mean) in zip(level, branches):
                standardise(net, result, pictures, spread, mean)
            self.results.append(level)
        height, width = net.size
        cells = [np.mgrid[0 : height // s, 0 : width // s].reshape(2, -1)[::-1] for s in strides]
        # Column and row of each cell [2, N], and its stride [N].
        self.cells = np.concatenate(cells, axis=1)
        self.stride = np.concatenate([np.full(c.shape[1], s) for c, s in zip(cells, strides)])
        self.count = len(self.stride)

    def cut(self, branch, wanted=WANTED, channels=slice(None)):
        """Shifts logits so that `wanted` of a picture are above 0."""
        results = [level[branch] for level in self.results]
        values = self.net.values(results, self.pictures)
        logits = [np.sort(np.concatenate([v[0][channels].ravel() for v in of_picture]))[-wanted] for of_picture in values]
        for result, value in zip(results, values[0]):
            shift = np.zeros(value.shape[1])
            shift[channels] = -np.mean(logits)
            rescale(self.net, result, np.ones(value.shape[1]), shift)

    def flat(self, branch):
        """[B, channels, N]"""
        net = self.net
        shapes = [net.op("Reshape", level[branch], net.constant([0, 0, -1], np.int64)) for level in self.results]
        return net.op("Concat", *shapes, axis=2)


def part(net, x, first, last, axis=1):
    return net.op("Slice", x, *[net.constant([v], np.int64) for v in (first, last, axis)])


def rows_of(net, x):
    return net.op("Transpose", x, perm=[0, 2, 1])


def scaled(net, x, factor):
    return net.op("Mul", x, net.constant(factor))


def binned(net, pictures, bins, strides=(8, 16, 32), classes=CLASSES, more=()):
    """Levels whose branches are distributions of four distances, scores, and `more`."""
    sides = (4 * bins, 1.0, np.tile(-np.arange(bins) * PULL, 4))
    levels = Levels(net, pictures, [sides, (classes, SPREAD, 0.0), *more], strides)
    levels.cut(1)
    return levels


def corners(levels, bins):
    """x1, y1 and x2, y2 in pixels, each [B, 2, N]."""
    net = levels.net
    values = net.op("Reshape", levels.flat(0), net.constant([0, 4, bins, -1], np.int64))
    shares = scaled(net, net.op("Softmax", values, axis=2), np.arange(bins).reshape(1, 1, bins, 1))
    distances = net.op("ReduceSum", shares, net.constant([2], np.int64), keepdims=0)
    points, stride = net.constant(levels.cells[None] + 0.5), levels.stride[None, None]
    near = net.op("Sub", points, part(net, distances, 0, 2))
    far = net.op("Add", points, part(net, distances, 2, 4))
    return scaled(net, near, stride), scaled(net, far, stride)


def scores(levels, branch=1):
    return levels.net.op("Sigmoid", levels.flat(branch))


def top(net, x, count):
    node = helper.make_node("TopK", [x, net.constant([count], np.int64)], [f"top_{len(net.nodes)}", f"at_{len(net.nodes)}"])
    net.nodes.append(node)
    return node.output


def gathered(net, x, index, width):
    index = net.op("Unsqueeze", index, net.constant([2], np.int64))
    return net.op("GatherElements", x, net.op("Expand", index, net.constant([1, 1, width], np.int64)), axis=1)


def opened(net, x, name, last):
    """An output whose shape neither ONNX nor ONNX Runtime can infer, as in LibreYOLO's exports; the names of its dimensions."""
    net.op("Reshape", x, net.op("Abs", net.op("Shape", x)), name=name)
    return ["batch", *last]


def best_rows(net, values, widths, key, count):
    """Of each of `values` [B, N, width] the rows where `key` has its greatest values."""
    _, index = top(net, net.op("ReduceMax", key, axes=[2], keepdims=0), count)
    return [gathered(net, x, index, width) for x, width in zip(values, widths)]


def best_pairs(net, values, widths, rows, classes, count):
    """The best pairs of a row and a class: classes, scores, and of each of `values` the rows."""
    score, index = top(net, net.op("Reshape", rows, net.constant([0, -1], np.int64)), count)
    number = net.constant(classes, np.int64)
    row = net.op("Div", index, number)
    label = net.op("Sub", index, net.op("Mul", row, number))
    return label, score, [gathered(net, x, row, width) for x, width in zip(values, widths)]


def columns(net, label, score):
    return (net.op("Unsqueeze", x, net.constant([2], np.int64)) for x in (net.op("Cast", label, to=TensorProto.FLOAT), score))


def yolo(net, pictures):
    """`Detect` of Ultralytics: centre, size, scores."""
    levels = binned(net, pictures, 16)
    near, far = corners(levels, 16)
    centre = scaled(net, net.op("Add", near, far), 0.5)
    net.op("Concat", centre, net.op("Sub", far, near), scores(levels), axis=1, name="output0")
    return [("output0", [1, 4 + CLASSES, levels.count])]


def yolo_end_to_end(net, pictures):
    """`Detect.postprocess`: the best cells, and of these the best pairs with a class."""
    levels = binned(net, pictures, 16)
    boxes = rows_of(net, net.op("Concat", *corners(levels, 16), axis=1))
    values = rows_of(net, scores(levels))
    boxes, values = best_rows(net, [boxes, values], [4, CLASSES], values, ROWS)
    label, score, (boxes,) = best_pairs(net, [boxes], [4], values, CLASSES, ROWS)
    label, score = columns(net, label, score)
    net.op("Concat", boxes, score, label, axis=2, name="output0")
    return [("output0", [1, ROWS, 6])]


def poses(net, pictures):
    """Levels of a person's box and score, and 17 keypoints [B, 51, N] (`Pose.kpts_decode`)."""
    levels = binned(net, pictures, 16, classes=1, more=[(51, 1.0, 0.0)])
    values = net.op("Reshape", levels.flat(2), net.constant([0, 17, 3, -1], np.int64))
    places = net.op("Add", scaled(net, part(net, values, 0, 2, 2), 2.0), net.constant(levels.cells[None, None]))
    places = scaled(net, places, levels.stride[None, None, None])
    sure = net.op("Sigmoid", part(net, values, 2, 3, 2))
    points = net.op("Concat", places, sure, axis=2)
    return levels, net.op("Reshape", points, net.constant([0, 51, -1], np.int64))


def yolo_pose(net, pictures):
    levels, points = poses(net, pictures)
    near, far = corners(levels, 16)
    centre = scaled(net, net.op("Add", near, far), 0.5)
    net.op("Concat", centre, net.op("Sub", far, near), scores(levels), points, axis=1, name="output0")
    return [("output0", [1, 56, levels.count])]


def yolo_pose_end_to_end(net, pictures):
    levels, points = poses(net, pictures)
    values = [rows_of(net, x) for x in (net.op("Concat", *corners(levels, 16), axis=1), points, scores(levels))]
    boxes, points, values = best_rows(net, values, [4, 51, 1], values[2], ROWS)
    label, score, (boxes, points) = best_pairs(net, [boxes, points], [4, 51], values, 1, ROWS)
    label, score = columns(net, label, score)
    net.op("Concat", boxes, score, label, points, axis=2, name="output0")
    return [("output0", [1, ROWS, 57])]


def queries(net, pictures, count, classes=CLASSES):
    """The best cells as a DETR's queries: boxes of centre and size 0–1 [B, count, 4], logits [B, count, classes]."""
    levels = Levels(net, pictures, [(4, 1.0, 0.0), (classes, SPREAD, 0.0)])
    levels.cut(1)
    height, width = net.size
    unit = levels.stride[None, None] / np.array([width, height])[None, :, None]
    values = levels.flat(0)
    centre = net.op("Add", scaled(net, part(net, values, 0, 2), 0.5), net.constant(levels.cells[None] + 0.5))
    size = scaled(net, net.op("Exp", scaled(net, part(net, values, 2, 4), 0.5)), 2.0)
    boxes = net.op("Concat", scaled(net, centre, unit), scaled(net, size, unit), axis=1)
    boxes, logits = rows_of(net, boxes), rows_of(net, levels.flat(1))
    return best_rows(net, [boxes, logits], [4, classes], logits, count)


def ultralytics_rt_detr(net, pictures):
    """`RTDETRDecoder.postprocess`."""
    boxes, logits = queries(net, pictures, ROWS)
    label, score, (boxes,) = best_pairs(net, [boxes], [4], net.op("Sigmoid", logits), CLASSES, ROWS)
    label, score = columns(net, label, score)
    net.op("Concat", boxes, score, label, axis=2, name="output0")
    return [("output0", [1, ROWS, 6])]


def ultralytics_rt_detr_scores(net, pictures):
    """`RTDETRDecoder` of Ultralytics 8.3."""
    boxes, logits = queries(net, pictures, ROWS)
    net.op("Concat", boxes, net.op("Sigmoid", logits), axis=2, name="output0")
    return [("output0", [1, ROWS, 4 + CLASSES])]


def logits_and_boxes(names):
    """The queries as they are, the outputs in the order of `names`."""

    def end(net, pictures, classes=CLASSES + (names[0] == "dets")):
        boxes, logits = queries(net, pictures, QUERIES, classes)
        of = {"pred_boxes": (boxes, 4), "dets": (boxes, 4), "pred_logits": (logits, classes), "labels": (logits, classes)}
        for name in names:
            net.op("Identity", of[name][0], name=name)
        return [(name, ["batch", QUERIES, of[name][1]]) for name in names]

    return end


def deployed(net, pictures):
    """`PostProcessor.deploy()` of DEIMv2."""
    boxes, logits = queries(net, pictures, QUERIES)
    net.inputs.append(("orig_target_sizes", TensorProto.INT64, ["batch", 2]))
    centre, size = part(net, boxes, 0, 2, 2), scaled(net, part(net, boxes, 2, 4, 2), 0.5)
    boxes = net.op("Concat", net.op("Sub", centre, size), net.op("Add", centre, size), axis=2)
    target = net.op("Cast", net.op("Tile", "orig_target_sizes", net.constant([1, 2], np.int64)), to=TensorProto.FLOAT)
    boxes = net.op("Mul", boxes, net.op("Unsqueeze", target, net.constant([1], np.int64)))
    label, score, (boxes,) = best_pairs(net, [boxes], [4], net.op("Sigmoid", logits), CLASSES, QUERIES)
    for value, name in ((label, "labels"), (boxes, "boxes"), (score, "scores")):
        net.op("Identity", value, name=name)
    return [
        ("labels", ["batch", QUERIES], TensorProto.INT64), ("boxes", ["batch", QUERIES, 4]), ("scores", ["batch", QUERIES]),
    ]  # fmt: skip


def yolov5(name, anchors):
    """`Detect` of YOLOv5 and YOLOv7: three anchors for each cell, whose sizes are `anchors` of each stride in pixels."""

    def end(net, pictures):
        values = 5 + CLASSES
        spread = np.tile([1.0] * 5 + [SPREAD] * CLASSES, 3)
        mean = np.tile([0.0] * 5 + [1.0] * CLASSES, 3)
        levels = Levels(net, pictures, [(3 * values, spread, mean)])
        levels.cut(0, wanted=14, channels=[4, 4 + values, 4 + 2 * values])
        parts = []
        for (result,), stride, sizes in zip(levels.results, levels.strides, anchors):
            cells = levels.cells[:, levels.stride == stride].T
            x = net.op("Reshape", result, net.constant([0, 3, values, -1], np.int64))
            x = net.op("Sigmoid", net.op("Transpose", x, perm=[0, 1, 3, 2]))
            centre = net.op("Add", scaled(net, part(net, x, 0, 2, 3), 2.0), net.constant(cells[None, None] - 0.5))
            size = scaled(net, part(net, x, 2, 4, 3), 2.0)
            size = scaled(net, net.op("Mul", size, size), np.array(sizes)[None, :, None])
            x = net.op("Concat", scaled(net, centre, float(stride)), size, part(net, x, 4, values, 3), axis=3)
            parts.append(net.op("Reshape", x, net.constant([0, -1, values], np.int64)))
        net.op("Concat", *parts, axis=1, name=name)
        return [(name, [1, 3 * levels.count, values])]

    return end


def yolox(net, pictures):
    """`YOLOXHead` with `decode_in_inference`."""
    levels = Levels(net, pictures, [(4, 0.4, np.array([0.5, 0.5, 0.7, 0.7])), (1, SPREAD, 0.0), (CLASSES, SPREAD, 1.0)])
    levels.cut(1, wanted=25)
    values, stride = levels.flat(0), levels.stride[None, None]
    centre = scaled(net, net.op("Add", part(net, values, 0, 2), net.constant(levels.cells[None])), stride)
    size = scaled(net, net.op("Exp", part(net, values, 2, 4)), stride)
    x = rows_of(net, net.op("Concat", centre, size, scores(levels, 1), scores(levels, 2), axis=1))
    if net.inputs[0][2][0] == "batch":
        return [("output", opened(net, x, "output", [levels.count, "Concatoutput_dim_2"]))]
    net.op("Identity", x, name="output")
    return [("output", [1, levels.count, 5 + CLASSES])]


def yolo9(net, pictures):
    """Corners and scores [B, 4+nc, N]."""
    levels = binned(net, pictures, 16)
    x = net.op("Concat", *corners(levels, 16), scores(levels), axis=1)
    return [("output", opened(net, x, "output", ["Concatoutput_dim_1", "Concatoutput_dim_2"]))]


def pp_yoloe(net, pictures):
    """`PPYOLOEHead.post_process` with `exclude_nms`."""
    levels = binned(net, pictures, 17)
    net.inputs.append(("scale_factor", TensorProto.FLOAT, ["batch", 2]))
    boxes = rows_of(net, net.op("Concat", *corners(levels, 17), axis=1))
    y, x = part(net, "scale_factor", 0, 1), part(net, "scale_factor", 1, 2)
    factor = net.op("Reshape", net.op("Concat", x, y, x, y, axis=1), net.constant([-1, 1, 4], np.int64))
    net.op("Div", boxes, factor, name="tmp_16")
    net.op("Sigmoid", levels.flat(1), name="concat_14.tmp_0")
    return [("tmp_16", ["batch", levels.count, 4]), ("concat_14.tmp_0", ["batch", CLASSES, levels.count])]


def joined(net, pictures, bins=17, strides=(8, 16, 32)):
    """Corners and scores, [B, N, 4+nc]."""
    levels = binned(net, pictures, bins, strides)
    return levels, rows_of(net, net.op("Concat", *corners(levels, bins), scores(levels), axis=1))


def pp_yoloe_plus(net, pictures):
    """`PPYOLOEHead.post_process` with `exclude_post_process`."""
    levels, x = joined(net, pictures)
    net.op("Identity", x, name="concat_15.tmp_0")
    return [("concat_15.tmp_0", ["batch", levels.count, 4 + CLASSES])]


def libreyolo_picodet(net, pictures):
    _, x = joined(net, pictures, 8, (8, 16, 32, 64))
    return [("output", opened(net, x, "output", ["Concatoutput_dim_1", "Concatoutput_dim_2"]))]


def apart(net, pictures):
    """Corners [B, N, 4] and scores [B, N, nc]."""
    levels = binned(net, pictures, 17)
    return levels, rows_of(net, net.op("Concat", *corners(levels, 17), axis=1)), rows_of(net, scores(levels))


def damo_yolo(net, pictures):
    """`ZeroHead`; the exporter names only the first output."""
    levels, boxes, of_classes = apart(net, pictures)
    net.op("Identity", of_classes, name="output")
    net.op("Identity", boxes, name="952")
    return [("output", [1, levels.count, CLASSES]), ("952", [1, levels.count, 4])]


def libreyolo_ppyoloe(net, pictures):
    _, boxes, of_classes = apart(net, pictures)
    return [
        ("boxes", opened(net, boxes, "boxes", ["anchors", "Mulboxes_dim_2"])),
        ("scores", opened(net, of_classes, "scores", ["anchors", "Sigmoidscores_dim_2"])),
    ]


def picodet(net, pictures):
    """`PicoHeadV2.forward_eval` without `export_post_process`, for a batch of one."""
    levels = binned(net, pictures, 8, (8, 16, 32, 64))
    outputs = []
    for branch, channels in ((1, CLASSES), (0, 32)):
        for level in levels.results:
            x = net.op("Sigmoid", level[branch]) if branch == 1 else level[branch]
            x = net.op("Reshape", x, net.constant([1, channels, -1], np.int64))
            name = f"transpose_{len(outputs)}.tmp_0"
            net.op("Transpose", x, perm=[0, 2, 1], name=name)
            cells = int((levels.stride == levels.strides[len(outputs) % 4]).sum())
            outputs.append((name, [1, cells, channels]))
    return outputs


ANCHORS = {
    "yolov5": [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)], [(116, 90), (156, 198), (373, 326)]],
    "yolov7": [[(12, 16), (19, 36), (40, 28)], [(36, 75), (76, 55), (72, 146)], [(142, 110), (192, 243), (459, 401)]],
}
SIZE, SQUARE = (256, 320), (320, 320)


def ultralytics(task="detect", size=SIZE, names=NAMES, **more):
    """What Ultralytics' exporter writes (8.4.190)."""
    return {
        "description": "Boxes", "author": "Ultralytics", "version": "8.4.190", "stride": "32", "task": task, "batch": "1",
        "imgsz": str(list(size)), "names": str(names), "channels": "3", "end2end": "False", **more,
    }  # fmt: skip


def libreyolo(family, size="s", **more):
    """What LibreYOLO's exporter writes (1.6.0)."""
    return {
        "schema_version": "1.0", "libreyolo_version": "1.6.0", "model_family": family, "size": size, "model_size": size,
        "task": "detect", "supported_tasks": '["detect"]', "default_task": "detect", "nc": str(CLASSES), "nb_classes": str(CLASSES),
        "names": json.dumps(NAMES), "imgsz": str(SQUARE[0]), "imgsz_h": str(SQUARE[0]), "imgsz_w": str(SQUARE[1]),
        "dynamic": "True", "precision": "fp32", "half": "False", "segmentation": "false", "obb": "false", **more,
    }  # fmt: skip


POSE = dict(names={0: "person"}, kpt_shape="[17, 3]")
ROW = dict(end2end="True")
WORLD = {0: "red bus", 1: "person with a hat", 2: "bicycle"}
LOGITS = logits_and_boxes(["pred_logits", "pred_boxes"])
# name: (how it ends, seed, metadata, size, name of its input, batch)
MODELS = {
    # Ultralytics 8.4.190: `yolo export format=onnx`, with nms=False for rows; of YOLO-World after `set_classes`.
    "yolo-world": (yolo, 11, ultralytics(names=WORLD, head="WorldDetect"), SIZE, "images", 1),
    "yolo-end-to-end": (yolo_end_to_end, 12, ultralytics(head="Detect", **ROW), SIZE, "images", 1),
    "yolo-pose": (yolo_pose, 13, ultralytics("pose", head="Pose", **POSE), SIZE, "images", 1),
    "yolo-pose-end-to-end": (yolo_pose_end_to_end, 14, ultralytics("pose", head="Pose26", **POSE, **ROW), SIZE, "images", 1),
    "ultralytics-rt-detr": (ultralytics_rt_detr, 15, ultralytics(size=SQUARE, head="RTDETRDecoder"), SQUARE, "images", 1),
    # Ultralytics 8.3.
    "ultralytics-rt-detr-scores": (ultralytics_rt_detr_scores, 16, ultralytics(size=SQUARE), SQUARE, "images", 1),
    # export.py of YOLOv5 (0041a67) and of YOLOv7 (045eea1) with --grid.
    "yolov5": (yolov5("output0", ANCHORS["yolov5"]), 17, {"stride": "32", "names": str(NAMES)}, SIZE, "images", 1),
    "yolov7": (yolov5("output", ANCHORS["yolov7"]), 18, {}, SIZE, "images", 1),
    # tools/export_model.py of PaddleDetection (005e0ff) and paddle2onnx.
    "pp-yoloe": (pp_yoloe, 19, {}, SIZE, "image", "batch"),
    "pp-yoloe-plus": (pp_yoloe_plus, 20, {}, SIZE, "image", "batch"),
    "picodet": (picodet, 21, {}, SIZE, "image", 1),
    # tools/converter.py of DAMO-YOLO (1c56caa).
    "damo-yolo": (damo_yolo, 22, {}, SIZE, "images", 1),
    # tools/export_onnx.py of YOLOX (0cba8ac) with --decode_in_inference.
    "yolox-decoded": (yolox, 23, {}, SIZE, "images", 1),
    # tools/deployment/export_onnx.py of DEIMv2 (884b7e5).
    "deimv2": (deployed, 24, {}, SIZE, "images", "batch"),
    # `export("onnx")` of LibreYOLO 1.6.0.
    "libreyolo-yolox": (yolox, 25, libreyolo("yolox"), SQUARE, "images", "batch"),
    "libreyolo-yolo9": (yolo9, 26, libreyolo("yolo9", letterbox_pad="topleft"), SQUARE, "images", "batch"),
    "libreyolo-yolo9-centre": (yolo9, 27, libreyolo("yolo9", letterbox_pad="center"), SQUARE, "images", "batch"),
    "libreyolo-rtdetr": (LOGITS, 28, libreyolo("rtdetr"), SQUARE, "images", "batch"),
    "libreyolo-dfine": (LOGITS, 29, libreyolo("dfine"), SQUARE, "images", "batch"),
    "libreyolo-deimv2": (LOGITS, 30, libreyolo("deimv2"), SQUARE, "images", "batch"),
    "libreyolo-rfdetr": (logits_and_boxes(["dets", "labels"]), 35, libreyolo("rfdetr"), SQUARE, "input", "batch"),
    "libreyolo-ppyoloe": (libreyolo_ppyoloe, 32, libreyolo("ppyoloe"), SQUARE, "images", "batch"),
    "libreyolo-picodet": (libreyolo_picodet, 33, libreyolo("picodet"), SQUARE, "images", "batch"),
}  # fmt: skip


def main():
    images, files = reference.exporter(__doc__, MODELS)
    for name, file in files.items():
        end, seed, metadata, size, image, batch = MODELS[name]
        pictures = [detectors.FAMILIES[name].tensor(picture, size)[0][None] for picture in images]
        net = Network(seed, name, image, size, batch)
        outputs = end(net, pictures)
        reference.write(file, net.bytes(outputs, metadata))


if __name__ == "__main__":
    main()
