//! The files beside an ONNX file that hold its external tensors.
//!
//! Only the messages that lead to tensors are decoded, and no text is required to be UTF-8, so that every file that a
//! runtime accepts can be scanned here too.

use super::super::error::Error;
use super::proto::EXTERNAL;
use prost::Message;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// The minimum size in bytes of each external file, by its path relative to the model's folder.
pub type ExternalFiles = BTreeMap<String, u64>;

/// Lists the files that hold tensors of the ONNX model in `bytes`: tensors of any kind in the graph, in subgraphs and
/// in functions. Data that isn't ONNX has none. `model` is named in errors.
///
/// # Errors
/// A file isn't in the model's folder, which ONNX doesn't allow and which could be any file of the system; or an offset
/// or length isn't a number.
pub fn external_files(model: &Path, bytes: &[u8]) -> Result<ExternalFiles, Error> {
    let bad = |reason: String| Error::Model { model: model.into(), reason };
    let mut found = Ok(ExternalFiles::new());
    // A runtime will reject a file that can't be decoded, with its own message.
    let Ok(Model { graph, functions }) = Model::decode(bytes) else { return found };
    let mut visit = |tensor: &Tensor| {
        if let Ok(files) = &mut found
            && let Err(reason) = add(files, tensor)
        {
            found = Err(bad(reason));
        }
    };
    graph.iter().for_each(|graph| visit_graph(graph, &mut visit));
    for function in &functions {
        function.node.iter().flat_map(|node| &node.attribute).for_each(|held| visit_attribute(held, &mut visit));
        function.attribute.iter().for_each(|held| visit_attribute(held, &mut visit));
    }
    found
}

fn add(files: &mut ExternalFiles, tensor: &Tensor) -> Result<(), String> {
    if tensor.data_location != Some(EXTERNAL) {
        return Ok(());
    }
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key() == key.as_bytes()).map(Entry::value);
    let location = String::from_utf8_lossy(entry("location").unwrap_or_default());
    let plain = Path::new(&*location).components().filter(|part| *part != Component::CurDir);
    let name: Option<Vec<&str>> = plain.map(|part| name_of(part)).collect();
    let Some(name) = name.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/")) else {
        return Err(format!(
            "its weights are in {location:?}, which isn't in the model's folder, and ONNX allows no other place: export it \
             again, with its files beside it"
        ));
    };
    let number = |key: &str| -> Result<u64, String> {
        let Some(value) = entry(key) else { return Ok(0) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| {
            let (value, tensor) = (String::from_utf8_lossy(value), String::from_utf8_lossy(tensor.name()));
            format!("tensor {tensor:?} has the {key} {value:?} in {location:?}, which isn't a number: export it again")
        })
    };
    let end = number("offset")?.saturating_add(number("length")?);
    let least = files.entry(name).or_default();
    *least = end.max(*least);
    Ok(())
}

/// The name of a file or folder below the model's folder.
fn name_of(part: Component<'_>) -> Option<&str> {
    match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}

fn visit_graph(graph: &Graph, visit: &mut dyn FnMut(&Tensor)) {
    graph.initializer.iter().for_each(&mut *visit);
    graph.sparse_initializer.iter().for_each(|tensor| visit_sparse(tensor, visit));
    graph.node.iter().flat_map(|node| &node.attribute).for_each(|attribute| visit_attribute(attribute, visit));
}

fn visit_attribute(attribute: &Attribute, visit: &mut dyn FnMut(&Tensor)) {
    attribute.t.iter().chain(&attribute.tensors).for_each(&mut *visit);
    let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
    sparse.for_each(|tensor| visit_sparse(tensor, visit));
    attribute.g.iter().chain(&attribute.graphs).for_each(|graph| visit_graph(graph, visit));
}

