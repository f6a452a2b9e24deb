#!/usr/bin/env python3
"""What the real models find in real pictures, by ONNX Runtime, OpenCV and the published decoding in NumPy.

    reference.py --media DIR... --models DIR... --out DIR

Takes the pictures from the media folders and the models from the model folders, the first that has them, and writes each
picture as OUT/NAME.ppm and the results as OUT/reference.json. Models that aren't there are left out.

Sources: Ultralytics' LetterBox and non_max_suppression (8.3), NanoDet's head and nanodet-g.yml (v0.4), the model cards of
MoveNet MultiPose and SinglePose. Where ours deviates from them on purpose, a comment says so.
"""

import argparse
import functools
import json
import pathlib
import sys

import cv2
import numpy as np
import onnxruntime

import classifiers
import detectors
import families
import poses

CONFIDENCE = 0.25
IOU = 0.45
MAX_DETECTIONS = 300


def letterbox(image, width, height, pad, eight_bit):
    """Resizes with the aspect ratio kept and centres; the input, its borders (left, top) and scales (x, y).

    OpenCV's resize of 8-bit pictures calculates with 11 bits and is up to one level off, a tenth on average; of floats
    it is exact. So small a difference already swaps boxes of nearly the same confidence in NMS, and moves keypoints
    that a model isn't sure of: what has to be equal to the last object is compared after the exact one.
    """
    h, w = image.shape[:2]
    ratio = min(height / h, width / w)
    inner_w, inner_h = round(w * ratio), round(h * ratio)
    dw, dh = (width - inner_w) / 2, (height - inner_h) / 2
    if (w, h) != (inner_w, inner_h):
        image = image if eight_bit else image.astype(np.float32)
        image = cv2.resize(image, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR)
    top, bottom = round(dh - 0.1), round(dh + 0.1)
    left, right = round(dw - 0.1), round(dw + 0.1)
    image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(pad, pad, pad))
    # Each axis by what it was really resized by. Ultralytics' scale_boxes takes the common ratio for both, which is off
    # by up to half a network pixel where the size was rounded.
    return image, (left, top), (inner_w / w, inner_h / h)


def iou(box, boxes):
    x1, y1 = np.maximum(box[0], boxes[:, 0]), np.maximum(box[1], boxes[:, 1])
    x2, y2 = np.minimum(box[2], boxes[:, 2]), np.minimum(box[3], boxes[:, 3])
    shared = np.clip(x2 - x1, 0, None) * np.clip(y2 - y1, 0, None)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return shared / ((box[2] - box[0]) * (box[3] - box[1]) + area - shared)


def nms(boxes, classes, scores):
    """Indices of the boxes kept, best first; boxes of different classes don't meet."""
    apart = boxes + classes[:, None] * 7680.0
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order) and len(kept) < MAX_DETECTIONS:
        first, order = order[0], order[1:]
        kept.append(first)
        order = order[iou(apart[first], apart[order]) <= IOU]
    return np.array(kept, int)


def best_classes(scores):
    """Per anchor the best class, for those above the threshold: anchors, classes, scores."""
    classes = scores.argmax(1)
    best = scores.max(1)
    anchors = np.flatnonzero(best > CONFIDENCE)
    return anchors, classes[anchors], best[anchors]


def detection(boxes, classes, scores):
    kept = nms(boxes, classes, scores)
    return [{"class": int(classes[i]), "confidence": float(scores[i]), "box": boxes[i].tolist()} for i in kept]


def yolo(outputs, width, height):
    """[1, 4 + nc, N]: centre x, y, width, height in input pixels, then the classes' scores."""
    rows = outputs[0][0].T
    anchors, classes, scores = best_classes(rows[:, 4:])
    x, y, w, h = rows[anchors, :4].T
    return detection(np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1), classes, scores)


