//! Operations on ONNX files that TensorRT doesn't offer: listing external files, reading metadata, converting to FP16.

mod external;
mod fp16;
mod info;
mod proto;
mod types;

pub use external::{ExternalFiles, external_files};

use super::error::Error;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// An ONNX model as stored on disk.
#[derive(Debug)]
pub struct Onnx {
    path: PathBuf,
    bytes: Bytes,
    model: proto::Model,
}

impl Onnx {
    /// # Errors
    /// The file can't be read, or isn't ONNX.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes =
            std::fs::read(path).map_err(|error| Error::File { path: path.into(), reason: error.to_string() })?;
        Self::from_bytes(path, bytes)
    }

    /// # Errors
    /// The bytes aren't ONNX.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let bad = |reason: String| Error::Model { model: path.into(), reason };
        let bytes = Bytes::from(bytes);
        let model = proto::Model::decode(bytes.clone()).map_err(|error| bad(format!("not an ONNX model: {error}")))?;
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

    /// Converts the model to FP16 up to its last convolution or matrix product; inputs and outputs don't change.
    ///
    /// # Errors
    /// The weights can't be read.
    pub fn to_fp16(&self) -> Result<Vec<u8>, Error> {
        // This rejects files outside the model's folder.
        external_files(&self.path, &self.bytes)?;
        let mut model = self.model.clone();
        if let Some(graph) = &mut model.graph {
            fp16::convert(graph, &|tensor| self.external_data(tensor))
                .map_err(|reason| Error::Model { model: self.path.clone(), reason })?;
        }
        Ok(model.encode_to_vec())
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
