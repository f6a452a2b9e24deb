//! A mock TensorRT made of static vtables, one for each release whose headers were read. Every slot that no test
//! expects aborts. The slots come from the facts file, not from the tables under test.

use super::callback::InterfaceInfo;
use super::library::{Library, ParserSymbols, Symbols};
use super::object::Vtable;
use super::tensor::{Dims32, Dims64};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

mod build;
mod run;

/// Releases with a header of every class.
pub const RELEASES: [&str; 7] = ["8.5.3", "8.6.1", "10.0", "10.16", "11.1", "11.4", "rtx1.7"];

/// The mock's recorded calls and live objects, per thread, because a test runs on one thread.
#[derive(Default)]
pub struct State {
    pub release: &'static str,
    /// Calls in order, with their arguments.
    pub calls: Vec<String>,
    /// Classes of the objects that haven't been deleted.
    live: Vec<&'static str>,
    logger: usize,
    allocator: usize,
    monitor: usize,
    /// The bytes that the parser was given.
    pub parsed: Vec<u8>,
    /// Makes the parser fail.
    pub bad_model: bool,
    /// The number of bytes that the build requests from the allocator.
    pub build_memory: u64,
    /// The timings of each timing cache, by its address.
    timings: BTreeMap<usize, BTreeSet<String>>,
    /// What was serialised last.
    serialised: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

pub fn state<R>(with: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(with)
}

fn record(call: impl Into<String>) {
    state(|s| s.calls.push(call.into()));
}

/// Takes the calls recorded so far.
pub fn take_calls() -> Vec<String> {
    state(|s| std::mem::take(&mut s.calls))
}

/// Number of objects that haven't been deleted.
pub fn live() -> usize {
    state(|s| s.live.len())
}

/// Creates a mock library of `release` for this thread.
pub fn library(release: &'static str) -> &'static Library {
    state(|s| *s = State { release, ..State::default() });
    let symbols = Symbols { version, create_runtime: run::create, create_builder: Some(build::create) };
    let library = Library::new(format!("mock {release}").into(), None, symbols).unwrap();
    library.set_parser(ParserSymbols { version, create: build::create_parser });
    library
}

fn is_8() -> bool {
    state(|s| s.release.starts_with('8'))
}

extern "C" fn version() -> c_int {
    let release = state(|s| s.release);
    let mut parts = release.trim_start_matches("rtx").split('.').map(|part| part.parse::<c_int>().unwrap());
    let (major, minor, patch) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or(0));
    if major == 8 { major * 1_000 + minor * 100 + patch } else { major * 10_000 + minor * 100 + patch }
}

/// Slot of a method in this thread's release; `None` if the release doesn't have it.
fn slot(class: &str, method: &str) -> Option<usize> {
    const FACTS: &str = include_str!("../../../tests/data/tensorrt_slots.tsv");
    let release = state(|s| s.release);
    let column = FACTS.lines().next().unwrap().split('\t').position(|name| name == release).unwrap();
    let line = FACTS.lines().find(|line| line.starts_with(&format!("{class}\t{method}\t")));
    let cell = line.unwrap_or_else(|| panic!("no facts on {class}::{method}")).split('\t').nth(column).unwrap();
    cell.parse().ok()
}

/// Space for vtables in a loaded segment, where the binding expects them. Each is followed by zeroes, which aren't
/// code.
static ARENA: [AtomicUsize; 1 << 16] = [const { AtomicUsize::new(0) }; 1 << 16];
static USED: AtomicUsize = AtomicUsize::new(0);

/// A vtable of `length` slots that abort, except for `methods`; methods that the release doesn't have are left out.
fn vtable(length: usize, methods: &[(usize, *const c_void)]) -> Vtable {
    let start = USED.fetch_add(length + 1, Ordering::Relaxed);
    for entry in &ARENA[start..start + length] {
        entry.store(unexpected as *const c_void as usize, Ordering::Relaxed);
    }
    for (slot, method) in methods {
        ARENA[start + slot].store(*method as usize, Ordering::Relaxed);
    }
    ARENA[start].as_ptr().cast()
}

extern "C" fn unexpected() {
    eprintln!("mock: a slot was called that {} isn't expected to be called at", state(|s| s.release));
    std::process::abort();
}

/// `{vtable, impl}`, and the object that `impl` points to.
#[repr(C)]
struct Object {
    vtable: Vtable,
    implementation: *const Vtable,
    inner: Vtable,
    class: &'static str,
}

fn new_object(class: &'static str, methods: &[(&str, *const c_void)], plain: bool) -> *mut c_void {
    let length = slot(class, "(length)").unwrap();
    let of_class: Vec<_> =
        methods.iter().filter_map(|(name, function)| Some((slot(class, name)?, *function))).collect();
    let inner = vtable(length, &of_class);
    let shell = if plain { inner } else { vtable(2, &[(slot("INoCopy", "~D0").unwrap(), delete as _)]) };
    let object = Box::leak(Box::new(Object { vtable: shell, implementation: std::ptr::null(), inner, class }));
    object.implementation = &raw const object.inner;
    state(|s| s.live.push(class));
    (&raw mut *object).cast()
}

/// A public object.
fn public(class: &'static str, methods: &[(&str, *const c_void)]) -> *mut c_void {
    new_object(class, methods, false)
}

/// The address of a public object, from that of its implementation, whose methods are called.
fn public_of(implementation: *mut c_void) -> usize {
    implementation.addr() - std::mem::offset_of!(Object, inner)
}

/// A plain interface.
fn plain(class: &'static str, methods: &[(&str, *const c_void)]) -> *mut c_void {
    new_object(class, methods, true)
}

/// Classes, with the children that must be deleted before the last object of the class.
const CHILDREN: [(&str, &[&str]); 4] = [
    ("VBuilder", &["VNetworkDefinition", "VBuilderConfig", "IParser", "VHostMemory", "VTimingCache"]),
    ("VNetworkDefinition", &["IParser"]),
    ("VRuntime", &["VCudaEngine"]),
    ("VCudaEngine", &["VExecutionContext"]),
];

unsafe extern "C" fn delete(this: *mut c_void) {
    // SAFETY: `new_object` created it, and it is deleted once.
    let object = unsafe { Box::from_raw(this.cast::<Object>()) };
    state(|s| {
        let index = s.live.iter().position(|class| *class == object.class).expect("deleted twice");
        s.live.remove(index);
        if s.live.contains(&object.class) {
            return;
        }
        let children = CHILDREN.iter().filter(|(class, _)| *class == object.class).flat_map(|(_, children)| *children);
        for child in children {
            assert!(!s.live.contains(child), "{} was deleted before {child}", object.class);
        }
    });
}

/// Finds a method of one of the binding's interfaces at the slot of this release.
///
/// # Safety
/// `this` is an object of `class`, and `F` is the method's signature.
unsafe fn method<F: Copy>(this: usize, class: &str, name: &str) -> F {
    let index = slot(class, name).unwrap_or_else(|| panic!("{} has no {class}::{name}", state(|s| s.release)));
    // SAFETY: an object's first word is its vtable; the slot comes from the header.
    unsafe {
        let vtable = *(this as *const Vtable);
        std::mem::transmute_copy(&*vtable.add(index))
    }
}

/// Logs as TensorRT does.
fn log(severity: i32, message: &CStr) {
    let logger = state(|s| s.logger);
    // SAFETY: this is the logger that the factory was given.
    unsafe {
        let log: unsafe extern "C" fn(usize, i32, *const c_char) = method(logger, "ILogger", "log");
        log(logger, severity, message.as_ptr());
    }
}

/// Asks a versioned interface for its name, as releases with such interfaces do.
fn check_interface(this: usize, class: &'static str) {
    if slot(class, "getInterfaceInfo").is_none() {
        return;
    }
    // SAFETY: this is the object that the binding passed.
    unsafe {
        let language: unsafe extern "C" fn(usize) -> i32 = method(this, class, "getAPILanguage");
        assert_eq!(language(this), 0);
        let info: unsafe extern "C" fn(usize) -> InterfaceInfo = method(this, class, "getInterfaceInfo");
        let info = info(this);
        assert_eq!(CStr::from_ptr(info.kind).to_str(), Ok(class));
        assert_eq!((info.major, info.minor), (1, 0));
    }
}

unsafe extern "C" fn set_gpu_allocator(_this: *mut c_void, allocator: usize) {
    check_interface(allocator, "IGpuAllocator");
    state(|s| s.allocator = allocator);
}

/// Allocates device memory and frees it; `false` if refused.
fn use_device_memory(size: u64) -> bool {
    let allocator = state(|s| s.allocator);
    if allocator == 0 {
        return true;
    }
    type Allocate = unsafe extern "C" fn(usize, u64, u64, u32) -> *mut c_void;
    type AllocateAsync = unsafe extern "C" fn(usize, u64, u64, u32, usize) -> *mut c_void;
    // SAFETY: this is the allocator that the binding set; the signatures are the header's.
    unsafe {
        let allocate: Allocate = method(allocator, "IGpuAllocator", "allocate");
        let memory = allocate(allocator, size, 256, 0);
        if memory.is_null() {
            return false;
        }
        assert_eq!(memory.addr() % 256, 0);
        let reallocate: unsafe extern "C" fn(usize, *mut c_void, u64, u64) -> *mut c_void =
            method(allocator, "IGpuAllocator", "reallocate");
        assert!(reallocate(allocator, memory, 256, 2 * size).is_null());
        if is_8() {
            let free: unsafe extern "C" fn(usize, *mut c_void) = method(allocator, "IGpuAllocator", "free");
            free(allocator, allocate(allocator, 16, 256, 0));
        } else {
            let allocate: AllocateAsync = method(allocator, "IGpuAllocator", "allocateAsync");
            let free: unsafe extern "C" fn(usize, *mut c_void, usize) -> bool =
                method(allocator, "IGpuAllocator", "deallocateAsync");
            assert!(free(allocator, allocate(allocator, 16, 256, 0, 0), 0));
        }
        let deallocate: unsafe extern "C" fn(usize, *mut c_void) -> bool =
            method(allocator, "IGpuAllocator", "deallocate");
        assert!(deallocate(allocator, memory));
        assert!(!deallocate(allocator, memory), "freed twice");
    }
    true
}

/// Selects the function that returns this release's kind of Dims.
fn returns_dims(narrow: *const c_void, wide: *const c_void) -> *const c_void {
    if is_8() { narrow } else { wide }
}

fn dims_32(shape: &[i64]) -> Dims32 {
    Dims32::new(shape).unwrap()
}

fn dims_64(shape: &[i64]) -> Dims64 {
    Dims64::new(shape).unwrap()
}

/// # Safety
/// `text` is a C string.
unsafe fn string(text: *const c_char) -> String {
    // SAFETY: the caller guarantees it.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}