def nanodet(outputs, width, height):
    """Per stride [1, n, 80] scores and [1, n, 44]: for left, top, right, bottom the logits of 0 to 10 strides."""
    boxes, scores = [], []
    for stride in (8, 16, 32):
        columns, rows = -(-width // stride), -(-height // stride)
        of_level = {o.shape[2]: o[0] for o in outputs if o.shape[1] == columns * rows}
        logits = of_level[44].reshape(-1, 4, 11).astype(np.float64)
        share = np.exp(logits - logits.max(2, keepdims=True))
        share /= share.sum(2, keepdims=True)
        left, top, right, bottom = (share @ np.arange(11)).T * stride
        y, x = (np.mgrid[0:rows, 0:columns].reshape(2, -1) + 0.5) * stride
        x1, x2 = np.clip(x - left, 0, width), np.clip(x + right, 0, width)
        y1, y2 = np.clip(y - top, 0, height), np.clip(y + bottom, 0, height)
        boxes.append(np.stack([x1, y1, x2, y2], axis=1))
        scores.append(of_level[80])
    anchors, classes, scores = best_classes(np.concatenate(scores))
    return detection(np.concatenate(boxes)[anchors], classes, scores)


def points(values, width, height):
    """Keypoints x, y in input pixels and confidence, from y, x (0–1 of the input) and score."""
    return values.reshape(17, 3)[:, [1, 0, 2]] * [width, height, 1]


def movenet_multipose(outputs, width, height):
    """[1, 6, 56]: 17 keypoints, then y min, x min, y max, x max and the person's score."""
    found = []
    for row in outputs[0][0]:
        y1, x1, y2, x2, score = row[51:].tolist()
        if score > CONFIDENCE:
            box = [x1 * width, y1 * height, x2 * width, y2 * height]
            found.append({"class": 0, "confidence": score, "box": box, "keypoints": points(row[:51], width, height)})
    return sorted(found, key=lambda f: -f["confidence"])


def movenet_lightning(outputs, width, height):
    """[1, 1, 17, 3] keypoints. Box and confidence aren't the model's: ours are the box around the keypoints of 0.2 or
    more, and the mean of all scores."""
    keypoints = points(outputs[0], width, height)
    seen = keypoints[keypoints[:, 2] >= 0.2, :2]
    confidence = float(keypoints[:, 2].mean())
    if len(seen) < 2 or confidence < CONFIDENCE:
        return []
    box = [*seen.min(0).tolist(), *seen.max(0).tolist()]
    return [{"class": 0, "confidence": confidence, "box": box, "keypoints": keypoints}]


def unit_rgb(image):
    return image[..., ::-1] / 255


def standardised_bgr(image):
    return (image - np.array([103.53, 116.28, 123.675])) / np.array([57.375, 57.12, 58.395])


def plain_rgb(image):
    return np.rint(image[..., ::-1])


# name: (border's level, what the input's values are, decoding)
MODELS = {
    "yolov12n": (114, unit_rgb, yolo),
    "nanodet": (0, standardised_bgr, nanodet),
    "movenet-multipose": (0, plain_rgb, movenet_multipose),
    "movenet-lightning": (0, plain_rgb, movenet_lightning),
}


class Model:
    def __init__(self, name, path):
        self.name = name
        self.pad, self.values, self.decode = MODELS[name]
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.nchw = self.input.shape[1] == 3
        self.height, self.width = self.input.shape[2:] if self.nchw else self.input.shape[1:3]
        self.dtype = {"tensor(float)": np.float32, "tensor(int32)": np.int32}[self.input.type]

    def run(self, image, region=None, eight_bit=False):
        """What is in a region (x, y, width, height) of a BGR picture, in the picture's pixels, and the input's pixels
        per pixel of the picture."""
        x, y, w, h = region or (0, 0, image.shape[1], image.shape[0])
        boxed, border, scale = letterbox(image[y : y + h, x : x + w], self.width, self.height, self.pad, eight_bit)
        tensor = self.values(boxed)[None]
        tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2) if self.nchw else tensor, self.dtype)
        found = self.decode(self.session.run(None, {self.input.name: tensor}), self.width, self.height)
        for f in found:
            corners = (np.array(f["box"]).reshape(2, 2) - border) / scale + (x, y)
            f["box"] = np.clip(corners, 0, image.shape[1::-1]).ravel().tolist()
            if "keypoints" in f:
                f["keypoints"][:, :2] = (f["keypoints"][:, :2] - border) / scale + (x, y)
                f["keypoints"] = f["keypoints"].tolist()
        return {"model": self.name, "region": [x, y, w, h], "scale": scale, "objects": found}