fn visit_sparse(tensor: &SparseTensor, visit: &mut dyn FnMut(&Tensor)) {
    tensor.values.iter().chain(&tensor.indices).for_each(visit);
}

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    node: Vec<Node>,
    /// Default values of the function's attributes.
    #[prost(message, repeated, tag = "11")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    t: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    g: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensor>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(bytes = "bytes", optional, tag = "8")]
    name: Option<Bytes>,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
    #[prost(int32, optional, tag = "14")]
    data_location: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "bytes", optional, tag = "1")]
    key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    value: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(entries: &[(&'static str, &'static str)]) -> Tensor {
        let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        Tensor {
            // This name isn't UTF-8.
            name: Some(Bytes::from_static(b"w\xe4")),
            external_data: entries.iter().map(|(key, value)| Entry { key: bytes(key), value: bytes(value) }).collect(),
            data_location: Some(EXTERNAL),
        }
    }

    fn at(location: &'static str) -> Tensor {
        tensor(&[("location", location)])
    }

    fn files(graph: Graph, functions: Vec<Function>) -> Result<Vec<(String, u64)>, String> {
        let bytes = Model { graph: Some(graph), functions }.encode_to_vec();
        let files = external_files(Path::new("/models/a.onnx"), &bytes).map_err(|error| error.to_string())?;
        Ok(files.into_iter().collect())
    }

    fn of(tensors: Vec<Tensor>) -> Result<Vec<(String, u64)>, String> {
        files(Graph { initializer: tensors, ..Graph::default() }, vec![])
    }

    #[test]
    fn tensors_of_every_kind_and_place_count() {
        let sparse = |values, indices| SparseTensor { values: Some(at(values)), indices: Some(at(indices)) };
        let with = |attribute: Attribute| Node { attribute: vec![attribute] };
        let inner = |location| Graph { initializer: vec![at(location)], ..Graph::default() };
        let attribute = Attribute {
            t: Some(at("t")),
            tensors: vec![at("tensors")],
            g: Some(Graph {
                node: vec![with(Attribute { g: Some(inner("deep")), ..Attribute::default() })],
                ..Graph::default()
            }),
            graphs: vec![inner("graphs")],
            sparse_tensor: Some(sparse("sv", "si")),
            sparse_tensors: vec![sparse("svs", "sis")],
        };
        let graph = Graph {
            node: vec![with(attribute)],
            initializer: vec![at("plain"), Tensor::default()],
            sparse_initializer: vec![sparse("isv", "isi")],
        };
        let of_function = |location| Attribute { t: Some(at(location)), ..Attribute::default() };
        let function = Function { node: vec![with(of_function("f"))], attribute: vec![of_function("default")] };
        let names: Vec<_> = files(graph, vec![function]).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["deep", "default", "f", "graphs", "isi", "isv", "plain", "si", "sis", "sv", "svs", "t", "tensors"]
        );
    }

    #[test]
    fn files_are_as_long_as_their_tensors_say() {
        let range = |offset, length| tensor(&[("location", "w.bin"), ("offset", offset), ("length", length)]);
        let name =
            |files: &[(&str, u64)]| files.iter().map(|(name, size)| (name.to_string(), *size)).collect::<Vec<_>>();
        assert_eq!(
            of(vec![range("0", "64"), range("4096", "32"), range("64", "8")]).unwrap(),
            name(&[("w.bin", 4128)])
        );
        assert_eq!(
            of(vec![at("./data/w.bin"), at("data//w.bin"), at("w.bin")]).unwrap(),
            name(&[("data/w.bin", 0), ("w.bin", 0)])
        );
        for (offset, length) in [("-1", "4"), ("0", "x"), ("", "4"), ("0", "99999999999999999999999")] {
            let error = of(vec![range(offset, length)]).unwrap_err();
            assert!(error.starts_with("/models/a.onnx: tensor") && error.contains("isn't a number"), "{error}");
        }
        let most = "18446744073709551615";
        assert_eq!(of(vec![range(most, most)]).unwrap(), name(&[("w.bin", u64::MAX)]));
    }

    #[test]
    fn files_elsewhere_are_refused() {
        for location in ["../secret", "/etc/passwd", "", ".", "a/../../b", "a/.."] {
            let error = of(vec![at(location)]).unwrap_err();
            assert!(error.contains(&format!("{location:?}, which isn't in the model's folder")), "{error}");
        }
        assert!(of(vec![tensor(&[])]).is_err(), "no location");
    }

    #[test]
    fn what_is_no_onnx_has_none() {
        for bytes in [&b""[..], b"not a model at all", &[255; 64]] {
            assert_eq!(external_files(Path::new("a.png"), bytes).unwrap(), ExternalFiles::new());
        }
    }
}
