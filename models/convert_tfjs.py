"""Converts a TensorFlow.js graph model (model.json and its weight file) to ONNX.

`cargo xtask models` runs this in a throw-away virtual environment made from requirements-convert*.txt; by hand:

    python convert_tfjs.py MODEL.json OUT.onnx --input-shape 1,256,256,3 --expected expected/NAME.json

The graph is rebuilt from the JSON itself: the topology is a GraphDef in protobuf's JSON form whose constants are
empty, the manifest says where in the weight file each of them lies. Operators that the TensorFlow.js converter fused
are taken apart again, because they exist only there or have no ONNX counterpart.

tf2onnx does not give the same bytes twice, so the result is checked by its outputs: on three fixed images they must
lie within 1e-4 of the stored ones, which `--write-expected` made with TensorFlow itself from the unconverted graph.
"""

import argparse
import base64
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

OPSET = 13
TOLERANCE = 1e-4
ACTIVATIONS = {"Relu", "Relu6"}
UNFUSED = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
# Attributes of the fused operators that the plain convolution doesn't have.
FUSED_ONLY = {"fused_ops", "num_args", "epsilon", "TArgs", "host_args", "leakyrelu_alpha"}


def read_weights(model_json, manifest):
    """The constants of the graph by name, float16-packed ones widened to their original type."""
    weights = {}
    for group in manifest:
        data = b"".join((model_json.parent / path).read_bytes() for path in group["paths"])
        at = 0
        for spec in group["weights"]:
            packing = spec.get("quantization")
            if packing and packing["dtype"] != "float16":
                raise SystemExit(f"{model_json}: weight {spec['name']} is packed as {packing['dtype']}; only float16 is supported")
            stored = np.dtype("float16" if packing else spec["dtype"]).newbyteorder("<")
            count = int(np.prod(spec["shape"], dtype=np.int64))
            values = np.frombuffer(data, stored, count, at)
            at += count * stored.itemsize
            weights[spec["name"]] = values.astype(spec["dtype"]).reshape(spec["shape"])
        if at != len(data):
            raise SystemExit(f"{model_json}: the manifest describes {at} bytes of weights, the file has {len(data)}")
    return weights


def unfuse(node):
    """Splits a fused convolution into the equivalent plain operators; other nodes are returned unchanged."""
    if node["op"] not in UNFUSED:
        return [node]
    fused = [base64.b64decode(name).decode() for name in node["attr"]["fused_ops"]["list"].get("s", [])]
    if not fused or fused[0] != "BiasAdd" or len(fused) > 2 or not ACTIVATIONS.issuperset(fused[1:]):
        raise SystemExit(f"node {node['name']}: unknown fusion {fused}")
    dtype = node["attr"]["T"]
    image, kernel, bias = node["input"][:3]
    conv_attr = {key: value for key, value in node["attr"].items() if key not in FUSED_ONLY}
    steps = [{"op": UNFUSED[node["op"]], "input": [image, kernel], "attr": conv_attr}]
    steps.append({"op": "BiasAdd", "input": [None, bias], "attr": {"T": dtype, "data_format": node["attr"]["data_format"]}})
    steps += [{"op": name, "input": [None], "attr": {"T": dtype}} for name in fused[1:]]
    for i, step in enumerate(steps):
        # The last one takes the fused node's name, so that its consumers stay unchanged.
        step["name"] = node["name"] if i == len(steps) - 1 else f"{node['name']}/{step['op']}"
        step["input"] = [steps[i - 1]["name"] if name is None else name for name in step["input"]]
    return steps


def load_graph(model_json, input_shape):
    """The GraphDef with its weights, and the tensor names of its inputs and outputs."""
    import tensorflow as tf
    from google.protobuf import json_format

    model = json.loads(model_json.read_text())
    if model.get("format") != "graph-model":
        raise SystemExit(f"{model_json}: format {model.get('format')!r}; only graph-model is supported")
    weights = read_weights(model_json, model["weightsManifest"])
    nodes = []
    for node in model["modelTopology"]["node"]:
        node.setdefault("attr", {})
        if node["op"] == "Const":
            node["attr"].pop("value", None)
        elif node["op"] == "Placeholder" and input_shape:
            node["attr"]["shape"] = {"shape": {"dim": [{"size": str(size)} for size in input_shape]}}
        nodes += unfuse(node)
    graph = tf.compat.v1.GraphDef()
    json_format.ParseDict({"node": nodes, "versions": {"producer": 808}}, graph)
    for node in graph.node:
        if node.op == "Const":
            # TensorFlow.js stores 64-bit integers as 32-bit ones; the node still names the type that it reads.
            values = tf.make_tensor_proto(weights[node.name], tf.as_dtype(node.attr["dtype"].type))
            node.attr["value"].tensor.CopyFrom(values)
    signature = model["signature"]
    inputs, outputs = ([end["name"] for end in signature[side].values()] for side in ("inputs", "outputs"))
    return graph, inputs, outputs


