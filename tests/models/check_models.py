"""Runs the test models on pictures of coloured squares and compares with what README.md says."""

import ast

import numpy as np
import onnxruntime

from make import (
    ANGLES, CELL, CELLS, COLUMNS, HEIGHT, IMAGENET_MEAN, IMAGENET_STD, KEYPOINTS, MODELS, NANODET_MEAN, NANODET_STD, ROWS, WIDTH,
    keypoints,
)  # fmt: skip

BAD = {
    "unknown-head", "two-inputs", "yolo-loud", "pose5-bare", "obb-bare", "rtdetr-bare", "yolox",
}  # fmt: skip
# Pixels of the input per place of the pose models with maps.
MAPS = {"simcc": 0.5, "heatmaps": 4, "vitpose": 4}
# Batches of pictures; each a list of (class, column, row, level).
PICTURES = [
    [(0, 3, 4, 255)],
    [(0, 0, 0, 200), (1, 11, 7, 160), (2, 5, 2, 255), (0, 11, 0, 128)],
    [],
    [(2, c, r, 100 + 10 * c) for c in range(0, COLUMNS, 2) for r in range(0, ROWS, 3)],
]


def draw(squares):
    """A picture, RGB bytes [height, width, 3], grey where there is no square."""
    picture = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    for colour, column, row, level in squares:
        x, y = column * CELL, row * CELL
        picture[y : y + CELL, x : x + CELL] = np.eye(3)[colour] * level
    return picture


def tensor(session, pictures, name):
    """The pictures as the model takes them."""
    info = session.get_inputs()[0]
    x = np.stack([draw(p) for p in pictures])
    if name == "nanodet":
        x = (x[..., ::-1] - NANODET_MEAN) / NANODET_STD
    elif name in ("picodet", "classify-logits") or name in MAPS:
        x = (x - IMAGENET_MEAN) / IMAGENET_STD
    elif name == "rtmo":
        x = x[..., ::-1]
    elif "float" in info.type and name != "damo-yolo":
        x = x / 255
    dtype = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(uint8)": "u1", "tensor(int32)": "i4"}[info.type]
    nchw = info.shape[1] == 3
    sides = {"orig_target_sizes": [WIDTH, HEIGHT], "im_shape": [HEIGHT, WIDTH], "scale_factor": [1, 1]}
    others = {
        i.name: np.array([sides[i.name]] * len(x), "i8" if "int64" in i.type else "f4") for i in session.get_inputs()[1:]
    }
    return {info.name: np.ascontiguousarray(x.transpose(0, 3, 1, 2) if nchw else x, dtype), **others}


