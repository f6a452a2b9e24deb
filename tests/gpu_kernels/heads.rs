//! Decoding, suppression and results: every head, element type and filter, on deliberately difficult outputs.

use crate::common::random::Random;
use crate::{Effort, Gpu, Report, detectors};
use cuda::{
    DeviceBuffer, DeviceOutput, Event, MAX_CANDIDATES, Postprocessor, Preprocessor, SlotResult, SlotSettings,
    SlotSource,
};
use gsttensorrt::error::Error;
use half::f16;
use half::slice::HalfFloatSliceExt;
use model::head::{
    Columns, DecodePlan, HeadChoice, MaskSource, ModelChoice, OrientedForm, Output, PeakMaps, Recognised, Scale,
    recognise,
};
use model::{Detection, ElementType, Head, InputSpec, Letterbox, ModelInfo, Params, Rect, TensorInfo, nms, refine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A model as its file describes it.
pub struct Model {
    pub name: &'static str,
    pub head: Arc<dyn Head>,
    pub spec: InputSpec,
    /// Without the batch dimension.
    pub shapes: Vec<Vec<usize>>,
    /// An output's type, where it isn't the one that is tested.
    pub types: Vec<Option<ElementType>>,
}

impl Model {
    pub fn new(name: &'static str, input: ([i64; 4], ElementType), outputs: &[&[i64]]) -> Self {
        Self::with_metadata(name, input, outputs, BTreeMap::new())
    }

    pub fn with_metadata(
        name: &'static str,
        input: ([i64; 4], ElementType),
        outputs: &[&[i64]],
        metadata: BTreeMap<String, String>,
    ) -> Self {
        let names: Vec<String> = (0..outputs.len()).map(|i| format!("output{i}")).collect();
        let outputs: Vec<_> = names.iter().map(String::as_str).zip(outputs.iter().copied()).collect();
        Self::named(name, &[("input", &input.0, input.1)], &outputs, ModelInfo { metadata, ..ModelInfo::default() })
    }

    /// The image is the first input. `more` is all that isn't a tensor.
    pub fn named(
        name: &'static str,
        inputs: &[(&str, &[i64], ElementType)],
        outputs: &[(&str, &[i64])],
        more: ModelInfo,
    ) -> Self {
        Self::chosen(name, inputs, outputs, more, ModelChoice::default())
    }

    pub fn chosen(
        name: &'static str,
        inputs: &[(&str, &[i64], ElementType)],
        outputs: &[(&str, &[i64])],
        more: ModelInfo,
        choice: ModelChoice,
    ) -> Self {
        let tensor =
            |name: &str, element, shape: &[i64]| TensorInfo { name: name.into(), element, shape: shape.to_vec() };
        let info = ModelInfo {
            inputs: inputs.iter().map(|&(name, shape, element)| tensor(name, element, shape)).collect(),
            outputs: outputs.iter().map(|&(name, shape)| tensor(name, F32, shape)).collect(),
            ..more
        };
        let recognised = recognise(&info, choice);
        let Recognised { head, input: spec, .. } = recognised.unwrap_or_else(|error| panic!("{name}: {error}"));
        let shape = |shape: &[i64]| shape[1..].iter().map(|&size| size as usize).collect();
        let shapes = outputs.iter().map(|&(_, sizes)| shape(sizes)).collect();
        Self { name, head, spec, shapes, types: vec![None; outputs.len()] }
    }

    /// With an output of this type.
    pub fn typed(mut self, output: usize, element: ElementType) -> Self {
        self.types[output] = Some(element);
        self
    }

    pub fn plan(&self) -> DecodePlan {
        self.head.plan().unwrap_or_else(|| panic!("{} has no plan", self.name))
    }
}

const F32: ElementType = ElementType::F32;

/// Ultralytics' metadata of a model with oriented boxes.
pub fn obb(classes: usize) -> BTreeMap<String, String> {
    let names: Vec<String> = (0..classes).map(|class| format!("'{class}'")).collect();
    let entries =
        [("author", "Ultralytics".into()), ("task", "obb".into()), ("names", format!("[{}]", names.join(", ")))];
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

fn models() -> Vec<Model> {
    let square = ([1, 3, 640, 640], F32);
    let small = ([1, 3, 416, 416], F32);
    let said = |name, head: HeadChoice, output: &[i64]| {
        let inputs: &[(&str, &[i64], ElementType)] = &[("input", &[1, 3, 224, 224], F32)];
        Model::chosen(name, inputs, &[("output", output)], ModelInfo::default(), head.into())
    };
    vec![
        Model::new("yolo", square, &[&[1, 84, 8400]]),
        Model::new("yolo with 3 classes", ([1, 3, 320, 192], F32), &[&[1, 7, 1260]]),
        Model::with_metadata(
            "yolo, anchors first",
            square,
            &[&[1, 8400, 7]],
            BTreeMap::from([("names".into(), "{0: 'a', 1: 'b', 2: 'c'}".into())]),
        ),
        Model::new("yolo-pose", square, &[&[1, 56, 8400]]),
        Model::new("yolo-pose with 80 classes", square, &[&[1, 135, 8400]]),
        Model::new("yolo end-to-end", square, &[&[1, 300, 6]]),
        Model::new("yolo-pose end-to-end", square, &[&[1, 300, 57]]),
        Model::new("yolo-seg", square, &[&[1, 116, 8400], &[1, 32, 160, 160]]),
        Model::with_metadata(
            "yolo-seg, anchors first",
            ([1, 3, 320, 192], F32),
            &[&[1, 1260, 23], &[1, 16, 80, 48]],
            BTreeMap::from([("task".into(), "segment".into()), ("names".into(), "{0: 'a', 1: 'b', 2: 'c'}".into())]),
        ),
        Model::named(
            "rf-detr-seg",
            &[("input", &[1, 3, 312, 312], F32)],
            &[("dets", &[1, 100, 4]), ("labels", &[1, 100, 91]), ("masks", &[1, 100, 78, 78])],
            ModelInfo::default(),
        ),
        Model::new("yolo-seg end-to-end", square, &[&[1, 300, 38], &[1, 32, 160, 160]]),
        Model::with_metadata("yolo-obb", square, &[&[1, 20, 8400]], obb(15)),
        Model::with_metadata("yolo-obb, anchors first", ([1, 3, 320, 192], F32), &[&[1, 1260, 8]], obb(3)),
        Model::with_metadata("yolo-obb end-to-end", square, &[&[1, 300, 7]], obb(80)),
        Model::new("nanodet-plus", small, &[&[1, 3598, 112]]),
        Model::new(
            "nanodet in pairs",
            ([1, 3, 320, 320], F32),
            &[&[1, 1600, 80], &[1, 400, 80], &[1, 100, 80], &[1, 1600, 32], &[1, 400, 32], &[1, 100, 32]],
        ),
        pose("simcc", &[("simcc_x", &[1, 17, 384]), ("simcc_y", &[1, 17, 512])], HeadChoice::Auto),
        pose("simcc of 133 keypoints", &[("simcc_y", &[1, 133, 512]), ("simcc_x", &[1, 133, 384])], HeadChoice::Auto),
        pose("heatmap", &[("output", &[1, 17, 64, 48])], HeadChoice::Heatmap),
        pose("heatmap-dark", &[("output", &[1, 17, 64, 48])], HeadChoice::HeatmapDark),
        pose("heatmap-udp", &[("output", &[1, 21, 64, 48])], HeadChoice::HeatmapUdp),
        Model::named(
            "rtmo",
            &[("input", &square.0, F32)],
            &[("keypoints", &[1, 200, 17, 3]), ("dets", &[1, 200, 5])],
            ModelInfo::default(),
        ),
        Model::new("movenet", ([1, 192, 192, 3], ElementType::I32), &[&[1, 1, 17, 3]]),
        Model::new("movenet-multipose", ([1, 256, 256, 3], ElementType::I32), &[&[1, 6, 56]]),
        said("classification-softmax", HeadChoice::ClassificationSoftmax, &[1, 1000]),
        said("classification-logits", HeadChoice::ClassificationLogits, &[1, 1000]),
        said("classification-logits of 2 classes", HeadChoice::ClassificationLogits, &[1, 2, 1, 1]),
        said("classification-logits of ImageNet-21k", HeadChoice::ClassificationLogits, &[1, 21841]),
        said("embedding", HeadChoice::Embedding, &[1, 512]),
        said("embedding of 3 values", HeadChoice::Embedding, &[1, 3]),
    ]
}

/// A top-down pose model.
pub fn pose(name: &'static str, outputs: &[(&str, &[i64])], choice: HeadChoice) -> Model {
    Model::chosen(name, &[("input", &[1, 3, 256, 192], F32)], outputs, ModelInfo::default(), choice.into())
}

/// Share of the anchors that pass.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Crowd {
    None,
    Some(f32),
    All,
}

/// A confidence on a coarse grid, so that many are equal, on both sides of every threshold in use.
pub fn score(random: &mut Random, pass: bool) -> f32 {
    let step = random.below(24) as f32 / 32.0;
    if pass { 0.26 + step } else { step * 0.3 }
}

/// The outputs for one image. Boxes form clusters, so that many overlap.
pub fn outputs(model: &Model, random: &mut Random, crowd: Crowd, odd: bool) -> Vec<Vec<f32>> {
    let (width, height) = (model.spec.width as f32, model.spec.height as f32);
    let clusters: Vec<[f32; 4]> = (0..12)
        .map(|_| {
            [random.float(0.0, width), random.float(0.0, height), random.float(8.0, 200.0), random.float(8.0, 200.0)]
        })
        .collect();
    let passes = |random: &mut Random| match crowd {
        Crowd::None => false,
        Crowd::Some(share) => random.chance(share),
        Crowd::All => true,
    };
    let mut values: Vec<Vec<f32>> = model.shapes.iter().map(|shape| vec![0.0; shape.iter().product()]).collect();
    let mut put = |output: usize, at: usize, value: f32| values[output][at] = value;
    let jitter = |random: &mut Random, [x, y, w, h]: [f32; 4]| {
        let near = |random: &mut Random, v: f32| v + random.float(-6.0, 6.0);
        [near(random, x), near(random, y), near(random, w), near(random, h)]
    };
    match model.plan() {
        DecodePlan::Anchors { output, channels_first, classes, keypoints } => {
            let (rows, columns) = (model.shapes[output][0], model.shapes[output][1]);
            let (channels, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
            let at = |channel: usize, anchor: usize| {
                if channels_first { channel * anchors + anchor } else { anchor * channels + channel }
            };
            for anchor in 0..anchors {
                let cluster = *random.pick(&clusters);
                for (channel, value) in jitter(random, cluster).into_iter().enumerate() {
                    put(output, at(channel, anchor), value);
                }
                let (best, pass) = (random.below(classes), passes(random));
                for class in 0..classes {
                    let value = score(random, false);
                    put(output, at(4 + class, anchor), if class == best { score(random, pass) } else { value });
                }
                for k in 0..keypoints.map_or(0, |(count, dims)| count * dims) {
                    put(output, at(4 + classes + k, anchor), random.float(-20.0, width + 20.0));
                }
            }
        }
        DecodePlan::Oriented { output, form: OrientedForm::Anchors { channels_first, classes } } => {
            let (rows, columns) = (model.shapes[output][0], model.shapes[output][1]);
            let (channels, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
            let at = |channel: usize, anchor: usize| {
                if channels_first { channel * anchors + anchor } else { anchor * channels + channel }
            };
            let turns = clusters.iter().map(|_| random.float(-0.8, 2.4)).collect::<Vec<_>>();
            for anchor in 0..anchors {
                let cluster = random.below(clusters.len());
                for (channel, value) in jitter(random, clusters[cluster]).into_iter().enumerate() {
                    put(output, at(channel, anchor), value);
                }
                let (best, pass) = (random.below(classes), passes(random));
                for class in 0..classes {
                    let value = score(random, false);
                    put(output, at(4 + class, anchor), if class == best { score(random, pass) } else { value });
                }
                put(output, at(4 + classes, anchor), turns[cluster] + random.float(-0.1, 0.1));
            }
        }
        DecodePlan::Oriented { output, form: OrientedForm::Rows } => {
            for row in 0..model.shapes[output][0] {
                let pass = passes(random);
                let [x, y, w, h] = *random.pick(&clusters);
                let class = random.below(80) as f32 + *random.pick(&[0.0, 0.25, 0.5]);
                let values = [x, y, w, h, score(random, pass), class, random.float(-7.0, 7.0)];
                for (column, value) in values.into_iter().enumerate() {
                    put(output, row * values.len() + column, value);
                }
            }
        }
        DecodePlan::Objects { output, coding, .. } => {
            let columns = model.shapes[output][1];
            for row in 0..model.shapes[output][0] {
                let pass = passes(random);
                let [a, b, c, d] = detectors::coded(&coding, *random.pick(&clusters));
                let start = [a, b, c, d, score(random, pass)];
                let class = random.below(80) as f32 + *random.pick(&[0.0, 0.25, 0.5]);
                for column in 0..columns {
                    let rest = random.float(0.0, width);
                    let value = start.get(column).copied().unwrap_or(if column == 5 { class } else { rest });
                    put(output, row * columns + column, value);
                }
            }
        }
        DecodePlan::Split { labels, boxes, scores, coding } => {
            detectors::split([labels, boxes, scores], &coding, &clusters, random, passes, &mut put, &model.shapes);
        }
        DecodePlan::Classes(plan) => {
            for class in 0..plan.classes {
                let pass = passes(random);
                let value = match plan.scale.get() {
                    // Of a thousand classes, only those that stand out pass.
                    Some(Scale::Logits) => score(random, pass) * if pass { 20.0 } else { 4.0 } - 2.0,
                    _ => score(random, pass),
                };
                put(plan.output, class, value);
            }
        }
        DecodePlan::Embedding { output, size } => {
            let length = random.float(0.0, 8.0);
            (0..size).for_each(|at| put(output, at, random.float(-length, length)));
        }
        DecodePlan::Queries(plan) => detectors::queries(&plan, &clusters, random, passes, &mut put, &model.shapes),
        DecodePlan::Dense(plan) => detectors::dense(&plan, &clusters, random, passes, &mut put, &model.shapes),
        DecodePlan::Distributions { classes, bins, levels, .. } => {
            for level in levels {
                let together = level.scores == level.boxes;
                let row = if together { classes + 4 * bins } else { classes };
                for cell in level.first..level.first + level.cells {
                    let (best, pass) = (random.below(classes), passes(random));
                    for class in 0..classes {
                        // Now and then an anchor is of several classes.
                        let other = random.chance(0.01);
                        let value = score(random, pass && (class == best || other));
                        put(level.scores, cell * row + class, value);
                    }
                    for bin in 0..4 * bins {
                        let at = if together { cell * row + classes + bin } else { cell * 4 * bins + bin };
                        put(level.boxes, at, random.float(-4.0, 4.0));
                    }
                }
            }
        }
        DecodePlan::Poses { boxes, points, keypoints } => {
            for row in 0..model.shapes[boxes][0] {
                let pass = passes(random);
                let [x, y, w, h] = *random.pick(&clusters);
                let values = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0, score(random, pass)];
                values.into_iter().enumerate().for_each(|(at, value)| put(boxes, 5 * row + at, value));
                for at in 0..3 * keypoints {
                    let value = if at % 3 == 2 { random.float(0.0, 1.0) } else { random.float(-20.0, width + 20.0) };
                    put(points, 3 * keypoints * row + at, value);
                }
            }
        }
        // Some peaks are low, some at an edge; values beside them are on a coarse grid, so that many are equal.
        DecodePlan::Peaks(plan) => {
            let pass = passes(random);
            let outputs = match plan.maps {
                PeakMaps::Axes { x, y } => vec![x, y],
                PeakMaps::Planes { output, .. } => vec![output],
            };
            for output in outputs {
                let places = model.shapes[output][1..].iter().product::<usize>();
                let columns = *model.shapes[output].last().expect("dimensions");
                for keypoint in 0..plan.keypoints {
                    let (peak, at) = (random.float(-0.1, if pass { 1.1 } else { 0.2 }), random.below(places));
                    let (x, y) = (at as f32 % columns as f32 + random.float(-0.5, 0.5), (at / columns) as f32);
                    for place in 0..places {
                        let (dx, dy) = ((place % columns) as f32 - x, (place / columns) as f32 - y);
                        let noise = random.below(4) as f32 / 64.0;
                        put(
                            output,
                            keypoint * places + place,
                            peak * (-(dx * dx + dy * dy) / 8.0).exp() + noise - 0.03,
                        );
                    }
                }
            }
        }
        DecodePlan::Persons { output, .. } => {
            let pass = passes(random);
            for at in 0..model.shapes[output].iter().product() {
                let value = random.float(0.0, 1.0);
                put(output, at, if pass { value } else { 0.1 * value });
            }
        }
    }
    if let Some(masks) = model.head.masks() {
        values[masks.grid_output()].fill_with(|| random.float(-1.0, 1.0));
        if let MaskSource::Prototypes { coefficients: Columns { output, channels_first, first, channels }, .. } =
            masks.source
        {
            let rows = values[output].len() / channels;
            for (row, channel) in (0..rows).flat_map(|row| (first..channels).map(move |channel| (row, channel))) {
                let at = if channels_first { channel * rows + row } else { row * channels + channel };
                values[output][at] = random.float(-1.0, 1.0);
            }
        }
    }
    if odd {
        for values in &mut values {
            for _ in 0..values.len() / 50 {
                let at = random.below(values.len());
                values[at] = *random.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, -1.0]);
            }
        }
    }
    values
}

