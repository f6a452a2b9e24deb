//! Operations on ONNX files that TensorRT doesn't offer: listing external files, reading metadata, converting to FP16.

mod external;
mod fp16;
mod fp32_nodes;
mod info;
mod proto;
mod types;

pub use external::{ExternalFiles, external_files};
pub use fp32_nodes::{FP32_LIST, fp32_list, read_fp32_list, write_fp32_list};

use super::error::Error;
use model::TensorInfo;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// An ONNX model as stored on disk.
#[derive(Debug)]
pub struct Onnx {
    path: PathBuf,
    bytes: Bytes,
    model: proto::Model,
}

/// A node of a model's graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxNode {
    /// Its first output, whose name is unique in the graph.
    pub output: String,
    /// Its own name, which may be empty.
    pub name: String,
    /// Its operator.
    pub operator: String,
}

impl std::fmt::Display for OnnxNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() { &self.output } else { &self.name };
        write!(f, "{name} ({})", self.operator)
    }
}

impl Onnx {
    /// # Errors
    /// The file can't be read, or isn't ONNX.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let read = || files::regular_file(path).and_then(|()| std::fs::read(path));
        Self::from_bytes(path, read().map_err(|error| Error::file(path, &error))?)
    }

    /// # Errors
    /// The bytes aren't ONNX.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let bad = |reason: String| Error::Model { model: path.into(), reason };
        let bytes = Bytes::from(bytes);
        if bytes.is_empty() {
            return Err(bad("not an ONNX model: it is empty; download or export it again".into()));
        }
        if let Some(what) = files::foreign_format(&bytes) {
            return Err(bad(format!("it {what}")));
        }
        let damaged = |error| bad(format!("not an ONNX model, or not all of it: {error}; download or export it again"));
        let model = proto::Model::decode(bytes.clone()).map_err(damaged)?;
        if model.graph.is_none() {
            return Err(bad("not an ONNX model: it has no graph".into()));
        }
        Ok(Self { path: path.into(), bytes, model })
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's metadata; Ultralytics writes `names`, `task`, `imgsz`, `stride`.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let entries = self.model.metadata_props.iter();
        entries.map(|entry| (entry.key().to_owned(), entry.value().to_owned())).collect()
    }

    /// The version of ONNX's own operators that the model needs.
    pub fn opset(&self) -> Option<i64> {
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        self.model.opset_import.iter().find(|set| own(set.domain())).map(proto::OperatorSet::version)
    }

    /// Height and width for which an Ultralytics model was exported, from its metadata.
    pub fn image_size(&self) -> Option<(u32, u32)> {
        let metadata = self.metadata();
        let numbers = metadata.get("imgsz")?.trim_matches(['[', ']', '(', ')']).split(',');
        let sizes: Vec<u32> = numbers.map(|number| number.trim().parse()).collect::<Result<_, _>>().ok()?;
        match sizes[..] {
            [size] => Some((size, size)),
            [height, width] => Some((height, width)),
            _ => None,
        }
    }

    /// Whether it has `QuantizeLinear` or `DequantizeLinear` nodes, which determine what runs in INT8.
    pub fn is_quantised(&self) -> bool {
        let mut found = false;
        if let Some(graph) = &self.model.graph {
            visit_nodes(graph, &mut |node| found |= fp16::quantises(node));
        }
        found
    }

    /// Converts the model to FP16 up to its last convolution or matrix product; inputs and outputs don't change. The
    /// nodes whose first output is in `fp32` stay FP32.
    ///
    /// # Errors
    /// The weights can't be read.
    pub fn to_fp16(&self, fp32: &BTreeSet<String>) -> Result<Vec<u8>, Error> {
        Ok(self.converted(fp32)?.encode_to_vec())
    }

    /// The model of [`Self::to_fp16`] in a form that a runtime with FP32 kernels alone runs as one with FP16 kernels
    /// does: every FP16 value is rounded. All weights are in it. `outputs` are the model's with the shapes that a runtime
    /// infers, which it can't in this form.
    ///
    /// # Errors
    /// The weights can't be read.
    pub fn simulated_fp16(&self, fp32: &BTreeSet<String>, outputs: &[TensorInfo]) -> Result<Vec<u8>, Error> {
        let mut model = self.converted(fp32)?;
        if let Some(graph) = &mut model.graph {
            fp16::simulate(graph);
            for output in outputs {
                graph.output.iter_mut().filter(|info| info.name() == output.name).for_each(|info| info.declare(output));
            }
            self.embed(graph)?;
        }
        Ok(model.encode_to_vec())
    }

    fn converted(&self, fp32: &BTreeSet<String>) -> Result<proto::Model, Error> {
        // This rejects files outside the model's folder.
        external_files(&self.path, &self.bytes)?;
        let mut model = self.model.clone();
        if let Some(graph) = &mut model.graph {
            fp16::convert(graph, fp32, &|tensor| self.external_data(tensor)).map_err(|reason| self.bad(reason))?;
        }
        Ok(model)
    }

    /// The nodes that can run in FP16, in their order.
    ///
    /// # Errors
    /// As for [`Self::to_fp16`].
    pub fn fp16_nodes(&self) -> Result<Vec<OnnxNode>, Error> {
        let Some(graph) = &self.model.graph else { return Ok(Vec::new()) };
        let nodes = fp16::candidates(graph, &|tensor| self.external_data(tensor)).map_err(|reason| self.bad(reason))?;
        let text = |text: &str| text.to_owned();
        let nodes = nodes.into_iter().map(|node| OnnxNode {
            output: text(fp16::id(node)),
            name: text(node.name()),
            operator: text(node.op_type()),
        });
        Ok(nodes.collect())
    }

    /// The nodes that stay FP32 in an FP16 engine: the parts of transformers that FP16 can't hold, and those that the
    /// [list beside the model](fp32_list) names.
    ///
    /// # Errors
    /// The weights or the list can't be read, or the list is of another model.
    pub fn fp32_nodes(&self) -> Result<BTreeSet<String>, Error> {
        let Some(graph) = &self.model.graph else { return Ok(BTreeSet::new()) };
        let listed = self.listed_fp32_nodes()?;
        let known: BTreeSet<&str> = graph.node.iter().map(fp16::id).collect();
        if let Some(unknown) = listed.iter().find(|name| !known.contains(name.as_str())) {
            return Err(Error::File {
                path: fp32_list(&self.path),
                reason: format!(
                    "it names the output {unknown:?}, which no node of {} has: it's the list of another export; delete it, \
                     and if FP16 isn't exact enough make one by `gst-trt build --verify CLIP --mixed`",
                    self.path.display()
                ),
            });
        }
        let sensitive =
            fp16::sensitive(graph, &|tensor| self.external_data(tensor)).map_err(|reason| self.bad(reason))?;
        Ok(&sensitive | &listed)
    }

    /// The nodes that the [list beside the model](fp32_list) names.
    ///
    /// # Errors
    /// The list can't be read.
    pub fn listed_fp32_nodes(&self) -> Result<BTreeSet<String>, Error> {
        read_fp32_list(&self.path)
    }

    fn bad(&self, reason: String) -> Error {
        Error::Model { model: self.path.clone(), reason }
    }

    /// Replaces references to other files by their content.
    fn embed(&self, graph: &mut proto::Graph) -> Result<(), Error> {
        let load = |tensor: &mut proto::Tensor| {
            if tensor.data_location() == proto::EXTERNAL {
                tensor.raw_data = Some(self.external_data(tensor).map_err(|reason| self.bad(reason))?);
                tensor.data_location = None;
                tensor.external_data.clear();
            }
            Ok(())
        };
        graph.initializer.iter_mut().try_for_each(load)?;
        for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
            attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(load)?;
            attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|inner| self.embed(inner))?;
        }
        Ok(())
    }

    /// Reads the bytes of a tensor in an external file.
    fn external_data(&self, tensor: &proto::Tensor) -> Result<Bytes, String> {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value());
        let location = entry("location").unwrap_or_default();
        let number =
            |key: &str| entry(key).map(str::parse::<u64>).transpose().map_err(|e| format!("{location}: {key}: {e}"));
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.path.parent().unwrap_or(Path::new("")).join(location);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = std::fs::File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(Bytes::from).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Visits every node of a graph and its subgraphs.
fn visit_nodes(graph: &proto::Graph, visit: &mut dyn FnMut(&proto::Node)) {
    for node in &graph.node {
        visit(node);
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            visit_nodes(inner, visit);
        }
    }
}

