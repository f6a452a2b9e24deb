//! Loading the kernels, and launching each with its arguments.

use super::context::Context;
use super::error::Error;
use super::layout::{
    ClassesArgs, DenseArgs, DistributionsArgs, EmbeddingArgs, FillArgs, FinishArgs, MAX_CANDIDATES, MasksArgs,
    ObjectsArgs, OrientedArgs, OverlayArgs, PeaksArgs, PersonArgs, PersonsArgs, PreprocessArgs, QueriesArgs, StageArgs,
};
use super::memory::Table;
use super::stream::CudaStream;
use bytemuck::Pod;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUDA_KERNEL_NODE_PARAMS, CUfunction, CUgraph, CUgraphNode, CUmodule};
use std::ffi::CStr;
use std::sync::Arc;

/// PTX for compute capability 6.0, which `cargo xtask ptx` compiles from the .cu files beside it.
const MEMORY: &CStr = text(concat!(include_str!("kernels/memory.ptx"), "\0"));
const PREPROCESS: &CStr = text(concat!(include_str!("kernels/preprocess.ptx"), "\0"));
const DECODE: &CStr = text(concat!(include_str!("kernels/decode.ptx"), "\0"));
const ORIENTED: &CStr = text(concat!(include_str!("kernels/oriented.ptx"), "\0"));
const QUERIES: &CStr = text(concat!(include_str!("kernels/queries.ptx"), "\0"));
const CLASSIFY: &CStr = text(concat!(include_str!("kernels/classify.ptx"), "\0"));
const KEYPOINTS: &CStr = text(concat!(include_str!("kernels/keypoints.ptx"), "\0"));
const NMS: &CStr = text(concat!(include_str!("kernels/nms.ptx"), "\0"));
const MASKS: &CStr = text(concat!(include_str!("kernels/masks.ptx"), "\0"));
const OVERLAY: &CStr = text(concat!(include_str!("kernels/overlay.ptx"), "\0"));

/// Evaluated at compile time only.
const fn text(ptx: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(ptx.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("PTX has no zero inside"),
    }
}

/// Threads per warp.
const WARP: u32 = 32;
/// Warps per decoding block (SHARES in decode.cu, QUERIES in queries.cu), and lines per preprocessing block.
const WARPS: u32 = 8;
/// Columns per preprocessing block.
const TILE_COLUMNS: u32 = 128;
/// Upper limit of the lines that one thread produces, as in preprocess.cu.
const MOST_ROWS: u32 = 4;
/// Preprocessing blocks resident on a multiprocessor at a time.
const BLOCKS_RESIDENT: u32 = 4;
/// Lines per block, and so per thread, with a filter.
const FILTER_LINES: u32 = 8;
/// Threads per block of the kernel that computes a filter's weights.
const SPANS: u32 = 128;
/// Rows per block of the kernels that decode final objects and oriented boxes.
const OBJECTS: u32 = 128;
/// Threads that read a classifier's scores or a vector.
const VALUES: u32 = 256;
/// Threads per block that reads the maps of a keypoint, or all keypoints of a person.
const PEAKS: u32 = 128;

/// Blocks that share a mask, and warps of each (PARTS and WARPS in masks.cu); objects whose masks are made at a time.
const MASK_PARTS: u32 = 16;
const MASK_WARPS: u32 = 4;
const MASK_OBJECTS: u32 = 32;

/// Width and height of a drawing block in pixels, and its threads.
const OVERLAY_TILE: u32 = 32;
const OVERLAY_THREADS: u32 = 256;

/// Threads per block that copies or fills memory, and the most blocks per row.
const MEMORY_THREADS: u32 = 256;
const MEMORY_BLOCKS: u32 = 256;

/// The loaded modules, which the context keeps. A driver doesn't release all memory of an unloaded module (580: 1.8 KB
/// of host memory and 4.7 KB of device memory for five modules), so pipelines must not load them again and again.
#[derive(Debug)]
pub(super) struct KernelModules {
    functions: Functions,
    #[expect(dead_code, reason = "the functions live in them")]
    modules: [Module; 10],
}

