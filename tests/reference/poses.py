"""How top-down pose models and RTMO are run by their own projects: crop, input and decoding of each family, in NumPy.

Sources: `GetBBoxCenterScale`, `TopdownAffine`, `SimCCLabel`, `MSRAHeatmap` and `refinement.py` of mmpose (759b39c),
`post_dark_udp` of easy_ViTPose (4f2ba44), `rtmo.py` of rtmlib (2f36e3b). Pictures are BGR arrays.
"""

import cv2
import numpy as np

import families

CONFIDENCE = 0.25
PADDING = 1.25
VISIBLE = 0.2
KERNEL = 11


def boxes(image):
    """Boxes x1, y1, x2, y2 as a detector finds them: large, at the edges, small, and all of the picture."""
    h, w = image.shape[:2]
    shares = [(0.05, 0.1, 0.4, 0.9), (0.55, 0.4, 1.0, 1.0), (0.42, 0.0, 0.54, 0.3), (0.0, 0.0, 1.0, 1.0), (0.7, 0.2, 0.76, 0.33)]
    return [np.array(share) * (w, h, w, h) for share in shares]


def bilinear(image, x, y):
    """The picture at columns `x` and rows `y`, counted from the centre of the first pixel; black beyond its edges."""
    h, w = image.shape[:2]
    padded = np.zeros((h + 2, w + 2, 3))
    padded[1:-1, 1:-1] = image
    x, y = np.clip(x + 1, 0, w + 1), np.clip(y + 1, 0, h + 1)
    left, top = np.minimum(x.astype(int), w), np.minimum(y.astype(int), h)
    wx, wy = (x - left)[None, :, None], (y - top)[:, None, None]
    rows = [padded[top + i][:, left] * (1 - wx) + padded[top + i][:, left + 1] * wx for i in (0, 1)]
    return rows[0] * (1 - wy) + rows[1] * wy


class TopDown:
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    udp = False

    def crop(self, image, box, size):
        """The input [3, height, width], and centre and size of what it shows."""
        height, width = size
        centre, scale = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * PADDING
        w, h = scale
        aspect = width / height
        scale = np.array([w, w / aspect] if w > h * aspect else [h * aspect, h])
        # `get_udp_warp_matrix` and `get_warp_matrix`, without rotation.
        steps = scale / ((width - 1, height - 1) if self.udp else (width, height))
        start = centre - scale / 2
        pixels = bilinear(image, start[0] + np.arange(width) * steps[0], start[1] + np.arange(height) * steps[1])
        # OpenCV interpolates by 32nds of a pixel.
        affine = np.array([[1 / steps[0], 0, -start[0] / steps[0]], [0, 1 / steps[1], -start[1] / steps[1]]])
        warped = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
        assert np.abs(pixels - warped).mean() < 0.5, "not what OpenCV makes of it"
        x = (pixels[..., ::-1] - self.mean) / self.std
        return np.ascontiguousarray(x.transpose(2, 0, 1), np.float32), centre, scale

    def keypoints(self, outputs, size):
        """Rows x, y, confidence in pixels of the input."""
        raise NotImplementedError


class SimCC(TopDown):
    """`get_simcc_maximum`, with a split ratio of 2."""

    def keypoints(self, outputs, size):
        x, y = outputs["simcc_x"][0], outputs["simcc_y"][0]
        places = np.stack([x.argmax(1), y.argmax(1)], axis=1).astype(float)
        values = np.minimum(x.max(1), y.max(1))
        places[values <= 0] = -1
        return np.column_stack([places / 2.0, values])


class Heatmap(TopDown):
    """`MSRAHeatmap.decode` and `refine_keypoints`."""

    def keypoints(self, outputs, size):
        maps = next(iter(outputs.values()))[0].astype(np.float64)
        found = []
        for heat in maps:
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            place = np.array([x, y], float)
            value = heat.max()
            place = self.refined(heat, x, y, place) if value > 0 else np.array([-1.0, -1.0])
            found.append([*self.in_input(place, heat.shape, size), value])
        return np.array(found)

    def refined(self, heat, x, y, place):
        rows, columns = heat.shape
        if 1 < x < columns - 1 and 0 < y < rows:
            place[0] += 0.25 * np.sign(heat[y, x + 1] - heat[y, x - 1])
        if 1 < y < rows - 1 and 0 < x < columns:
            place[1] += 0.25 * np.sign(heat[y + 1, x] - heat[y - 1, x])
        return place

    def in_input(self, place, shape, size):
        return place * (np.array(size[::-1]) / shape[::-1])