def halves(image):
    """The picture's left and right half: larger persons for the model of many persons."""
    h, w = image.shape[:2]
    return [(0, 0, w // 2, h), (w - w // 2, 0, w // 2, h)]


def persons(image, found):
    """The boxes of the large persons (class 0) with an eighth of their size around them, whole pixels."""
    h, w = image.shape[:2]
    regions = []
    for f in found:
        x1, y1, x2, y2 = f["box"]
        if f["class"] == 0 and f["confidence"] > 0.5 and y2 - y1 > 60:
            dx, dy = (x2 - x1) / 8, (y2 - y1) / 8
            left, top = max(0, round(x1 - dx)), max(0, round(y1 - dy))
            regions.append((left, top, min(w, round(x2 + dx)) - left, min(h, round(y2 + dy)) - top))
    return regions


def results(models, image):
    out = {name: [model.run(image)] for name, model in models.items()}
    if "yolov12n" in models:
        out["yolov12n"].append(models["yolov12n"].run(image, eight_bit=True))
    if "movenet-multipose" in models:
        out["movenet-multipose"] += [models["movenet-multipose"].run(image, r) for r in halves(image)]
    if "movenet-lightning" in models and "yolov12n" in models:
        found = out["yolov12n"][0]["objects"]
        out["movenet-lightning"] += [models["movenet-lightning"].run(image, r) for r in persons(image, found)]
    return [r for of_model in out.values() for r in of_model]


def frames(path, numbers):
    clip = cv2.VideoCapture(str(path))
    wanted = {}
    for number in range(max(numbers) + 1):
        ok, frame = clip.read()
        if not ok:
            sys.exit(f"{path} has no frame {number}")
        if number in numbers:
            wanted[number] = frame
    return [wanted[n] for n in numbers]


def wall(tiles):
    """A 1920 × 1080 picture of (x, y, picture), pixel for pixel, as a monitor wall shows cameras."""
    out = np.full((1080, 1920, 3), 114, np.uint8)
    for x, y, tile in tiles:
        place = out[y : y + tile.shape[0], x : x + tile.shape[1]]
        place[:] = tile[: place.shape[0], : place.shape[1]]
    return out


def pictures(find):
    """Name → BGR picture. There is no freely fetched 1080p picture of people and traffic: two are put together from
    real ones without resampling them."""
    bikes = frames(find("bikes.mp4"), list(range(10, 250, 20)))
    bus, zidane = cv2.imread(str(find("bus.jpg"))), cv2.imread(str(find("zidane.jpg")))
    out = {
        "bus": bus,
        "zidane": zidane,
        "bikes-50": bikes[2],
        "bikes-170": bikes[8],
        "wall-photos": wall([(0, 0, bus), (810, 0, zidane[:, 85:1195]), (810, 720, bikes[4]), (1450, 720, bikes[7])]),
        "wall-bikes": wall([(640 * (i % 3), 272 * (i // 3), f) for i, f in enumerate(bikes)]),
    }
    street = find("vtest_h264.mp4", needed=False)
    if street:
        out["street-60"], out["street-300"] = frames(street, [60, 300])
    return out


def find(folders, name, needed=True):
    """The file of this name in the first folder that has it."""
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    if needed and not found:
        sys.exit(f"{name} isn't in {', '.join(map(str, folders))}")
    return found


def exporter(description, names):
    """What a script is told that makes models of these names: the pictures, and by name the files that it has to write."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--media", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", choices=list(names), help="the only model to make")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    images = list(pictures(functools.partial(find, arguments.media)).values())
    return images, {name: arguments.out / f"{name}.onnx" for name in names if arguments.only in (None, name)}


def write(file, model):
    """Writes a model of these bytes, and says how large it is."""
    file.write_bytes(model)
    print(file.stem, len(model))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--models", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--exports", type=pathlib.Path, nargs="*", default=[], help="models of detectors.py: FAMILY.onnx")
    parser.add_argument("--poses", nargs="*", default=[], help="models of poses.py: FAMILY=FILE")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    paths = {name: find(arguments.models, f"{name}.onnx", needed=False) for name in MODELS}
    models = {name: Model(name, path) for name, path in paths.items() if path}
    exports = [families.Model(detectors.FAMILIES[path.stem], path) for path in arguments.exports]
    pose_models = [poses.Model(*pose.split("=", 1)) for pose in arguments.poses]
    images = []
    images_by_name = pictures(functools.partial(find, arguments.media))
    classes = classifiers.results(images_by_name, arguments.out)
    for name, image in images_by_name.items():
        cv2.imwrite(str(arguments.out / f"{name}.ppm"), image)
        found = results(models, image) + [model.run(image) for model in exports]
        found += [result for model in pose_models for result in model.run(image)]
        images.append({"name": name, "results": found, "classes": classes[name]})
    result = {"confidence": CONFIDENCE, "iou": IOU, "images": images}
    (arguments.out / "reference.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
