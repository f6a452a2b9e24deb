"""How the detectors other than YOLO are run by their own projects: input and decoding of each family, in NumPy.

Written after the scripts that each class names, which use torch, PIL and OpenCV; pictures are BGR arrays.
"""

import cv2
import numpy as np

CONFIDENCE = 0.25
IOU = 0.45
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def triangle(source, target):
    """PIL's BILINEAR along one axis as a matrix [target, source] (Pillow's Resample.c, `precompute_coeffs`)."""
    scale = source / target
    support = max(scale, 1.0)
    matrix = np.zeros((target, source))
    for i in range(target):
        centre = (i + 0.5) * scale
        low, high = max(0, int(centre - support + 0.5)), min(source, int(centre + support + 0.5))
        x = np.arange(low, high)
        weights = np.clip(1 - np.abs((x + 0.5 - centre) / support), 0, None)
        matrix[i, low:high] = weights / weights.sum()
    return matrix


def pil_resize(image, width, height):
    """What PIL's `resize((width, height), BILINEAR)` gives before it rounds to 8 bits."""
    h, w = image.shape[:2]
    rows = np.tensordot(triangle(h, height), image.astype(np.float64), axes=(1, 0))
    return np.tensordot(triangle(w, width), rows, axes=(1, 1)).swapaxes(0, 1)


def cv_resize(image, width, height):
    return cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def cv_resize_cubic(image, width, height):
    """What `resize` with INTER_CUBIC gives before it rounds to 8 bits; like that, limited to their range."""
    resized = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(resized, 0, 255)


class Family:
    """Stretched by PIL, RGB, 0–1."""

    resize = staticmethod(pil_resize)
    fit = "stretch"
    pad = 0
    bgr = False
    mean, std = np.zeros(3), np.ones(3)
    scale = 255.0

    def tensor(self, image, size):
        """The input [3, height, width], its borders (left, top) and the pixels of the input per pixel of the picture."""
        height, width = size
        h, w = image.shape[:2]
        inner_w, inner_h, left, top = width, height, 0, 0
        if self.fit != "stretch":
            ratio = min(width / w, height / h)
            inner_w, inner_h = self.rounded(w * ratio), self.rounded(h * ratio)
            if self.fit == "centre":
                left, top = (width - inner_w) // 2, (height - inner_h) // 2
        canvas = np.full((height, width, 3), float(self.pad))
        canvas[top : top + inner_h, left : left + inner_w] = self.resize(image, inner_w, inner_h)
        if not self.bgr:
            canvas = canvas[..., ::-1]
        x = (canvas / self.scale - self.mean) / self.std
        return np.ascontiguousarray(x.transpose(2, 0, 1), np.float32), (left, top), (inner_w / w, inner_h / h)

    def rounded(self, size):
        return int(size)

    def feeds(self, session, x, size):
        """The session's inputs: the picture, and what the family's script feeds beside it."""
        height, width = size
        others = {
            "orig_target_sizes": np.array([[width, height]], np.int64),
            "im_shape": np.array([[height, width]], np.float32),
            "scale_factor": np.ones((1, 2), np.float32),
        }
        return {i.name: others.get(i.name, x[None]) for i in session.get_inputs()}

    def objects(self, outputs, size):
        """Rows (class, confidence, x1, y1, x2, y2) in pixels of the input, above the threshold."""
        raise NotImplementedError


def corners(boxes):
    x, y, w, h = np.moveaxis(boxes, -1, 0)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def rows(classes, scores, boxes):
    return np.concatenate([np.asarray(classes, float)[:, None], scores[:, None], boxes], axis=1)


def nms(found):
    """Greedy suppression within a class; rows, best first."""
    found = found[np.argsort(-found[:, 1], kind="stable")]
    kept = []
    for row in found:
        same = [k for k in kept if k[0] == row[0]]
        if not any(overlap(row[2:], k[2:]) > IOU for k in same):
            kept.append(row)
    return np.array(kept).reshape(-1, 6)


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


class RtDetr(Family):
    """rtdetrv2_pytorch/references/deploy/rtdetrv2_onnxruntime.py of RT-DETR."""

    def objects(self, outputs, size):
        labels, boxes, scores = outputs["labels"][0], outputs["boxes"][0], outputs["scores"][0]
        keep = scores > CONFIDENCE
        return rows(labels[keep], scores[keep], boxes[keep])