/// The modules' entry points.
#[derive(Debug, Clone, Copy)]
struct Functions {
    stage: CUfunction,
    fill: CUfunction,
    preprocess: CUfunction,
    filter_spans: CUfunction,
    preprocess_filtered: CUfunction,
    decode_columns: CUfunction,
    decode_rows: CUfunction,
    decode_distributions: CUfunction,
    decode_objects: CUfunction,
    decode_queries: CUfunction,
    decode_persons: CUfunction,
    decode_oriented: CUfunction,
    decode_classes: CUfunction,
    embed: CUfunction,
    decode_peaks: CUfunction,
    decode_person: CUfunction,
    finish: CUfunction,
    masks: CUfunction,
    overlay: CUfunction,
}

// SAFETY: several threads may launch a CUfunction at the same time.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl KernelModules {
    fn load(context: &Context) -> Result<Self, Error> {
        let _current = context.enter()?;
        let (preprocess, decode) = (Module::load(context, PREPROCESS)?, Module::load(context, DECODE)?);
        let (nms, overlay) = (Module::load(context, NMS)?, Module::load(context, OVERLAY)?);
        let (memory, queries) = (Module::load(context, MEMORY)?, Module::load(context, QUERIES)?);
        let (oriented, masks) = (Module::load(context, ORIENTED)?, Module::load(context, MASKS)?);
        let classify = Module::load(context, CLASSIFY)?;
        let keypoints = Module::load(context, KEYPOINTS)?;
        let functions = Functions {
            stage: memory.function(context, c"stage")?,
            fill: memory.function(context, c"fill")?,
            preprocess: preprocess.function(context, c"preprocess")?,
            filter_spans: preprocess.function(context, c"filter_spans")?,
            preprocess_filtered: preprocess.function(context, c"preprocess_filtered")?,
            decode_columns: decode.function(context, c"decode_columns")?,
            decode_rows: decode.function(context, c"decode_rows")?,
            decode_distributions: decode.function(context, c"decode_distributions")?,
            decode_objects: decode.function(context, c"decode_objects")?,
            decode_queries: queries.function(context, c"decode_queries")?,
            decode_persons: decode.function(context, c"decode_persons")?,
            decode_oriented: oriented.function(context, c"decode_oriented")?,
            decode_classes: classify.function(context, c"decode_classes")?,
            embed: classify.function(context, c"embed")?,
            decode_peaks: keypoints.function(context, c"decode_peaks")?,
            decode_person: keypoints.function(context, c"decode_person")?,
            finish: nms.function(context, c"finish")?,
            masks: masks.function(context, c"masks")?,
            overlay: overlay.function(context, c"overlay")?,
        };
        Ok(Self {
            functions,
            modules: [memory, preprocess, decode, queries, keypoints, oriented, classify, nms, masks, overlay],
        })
    }
}

/// The kernels, loaded in a context.
#[derive(Debug)]
pub struct Kernels {
    functions: Functions,
    multiprocessors: u32,
    context: Arc<Context>,
}

impl Kernels {
    /// Returns the context's kernels, and loads them on first use.
    ///
    /// # Errors
    /// The driver can't compile the kernels for the device.
    pub fn of(context: &Arc<Context>) -> Result<Arc<Self>, Error> {
        let mut modules = context.modules.lock();
        let functions = match &*modules {
            Some(modules) => modules.functions,
            None => modules.insert(KernelModules::load(context)?).functions,
        };
        Ok(Arc::new(Self {
            functions,
            multiprocessors: context.multiprocessors()?.max(1),
            context: Arc::clone(context),
        }))
    }

    /// The context in which the kernels are loaded.
    #[inline]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Copies tables to the device.
    ///
    /// # Safety
    /// As for `preprocess`, for both addresses of each table.
    pub(super) unsafe fn stage(&self, stream: &CudaStream, tables: [Table; 2]) -> Result<(), Error> {
        let most = tables.iter().map(|table| table.units).max().unwrap_or(0);
        let args = StageArgs {
            from: tables.map(|table| table.from),
            to: tables.map(|table| table.to),
            units: tables.map(|table| table.units),
        };
        // SAFETY: the caller guarantees it.
        unsafe {
            self.launch(self.functions.stage, stream, [most.div_ceil(MEMORY_THREADS), 1, 1], [MEMORY_THREADS, 1], args)
        }
    }

