#!/usr/bin/env python3
"""Writes exports in every format that an exporter may choose, for tests/soak_formats.rs.

    formats.py --media DIR... --out DIR [--only NAME]

Of each detector of `exports/` that is: every opset from 12 to 21, tensors and weights in FP16, an input of 8 bits, open and fixed
batch sizes, open dimensions, and the graph that ONNX Runtime makes of it (folded and fused as a simplifier does). With Ultralytics'
metadata also `nms=True`: NonMaxSuppression in the graph. Detectors whose graph is made here also come in full size, 640 × 640.

OUT/formats.json says of each file which export it has to agree with, on pictures of what size, and how far: `exact`, `close`
(FP16 moves scores), or `error` with words that the error has to have. Which opsets a graph can have is what ONNX Runtime says: it
doesn't load the file, or its outputs are others than those of opset 17, in which case no file is written.
"""

import copy
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.transformers.float16 import convert_float_to_float16

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import detectors
import export_detectors
import reference
from families import overlap
from yolo_obb import Network

EXPORTS = HERE / "exports"
OPSETS = range(12, 22)
FULL = (640, 640)
ROWS = 300
# Confidence of the objects that FP16 must not lose, and the share that it leaves for a file to be written: the decoder of this
# folder says what FP16 does to a network's seeded weights.
SURE, LEAST = 0.3, 0.9
# Ultralytics 8.3 didn't write the head, which the number of rows has to tell.
SAYS_NO_HEAD = "ultralytics-rt-detr-scores"


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def outputs(model, feeds):
    return session(model).run(None, feeds)


def image_of(model):
    return next(i for i in model.graph.input if len(i.type.tensor_type.shape.dim) == 4)


def same(a, b, tolerance=1e-3):
    return len(a) == len(b) and all(
        x.shape == y.shape and np.allclose(x.astype(float), y.astype(float), rtol=tolerance, atol=tolerance)
        for x, y in zip(a, b)
    )


def agree(a, b):
    """The share of sure objects, rows of `Family.objects`, that the other side has within a pixel or nearly the same box."""

    def has(row, others):
        boxes = [other[2:6] for other in others if other[0] == row[0]]
        return any(np.abs(box - row[2:6]).max() <= 1 or overlap(box, row[2:6]) >= 0.95 for box in boxes)

    found = [has(row, others) for rows, others in ((a, b), (b, a)) for row in rows if row[1] >= SURE]
    return sum(found) / max(len(found), 1)


def with_opset(model, opset):
    """The model relabelled: operators are mostly those of other opsets, and where they aren't, ONNX Runtime says so. Later
    opsets move attributes to inputs, which the converter does."""
    if opset > model.opset_import[0].version:
        return version_converter.convert_version(model, opset)
    model = copy.deepcopy(model)
    model.opset_import[0].version = opset
    return model


