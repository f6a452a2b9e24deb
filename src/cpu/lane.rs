//! Running batches: frames in, objects out.

use super::engine::{Model, fixed_batch, model_error};
use super::preprocess::Workspace;
use super::tensor::{Input, floats};
use crate::error::{Error, ErrorKind};
use crate::infer::{Lane, Output, RawTensor, Slot, nothing_to_run};
use model::{Detection, ElementType, Letterbox, confidence, head, nms, refine};
use ort::session::Session;
use ort::value::DynValue;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Preprocesses, runs the session and decodes, one batch at a time.
pub struct CpuLane {
    model: Arc<Model>,
    session: Arc<Mutex<Session>>,
    input: Input,
    /// The inputs besides the image, for the largest batch.
    constants: Vec<Input>,
    workspace: Workspace,
    names: Vec<Arc<str>>,
    /// Outputs of other types, converted to f32.
    converted: Vec<Vec<f32>>,
    found: Vec<Detection>,
}

impl CpuLane {
    pub fn new(model: Arc<Model>, session: Arc<Mutex<Session>>) -> Self {
        let input = Input::new(model.input.element, model.max_batch * model.input.elements());
        let constants = model.constants.iter().map(|constant| {
            let element = model.info.inputs.get(constant.index).map_or(ElementType::F32, |input| input.element);
            let rows = fixed_batch(&model.info, constant.index).unwrap_or(model.max_batch);
            Input::repeated(element, &constant.values, rows)
        });
        let constants = constants.collect();
        let names: Vec<_> = model.info.outputs.iter().map(|output| Arc::from(output.name.as_str())).collect();
        let converted = vec![Vec::new(); names.len()];
        Self { model, session, input, constants, workspace: Workspace::default(), names, converted, found: Vec::new() }
    }

    /// Makes the batch's input; images without a slot are zero. A frame that can't be read fails only its slot.
    fn prepare(&mut self, slots: &mut [Slot]) {
        let spec = &self.model.input;
        let size = spec.bytes();
        let mut images = self.input.bytes_mut().chunks_exact_mut(size.max(1));
        for (slot, image) in slots.iter_mut().zip(images.by_ref()) {
            let fitting = slot.tensor.as_ref().filter(|t| t.spec == *spec && t.region == slot.region);
            match fitting.and_then(|tensor| tensor.data.host()) {
                Some(data) if data.len() == size => image.copy_from_slice(data),
                _ => {
                    if let Err(error) = super::fill(&slot.frame, slot.region, spec, &mut self.workspace, image) {
                        image.fill(0);
                        slot.output.error = Some(error);
                    }
                }
            }
        }
        if self.model.fixed_batch.is_some() {
            images.for_each(|image| image.fill(0));
        }
    }

    /// Runs the first `batch` images.
    fn infer(&self, batch: usize) -> Result<Vec<DynValue>, Error> {
        let model = &*self.model;
        let name = |index: usize| model.info.inputs.get(index).map_or("", |input| input.name.as_str());
        let image = self.input.images(&model.input, batch).map(|value| (name(model.image), value));
        let constants = model.constants.iter().zip(&self.constants).map(|(constant, input)| {
            // One row for all images, if the file says so.
            let rows = fixed_batch(&model.info, constant.index).unwrap_or(batch);
            let value = input.value(&[rows, constant.values.len()])?;
            Ok((name(constant.index), value))
        });
        let inputs: ort::Result<Vec<_>> = std::iter::once(image).chain(constants).collect();
        let inputs = inputs.map_err(|error| failed(error.to_string()))?;
        let mut session = self.session.lock();
        let outputs = session.run(inputs).map_err(|error| failed(format!("ONNX Runtime: {error}")))?;
        Ok(outputs.into_iter().map(|(_, value)| value).collect())
    }

    fn decode(&mut self, values: &[DynValue], batch: usize, slots: &mut [Slot]) -> Result<(), Error> {
        let outputs = batch_outputs(values, &self.names, &mut self.converted, batch)?;
        let mut views = Vec::with_capacity(outputs.len());
        for (index, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.output.error.is_none()) {
            views.clear();
            views.extend(outputs.iter().map(|output| output.image(index)));
            self.found.clear();
            let head = &self.model.head;
            head.decode(&views, &slot.params, &mut self.found).map_err(|error| failed(error.to_string()))?;
            let candidates = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
            if head.needs_nms() {
                nms(&mut self.found, &slot.params);
            }
            if let Some(masks) = head.masks() {
                masks.add(head.name(), &views, &mut self.found).map_err(|error| failed(error.to_string()))?;
            }
            let letterbox = Letterbox::new(slot.region, &self.model.input);
            place(&mut self.found, &letterbox, slot);
            if let Err(what) = confidence::check(&mut self.found) {
                let doubt = self.model.reading.at_run_time(head.name(), &what);
                slot.output.error = Some(model_error(&self.model.path, &doubt));
                continue;
            }
            let tensors =
                if slot.params.output_tensors { outputs.iter().map(|o| o.raw(index)).collect() } else { vec![] };
            slot.output = Output { candidates, detections: self.found.drain(..).collect(), tensors, error: None };
        }
        Ok(())
    }
}

