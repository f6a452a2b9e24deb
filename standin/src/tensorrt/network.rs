//! `INetworkDefinition` and its tensors.

use super::dims::Dims;
use super::model::{Model, Tensor};
use super::object::{self, class, of};
use parking_lot::{Mutex, MutexGuard};
use std::ffi::{CString, c_char, c_void};

/// Filled by the parser.
#[derive(Default)]
pub struct Network {
    filled: Mutex<Filled>,
}

#[derive(Default)]
pub struct Filled {
    pub onnx: Vec<u8>,
    pub model: Option<Model>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

/// `ITensor`, owned by its network.
struct NetworkTensor {
    name: CString,
    tensor: Tensor,
}

class!(Network: "VNetworkDefinition", public {
    "getNbLayers" = layers,
    "getNbInputs" = input_count,
    "getInput" = input,
    "getNbOutputs" = output_count,
    "getOutput" = output,
});

class!(NetworkTensor: "VTensor", public {
    "getName" = name,
    "getDimensions" = dimensions,
    "getType" = kind,
});

impl Network {
    pub fn filled(&self) -> MutexGuard<'_, Filled> {
        self.filled.lock()
    }

    pub fn fill(&self, onnx: &[u8], model: Model) {
        let objects = |tensors: &[Tensor]| {
            let object = |tensor: &Tensor| {
                let name = CString::new(tensor.name.clone()).unwrap_or_default();
                object::new(NetworkTensor { name, tensor: tensor.clone() }).addr()
            };
            tensors.iter().map(object).collect()
        };
        let mut filled = self.filled();
        filled.inputs = objects(&model.inputs);
        filled.outputs = objects(&model.outputs);
        filled.onnx = onnx.to_vec();
        filled.model = Some(model);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let filled = std::mem::take(&mut *self.filled());
        for tensor in filled.inputs.into_iter().chain(filled.outputs) {
            // SAFETY: created by `fill`, and deleted only here.
            unsafe { object::delete::<NetworkTensor>(tensor as *mut c_void) };
        }
    }
}

unsafe extern "C" fn layers(this: *mut c_void) -> i32 {
    // SAFETY: a method of this class, as all below.
    unsafe { of::<Network>(this) }.filled().model.as_ref().map_or(0, |model| model.nodes.len() as i32)
}

unsafe extern "C" fn input_count(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<Network>(this) }.filled().inputs.len() as i32
}

unsafe extern "C" fn input(this: *mut c_void, index: i32) -> *mut c_void {
    // SAFETY: as above.
    unsafe { of::<Network>(this) }.filled().inputs.get(index as usize).map_or(0, |tensor| *tensor) as *mut c_void
}

unsafe extern "C" fn output_count(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<Network>(this) }.filled().outputs.len() as i32
}

unsafe extern "C" fn output(this: *mut c_void, index: i32) -> *mut c_void {
    // SAFETY: as above.
    unsafe { of::<Network>(this) }.filled().outputs.get(index as usize).map_or(0, |tensor| *tensor) as *mut c_void
}

unsafe extern "C" fn name(this: *mut c_void) -> *const c_char {
    // SAFETY: as above.
    unsafe { of::<NetworkTensor>(this) }.name.as_ptr()
}

unsafe extern "C" fn dimensions(this: *mut c_void) -> Dims {
    // SAFETY: as above.
    Dims::new(&unsafe { of::<NetworkTensor>(this) }.tensor.shape)
}

unsafe extern "C" fn kind(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<NetworkTensor>(this) }.tensor.kind
}
