//! Calling C++ objects through their vtables (Itanium C++ ABI, x86-64).
//!
//! A public TensorRT object (`IRuntime`, `ICudaEngine`, …) is `{vtable, impl}`; its methods are in the vtable of the
//! object that `impl` points to (class `apiv::V…`). Plain interfaces (`IParser`, `IParserError`) have their methods in
//! their own vtable.

use super::error::Error;
use super::library::Library;
use super::slots::{self, VtableSlot};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

/// A vtable, from its address point on.
pub type Vtable = *const *const c_void;

/// The head of every C++ object with virtual methods.
#[repr(C)]
struct Polymorphic {
    vtable: Vtable,
}

#[repr(C)]
struct Public {
    vtable: Vtable,
    implementation: *mut Polymorphic,
}

/// Pointers below this count as null: without a driver, 11.4's runtime factory returns 0x228.
const LOWEST_POINTER: usize = 64 << 10;

/// `None` for null and for addresses that can't be an object.
pub fn non_null<T>(pointer: *mut T) -> Option<NonNull<T>> {
    NonNull::new(pointer).filter(|pointer| pointer.addr().get() >= LOWEST_POINTER)
}

/// A borrowed object whose vtable has been checked to have the class's length.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// The `this` argument of the methods.
    this: NonNull<c_void>,
    vtable: Vtable,
    class: &'static str,
    pub library: &'static Library,
}

impl Object {
    /// # Safety
    /// `pointer` is a live public object of `library`, whose implementation has class `class`.
    ///
    /// # Errors
    /// [`Error::Layout`] when the vtable is shorter than the class's.
    pub unsafe fn public(
        pointer: NonNull<c_void>,
        class: &'static str,
        library: &'static Library,
    ) -> Result<Self, Error> {
        // SAFETY: the caller guarantees that the object is live and has this layout.
        let implementation = unsafe { pointer.cast::<Public>().as_ref() }.implementation;
        let this = non_null(implementation).ok_or_else(|| Error::Layout {
            file: library.path().into(),
            version: library.version(),
            class,
            found: 0,
            expected: 1,
        })?;
        // SAFETY: TensorRT's implementation object lives as long as the public one.
        unsafe { Self::plain(this.cast(), class, library) }
    }

    /// # Safety
    /// `pointer` is a live object of `library`, of class `class`, with its methods in its own vtable.
    ///
    /// # Errors
    /// [`Error::Layout`] when the vtable is shorter than the class's.
    pub unsafe fn plain(
        pointer: NonNull<c_void>,
        class: &'static str,
        library: &'static Library,
    ) -> Result<Self, Error> {
        // SAFETY: the caller guarantees that the object is live; its first word is the vtable.
        let vtable = unsafe { pointer.cast::<Polymorphic>().as_ref() }.vtable;
        library.check_vtable(vtable, class)?;
        Ok(Self { this: pointer, vtable, class, library })
    }

    /// # Errors
    /// [`Error::NoMethod`] if this release has no such method.
    pub fn method(&self, slot: &VtableSlot) -> Result<*const c_void, Error> {
        debug_assert_eq!(self.class, slot.class);
        let (group, version) = (self.library.group(), self.library.version());
        let index =
            slot.index(group, &version).ok_or(Error::NoMethod { version, class: slot.class, method: slot.method })?;
        // SAFETY: every index in the tables is below the class's length, which this vtable has been checked to have.
        Ok(unsafe { *self.vtable.add(index) })
    }

    pub fn has(&self, slot: &VtableSlot) -> bool {
        slot.index(self.library.group(), &self.library.version()).is_some()
    }

    pub fn this(&self) -> *mut c_void {
        self.this.as_ptr()
    }
}

/// An object that we own and delete.
#[derive(Debug)]
pub struct Owned {
    pub object: Object,
    /// The pointer as TensorRT returned it, which other methods take as an argument.
    raw: NonNull<c_void>,
    delete: unsafe extern "C" fn(*mut c_void),
}

impl Owned {
    /// Takes ownership of a public object.
    ///
    /// # Safety
    /// As for [`Object::public`], and nothing else deletes the object.
    ///
    /// # Errors
    /// [`Error::Layout`] when a vtable is too short; the object then leaks.
    pub unsafe fn public(raw: NonNull<c_void>, class: &'static str, library: &'static Library) -> Result<Self, Error> {
        // SAFETY: the public object's vtable starts with its two destructors (class INoCopy).
        let shell = unsafe { Object::plain(raw, slots::object::DELETE.class, library) }?;
        // SAFETY: the caller guarantees it.
        let object = unsafe { Object::public(raw, class, library) }?;
        // SAFETY: a deleting destructor takes only `this`.
        let delete = unsafe { as_destructor(shell.method(&slots::object::DELETE)?) };
        Ok(Self { object, raw, delete })
    }

    /// Takes ownership of a plain interface whose deleting destructor is at `delete`.
    ///
    /// # Safety
    /// As for [`Object::plain`], and nothing else deletes the object.
    ///
    /// # Errors
    /// [`Error::Layout`] when the vtable is too short; the object then leaks.
    pub unsafe fn plain(raw: NonNull<c_void>, delete: &VtableSlot, library: &'static Library) -> Result<Self, Error> {
        // SAFETY: the caller guarantees it.
        let object = unsafe { Object::plain(raw, delete.class, library) }?;
        // SAFETY: a deleting destructor takes only `this`.
        let delete = unsafe { as_destructor(object.method(delete)?) };
        Ok(Self { object, raw, delete })
    }

    pub fn raw(&self) -> *mut c_void {
        self.raw.as_ptr()
    }
}

/// # Safety
/// `method` is a deleting destructor.
unsafe fn as_destructor(method: *const c_void) -> unsafe extern "C" fn(*mut c_void) {
    // SAFETY: the caller guarantees the type; data and function pointers have the same size on this platform.
    unsafe { std::mem::transmute(method) }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the object is live and ours; holders of an `Owned` drop everything that depends on it first.
        unsafe { (self.delete)(self.raw.as_ptr()) }
    }
}

/// Calls a method: `call!(object, SLOT, fn(ARGUMENT TYPES) -> RESULT, ARGUMENTS…)` returns `Result<RESULT, Error>`, an
/// error if this release has no such method. This is unsafe: the signature must be the method's, and the arguments must
/// be valid.
macro_rules! call {
    ($object:expr, $slot:expr, fn($($type:ty),*) $(-> $result:ty)? $(, $argument:expr)* $(,)?) => {{
        let object: &$crate::object::Object = &$object;
        object.method(&$slot).map(|method| {
            let method: unsafe extern "C" fn(*mut std::ffi::c_void $(, $type)*) $(-> $result)? = std::mem::transmute(method);
            method(object.this() $(, $argument)*)
        })
    }};
}
pub(super) use call;

/// Copies a string of TensorRT's; empty for null.
///
/// # Safety
/// `text` is null or a string that is valid during the call.
pub unsafe fn text(text: *const c_char) -> String {
    match non_null(text.cast_mut()) {
        // SAFETY: the caller guarantees it.
        Some(text) => unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned(),
        None => String::new(),
    }
}