pub fn random_params(random: &mut Random, classes: usize) -> Params {
    let ids = |random: &mut Random, n: usize| (0..n).map(|_| random.below(classes.max(1)) as u32).collect::<Vec<_>>();
    let mut params = Params { iou: random.float(0.1, 0.9), class_agnostic: random.chance(0.4), ..Params::default() };
    if random.chance(0.4) {
        params.class_confidence = ids(random, 5).into_iter().map(|id| (id, random.float(0.05, 0.9))).collect();
    }
    if random.chance(0.4) {
        params.classes = Some(ids(random, 1 + classes / 2).into_iter().collect::<BTreeSet<_>>());
    }
    if random.chance(0.4) {
        params.min_size = (random.below(80) as u32, random.below(80) as u32);
        params.max_size = (random.below(2) as u32 * 300, random.below(2) as u32 * 200);
    }
    params.max_detections = *random.pick(&[0, 1, 7, 33, 300, 5000]);
    params
}

/// A frame, its region and the parameters.
pub struct Slot {
    params: Params,
    frame: (u32, u32),
    letterbox: Letterbox,
}

impl Slot {
    pub fn new(params: Params, frame: (u32, u32), region: Rect, spec: &InputSpec) -> Self {
        Self { params, frame, letterbox: Letterbox::new(region, spec) }
    }

