//! The parts of transformers that FP16 can't hold.
//!
//! Products of queries and keys, and squares in normalisations, exceed 65504 in trained models; an inverse sigmoid
//! divides by up to 1e-5; the reference points and sampling grids of deformable attention lose the precision that an
//! object's edge needs. A model without any normalisation over channels and without `GridSample` has no such parts: the
//! attention in the convolutional detectors is left in FP16.

use super::super::proto::{Graph, Node, data_type};
use super::super::types::{is_standard, value_types};
use super::{External, MOVE, Reason, WEIGHTED, choose, constants, id, is_expectation};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Normalisations as one operator.
const NORMALISATIONS: [&str; 5] = [
    "LayerNormalization",
    "SimplifiedLayerNormalization",
    "RMSNormalization",
    "GroupNormalization",
    "InstanceNormalization",
];

/// Operators that a score passes between the product of queries and keys and the softmax.
const ON_SCORES: [&str; 8] = ["Add", "Sub", "Mul", "Div", "Where", "Cast", "Clip", "Max"];

/// Operators that turn a variance into the normalised value.
const ON_VARIANCE: [&str; 10] = ["Add", "Sqrt", "Rsqrt", "Reciprocal", "Div", "Mul", "Pow", "Cast", "Clip", "Max"];

/// The names of the nodes that can run in FP16 and stay FP32, by [`id`].
///
/// # Errors
/// As for [`super::convert`].
pub fn sensitive(graph: &Graph, external: &External<'_>) -> Result<BTreeSet<String>, Reason> {
    let types = value_types(graph);
    let is_float = |name: &str| types.get(name) == Some(&data_type::FLOAT);
    let constants = constants(graph, &is_float);
    let search = Search::new(graph, constants.keys().map(String::as_str).collect());
    if !search.is_transformer() {
        return Ok(BTreeSet::new());
    }
    let found = search.all(&|node| is_expectation(node, &search.producing_nodes, &constants));
    let chosen = choose(graph, &is_float, &constants, external)?;
    let kept =
        graph.node.iter().zip(chosen).enumerate().filter(|(index, (_, chosen))| *chosen && found.contains(index));
    Ok(kept.map(|(_, (node, _))| id(node).to_owned()).collect())
}

