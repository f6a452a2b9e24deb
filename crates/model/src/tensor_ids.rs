//! The names under which GStreamer's decoders look for a model's tensors.
//!
//! The ids are those of the public register of tensor ids that GStreamer's decoders use, with the order of dimensions
//! that they ask for.

use super::head::{BoxCoding, ClassPlan, DecodePlan, HeadChoice, Scale};
use super::{Head, ModelInfo};

/// How GStreamer's decoders call the order of a tensor's values. It decides which decoders take the tensor, not where its
/// values are: the last dimension is contiguous in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DimsOrder {
    /// Each candidate's values are together: `[1, N, values]`.
    #[default]
    RowMajor,
    /// Each value's candidates are together: `[1, values, N]`.
    ColMajor,
}

impl DimsOrder {
    /// Its name in caps and in model info files.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowMajor => "row-major",
            Self::ColMajor => "col-major",
        }
    }
}

/// The id and the order of dimensions of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorId {
    /// For example `yolo-v8-out`.
    pub id: String,
    /// The order that decoders of that id ask for.
    pub order: DimsOrder,
}

/// The ids of a model's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorIds {
    /// The name of all outputs together.
    pub group: String,
    /// The id of the image input.
    pub input: String,
    /// In the order of [`ModelInfo::outputs`].
    pub outputs: Vec<TensorId>,
}

const YOLO: &str = "yolo-v8-out";
const YOLO_POSE: &str = "yolo-v8-pose-out";
const YOLO_END_TO_END: &str = "yolo-26-end2end-out";
const CLASS_LOGITS: &str = "classification-generic-out";
const CLASS_SOFTMAX: &str = "classification-generic-softmaxed-out";

impl TensorIds {
    /// The ids in the model's [`ModelInfo::gst_model_info`], or else those of its head. An output that neither names has its own
    /// name as its id, and so has the input.
    pub fn of(model: &ModelInfo, head: &dyn Head) -> Self {
        let input = model.image_input().map_or("", |(_, input)| &input.name);
        if let Some(info) = &model.gst_model_info
            && let (Ok(outputs), Ok(id)) = (info.outputs(model), info.input_id(model))
        {
            let outputs: Vec<_> = outputs.into_iter().map(|(id, order)| TensorId { id, order }).collect();
            let first = outputs.first().map(|output| output.id.clone());
            let group = info.group.clone().or(first).unwrap_or_default();
            return Self { group, input: id.unwrap_or(input).to_owned(), outputs };
        }
        let plan = head.plan();
        let known = plan.as_ref().and_then(known);
        let outputs = model.outputs.iter().enumerate().map(|(index, output)| match known {
            Some((id, order, decoded)) if decoded == index => TensorId { id: id.to_owned(), order },
            _ => TensorId { id: output.name.clone(), order: DimsOrder::RowMajor },
        });
        let group = known.map_or(head.name(), |(id, ..)| id).to_owned();
        Self { group, input: input.to_owned(), outputs: outputs.collect() }
    }
}

/// The id, the order of dimensions and the index of the output that a plan decodes, if the id is registered.
fn known(plan: &DecodePlan) -> Option<(&'static str, DimsOrder, usize)> {
    match *plan {
        DecodePlan::Classes(ClassPlan { output, ref scale, .. }) => {
            let id = match scale.get()? {
                Scale::Probabilities => CLASS_SOFTMAX,
                Scale::Logits => CLASS_LOGITS,
            };
            Some((id, DimsOrder::RowMajor, output))
        }
        DecodePlan::Anchors { output, keypoints: None, .. } => Some((YOLO, DimsOrder::ColMajor, output)),
        // Its values are in the same order; the register calls it otherwise.
        DecodePlan::Anchors { output, keypoints: Some(_), .. } => Some((YOLO_POSE, DimsOrder::RowMajor, output)),
        DecodePlan::Objects { output, coding: BoxCoding::CORNERS, keypoints: None } => {
            Some((YOLO_END_TO_END, DimsOrder::RowMajor, output))
        }
        DecodePlan::Objects { .. }
        | DecodePlan::Oriented { .. }
        | DecodePlan::Split { .. }
        | DecodePlan::Queries(_)
        | DecodePlan::Dense(_)
        | DecodePlan::Distributions { .. }
        | DecodePlan::Persons { .. }
        | DecodePlan::Poses { .. }
        | DecodePlan::Peaks(_)
        | DecodePlan::Embedding { .. } => None,
    }
}