impl CpuLane {
    /// Measures the time of the model for a batch, by running it back to back for at least `least`.
    ///
    /// # Errors
    /// As for [`Lane::run`].
    pub fn time_alone(&mut self, batch: usize, least: Duration) -> Result<Duration, Error> {
        self.input.bytes_mut().fill(0);
        self.infer(batch)?;
        let (start, mut runs) = (Instant::now(), 0);
        while runs == 0 || start.elapsed() < least {
            self.infer(batch)?;
            runs += 1;
        }
        Ok(start.elapsed() / runs)
    }
}

impl Lane for CpuLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        self.input.bytes_mut().fill(0);
        self.infer(self.model.max_batch).map(drop)
    }

    fn examine(&mut self) -> Result<(), Error> {
        self.input.bytes_mut().fill(0);
        let batch = self.model.max_batch;
        let path = &self.model.path;
        let values = self.infer(batch).map_err(|error| model_error(path, &error.message))?;
        let outputs = batch_outputs(&values, &self.names, &mut self.converted, batch);
        let outputs = outputs.map_err(|error| model_error(path, &error.message))?;
        let views: Vec<_> = outputs.iter().map(|output| output.image(0)).collect();
        let Model { path, head, reading, output_shapes, .. } = &*self.model;
        output_shapes.get_or_init(|| outputs.iter().map(|output| output.shape.clone()).collect());
        let fits = reading.examine(&**head, &views, self.names.iter().map(|name| &**name));
        fits.map_err(|error| model_error(path, &error.to_string()))
    }

    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        if slots.is_empty() || slots.len() > self.model.max_batch {
            return Err(failed(format!(
                "a batch of {} images was requested, 1 to {} are possible",
                slots.len(),
                self.model.max_batch
            )));
        }
        self.prepare(slots);
        if let Some(error) = nothing_to_run(slots) {
            return Err(error);
        }
        let batch = self.model.fixed_batch.unwrap_or(slots.len());
        let values = self.infer(batch)?;
        self.decode(&values, batch, slots)
    }
}

/// Converts network pixels to 0–1 of the frame, and applies the size filters.
fn place(found: &mut Vec<Detection>, letterbox: &Letterbox, slot: &Slot) {
    let (width, height) = (slot.frame.info.width(), slot.frame.info.height());
    for detection in found.iter_mut() {
        detection.map_points(|x, y| {
            let (x, y) = letterbox.to_frame(x, y);
            (x / width as f32, y / height as f32)
        });
    }
    refine(found, &slot.params, (width, height));
}

/// All outputs of a run.
fn batch_outputs<'a>(
    values: &'a [DynValue],
    names: &'a [Arc<str>],
    converted: &'a mut [Vec<f32>],
    batch: usize,
) -> Result<Vec<BatchOutput<'a>>, Error> {
    let outputs = values.iter().zip(names).zip(converted);
    outputs.map(|((value, name), converted)| BatchOutput::new(name, value, converted, batch)).collect()
}

/// One output of a run, for all images.
struct BatchOutput<'a> {
    name: &'a Arc<str>,
    /// Without the batch dimension.
    shape: Vec<usize>,
    data: &'a [f32],
}

impl<'a> BatchOutput<'a> {
    fn new(name: &'a Arc<str>, value: &'a DynValue, converted: &'a mut Vec<f32>, batch: usize) -> Result<Self, Error> {
        let (shape, data) = floats(value, converted).map_err(|error| failed(format!("output {name}: {error}")))?;
        let mut shape = shape.into_iter();
        match shape.next() {
            Some(images) if images == batch => Ok(Self { name, shape: shape.collect(), data }),
            images => Err(failed(format!(
                "output {name} has {} where its batch dimension should be {batch}: export the model with the batch as the \
                 first dimension of every output",
                images.map_or("nothing".to_owned(), |images| images.to_string())
            ))),
        }
    }

    /// The values of one image; empty if the output is too short.
    fn values(&self, index: usize) -> &'a [f32] {
        let size = self.shape.iter().product::<usize>();
        self.data.get(index * size..(index + 1) * size).unwrap_or_default()
    }

    fn image(&self, index: usize) -> head::Output<'_> {
        head::Output { shape: &self.shape, data: self.values(index) }
    }

    fn raw(&self, index: usize) -> RawTensor {
        RawTensor { name: self.name.clone(), shape: self.shape.clone(), data: self.values(index).to_vec() }
    }
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Failed, message)
}
