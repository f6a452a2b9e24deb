//! Common parts of the C++ interfaces that we implement.

use super::slots::VtableSlot;
use super::version::Group;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `nvinfer1::InterfaceInfo`, 16 bytes, returned in registers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct InterfaceInfo {
    pub kind: *const c_char,
    pub major: i32,
    pub minor: i32,
}

/// `nvinfer1::APILanguage::kCPP`
pub const API_LANGUAGE_CPP: i32 = 0;

/// Both destructors do nothing: TensorRT never deletes the objects that we pass, which Rust owns.
pub extern "C" fn destroy(_this: *mut c_void) {}

/// Runs a callback's body. A panic must not unwind through C++ frames, so it is caught and `otherwise` is returned.
pub fn guard<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The vtable of an interface that we implement, laid out for one group of releases.
#[repr(transparent)]
#[derive(Debug)]
pub struct Vtable([*const c_void; Vtable::ROOM]);

// SAFETY: the table holds addresses of functions and is never written.
unsafe impl Sync for Vtable {}
// SAFETY: as above.
unsafe impl Send for Vtable {}

impl Vtable {
    /// Number of entries of the longest interface, `IGpuAllocator`.
    const ROOM: usize = 9;

    /// Puts each function into its method's slot; methods that the group doesn't have are left out.
    pub fn lay_out(group: Group, functions: &[(VtableSlot, *const c_void)]) -> Self {
        let mut table = [unknown as *const c_void; Self::ROOM];
        for (slot, function) in functions {
            if let Some(entry) = slot.first_index(group).and_then(|index| table.get_mut(index)) {
                *entry = *function;
            }
        }
        Self(table)
    }

    /// Lays out one vtable per group, in the order of [`Group::ALL`].
    pub fn lay_out_all(functions: &[(VtableSlot, *const c_void)]) -> [Self; 4] {
        Group::ALL.map(|group| Self::lay_out(group, functions))
    }

    pub fn of(tables: &'static [Self; 4], group: Group) -> &'static Self {
        match (tables, group) {
            ([table, ..], Group::V8)
            | ([_, table, ..], Group::V10)
            | ([.., table, _], Group::V11)
            | ([.., table], Group::Rtx1) => table,
        }
    }
}

/// A slot that no release calls.
extern "C" fn unknown() {
    std::process::abort();
}
