"""The trackers of this crate beside GStreamer's ioutracker and those of PyPI's `trackers` and `supervision`, by the
official metrics.

    metrics.py detections FOLDER SEEDS     writes the detections
    metrics.py judge FOLDER                reads our tracks from FOLDER/NAME/, prints a row per cell and tracker
    metrics.py ioutracker DETECTIONS       prints the tracks that GStreamer's ioutracker makes of them
    metrics.py clip FOLDER TRUTH RATE      reads detections.txt and our tracks of a clip with so many frames per second from
                                           FOLDER, prints a row per tracker: HOTA, IDF1, MOTA, exchanges of ids

Ground truth: TUD-Campus and TUD-Stadtmitte, which PyPI's `motmetrics` contains. The detections are made from it: each box
trembles, is missed at a rate, and there are false positives. Metrics: HOTA, IDF1 and MOTA of PyPI's `trackeval`, the
implementation of MOTChallenge. A file of detections or tracks has a line per box: frame (from 1), id or -1, left, top,
width, height, confidence; of detections also a line `frame` for each frame that the model saw.
"""

import contextlib
import importlib.util
import io
import multiprocessing
import pathlib
import sys
import warnings

import numpy as np

SEQUENCES = {"TUD-Campus": 71, "TUD-Stadtmitte": 179}
MISSES = [0, 10, 30]
INTERVALS = [0, 2, 4]
FRAME_RATE = 25
# A box trembles by this part of its size, and its size by this part; standard deviations.
TREMBLE = 0.03
# False positives per frame, as a part of the boxes per frame of the ground truth.
FALSE_POSITIVES = 0.1
# Our defaults, which the published trackers get too: their own reject half of these detections.
HIGH_CONFIDENCE, START_CONFIDENCE = 0.5, 0.6


def ground_truth(sequence):
    """An array (frame, id, x, y, w, h) of the sequence."""
    package = importlib.util.find_spec("motmetrics").submodule_search_locations[0]
    path = pathlib.Path(package) / "data" / sequence / "gt.txt"
    return np.loadtxt(path, delimiter=",")[:, :6]


def detections(truth, frames, misses, interval, random):
    """Lists of (frame, x, y, w, h, confidence) by frame that the model saw."""
    rate = FALSE_POSITIVES * len(truth) / frames
    size = truth[:, 4:6].mean(axis=0)
    left, top = truth[:, 2:4].min(axis=0)
    right, bottom = (truth[:, 2:4] + truth[:, 4:6]).max(axis=0)
    seen = {}
    for frame in range(1, frames + 1):
        boxes = []
        for x, y, w, h in truth[truth[:, 0] == frame][:, 2:6]:
            shift, scale = random.normal(0, TREMBLE, 2), np.exp(random.normal(0, TREMBLE, 2))
            confidence = random.uniform(0.5, 1)
            if random.uniform() * 100 < misses:
                continue
            centre = np.array([x + w / 2, y + h / 2]) + shift * [w, h]
            w, h = np.array([w, h]) * scale
            boxes.append((*(centre - [w / 2, h / 2]), w, h, confidence))
        for _ in range(random.poisson(rate)):
            w, h = size * np.exp(random.normal(0, 0.3, 2))
            x = random.uniform(left, max(left, right - w))
            y = random.uniform(top, max(top, bottom - h))
            boxes.append((x, y, w, h, random.uniform(0.3, 0.8)))
        random.shuffle(boxes)
        if (frame - 1) % (interval + 1) == 0:
            seen[frame] = boxes
    return seen


def cells(seeds):
    for sequence in SEQUENCES:
        for misses in MISSES:
            for interval in INTERVALS:
                for seed in range(seeds):
                    yield sequence, misses, interval, seed


def name_of(cell):
    return "{}-{}-{}-{}.txt".format(*cell)


def write_detections(folder, seeds):
    for cell in cells(seeds):
        sequence, misses, interval, seed = cell
        random = np.random.default_rng([seed, misses, list(SEQUENCES).index(sequence)])
        lines = []
        for frame, boxes in detections(ground_truth(sequence), SEQUENCES[sequence], misses, interval, random).items():
            lines.append(str(frame))
            lines += ["{},-1,{:.3f},{:.3f},{:.3f},{:.3f},{:.4f}".format(frame, *box) for box in boxes]
        (folder / name_of(cell)).write_text("\n".join(lines) + "\n")


def read(path):
    """(frame, id, x, y, w, h, confidence) lists by frame."""
    frames = {}
    for line in path.read_text().splitlines():
        frame, *values = line.split(",")
        boxes = frames.setdefault(int(frame), [])
        if values:
            boxes.append([float(value) for value in values])
    return frames


def c_int(value):
    """The value as a C int of 32 bits, which wraps."""
    return (int(value) + 2**31) % 2**32 - 2**31


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared) if shared > 0 else 0.0


