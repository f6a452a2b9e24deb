/* A stand-in for libgstanalytics-1.0.so.0: the functions that the plugin uses, for machines whose GStreamer has no such
 * library; with -DORIENTED also those of 1.26, and with -DKEYPOINTS those of 1.30, which no distribution has yet.
 *
 * Names, arguments and meaning are those of GStreamer's documentation. Entries aren't kept in one block as there. */

#include <gst/gst.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

typedef struct RelationMeta RelationMeta;

typedef struct {
  guint id;
  RelationMeta *meta;
} Mtd;

typedef struct {
  const char *name;
  gboolean (*transform) (GstBuffer *to, Mtd *mtd, GstBuffer *from, GQuark kind, gpointer data);
  void (*clear) (GstBuffer *buffer, Mtd *mtd);
} Type;

typedef struct {
  const Type *type;
  gsize size;
  gpointer data;
  char *tag;
} Entry;

#define MOST 4096

struct RelationMeta {
  GstMeta meta;
  guint length;
  Entry entries[MOST];
  GHashTable *relations;        /* (from, to) to their bits */
};

static gpointer
pair (guint from, guint to)
{
  return GSIZE_TO_POINTER ((gsize) from * MOST + to + 1);
}

/* Where points of the picture are after an element */

/* GstVideoMetaTransformMatrix, since 1.28 */
typedef struct {
  const GstVideoInfo *in_info;
  GstVideoRectangle in;
  const GstVideoInfo *out_info;
  GstVideoRectangle out;
  float matrix[3][3];
} Matrix;

static gboolean
is_matrix (GQuark kind)
{
  return kind == g_quark_from_static_string ("gst-video-matrix");
}

static void
move (int *x, int *y, GQuark kind, gpointer data)
{
  if (is_matrix (kind)) {
    Matrix *m = data;
    float left = *x - m->in.x, top = *y - m->in.y;
    *x = m->out.x + (int) (m->matrix[0][0] * left + m->matrix[0][1] * top + m->matrix[0][2] + 0.5);
    *y = m->out.y + (int) (m->matrix[1][0] * left + m->matrix[1][1] * top + m->matrix[1][2] + 0.5);
  } else if (GST_VIDEO_META_TRANSFORM_IS_SCALE (kind)) {
    GstVideoMetaTransform *scale = data;
    *x = *x * GST_VIDEO_INFO_WIDTH (scale->out_info) / GST_VIDEO_INFO_WIDTH (scale->in_info);
    *y = *y * GST_VIDEO_INFO_HEIGHT (scale->out_info) / GST_VIDEO_INFO_HEIGHT (scale->in_info);
  }
}

/* The meta */

static gboolean
meta_init (GstMeta *meta, gpointer params, GstBuffer *buffer)
{
  RelationMeta *self = (RelationMeta *) meta;
  g_return_val_if_fail (params != NULL && ((gsize *) params)[0] > 0 && ((gsize *) params)[1] > 0, FALSE);
  self->length = 0;
  self->relations = g_hash_table_new (NULL, NULL);
  return TRUE;
}

static void
meta_free (GstMeta *meta, GstBuffer *buffer)
{
  RelationMeta *self = (RelationMeta *) meta;
  for (guint id = 0; id < self->length; id++) {
    Entry *entry = &self->entries[id];
    Mtd mtd = { id, self };
    if (entry->type->clear)
      entry->type->clear (buffer, &mtd);
    g_free (entry->data);
    g_free (entry->tag);
  }
  g_hash_table_unref (self->relations);
}

static gboolean meta_transform (GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark kind, gpointer data);

static GType
meta_api (void)
{
  static GType type = 0;
  if (g_once_init_enter (&type)) {
    static const char *tags[] = { "size", "orientation", "video", NULL };
    g_once_init_leave (&type, gst_meta_api_type_register ("GstAnalyticsRelationMetaAPI", tags));
  }
  return type;
}

const GstMetaInfo *
gst_analytics_relation_meta_get_info (void)
{
  static const GstMetaInfo *info = NULL;
  if (g_once_init_enter (&info)) {
    const GstMetaInfo *registered = gst_meta_register (meta_api (), "GstAnalyticsRelationMeta",
        sizeof (RelationMeta), meta_init, meta_free, meta_transform);
    g_once_init_leave (&info, registered);
  }
  return info;
}

