//! The kernels' times, compared with the limits of the GPU's memory bandwidth.

use crate::common::random::Random;
use crate::drawing::{Canvas, record};
use crate::heads::{self, Bench, Crowd, Model, Slot, obb, outputs};
use crate::pictures::Picture;
use crate::{Gpu, detectors};
use cuda::{DeviceBuffer, Event, Preprocessor, SlotResult, SlotSource};
use cudarc::driver::result;
use cudarc::driver::sys::CUdevice_attribute;
use gsttensorrt::draw::{Overlay, Style};
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::gpu::Painter;
use model::head::HeadChoice;
use model::video::DeviceFormat;
use model::{ElementType, InputSpec, Interpolation, Letterbox, Params, Rect, Resize};

/// Number of measurements, the median of which counts.
const ROUNDS: usize = 9;
const FRAME: (u32, u32) = (1920, 1080);

pub fn run(gpu: &Gpu) -> Result<(), Error> {
    let bandwidth = copy_bandwidth(gpu)?;
    let (major, minor) = gpu.context.compute_capability()?;
    println!(
        "\n{}, compute capability {major}.{minor}, L2 {} MiB, copy bandwidth {:.0} GB/s (read + written)\n",
        gpu.context.device_name()?,
        cache_size(gpu) >> 20,
        bandwidth / 1e9
    );
    println!("Replayed from a graph; plain: the same launches one by one, where that is measured.\n");
    println!("| kernels | slots | µs a launch | µs a frame | plain, µs | limit | |");
    println!("|---|---|---|---|---|---|---|");
    for (format, size, limits) in [
        (DeviceFormat::Nv12, FRAME, &[(1, Some(10.0)), (8, None), (16, Some(3.0))][..]),
        (DeviceFormat::P010, FRAME, &[(16, None)]),
        (DeviceFormat::Rgba, FRAME, &[(16, None)]),
        (DeviceFormat::Nv12, (1280, 720), &[(1, None), (16, None)]),
    ] {
        for &(batch, limit) in limits {
            preprocessing(gpu, bandwidth, (format, size), Resize::LETTERBOX, batch, limit)?;
        }
    }
    for resize in [Resize::STRETCH.antialiased(), Resize::STRETCH.cubic()] {
        for batch in [1, 8] {
            preprocessing(gpu, bandwidth, (DeviceFormat::Nv12, FRAME), resize, batch, None)?;
        }
    }
    postprocessing(gpu)?;
    masks(gpu)?;
    drawing(gpu)
}

fn row(name: &str, batch: usize, time: f32, plain: Option<f32>, limit: Option<(f32, &str)>) {
    let frame = time / batch as f32;
    let (limit, verdict) = match limit {
        Some((most, what)) => (format!("{what} ({most:.1} µs)"), if time <= most { "met" } else { "MISSED" }),
        None => ("".into(), ""),
    };
    let plain = plain.map(|time| format!("{time:.1}")).unwrap_or_default();
    println!("| {name} | {batch} | {time:.1} | {frame:.2} | {plain} | {limit} | {verdict} |");
}

/// Microseconds of one of the `launches` that `work` queues; captured, so that launching takes no host time.
fn time(gpu: &Gpu, launches: usize, work: impl FnOnce() -> Result<(), cuda::Error>) -> Result<f32, Error> {
    let mut graph = gpu.stream.capture(work)?.instantiate()?;
    // SAFETY: the captured work belongs to the callers, who wait for its result.
    repeat(gpu, launches, || unsafe { graph.launch(&gpu.stream) })
}

/// Like [`time`], for work that is queued each time instead of captured.
fn repeat(gpu: &Gpu, launches: usize, mut work: impl FnMut() -> Result<(), cuda::Error>) -> Result<f32, Error> {
    let (start, end) = (Event::timed(&gpu.context)?, Event::timed(&gpu.context)?);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        start.record(&gpu.stream)?;
        work()?;
        end.record(&gpu.stream)?;
        end.synchronise()?;
        times.push(1000.0 * end.milliseconds_since(&start)? / launches as f32);
    }
    times.sort_by(f32::total_cmp);
    Ok(times[ROUNDS / 2])
}

/// Bytes per second, read and written ones.
fn copy_bandwidth(gpu: &Gpu) -> Result<f32, Error> {
    let bytes = 8 * cache_size(gpu).max(32 << 20);
    let (source, target) = (DeviceBuffer::new(&gpu.context, bytes)?, DeviceBuffer::new(&gpu.context, bytes)?);
    let copies = 10;
    let copy = || {
        let _current = gpu.context.enter()?;
        // SAFETY: both buffers have that many bytes, and their drops wait for the device.
        let queued =
            unsafe { result::memcpy_dtod_async(target.address(), source.address(), bytes, gpu.stream.handle().cast()) };
        queued.map_err(|error| cuda::Error::new(cuda::ErrorKind::Failed, format!("cuMemcpyDtoDAsync: {error}")))
    };
    let time = time(gpu, copies, || (0..copies).try_for_each(|_| copy()))?;
    Ok(2.0 * bytes as f32 / (time * 1e-6))
}

