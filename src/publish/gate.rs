//! Whether the lines of a camera may go out: a host of a fleet that may have lost the camera publishes nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A host's right to its cameras, which it keeps while it's renewed.
///
/// A process that was suspended finds its lease expired when it goes on, before it has heard anything from anyone.
#[derive(Debug)]
pub struct Lease {
    start: Instant,
    length: Duration,
    /// ms after `start`.
    renewed: AtomicU64,
    /// Counts how often it expired.
    term: AtomicU64,
}

impl Lease {
    /// A lease of this length, which begins now.
    pub fn new(length: Duration) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), length, renewed: AtomicU64::new(0), term: AtomicU64::new(0) })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn has_expired(&self) -> bool {
        let age = self.elapsed().saturating_sub(self.renewed.load(Ordering::Acquire));
        u128::from(age) > self.length.as_millis()
    }

    /// Renews it. Returns whether it had expired: gates that were made before stay closed.
    pub fn renew(&self) -> bool {
        let expired = self.has_expired();
        if expired {
            self.term.fetch_add(1, Ordering::AcqRel);
        }
        self.renewed.store(self.elapsed(), Ordering::Release);
        expired
    }

    /// The gate of a camera that starts now.
    pub fn gate(self: &Arc<Self>) -> Arc<Gate> {
        let term = self.term.load(Ordering::Acquire);
        Arc::new(Gate { lease: self.clone(), term, state: AtomicU8::new(OPEN), frames: Mutex::default() })
    }
}

/// What happens to lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// They wait.
    Held,
    /// They are dropped, as are those that wait.
    Cut,
}

const OPEN: u8 = 0;
const HELD: u8 = 1;
const CUT: u8 = 2;

/// The gate of one run of a camera, for all its outputs.
#[derive(Debug)]
pub struct Gate {
    lease: Arc<Lease>,
    term: u64,
    state: AtomicU8,
    /// By output: the number of the next frame. A pipeline that is made again goes on counting, so that no number comes twice in
    /// an epoch.
    frames: Mutex<BTreeMap<String, u64>>,
}

impl Gate {
    pub fn passage(&self) -> Passage {
        let state = self.state.load(Ordering::Acquire);
        if state == CUT || self.lease.term.load(Ordering::Acquire) != self.term {
            Passage::Cut
        } else if state == HELD || self.lease.has_expired() {
            Passage::Held
        } else {
            Passage::Open
        }
    }

    /// Lines wait, or pass again.
    pub fn hold(&self, hold: bool) {
        let (from, to) = if hold { (OPEN, HELD) } else { (HELD, OPEN) };
        // One that was cut stays so.
        let _ = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::Release);
    }

    /// The number of the first frame of an output that starts.
    pub fn first_frame(&self, output: &str) -> u64 {
        self.frames.lock().get(output).copied().unwrap_or(0)
    }

    /// An output has ended before this frame.
    pub fn ended_at(&self, output: &str, frame: u64) {
        self.frames.lock().insert(output.to_owned(), frame);
    }
}

/// Gates of different runs differ.
impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_opens_and_closes_and_stays_cut() {
        let lease = Lease::new(Duration::from_secs(60));
        let gate = lease.gate();
        assert_eq!(gate.passage(), Passage::Open);
        gate.hold(true);
        assert_eq!(gate.passage(), Passage::Held);
        gate.hold(false);
        assert_eq!(gate.passage(), Passage::Open);
        gate.cut();
        gate.hold(true);
        gate.hold(false);
        assert_eq!(gate.passage(), Passage::Cut);
        gate.ended_at("lines-1", 7);
        assert_eq!((gate.first_frame("lines-1"), gate.first_frame("mqtt")), (7, 0));
    }

    #[test]
    fn a_lease_that_expired_closes_its_gates_for_good() {
        let lease = Lease::new(Duration::from_millis(30));
        let gate = lease.gate();
        assert!(!lease.renew());
        std::thread::sleep(Duration::from_millis(40));
        assert_eq!(gate.passage(), Passage::Held, "nothing has noticed yet");
        assert!(lease.renew());
        assert_eq!(gate.passage(), Passage::Cut);
        assert_eq!(lease.gate().passage(), Passage::Open);
    }
}
