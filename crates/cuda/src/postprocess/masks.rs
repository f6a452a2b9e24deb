//! Masks of the objects that are left: the kernel's arguments, its memory, and reading what it wrote.

use super::super::error::Error;
use super::super::kernels::Kernels;
use super::super::layout::{FinishArgs, KEPT_STRIDE, MaskHeader, MasksArgs};
use super::super::memory::{DeviceAllocator, DeviceBuffer, MappedBuffer};
use super::output::{DeviceOutput, element, find, matrix, unexpected};
use model::head::{Columns, MaskPlan, MaskSource};
use model::{Alignment, Letterbox, Mask, Rect};
use std::sync::Arc;

/// A lane's masks.
#[derive(Debug)]
pub(super) struct Masks {
    plan: MaskPlan,
    pub(super) args: MasksArgs,
    /// A header for each object of a slot, then the bits of each.
    results: MappedBuffer,
    /// The objects that were kept.
    kept: DeviceBuffer,
    /// Where each slot's region lies in the input, and the size of its frame.
    placed: Vec<(Letterbox, (u32, u32))>,
    /// Scratch space for the bits of a mask.
    bits: Vec<u32>,
}

impl Masks {
    /// For batches of at most `batch` images, with at most `most` objects each.
    pub(super) fn new<R: DeviceAllocator + 'static>(
        allocator: &Arc<R>,
        kernels: &Kernels,
        plan: &MaskPlan,
        outputs: &[DeviceOutput],
        (finish, batch, most): (&FinishArgs, usize, usize),
    ) -> Result<Self, Error> {
        let grid = find(outputs, plan.grid_output())?;
        let (_, grid_half) = element(grid)?;
        let side = |side: usize| (1..=Mask::MAX_SIDE as usize).contains(&side);
        let [planes, rows, columns] = match *grid.shape {
            [planes, rows, columns] if side(rows) && side(columns) => [planes, rows, columns],
            _ => return Err(unexpected(grid, "[N, rows, columns]")),
        };
        let values = match plan.source {
            MaskSource::Queries { .. } => MasksArgs::default(),
            MaskSource::Prototypes { count, .. } if count != planes => {
                return Err(unexpected(grid, &format!("[{count}, rows, columns]")));
            }
            MaskSource::Prototypes { coefficients, count, .. } => coefficient_args(outputs, &coefficients, count)?,
        };
        let words = Mask::words(columns as u32, rows as u32);
        let stride = (most * (size_of::<MaskHeader>() + words * size_of::<u32>())).next_multiple_of(128);
        let results = MappedBuffer::new(kernels.context(), batch * stride)?;
        let kept = DeviceBuffer::new(allocator, batch * KEPT_STRIDE)?;
        let args = MasksArgs {
            kept: kept.address(),
            results: finish.results,
            results_stride: finish.results_stride,
            masks: results.address(),
            masks_stride: stride as u32,
            grid: grid.address,
            grid_slot: (planes * rows * columns) as u64,
            grid_half,
            columns: columns as u32,
            rows: rows as u32,
            x_scale: columns as f32 / plan.width,
            y_scale: rows as f32 / plan.height,
            most: most as u32,
            words: words as u32,
            ..values
        };
        Ok(Self { plan: *plan, args, results, kept, placed: vec![NOWHERE; batch], bits: Vec::new() })
    }

    /// Sets where a slot's region lies.
    pub(super) fn place(&mut self, slot: usize, letterbox: &Letterbox, frame: (u32, u32)) {
        if let Some(placed) = self.placed.get_mut(slot) {
            *placed = (*letterbox, frame);
        }
    }

    /// The mask of an object, normalised to the frame; `None` if its box touched no cell.
    pub(super) fn read(&mut self, slot: usize, object: usize) -> Result<Option<Mask>, Error> {
        let start = slot * self.args.masks_stride as usize;
        let mut header = [MaskHeader::default()];
        self.results.read(start + object * size_of::<MaskHeader>(), &mut header)?;
        let [MaskHeader { left, top, right, bottom }] = header;
        let [left, top, right, bottom] = [left, top, right, bottom].map(u32::from);
        let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
        self.bits.resize(Mask::words(width, height), 0);
        let most = self.args.most as usize * size_of::<MaskHeader>();
        let words = object * self.args.words as usize * size_of::<u32>();
        self.results.read(start + most + words, &mut self.bits)?;
        let grid = (self.args.columns, self.args.rows);
        let mask = self.plan.mask(grid, (left, top), (right, bottom), &self.bits);
        Ok(mask.zip(self.placed.get(slot)).and_then(|(mask, (letterbox, (width, height)))| {
            let area = mask.area();
            let point = |x: f32, y: f32| {
                let (x, y) = letterbox.to_frame(x, y);
                (x / *width as f32, y / *height as f32)
            };
            let ((x1, y1), (x2, y2)) = (point(area.x, area.y), point(area.right(), area.bottom()));
            mask.moved(Rect::from_corners(x1, y1, x2, y2))
        }))
    }

    /// Bytes of a mask that are transferred to the host.
    pub(super) fn bytes_to_host(mask: Option<&Mask>) -> usize {
        size_of::<MaskHeader>() + mask.map_or(0, |mask| size_of_val(mask.bits()))
    }

    /// Bytes of device memory and of mapped memory that this uses.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.kept.bytes(), self.results.bytes())
    }
}

/// The place of a slot that was never set.
const NOWHERE: (Letterbox, (u32, u32)) = {
    let region = Rect::new(0.0, 0.0, 0.0, 0.0);
    (Letterbox { region, left: 0, top: 0, width: 1, height: 1, alignment: Alignment::HalfPixel }, (1, 1))
};

/// The part of the arguments that says where coefficients are.
fn coefficient_args(outputs: &[DeviceOutput], columns: &Columns, count: usize) -> Result<MasksArgs, Error> {
    let Columns { output, channels_first, first, channels } = *columns;
    let tensor = find(outputs, output)?;
    let (size, half) = element(tensor)?;
    let (rows, columns) = matrix(outputs, output)?;
    let (found, anchors) = if channels_first { (rows, columns) } else { (columns, rows) };
    if found != channels {
        return Err(unexpected(tensor, &format!("{channels} channels")));
    }
    // Elements from one channel, and from one anchor, to the next.
    let (channel, anchor) = if channels_first { (anchors, 1) } else { (1, channels) };
    Ok(MasksArgs {
        coefficients: tensor.address + (first * channel * size) as u64,
        coefficients_slot: (rows * columns) as u64,
        row_stride: anchor as u32,
        value_stride: channel as u32,
        coefficients_half: half,
        count: count as u32,
        ..MasksArgs::default()
    })
}