def decode(name, outputs):
    """Rows (class, x1, y1, x2, y2, confidence, keypoints…) per picture, without the doubles; of oriented boxes (class, x, y,
    w, h, confidence, angle)."""
    images = range(len(outputs[0]))
    if name in ("nanodet", "picodet"):
        return [nanodet([o[i] for o in outputs]) for i in images]
    if name == "rt-detr":
        return [[(c, *box, score) for c, box, score in zip(*(o[i] for o in outputs))] for i in images]
    if name in ("pp-yoloe", "damo-yolo"):
        boxes, scores = outputs if name == "pp-yoloe" else (outputs[1], outputs[0].transpose(0, 2, 1))
        best = scores.argmax(1)
        return [[(c, *box, score) for c, box, score in zip(best[i, :CELLS], boxes[i], scores[i].max(0))] for i in images]
    if name in MAPS:
        return [peaks(name, [o[i] for o in outputs]) for i in images]
    if name == "rtmo":
        return [[(0, *box, *p.ravel()) for box, p in zip(*picture)] for picture in zip(*outputs)]
    rows = []
    for out in outputs[0].astype(np.float64):
        if name == "movenet":
            points = out[0][:, [1, 0, 2]] * [WIDTH, HEIGHT, 1]
            found = [(0, *points_box(points), points[0, 2], *points.ravel())]
        elif name == "movenet-multipose":
            points = [r[:51].reshape(KEYPOINTS, 3)[:, [1, 0, 2]] * [WIDTH, HEIGHT, 1] for r in out]
            boxes = [r[[52, 51, 54, 53]] * [WIDTH, HEIGHT, WIDTH, HEIGHT] for r in out]
            found = [(0, *b, r[55], *p.ravel()) for r, b, p in zip(out, boxes, points)]
        elif name == "yolo-obb":
            found = [(int(np.argmax(r[4:7])), *r[:4], max(r[4:7]), r[7]) for r in out.T[: ROWS * COLUMNS]]
        elif name == "yolo-obb-e2e":
            found = [(r[5], *r[:5], r[6]) for r in out]
        elif name == "yolov5":
            boxes = ((x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in out[:CELLS, :4])
            found = [(int(r[5:].argmax()), *box, r[4] * r[5:].max()) for box, r in zip(boxes, out)]
        elif "e2e" in name:
            rest = slice(6, 6 if "seg" in name else None)
            found = [(r[5], *r[:5], *r[rest]) for r in out]
        else:
            classes = {"yolo-pose": 1, "yolo-seg": 3}.get(name, out.shape[0] - 4)
            found = []
            for x, y, w, h, *rest in out.T[: ROWS * COLUMNS]:
                best = int(np.argmax(rest[:classes]))
                found.append((best, x - w / 2, y - h / 2, x + w / 2, y + h / 2, rest[best], *(rest[classes:] if "pose" in name else [])))
        rows.append(found)
    return rows


def peaks(name, outputs):
    """Of each keypoint the cell around its peak, and the peak."""
    found = []
    for colour, maps in enumerate(zip(*outputs)):
        at = [m.argmax() for m in maps] if name == "simcc" else np.unravel_index(maps[0].argmax(), maps[0].shape)[::-1]
        x, y = np.array(at) * MAPS[name]
        found.append((colour, x - CELL / 2, y - CELL / 2, x + CELL / 2, y + CELL / 2, min(m.max() for m in maps)))
    return found


def points_box(points):
    """The cell that a person's keypoints belong to."""
    dx, dy, _ = keypoints(0)
    x, y = points[0, :2] - np.array([dx, dy]) * CELL
    return x - CELL / 2, y - CELL / 2, x + CELL / 2, y + CELL / 2


def nanodet(outputs):
    by_shape = {o.shape: o for o in outputs}
    rows = []
    # The fourth stride of PicoDet's has nothing.
    for stride in (8, 16, 32):
        columns = WIDTH // stride
        count = columns * (HEIGHT // stride)
        sides = next(o for (rows, columns), o in by_shape.items() if rows == count and columns != 80)
        sides = np.exp(sides.reshape(count, 4, -1))
        sides = (sides / sides.sum(2, keepdims=True)) @ np.arange(sides.shape[2]) * stride
        for i, (scores, (left, top, right, bottom)) in enumerate(zip(by_shape[count, 80], sides)):
            x, y = (i % columns + 0.5) * stride, (i // columns + 0.5) * stride
            rows.append((int(scores.argmax()), x - left, y - top, x + right, y + bottom, scores.max()))
    return rows


def expected(name, squares):
    pose = name != "vitpose" and ("pose" in name or name in ("movenet", "rtmo"))
    rows = []
    for colour, column, row, level in squares:
        if pose and colour:
            continue
        x, y = (column + 0.5) * CELL, (row + 0.5) * CELL
        if "obb" in name:
            rows.append((colour, x, y, CELL, CELL / 2, level / 255, ANGLES[colour]))
            continue
        dx, dy, share = keypoints()
        points = np.stack([x + dx * CELL, y + dy * CELL, share * level / 255], axis=1)
        box = [x - CELL / 2, y - CELL / 2, x + CELL / 2, y + CELL / 2]
        rows.append((colour, *box, level / 255, *(points.ravel() if pose else [])))
    rows.sort(key=lambda r: -r[5])
    if name in MAPS:
        # The first of the best cells along each axis, or of all.
        level = [max((r[5] for r in rows if r[0] == c), default=0) for c in range(3)]
        rows = [r for r in rows if r[5] == level[r[0]]]
        rows = [min((r for r in rows if r[0] == c), key=lambda r: (r[2], r[1])) for c in {r[0] for r in rows}]
    return rows[:1] if name == "movenet" else rows


def classes(squares, softmax):
    """A classifier's values."""
    logits = np.zeros(3)
    for colour, _, _, level in squares:
        logits[colour] += 8 * level / 255 / CELLS
    return np.exp(logits) / np.exp(logits).sum() if softmax else logits


def run(folder):
    problems = []
    for name in MODELS:
        path = folder / f"{name}.onnx"
        if not path.exists():
            continue
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        if name in BAD:
            continue
        fixed = session.get_inputs()[0].shape[0]
        batch = fixed if isinstance(fixed, int) else len(PICTURES)
        for start in range(0, len(PICTURES), batch):
            pictures = PICTURES[start : start + batch]
            outputs = session.run(None, tensor(session, pictures, name))
            if name.startswith("classify"):
                wanted = np.array([classes(picture, name == "classify") for picture in pictures])
                if not np.allclose(outputs[0], wanted, atol=2e-3):
                    problems.append(f"{name}: found {outputs[0]}, wanted {wanted}")
                continue
            for picture, found in zip(pictures, decode(name, outputs)):
                found = sorted((f for f in found if f[5] > 0.3), key=lambda r: (-round(r[5], 2), r[2], r[1]))
                wanted = sorted(expected(name, picture), key=lambda r: (-round(r[5], 2), r[2], r[1]))
                atol = 1e-2 if name == "yolo-qdq" else 2e-3
                if len(found) != len(wanted) or (wanted and not np.allclose(found, wanted, atol=atol)):
                    problems.append(f"{name}: found {found}, wanted {wanted}")
        names = session.get_modelmeta().custom_metadata_map.get("names")
        if names and not all(isinstance(k, int) for k in ast.literal_eval(names)):
            problems.append(f"{name}: names are not a dictionary by class id")
    return problems