/// Bytes of the second-level cache.
fn cache_size(gpu: &Gpu) -> usize {
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
    let device = result::device::get(gpu.context.device().cast_signed()).expect("the device in use");
    // SAFETY: the device exists.
    let bytes = unsafe { result::device::get_attribute(device, attribute) }.expect("every device has this attribute");
    bytes.cast_unsigned() as usize
}

/// One launch for a batch, with different buffers each time that together exceed the second-level cache four times.
fn preprocessing(
    gpu: &Gpu,
    bandwidth: f32,
    (format, size): (DeviceFormat, (u32, u32)),
    resize: Resize,
    batch: usize,
    limit: Option<f32>,
) -> Result<(), Error> {
    let mut random = Random::new(3);
    let model = Model::new("yolo", ([1, 3, 640, 640], ElementType::F16), &[&[1, 84, 8400]]);
    let spec = &InputSpec { resize, ..model.spec };
    let image = spec.elements() * spec.element.size();
    let region = Rect::new(0.0, 0.0, size.0 as f32, size.1 as f32);
    let read = bytes_read(format, region, spec);
    let set = batch * (read + image);
    let sets = (4 * cache_size(gpu).max(1 << 20)).div_ceil(set).clamp(2, 600) + 1;
    let mut lanes = Vec::new();
    for _ in 0..sets {
        let mut lane = Preprocessor::new(&gpu.context, &gpu.kernels, spec, batch)?;
        let mut pictures = Vec::new();
        for slot in 0..batch {
            let picture = Picture::new(gpu, &mut random, format, size)?;
            lane.set(slot, &SlotSource::picture(&picture.device, region, spec)?)?;
            pictures.push(picture);
        }
        lanes.push((lane, DeviceBuffer::new(&gpu.context, batch * image)?, pictures));
    }
    let launches = sets.max(50);
    let work = || {
        lanes.iter().cycle().take(launches).try_for_each(|(lane, tensor, _)| {
            // SAFETY: the tensor fits the batch; everything lives until the measurement is over.
            unsafe { lane.enqueue(&gpu.stream, tensor.address(), None, batch) }
        })
    };
    let (time, plain) = (time(gpu, launches, work)?, repeat(gpu, launches, work)?);
    let needed = set as f32 / bandwidth * 1e6;
    let resized = if resize == Resize::LETTERBOX { String::new() } else { format!(" {resize}") };
    let name = format!("{format:?} {}×{} to 640×640 F16{resized} ({needed:.1} µs for its bytes)", size.0, size.1);
    let limit = limit.map(|limit| match batch {
        1 => (limit, "10 µs"),
        _ => (limit * needed, "3 × its bytes"),
    });
    row(&name, batch, time, Some(plain), limit);
    Ok(())
}

/// Bytes of the rows that are read.
fn bytes_read(format: DeviceFormat, region: Rect, spec: &InputSpec) -> usize {
    let lines = (Letterbox::new(region, spec).height as usize).min(region.h as usize);
    // Antialiasing reads all.
    let lines = if spec.resize.interpolation == Interpolation::Antialiased { region.h as usize } else { lines };
    // Between two lines of the target there are three of the source, or two that both count.
    let lines = if region.h as usize == 3 * lines { lines } else { (2 * lines).min(region.h as usize) };
    let width = region.w as usize;
    match format {
        // Each luma row has its own chroma row, up to the total.
        DeviceFormat::Nv12 | DeviceFormat::I420 => width * lines + width * lines.min(region.h as usize / 2),
        DeviceFormat::P010 => 2 * (width * lines + width * lines.min(region.h as usize / 2)),
        DeviceFormat::Rgba | DeviceFormat::Bgra => 4 * width * lines,
    }
}

/// Decoding and suppression of every head's outputs at full size.
fn postprocessing(gpu: &Gpu) -> Result<(), Error> {
    let square = ([1, 3, 640, 640], ElementType::F32);
    let yolo = Model::new("yolo 84×8400", square, &[&[1, 84, 8400]]);
    let pose = Model::new("yolo-pose 56×8400", square, &[&[1, 56, 8400]]);
    let usual = |anchors: f32| Crowd::Some(200.0 / anchors);
    for (batch, crowd, limit) in [
        (1, usual(8400.0), Some(ALONE)),
        (8, usual(8400.0), Some((8.0 * 15.0, "15 µs a frame"))),
        (16, usual(8400.0), None),
        (1, Crowd::All, None),
        (8, Crowd::All, None),
    ] {
        decoding(gpu, &yolo, crowd, batch, limit)?;
    }
    let aerial = ([1, 3, 1024, 1024], ElementType::F32);
    let oriented = Model::with_metadata("yolo-obb 20×21504", aerial, &[&[1, 20, 21504]], obb(15));
    for model in [pose, oriented].into_iter().chain(detectors::full_size()) {
        // An object in three queries, or 200 of more anchors.
        let rows = model.shapes.iter().flat_map(|shape| shape.iter()).copied().max().unwrap_or(1);
        let crowd = if rows <= 1000 { Crowd::Some(0.3) } else { usual(rows as f32) };
        decoding(gpu, &model, crowd, 1, Some(ALONE))?;
        decoding(gpu, &model, crowd, 8, Some((8.0 * 20.0, "20 µs a frame")))?;
    }
    for (name, outputs, head) in [
        ("simcc, 133 keypoints", &[("simcc_x", &[1, 133, 384][..]), ("simcc_y", &[1, 133, 512])][..], HeadChoice::Auto),
        ("heatmap-udp 17×64×48", &[("output", &[1, 17, 64, 48])], HeadChoice::HeatmapUdp),
    ] {
        let model = heads::pose(name, outputs, head);
        decoding(gpu, &model, Crowd::All, 1, Some(ALONE))?;
        decoding(gpu, &model, Crowd::All, 8, Some((8.0 * 20.0, "20 µs a frame")))?;
    }
    Ok(())
}

