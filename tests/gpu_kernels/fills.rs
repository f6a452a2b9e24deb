//! Kernels that replace a graph's memsets, compared with the driver's own memset.

use super::{Gpu, Report};
use crate::common::random::Random;
use cuda::DeviceBuffer;
use cudarc::driver::sys::{self, CUresult};
use gsttensorrt::error::Error;

const BYTES: usize = 64 << 10;

/// Rows of one value in a buffer.
#[derive(Debug, Clone, Copy)]
struct Fill {
    offset: usize,
    pitch: usize,
    value: u32,
    element: usize,
    width: usize,
    rows: usize,
}

impl Fill {
    fn random(random: &mut Random) -> Self {
        let element = [1, 2, 4][random.below(3)];
        // Multiples of 16 bytes, of the element, and other sizes.
        let unit = [16, 4, element][random.below(3)].max(element);
        let (rows, bytes) = (1 + random.below(7), unit * random.below(2000 / unit));
        let pitch = bytes + unit * random.below(5);
        let offset = unit * random.below(1000 / unit);
        Self { offset, pitch, value: random.bits() as u32, element, width: bytes / element, rows }
    }

    fn queue(self, gpu: &Gpu, buffer: &DeviceBuffer) -> CUresult {
        let Self { offset, pitch, value, element, width, rows } = self;
        let (to, stream) = (buffer.address() + offset as u64, gpu.stream.handle().cast());
        // SAFETY: the rows are inside the buffer, which outlives the work.
        unsafe {
            match (element, rows) {
                (1, 1) => sys::cuMemsetD8Async(to, value as u8, width, stream),
                (2, 1) => sys::cuMemsetD16Async(to, value as u16, width, stream),
                (_, 1) => sys::cuMemsetD32Async(to, value, width, stream),
                (1, _) => sys::cuMemsetD2D8Async(to, pitch, value as u8, width, rows, stream),
                (2, _) => sys::cuMemsetD2D16Async(to, pitch, value as u16, width, rows, stream),
                _ => sys::cuMemsetD2D32Async(to, pitch, value, width, rows, stream),
            }
        }
    }
}

pub fn run(gpu: &Gpu, report: &mut Report) -> Result<(), Error> {
    let _current = gpu.context.enter()?;
    let mut random = Random::new(20);
    let [mut plain, mut replaced] = [DeviceBuffer::new(&gpu.context, BYTES)?, DeviceBuffer::new(&gpu.context, BYTES)?];
    for number in 0..match gpu.effort {
        super::Effort::All => 200,
        _ => 20,
    } {
        let fills: Vec<_> = (0..3).map(|_| Fill::random(&mut random)).filter(|fill| fill.width > 0).collect();
        plain.fill(0xa5, &gpu.stream)?;
        replaced.fill(0xa5, &gpu.stream)?;
        let queue = |buffer: &DeviceBuffer| {
            fills.iter().map(|fill| fill.queue(gpu, buffer)).all(|result| result == CUresult::CUDA_SUCCESS)
        };
        assert!(queue(&plain), "{fills:?}");
        let mut captured = gpu.stream.capture(|| {
            assert!(queue(&replaced), "{fills:?}");
            Ok::<_, Error>(())
        })?;
        let count = captured.replace_fills(&gpu.kernels)?;
        let mut graph = captured.instantiate()?;
        // SAFETY: the buffer lives until its download below.
        unsafe { graph.launch(&gpu.stream) }?;
        let [mut expected, mut found] = [vec![0u8; BYTES], vec![0u8; BYTES]];
        plain.download(&mut expected, &gpu.stream)?;
        replaced.download(&mut found, &gpu.stream)?;
        let outcome = if count != fills.len() {
            Err(format!("{count} fills were taken over"))
        } else {
            match expected.iter().zip(&found).position(|(expected, found)| expected != found) {
                None => Ok(()),
                Some(at) => Err(format!("byte {at}: {:#x} instead of {:#x}", found[at], expected[at])),
            }
        };
        report.case(&format!("fills {number}: {fills:?}"), outcome);
    }
    Ok(())
}