def fixed_images(shape, dtype):
    """Three images that need no file: disks on a gradient, computed with integers and so the same on every machine."""
    channels_first = shape[1] == 3
    height, width = shape[2:4] if channels_first else shape[1:3]
    y, x = np.mgrid[0:height, 0:width]
    for seed in (1, 2, 3):
        image = np.stack([(x * seed + y * (c + 1)) * 96 // (width + height) % 256 for c in range(3)], axis=-1)
        for k in range(6):
            cx, cy = (37 * seed + 53 * k) % width, (71 * seed + 29 * k * k) % height
            disk = (x - cx) ** 2 + (y - cy) ** 2 < (width // (8 + k)) ** 2
            image[disk] = [(91 * k + 40 * seed + 80 * c) % 256 for c in range(3)]
        if channels_first:
            image = image.transpose(2, 0, 1)
        scale = 255 if np.issubdtype(dtype, np.floating) else 1
        yield (image[np.newaxis] / scale).astype(dtype)


def run_tensorflow(graph, inputs, outputs, shape, dtype):
    """The outputs of the unconverted graph for the fixed images."""
    import tensorflow as tf

    with tf.Graph().as_default() as tf_graph:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=tf_graph) as session:
            return [session.run(outputs, {inputs[0]: image}) for image in fixed_images(shape, dtype)]


def run_onnx(path, shape, dtype):
    """The outputs of the ONNX file for the fixed images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: image}) for image in fixed_images(shape, dtype)]


def sample(output):
    """An output's shape and at most 384 of its values, evenly distributed: these are stored and compared."""
    flat = np.asarray(output, np.float64).ravel()
    return {"shape": list(np.shape(output)), "values": [round(value, 5) for value in flat[:: -(-flat.size // 384)]]}


def check(found, expected, onnx):
    """Exits with an error if an output differs from the stored one in shape or by more than the tolerance."""
    worst = 0.0
    for image, (outputs, references) in enumerate(zip(found, expected, strict=True)):
        for i, (output, reference) in enumerate(zip(outputs, references, strict=True)):
            got = sample(output)
            if got["shape"] != reference["shape"]:
                raise SystemExit(f"{onnx}: output {i} has shape {got['shape']}, expected {reference['shape']}")
            difference = np.max(np.abs(np.subtract(got["values"], reference["values"])))
            # Not `>`: a NaN must fail too.
            if not difference <= TOLERANCE:
                raise SystemExit(f"{onnx}: output {i} of image {image} differs by {difference:.2g}, allowed are {TOLERANCE:.0e}")
            worst = max(worst, difference)
    print(f"{onnx.name}: outputs of {len(found)} fixed images agree within {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="the model.json, its weight file beside it")
    parser.add_argument("onnx", type=Path, help="the file to write")
    parser.add_argument("--input-shape", type=lambda text: [int(size) for size in text.split(",")], required=True)
    parser.add_argument("--expected", type=Path, required=True, help="stored outputs to check the result against")
    parser.add_argument("--write-expected", action="store_true", help="store TensorFlow's outputs there first")
    args = parser.parse_args()

    import onnx
    import tf2onnx

    graph, inputs, outputs = load_graph(args.model, args.input_shape)
    placeholder = next(node for node in graph.node if node.op == "Placeholder")
    dtype = {1: np.float32, 3: np.int32}[placeholder.attr["dtype"].type]
    if args.write_expected:
        found = run_tensorflow(graph, inputs, outputs, args.input_shape, dtype)
        args.expected.parent.mkdir(parents=True, exist_ok=True)
        args.expected.write_text(json.dumps([[sample(output) for output in image] for image in found]) + "\n")

    proto, _ = tf2onnx.convert.from_graph_def(
        graph, name=args.onnx.stem, input_names=inputs, output_names=outputs, opset=OPSET
    )
    # Written to a temporary file and renamed after the check, so that a file of this name has always been checked.
    unchecked = args.onnx.with_suffix(".unchecked")
    onnx.save(proto, unchecked)
    check(run_onnx(unchecked, args.input_shape, dtype), json.loads(args.expected.read_text()), args.onnx)
    unchecked.replace(args.onnx)


if __name__ == "__main__":
    main()