    /// Adds a node that fills memory after the nodes in `after`. The kernels' context must be current.
    ///
    /// # Safety
    /// The rows are device memory of this context and stay allocated as long as the graph is launched.
    pub(super) unsafe fn add_fill(
        &self,
        graph: CUgraph,
        after: &[CUgraphNode],
        mut args: FillArgs,
    ) -> Result<CUgraphNode, Error> {
        let blocks = |wanted: u64| u32::try_from(wanted).unwrap_or(MEMORY_BLOCKS).clamp(1, MEMORY_BLOCKS);
        let mut parameters = [(&raw mut args).cast()];
        let node = CUDA_KERNEL_NODE_PARAMS {
            func: self.functions.fill,
            gridDimX: blocks(args.width.div_ceil(u64::from(MEMORY_THREADS))),
            gridDimY: blocks(args.rows),
            gridDimZ: 1,
            blockDimX: MEMORY_THREADS,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            kernelParams: parameters.as_mut_ptr(),
            extra: std::ptr::null_mut(),
        };
        let mut made: CUgraphNode = std::ptr::null_mut();
        // SAFETY: the call writes one handle; the function takes one parameter of that type, which the driver copies
        // before it returns; the nodes belong to the graph.
        let result = unsafe { sys::cuGraphAddKernelNode(&mut made, graph, after.as_ptr(), after.len(), &node) };
        self.context.check("cuGraphAddKernelNode", result.result())?;
        Ok(made)
    }

