//! Conversion between tensors and ONNX Runtime's types.

use half::f16;
use half::slice::HalfFloatSliceExt;
use model::{ElementType, InputSpec, Layout};
use ort::session::SessionInputValue;

use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef};

/// A batch's input, kept between runs.
pub enum Input {
    F32(Vec<f32>),
    F16(Vec<f16>),
    U8(Vec<u8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Input {
    pub fn new(element: ElementType, elements: usize) -> Self {
        match element {
            ElementType::F32 => Self::F32(vec![0.0; elements]),
            ElementType::F16 => Self::F16(vec![f16::ZERO; elements]),
            ElementType::U8 => Self::U8(vec![0; elements]),
            ElementType::I32 => Self::I32(vec![0; elements]),
            ElementType::I64 => Self::I64(vec![0; elements]),
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::F32(data) => bytemuck::cast_slice_mut(data),
            Self::F16(data) => bytemuck::cast_slice_mut(data),
            Self::U8(data) => data,
            Self::I32(data) => bytemuck::cast_slice_mut(data),
            Self::I64(data) => bytemuck::cast_slice_mut(data),
        }
    }

    /// An input of `rows` times these values.
    pub fn repeated(element: ElementType, values: &[f32], rows: usize) -> Self {
        let all: Vec<f32> = values.iter().copied().cycle().take(values.len() * rows).collect();
        let mut input = Self::new(element, all.len());
        super::rows::store(&all, element, input.bytes_mut());
        input
    }

    /// The first `batch` images as an input of the session.
    pub fn images(&self, spec: &InputSpec, batch: usize) -> ort::Result<SessionInputValue<'_>> {
        let (width, height) = (spec.width as usize, spec.height as usize);
        self.value(&match spec.layout {
            Layout::Nchw => [batch, 3, height, width],
            Layout::Nhwc => [batch, height, width, 3],
        })
    }

    /// The first elements as an input of this shape.
    pub fn value(&self, shape: &[usize]) -> ort::Result<SessionInputValue<'_>> {
        match self {
            Self::F32(data) => view(shape, data),
            Self::F16(data) => view(shape, data),
            Self::U8(data) => view(shape, data),
            Self::I32(data) => view(shape, data),
            Self::I64(data) => view(shape, data),
        }
    }
}

fn view<'a, T>(shape: &[usize], data: &'a [T]) -> ort::Result<SessionInputValue<'a>>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    let needed = shape.iter().product();
    let data = data.get(..needed).ok_or_else(|| ort::Error::new("the input buffer is smaller than the batch"))?;
    Ok(TensorRef::from_array_view((shape.to_vec(), data))?.into())
}

/// An output's shape and values; those that aren't f32 are converted into `buffer`.
pub fn floats<'a>(value: &'a DynValue, buffer: &'a mut Vec<f32>) -> Result<(Vec<usize>, &'a [f32]), String> {
    let element = *value.data_type();
    let shape = value.shape().iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    let data = match element {
        TensorElementType::Float32 => values::<f32>(value)?,
        TensorElementType::Float16 => {
            let values = values::<f16>(value)?;
            buffer.resize(values.len(), 0.0);
            values.convert_to_f32_slice(buffer);
            buffer
        }
        TensorElementType::Uint8 => convert(values::<u8>(value)?, buffer, |&v| f32::from(v)),
        TensorElementType::Int32 => convert(values::<i32>(value)?, buffer, |&v| v as f32),
        TensorElementType::Int64 => convert(values::<i64>(value)?, buffer, |&v| v as f32),
        other => return Err(format!("has element type {other}")),
    };
    Ok((shape, data))
}

fn values<T: PrimitiveTensorElementType>(value: &DynValue) -> Result<&[T], String> {
    value.try_extract_tensor::<T>().map(|(_, data)| data).map_err(|error| error.to_string())
}

fn convert<'a, T>(values: &[T], buffer: &'a mut Vec<f32>, to_float: impl Fn(&T) -> f32) -> &'a [f32] {
    buffer.clear();
    buffer.extend(values.iter().map(to_float));
    buffer
}

#[cfg(test)]
mod tests {
    use super::super::test_support::onnx_runtime_found;
    use super::*;
    use model::{Normalization, Resize};
    use ort::value::Tensor;

    fn converted(value: &DynValue) -> (Vec<usize>, Vec<f32>) {
        let mut buffer = Vec::new();
        let (shape, data) = floats(value, &mut buffer).unwrap();
        (shape, data.to_vec())
    }

    #[test]
    fn outputs_of_every_type_become_floats() {
        if !onnx_runtime_found("outputs_of_every_type_become_floats") {
            return;
        }
        let expected = (vec![1, 3], vec![0.0, 7.0, 200.0]);
        let shape = [1usize, 3];
        let tensors: [DynValue; 5] = [
            Tensor::from_array((shape, vec![0f32, 7.0, 200.0])).unwrap().into_dyn(),
            Tensor::from_array((shape, [0.0, 7.0, 200.0].map(f16::from_f32).to_vec())).unwrap().into_dyn(),
            Tensor::from_array((shape, vec![0u8, 7, 200])).unwrap().into_dyn(),
            Tensor::from_array((shape, vec![0i32, 7, 200])).unwrap().into_dyn(),
            Tensor::from_array((shape, vec![0i64, 7, 200])).unwrap().into_dyn(),
        ];
        for tensor in tensors {
            assert_eq!(converted(&tensor), expected, "{:?}", tensor.data_type());
        }
        let double = Tensor::from_array((shape, vec![0f64; 3])).unwrap().into_dyn();
        assert!(floats(&double, &mut Vec::new()).is_err());
    }

    #[test]
    fn input_is_the_first_images_in_the_models_layout() {
        if !onnx_runtime_found("input_is_the_first_images_in_the_models_layout") {
            return;
        }
        let spec = InputSpec {
            width: 4,
            height: 2,
            layout: Layout::Nhwc,
            element: ElementType::I32,
            normalization: Normalization::NONE,
            bgr: false,
            resize: Resize::LETTERBOX,
            pad: 0,
        };
        let mut input = Input::new(spec.element, 3 * spec.elements());
        assert_eq!(input.bytes_mut().len(), 3 * 24 * 4);
        for (layout, shape) in [(Layout::Nhwc, [2, 2, 4, 3]), (Layout::Nchw, [2, 3, 2, 4])] {
            let value = input.images(&InputSpec { layout, ..spec.clone() }, 2).unwrap();
            let SessionInputValue::View(value) = value else { panic!("the input was copied") };
            assert_eq!(value.shape().to_vec(), shape);
        }
        assert!(input.images(&spec, 4).is_err());
    }
}