/// A graph's edges.
struct Search<'a> {
    nodes: &'a [Node],
    producers: HashMap<&'a str, usize>,
    producing_nodes: HashMap<&'a str, &'a Node>,
    consumers: HashMap<&'a str, Vec<usize>>,
    /// FP32 constants, and every other initialiser.
    constants: HashSet<&'a str>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, floats: HashSet<&str>) -> Self {
        let mut search = Self {
            nodes: &graph.node,
            producers: HashMap::new(),
            producing_nodes: HashMap::new(),
            consumers: HashMap::new(),
            constants: graph.initializer.iter().map(|tensor| tensor.name()).collect(),
        };
        for (index, node) in graph.node.iter().enumerate() {
            for input in &node.input {
                search.consumers.entry(input).or_default().push(index);
            }
            for output in &node.output {
                search.producers.insert(output, index);
                search.producing_nodes.insert(output, node);
                if floats.contains(output.as_str()) {
                    search.constants.insert(output);
                }
            }
        }
        search
    }

    fn op(&self, index: usize) -> &'a str {
        self.nodes
            .get(index)
            .filter(|node| is_standard(node) || NORMALISATIONS.contains(&node.op_type()))
            .map_or("", Node::op_type)
    }

    fn inputs(&self, index: usize) -> &'a [String] {
        self.nodes.get(index).map_or(&[], |node| &node.input)
    }

    fn producer(&self, index: usize, input: usize) -> Option<usize> {
        self.inputs(index).get(input).and_then(|name| self.producers.get(name.as_str())).copied()
    }

    /// The nodes whose results a node takes.
    fn before(&self, index: usize) -> impl Iterator<Item = usize> {
        self.inputs(index).iter().filter_map(|name| self.producers.get(name.as_str()).copied())
    }

    /// The nodes that take a node's results.
    fn after(&self, index: usize) -> impl Iterator<Item = usize> {
        let outputs = self.nodes.get(index).map_or(&[][..], |node| &node.output);
        outputs.iter().filter_map(|name| self.consumers.get(name.as_str())).flatten().copied()
    }

    fn indices(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    fn is_transformer(&self) -> bool {
        self.indices().any(|index| match self.op(index) {
            "LayerNormalization" | "SimplifiedLayerNormalization" | "RMSNormalization" | "GridSample" => true,
            _ => self.squares(index).is_some(),
        })
    }

    fn all(&self, is_expectation: &dyn Fn(&Node) -> bool) -> HashSet<usize> {
        let weighted =
            |index: usize| WEIGHTED.contains(&self.op(index)) && !self.nodes.get(index).is_some_and(is_expectation);
        let mut found = HashSet::new();
        for index in self.indices() {
            match self.op(index) {
                op if NORMALISATIONS.contains(&op) => {
                    found.insert(index);
                }
                "Softmax" => self.attention(index, &mut found),
                "GridSample" => {
                    if let Some(grid) = self.producer(index, 1) {
                        self.backwards(grid, &weighted, &mut found);
                    }
                }
                "Log" if self.is_inverse_sigmoid(index) => {
                    self.backwards(index, &weighted, &mut found);
                    self.forwards(index, &weighted, &mut found);
                }
                // Sine embeddings of reference points.
                "Sin" | "Cos" => self.backwards(index, &weighted, &mut found),
                "ReduceL2" | "ReduceSumSquare" => {
                    found.insert(index);
                }
                _ => {
                    if let Some(square) = self.squares(index) {
                        self.normalisation(index, square, &mut found);
                    }
                }
            }
        }
        found
    }

    /// The node that squares, for the mean or sum of squares: a normalisation in single operators.
    fn squares(&self, index: usize) -> Option<usize> {
        if !matches!(self.op(index), "ReduceMean" | "ReduceSum") {
            return None;
        }
        let square = self.producer(index, 0)?;
        let inputs = self.inputs(square);
        let squares = match self.op(square) {
            "Pow" => true,
            "Mul" => inputs.first() == inputs.get(1),
            _ => false,
        };
        squares.then_some(square)
    }

    /// A normalisation in single operators: from the mean that is subtracted to weights and bias.
    fn normalisation(&self, mean: usize, square: usize, found: &mut HashSet<usize>) {
        found.extend([mean, square]);
        let centred = self.producer(square, 0).filter(|index| self.op(*index) == "Sub");
        if let Some(centred) = centred {
            found.insert(centred);
            found.extend(self.producer(centred, 1).filter(|index| self.op(*index) == "ReduceMean"));
        }
        // With each node, whether it is behind the one that combines value and variance.
        let mut ahead = vec![(mean, false)];
        while let Some((index, combined)) = ahead.pop() {
            for next in self.after(index) {
                let (op, here) = (self.op(next), |name: &&String| self.producers.get(name.as_str()) == Some(&index));
                let scales = matches!(op, "Mul" | "Div");
                let by_constant =
                    self.inputs(next).iter().all(|name| here(&name) || self.constants.contains(name.as_str()));
                let weight_or_bias = combined && by_constant && (scales || op == "Add");
                let of_variance = !combined && (by_constant && ON_VARIANCE.contains(&op) || scales);
                if (weight_or_bias || of_variance) && found.insert(next) {
                    ahead.push((next, combined || !by_constant));
                }
            }
        }
    }

    /// The softmax of an attention, and its scores from the product of queries and keys on.
    fn attention(&self, softmax: usize, found: &mut HashSet<usize>) {
        found.insert(softmax);
        let mut behind: Vec<usize> = self.before(softmax).collect();
        let mut seen = HashSet::new();
        while let Some(index) = behind.pop().filter(|index| seen.insert(*index)) {
            let op = self.op(index);
            if ON_SCORES.contains(&op) || MOVE.contains(&op) {
                found.insert(index);
                behind.extend(self.before(index));
            } else if matches!(op, "MatMul" | "Einsum")
                && !self.inputs(index).iter().any(|name| self.constants.contains(name.as_str()))
            {
                found.insert(index);
            }
        }
    }

    /// log(x / (1 - x)), or log(x) - log(1 - x).
    fn is_inverse_sigmoid(&self, log: usize) -> bool {
        self.producer(log, 0).is_some_and(|index| self.op(index) == "Div")
            || self
                .after(log)
                .any(|index| self.op(index) == "Sub" && self.before(index).all(|from| self.op(from) == "Log"))
    }

    /// Everything that leads to a node, up to operators with weights.
    fn backwards(&self, from: usize, weighted: &dyn Fn(usize) -> bool, found: &mut HashSet<usize>) {
        self.follow(from, weighted, found, &|index| self.before(index).collect());
    }

    /// Everything that a node leads to, up to operators with weights.
    fn forwards(&self, from: usize, weighted: &dyn Fn(usize) -> bool, found: &mut HashSet<usize>) {
        self.follow(from, weighted, found, &|index| self.after(index).collect());
    }

    fn follow(
        &self,
        from: usize,
        weighted: &dyn Fn(usize) -> bool,
        found: &mut HashSet<usize>,
        next: &dyn Fn(usize) -> Vec<usize>,
    ) {
        let (mut waiting, mut seen) = (vec![from], HashSet::new());
        while let Some(index) = waiting.pop() {
            let stops = weighted(index)
                || matches!(self.op(index), "" | "TopK" | "GridSample")
                || NORMALISATIONS.contains(&self.op(index));
            if !stops && seen.insert(index) {
                found.insert(index);
                waiting.extend(next(index));
            }
        }
    }
}
