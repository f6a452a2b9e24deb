#!/usr/bin/python3
"""Reads the objects of a pipeline's frames from their GstAnalyticsRelationMeta, as any Python program can.

usage: read_analytics.py PLUGIN LAUNCH

PLUGIN is the path of libgsttensorrt.so, LAUNCH a launch string whose last element is `appsink name=sink`. Prints one JSON array a frame, with one entry for
each object. Ends with status 1 and the error's text if the pipeline fails.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstAnalytics", "1.0")
from gi.repository import GLib, Gst, GstAnalytics, GstApp  # noqa: E402, F401

RELATED = GstAnalytics.RelTypes.RELATE_TO
PARTS = GstAnalytics.RelTypes.CONTAIN


def classes(mtd):
    return [(GLib.quark_to_string(mtd.get_quark(i)), mtd.get_level(i)) for i in range(mtd.get_length())]


def keypoints(levels, x, y, width, height):
    """Name, x and y in pixels, confidence of each point: docs/interop.md describes the classes."""
    header, *values = levels
    points = {}
    for name, level in values:
        name, part = name.rsplit(".", 1)
        points.setdefault(name, {})[part] = level
    assert header[1] == len(points)
    return [[name, x + p["x"] * width, y + p["y"] * height, p["confidence"]] for name, p in points.items()]


def objects(buffer):
    meta = GstAnalytics.buffer_get_analytics_relation_meta(buffer)
    if meta is None:
        return []
    entries = list(meta)
    found = []
    for od in entries:
        if not isinstance(od, GstAnalytics.ODMtd):
            continue
        _, x, y, width, height, confidence = od.get_location()
        object = {
            "id": od.id,
            "label": GLib.quark_to_string(od.get_obj_type()),
            "rect": [x, y, width, height],
            "confidence": confidence,
            "keypoints": None,
        }
        for other in entries:
            if not isinstance(other, GstAnalytics.ClsMtd):
                continue
            relation, levels = meta.get_relation(od.id, other.id), classes(other)
            if relation & RELATED:
                object["class"] = levels
            if relation & PARTS and levels[0][0].startswith("keypoints/"):
                object["keypoints"] = keypoints(levels, x, y, width, height)
        found.append(object)
    return found


def main():
    Gst.init(None)
    plugin, launch = sys.argv[1:]
    Gst.Registry.get().add_plugin(Gst.Plugin.load_file(plugin))
    pipeline = Gst.parse_launch(launch)
    sink = pipeline.get_by_name("sink")
    sink.set_property("sync", False)
    pipeline.set_state(Gst.State.PLAYING)
    while True:
        sample = sink.emit("pull-sample")
        if sample is None:
            break
        print(json.dumps(objects(sample.get_buffer())), flush=True)
    error = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if error is not None:
        sys.exit(error.parse_error()[0].message)


if __name__ == "__main__":
    main()
