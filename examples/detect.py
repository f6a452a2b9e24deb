#!/usr/bin/env python3
"""Reads the detected objects from the buffers, in Python.

usage: detect.py CLIP MODEL

Needs python3-gst-1.0 and gir1.2-gst-plugins-base-1.0, and GST_PLUGIN_PATH set to the folder with libgsttensorrt.so.
On a GPU: nvh264dec instead of avdec_h264, and no backend=cpu.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402


def objects(buffer):
    """The region-of-interest metas of a buffer: their ids count from 0."""
    number = 0
    while roi := GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, number):
        yield roi
        number += 1


def on_buffer(_pad, info):
    for roi in objects(info.get_buffer()):
        confidence = roi.get_param("detection").get_value("confidence")
        print(GLib.quark_to_string(roi.roi_type), f"{confidence:.2f}", roi.x, roi.y, roi.w, roi.h)
    return Gst.PadProbeReturn.OK


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: detect.py CLIP MODEL")
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f'filesrc location="{sys.argv[1]}" ! qtdemux ! h264parse ! avdec_h264 '
        f'! trtdetect backend=cpu model="{sys.argv[2]}" ! fakesink name=end'
    )
    pipeline.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(message.parse_error()[0].message)


if __name__ == "__main__":
    main()