def iou_in_picture(a, b):
    """As gst_analytics_image_util_iou_float has it, which cuts off what is left of the picture or above it."""
    a, b = ([max(x, 0), max(y, 0), w + min(x, 0), h + min(y, 0)] for x, y, w, h in (a, b))
    return iou(a, b) if min(a[2:] + b[2:]) >= 0 else 0.0


def iou_tracker(seen, frames, threshold=0.5, frames_to_loss=5):
    """The element ioutracker of GStreamer 1.28 with its defaults, after gst-plugins-bad's
    gst/tensordecoders/gstioutracker.c: greedy in the order of the tracks, integer boxes, and a missed object moves on by
    its mean step, whose division of a negative difference by an unsigned count wraps as it does there."""
    tracks, next_id, found = [], 0, {}
    for frame in range(1, frames + 1):
        boxes = [[int(value) for value in box[1:5]] for box in seen.get(frame, [])]
        ids, kept = [None] * len(boxes), []
        for track in tracks:
            free = [index for index, id in enumerate(ids) if id is None]
            best = max(free, key=lambda index: iou_in_picture(boxes[index], track["boxes"][-1]), default=None)
            if best is not None and iou_in_picture(boxes[best], track["boxes"][-1]) >= threshold:
                ids[best] = track["id"]
                track["boxes"].append(boxes[best])
                track["missed"] = 0
            else:
                track["missed"] += 1
                if track["missed"] >= frames_to_loss:
                    continue
                first, last, count = track["boxes"][0], track["boxes"][-1], len(track["boxes"])
                step = [((last[axis] - first[axis]) % 2**32) // count for axis in range(2)]
                track["boxes"].append([c_int(last[0] + step[0]), c_int(last[1] + step[1]), last[2], last[3]])
            kept.append(track)
        tracks = kept
        for index, id in enumerate(ids):
            if id is None:
                ids[index] = next_id
                tracks.append({"id": next_id, "boxes": [boxes[index]], "missed": 0})
                next_id += 1
        found[frame] = [[id, *box] for id, box in zip(ids, boxes)]
    return found


def published(kind, seen, frames, skipped_as_empty, frame_rate=FRAME_RATE):
    """A tracker of PyPI's `trackers` with its defaults. Frames that the model didn't see are shown to it as empty, or by
    the time that has passed, which it also supports."""
    import supervision
    import trackers

    more = {"high_conf_det_threshold": HIGH_CONFIDENCE}
    if kind != "OCSORTTracker":
        more["track_activation_threshold"] = START_CONFIDENCE
    if kind == "BoTSORTTracker":
        more["enable_cmc"] = False
    tracker = getattr(trackers, kind)(frame_rate=frame_rate, **more)
    found = {}
    for frame in range(1, frames + 1):
        if frame not in seen and not skipped_as_empty:
            continue
        boxes = np.array([box[1:6] for box in seen.get(frame, [])], dtype=float).reshape(-1, 5)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
        objects = supervision.Detections(xyxy=corners, confidence=boxes[:, 4], class_id=np.zeros(len(boxes), dtype=int))
        time = {} if skipped_as_empty else {"timestamp": frame / frame_rate}
        tracked = tracker.update(objects, **time)
        ids = tracked.tracker_id if tracked.tracker_id is not None else []
        found[frame] = [
            [int(id), x1, y1, x2 - x1, y2 - y1] for id, (x1, y1, x2, y2) in zip(ids, tracked.xyxy) if id >= 0
        ]
    return found


def byte_track_of_supervision(seen, frames, own_defaults, frame_rate=FRAME_RATE):
    """ByteTrack of PyPI's `supervision` 0.30, the last with a tracker, with our defaults or its own. It knows frames only:
    those that the model didn't see are shown to it as empty."""
    import supervision

    more = {} if own_defaults else {"track_activation_threshold": HIGH_CONFIDENCE, "minimum_consecutive_frames": 2}
    tracker = supervision.ByteTrack(frame_rate=frame_rate, **more)
    found = {}
    for frame in range(1, frames + 1):
        boxes = np.array([box[1:6] for box in seen.get(frame, [])], dtype=float).reshape(-1, 5)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
        objects = supervision.Detections(xyxy=corners, confidence=boxes[:, 4], class_id=np.zeros(len(boxes), dtype=int))
        tracked = tracker.update_with_detections(objects)
        found[frame] = [[int(id), x1, y1, x2 - x1, y2 - y1] for id, (x1, y1, x2, y2) in zip(tracked.tracker_id, tracked.xyxy)]
    return found


def similarities(a, b):
    a, b = np.array(a, dtype=float).reshape(-1, 4), np.array(b, dtype=float).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    return shared / (a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None, :] - shared)


