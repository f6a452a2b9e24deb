"""Small classifiers and an embedding with seeded weights, made by `onnx` alone in the form of their projects' exports, and how
the projects run them, in NumPy.

Sources: `Classify.forward` and `classify_transforms` of Ultralytics 8.4 (exports have softmax and metadata), `Resize`,
`CenterCrop` and `_presets.ImageClassification` of torchvision 0.24 (exports by torch.onnx have logits and no metadata), the
transforms of Torchreid 1.4.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from families import IMAGENET, pil_resize

TOP = 5
# Deviation of the logits over the pictures.
SPREAD = 2.5
FEATURES = 32


def eight_bit(image):
    """PIL's pixels."""
    return np.clip(np.floor(image + 0.5), 0, 255)


def shortest_side(image, size):
    """torchvision's `Resize(size)` of a PIL image."""
    h, w = image.shape[:2]
    short, long = min(w, h), max(w, h)
    other = int(size * long / short)
    width, height = (size, other) if w <= h else (other, size)
    return eight_bit(pil_resize(image, width, height))


def centre(image, size):
    """torchvision's `CenterCrop(size)`."""
    h, w = image.shape[:2]
    top, left = int(round((h - size) / 2.0)), int(round((w - size) / 2.0))
    return image[top : top + size, left : left + size]


class Ultralytics:
    name, size, classes = "classify-ultralytics", (128, 128), 10

    def pixels(self, image):
        return centre(shortest_side(image, 128), 128) / 255

    def finish(self, nodes, logits):
        nodes.append(helper.make_node("Softmax", [logits], ["output0"], axis=1))
        return "output0"

    def metadata(self):
        names = {i: f"kind {i}" for i in range(self.classes)}
        return {"author": "Ultralytics", "task": "classify", "names": str(names), "imgsz": "[128, 128]", "stride": "1"}

    def result(self, row):
        return top(row)


class Torchvision:
    name, size, classes = "classify-torchvision", (224, 224), 1000

    def pixels(self, image):
        return (centre(shortest_side(image, 256), 224) / 255 - IMAGENET[0]) / IMAGENET[1]

    def finish(self, nodes, logits):
        return logits

    def metadata(self):
        return {}

    def result(self, row):
        exponents = np.exp(row - row.max())
        return top(exponents / exponents.sum())


class Embedding(Torchvision):
    name, size, classes = "embedding", (256, 128), 64

    def pixels(self, image):
        return (eight_bit(pil_resize(image, 128, 256)) / 255 - IMAGENET[0]) / IMAGENET[1]

    def result(self, row):
        return (row / np.linalg.norm(row)).tolist()


FORMS = [Ultralytics(), Torchvision(), Embedding()]


def top(scores):
    return [[int(i), float(scores[i])] for i in np.argsort(-scores)[:TOP]]


def tensor(form, image):
    """The input for a BGR picture."""
    return np.ascontiguousarray(form.pixels(image[..., ::-1].astype(np.float64)).transpose(2, 0, 1)[None], np.float32)


def network(form, last):
    """Two convolutions and the mean over the picture; `last` is the weight and the bias of the classes, if there are any."""
    random = np.random.default_rng(20)
    weights, nodes, x = [], [], "input"
    for i, (count, channels, kernel, stride) in enumerate([(16, 3, 7, 4), (FEATURES, 16, 3, 2)]):
        values = random.normal(0, (2 / (channels * kernel * kernel)) ** 0.5, (count, channels, kernel, kernel))
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], strides=[stride] * 2, pads=[kernel // 2] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        x = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], axis=1))
    result, columns = "features", FEATURES
    if last:
        weights += [numpy_helper.from_array(v.astype(np.float32), n) for v, n in zip(last, ("w", "b"))]
        nodes.append(helper.make_node("Gemm", ["features", "w", "b"], ["output"], transB=1))
        result, columns = form.finish(nodes, "output"), form.classes
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inputs, outputs = [value("input", ["batch", 3, *form.size])], [value(result, ["batch", columns])]
    graph = helper.make_graph(nodes, form.name, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, form.metadata() if last else {})
    return model


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def parts(image):
    """The picture and its quarters: x, y, width, height."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    return [(0, 0, image.shape[1], image.shape[0])] + [(x, y, w, h) for x in (0, w) for y in (0, h)]


def results(pictures, out):
    """Writes the models, and returns for each picture's name what they say of its parts."""
    found = {name: [] for name in pictures}
    cut = lambda image, part: image[part[1] : part[1] + part[3], part[0] : part[0] + part[2]]
    for form in FORMS:
        inputs = {n: [(p, tensor(form, cut(image, p))) for p in parts(image)] for n, image in pictures.items()}
        run = session(network(form, None))
        features = np.concatenate([run.run(None, {"input": x})[0] for of in inputs.values() for _, x in of])
        # Every feature counts as much as any other.
        weight = np.random.default_rng(21).normal(0, SPREAD / FEATURES**0.5, (form.classes, FEATURES))
        weight /= features.std(axis=0) + 1e-6
        model = network(form, (weight, -weight @ features.mean(axis=0)))
        onnx.save(model, out / f"{form.name}.onnx")
        run = session(model)
        for name, of in inputs.items():
            for part, x in of:
                values = form.result(run.run(None, {"input": x})[0][0].astype(np.float64))
                key = "vector" if form.name == "embedding" else "classes"
                found[name].append({"model": form.name, "region": part, key: values})
    return found