class DFine(RtDetr):
    """tools/inference/onnx_inf.py of D-FINE (61d64bb): `resize_with_aspect_ratio`."""

    fit = "centre"


class DeimV2(DFine):
    """tools/inference/onnx_inf.py of DEIMv2, for the models with a DINOv3 backbone."""

    mean, std = IMAGENET


class Queries(Family):
    """`PostProcess` of Deformable DETR: the best pairs of query and class."""

    names = "pred_boxes", "logits"
    classes = None

    def objects(self, outputs, size):
        height, width = size
        boxes, logits = outputs[self.names[0]][0], outputs[self.names[1]][0]
        scores = sigmoid(logits)[:, : self.classes]
        best = np.argsort(-scores, axis=None, kind="stable")[: len(boxes)]
        query, classes = np.unravel_index(best, scores.shape)
        scores = scores.ravel()[best]
        keep = scores > CONFIDENCE
        boxes = corners(boxes[query[keep]]) * [width, height, width, height]
        return rows(classes[keep], scores[keep], boxes)


class RfDetr(Queries):
    """`RFDETR.predict` of rfdetr 1.11: stretched without antialiasing; a column for no object behind three classes."""

    resize = staticmethod(cv_resize)
    mean, std = IMAGENET
    names = "dets", "labels"
    classes = 3


