//! Graphs and their nodes.

use super::super::context::current;
use super::super::graph::{CAPTURED_GRAPHS, CapturedGraph, GRAPHS};
use super::super::kernel::{FUNCTIONS, Launch};
use super::super::status::{Status, refuse};
use super::super::stream::by_handle;
use super::super::work::{Fill, Work};
use super::{driver, put, unsupported};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED};
use cudarc::driver::sys::{CUDA_KERNEL_NODE_PARAMS, CUDA_MEMSET_NODE_PARAMS, CUgraphNodeType};
use std::ffi::c_ulonglong;
use std::slice::from_raw_parts;
use std::sync::Arc;

/// Returns a list as the driver does: only the number of elements if there is no array for them.
///
/// # Safety
/// `out` is null or has room for `*count` handles.
unsafe fn put_list(out: *mut usize, count: *mut usize, handles: &[usize]) -> Status {
    if count.is_null() {
        return refuse(CUDA_ERROR_INVALID_VALUE, "a null pointer for a count");
    }
    // SAFETY: the caller's promise.
    unsafe {
        if !out.is_null() {
            let room = handles.len().min(*count);
            out.copy_from_nonoverlapping(handles.as_ptr(), room);
        }
        count.write(handles.len());
    }
    Ok(())
}

driver! {
    fn cuGraphDestroy(graph: usize) {
        CAPTURED_GRAPHS.remove(graph)?.destroy();
        Ok(())
    }

    fn cuGraphInstantiateWithFlags(out: *mut usize, graph: usize, _flags: c_ulonglong) {
        let context = current()?;
        let executable = CAPTURED_GRAPHS.get(graph)?.instantiate()?;
        let mut handle = 0;
        GRAPHS.add(|new| {
            handle = new;
            (context.handle, executable)
        });
        put(out, handle)
    }

    fn cuGraphGetNodes(graph: usize, nodes: *mut usize, count: *mut usize) {
        put_list(nodes, count, &CAPTURED_GRAPHS.get(graph)?.handles())
    }

    fn cuGraphNodeGetType(node: usize, out: *mut CUgraphNodeType) {
        put(out, match CapturedGraph::of_node(node)?.node(node)?.work {
            Work::Kernel(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_KERNEL,
            Work::Copy(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMCPY,
            Work::Fill(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMSET,
            Work::Function(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_HOST,
            Work::Record(..) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_EVENT_RECORD,
            Work::Wait(..) | Work::WaitFor(..) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_WAIT_EVENT,
            Work::Graph(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_GRAPH,
        })
    }

    fn cuGraphMemsetNodeGetParams(node: usize, out: *mut CUDA_MEMSET_NODE_PARAMS) {
        let Work::Fill(Fill { to, pitch, value, width, height }) = CapturedGraph::of_node(node)?.node(node)?.work else {
            return refuse(CUDA_ERROR_INVALID_VALUE, "no memset node");
        };
        let number = value.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        put(out, CUDA_MEMSET_NODE_PARAMS {
            dst: to as u64,
            pitch,
            value: number,
            elementSize: value.len() as u32,
            width,
            height,
        })
    }

    fn cuGraphNodeGetDependencies(node: usize, nodes: *mut usize, count: *mut usize) {
        put_list(nodes, count, &CapturedGraph::of_node(node)?.node(node)?.after)
    }

    fn cuGraphNodeGetDependentNodes(node: usize, nodes: *mut usize, count: *mut usize) {
        put_list(nodes, count, &CapturedGraph::of_node(node)?.behind(node))
    }

    /// The version of CUDA 11, which later drivers also have.
    fn cuGraphAddKernelNode(
        out: *mut usize,
        graph: usize,
        after: *const usize,
        after_count: usize,
        node: *const CUDA_KERNEL_NODE_PARAMS,
    ) {
        let (context, captured) = (current()?, CAPTURED_GRAPHS.get(graph)?);
        let Some(node) = node.as_ref() else { return Err(CUDA_ERROR_INVALID_VALUE) };
        let after = if after_count == 0 { &[] } else { from_raw_parts(after, after_count) };
        let function = FUNCTIONS.get(node.func as usize)?;
        let grid = [node.gridDimX, node.gridDimY, node.gridDimZ];
        let block = [node.blockDimX, node.blockDimY, node.blockDimZ];
        let (parameters, extra) = (node.kernelParams.cast_const().cast(), node.extra.cast_const().cast());
        let launch = Launch::new(&context, &function, grid, block, node.sharedMemBytes, parameters, extra)?;
        put(out, captured.add_node(Work::Kernel(Arc::new(launch)), after)?)
    }

    fn cuGraphAddDependencies(graph: usize, from: *const usize, to: *const usize, count: usize) {
        let captured = CAPTURED_GRAPHS.get(graph)?;
        if count == 0 {
            return Ok(());
        }
        let mut edges = from_raw_parts(from, count).iter().zip(from_raw_parts(to, count));
        edges.try_for_each(|(from, to)| captured.add_edge(*from, *to))
    }

    fn cuGraphDestroyNode(node: usize) {
        CapturedGraph::of_node(node)?.remove_node(node)
    }

    fn cuGraphExecDestroy(graph: usize) {
        GRAPHS.remove(graph).map(drop)
    }

    fn cuGraphUpload(graph: usize, stream: usize) {
        by_handle(stream)?;
        GRAPHS.get(graph).map(drop)
    }

    fn cuGraphLaunch(graph: usize, stream: usize) {
        let stream = by_handle(stream)?;
        let graph = GRAPHS.get(graph)?;
        if graph.0 != stream.context.handle {
            return refuse(CUDA_ERROR_INVALID_VALUE, "a graph is launched in a context other than its own");
        }
        if let Some(capture) = &stream.state().capture {
            capture.invalidate();
            return refuse(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "a graph is launched in a capture");
        }
        stream.add(Work::Graph(Arc::clone(&graph.1)))
    }
}

unsupported! {
    cuGraphExecUpdate_v2 cuGraphCreate cuGraphAddKernelNode_v2
}
