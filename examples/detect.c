/* Reads the detected objects from the buffers, with GStreamer's C API alone.
 *
 *   cc -Wall -o detect examples/detect.c $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-video-1.0)
 *   GST_PLUGIN_PATH=target/release ./detect media/bikes.mp4 models/yolov12n.onnx
 *
 * It reads region-of-interest metas. With GStreamer 1.24 or later it can read analytics metadata instead: compile it with
 * -DANALYTICS -DGST_USE_UNSTABLE_API, and with gstreamer-analytics-1.0 among the packages.
 *
 * A third argument has elements to put behind the detector, for example
 * "videoconvert ! videoscale ! video/x-raw,width=320,height=240". On a GPU, use nvh264dec instead of avdec_h264, without backend=cpu.
 */

#include <gst/gst.h>
#include <gst/video/video.h>

#ifdef ANALYTICS
#include <gst/analytics/analytics.h>

static void
print_objects (GstBuffer * buffer)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsODMtd object;
  gpointer state = NULL;
  gint x, y, w, h;
  gfloat confidence;

  while (relations
      && gst_analytics_relation_meta_iterate (relations, &state, gst_analytics_od_mtd_get_mtd_type (), &object)) {
    if (gst_analytics_od_mtd_get_location (&object, &x, &y, &w, &h, &confidence))
      g_print ("%s %.2f %d %d %d %d\n", g_quark_to_string (gst_analytics_od_mtd_get_obj_type (&object)),
          confidence, x, y, w, h);
  }
}
#else
static void
print_objects (GstBuffer * buffer)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *roi = (GstVideoRegionOfInterestMeta *) meta;
    GstStructure *detection = gst_video_region_of_interest_meta_get_param (roi, "detection");
    gchar text[G_ASCII_DTOSTR_BUF_SIZE] = "-";
    gdouble confidence;

    /* Metas of other detectors may lack it: GStreamer's converters and scalers lose their parameters. */
    if (detection && gst_structure_get_double (detection, "confidence", &confidence))
      g_ascii_formatd (text, sizeof text, "%.2f", confidence);
    g_print ("%s %s %u %u %u %u\n", g_quark_to_string (roi->roi_type), text, roi->x, roi->y, roi->w, roi->h);
  }
}
#endif

static GstPadProbeReturn
on_buffer (GstPad * pad, GstPadProbeInfo * info, gpointer user_data)
{
  print_objects (GST_PAD_PROBE_INFO_BUFFER (info));
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
  if (argc != 3 && argc != 4) {
    g_printerr ("usage: detect CLIP MODEL [ELEMENTS]\n");
    return 2;
  }
  launch = g_strdup_printf ("filesrc location=\"%s\" ! qtdemux ! h264parse ! avdec_h264 "
      "! trtdetect backend=cpu model=\"%s\" ! %s ! fakesink name=end", argv[1], argv[2], argc == 4 ? argv[3] : "identity");
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