    /// # Safety
    /// The addresses in `args` point to device memory of this context that is as large as layout.rs and the tensor's
    /// size say and stays allocated until the launch has run.
    pub(super) unsafe fn preprocess(&self, stream: &CudaStream, args: PreprocessArgs, batch: u32) -> Result<(), Error> {
        let columns = args.width.div_ceil(TILE_COLUMNS);
        let tiles = |rows: u32| columns * args.height.div_ceil(WARPS * rows) * batch;
        // Starting a block has a cost, so each thread produces several lines as long as the grid still fills the
        // device.
        let mut rows = 1;
        while rows < MOST_ROWS && tiles(rows) > self.multiprocessors * BLOCKS_RESIDENT {
            rows *= 2;
        }
        let grid = [columns, args.height.div_ceil(WARPS * rows), batch];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.preprocess, stream, grid, [WARP, WARPS], PreprocessArgs { rows, ..args }) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the spans of each slot.
    pub(super) unsafe fn preprocess_filtered(
        &self,
        stream: &CudaStream,
        args: PreprocessArgs,
        batch: u32,
    ) -> Result<(), Error> {
        let spans = [(args.width + args.height).div_ceil(SPANS), batch, 1];
        let grid = [args.width.div_ceil(TILE_COLUMNS), args.height.div_ceil(FILTER_LINES), batch];
        // SAFETY: the caller guarantees it.
        unsafe {
            self.launch(self.functions.filter_spans, stream, spans, [SPANS, 1], args)?;
            self.launch(self.functions.preprocess_filtered, stream, grid, [TILE_COLUMNS, 1], args)
        }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes.
    pub(super) unsafe fn decode_columns(&self, stream: &CudaStream, args: DenseArgs, batch: u32) -> Result<(), Error> {
        let grid = [args.anchors.div_ceil(WARP), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_columns, stream, grid, [WARP, WARPS], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes.
    pub(super) unsafe fn decode_rows(&self, stream: &CudaStream, args: DenseArgs, batch: u32) -> Result<(), Error> {
        let grid = [args.anchors.div_ceil(WARPS), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_rows, stream, grid, [WARP, WARPS], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes.
    pub(super) unsafe fn decode_distributions(
        &self,
        stream: &CudaStream,
        args: DistributionsArgs,
        batch: u32,
    ) -> Result<(), Error> {
        let levels = args.levels.iter().take(args.level_count as usize);
        let anchors: u32 = levels.map(|level| level.anchors).sum();
        let grid = [anchors.div_ceil(WARPS), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_distributions, stream, grid, [WARP, WARPS], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes.
    pub(super) unsafe fn decode_queries(
        &self,
        stream: &CudaStream,
        args: QueriesArgs,
        batch: u32,
    ) -> Result<(), Error> {
        let grid = [args.queries.div_ceil(WARPS), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_queries, stream, grid, [WARP, WARPS], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn decode_objects(
        &self,
        stream: &CudaStream,
        args: ObjectsArgs,
        batch: u32,
    ) -> Result<(), Error> {
        let grid = [args.rows.div_ceil(OBJECTS), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_objects, stream, grid, [OBJECTS, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn decode_persons(
        &self,
        stream: &CudaStream,
        args: PersonsArgs,
        batch: u32,
    ) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_persons, stream, [1, batch, 1], [WARP, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes; `points` has space for the keypoints of `batch` slots.
    pub(super) unsafe fn decode_peaks(&self, stream: &CudaStream, args: PeaksArgs, batch: u32) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_peaks, stream, [args.keypoints, batch, 1], [PEAKS, 1], args) }
    }

    /// # Safety
    /// As for [`Self::decode_peaks`].
    pub(super) unsafe fn decode_person(&self, stream: &CudaStream, args: PersonArgs, batch: u32) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_person, stream, [1, batch, 1], [PEAKS, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn decode_oriented(
        &self,
        stream: &CudaStream,
        args: OrientedArgs,
        batch: u32,
    ) -> Result<(), Error> {
        let grid = [args.anchors.div_ceil(OBJECTS), batch, 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_oriented, stream, grid, [OBJECTS, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn decode_classes(
        &self,
        stream: &CudaStream,
        args: ClassesArgs,
        batch: u32,
    ) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.decode_classes, stream, [1, batch, 1], [VALUES, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn embed(&self, stream: &CudaStream, args: EmbeddingArgs, batch: u32) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.embed, stream, [1, batch, 1], [VALUES, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the output's shape.
    pub(super) unsafe fn finish(&self, stream: &CudaStream, args: FinishArgs, batch: u32) -> Result<(), Error> {
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.finish, stream, [batch, 1, 1], [MAX_CANDIDATES as u32, 1], args) }
    }

    /// # Safety
    /// As for [`Self::preprocess`], with the outputs' shapes.
    pub(super) unsafe fn masks(&self, stream: &CudaStream, args: MasksArgs, batch: u32) -> Result<(), Error> {
        let grid = [MASK_PARTS, MASK_OBJECTS, batch];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.masks, stream, grid, [MASK_WARPS * WARP, 1], args) }
    }

    /// Queues the drawing of shapes into a frame.
    ///
    /// # Errors
    /// A device failure.
    ///
    /// # Safety
    /// The addresses of the frame's planes, the shapes and the atlas point to device memory of this context that is as
    /// large as `args` says and stays allocated until the launch has run.
    pub unsafe fn overlay(&self, stream: &CudaStream, args: OverlayArgs) -> Result<(), Error> {
        let tiles = |size: i32| size.max(0).unsigned_abs().div_ceil(OVERLAY_TILE);
        let grid = [tiles(args.width), tiles(args.height), 1];
        // SAFETY: the caller guarantees it.
        unsafe { self.launch(self.functions.overlay, stream, grid, [OVERLAY_THREADS, 1], args) }
    }

    /// # Safety
    /// `function` takes one `T`, and the addresses in it are valid for the kernel.
    unsafe fn launch<T: Pod>(
        &self,
        function: CUfunction,
        stream: &CudaStream,
        grid: [u32; 3],
        block: [u32; 2],
        mut args: T,
    ) -> Result<(), Error> {
        if grid.contains(&0) {
            return Ok(());
        }
        let _current = self.context.enter()?;
        let mut parameters = [(&raw mut args).cast()];
        let ([x, y, z], [columns, rows]) = (grid, block);
        // SAFETY: the function takes one parameter of that type, which the driver copies before it returns; no shared
        // memory beyond what the kernel declares; the context is current.
        let result =
            unsafe { result::launch_kernel(function, (x, y, z), (columns, rows, 1), 0, stream.raw(), &mut parameters) };
        self.context.check("cuLaunchKernel", result)
    }
}

/// The module of one PTX file. Its context must be current when it is dropped.
#[derive(Debug)]
struct Module(CUmodule);

impl Module {
    /// `context` must be current.
    fn load(context: &Context, ptx: &CStr) -> Result<Self, Error> {
        // SAFETY: the text is zero-terminated, as the driver requires; the context is current.
        let result = unsafe { result::module::load_data(ptx.as_ptr().cast()) };
        context.check("cuModuleLoadData", result).map(Self)
    }

    /// `context` must be the module's context, and current.
    fn function(&self, context: &Context, name: &CStr) -> Result<CUfunction, Error> {
        // SAFETY: the module lives and its context is current.
        let result = unsafe { result::module::get_function(self.0, name.to_owned()) };
        context.check(&format!("cuModuleGetFunction({})", name.to_string_lossy()), result)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: we own the module and unload it once. A destructor can't report an error.
        let _ = unsafe { result::module::unload(self.0) };
    }
}