def scores(truth, found, frames):
    """HOTA, IDF1 and MOTA in percent, and the number of exchanges of ids, over the given frames."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    wanted = [truth[truth[:, 0] == frame][:, 1:] for frame in frames]
    given = [np.array(found.get(frame, []), dtype=float).reshape(-1, found_width(found))[:, :5] for frame in frames]

    def numbered(lists):
        ids = sorted({id for boxes in lists for id in boxes[:, 0]})
        index = {id: number for number, id in enumerate(ids)}
        return len(ids), [np.array([index[id] for id in boxes[:, 0]], dtype=int) for boxes in lists]

    truths, truth_ids = numbered(wanted)
    tracks, track_ids = numbered(given)
    data = {
        "num_timesteps": len(wanted),
        "num_gt_ids": truths,
        "num_tracker_ids": tracks,
        "num_gt_dets": sum(map(len, wanted)),
        "num_tracker_dets": sum(map(len, given)),
        "gt_ids": truth_ids,
        "tracker_ids": track_ids,
        "similarity_scores": [similarities(a[:, 1:], b[:, 1:]) for a, b in zip(wanted, given)],
    }
    quiet = {"PRINT_CONFIG": False}
    clear = CLEAR(quiet).eval_sequence(data)
    return [
        100 * np.mean(HOTA().eval_sequence(data)["HOTA"]),
        100 * Identity(quiet).eval_sequence(data)["IDF1"],
        100 * clear["MOTA"],
        clear["IDSW"],
    ]


def found_width(found):
    return next((len(boxes[0]) for boxes in found.values() if boxes), 5)


PUBLISHED = {"bytetrack": "ByteTrackTracker", "oc-sort": "OCSORTTracker", "bot-sort": "BoTSORTTracker"}


def judge_cell(job):
    folder, cell, ours = job
    sequence, _, interval, _ = cell
    frames = SEQUENCES[sequence]
    truth = ground_truth(sequence)
    warnings.simplefilter("ignore")
    seen = {frame: [[None, *box[1:]] for box in boxes] for frame, boxes in read(folder / name_of(cell)).items()}
    rows = {("ioutracker", "seen"): scores(truth, iou_tracker(seen, frames), list(seen))}
    for name in ours:
        tracks = read(folder / name / name_of(cell))
        rows[name, "seen"] = scores(truth, tracks, list(seen))
        rows[name, "all"] = scores(truth, tracks, range(1, frames + 1))
        if name in PUBLISHED:
            for form in ["empty"] + ["time"] * (interval > 0):
                peer = published(PUBLISHED[name], seen, frames, form == "empty")
                rows[f"{name} of trackers, {form}", "seen"] = scores(truth, peer, list(seen))
        if name == "bytetrack":
            for form in ["ours", "its own"]:
                peer = byte_track_of_supervision(seen, frames, form == "its own")
                rows[f"{name} of supervision, {form}", "seen"] = scores(truth, peer, list(seen))
    return cell, rows


def judge(folder):
    ours = sorted(path.name for path in folder.iterdir() if path.is_dir())
    seeds = len(list(folder.glob("TUD-Campus-0-0-*.txt")))
    jobs = [(folder, cell, ours) for cell in cells(seeds)]
    sums = {}
    with multiprocessing.Pool() as pool:
        for (sequence, misses, interval, _), rows in pool.imap_unordered(judge_cell, jobs):
            for (name, frames), values in rows.items():
                sums.setdefault((sequence, misses, interval, frames, name), []).append(values)
    for key, values in sorted(sums.items()):
        print(*key, *("{:.2f}".format(value) for value in np.mean(values, axis=0)), sep=";")


def print_iou_tracks(path):
    seen = read(path)
    seen = {frame: [[None, *box[1:]] for box in boxes] for frame, boxes in seen.items()}
    for frame, boxes in iou_tracker(seen, max(seen)).items():
        for box in boxes:
            print(frame, *box, sep=",")


def judge_clip(folder, truth, frame_rate):
    warnings.simplefilter("ignore")
    truth = np.loadtxt(truth, delimiter=",")[:, :6]
    seen = {frame: [[None, *box[1:]] for box in boxes] for frame, boxes in read(folder / "detections.txt").items()}
    frames = int(truth[:, 0].max())
    found = {path.stem: read(path) for path in folder.glob("*.txt") if path.stem != "detections"}
    found["ioutracker"] = iou_tracker(seen, frames)
    for name, kind in PUBLISHED.items():
        found[f"{name} of trackers"] = published(kind, seen, frames, True, frame_rate)
    found["bytetrack of supervision"] = byte_track_of_supervision(seen, frames, False, frame_rate)
    for name, tracks in sorted(found.items()):
        values = scores(truth, tracks, range(1, frames + 1))
        print(name, *("{:.2f}".format(value) for value in values), sep=";")


if __name__ == "__main__":
    command, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if command == "detections":
        write_detections(path, int(sys.argv[3]))
    elif command == "ioutracker":
        print_iou_tracks(path)
    else:
        with contextlib.redirect_stderr(io.StringIO()):
            if command == "clip":
                judge_clip(path, sys.argv[3], float(sys.argv[4]))
            else:
                judge(path)
