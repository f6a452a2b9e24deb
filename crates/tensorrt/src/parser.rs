//! TensorRT's ONNX parser.

use super::error::{Error, ParserError};
use super::library::Library;
use super::logger::capture;
use super::object::{Object, Owned, call, non_null, text};
use super::slots;
use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `nvonnxparser::IParser` on one network.
#[derive(Debug)]
pub struct Parser(Owned);

impl Parser {
    pub(super) fn new(library: &'static Library, network: &Owned) -> Result<Self, Error> {
        let symbols = library.parser()?;
        // SAFETY: the factory has this C signature in every release; network and logger are live. Where it isn't
        // noexcept (8, 10.0), it throws only if it runs out of memory.
        let (raw, log) =
            capture(|| unsafe { (symbols.create)(network.raw(), library.logger().raw(), (symbols.version)()) });
        let call = "createNvOnnxParser".to_owned();
        let raw = non_null(raw).ok_or(Error::Call { version: library.version(), call, log })?;
        // SAFETY: the object is new, and only we own it; its methods are in its own vtable.
        Ok(Self(unsafe { Owned::plain(raw, &slots::parser::DELETE, library) }?))
    }

    /// # Errors
    /// [`Error::Parse`] with the parser's messages.
    pub fn parse(&self, onnx: &[u8], path: &Path) -> Result<(), Error> {
        let folder = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::Setting(format!("{} contains a zero byte", path.display())))?;
        let (data, size) = (onnx.as_ptr().cast(), onnx.len());
        // SAFETY: the signature matches; bytes and path are valid during the call.
        let (parsed, log) = capture(|| unsafe {
            let signature = slots::parser::PARSE;
            call!(
                self.0.object,
                signature,
                fn(*const c_void, usize, *const c_char) -> bool,
                data,
                size,
                folder.as_ptr()
            )
        });
        if parsed? {
            return Ok(());
        }
        let mut errors = self.errors()?;
        if errors.is_empty() {
            let description = if log.is_empty() { "no reason given".to_owned() } else { log.join("; ") };
            errors.push(ParserError {
                node: -1,
                node_name: String::new(),
                operator: String::new(),
                code: -1,
                description,
            });
        }
        Err(Error::Parse { model: path.into(), errors })
    }

    fn errors(&self) -> Result<Vec<ParserError>, Error> {
        let parser = self.0.object;
        // SAFETY: the signature matches.
        let count = unsafe { call!(parser, slots::parser::NB_ERRORS, fn() -> i32) }?;
        (0..count)
            .filter_map(|index| {
                // SAFETY: the signature matches; the index is in range.
                let error = unsafe { call!(parser, slots::parser::ERROR, fn(i32) -> *mut c_void, index) };
                let error = error.map(non_null).transpose()?;
                // SAFETY: the parser's errors live until they are cleared.
                Some(error.and_then(|raw| unsafe {
                    read(Object::plain(raw, slots::parser_error::CODE.class, parser.library)?)
                }))
            })
            .collect()
    }
}

/// # Safety
/// `error` is a live `IParserError`.
unsafe fn read(error: Object) -> Result<ParserError, Error> {
    let name = |slot: slots::VtableSlot| {
        if error.has(&slot) {
            // SAFETY: both methods have this signature; the string lives as long as the error.
            unsafe { call!(error, slot, fn() -> *const c_char).map(|name| text(name)) }
        } else {
            Ok(String::new())
        }
    };
    // SAFETY: the signatures match; the string lives as long as the error.
    unsafe {
        Ok(ParserError {
            node: call!(error, slots::parser_error::NODE, fn() -> i32)?,
            node_name: name(slots::parser_error::NODE_NAME)?,
            operator: name(slots::parser_error::NODE_OPERATOR)?,
            code: call!(error, slots::parser_error::CODE, fn() -> i32)?,
            description: text(call!(error, slots::parser_error::DESC, fn() -> *const c_char)?),
        })
    }
}
