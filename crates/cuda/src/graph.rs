//! CUDA graphs: captured work that is launched as a whole.

use super::context::Context;
use super::error::Error;
use super::kernels::Kernels;
use super::layout::FillArgs;
use super::stream::CudaStream;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{
    self, CUDA_MEMSET_NODE_PARAMS, CUgraph, CUgraphExec, CUgraphInstantiate_flags, CUgraphNode, CUgraphNodeType,
    CUresult,
};
use std::sync::Arc;

/// A graph captured from a stream and not yet instantiated.
#[derive(Debug)]
pub struct CapturedGraph {
    context: Arc<Context>,
    handle: CUgraph,
}

impl CapturedGraph {
    /// Takes ownership of a graph that was captured in `context`.
    pub(super) fn new(context: &Arc<Context>, handle: CUgraph) -> Self {
        Self { context: Arc::clone(context), handle }
    }

    /// Replaces memset nodes (TensorRT records dozens for a large batch) with kernels, and returns their number. Each
    /// memset node costs the host a microsecond or two per launch; a graph of kernels costs the same however many it
    /// has.
    ///
    /// # Errors
    /// A driver call failed; the captured graph must not be used after that.
    pub fn replace_fills(&mut self, kernels: &Kernels) -> Result<usize, Error> {
        let _current = self.context.enter()?;
        let mut replaced = 0;
        for node in self.nodes()? {
            let mut kind = CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY;
            // SAFETY: the call writes one number; the node belongs to this graph.
            self.check("cuGraphNodeGetType", unsafe { sys::cuGraphNodeGetType(node, &mut kind) }.result())?;
            if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMSET {
                self.replace_fill(node, kernels)?;
                replaced += 1;
            }
        }
        Ok(replaced)
    }

    fn replace_fill(&self, node: CUgraphNode, kernels: &Kernels) -> Result<(), Error> {
        let mut fill = CUDA_MEMSET_NODE_PARAMS { dst: 0, pitch: 0, value: 0, elementSize: 0, width: 0, height: 0 };
        // SAFETY: the call writes one structure; the memset node belongs to this graph.
        let result = unsafe { sys::cuGraphMemsetNodeGetParams(node, &mut fill) }.result();
        self.check("cuGraphMemsetNodeGetParams", result)?;
        // SAFETY: both calls write at most that many nodes, and the count.
        let before = self.list("cuGraphNodeGetDependencies", |nodes, count| unsafe {
            sys::cuGraphNodeGetDependencies(node, nodes, count)
        })?;
        // SAFETY: as above.
        let behind = self.list("cuGraphNodeGetDependentNodes", |nodes, count| unsafe {
            sys::cuGraphNodeGetDependentNodes(node, nodes, count)
        })?;
        // SAFETY: the kernel writes the memory that the memset node would have written.
        let kernel = unsafe { kernels.add_fill(self.handle, &before, fill_of(&fill)) }?;
        let from = vec![kernel; behind.len()];
        // SAFETY: the nodes belong to this graph, and both arrays have the same length.
        let result = unsafe { sys::cuGraphAddDependencies(self.handle, from.as_ptr(), behind.as_ptr(), behind.len()) };
        self.check("cuGraphAddDependencies", result.result())?;
        // SAFETY: the node belongs to this graph and is destroyed once, together with its edges.
        self.check("cuGraphDestroyNode", unsafe { sys::cuGraphDestroyNode(node) }.result())
    }

    fn nodes(&self) -> Result<Vec<CUgraphNode>, Error> {
        // SAFETY: the call writes at most that many nodes, and the count.
        self.list("cuGraphGetNodes", |nodes, count| unsafe { sys::cuGraphGetNodes(self.handle, nodes, count) })
    }

    /// Makes the driver call twice: first for the number of nodes, then for the nodes.
    fn list(
        &self,
        what: &str,
        ask: impl Fn(*mut CUgraphNode, *mut usize) -> CUresult,
    ) -> Result<Vec<CUgraphNode>, Error> {
        let mut count = 0;
        self.check(what, ask(std::ptr::null_mut(), &mut count).result())?;
        let mut nodes = vec![std::ptr::null_mut(); count];
        if count > 0 {
            self.check(what, ask(nodes.as_mut_ptr(), &mut count).result())?;
            nodes.truncate(count);
        }
        Ok(nodes)
    }