RelationMeta *
gst_buffer_get_analytics_relation_meta (GstBuffer *buffer)
{
  return (RelationMeta *) gst_buffer_get_meta (buffer, meta_api ());
}

RelationMeta *
gst_buffer_add_analytics_relation_meta_full (GstBuffer *buffer, gsize *params)
{
  RelationMeta *there = gst_buffer_get_analytics_relation_meta (buffer);
  if (there)
    return there;
  return (RelationMeta *) gst_buffer_add_meta (buffer, gst_analytics_relation_meta_get_info (), params);
}

/* Entries and relations */

static gpointer
data_of (const Mtd *mtd, const Type *type)
{
  g_return_val_if_fail (mtd->id < mtd->meta->length && mtd->meta->entries[mtd->id].type == type, NULL);
  return mtd->meta->entries[mtd->id].data;
}

gsize
gst_analytics_relation_get_length (const RelationMeta *meta)
{
  return meta->length;
}

int
gst_analytics_relation_meta_get_relation (const RelationMeta *meta, guint from, guint to)
{
  g_return_val_if_fail (from < meta->length && to < meta->length, 0);
  return GPOINTER_TO_INT (g_hash_table_lookup (meta->relations, pair (from, to)));
}

gboolean
gst_analytics_relation_meta_set_relation (RelationMeta *meta, int relation, guint from, guint to)
{
  g_return_val_if_fail (from < meta->length && to < meta->length, FALSE);
  g_hash_table_insert (meta->relations, pair (from, to), GINT_TO_POINTER (relation));
  return TRUE;
}

gboolean
gst_analytics_relation_meta_get_mtd (RelationMeta *meta, guint id, guintptr type, Mtd *mtd)
{
  g_return_val_if_fail (id < meta->length, FALSE);
  if (type != 0 && (guintptr) meta->entries[id].type != type)
    return FALSE;
  *mtd = (Mtd) { id, meta };
  return TRUE;
}

gboolean
gst_analytics_relation_meta_get_direct_related (RelationMeta *meta, guint from, int relations, guintptr type,
    gpointer *state, Mtd *mtd)
{
  for (guint id = GPOINTER_TO_UINT (*state); id < meta->length; id++) {
    gboolean related = (gst_analytics_relation_meta_get_relation (meta, from, id) & relations) != 0;
    if (related && gst_analytics_relation_meta_get_mtd (meta, id, type, mtd)) {
      *state = GUINT_TO_POINTER (id + 1);
      return TRUE;
    }
  }
  *state = GUINT_TO_POINTER (meta->length);
  return FALSE;
}

gpointer
gst_analytics_relation_meta_add_mtd (RelationMeta *meta, const Type *type, gsize size, Mtd *mtd)
{
  g_return_val_if_fail (meta->length < MOST, NULL);
  Entry *entry = &meta->entries[meta->length];
  *entry = (Entry) { type, size, g_malloc0 (size), NULL };
  *mtd = (Mtd) { meta->length++, meta };
  return entry->data;
}

gpointer
gst_analytics_relation_meta_get_mtd_data (const RelationMeta *meta, guint id)
{
  return meta->entries[id].data;
}

guintptr
gst_analytics_mtd_get_mtd_type (const Mtd *mtd)
{
  return (guintptr) mtd->meta->entries[mtd->id].type;
}

gsize
gst_analytics_mtd_get_size (const Mtd *mtd)
{
  return mtd->meta->entries[mtd->id].size;
}

static gboolean
meta_transform (GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark kind, gpointer data)
{
  RelationMeta *self = (RelationMeta *) meta;
  if (!GST_META_TRANSFORM_IS_COPY (kind) && !GST_VIDEO_META_TRANSFORM_IS_SCALE (kind) && !is_matrix (kind))
    return FALSE;
  gsize params[] = { 1, 1 };
  RelationMeta *copy = gst_buffer_add_analytics_relation_meta_full (to, params);
  guint first = copy->length;
  for (guint id = 0; id < self->length; id++) {
    Entry *entry = &self->entries[id];
    Mtd mtd;
    memcpy (gst_analytics_relation_meta_add_mtd (copy, entry->type, entry->size, &mtd), entry->data, entry->size);
    copy->entries[mtd.id].tag = g_strdup (entry->tag);
    if (entry->type->transform)
      entry->type->transform (to, &mtd, from, kind, data);
  }
  for (guint a = 0; a < self->length; a++)
    for (guint b = 0; b < self->length; b++)
      gst_analytics_relation_meta_set_relation (copy, gst_analytics_relation_meta_get_relation (self, a, b),
          first + a, first + b);
  return TRUE;
}

