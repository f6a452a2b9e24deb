#!/usr/bin/env python3
"""Reads what happens in zones and on lines from the bus, in Python.

usage: events.py CLIP MODEL ZONES

ZONES is a file with zones and lines, for example pipelines/zones.json. docs/zones.md has the fields of the messages.

Needs python3-gst-1.0, and GST_PLUGIN_PATH set to the folder with libgsttensorrt.so.
On a GPU: nvh264dec instead of avdec_h264, and no backend=cpu.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def describe(event):
    """When and where it happened, what, and to which object."""
    place = event.get_value("zone" if event.has_field("zone") else "line")
    text = f"{event.get_value('timestamp') // Gst.MSECOND} ms, {place}: {event.get_value('type')}"
    if event.has_field("direction"):
        text += f" {event.get_value('direction')}"
    if event.has_field("label"):
        text += f", {event.get_value('label')} {event.get_value('track-id')}"
    if event.has_field("dwell"):
        text += f", after {event.get_value('dwell') // Gst.MSECOND} ms"
    if event.has_field("lasted"):
        text += f", after {event.get_value('lasted') // Gst.MSECOND} ms"
    if event.has_field("count"):
        text += f", {event.get_value('count')} objects"
    return text


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: events.py CLIP MODEL ZONES")
    clip, model, zones = sys.argv[1:]
    Gst.init(None)
    # The model looks at every third frame; uncertain objects keep tracks from breaking off.
    pipeline = Gst.parse_launch(
        f'filesrc location="{clip}" ! qtdemux ! h264parse ! avdec_h264 '
        f'! trtdetect backend=cpu model="{model}" confidence=0.1 interval=2 ! trttrack '
        f'! trtzones zones-file="{zones}" ! fakesink'
    )
    pipeline.set_state(Gst.State.PLAYING)
    wanted = Gst.MessageType.ELEMENT | Gst.MessageType.EOS | Gst.MessageType.ERROR
    while message := pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, wanted):
        if message.type != Gst.MessageType.ELEMENT:
            break
        if message.get_structure().get_name() == "trtzones-event":
            print(describe(message.get_structure()))
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(message.parse_error()[0].message)


if __name__ == "__main__":
    main()
