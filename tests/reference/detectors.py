"""Input and decoding of the dense detectors, of RT-DETR as Ultralytics exports it, and of LibreYOLO's exports, as families.py has
the others."""

import numpy as np

from families import (
    CONFIDENCE, FAMILIES as OTHERS, IMAGENET, Family, Queries, RfDetr, YoloxDecoded, corners, cv_resize, cv_resize_cubic, nms,
    pil_resize, rows,
)  # fmt: skip


def best_class(scores, boxes):
    """Rows of the candidates [N, classes] and [N, 4] above the threshold."""
    classes, best = scores.argmax(1), scores.max(1)
    keep = best > CONFIDENCE
    return rows(classes[keep], best[keep], boxes[keep])


def every_class(scores, boxes):
    """Rows of all pairs of a candidate [N, classes] and a class above the threshold, as mmdetection's `multiclass_nms`, which
    PaddleDetection and DAMO-YOLO have too, takes them, and LibreYOLO."""
    candidates, classes = np.nonzero(scores > CONFIDENCE)
    return rows(classes, scores[candidates, classes], boxes[candidates])


class Ultralytics(Family):
    """`LetterBox` of Ultralytics 8.4.190."""

    resize = staticmethod(cv_resize)
    fit = "centre"
    pad = 114

    def rounded(self, size):
        return round(size)


class Yolo(Ultralytics):
    """`non_max_suppression` of Ultralytics 8.4.190: YOLOv8 to YOLO12, YOLO-World, and YOLOE without masks."""

    def objects(self, outputs, size):
        out = outputs["output0"][0].T
        return nms(best_class(out[:, 4:], corners(out[:, :4])))


class YoloEndToEnd(Ultralytics):
    """The rows of YOLOv10 and YOLO26: corners, score, class."""

    def objects(self, outputs, size):
        out = outputs["output0"][0]
        out = out[out[:, 4] > CONFIDENCE]
        return rows(out[:, 5], out[:, 4], out[:, :4])


class YoloPose(Ultralytics):
    """The same with 17 keypoints of x, y, confidence. Ultralytics clips keypoints to the picture, which ours doesn't."""

    def found(self, outputs):
        """Rows, each with the keypoints behind it."""
        out = outputs["output0"][0].T
        out = out[out[:, 4] > CONFIDENCE]
        kept = nms(rows(np.zeros(len(out)), out[:, 4], corners(out[:, :4])))
        # Scores of seeded weights are all different.
        order = [int(np.flatnonzero(out[:, 4] == score)[0]) for score in kept[:, 1]]
        return np.concatenate([kept, out[order, 5:]], axis=1)

    def objects(self, outputs, size):
        return self.found(outputs)[:, :6]

    def keypoints(self, outputs):
        """[objects, 17, 3]: x and y in pixels of the input, and confidence."""
        return self.found(outputs)[:, 6:].reshape(-1, 17, 3)


class YoloPoseEndToEnd(YoloPose):
    """The rows of YOLO26-pose: corners, score, class, keypoints."""

    def found(self, outputs):
        out = outputs["output0"][0]
        out = out[out[:, 4] > CONFIDENCE]
        return np.concatenate([rows(out[:, 5], out[:, 4], out[:, :4]), out[:, 6:]], axis=1)


class UltralyticsRtDetr(Family):
    """`RTDETRPredictor` of Ultralytics 8.4.190: stretched by OpenCV; rows of centre and size 0–1, score, class."""

    resize = staticmethod(cv_resize)

    def objects(self, outputs, size):
        height, width = size
        out = outputs["output0"][0]
        out = out[out[:, 4] > CONFIDENCE]
        return rows(out[:, 5], out[:, 4], corners(out[:, :4]) * [width, height, width, height])


class UltralyticsRtDetrScores(UltralyticsRtDetr):
    """`RTDETRPredictor` of Ultralytics 8.3: a row has the scores of all classes, of which the best counts."""

    def objects(self, outputs, size):
        height, width = size
        out = outputs["output0"][0]
        return best_class(out[:, 4:], corners(out[:, :4]) * [width, height, width, height])


class Yolov5(Ultralytics):
    """`letterbox` and `non_max_suppression` of YOLOv5 (0041a67), which YOLOv7 (045eea1) has too: without `multi_label`, as
    detect.py of both."""

    def objects(self, outputs, size):
        out = next(iter(outputs.values()))[0]
        out = out[out[:, 4] > CONFIDENCE]
        return nms(best_class(out[:, 5:] * out[:, 4:5], corners(out[:, :4])))


class PpYoloe(Family):
    """configs/ppyoloe/_base_/ppyoloe_reader.yml (92dc41a) and `post_process` of ppyoloe_head.py (005e0ff) of PaddleDetection, whose
    reader has `interp: 2`, cubic."""

    resize = staticmethod(cv_resize_cubic)
    mean, std = IMAGENET

    def objects(self, outputs, size):
        boxes, scores = (value[0] for value in outputs.values())
        return nms(every_class(scores.T, boxes))