/// The limit of one frame's decoding and suppression.
const ALONE: (f32, &str) = (60.0, "60 µs");

fn decoding(gpu: &Gpu, model: &Model, crowd: Crowd, batch: usize, limit: Option<(f32, &str)>) -> Result<(), Error> {
    let (time, found, _) = decoded(gpu, model, ElementType::F32, crowd, batch)?;
    let name =
        format!("decode + NMS {}, {} candidates, {} objects", model.name, found.candidates, found.detections.len());
    row(&name, batch, time, None, limit);
    Ok(())
}

/// The time of a launch of all that follows a model, in microseconds, the first image's results, and their size in bytes.
fn decoded(
    gpu: &Gpu,
    model: &Model,
    element: ElementType,
    crowd: Crowd,
    batch: usize,
) -> Result<(f32, SlotResult, usize), Error> {
    let mut random = Random::new(4);
    let mut bench = Bench::new(gpu, model, element, batch)?;
    let mut images: Vec<_> = (0..batch).map(|_| outputs(model, &mut random, crowd, false)).collect();
    bench.fill(gpu, &mut images)?;
    let slot = Slot::new(Params::default(), FRAME, Rect::new(0.0, 0.0, FRAME.0 as f32, FRAME.1 as f32), &model.spec);
    for index in 0..batch {
        bench.chain.set(index, slot.settings())?;
    }
    // SAFETY: everything belongs to the bench, which lives until the measurement is over.
    unsafe { bench.lane.enqueue(&gpu.stream, bench.tensor.address(), Some(&bench.chain), batch)? };
    let launches = 50;
    let time = time(gpu, launches, || {
        // SAFETY: as above.
        (0..launches).try_for_each(|_| unsafe { bench.chain.enqueue(&gpu.stream, batch) })
    })?;
    let mut found = SlotResult::default();
    bench.chain.results(0, &mut found)?;
    let bytes = bench.chain.bytes_to_host(&found);
    Ok((time, found, bytes))
}

/// The masks of twenty objects, beyond the time of decoding.
fn masks(gpu: &Gpu) -> Result<(), Error> {
    let square = ([1, 3, 640, 640], ElementType::F32);
    let with = Model::new("yolo-seg end-to-end", square, &[&[1, 300, 38], &[1, 32, 160, 160]]);
    let without = Model::new("yolo end-to-end", square, &[&[1, 300, 6]]);
    let crowd = Crowd::Some(20.0 / 300.0);
    for element in [ElementType::F32, ElementType::F16] {
        for batch in [1, 8] {
            let (boxes, ..) = decoded(gpu, &without, element, crowd, batch)?;
            let (all, found, bytes) = decoded(gpu, &with, element, crowd, batch)?;
            let name = format!("masks 32×160×160 {element:?}, {} objects, {bytes} bytes", found.detections.len());
            row(&name, batch, all - boxes, None, Some((60.0 * batch as f32, "60 µs a frame")));
        }
    }
    Ok(())
}

/// Twenty objects, half of them with skeletons, on a 1080p frame, including the upload of the list.
fn drawing(gpu: &Gpu) -> Result<(), Error> {
    let mut random = Random::new(6);
    let mut overlay = Overlay::new().map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
    let mut painter = Painter::new(&gpu.context, &gpu.kernels)?;
    for format in [DeviceFormat::Nv12, DeviceFormat::Rgba] {
        let canvas = Canvas::new(gpu, &mut random, format, FRAME)?;
        let record = record(&mut random, 20);
        let (start, end) = (Event::timed(&gpu.context)?, Event::timed(&gpu.context)?);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            overlay.draw(painter.begin(&canvas.picture)?, &record, &Style::default());
            start.record(&gpu.stream)?;
            // SAFETY: the planes belong to the canvas, which outlives the synchronise.
            unsafe { painter.enqueue(&canvas.picture, &gpu.stream)? };
            end.record(&gpu.stream)?;
            end.synchronise()?;
            times.push(1000.0 * end.milliseconds_since(&start)?);
        }
        times.sort_by(f32::total_cmp);
        row(&format!("overlay {format:?} 1920×1080, 20 objects, with launching"), 1, times[ROUNDS / 2], None, None);
    }
    Ok(())
}
