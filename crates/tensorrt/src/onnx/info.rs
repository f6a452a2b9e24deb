//! A model's inputs and outputs, as the file declares them.

use super::super::error::Error;
use super::Onnx;
use super::proto::{Dimension, Shape, ValueInfo, data_type};
use model::{ElementType, ModelInfo, TensorInfo};
use prost::Message;
use std::collections::HashSet;

impl Onnx {
    /// Reads inputs, outputs and metadata without a runtime.
    ///
    /// # Errors
    /// An input or output isn't a tensor, or has an unsupported element type.
    pub fn info(&self) -> Result<ModelInfo, Error> {
        let bad = |reason: String| Error::Model { model: self.path.clone(), reason };
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        if let Some(graph) = &self.model.graph {
            // Before IR version 4, weights had to be listed among the inputs too.
            let weights: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
            for input in graph.input.iter().filter(|input| !weights.contains(input.name())) {
                inputs.push(tensor(input).map_err(bad)?);
            }
            for output in &graph.output {
                outputs.push(tensor(output).map_err(bad)?);
            }
        }
        Ok(ModelInfo { inputs, outputs, metadata: self.metadata(), ..ModelInfo::default() })
    }
}

impl ValueInfo {
    /// Declares the shape that `tensor` has.
    pub fn declare(&mut self, tensor: &TensorInfo) {
        let dim = |size: &i64| Dimension { dim_value: Some(*size).filter(|size| *size > 0) };
        let shape = Shape { dim: tensor.shape.iter().map(dim).collect() };
        if let Some(declared) = self.r#type.as_mut().and_then(|r#type| r#type.tensor_type.as_mut()) {
            declared.shape = Some(shape.encode_to_vec().into());
        }
    }
}

fn tensor(value: &ValueInfo) -> Result<TensorInfo, String> {
    let name = value.name().to_owned();
    let Some(declared) = value.r#type.as_ref().and_then(|r#type| r#type.tensor_type.as_ref()) else {
        return Err(format!("{name} isn't a tensor"));
    };
    let element = match declared.elem_type() {
        data_type::FLOAT => ElementType::F32,
        data_type::FLOAT16 => ElementType::F16,
        data_type::UINT8 => ElementType::U8,
        data_type::INT32 => ElementType::I32,
        data_type::INT64 => ElementType::I64,
        other => return Err(format!("{name} has element type {other}; f32, f16, u8, i32 and i64 are read")),
    };
    let shape = match declared.shape.clone() {
        Some(bytes) => Shape::decode(bytes).map_err(|error| format!("{name}: {error}"))?,
        None => {
            return Err(format!("{name} has no shape: run `onnx.shape_inference` over the model, or export it again"));
        }
    };
    let shape = shape.dim.iter().map(|dim| dim.dim_value.filter(|&size| size > 0).unwrap_or(-1)).collect();
    Ok(TensorInfo { name, element, shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{InputSpec, Layout, head};
    use std::path::Path;

    /// The test models' inputs are those in tests/models/README.md, including dynamic dimensions.
    #[test]
    fn inputs_and_outputs_are_those_of_the_file() {
        let read = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(name);
            Onnx::open(&path).unwrap().info().unwrap()
        };
        let yolo = read("yolo-dynamic.onnx");
        assert_eq!(yolo.inputs.len(), 1);
        assert_eq!(yolo.inputs[0].element, ElementType::F32);
        assert_eq!(yolo.inputs[0].shape[0], -1, "{:?}", yolo.inputs);
        let spec = |name: &str| -> InputSpec { head::recognise(&read(name), head::HeadChoice::Auto).unwrap().input };
        assert_eq!(spec("yolo-nhwc-f16.onnx").layout, Layout::Nhwc);
        assert_eq!(spec("yolo-nhwc-f16.onnx").element, ElementType::F16);
        assert_eq!(spec("yolo-u8.onnx").element, ElementType::U8);
        assert_eq!(spec("movenet.onnx").element, ElementType::I32);
        assert_eq!(read("two-inputs.onnx").inputs.len(), 2);
    }
}
