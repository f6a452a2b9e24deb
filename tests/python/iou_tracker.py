"""The tracks that GStreamer's ioutracker makes of a file of detections.

usage: iou_tracker.py DETECTIONS

Prints frame, id, left, top, width and height of each detection, in the format of crates/tracking/tests/metrics.py.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstAnalytics", "1.0")
from gi.repository import GLib, Gst, GstAnalytics, GstApp  # noqa: E402, F401


def read(path):
    frames = {}
    with open(path) as lines:
        for line in lines:
            frame, *values = line.split(",")
            boxes = frames.setdefault(int(frame), [])
            if values:
                boxes.append([float(value) for value in values[1:]])
    return frames


def main():
    frames = read(sys.argv[1])
    Gst.init(None)
    pipeline = Gst.parse_launch("appsrc name=source format=time ! ioutracker ! appsink name=sink sync=false")
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    source.set_property("caps", Gst.Caps.from_string("video/x-raw,format=GRAY8,width=768,height=576,framerate=25/1"))
    pipeline.set_state(Gst.State.PLAYING)
    for frame in range(1, max(frames) + 1):
        buffer = Gst.Buffer.new_wrapped(bytes(768 * 576))
        buffer.pts = frame * Gst.SECOND // 25
        relations = GstAnalytics.buffer_add_analytics_relation_meta(buffer)
        for x, y, w, h, confidence in frames.get(frame, []):
            person = GLib.quark_from_string("person")
            relations.add_od_mtd(person, int(x), int(y), int(w), int(h), confidence)
        source.emit("push-buffer", buffer)
        sample = sink.emit("pull-sample")
        print_tracks(frame, GstAnalytics.buffer_get_analytics_relation_meta(sample.get_buffer()))
    source.emit("end-of-stream")
    pipeline.set_state(Gst.State.NULL)


def print_tracks(frame, relations):
    """Of each detection the track that it's related to."""
    length = GstAnalytics.relation_get_length(relations)
    detections = [relations.get_od_mtd(entry) for entry in range(length)]
    tracks = [relations.get_tracking_mtd(entry) for entry in range(length)]
    for found, detection in detections:
        if not found:
            continue
        _, x, y, w, h, _ = detection.get_location()
        for is_track, track in tracks:
            if is_track and relations.get_relation(detection.id, track.id) != GstAnalytics.RelTypes.NONE:
                print(frame, track.get_info()[1], x, y, w, h, sep=",")


if __name__ == "__main__":
    main()