    fn random(random: &mut Random, model: &Model) -> Self {
        let frame = *random.pick(&[(1920, 1080), (640, 480), (333, 777)]);
        let (w, h) = (frame.0 as f32, frame.1 as f32);
        let whole = Rect::new(0.0, 0.0, w, h);
        let part = Rect::new(random.float(0.0, w / 2.0), random.float(0.0, h / 2.0), w / 3.0, h / 2.5);
        let region = *random.pick(&[whole, part]);
        Self::new(random_params(random, model.head.classes()), frame, region, &model.spec)
    }

    pub fn settings(&self) -> SlotSettings<'_> {
        SlotSettings { params: &self.params, letterbox: &self.letterbox, frame: self.frame }
    }
}

/// The CPU engine's results with only the best [`MAX_CANDIDATES`], and the number of candidates that passed.
fn expected(model: &Model, slot: &Slot, outputs: &[Vec<f32>]) -> (Vec<Detection>, usize) {
    let views: Vec<_> = model.shapes.iter().zip(outputs).map(|(shape, data)| Output { shape, data }).collect();
    let mut found = Vec::new();
    // All that passed are needed to count them, even for a head that truncates.
    let every = Params { max_detections: usize::MAX, ..slot.params.clone() };
    model.head.decode(&views, &every, &mut found).unwrap_or_else(|error| panic!("{}: {error}", model.name));
    let passed = found.len();
    if let DecodePlan::Embedding { .. } = model.plan() {
        // The picture's place isn't returned, and filters don't apply.
        found.iter_mut().for_each(|detection| detection.rect = Rect::default());
        return (found, passed);
    }
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found.truncate(MAX_CANDIDATES);
    if model.head.needs_nms() {
        nms(&mut found, &slot.params);
    } else if !matches!(model.plan(), DecodePlan::Persons { many: false, .. } | DecodePlan::Peaks(_)) {
        found.truncate(slot.params.max_detections);
    }
    if let Some(masks) = model.head.masks() {
        masks.add(model.name, &views, &mut found).unwrap_or_else(|error| panic!("{error}"));
    }
    for detection in &mut found {
        detection.map_points(|x, y| {
            let (x, y) = slot.letterbox.to_frame(x, y);
            (x / slot.frame.0 as f32, y / slot.frame.1 as f32)
        });
    }
    refine(&mut found, &slot.params, slot.frame);
    (found, passed)
}