/// Visits the name of every value in a graph and its subgraphs.
fn visit_names(graph: &proto::Graph, visit: &mut dyn FnMut(&str)) {
    graph.input.iter().chain(&graph.output).for_each(|info| visit(info.name()));
    graph.initializer.iter().for_each(|tensor| visit(tensor.name()));
    for node in &graph.node {
        node.input.iter().chain(&node.output).for_each(|name| visit(name));
        for inner in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            visit_names(inner, visit);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::proto::{Entry, Graph, Model, Tensor};
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry { key: Some(key.into()), value: Some(value.into()) }
    }

    fn model(metadata: Vec<Entry>, locations: &[&str]) -> Onnx {
        let external = |location: &&str| Tensor {
            data_location: Some(proto::EXTERNAL),
            external_data: vec![entry("location", location), entry("offset", "0")],
            ..Tensor::default()
        };
        let graph = Graph { initializer: locations.iter().map(external).collect(), ..Graph::default() };
        let model = Model { graph: Some(graph), metadata_props: metadata, ..Model::default() };
        Onnx::from_bytes(Path::new("/models/a.onnx"), model.encode_to_vec()).unwrap()
    }

    /// A model with an empty graph.
    pub fn model_bytes() -> Vec<u8> {
        model(vec![], &[]).bytes().to_vec()
    }

    /// A model whose weights are in this file.
    pub fn model_with_external(location: &str) -> Vec<u8> {
        model(vec![], &[location]).bytes().to_vec()
    }

    pub fn model_with_metadata(metadata: Option<(&str, &str)>) -> Onnx {
        model(metadata.map(|(key, value)| entry(key, value)).into_iter().collect(), &[])
    }

    #[test]
    fn image_size_is_read_as_ultralytics_writes_it() {
        assert_eq!(model(vec![entry("imgsz", "[480, 640]")], &[]).image_size(), Some((480, 640)));
        assert_eq!(model(vec![entry("imgsz", "320")], &[]).image_size(), Some((320, 320)));
        assert_eq!(model(vec![entry("imgsz", "big")], &[]).image_size(), None);
        assert_eq!(model(vec![], &[]).image_size(), None);
    }

    #[test]
    fn what_is_no_onnx_is_refused() {
        for bytes in [&b""[..], b"not a model at all", &[0; 64]] {
            let error = Onnx::from_bytes(Path::new("x.onnx"), bytes.to_vec()).unwrap_err();
            assert!(error.to_string().starts_with("x.onnx: not an ONNX model"), "{error}");
        }
    }
}