/* Objects */

typedef struct {
  GQuark label;
  int x, y, w, h;
  float confidence, angle;
} Object;

static const Type object_type;

static gboolean
object_transform (GstBuffer *to, Mtd *mtd, GstBuffer *from, GQuark kind, gpointer data)
{
  Object *object = data_of (mtd, &object_type);
  int right = object->x + object->w, bottom = object->y + object->h;
  move (&object->x, &object->y, kind, data);
  move (&right, &bottom, kind, data);
  object->w = ABS (right - object->x);
  object->h = ABS (bottom - object->y);
  object->x = MIN (right, object->x);
  object->y = MIN (bottom, object->y);
  return TRUE;
}

static const Type object_type = { "object-detection", object_transform, NULL };

guintptr
gst_analytics_od_mtd_get_mtd_type (void)
{
  return (guintptr) &object_type;
}

gboolean
gst_analytics_od_mtd_get_location (const Mtd *mtd, int *x, int *y, int *w, int *h, float *confidence)
{
  Object *object = data_of (mtd, &object_type);
  *x = object->x, *y = object->y, *w = object->w, *h = object->h, *confidence = object->confidence;
  if (object->angle != 0) {
    /* The box around it. */
    double sine = fabs (sin (object->angle)), cosine = fabs (cos (object->angle));
    *w = object->w * cosine + object->h * sine, *h = object->w * sine + object->h * cosine;
    *x += (object->w - *w) / 2, *y += (object->h - *h) / 2;
  }
  return TRUE;
}

GQuark
gst_analytics_od_mtd_get_obj_type (const Mtd *mtd)
{
  return ((Object *) data_of (mtd, &object_type))->label;
}

gboolean
gst_analytics_relation_meta_add_od_mtd (RelationMeta *meta, GQuark label, int x, int y, int w, int h,
    float confidence, Mtd *mtd)
{
  Object *object = gst_analytics_relation_meta_add_mtd (meta, &object_type, sizeof (Object), mtd);
  *object = (Object) { label, x, y, w, h, confidence };
  return TRUE;
}

#ifdef ORIENTED

gboolean
gst_analytics_relation_meta_add_oriented_od_mtd (RelationMeta *meta, GQuark label, int x, int y, int w, int h,
    float angle, float confidence, Mtd *mtd)
{
  Object *object = gst_analytics_relation_meta_add_mtd (meta, &object_type, sizeof (Object), mtd);
  *object = (Object) { label, x, y, w, h, confidence, angle };
  return TRUE;
}

gboolean
gst_analytics_od_mtd_get_oriented_location (const Mtd *mtd, int *x, int *y, int *w, int *h, float *angle,
    float *confidence)
{
  Object *object = data_of (mtd, &object_type);
  *x = object->x, *y = object->y, *w = object->w, *h = object->h;
  *angle = object->angle, *confidence = object->confidence;
  return TRUE;
}

#endif

/* Classes */

typedef struct {
  gsize length;
  struct { GQuark class; float level; } classes[];
} Classes;

static const Type classes_type = { "classification", NULL, NULL };

guintptr
gst_analytics_cls_mtd_get_mtd_type (void)
{
  return (guintptr) &classes_type;
}

gsize
gst_analytics_cls_mtd_get_length (const Mtd *mtd)
{
  return ((Classes *) data_of (mtd, &classes_type))->length;
}

float
gst_analytics_cls_mtd_get_level (const Mtd *mtd, gsize index)
{
  return ((Classes *) data_of (mtd, &classes_type))->classes[index].level;
}

GQuark
gst_analytics_cls_mtd_get_quark (const Mtd *mtd, gsize index)
{
  return ((Classes *) data_of (mtd, &classes_type))->classes[index].class;
}

gboolean
gst_analytics_relation_meta_add_cls_mtd (RelationMeta *meta, gsize length, float *levels, GQuark *names, Mtd *mtd)
{
  gsize size = sizeof (Classes) + length * sizeof (((Classes *) NULL)->classes[0]);
  Classes *classes = gst_analytics_relation_meta_add_mtd (meta, &classes_type, size, mtd);
  classes->length = length;
  for (gsize k = 0; k < length; k++) {
    classes->classes[k].class = names[k];
    classes->classes[k].level = levels[k];
  }
  return TRUE;
}