/// A model's outputs and the kernels after it on the device.
pub struct Bench {
    pub chain: Postprocessor,
    pub lane: Preprocessor,
    pub tensor: DeviceBuffer,
    memory: Vec<(DeviceBuffer, ElementType)>,
}

impl Bench {
    pub fn new(gpu: &Gpu, model: &Model, element: ElementType, batch: usize) -> Result<Self, Error> {
        let mut memory = Vec::new();
        let mut places = Vec::new();
        for (shape, own) in model.shapes.iter().zip(&model.types) {
            let element = own.unwrap_or(element);
            let buffer = DeviceBuffer::new(&gpu.context, batch * shape.iter().product::<usize>() * element.size())?;
            places.push(DeviceOutput { address: buffer.address(), element, shape: shape.clone() });
            memory.push((buffer, element));
        }
        let head = (model.head.classes(), model.head.needs_nms());
        let mut chain = Postprocessor::new(&gpu.context, &gpu.kernels, &model.plan(), head, &places, batch)?;
        if let Some(masks) = model.head.masks() {
            chain = chain.with_masks(&gpu.context, &masks, &places)?;
        }
        let mut lane = Preprocessor::new(&gpu.context, &gpu.kernels, &model.spec, batch)?;
        for slot in 0..batch {
            lane.set(slot, &SlotSource::border())?;
        }
        let tensor = DeviceBuffer::new(&gpu.context, batch * model.spec.elements() * model.spec.element.size())?;
        Ok(Self { chain, lane, tensor, memory })
    }

