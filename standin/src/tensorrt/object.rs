//! C++ objects with virtual methods (Itanium ABI), as the binding calls them.
//!
//! A public object is `{vtable, implementation}`, whose own vtable has the two destructors; the methods are in the vtable
//! that `implementation` points to. Plain interfaces have their methods in their own vtable.

use std::ffi::{CStr, c_char, c_void};

include!(concat!(env!("OUT_DIR"), "/slots.rs"));

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A method's slot; `(length)` gives the length of the vtable. Unknown names fail to compile.
pub const fn slot(class: &str, method: &str) -> usize {
    let mut i = 0;
    while i < SLOTS.len() {
        if same(SLOTS[i].0, class) && same(SLOTS[i].1, method) {
            return SLOTS[i].2;
        }
        i += 1;
    }
    panic!("no such slot in TensorRT 10.6")
}

/// A vtable from its address point, followed by a null entry.
#[repr(C)]
pub struct Vtable<const N: usize>([*const c_void; N], usize);

// SAFETY: addresses of functions, never written.
unsafe impl<const N: usize> Sync for Vtable<N> {}

impl<const N: usize> Vtable<N> {
    /// Slots without a method get `unexpected`.
    pub const fn new(class: &str, unexpected: *const c_void, methods: &[(&str, *const c_void)]) -> Self {
        let mut table = [unexpected; N];
        let mut i = 0;
        while i < methods.len() {
            table[slot(class, methods[i].0)] = methods[i].1;
            i += 1;
        }
        Self(table, 0)
    }
}

/// A class: its name, its vtables and the value that its objects hold.
pub trait Class: Sized + 'static {
    const NAME: &'static str;
    /// True for classes without a separate vtable of destructors.
    const PLAIN: bool;

    fn methods() -> *const c_void;
    fn shell() -> *const c_void;
}

/// `class!(TYPE: "CLASS", public|plain { "method" = function, … })`
macro_rules! class {
    ($kind:ty: $name:literal, $layout:ident { $($method:literal = $function:expr,)* }) => {
        impl $crate::tensorrt::object::Class for $kind {
            const NAME: &'static str = $name;
            const PLAIN: bool = $crate::tensorrt::object::class!(@ $layout);

            fn methods() -> *const std::ffi::c_void {
                use $crate::tensorrt::object::{Vtable, slot, unexpected};
                static TABLE: Vtable<{ slot($name, "(length)") }> = Vtable::new(
                    $name,
                    unexpected::<$kind> as *const std::ffi::c_void,
                    &[$(($method, $function as *const std::ffi::c_void)),*],
                );
                (&raw const TABLE).cast()
            }

            fn shell() -> *const std::ffi::c_void {
                use $crate::tensorrt::object::{Vtable, delete, unexpected};
                static TABLE: Vtable<2> = Vtable::new(
                    "INoCopy",
                    unexpected::<$kind> as *const std::ffi::c_void,
                    &[("~D0", delete::<$kind> as *const std::ffi::c_void)],
                );
                (&raw const TABLE).cast()
            }
        }
    };
    (@ public) => { false };
    (@ plain) => { true };
}
pub(super) use class;

#[repr(C)]
struct Inner<T> {
    vtable: *const c_void,
    value: T,
}

#[repr(C)]
struct Object<T> {
    vtable: *const c_void,
    implementation: *const Inner<T>,
    inner: Inner<T>,
}

/// A new object, for the caller to delete.
pub fn new<T: Class>(value: T) -> *mut c_void {
    let inner = Inner { vtable: T::methods(), value };
    if T::PLAIN {
        return Box::into_raw(Box::new(inner)).cast();
    }
    let object = Box::into_raw(Box::new(Object { vtable: T::shell(), implementation: std::ptr::null(), inner }));
    // SAFETY: just made.
    unsafe { (*object).implementation = &raw const (*object).inner };
    object.cast()
}

/// The value behind a method's `this`.
///
/// # Safety
/// `this` is of class `T`, and alive.
pub unsafe fn of<'a, T: Class>(this: *mut c_void) -> &'a T {
    // SAFETY: the caller's promise.
    let inner = unsafe { &*this.cast::<Inner<T>>() };
    assert!(std::ptr::eq(inner.vtable, T::methods()), "an object that is not a {}", T::NAME);
    &inner.value
}

/// The value behind an object that was passed as an argument.
///
/// # Safety
/// As for [`of`], with the object as returned by [`new`].
pub unsafe fn argument<'a, T: Class>(object: *mut c_void) -> &'a T {
    // SAFETY: the caller's promise.
    unsafe { of::<T>((*object.cast::<Object<T>>()).implementation.cast_mut().cast()) }
}

/// The deleting destructor of public objects.
pub unsafe extern "C" fn delete<T: Class>(this: *mut c_void) {
    // SAFETY: made by `new`, deleted once.
    drop(unsafe { Box::from_raw(this.cast::<Object<T>>()) });
}

/// The deleting destructor of plain objects.
pub unsafe extern "C" fn delete_plain<T: Class>(this: *mut c_void) {
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(this.cast::<Inner<T>>()) });
}

/// Fills every slot that isn't implemented.
pub extern "C" fn unexpected<T: Class>() {
    crate::driver::log(&format!("a method of {} was called that the stand-in doesn't implement", T::NAME));
    std::process::abort();
}

/// A method of an interface that the binding implements.
///
/// # Safety
/// `this` is of `class`, and `F` is the method's signature.
pub unsafe fn method<F: Copy>(this: usize, class: &str, name: &str) -> F {
    let index = slot(class, name);
    // SAFETY: an object's first word is its vtable, and the slot is the header's.
    unsafe {
        let vtable = *(this as *const *const *const c_void);
        std::mem::transmute_copy(&*vtable.add(index))
    }
}

/// # Safety
/// A C string.
pub unsafe fn string(text: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
