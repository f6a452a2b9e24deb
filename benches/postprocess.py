"""The usual NumPy + OpenCV form of YOLO post-processing, which benches/postprocess.rs alternates with ours.

postprocess.py FILE CHANNELS ANCHORS: reads f32 [CHANNELS, ANCHORS]; for each line on standard input runs twice and
prints the seconds that each took and the number of boxes kept. Needs numpy and opencv-python-headless.
"""

import sys
import time

import cv2
import numpy as np

CONFIDENCE, IOU, MOST = 0.25, 0.45, 300


def postprocess(output):
    scores = output[4:]
    best = np.max(scores, axis=0)
    classes = np.argmax(scores, axis=0)
    mask = best >= CONFIDENCE
    best, classes = best[mask], classes[mask]
    cx, cy, w, h = output[:4, mask]
    boxes = np.stack((cx - w / 2, cy - h / 2, w, h), axis=1)
    # A different offset for each class keeps the classes apart.
    apart = boxes.copy()
    apart[:, :2] += classes[:, None] * 7680.0
    kept = cv2.dnn.NMSBoxes(apart, best, CONFIDENCE, IOU)[:MOST]
    return boxes[kept], best[kept], classes[kept]


def main():
    cv2.setNumThreads(1)
    path, channels, anchors = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    output = np.fromfile(path, np.float32).reshape(channels, anchors)
    for _ in sys.stdin:
        start = time.perf_counter()
        postprocess(output)
        between = time.perf_counter()
        boxes, _, _ = postprocess(output)
        print(between - start, time.perf_counter() - between, len(boxes), flush=True)


if __name__ == "__main__":
    main()