gboolean
gst_analytics_relation_meta_add_one_cls_mtd (RelationMeta *meta, float level, GQuark name, Mtd *mtd)
{
  return gst_analytics_relation_meta_add_cls_mtd (meta, 1, &level, &name, mtd);
}

/* Tracks */

typedef struct {
  guint64 id;
  GstClockTime first, last;
  gboolean lost;
} Track;

static const Type track_type = { "object-tracking", NULL, NULL };

guintptr
gst_analytics_tracking_mtd_get_mtd_type (void)
{
  return (guintptr) &track_type;
}

gboolean
gst_analytics_tracking_mtd_get_info (const Mtd *mtd, guint64 *id, GstClockTime *first, GstClockTime *last,
    gboolean *lost)
{
  Track *track = data_of (mtd, &track_type);
  *id = track->id, *first = track->first, *last = track->last, *lost = track->lost;
  return TRUE;
}

gboolean
gst_analytics_relation_meta_add_tracking_mtd (RelationMeta *meta, guint64 id, GstClockTime first, Mtd *mtd)
{
  Track *track = gst_analytics_relation_meta_add_mtd (meta, &track_type, sizeof (Track), mtd);
  *track = (Track) { id, first, first, FALSE };
  return TRUE;
}

#ifdef KEYPOINTS

gboolean
gst_analytics_mtd_set_semantic_tag (Mtd *mtd, const char *tag)
{
  g_free (mtd->meta->entries[mtd->id].tag);
  mtd->meta->entries[mtd->id].tag = g_strdup (tag);
  return TRUE;
}

char *
gst_analytics_mtd_get_semantic_tag (const Mtd *mtd)
{
  const char *tag = mtd->meta->entries[mtd->id].tag;
  return g_strdup (tag ? tag : "");
}

/* Groups: the ids of their members */

typedef struct {
  GArray *members;
} Group;

static const Type group_type;

static gboolean
group_transform (GstBuffer *to, Mtd *mtd, GstBuffer *from, GQuark kind, gpointer data)
{
  Group *group = data_of (mtd, &group_type);
  group->members = g_array_copy (group->members);
  return TRUE;
}

static void
group_clear (GstBuffer *buffer, Mtd *mtd)
{
  g_array_unref (((Group *) data_of (mtd, &group_type))->members);
}

static const Type group_type = { "grouping-mtd", group_transform, group_clear };

guintptr
gst_analytics_group_mtd_get_mtd_type (void)
{
  return (guintptr) &group_type;
}

gsize
gst_analytics_group_mtd_get_member_count (const Mtd *mtd)
{
  return ((Group *) data_of (mtd, &group_type))->members->len;
}

gboolean
gst_analytics_group_mtd_get_member (const Mtd *mtd, gsize index, Mtd *member)
{
  GArray *members = ((Group *) data_of (mtd, &group_type))->members;
  if (index >= members->len)
    return FALSE;
  *member = (Mtd) { g_array_index (members, guint, index), mtd->meta };
  return TRUE;
}

gboolean
gst_analytics_group_mtd_add_member (Mtd *mtd, guint member)
{
  g_array_append_val (((Group *) data_of (mtd, &group_type))->members, member);
  gst_analytics_relation_meta_set_relation (mtd->meta, 1 << 1, member, mtd->id);
  gst_analytics_relation_meta_set_relation (mtd->meta, 1 << 2, mtd->id, member);
  return TRUE;
}

gboolean
gst_analytics_relation_meta_add_group_mtd_with_size (RelationMeta *meta, gsize size, Mtd *mtd)
{
  Group *group = gst_analytics_relation_meta_add_mtd (meta, &group_type, sizeof (Group), mtd);
  group->members = g_array_sized_new (FALSE, FALSE, sizeof (guint), size);
  return TRUE;
}

/* Keypoints */

typedef struct {
  int dimensions, x, y, z;
  float confidence;
} Keypoint;

static const Type keypoint_type;

static gboolean
keypoint_transform (GstBuffer *to, Mtd *mtd, GstBuffer *from, GQuark kind, gpointer data)
{
  Keypoint *point = data_of (mtd, &keypoint_type);
  move (&point->x, &point->y, kind, data);
  return TRUE;
}

static const Type keypoint_type = { "keypoint-mtd", keypoint_transform, NULL };

