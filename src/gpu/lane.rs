//! Running batches: frames on the device in, objects out.

use super::chain::Chain;
use super::model::GpuModel;
use super::values::floats;
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::MappedFrame;
use crate::infer::{Lane, RawTensor, Slot, nothing_to_run};
use cuda::SlotResult;
use model::{confidence, head};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counters shared by a service's lanes.
#[derive(Debug, Default)]
pub struct Counters {
    pub to_device: AtomicU64,
    pub to_host: AtomicU64,
    pub graphs: AtomicU32,
    pub candidates_cut: AtomicU64,
}

/// Runs one batch at a time on its own chain.
pub struct GpuLane {
    model: Arc<GpuModel>,
    chain: Chain,
    counters: Arc<Counters>,
    /// Scratch space for the results of the slot that was read last.
    found: SlotResult,
    /// Scratch space for an output on the host, used when raw tensors are requested.
    downloaded: Vec<u8>,
}

impl GpuLane {
    pub fn new(model: Arc<GpuModel>, chain: Chain, counters: Arc<Counters>) -> Self {
        Self { model, chain, counters, found: SlotResult::default(), downloaded: Vec::new() }
    }

    /// Number of captured graphs.
    pub fn graphs(&self) -> usize {
        self.chain.graphs()
    }

    /// Puts a slot's picture into the batch.
    fn show(&mut self, index: usize, slot: &Slot) -> Result<(), Error> {
        let info = &slot.frame.info;
        if let Some(tensor) = slot.tensor.as_ref().filter(|tensor| tensor.region == slot.region)
            && self.chain.show_tensor(index, tensor, (info.width(), info.height()), &slot.params)?
        {
            return Ok(());
        }
        let frame = MappedFrame::read(&slot.frame.buffer, info)?;
        self.chain.show(index, frame, slot.region, &slot.params)
    }

    /// Puts all slots' pictures into the batch. A frame that can't be read fails its slot only; a device failure fails
    /// the batch.
    fn show_all(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        for (index, slot) in slots.iter_mut().enumerate() {
            match self.show(index, slot) {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::Device => return Err(error),
                Err(error) => {
                    self.chain.leave_empty(index)?;
                    slot.output.error = Some(error);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, slots: &mut [Slot], ran: usize) -> Result<(), Error> {
        let mut to_host = 0;
        for (index, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.output.error.is_none()) {
            self.chain.results(index, &mut self.found)?;
            to_host += self.chain.bytes_to_host(&self.found);
            let cut = self.found.candidates.saturating_sub(self.found.considered);
            self.counters.candidates_cut.fetch_add(u64::from(cut), Ordering::Relaxed);
            slot.output.candidates = self.found.candidates;
            if let Err(what) = confidence::check(&mut self.found.detections) {
                let (name, reading) = (self.model.head.name(), &self.model.reading);
                slot.output.error = Some(self.model.error(&reading.at_run_time(name, &what)));
                continue;
            }
            slot.output.detections = std::mem::take(&mut self.found.detections);
        }
        if slots.iter().any(|slot| slot.params.output_tensors) {
            to_host += self.read_outputs(slots)?;
        }
        self.counters.to_host.fetch_add(to_host as u64, Ordering::Relaxed);
        self.counters.to_device.fetch_add(self.chain.bytes_to_device(ran) as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Copies raw outputs to the slots that request them, and returns the bytes transferred over the bus.
    fn read_outputs(&mut self, slots: &mut [Slot]) -> Result<usize, Error> {
        let mut copied = 0;
        for (number, (name, output)) in self.model.outputs.iter().enumerate() {
            let bytes = output.bytes();
            self.downloaded.resize(bytes * slots.len(), 0);
            self.chain.download(number, &mut self.downloaded)?;
            copied += self.downloaded.len();
            let images = self.downloaded.chunks_exact(bytes.max(1));
            for (slot, image) in slots.iter_mut().zip(images).filter(|(slot, _)| slot.params.output_tensors) {
                let (name, shape) = (Arc::clone(name), output.shape.clone());
                slot.output.tensors.push(RawTensor { name, shape, data: floats(image, output.element) });
            }
        }
        Ok(copied)
    }
}

impl Lane for GpuLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        let batch = self.model.batch.1;
        (0..batch).try_for_each(|slot| self.chain.leave_empty(slot))?;
        self.chain.run(batch, |batch| self.model.shape(batch)).map(drop)
    }

    fn examine(&mut self) -> Result<(), Error> {
        self.warm_up()?;
        let mut outputs = Vec::with_capacity(self.model.outputs.len());
        for (number, (_, output)) in self.model.outputs.iter().enumerate() {
            self.downloaded.resize(output.bytes(), 0);
            self.chain.download(number, &mut self.downloaded)?;
            outputs.push((&*output.shape, floats(&self.downloaded, output.element)));
        }
        let views: Vec<_> = outputs.iter().map(|(shape, data)| head::Output { shape, data }).collect();
        let GpuModel { head, reading, outputs: named, .. } = &*self.model;
        let fits = reading.examine(&**head, &views, named.iter().map(|(name, _)| &**name));
        fits.map_err(|error| self.model.error(&error.to_string()))
    }

    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        let ran = self.run_batch(slots);
        ran.map_err(|error| match self.chain.failure() {
            Some(cause) => cause.clone().into(),
            // The device still works: only this batch failed.
            None if error.kind == ErrorKind::Device => Error { kind: ErrorKind::Failed, ..error },
            None => error,
        })
    }
}

impl GpuLane {
    fn run_batch(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        let batch = slots.len();
        if batch == 0 || batch > self.model.batch.1 {
            let text = format!("a batch of {batch} images was requested, 1 to {} are possible", self.model.batch.1);
            return Err(Error::new(ErrorKind::Failed, text));
        }
        let shown = self.show_all(slots);
        if let Some(error) = shown.err().or_else(|| nothing_to_run(slots)) {
            self.chain.let_go()?;
            return Err(error);
        }
        let ran = self.chain.run(batch, |batch| self.model.shape(batch))?;
        gst::trace!(super::CAT, "{}: {batch} image(s) ran as a batch of {ran}", self.model.head.name());
        self.read(slots, ran)
    }
}