class Softmax(Family):
    """`post_process_object_detection` of transformers' DETR."""

    mean, std = IMAGENET

    def objects(self, outputs, size):
        height, width = size
        logits = outputs["logits"][0].astype(np.float64)
        share = np.exp(logits - logits.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        classes, scores = share[:, :-1].argmax(1), share[:, :-1].max(1)
        keep = scores > CONFIDENCE
        boxes = corners(outputs["pred_boxes"][0][keep]) * [width, height, width, height]
        return rows(classes[keep], scores[keep], boxes)


class Yolox(Family):
    """demo/ONNXRuntime/onnx_inference.py of YOLOX (0963be6): `preproc`, `demo_postprocess`. An anchor has its best class, as
    in `postprocess`, which the project evaluates with."""

    resize = staticmethod(cv_resize)
    fit = "top-left"
    pad = 114
    bgr = True
    scale = 1.0
    decoded = False

    def objects(self, outputs, size):
        height, width = size
        out = next(iter(outputs.values()))[0].astype(np.float64)
        boxes = out[:, :4].copy()
        if not self.decoded:
            grids, strides = [], []
            for stride in (8, 16, 32):
                y, x = np.mgrid[0 : height // stride, 0 : width // stride]
                grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
                strides.append(np.full((x.size, 1), stride))
            grids, strides = np.concatenate(grids), np.concatenate(strides)
            boxes[:, :2] = (boxes[:, :2] + grids) * strides
            boxes[:, 2:] = np.exp(boxes[:, 2:]) * strides
        scores = out[:, 4:5] * out[:, 5:]
        classes, best = scores.argmax(1), scores.max(1)
        keep = best > CONFIDENCE
        return nms(rows(classes[keep], best[keep], corners(boxes[keep])))


class YoloxDecoded(Yolox):
    """The same of an export with --decode_in_inference."""

    decoded = True


class YoloObb(Family):
    """`non_max_suppression(rotated=True)` of Ultralytics 8.4.190: ProbIoU, and a box is dropped by any better one of its class,
    be that dropped or not."""

    resize = staticmethod(cv_resize)
    fit = "centre"
    pad = 114

    def rounded(self, size):
        return round(size)

    def objects(self, outputs, size):
        """Rows (class, confidence, x and y of four corners)."""
        out = next(iter(outputs.values()))[0]
        scores, boxes = out[4:-1].T, np.concatenate([out[:4], out[-1:]]).T
        classes, best = scores.argmax(1), scores.max(1)
        order = np.argsort(-best, kind="stable")
        order = order[best[order] > CONFIDENCE]
        boxes, classes, best = boxes[order], classes[order], best[order]
        better = np.tri(len(order), k=-1, dtype=bool)
        alike = (probiou(boxes) > IOU) & (classes[:, None] == classes) & better
        keep = np.flatnonzero(~alike.any(1))[:300]
        return rows(classes[keep], best[keep], turned_corners(boxes[keep]))


class YoloObbEndToEnd(YoloObb):
    """The rows of YOLO26-OBB: centre, size, score, class, angle."""

    def objects(self, outputs, size):
        out = next(iter(outputs.values()))[0]
        out = out[out[:, 4] > CONFIDENCE]
        return rows(out[:, 5], out[:, 4], turned_corners(out[:, [0, 1, 2, 3, 6]]))


def probiou(boxes):
    """`batch_probiou` of all pairs, in float32 as there."""
    eps = np.float32(1e-7)
    x, y, w, h, angle = boxes.astype(np.float32).T
    p, q, cos, sin = w**2 / 12, h**2 / 12, np.cos(angle), np.sin(angle)
    a, b, c = p * cos**2 + q * sin**2, p * sin**2 + q * cos**2, (p - q) * cos * sin

    def total(v):
        return v[:, None] + v

    dx, dy = x[:, None] - x, y[:, None] - y
    determinant = total(a) * total(b) - total(c) ** 2
    own = np.clip(a * b - c**2, 0, None)
    t1 = (total(a) * dy**2 + total(b) * dx**2) / (determinant + eps) * 0.25
    t2 = total(c) * -dx * dy / (determinant + eps) * 0.5
    t3 = np.log(determinant / (4 * np.sqrt(own[:, None] * own) + eps) + eps) * 0.5
    distance = np.clip(t1 + t2 + t3, eps, 100)
    return 1 - np.sqrt(1 - np.exp(-distance) + eps)


def turned_corners(boxes):
    """x and y of the corners, clockwise from the one that is the upper left before the rotation."""
    x, y, w, h, angle = boxes.astype(np.float64).T
    ux, uy = w / 2 * np.cos(angle), w / 2 * np.sin(angle)
    vx, vy = -h / 2 * np.sin(angle), h / 2 * np.cos(angle)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack([v for u, s in signs for v in (x + u * ux + s * vx, y + u * uy + s * vy)], axis=1)


class YoloSeg(Family):
    """Ultralytics 8.4.190: `non_max_suppression`, and masks as `process_mask` has them, except that they are bits before they are
    scaled up."""

    resize = staticmethod(cv_resize)
    fit = "centre"
    pad = 114

    def rounded(self, size):
        return round(size)

    def candidates(self, outputs):
        """Rows and coefficients of all candidates."""
        out = outputs["output0"][0].T
        coefficients = out[:, -outputs["output1"].shape[1] :]
        scores = out[:, 4 : out.shape[1] - coefficients.shape[1]]
        return rows(scores.argmax(1), scores.max(1), corners(out[:, :4])), coefficients

    def objects(self, outputs, size):
        return self.found(outputs)[0]

    def found(self, outputs):
        """Rows, and the coefficients of each."""
        found, coefficients = self.candidates(outputs)
        keep = found[:, 1] > CONFIDENCE
        found, coefficients = found[keep], coefficients[keep]
        order = np.argsort(-found[:, 1], kind="stable")
        kept = []
        for i in order:
            if not any(found[k, 0] == found[i, 0] and overlap(found[i, 2:], found[k, 2:]) > IOU for k in kept):
                kept.append(i)
        return found[kept], coefficients[kept]

    def masks(self, outputs, size):
        """For each object of `objects` the logits of its mask."""
        prototypes = outputs["output1"][0].astype(np.float64)
        return np.einsum("nk,khw->nhw", self.found(outputs)[1].astype(np.float64), prototypes)


class YoloSegEndToEnd(YoloSeg):
    """The rows of YOLO26-seg: corners, score, class, coefficients."""

    def found(self, outputs):
        out = outputs["output0"][0]
        out = out[out[:, 4] > CONFIDENCE]
        return rows(out[:, 5], out[:, 4], out[:, :4]), out[:, 6:]


class RfDetrSeg(RfDetr):
    """The same with the third output of RF-DETR-Seg, a mask for each query."""

    def masks(self, outputs, size):
        boxes, logits = outputs["dets"][0], outputs["labels"][0]
        scores = sigmoid(logits)[:, : self.classes]
        best = np.argsort(-scores, axis=None, kind="stable")[: len(boxes)]
        keep = scores.ravel()[best] > CONFIDENCE
        return outputs["masks"][0][best[keep] // scores.shape[1]]


def frame_mask(logits, box, clipped, size, border, scale, picture):
    """COCO's uncompressed run lengths of a mask over a picture (width, height): the cells of the grid that the box touches, in
    pixels of the input of `size`, are 0 or 1, interpolated bilinearly, and cut at one half within the clipped box."""
    grid = np.array(logits.shape)
    cells = grid[::-1] / np.array(size)[::-1]
    (left, top), (right, bottom) = np.floor(box[:2] * cells), np.ceil(box[2:] * cells)
    left, right = int(max(left, 0)), int(min(right, grid[1]))
    top, bottom = int(max(top, 0)), int(min(bottom, grid[0]))
    bits = (logits[top:bottom, left:right] > 0).astype(np.float64)
    width, height = picture
    pixels = np.zeros((height, width), bool)

    def axis(count, k, first, cells_here):
        """Pixels of the box along one axis, the two cells around each, and the share of the second."""
        at = np.arange(count)
        at = at[(at + 0.5 >= clipped[k]) & (at + 0.5 < clipped[k + 2])]
        position = ((at + 0.5) * scale[k] + border[k]) * cells[k] - 0.5 - first
        low = np.floor(position).astype(int)
        return at, low.clip(0, cells_here - 1), (low + 1).clip(0, cells_here - 1), position - low

    x, x0, x1, fx = axis(width, 0, left, right - left)
    y, y0, y1, fy = axis(height, 1, top, bottom - top)
    upper = bits[y0][:, x0] * (1 - fx) + bits[y0][:, x1] * fx
    lower = bits[y1][:, x0] * (1 - fx) + bits[y1][:, x1] * fx
    pixels[np.ix_(y, x)] = upper * (1 - fy)[:, None] + lower * fy[:, None] >= 0.5
    line = pixels.T.ravel()
    counts = np.diff([0, *(np.flatnonzero(line[1:] != line[:-1]) + 1), line.size]).tolist()
    # Run lengths begin outside.
    counts = [0, *counts] if line[0] else counts
    return {"size": [height, width], "counts": counts}


FAMILIES = {
    "rt-detr": RtDetr(),
    "d-fine": DFine(),
    "deimv2": DeimV2(),
    "rf-detr": RfDetr(),
    "detr-sigmoid": Queries(),
    "detr-softmax": Softmax(),
    "yolox": Yolox(),
    "yolox-decoded": YoloxDecoded(),
    "yolo-obb": YoloObb(),
    "yolo-obb-end-to-end": YoloObbEndToEnd(),
    "yolo-seg": YoloSeg(),
    "yolo-seg-end-to-end": YoloSegEndToEnd(),
    "rf-detr-seg": RfDetrSeg(),
}


class Model:
    """One of a family's files."""

    def __init__(self, family, path):
        # Only here, because the exports need no ONNX Runtime.
        import onnxruntime

        self.name, self.family = path.stem, family
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.size = next(tuple(i.shape[2:]) for i in self.session.get_inputs() if len(i.shape) == 4)

    def run(self, image):
        """As reference.Model.run, for the whole picture."""
        h, w = image.shape[:2]
        x, border, scale = self.family.tensor(image, self.size)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(None, self.family.feeds(self.session, x, self.size))))
        objects = []
        masks = self.family.masks(outputs, self.size) if hasattr(self.family, "masks") else None
        keypoints = self.family.keypoints(outputs) if hasattr(self.family, "keypoints") else None
        for i, (label, confidence, *box) in enumerate(self.family.objects(outputs, self.size)):
            points = (np.array(box).reshape(-1, 2) - border) / scale
            # The box around the four corners of an oriented one, which itself isn't clipped.
            more = {"corners": points.tolist()} if len(points) == 4 else {}
            corners = np.stack([points.min(0), points.max(0)]) if more else points
            corners = np.clip(corners, 0, (w, h))
            # A box outside the picture isn't an object.
            if (corners[1] > corners[0]).all():
                found = {"class": int(label), "confidence": float(confidence), "box": corners.ravel().tolist()}
                if masks is not None:
                    more["mask"] = frame_mask(masks[i], np.array(box), found["box"], self.size, border, scale, (w, h))
                if keypoints is not None:
                    places = (keypoints[i][:, :2] - border) / scale
                    more["keypoints"] = np.concatenate([places, keypoints[i][:, 2:]], axis=1).tolist()
                objects.append(found | more)
        return {"model": self.name, "region": [0, 0, w, h], "scale": scale, "objects": objects}