/// The head whose outputs have this id.
pub(super) fn head_of(id: &str) -> Option<HeadChoice> {
    match id {
        YOLO => Some(HeadChoice::Yolo),
        YOLO_POSE => Some(HeadChoice::YoloPose),
        YOLO_END_TO_END => Some(HeadChoice::YoloEndToEnd),
        CLASS_SOFTMAX => Some(HeadChoice::ClassificationSoftmax),
        CLASS_LOGITS => Some(HeadChoice::ClassificationLogits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadError, recognise};
    use super::super::{ElementType, GstModelInfo, Normalization, TensorInfo};
    use super::*;

    fn model(output: &[i64], metadata: &[(&str, &str)]) -> ModelInfo {
        let tensor = |name: &str, shape: &[i64]| TensorInfo {
            name: name.into(),
            element: ElementType::F32,
            shape: shape.to_vec(),
        };
        ModelInfo {
            inputs: vec![tensor("images", &[1, 3, 640, 640])],
            outputs: vec![tensor("output0", output)],
            metadata: metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            gst_model_info: None,
            image_processor: None,
        }
    }

    fn with_info(output: &[i64], id: &str, dims: &str, more: &str) -> ModelInfo {
        let text = format!(
            "[modelinfo]\nversion=1.0\n{more}\n[images]\ntype=float32\ndir=input\nranges=0.0,255.0\n\
             [output0]\nid={id}\ntype=float32\ndir=output\ndims={dims}\ndims-order=col-major\n"
        );
        ModelInfo { gst_model_info: Some(GstModelInfo::parse(&text).unwrap()), ..model(output, &[]) }
    }

    fn ids(model: &ModelInfo) -> TensorIds {
        TensorIds::of(model, &*recognise(model, HeadChoice::Auto).unwrap().head)
    }

    #[test]
    fn heads_have_registered_ids() {
        let pose = [("task", "pose"), ("names", "{0: 'person'}"), ("kpt_shape", "[17, 3]")];
        for (output, metadata, id, order) in [
            ([1, 84, 8400], &[][..], YOLO, DimsOrder::ColMajor),
            ([1, 56, 8400], &pose, YOLO_POSE, DimsOrder::RowMajor),
            ([1, 300, 6], &[], YOLO_END_TO_END, DimsOrder::RowMajor),
            // No decoder of GStreamer's has a name for this one.
            ([1, 300, 57], &[], "output0", DimsOrder::RowMajor),
        ] {
            let ids = ids(&model(&output, metadata));
            assert_eq!(ids.outputs, [TensorId { id: id.into(), order }]);
            assert_eq!(ids.input, "images");
            assert_eq!(ids.group, if id == "output0" { "yolo-pose-end-to-end" } else { id });
        }
    }

    #[test]
    fn the_input_is_the_image_wherever_it_stands() {
        let mut info = with_info(&[1, 84, 8400], "mine", "1,84,-1", "");
        let sizes = TensorInfo { name: "orig_target_sizes".into(), element: ElementType::I64, shape: vec![1, 2] };
        info.inputs.insert(0, sizes);
        assert_eq!(ids(&info).input, "images");
        assert_eq!(recognise(&info, HeadChoice::Auto).unwrap().input.normalization, Normalization::NONE);
        info.gst_model_info = None;
        assert_eq!(ids(&info).input, "images");
    }

    #[test]
    fn classifiers_have_the_ids_of_their_scale() {
        for (head, id) in [
            (HeadChoice::ClassificationSoftmax, "classification-generic-softmaxed-out"),
            (HeadChoice::ClassificationLogits, "classification-generic-out"),
        ] {
            let bare = model(&[1, 10], &[]);
            let ids = TensorIds::of(&bare, &*recognise(&bare, head).unwrap().head);
            assert_eq!((&*ids.outputs[0].id, ids.outputs[0].order), (id, DimsOrder::RowMajor));
            let found = recognise(&with_info(&[1, 10], id, "1,10", ""), HeadChoice::Auto).unwrap();
            assert_eq!(found.head.name(), head.nick());
        }
    }

    #[test]
    fn a_model_info_names_the_tensors() {
        let info = with_info(&[1, 84, 8400], "mine", "1,84,-1", "group-id=mine-out");
        let expected = TensorIds {
            group: "mine-out".into(),
            input: "images".into(),
            outputs: vec![TensorId { id: "mine".into(), order: DimsOrder::ColMajor }],
        };
        assert_eq!(ids(&info), expected);
        assert_eq!(ids(&with_info(&[1, 84, 8400], "mine", "1,84,-1", "")).group, "mine");
    }

    #[test]
    fn a_model_info_decides_the_head_and_the_normalisation() {
        // 20 channels may be classes alone, or a class and keypoints.
        let bare = model(&[1, 20, 8400], &[]);
        let trust = |model: &ModelInfo| recognise(model, HeadChoice::Auto).unwrap().reading.trust;
        let info = with_info(&[1, 20, 8400], "yolo-v8-pose-out", "1,20,8400", "");
        let found = recognise(&info, HeadChoice::Auto).unwrap();
        assert_eq!(found.head.name(), "yolo-pose");
        assert_eq!(found.input.normalization, Normalization::NONE);
        assert_eq!(recognise(&bare, HeadChoice::Auto).unwrap().head.name(), "yolo");
        assert_ne!(trust(&bare), trust(&info));
        // What the user says comes first.
        assert_eq!(recognise(&info, HeadChoice::Yolo).unwrap().head.name(), "yolo");
        // So does what Ultralytics writes.
        let metadata = [("author", "Ultralytics"), ("task", "detect"), ("names", "{0: 'a', 1: 'b'}")];
        let mut own = with_info(&[1, 6, 8400], "yolo-v8-pose-out", "1,6,8400", "");
        own.metadata = model(&[], &metadata).metadata;
        assert_eq!(recognise(&own, HeadChoice::Auto).unwrap().head.name(), "yolo");

        let other = with_info(&[1, 84, 8400], "yolo-v8-out", "1,85,-1", "");
        match recognise(&other, HeadChoice::Auto) {
            Err(HeadError::GstModelInfo(text)) => assert!(text.contains("output0"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
