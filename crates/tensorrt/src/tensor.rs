//! Shapes and element types as TensorRT passes them.

use super::error::Error;
use super::object::{Object, call, text};
use super::slots;
use super::version::Group;
use std::ffi::{CStr, CString, c_char};

/// The maximum number of dimensions.
const MAX_DIMS: usize = 8;

/// `nvinfer1::Dims` in 8.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dims32 {
    pub count: i32,
    pub sizes: [i32; MAX_DIMS],
}

/// `nvinfer1::Dims` from 10.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dims64 {
    pub count: i32,
    pub sizes: [i64; MAX_DIMS],
}

const _: () = assert!(size_of::<Dims32>() == 36 && size_of::<Dims64>() == 72);

/// A shape; -1 is a dynamic dimension.
pub type Shape = Vec<i64>;

impl Dims32 {
    pub fn shape(self) -> Shape {
        self.sizes.iter().take(usize::try_from(self.count).unwrap_or(0)).map(|size| i64::from(*size)).collect()
    }

    pub fn new(shape: &[i64]) -> Result<Self, Error> {
        let wide = Dims64::new(shape)?;
        let mut dims = Self { count: wide.count, ..Self::default() };
        for (to, from) in dims.sizes.iter_mut().zip(shape) {
            *to = i32::try_from(*from).map_err(|_| Error::Setting(format!("a dimension of {from} is too large")))?;
        }
        Ok(dims)
    }
}

impl Dims64 {
    pub fn shape(self) -> Shape {
        self.sizes.iter().take(usize::try_from(self.count).unwrap_or(0)).copied().collect()
    }

    pub fn new(shape: &[i64]) -> Result<Self, Error> {
        let mut dims = Self::default();
        let room = dims
            .sizes
            .get_mut(..shape.len())
            .ok_or_else(|| Error::Setting(format!("TensorRT supports at most {MAX_DIMS} dimensions, not {shape:?}")))?;
        room.copy_from_slice(shape);
        dims.count = shape.len() as i32;
        Ok(dims)
    }
}

/// Calls a method that returns `Dims`: like [`call!`], but without the result type. Returns `Result<Shape, Error>`.
macro_rules! call_shape {
    ($object:expr, $slot:expr, fn($($type:ty),*) $(, $argument:expr)* $(,)?) => {
        match $object.library.group() {
            $crate::version::Group::V8 => {
                call!($object, $slot, fn($($type),*) -> $crate::tensor::Dims32 $(, $argument)*).map(|dims| dims.shape())
            }
            _ => call!($object, $slot, fn($($type),*) -> $crate::tensor::Dims64 $(, $argument)*).map(|dims| dims.shape()),
        }
    };
}
pub(super) use call_shape;

/// `nvinfer1::DataType`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 32-bit floating point.
    Float,
    /// 16-bit floating point.
    Half,
    /// 8-bit integers.
    Int8,
    /// 32-bit integers.
    Int32,
    /// Booleans of one byte.
    Bool,
    /// Unsigned bytes.
    Uint8,
    /// 8-bit floating point, E4M3.
    Fp8,
    /// 16-bit floating point with 8 bits of exponent.
    Bf16,
    /// 64-bit integers.
    Int64,
    /// A type that a later release added.
    Other(i32),
}

impl From<i32> for DataType {
    fn from(number: i32) -> Self {
        match number {
            0 => Self::Float,
            1 => Self::Half,
            2 => Self::Int8,
            3 => Self::Int32,
            4 => Self::Bool,
            5 => Self::Uint8,
            6 => Self::Fp8,
            7 => Self::Bf16,
            8 => Self::Int64,
            other => Self::Other(other),
        }
    }
}

impl DataType {
    /// Bytes per element; `None` for unknown types and for types of less than a byte.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Int8 | Self::Bool | Self::Uint8 | Self::Fp8 => Some(1),
            Self::Half | Self::Bf16 => Some(2),
            Self::Float | Self::Int32 => Some(4),
            Self::Int64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

/// Selects one of a profile's three shapes, `nvinfer1::OptProfileSelector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Selector {
    /// The minimum shape.
    Min = 0,
    /// The shape for which the engine is tuned.
    Opt = 1,
    /// The maximum shape.
    Max = 2,
}

/// An input or output of a network before the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkTensor {
    /// The tensor's name.
    pub name: String,
    /// The type of the elements.
    pub data_type: DataType,
    /// The shape; -1 for dimensions that are set later.
    pub shape: Shape,
}

impl NetworkTensor {
    /// # Safety
    /// `tensor` is a live `ITensor`.
    pub(super) unsafe fn read(tensor: Object) -> Result<Self, Error> {
        // SAFETY: the methods have these signatures in every release; the name lives as long as the tensor.
        unsafe {
            Ok(Self {
                name: text(call!(tensor, slots::tensor::NAME, fn() -> *const c_char)?),
                data_type: call!(tensor, slots::tensor::TYPE, fn() -> i32)?.into(),
                shape: call_shape!(tensor, slots::tensor::DIMENSIONS, fn())?,
            })
        }
    }
}

/// Sets one of a profile's shapes; returns whether TensorRT accepts it.
///
/// # Safety
/// `profile` is a live `IOptimizationProfile`.
pub(super) unsafe fn set_profile_shape(
    profile: Object,
    input: &CStr,
    selector: Selector,
    shape: &[i64],
) -> Result<bool, Error> {
    let (slot, name, selector) = (slots::optimization_profile::SET_DIMENSIONS, input.as_ptr(), selector as i32);
    // SAFETY: the signatures match: `Dims` by value in 8, by reference from 10 on; name and dims are valid during the
    // call.
    unsafe {
        if profile.library.group() == Group::V8 {
            let dims = Dims32::new(shape)?;
            call!(profile, slot, fn(*const c_char, i32, Dims32) -> bool, name, selector, dims)
        } else {
            let dims = Dims64::new(shape)?;
            call!(profile, slot, fn(*const c_char, i32, *const Dims64) -> bool, name, selector, &raw const dims)
        }
    }
}

/// A name as a C string.
pub(super) fn c_name(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::Setting(format!("{name:?} contains a zero byte")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dims_keep_their_shape() {
        for shape in [&[][..], &[1, 3, 640, 640], &[-1; 8]] {
            assert_eq!(Dims64::new(shape).unwrap().shape(), shape);
            assert_eq!(Dims32::new(shape).unwrap().shape(), shape);
        }
    }

    #[test]
    fn dims_that_do_not_fit_are_refused() {
        assert!(Dims64::new(&[1; 9]).is_err());
        assert!(Dims32::new(&[1 << 40]).is_err());
        // TensorRT returns this for an unknown name.
        assert_eq!(Dims64 { count: -1, ..Dims64::default() }.shape(), Shape::new());
        assert_eq!(Dims64 { count: 99, ..Dims64::default() }.shape().len(), 8);
    }
}
