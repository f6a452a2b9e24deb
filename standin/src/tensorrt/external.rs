//! Tensors of an ONNX that are stored in other files: a plan contains them.

use super::proto::{EXTERNAL, Graph, Model, SparseTensor, Tensor};
use prost::Message;
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The model with all its tensors inlined; `folder` holds the external files. Data that isn't ONNX is returned unchanged.
///
/// # Errors
/// A file that can't be read.
pub fn inlined<'a>(onnx: &'a [u8], folder: &Path) -> Result<Cow<'a, [u8]>, String> {
    let Ok(mut model) = Model::decode(onnx) else { return Ok(onnx.into()) };
    let mut found = false;
    if let Some(graph) = &mut model.graph {
        visit(graph, &mut |tensor| {
            if tensor.data_location() == EXTERNAL {
                tensor.raw_data = Some(read(tensor, folder)?.into());
                tensor.data_location = None;
                tensor.external_data.clear();
                found = true;
            }
            Ok(())
        })?;
    }
    Ok(if found { model.encode_to_vec().into() } else { onnx.into() })
}

fn read(tensor: &Tensor, folder: &Path) -> Result<Vec<u8>, String> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value());
    let number = |key: &str| entry(key).map(|text| text.parse::<u64>().map_err(|error| format!("{key}: {error}")));
    let (offset, length) = (number("offset").transpose()?.unwrap_or(0), number("length").transpose()?);
    let path = folder.join(entry("location").unwrap_or_default());
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| format!("Failed to open file: {}: {error}", path.display()))
}

/// A visitor of tensors, which may fail.
type Visitor<'a> = &'a mut dyn FnMut(&mut Tensor) -> Result<(), String>;

/// Every tensor of a graph and the graphs inside it.
fn visit(graph: &mut Graph, visit_tensor: Visitor<'_>) -> Result<(), String> {
    fn sparse(tensor: &mut SparseTensor, visit_tensor: Visitor<'_>) -> Result<(), String> {
        tensor.values.iter_mut().chain(&mut tensor.indices).try_for_each(visit_tensor)
    }
    graph.initializer.iter_mut().try_for_each(&mut *visit_tensor)?;
    graph.sparse_initializer.iter_mut().try_for_each(|tensor| sparse(tensor, visit_tensor))?;
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(&mut *visit_tensor)?;
        let sparse_tensors = attribute.sparse_tensor.iter_mut().chain(&mut attribute.sparse_tensors);
        sparse_tensors.into_iter().try_for_each(|tensor| sparse(tensor, visit_tensor))?;
        attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|graph| visit(graph, visit_tensor))?;
    }
    Ok(())
}
