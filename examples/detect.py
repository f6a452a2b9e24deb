#!/usr/bin/env python3
"""Reads the detected objects from the buffers, in Python.

usage: detect.py CLIP MODEL [ELEMENTS]

ELEMENTS come behind the detector, for example "videoconvert ! videoscale ! video/x-raw,width=320,height=240".

Needs python3-gst-1.0 and gir1.2-gst-plugins-base-1.0, and GST_PLUGIN_PATH set to the folder with libgsttensorrt.so. With
gir1.2-gst-plugins-bad-1.0 of GStreamer 1.24 or later it reads GStreamer's analytics metadata, otherwise ROI metas.
On a GPU: nvh264dec instead of avdec_h264, and no backend=cpu.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402

try:
    gi.require_version("GstAnalytics", "1.0")
    from gi.repository import GstAnalytics
except (ImportError, ValueError):
    GstAnalytics = None


def objects(buffer):
    """Each object's label, confidence (None if unknown), and left, top, width and height in pixels."""
    relations = GstAnalytics and GstAnalytics.buffer_get_analytics_relation_meta(buffer)
    return list(from_analytics(relations) if relations else from_regions(buffer))


def from_analytics(relations):
    for entry in range(GstAnalytics.relation_get_length(relations)):
        found, detection = relations.get_od_mtd(entry)
        if found:
            _, x, y, w, h, confidence = detection.get_location()
            yield GLib.quark_to_string(detection.get_obj_type()), confidence, x, y, w, h


def from_regions(buffer):
    """The region-of-interest metas: the ids of ours count from 0."""
    number = 0
    while roi := GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, number):
        # GStreamer's converters and scalers lose the parameters of other detectors' metas.
        parameters = roi.get_param("detection")
        confidence = parameters.get_value("confidence") if parameters else None
        yield GLib.quark_to_string(roi.roi_type), confidence, roi.x, roi.y, roi.w, roi.h
        number += 1


def on_buffer(_pad, info):
    for label, confidence, *place in objects(info.get_buffer()):
        print(label, "-" if confidence is None else f"{confidence:.2f}", *place)
    return Gst.PadProbeReturn.OK


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: detect.py CLIP MODEL [ELEMENTS]")
    clip, model, behind = [*sys.argv[1:], "identity"][:3]
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f'filesrc location="{clip}" ! qtdemux ! h264parse ! avdec_h264 '
        f'! trtdetect backend=cpu model="{model}" ! {behind} ! fakesink name=end'
    )
    pipeline.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(message.parse_error()[0].message)


if __name__ == "__main__":
    main()
