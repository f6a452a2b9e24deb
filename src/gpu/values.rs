//! A tensor's bytes as numbers, and back.

use half::f16;
use model::ElementType;

/// An output's values as f32.
pub fn floats(bytes: &[u8], element: ElementType) -> Vec<f32> {
    match element {
        ElementType::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect(),
        ElementType::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_ne_bytes(*b).to_f32()).collect(),
        ElementType::U8 => bytes.iter().map(|b| f32::from(*b)).collect(),
        ElementType::I32 => bytes.as_chunks().0.iter().map(|b| i32::from_ne_bytes(*b) as f32).collect(),
        ElementType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_ne_bytes(*b) as f32).collect(),
    }
}

/// The bytes of a tensor with these values, which are whole where it holds integers.
pub fn bytes(values: &[f32], element: ElementType) -> Vec<u8> {
    let values = values.iter().copied();
    match element {
        ElementType::F32 => values.flat_map(f32::to_ne_bytes).collect(),
        ElementType::F16 => values.flat_map(|value| f16::from_f32(value).to_ne_bytes()).collect(),
        ElementType::U8 => values.map(|value| value as u8).collect(),
        ElementType::I32 => values.flat_map(|value| (value as i32).to_ne_bytes()).collect(),
        ElementType::I64 => values.flat_map(|value| (value as i64).to_ne_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_every_type_are_numbers() {
        let values = [0.0, 7.0, 200.0];
        for element in [ElementType::F32, ElementType::F16, ElementType::U8, ElementType::I32, ElementType::I64] {
            let tensor = bytes(&values, element);
            assert_eq!(tensor.len(), 3 * element.size());
            assert_eq!(floats(&tensor, element), values, "{element:?}");
        }
        assert_eq!(bytes(&[-2.0], ElementType::I64), (-2i64).to_ne_bytes());
        assert_eq!(floats(&(-2i32).to_ne_bytes(), ElementType::I32), [-2.0]);
    }
}