    /// Stores the images' outputs as the model would, and returns the results that the CPU reads.
    pub fn fill(&mut self, gpu: &Gpu, images: &mut [Vec<Vec<f32>>]) -> Result<(), Error> {
        for (output, (buffer, element)) in self.memory.iter_mut().enumerate() {
            let all: Vec<f32> = images.iter().flat_map(|image| image[output].iter().copied()).collect();
            let rounded: Vec<f32> = match element {
                ElementType::F16 => {
                    let mut halves = vec![f16::ZERO; all.len()];
                    halves.convert_from_f32_slice(&all);
                    buffer.upload(&halves, &gpu.stream)?;
                    halves.iter().map(|half| half.to_f32()).collect()
                }
                ElementType::I64 => {
                    let whole: Vec<i64> = all.iter().map(|&value| value as i64).collect();
                    buffer.upload(&whole, &gpu.stream)?;
                    whole.iter().map(|&value| value as f32).collect()
                }
                ElementType::I32 => {
                    let whole: Vec<i32> = all.iter().map(|&value| value as i32).collect();
                    buffer.upload(&whole, &gpu.stream)?;
                    whole.iter().map(|&value| value as f32).collect()
                }
                ElementType::F32 | ElementType::U8 => {
                    buffer.upload(&all, &gpu.stream)?;
                    continue;
                }
            };
            let values = images.iter_mut().flat_map(|image| &mut image[output]);
            values.zip(rounded).for_each(|(value, rounded)| *value = rounded);
        }
        Ok(())
    }
}

