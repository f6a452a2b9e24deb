//! Handles: numbers that are no addresses, so that a wrong or stale handle is an error, never a crash or another object.

use super::status::{Status, refuse};
use cudarc::driver::sys::CUresult;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Not a canonical address on x86-64.
const BASE: usize = 0x5afe << 48;

pub struct Registry<T> {
    what: &'static str,
    items: OnceLock<Mutex<HashMap<usize, Arc<T>>>>,
}

impl<T> Registry<T> {
    pub const fn new(what: &'static str) -> Self {
        Self { what, items: OnceLock::new() }
    }

    fn items(&self) -> MutexGuard<'_, HashMap<usize, Arc<T>>> {
        self.items.get_or_init(Mutex::default).lock()
    }

    /// Registers a new object under the next handle, which is passed to `make`.
    pub fn add(&self, make: impl FnOnce(usize) -> T) -> Arc<T> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let handle = BASE | NEXT.fetch_add(1, Ordering::Relaxed) << 8;
        let item = Arc::new(make(handle));
        self.items().insert(handle, Arc::clone(&item));
        item
    }

    pub fn get(&self, handle: usize) -> Status<Arc<T>> {
        match self.items().get(&handle) {
            Some(item) => Ok(Arc::clone(item)),
            None => self.stale(handle),
        }
    }

    pub fn remove(&self, handle: usize) -> Status<Arc<T>> {
        let removed = self.items().remove(&handle);
        removed.map_or_else(|| self.stale(handle), Ok)
    }

    pub fn count(&self) -> usize {
        self.items().len()
    }

    pub fn all(&self) -> Vec<Arc<T>> {
        self.items().values().cloned().collect()
    }

    pub fn remove_where(&self, which: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut items = self.items();
        let handles: Vec<usize> = items.iter().filter(|(_, item)| which(item)).map(|(handle, _)| *handle).collect();
        handles.iter().filter_map(|handle| items.remove(handle)).collect()
    }

    fn stale<R>(&self, handle: usize) -> Status<R> {
        refuse(CUresult::CUDA_ERROR_INVALID_HANDLE, &format!("{handle:#x} is not a {}, or was destroyed", self.what))
    }
}
