//! Graphs that can be edited, and the executable graphs made from them.

use super::context::Context;
use super::registry::Registry;
use super::status::{Status, refuse};
use super::work::Work;
use cudarc::driver::sys::CUresult::CUDA_ERROR_INVALID_VALUE;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

pub static CAPTURED_GRAPHS: Registry<CapturedGraph> = Registry::new("graph");
pub static GRAPHS: Registry<(usize, Arc<Graph>)> = Registry::new("executable graph");
/// The captured graph of each node.
pub static NODES: Registry<usize> = Registry::new("node of a graph");

#[derive(Clone)]
pub struct Node {
    pub work: Work,
    /// Nodes that run before it: by index in a capture, by handle in a captured graph.
    pub after: Vec<usize>,
}

/// A graph whose nodes can be added and removed by handle.
pub struct CapturedGraph {
    pub handle: usize,
    nodes: Mutex<BTreeMap<usize, Node>>,
}

impl CapturedGraph {
    /// Registers the nodes of a capture as a graph.
    pub fn add(nodes: Vec<Node>) -> Arc<Self> {
        let captured = CAPTURED_GRAPHS.add(|handle| Self { handle, nodes: Mutex::default() });
        let mut handles = Vec::with_capacity(nodes.len());
        for Node { work, after } in nodes {
            let after = after.into_iter().map(|index| handles[index]).collect();
            handles.push(captured.insert(Node { work, after }));
        }
        captured
    }

    pub fn of_node(node: usize) -> Status<Arc<Self>> {
        CAPTURED_GRAPHS.get(*NODES.get(node)?)
    }

    fn insert(&self, node: Node) -> usize {
        let mut handle = 0;
        NODES.add(|new| {
            handle = new;
            self.handle
        });
        self.nodes.lock().insert(handle, node);
        handle
    }

    pub fn handles(&self) -> Vec<usize> {
        self.nodes.lock().keys().copied().collect()
    }

    pub fn node(&self, handle: usize) -> Status<Node> {
        let node = self.nodes.lock().get(&handle).cloned();
        node.map_or_else(|| refuse(CUDA_ERROR_INVALID_VALUE, "a node of another graph"), Ok)
    }

    /// Nodes that depend on the given one.
    pub fn behind(&self, handle: usize) -> Vec<usize> {
        let nodes = self.nodes.lock();
        nodes.iter().filter(|(_, node)| node.after.contains(&handle)).map(|(handle, _)| *handle).collect()
    }

    pub fn add_node(&self, work: Work, after: &[usize]) -> Status<usize> {
        after.iter().try_for_each(|handle| self.node(*handle).map(drop))?;
        Ok(self.insert(Node { work, after: after.to_vec() }))
    }

    pub fn add_edge(&self, from: usize, to: usize) -> Status {
        self.node(from)?;
        match self.nodes.lock().get_mut(&to) {
            Some(node) if !node.after.contains(&from) => {
                node.after.push(from);
                Ok(())
            }
            Some(_) => refuse(CUDA_ERROR_INVALID_VALUE, "an edge that exists already"),
            None => refuse(CUDA_ERROR_INVALID_VALUE, "an edge to a node of another graph"),
        }
    }

    /// Removes a node and its edges.
    pub fn remove_node(&self, handle: usize) -> Status {
        self.node(handle)?;
        let mut nodes = self.nodes.lock();
        nodes.remove(&handle);
        nodes.values_mut().for_each(|node| node.after.retain(|before| *before != handle));
        drop(nodes);
        NODES.remove(handle).map(drop)
    }

    pub fn destroy(&self) {
        NODES.remove_where(|captured| *captured == self.handle);
    }

    /// Orders its work so that every node runs after its dependencies.
    pub fn instantiate(&self) -> Status<Arc<Graph>> {
        let mut open = self.nodes.lock().clone();
        let mut work = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let ready = open.iter().find(|(_, node)| !node.after.iter().any(|before| open.contains_key(before)));
            let Some(handle) = ready.map(|(handle, _)| *handle) else {
                return refuse(CUDA_ERROR_INVALID_VALUE, "a graph with a cycle");
            };
            work.extend(open.remove(&handle).map(|node| node.work));
        }
        Ok(Arc::new(Graph { work, running: Mutex::default() }))
    }
}

/// An executable graph.
pub struct Graph {
    work: Vec<Work>,
    /// One launch at a time.
    running: Mutex<()>,
}

impl Graph {
    /// Runs all nodes; after a failure, events are still reached.
    pub fn run(&self, context: &Context) {
        let _alone = self.running.lock();
        for work in &self.work {
            if let Err(error) = work.run(context) {
                context.fail(error);
            }
        }
    }
}
