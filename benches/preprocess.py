"""OpenCV's side of the preprocessing benchmark; see preprocess.rs, which starts it.

Arguments: a folder with the file "frame" (NV12), its width and height. Answers "run" with the nanoseconds that one
frame took, "save" by writing the tensor to the folder.
"""

import sys
import time

try:
    import cv2
    import numpy as np
except ImportError as error:
    print(error, flush=True)
    sys.exit()

SIZE = 640

folder, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cv2.setNumThreads(1)
frame = np.fromfile(f"{folder}/frame", np.uint8).reshape(height * 3 // 2, width)


def preprocess():
    """Colour conversion, letterbox as Ultralytics does it, and blobFromImage: f32 NCHW RGB 0-1."""
    bgr = cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_NV12)
    ratio = min(SIZE / width, SIZE / height)
    w, h = round(width * ratio), round(height * ratio)
    resized = bgr if (w, h) == (width, height) else cv2.resize(bgr, (w, h), interpolation=cv2.INTER_LINEAR)
    dw, dh = (SIZE - w) / 2, (SIZE - h) / 2
    top, bottom, left, right = round(dh - 0.1), round(dh + 0.1), round(dw - 0.1), round(dw + 0.1)
    boxed = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return cv2.dnn.blobFromImage(boxed, 1 / 255, swapRB=True)


tensor = preprocess()
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "run":
        start = time.perf_counter_ns()
        tensor = preprocess()
        print(time.perf_counter_ns() - start, flush=True)
    else:
        tensor.astype(np.float32).tofile(f"{folder}/tensor")
        print("saved", flush=True)