pub fn run(gpu: &Gpu, report: &mut Report) -> Result<(), Error> {
    let mut random = Random::new(2);
    for model in models().into_iter().chain(detectors::models()) {
        for element in [F32, ElementType::F16] {
            let crowds = [
                (Crowd::Some(0.02), false, 3),
                (Crowd::Some(0.1), true, 2),
                (Crowd::None, false, 1),
                (Crowd::Some(0.5), false, 5),
                (Crowd::All, false, 2),
                (Crowd::All, true, 1),
                (Crowd::Some(0.13), false, 4),
                (Crowd::Some(0.005), false, 8),
            ];
            let mut bench = Bench::new(gpu, &model, element, 8)?;
            // One lane for all: no state of a batch may affect the next.
            let rounds = match gpu.effort {
                Effort::Brief => 2,
                Effort::Quick => 4,
                Effort::All => 16,
            };
            for (crowd, odd, batch) in crowds.into_iter().cycle().take(rounds) {
                let mut images: Vec<_> = (0..batch).map(|_| outputs(&model, &mut random, crowd, odd)).collect();
                bench.fill(gpu, &mut images)?;
                let slots: Vec<_> = (0..batch).map(|_| Slot::random(&mut random, &model)).collect();
                compare(gpu, report, &model, &mut bench, &images, &slots, (element, crowd))?;
            }
        }
    }
    graph(gpu, report, &mut random)
}