guintptr
gst_analytics_keypoint_mtd_get_mtd_type (void)
{
  return (guintptr) &keypoint_type;
}

gboolean
gst_analytics_keypoint_mtd_get_position (const Mtd *mtd, int *x, int *y, int *z, int *dimensions)
{
  Keypoint *point = data_of (mtd, &keypoint_type);
  *x = point->x, *y = point->y, *z = point->z, *dimensions = point->dimensions;
  return TRUE;
}

gboolean
gst_analytics_keypoint_mtd_get_confidence (const Mtd *mtd, float *confidence)
{
  *confidence = ((Keypoint *) data_of (mtd, &keypoint_type))->confidence;
  return TRUE;
}

gboolean
gst_analytics_relation_meta_add_keypoints_group (RelationMeta *meta, const char *tag, int dimensions,
    gsize positions_len, const int *positions, gsize count, const float *confidences, const guint8 *visibilities,
    gsize links_len, const int *links, Mtd *mtd)
{
  g_return_val_if_fail (tag && positions_len == count * dimensions && links_len % 2 == 0, FALSE);
  gst_analytics_relation_meta_add_group_mtd_with_size (meta, count, mtd);
  gst_analytics_mtd_set_semantic_tag (mtd, tag);
  for (gsize k = 0; k < count; k++) {
    const int *at = positions + k * dimensions;
    Mtd member;
    Keypoint *point = gst_analytics_relation_meta_add_mtd (meta, &keypoint_type, sizeof (Keypoint), &member);
    *point = (Keypoint) { dimensions, at[0], at[1], dimensions == 3 ? at[2] : 0, confidences ? confidences[k] : 1 };
    gst_analytics_group_mtd_add_member (mtd, member.id);
  }
  GArray *members = ((Group *) data_of (mtd, &group_type))->members;
  for (gsize k = 0; k < links_len; k += 2)
    gst_analytics_relation_meta_set_relation (meta, 1 << 3, g_array_index (members, guint, links[k]),
        g_array_index (members, guint, links[k + 1]));
  return TRUE;
}

/* Segmentation: a picture, its place in the frame, and the ids of its regions */

typedef struct {
  GstBuffer *picture;
  int kind, x, y;
  guint width, height;
  guint regions[2];
} Segmentation;

static const Type segmentation_type;

static gboolean
segmentation_transform (GstBuffer *to, Mtd *mtd, GstBuffer *from, GQuark kind, gpointer data)
{
  Segmentation *segmentation = data_of (mtd, &segmentation_type);
  segmentation->picture = gst_buffer_ref (segmentation->picture);
  return TRUE;
}

static void
segmentation_clear (GstBuffer *buffer, Mtd *mtd)
{
  gst_buffer_unref (((Segmentation *) data_of (mtd, &segmentation_type))->picture);
}

static const Type segmentation_type = { "segmentation-mtd", segmentation_transform, segmentation_clear };

guintptr
gst_analytics_segmentation_mtd_get_mtd_type (void)
{
  return (guintptr) &segmentation_type;
}

GstBuffer *
gst_analytics_segmentation_mtd_get_mask (const Mtd *mtd, int *x, int *y, guint *width, guint *height)
{
  Segmentation *segmentation = data_of (mtd, &segmentation_type);
  *x = segmentation->x, *y = segmentation->y, *width = segmentation->width, *height = segmentation->height;
  return gst_buffer_ref (segmentation->picture);
}

gsize
gst_analytics_segmentation_mtd_get_region_count (const Mtd *mtd)
{
  return 2;
}

guint
gst_analytics_segmentation_mtd_get_region_id (const Mtd *mtd, gsize index)
{
  return ((Segmentation *) data_of (mtd, &segmentation_type))->regions[index];
}

gboolean
gst_analytics_relation_meta_add_segmentation_mtd (RelationMeta *meta, GstBuffer *picture, int kind, gsize count,
    guint *regions, int x, int y, guint width, guint height, Mtd *mtd)
{
  g_return_val_if_fail (gst_buffer_get_video_meta (picture) && count == 2, FALSE);
  Segmentation *segmentation = gst_analytics_relation_meta_add_mtd (meta, &segmentation_type, sizeof (Segmentation), mtd);
  *segmentation = (Segmentation) { picture, kind, x, y, width, height, { regions[0], regions[1] } };
  return TRUE;
}

#endif