def bytes_input(model, family):
    """An input of 8 bits, 0-255: what the family makes of pixels is in the graph."""
    model = copy.deepcopy(model)
    image = image_of(model)
    image.type.tensor_type.elem_type = TensorProto.UINT8
    constants = {
        "scale": np.array(family.scale, np.float32),
        "mean": np.asarray(family.mean, np.float32).reshape(1, 3, 1, 1),
        "deviation": np.asarray(family.std, np.float32).reshape(1, 3, 1, 1),
    }
    for node in model.graph.node:
        node.input[:] = ["standardised" if name == image.name else name for name in node.input]
    steps = [
        helper.make_node("Cast", [image.name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "scale"], ["unit"]),
        helper.make_node("Sub", ["unit", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["standardised"]),
    ]
    for node in reversed(steps):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def with_batch(model, batch):
    """The first dimension of all inputs and outputs."""
    model = copy.deepcopy(model)
    for value in [*model.graph.input, *model.graph.output]:
        first = value.type.tensor_type.shape.dim[0]
        first.Clear()
        if batch is None:
            first.dim_param = "batch"
        else:
            first.dim_value = batch
    return model


def open_size(model):
    """No dimension is fixed, as `dynamic=True` leaves them; the metadata say the size."""
    model = copy.deepcopy(model)
    for number, value in enumerate([image_of(model), *model.graph.output]):
        for place, dim in enumerate(value.type.tensor_type.shape.dim):
            if place != 1 or number > 0:
                dim.Clear()
                dim.dim_param = f"d{number}_{place}"
    return model


def simplified(model, path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = onnx.load(path)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    # Its own operators aren't used at this level; the file names their domain all the same.
    kept = [opset for opset in made.opset_import if opset.domain == ""]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    return made


def with_nms(model):
    """`NMSModel` of Ultralytics 8.4.190: rows of corners, score and class of its 300 best objects."""
    model = copy.deepcopy(model)
    graph, nodes = model.graph, []
    raw = graph.output[0].name

    def op(kind, *inputs, count=1, **attributes):
        names = [f"nms_{len(nodes)}_{i}" for i in range(count)]
        nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if count == 1 else names

    def constant(value, kind):
        name = f"nms_constant_{len(graph.initializer)}"
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def columns(x, first, last):
        return op("Slice", x, *[constant([v], np.int64) for v in (first, last, 2)])

    rows = op("Transpose", raw, perm=[0, 2, 1])
    centre, half, scores = columns(rows, 0, 2), op("Div", columns(rows, 2, 4), constant(2, np.float32)), columns(rows, 4, 9999)
    boxes = op("Concat", op("Sub", centre, half), op("Add", centre, half), axis=2)
    best = op("ReduceMax", scores, axes=[2], keepdims=1)
    classes = op("Cast", op("ArgMax", scores, axis=2, keepdims=1), to=TensorProto.FLOAT)
    # Boxes of different classes don't meet; one class is left of each candidate.
    apart = op("Add", boxes, op("Mul", classes, constant(7680, np.float32)))
    limits = [constant([v], k) for v, k in ((ROWS, np.int64), (0.45, np.float32), (0.25, np.float32))]
    chosen = op("NonMaxSuppression", apart, op("Transpose", best, perm=[0, 2, 1]), *limits)
    index = op("Squeeze", op("Slice", chosen, *[constant([v], np.int64) for v in (2, 3, 1)]), constant([1], np.int64))
    kept = op("Gather", op("Concat", boxes, best, classes, axis=2), index, axis=1)
    missing = op("Sub", constant([ROWS], np.int64), op("Shape", index))
    zero = constant([0], np.int64)
    pads = op("Concat", zero, zero, zero, zero, missing, zero, axis=0)
    op("Pad", kept, pads)
    nodes[-1].output[0] = "objects"
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("objects", TensorProto.FLOAT, [1, ROWS, 6]))
    more = {entry.key: entry.value for entry in model.metadata_props} | {"args": str({"nms": True}), "end2end": "False"}
    helper.set_model_props(model, more)
    return model


class Formats:
    """The files that are made of one export."""

    def __init__(self, name, out, image):
        self.name, self.out = name, out
        self.model = onnx.load(EXPORTS / f"{name}.onnx")
        self.family = detectors.FAMILIES[name]
        self.image = image_of(self.model).name
        self.size = [dim.dim_value for dim in image_of(self.model).type.tensor_type.shape.dim[2:]]
        self.metadata = {entry.key: entry.value for entry in self.model.metadata_props}
        self.ultralytics = self.metadata.get("author") == "Ultralytics"
        self.feeds = self.family.feeds(session(self.model), self.family.tensor(image, self.size)[0], self.size)
        self.wanted = outputs(self.model, self.feeds)
        self.found = []

    def objects(self, values):
        names = [output.name for output in self.model.graph.output]
        return self.family.objects(dict(zip(names, values)), self.size)

    def add(self, kind, model, agreement="exact", words=(), base=None, said=""):
        path = self.out / f"{self.name}-{kind}.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        self.found.append({
            "file": path.name, "export": self.name, "base": base or str(EXPORTS / f"{self.name}.onnx"), "kind": kind,
            "height": self.size[0], "width": self.size[1], "agreement": agreement, "words": list(words), "said": said,
        })  # fmt: skip

    def opsets(self):
        for opset in OPSETS:
            try:
                model = with_opset(self.model, opset)
            except RuntimeError:
                # The converter can't.
                continue
            try:
                got = outputs(model, self.feeds)
            except Exception:
                self.add(f"opset-{opset}", model, "error", [f"opset {opset}"])
                continue
            if same(got, self.wanted):
                self.add(f"opset-{opset}", model)

    def types(self):
        for kind, keep in (("fp16", False), ("fp16-inside", True)):
            model = convert_float_to_float16(copy.deepcopy(self.model), keep_io_types=keep)
            types = {i.name: {"tensor(float16)": np.float16}.get(i.type) for i in session(model).get_inputs()}
            feeds = {name: value.astype(types[name] or value.dtype) for name, value in self.feeds.items()}
            share = agree(*(self.objects(values) for values in (self.wanted, outputs(model, feeds))))
            if share >= LEAST:
                self.add(kind, model, "close")
            else:
                print(f"{self.name}: FP16 loses {1 - share:.0%} of what its seeded weights find")
        # Integers are 0-255, where the family's normalisation isn't said otherwise.
        self.add("uint8", bytes_input(self.model, self.family), said="normalization=none")

    def shapes(self):
        self.add("batch-1", with_batch(self.model, 1))
        opened = with_batch(self.model, None)
        twice = {name: np.concatenate([value, value]) for name, value in self.feeds.items()}
        try:
            both = outputs(opened, twice)
        except Exception:
            both = []
        if same([value[:1] for value in both], self.wanted):
            self.add("batch", opened)
        if self.name == SAYS_NO_HEAD:
            self.add("open", open_size(self.model), "error", ["could be", "ultralytics-rt-detr"])
        elif self.ultralytics:
            self.add("open", open_size(self.model))
        self.add("simplified", simplified(self.model, self.out / "optimised.onnx"))
        (self.out / "optimised.onnx").unlink()
        if self.name == "yolo-world":
            self.add("nms", with_nms(self.model))

    def full_size(self, images):
        if self.name not in export_detectors.MODELS:
            return
        end, seed, metadata, _, image, batch = export_detectors.MODELS[self.name]
        metadata = {key: str(list(FULL)) if key == "imgsz" and self.ultralytics else value for key, value in metadata.items()}
        metadata = {key: str(FULL[0]) if key.startswith("imgsz_") else value for key, value in metadata.items()}
        if "imgsz" in metadata and not self.ultralytics:
            metadata["imgsz"] = str(FULL[0])
        net = Network(seed, self.name, image, FULL, batch)
        pictures = [self.family.tensor(picture, FULL)[0][None] for picture in images]
        made = end(net, pictures)
        self.size = list(FULL)
        model = onnx.load_from_string(net.bytes(made, metadata))
        self.add("full", model, base=str(self.out / f"{self.name}-full.onnx"))


def main():
    images, files = reference.exporter(__doc__, sorted(path.stem for path in EXPORTS.glob("*.onnx") if path.stem in detectors.FAMILIES))
    found = []
    for name, file in files.items():
        formats = Formats(name, file.parent, images[0])
        formats.opsets()
        formats.types()
        formats.shapes()
        formats.full_size(images[:3])
        found += formats.found
        print(name, len(formats.found))
    (next(iter(files.values())).parent / "formats.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