fn compare(
    gpu: &Gpu,
    report: &mut Report,
    model: &Model,
    bench: &mut Bench,
    images: &[Vec<Vec<f32>>],
    slots: &[Slot],
    case: (ElementType, Crowd),
) -> Result<(), Error> {
    for (index, slot) in slots.iter().enumerate() {
        bench.chain.set(index, slot.settings())?;
    }
    // SAFETY: tensor and outputs belong to the bench and fit its batch; the bench outlives the synchronise.
    unsafe {
        bench.lane.enqueue(&gpu.stream, bench.tensor.address(), Some(&bench.chain), slots.len())?;
        bench.chain.enqueue(&gpu.stream, slots.len())?;
    }
    gpu.stream.synchronise()?;
    check(report, model, bench, images, slots, &format!("{:?}", case))
}

fn check(
    report: &mut Report,
    model: &Model,
    bench: &mut Bench,
    images: &[Vec<Vec<f32>>],
    slots: &[Slot],
    case: &str,
) -> Result<(), Error> {
    let mut found = SlotResult::default();
    for (index, (slot, image)) in slots.iter().zip(images).enumerate() {
        bench.chain.results(index, &mut found)?;
        let (detections, passed) = expected(model, slot, image);
        let name = format!("{} {case} slot {index}", model.name);
        report.case(&name, same(&found, &detections, passed));
    }
    Ok(())
}