    fn check<T>(&self, what: &str, result: Result<T, DriverError>) -> Result<T, Error> {
        self.context.check(what, result)
    }

    /// Makes the graph ready for launches.
    ///
    /// # Errors
    /// The device is out of memory or failed.
    pub fn instantiate(&self) -> Result<Graph, Error> {
        let _current = self.context.enter()?;
        // SAFETY: the captured graph lives.
        let made = unsafe { result::graph::instantiate(self.handle, CUgraphInstantiate_flags(0)) };
        let handle = self.check("cuGraphInstantiate", made)?;
        Ok(Graph { context: Arc::clone(&self.context), handle })
    }
}

impl Drop for CapturedGraph {
    fn drop(&mut self) {
        // SAFETY: we own the graph and destroy it once; graphs instantiated from it don't need it.
        let _ = unsafe { result::graph::destroy(self.handle) };
    }
}

/// Describes the same fill with the widest elements that the rows' alignment and size allow.
fn fill_of(fill: &CUDA_MEMSET_NODE_PARAMS) -> FillArgs {
    let (rows, element) = (fill.height.max(1) as u64, u64::from(fill.elementSize.max(1)));
    // The pitch of a single row is meaningless and must not limit the alignment.
    let pitch = if rows > 1 { fill.pitch as u64 } else { 0 };
    let value = match element {
        1 => (fill.value & 0xff) * 0x0101_0101,
        2 => (fill.value & 0xffff) * 0x0001_0001,
        _ => fill.value,
    };
    let bytes = fill.width as u64 * element;
    let whole = |size: u64| [fill.dst, pitch, bytes].iter().all(|part| part.is_multiple_of(size));
    let element = [16, 4].into_iter().find(|size| whole(*size)).unwrap_or(element);
    FillArgs { to: fill.dst, pitch, width: bytes / element, rows, value, element: element as u32 }
}

/// An instantiated graph: captured work that is launched as a whole.
///
/// The memory that its kernels and copies use must outlive it; the code that captures the graph is responsible for
/// that.
#[derive(Debug)]
pub struct Graph {
    context: Arc<Context>,
    handle: CUgraphExec,
}

// SAFETY: any thread may use a CUgraphExec, one at a time, which `launch` ensures by taking `&mut self`.
unsafe impl Send for Graph {}

impl Graph {
    /// Queues the graph's work on a stream.
    ///
    /// # Errors
    /// A device failure.
    ///
    /// # Safety
    /// All memory that the captured work uses is still allocated.
    pub unsafe fn launch(&mut self, stream: &CudaStream) -> Result<(), Error> {
        let _current = self.context.enter()?;
        // SAFETY: both handles live; the context is current; the caller vouches for the memory.
        self.context.check("cuGraphLaunch", unsafe { result::graph::launch(self.handle, stream.raw()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: we own the graph and destroy it once; the driver keeps what is still running. A destructor can't
        // report an error.
        let _ = unsafe { result::graph::exec_destroy(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(dst: u64, pitch: usize, value: u32, size: u32, width: usize, height: usize) -> FillArgs {
        fill_of(&CUDA_MEMSET_NODE_PARAMS { dst, pitch, value, elementSize: size, width, height })
    }

    #[test]
    fn fills_are_as_wide_as_their_rows_allow() {
        let of = |args: FillArgs| (args.pitch, args.width, args.rows, args.value, args.element);
        assert_eq!(of(fill(0x1000, 0, 0x1ab, 1, 64, 1)), (0, 4, 1, 0xabab_abab, 16));
        assert_eq!(of(fill(0x1000, 7, 0xab, 1, 20, 1)), (0, 5, 1, 0xabab_abab, 4), "one row has no pitch");
        assert_eq!(of(fill(0x1001, 0, 0xab, 1, 64, 1)), (0, 64, 1, 0xabab_abab, 1), "begins between words");
        assert_eq!(of(fill(0x1000, 0, 0x1_1234, 2, 3, 1)), (0, 3, 1, 0x1234_1234, 2), "ends between words");
        assert_eq!(of(fill(0x1000, 32, 9, 4, 4, 3)), (32, 1, 3, 9, 16));
        assert_eq!(of(fill(0x1000, 36, 9, 4, 4, 3)), (36, 4, 3, 9, 4), "rows lie between");
        assert_eq!(of(fill(0x1000, 0, 9, 4, 0, 1)), (0, 0, 1, 9, 16));
    }
}
