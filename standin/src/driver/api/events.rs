//! Events.

use super::super::context::current;
use super::super::event::{EVENTS, Event};
use super::super::stream::any_by_handle;
use super::{driver, put};
use std::ffi::c_uint;

/// `CU_EVENT_RECORD_EXTERNAL`
const EXTERNAL: c_uint = 1;

driver! {
    fn cuEventCreate(out: *mut usize, flags: c_uint) {
        put(out, Event::create(&current()?, flags).handle)
    }

    fn cuEventDestroy_v2(event: usize) {
        EVENTS.remove(event).map(drop)
    }

    fn cuEventRecord(event: usize, stream: usize) {
        current()?;
        EVENTS.get(event)?.record(&any_by_handle(stream)?, false)
    }

    fn cuEventRecordWithFlags(event: usize, stream: usize, flags: c_uint) {
        current()?;
        EVENTS.get(event)?.record(&any_by_handle(stream)?, flags & EXTERNAL != 0)
    }

    fn cuEventQuery(event: usize) {
        EVENTS.get(event)?.query()
    }

    fn cuEventSynchronize(event: usize) {
        EVENTS.get(event)?.synchronise()
    }

    fn cuEventElapsedTime(out: *mut f32, earlier: usize, later: usize) {
        put(out, EVENTS.get(later)?.since(&*EVENTS.get(earlier)?)?)
    }
}