class PpYoloePlus(PpYoloe):
    """ppyoloe_plus_reader.yml (327a74f), and the output with `exclude_post_process=True`."""

    mean, std = np.zeros(3), np.ones(3)

    def objects(self, outputs, size):
        out = next(iter(outputs.values()))[0]
        return nms(every_class(out[:, 4:], out[:, :4]))


class Picodet(PpYoloe):
    """deploy/python/picodet_postprocess.py of PaddleDetection (98fb689), with the boxes clipped to the picture before
    suppression, as ours are."""

    def objects(self, outputs, size):
        height, width = size
        values = [value[0] for value in outputs.values()]
        scores, boxes = values[:4], []
        for stride, sides in zip((8, 16, 32, 64), values[4:]):
            logits = sides.astype(np.float64).reshape(len(sides), 4, -1)
            share = np.exp(logits - logits.max(2, keepdims=True))
            share /= share.sum(2, keepdims=True)
            left, top, right, bottom = (share @ np.arange(share.shape[2])).T * stride
            y, x = (np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)].reshape(2, -1) + 0.5) * stride
            boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1))
        boxes = np.clip(np.concatenate(boxes), 0, [width, height, width, height])
        return nms(every_class(np.concatenate(scores), boxes))


class DamoYolo(Family):
    """tools/demo.py of DAMO-YOLO (0974cb1): `transform_img` with OpenCV, 0–255, and `_pad_image` with 0."""

    resize = staticmethod(cv_resize)
    fit = "top-left"
    scale = 1.0

    def objects(self, outputs, size):
        scores, boxes = (value[0] for value in outputs.values())
        return nms(every_class(scores, boxes))


class LibreYolox(YoloxDecoded):
    """`preprocess/yolox.py` and `_parse_yolox` of LibreYOLO 1.6.0: as YOLOX, but resized by PIL."""

    resize = staticmethod(pil_resize)


class LibreYolo9(Family):
    """`preprocess/yolo9.py` and `_parse_yolo9` of LibreYOLO 1.6.0: at the top left; corners, not centres."""

    resize = staticmethod(cv_resize)
    fit = "top-left"
    pad = 114

    def objects(self, outputs, size):
        out = outputs["output"][0].T
        return nms(every_class(out[:, 4:], out[:, :4]))


class LibreYolo9Centre(LibreYolo9):
    """The same with the metadata `letterbox_pad` = `center`."""

    fit = "centre"


class LibreRtDetr(Queries):
    """`preprocess/rtdetr.py` and `_parse_rtdetr` of LibreYOLO 1.6.0: RT-DETR v1 and v2, resized by OpenCV."""

    resize = staticmethod(cv_resize)
    names = "pred_boxes", "pred_logits"


class LibreDFine(LibreRtDetr):
    """`preprocess/dfine.py` and `_parse_dfine` of LibreYOLO 1.6.0: D-FINE, DEIM, RT-DETRv4 and the smaller DEIMv2."""

    resize = staticmethod(pil_resize)


class LibreDeimV2(LibreDFine):
    """`preprocess/deimv2.py` of LibreYOLO 1.6.0 with `imagenet_norm`: the sizes with a DINOv3 backbone."""

    mean, std = IMAGENET


class LibrePpYoloe(PpYoloe):
    """`preprocess_numpy` of models/ppyoloe, linear, and `_parse_ppyoloe` of LibreYOLO 1.6.0."""

    resize = staticmethod(cv_resize)

    def objects(self, outputs, size):
        return nms(every_class(outputs["scores"][0], outputs["boxes"][0]))


class LibrePicodet(LibrePpYoloe):
    """`preprocess_numpy` of models/picodet and `_parse_picodet` of LibreYOLO 1.6.0."""

    def objects(self, outputs, size):
        out = outputs["output"][0]
        return nms(every_class(out[:, 4:], out[:, :4]))


FAMILIES = OTHERS | {
    "yolo-world": Yolo(),
    "yolo-end-to-end": YoloEndToEnd(),
    "yolo-pose": YoloPose(),
    "yolo-pose-end-to-end": YoloPoseEndToEnd(),
    "ultralytics-rt-detr": UltralyticsRtDetr(),
    "ultralytics-rt-detr-scores": UltralyticsRtDetrScores(),
    "yolov5": Yolov5(),
    "yolov7": Yolov5(),
    "pp-yoloe": PpYoloe(),
    "pp-yoloe-plus": PpYoloePlus(),
    "picodet": Picodet(),
    "damo-yolo": DamoYolo(),
    "libreyolo-yolox": LibreYolox(),
    "libreyolo-yolo9": LibreYolo9(),
    "libreyolo-yolo9-centre": LibreYolo9Centre(),
    "libreyolo-rtdetr": LibreRtDetr(),
    "libreyolo-dfine": LibreDFine(),
    "libreyolo-deimv2": LibreDeimV2(),
    "libreyolo-rfdetr": RfDetr(),
    "libreyolo-ppyoloe": LibrePpYoloe(),
    "libreyolo-picodet": LibrePicodet(),
}
