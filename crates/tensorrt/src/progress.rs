//! Progress and cancellation of a build: an `IProgressMonitor` (TensorRT 10 and later).

use super::callback::{API_LANGUAGE_CPP, InterfaceInfo, Vtable, destroy, guard};
use super::object::text;
use super::slots;
use super::version::Group;
use parking_lot::Mutex;
use std::ffi::{c_char, c_void};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Called with the current step's name and the overall progress, 0–1, which never decreases.
pub type OnProgress = Arc<dyn Fn(&str, f32) + Send + Sync>;

/// Called with a sentence for the user.
pub type OnNote = Arc<dyn Fn(&str) + Send + Sync>;

/// Set to `true` from any thread to stop a build.
pub type Cancel = Arc<AtomicBool>;

/// The monitor of one build.
#[repr(C)]
pub struct ProgressMonitor {
    /// The first field, because TensorRT finds the vtable at the object's start.
    vtable: &'static Vtable,
    cancel: Cancel,
    on_progress: OnProgress,
    phases: Mutex<Phases>,
}

static VTABLES: LazyLock<[Vtable; 4]> = LazyLock::new(|| {
    Vtable::lay_out_all(&[
        (slots::progress_monitor::API_LANGUAGE, api_language as _),
        (slots::progress_monitor::INTERFACE_INFO, interface_info as _),
        (slots::progress_monitor::DESTROY, destroy as _),
        (slots::progress_monitor::DELETE, destroy as _),
        (slots::progress_monitor::PHASE_START, phase_start as _),
        (slots::progress_monitor::STEP_COMPLETE, step_complete as _),
        (slots::progress_monitor::PHASE_FINISH, phase_finish as _),
    ])
});

impl ProgressMonitor {
    /// Watches a build by a library of this group.
    pub fn new(group: Group, cancel: Cancel, on_progress: OnProgress) -> Self {
        Self { vtable: Vtable::of(&VTABLES, group), cancel, on_progress, phases: Mutex::default() }
    }

    /// The pointer that TensorRT takes.
    pub(super) fn raw(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }

    /// Updates the phases and reports progress. Does nothing after cancellation, because phases that end then aren't
    /// complete.
    fn update(&self, name: &str, change: impl FnOnce(&mut Phases)) {
        if self.cancel.load(Ordering::Relaxed) {
            return;
        }
        let fraction = {
            let mut phases = self.phases.lock();
            change(&mut phases);
            phases.advance()
        };
        (self.on_progress)(name, fraction);
    }
}

impl fmt::Debug for ProgressMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressMonitor").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// The active phases; a phase's steps can be phases themselves.
#[derive(Debug, Default)]
struct Phases {
    active: Vec<Phase>,
    reached: f32,
}

#[derive(Debug)]
struct Phase {
    name: String,
    parent: String,
    steps: f32,
    done: f32,
}

impl Phases {
    fn start(&mut self, name: String, parent: String, steps: i32) {
        self.active.push(Phase { name, parent, steps: steps.max(1) as f32, done: 0.0 });
    }

    fn complete(&mut self, name: &str, step: i32) {
        if let Some(phase) = self.active.iter_mut().rfind(|phase| phase.name == name) {
            phase.done = (step as f32 + 1.0).clamp(phase.done, phase.steps);
        }
    }

    /// Ends a phase; the end of the outermost phase completes the build.
    fn finish(&mut self, name: &str) {
        if let Some(index) = self.active.iter().rposition(|phase| phase.name == name) {
            let phase = self.active.remove(index);
            if phase.parent.is_empty() {
                self.reached = 1.0;
            }
        }
    }

    /// The overall progress: the finished steps of the outermost phase, plus the finished part of its current step.
    fn advance(&mut self) -> f32 {
        let root = self.active.iter().position(|phase| phase.parent.is_empty());
        if let Some(root) = root {
            self.reached = self.fraction(root, 0).clamp(self.reached, 1.0);
        }
        self.reached
    }

    fn fraction(&self, index: usize, depth: usize) -> f32 {
        // TensorRT never creates a cycle of names, but the recursion must still end.
        let (Some(phase), true) = (self.active.get(index), depth < self.active.len()) else { return 0.0 };
        let child = self.active.iter().position(|other| other.parent == phase.name && other.name != phase.name);
        let under_way = child.map_or(0.0, |child| self.fraction(child, depth + 1));
        ((phase.done + under_way) / phase.steps).min(1.0)
    }
}

/// # Safety
/// `this` is [`ProgressMonitor::raw`] of a live monitor.
unsafe fn monitor<'a>(this: *mut c_void) -> &'a ProgressMonitor {
    // SAFETY: the caller guarantees it.
    unsafe { &*this.cast() }
}

unsafe extern "C" fn phase_start(this: *mut c_void, name: *const c_char, parent: *const c_char, steps: i32) {
    guard((), || {
        // SAFETY: TensorRT passes the monitor that it was given, and strings that are valid during this call.
        let (monitor, name, parent) = unsafe { (monitor(this), text(name), text(parent)) };
        monitor.update(&name, |phases| phases.start(name.clone(), parent, steps));
    });
}

/// Returning `false` stops the build; so does a panic in the callback.
unsafe extern "C" fn step_complete(this: *mut c_void, name: *const c_char, step: i32) -> bool {
    guard(false, || {
        // SAFETY: as in `phase_start`.
        let (monitor, name) = unsafe { (monitor(this), text(name)) };
        monitor.update(&name, |phases| phases.complete(&name, step));
        !monitor.cancel.load(Ordering::Relaxed)
    })
}

unsafe extern "C" fn phase_finish(this: *mut c_void, name: *const c_char) {
    guard((), || {
        // SAFETY: as in `phase_start`.
        let (monitor, name) = unsafe { (monitor(this), text(name)) };
        monitor.update(&name, |phases| phases.finish(&name));
    });
}

extern "C" fn api_language(_this: *const c_void) -> i32 {
    API_LANGUAGE_CPP
}

extern "C" fn interface_info(_this: *const c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"IProgressMonitor".as_ptr(), major: 1, minor: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_phases_add_up_and_never_go_back() {
        let mut phases = Phases::default();
        phases.start("build".into(), String::new(), 4);
        assert_eq!(phases.advance(), 0.0);
        phases.start("tactics".into(), "build".into(), 10);
        phases.complete("tactics", 4);
        assert_eq!(phases.advance(), 0.125);
        phases.finish("tactics");
        assert_eq!(phases.advance(), 0.125);
        phases.complete("build", 0);
        assert_eq!(phases.advance(), 0.25);
        phases.complete("build", 3);
        phases.finish("build");
        assert_eq!(phases.advance(), 1.0);
    }
}
