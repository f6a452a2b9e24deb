/* Reads the detected objects from the buffers, with GStreamer's C API alone.
 *
 *   cc -Wall -o detect examples/detect.c $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-video-1.0)
 *   GST_PLUGIN_PATH=target/release ./detect media/bikes.mp4 models/yolov12n.onnx
 *
 * On a GPU, use nvh264dec instead of avdec_h264, without backend=cpu.
 */

#include <gst/gst.h>
#include <gst/video/video.h>

static GstPadProbeReturn
on_buffer (GstPad * pad, GstPadProbeInfo * info, gpointer user_data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *roi = (GstVideoRegionOfInterestMeta *) meta;
    GstStructure *detection = gst_video_region_of_interest_meta_get_param (roi, "detection");
    gdouble confidence = 0.0;

    /* Metas of other elements may lack it. */
    if (detection)
      gst_structure_get_double (detection, "confidence", &confidence);
    g_print ("%s %.2f %u %u %u %u\n", g_quark_to_string (roi->roi_type), confidence, roi->x, roi->y, roi->w, roi->h);
  }
  return GST_PAD_PROBE_OK;
}

int
main (int argc, char **argv)
{
  GError *error = NULL;
  GstElement *pipeline, *end;
  GstPad *pad;
  GstBus *bus;
  GstMessage *message;
  gchar *launch;
  int status = 0;

  gst_init (&argc, &argv);
  if (argc != 3) {
    g_printerr ("usage: detect CLIP MODEL\n");
    return 2;
  }
  launch = g_strdup_printf ("filesrc location=\"%s\" ! qtdemux ! h264parse ! avdec_h264 "
      "! trtdetect backend=cpu model=\"%s\" ! fakesink name=end", argv[1], argv[2]);
  pipeline = gst_parse_launch (launch, &error);
  g_free (launch);
  if (error) {
    g_printerr ("%s\n", error->message);
    return 1;
  }

  end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, NULL, NULL);
  gst_object_unref (pad);
  gst_object_unref (end);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  bus = gst_element_get_bus (pipeline);
  message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("%s\n", error->message);
    g_clear_error (&error);
    status = 1;
  }
  gst_message_unref (message);
  gst_object_unref (bus);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return status;
}