fn same(found: &SlotResult, expected: &[Detection], passed: usize) -> Result<(), String> {
    let counts = (found.candidates as usize, found.considered as usize);
    if counts != (passed, passed.min(MAX_CANDIDATES)) {
        return Err(format!("{counts:?} candidates passed and were looked at, on the CPU {passed}"));
    }
    if found.detections.len() != expected.len() {
        return Err(format!("{} objects instead of {}", found.detections.len(), expected.len()));
    }
    for (i, (a, b)) in found.detections.iter().zip(expected).enumerate() {
        let near = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
        let boxes = near(a.rect.x, b.rect.x)
            && near(a.rect.y, b.rect.y)
            && near(a.rect.w, b.rect.w)
            && near(a.rect.h, b.rect.h)
            && a.oriented == b.oriented;
        let points = a.keypoints.len() == b.keypoints.len()
            && a.keypoints
                .iter()
                .zip(&b.keypoints)
                .all(|(a, b)| near(a.x, b.x) && near(a.y, b.y) && a.confidence == b.confidence);
        let vectors =
            a.embedding.len() == b.embedding.len() && a.embedding.iter().zip(&b.embedding).all(|(a, b)| near(*a, *b));
        if !boxes || !points || !vectors || a.class_id != b.class_id || a.confidence != b.confidence {
            return Err(format!("object {i} is {a:?} instead of {b:?}"));
        }
        if a.mask != b.mask {
            return Err(format!("object {i} has the mask {:?} instead of {:?}", a.mask, b.mask));
        }
    }
    Ok(())
}

/// A captured graph reads the current tables at each launch.
fn graph(gpu: &Gpu, report: &mut Report, random: &mut Random) -> Result<(), Error> {
    let model = Model::new("yolo in a graph", ([1, 3, 320, 320], F32), &[&[1, 84, 2100]]);
    let batch = 3;
    let mut bench = Bench::new(gpu, &model, F32, batch)?;
    let done = Event::new(&gpu.context)?;
    let captured = gpu.stream.capture(|| {
        // SAFETY: everything belongs to the bench, which outlives the graph's last launch.
        unsafe {
            bench.lane.enqueue(&gpu.stream, bench.tensor.address(), Some(&bench.chain), batch)?;
            bench.chain.enqueue(&gpu.stream, batch)
        }
    });
    let mut captured = captured?.instantiate()?;
    for round in 0..4 {
        let crowd = [Crowd::Some(0.1), Crowd::All, Crowd::None, Crowd::Some(0.01)][round];
        let mut images: Vec<_> = (0..batch).map(|_| outputs(&model, random, crowd, round == 3)).collect();
        bench.fill(gpu, &mut images)?;
        let slots: Vec<_> = (0..batch).map(|_| Slot::random(random, &model)).collect();
        for (index, slot) in slots.iter().enumerate() {
            bench.chain.set(index, slot.settings())?;
        }
        // SAFETY: as above.
        unsafe { captured.launch(&gpu.stream)? };
        done.record(&gpu.stream)?;
        done.synchronise()?;
        check(report, &model, &mut bench, &images, &slots, &format!("{crowd:?}"))?;
    }
    // A cleared slot finds nothing, whatever its outputs contain.
    bench.chain.clear(1)?;
    // SAFETY: as above.
    unsafe { captured.launch(&gpu.stream)? };
    gpu.stream.synchronise()?;
    let mut found = SlotResult::default();
    bench.chain.results(1, &mut found)?;
    let outcome = if found.candidates == 0 { Ok(()) } else { Err(format!("{} candidates", found.candidates)) };
    report.case("a cleared slot", outcome);
    Ok(())
}
