//! Shapes as TensorRT passes them.

/// `nvinfer1::Dims`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Dims {
    pub count: i32,
    pub sizes: [i64; 8],
}

impl Dims {
    /// Returned for an unknown name.
    pub const NONE: Self = Self { count: -1, sizes: [0; 8] };

    pub fn new(shape: &[i64]) -> Self {
        let mut dims = Self { count: shape.len() as i32, sizes: [0; 8] };
        dims.sizes[..shape.len()].copy_from_slice(shape);
        dims
    }

    pub fn shape(&self) -> Vec<i64> {
        self.sizes.iter().take(usize::try_from(self.count).unwrap_or(0)).copied().collect()
    }
}