class Dark(Heatmap):
    """`refine_keypoints_dark` after `gaussian_blur`."""

    def refined(self, heat, x, y, place):
        rows, columns = heat.shape
        border = KERNEL // 2
        blurred = cv2.GaussianBlur(np.pad(heat, border), (KERNEL, KERNEL), 0)[border:-border, border:-border]
        log = np.log(np.maximum(blurred * heat.max() / blurred.max(), 1e-10))
        if not (1 < x < columns - 2 and 1 < y < rows - 2):
            return place
        slope = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
        xx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
        yy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
        xy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
        return place - np.linalg.inv([[xx, xy], [xy, yy]]) @ slope


class Udp(Heatmap):
    """`post_dark_udp`, and `transform_preds` with `use_udp`."""

    udp = True

    def refined(self, heat, x, y, place):
        log = np.pad(np.log(np.clip(cv2.GaussianBlur(heat, (KERNEL, KERNEL), 0), 0.001, 50)), 1, mode="edge")
        x, y = x + 1, y + 1
        middle, right, left = log[y, x], log[y, x + 1], log[y, x - 1]
        lower, upper = log[y + 1, x], log[y - 1, x]
        slope = 0.5 * np.array([right - left, lower - upper])
        xy = 0.5 * (log[y + 1, x + 1] - right - lower + 2 * middle - left - upper + log[y - 1, x - 1])
        bend = np.array([[right - 2 * middle + left, xy], [xy, lower - 2 * middle + upper]])
        return place - np.linalg.inv(bend + np.finfo(np.float32).eps * np.eye(2)) @ slope

    def in_input(self, place, shape, size):
        return place / (np.array(shape[::-1]) - 1) * size[::-1]


FAMILIES = {"simcc": SimCC(), "heatmap": Heatmap(), "heatmap-dark": Dark(), "heatmap-udp": Udp()}


class Model:
    """A file of one of these families, or RTMO's."""

    def __init__(self, family, path):
        import onnxruntime

        self.name, self.family = family, FAMILIES.get(family)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.size = tuple(self.input.shape[2:])

    def outputs(self, x):
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, {self.input.name: x[None]})))

    def run(self, image):
        """The results of reference.Model.run, for each box or, with RTMO, for the picture."""
        if self.family is None:
            return [self.rtmo(image)]
        return [self.person(image, box) for box in boxes(image)]

    def person(self, image, box):
        """The person in a box. Its confidence and its own box aren't the model's: ours are the mean of all confidences, and
        the box around the keypoints of 0.2 or more."""
        h, w = image.shape[:2]
        x, centre, scale = self.family.crop(image, box, self.size)
        points = self.family.keypoints(self.outputs(x), self.size)
        points[:, :2] = points[:, :2] / self.size[::-1] * scale + centre - scale / 2
        points[:, 2] = np.clip(points[:, 2], 0, 1)
        objects = []
        seen = points[points[:, 2] >= VISIBLE, :2]
        confidence = float(points[:, 2].mean())
        if len(seen) > 1 and confidence >= CONFIDENCE:
            corners = np.clip([seen.min(0), seen.max(0)], 0, (w, h))
            if (corners[1] > corners[0]).all():
                objects = [self.object(confidence, corners, points)]
        size = (box[2:] - box[:2]) * PADDING
        region = [*(centre - size / 2).tolist(), *size.tolist()]
        pixels = (np.array(self.size[::-1]) / scale).tolist()
        return {"model": self.name, "region": region, "scale": pixels, "objects": objects}

    def rtmo(self, image):
        h, w = image.shape[:2]
        x, _, scale = families.Yolox().tensor(image, self.size)
        found = self.outputs(x)
        objects = []
        for box, points in zip(found["dets"][0].astype(float), found["keypoints"][0].astype(float)):
            corners = np.clip(box[:4].reshape(2, 2) / scale, 0, (w, h))
            if box[4] >= CONFIDENCE and (corners[1] > corners[0]).all():
                points[:, :2] /= scale
                objects.append(self.object(float(box[4]), corners, points))
        return {"model": self.name, "region": [0, 0, w, h], "scale": scale, "objects": objects}

    @staticmethod
    def object(confidence, corners, points):
        return {"class": 0, "confidence": confidence, "box": corners.ravel().tolist(), "keypoints": points.tolist()}
