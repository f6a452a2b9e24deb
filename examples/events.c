/* Reads what happens in zones and on lines from the bus, with GStreamer's C API alone.
 *
 *   cc -Wall -o events examples/events.c $(pkg-config --cflags --libs gstreamer-1.0)
 *   GST_PLUGIN_PATH=target/release ./events media/bikes.mp4 models/yolov12n.onnx pipelines/zones.json
 *
 * docs/zones.md has the fields of the messages. On a GPU, use nvh264dec instead of avdec_h264, without backend=cpu.
 */

#include <gst/gst.h>

/* When and where it happened, what, and to which object. */
static void
print_event (const GstStructure * event)
{
  const gchar *place = gst_structure_get_string (event, "zone");
  const gchar *direction = gst_structure_get_string (event, "direction");
  const gchar *label = gst_structure_get_string (event, "label");
  guint64 timestamp = 0, track = 0, dwell, lasted;
  guint count;

  if (!place)
    place = gst_structure_get_string (event, "line");
  gst_structure_get_uint64 (event, "timestamp", &timestamp);
  gst_structure_get_uint64 (event, "track-id", &track);
  g_print ("%" G_GUINT64_FORMAT " ms, %s: %s", timestamp / GST_MSECOND, place, gst_structure_get_string (event, "type"));
  if (direction)
    g_print (" %s", direction);
  if (label)
    g_print (", %s %" G_GUINT64_FORMAT, label, track);
  if (gst_structure_get_uint64 (event, "dwell", &dwell))
    g_print (", after %" G_GUINT64_FORMAT " ms", dwell / GST_MSECOND);
  if (gst_structure_get_uint64 (event, "lasted", &lasted))
    g_print (", after %" G_GUINT64_FORMAT " ms", lasted / GST_MSECOND);
  if (gst_structure_get_uint (event, "count", &count))
    g_print (", %u objects", count);
  g_print ("\n");
}

int
main (int argc, char **argv)
{
  GError *error = NULL;
  GstElement *pipeline;
  GstBus *bus;
  GstMessage *message;
  gchar *launch;
  gboolean running = TRUE;
  int status = 0;

  gst_init (&argc, &argv);
  if (argc != 4) {
    g_printerr ("usage: events CLIP MODEL ZONES\n");
    return 2;
  }
  /* The model looks at every third frame; uncertain objects keep tracks from breaking off. */
  launch = g_strdup_printf ("filesrc location=\"%s\" ! qtdemux ! h264parse ! avdec_h264 "
      "! trtdetect backend=cpu model=\"%s\" confidence=0.1 interval=2 ! trttrack ! trtzones zones-file=\"%s\" ! fakesink",
      argv[1], argv[2], argv[3]);
  pipeline = gst_parse_launch (launch, &error);
  g_free (launch);
  if (error) {
    g_printerr ("%s\n", error->message);
    return 1;
  }

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  bus = gst_element_get_bus (pipeline);
  while (running) {
    message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      gst_message_parse_error (message, &error, NULL);
      g_printerr ("%s\n", error->message);
      g_clear_error (&error);
      status = 1;
    }
    running = GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT;
    if (running && gst_message_has_name (message, "trtzones-event"))
      print_event (gst_message_get_structure (message));
    gst_message_unref (message);
  }
  gst_object_unref (bus);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return status;
}
