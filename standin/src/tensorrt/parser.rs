//! `nvonnxparser::IParser`.

use super::external::inlined;
use super::model::Model;
use super::network::Network;
use super::object::{self, argument, class, delete_plain, of};
use super::onnx_runtime;
use parking_lot::Mutex;
use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

struct Parser {
    network: usize,
    errors: Mutex<Vec<usize>>,
}

/// `IParserError`, owned by its parser.
struct ParserError {
    node: i32,
    name: CString,
    operator: CString,
    code: i32,
    text: CString,
}

/// `ErrorCode::kMODEL_DESERIALIZE_FAILED`, `kUNSUPPORTED_NODE`, `kINVALID_GRAPH`
const NOT_ONNX: i32 = 3;
const UNSUPPORTED_NODE: i32 = 8;
const INVALID_GRAPH: i32 = 5;

class!(Parser: "IParser", plain {
    "parse" = parse,
    "getNbErrors" = error_count,
    "getError" = error,
    "~D0" = delete_plain::<Parser>,
});

class!(ParserError: "IParserError", plain {
    "code" = code,
    "desc" = description,
    "node" = node,
    "nodeName" = node_name,
    "nodeOperator" = node_operator,
});

/// # Safety
/// `network` is a [`Network`] of this library.
pub unsafe fn new_parser(network: *mut c_void) -> *mut c_void {
    object::new(Parser { network: network.addr(), errors: Mutex::default() })
}

impl Drop for Parser {
    fn drop(&mut self) {
        for error in self.errors.get_mut().drain(..) {
            // SAFETY: created by `refuse`, deleted only here.
            unsafe { delete_plain::<ParserError>(error as *mut c_void) };
        }
    }
}

impl Parser {
    fn refuse(&self, node: Option<(usize, &(String, String))>, code: i32, text: &str) {
        let plain = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let (index, name, operator) =
            node.map_or((-1, "", ""), |(index, (name, operator))| (index as i32, name.as_str(), operator.as_str()));
        let error = ParserError { node: index, name: plain(name), operator: plain(operator), code, text: plain(text) };
        self.errors.lock().push(object::new(error).addr());
    }
}

unsafe extern "C" fn parse(this: *mut c_void, data: *const u8, size: usize, path: *const c_char) -> bool {
    // SAFETY: a method of this class; the caller's bytes and string; the network outlives its parser.
    let (parser, onnx, path, network) = unsafe {
        let parser = of::<Parser>(this);
        let path = if path.is_null() { &[] } else { CStr::from_ptr(path).to_bytes() };
        let network = argument::<Network>(parser.network as *mut c_void);
        (parser, std::slice::from_raw_parts(data, size), Path::new(OsStr::from_bytes(path)), network)
    };
    let onnx = match inlined(onnx, path.parent().unwrap_or(Path::new(""))) {
        Ok(onnx) => onnx,
        Err(reason) => {
            parser.refuse(None, NOT_ONNX, &reason);
            return false;
        }
    };
    let onnx = onnx.as_ref();
    let model = match Model::read(onnx) {
        Ok(model) => model,
        Err(reason) => {
            parser.refuse(None, NOT_ONNX, &reason);
            return false;
        }
    };
    // As in TensorRT, a file without a graph parses to a network without outputs.
    if !model.outputs.is_empty()
        && let Err(reason) = onnx_runtime::session(onnx)
    {
        let mut named = model.nodes.iter().enumerate();
        let node = named.find(|(_, (name, operator))| {
            let names_it = !name.is_empty() && reason.contains(name.as_str());
            names_it
                || reason.contains(&format!("{operator} is not a registered"))
                || reason.contains(&format!("{operator}("))
        });
        let code = if node.is_some() { UNSUPPORTED_NODE } else { INVALID_GRAPH };
        parser.refuse(node, code, &reason);
        return false;
    }
    network.fill(onnx, model);
    true
}

unsafe extern "C" fn error_count(this: *mut c_void) -> i32 {
    // SAFETY: a method of this class, as all below.
    unsafe { of::<Parser>(this) }.errors.lock().len() as i32
}

unsafe extern "C" fn error(this: *mut c_void, index: i32) -> *mut c_void {
    // SAFETY: as above.
    let errors = unsafe { of::<Parser>(this) }.errors.lock();
    errors.get(index as usize).map_or(0, |error| *error) as *mut c_void
}

unsafe extern "C" fn code(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<ParserError>(this) }.code
}

unsafe extern "C" fn description(this: *mut c_void) -> *const c_char {
    // SAFETY: as above.
    unsafe { of::<ParserError>(this) }.text.as_ptr()
}

unsafe extern "C" fn node(this: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { of::<ParserError>(this) }.node
}

unsafe extern "C" fn node_name(this: *mut c_void) -> *const c_char {
    // SAFETY: as above.
    unsafe { of::<ParserError>(this) }.name.as_ptr()
}

unsafe extern "C" fn node_operator(this: *mut c_void) -> *const c_char {
    // SAFETY: as above.
    unsafe { of::<ParserError>(this) }.operator.as_ptr()
}
