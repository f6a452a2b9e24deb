#!/usr/bin/python3
"""Reads the objects of a pipeline's frames as any Python program can: by the ids of their ROI metas, from 0.

usage: read_objects.py PLUGIN LAUNCH

PLUGIN is the path of libgsttensorrt.so, LAUNCH a launch string whose last element is `appsink name=sink`. Prints one JSON array a frame, with one entry for
each object. Ends with status 1 and the error's text if the pipeline fails.

GStreamer 1.22 has no iterator for metas in Python, so ids are asked for one after the other.
"""

import json
import struct
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstApp, GstVideo  # noqa: E402, F401


def param(meta, name):
    """Fields of the structure `name`, or None."""
    structure = meta.get_param(name)
    if structure is None:
        return None
    names = [structure.nth_field_name(i) for i in range(structure.n_fields())]
    return {field: structure.get_value(field) for field in names}


def keypoints(meta, detection):
    """(x, y, confidence) of each point, 0-1 over the frame."""
    pose = param(meta, "keypoints")
    if pose is None:
        return None
    floats = struct.iter_unpack("=2f", bytes(pose["data_buffer"].unpack()))
    width = detection["x_max"] - detection["x_min"]
    height = detection["y_max"] - detection["y_min"]
    return [
        (detection["x_min"] + x * width, detection["y_min"] + y * height, confidence)
        for (x, y), confidence in zip(floats, pose["confidence"])
    ]


def objects(buffer):
    found = []
    while True:
        meta = GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, len(found))
        if meta is None:
            return found
        detection = param(meta, "detection")
        found.append(
            {
                "id": meta.id,
                "parent": meta.parent_id,
                "label": GLib.quark_to_string(meta.roi_type),
                "rect": [meta.x, meta.y, meta.w, meta.h],
                "detection": detection,
                "keypoints": keypoints(meta, detection),
            }
        )


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
