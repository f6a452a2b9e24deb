//! A host of a fleet, as a state machine.
//!
//! A partition that the group gives it is read from its beginning, the cameras and their claims. Each camera is then
//! claimed, which makes an epoch, and started. A partition that the group asks back is let go once its cameras have
//! stopped. A host that has lost its partitions, because the group didn't hear from it, stops publishing at once.
//!
//! A camera that ends the process in which it starts would end one host after the other: the claim that it left says so. It
//! is started alone after the first time, so that the second time shows that it was this one.

use super::event::{Action, CameraView, Doing, Event, Slot};
use super::record::{CameraRecord, Claim, ClaimState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug)]
struct Partition {
    /// All its cameras have been read.
    records: bool,
    /// All their claims have been read.
    claims: bool,
    state: Owned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owned {
    Yes,
    /// The group asks for it.
    Revoked,
    /// The group wasn't heard: it may have another owner.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Idle,
    /// The claim is on its way; a camera that runs goes on meanwhile.
    Claiming {
        running: Option<i64>,
    },
    Running {
        epoch: i64,
    },
    Held {
        epoch: i64,
    },
    Stopping {
        epoch: i64,
        cut: bool,
    },
}

#[derive(Debug)]
struct Camera {
    record: Option<(CameraRecord, i64)>,
    /// The claim with the latest epoch, or what has become of it, and that epoch.
    claim: Option<(Claim, i64)>,
    run: Run,
    /// Since when it plays.
    playing: Option<Duration>,
    /// It has played long enough.
    settled: bool,
    /// What its claim says of hosts that ended.
    strikes: u32,
    /// It isn't claimed before this time.
    not_before: Duration,
    unusable: Option<String>,
    /// The reason for which it doesn't run has been said.
    said: bool,
}

impl Camera {
    fn new() -> Self {
        Self {
            record: None,
            claim: None,
            run: Run::Idle,
            playing: None,
            settled: false,
            strikes: 0,
            not_before: Duration::ZERO,
            unusable: None,
            said: false,
        }
    }

    fn is_idle(&self) -> bool {
        self.run == Run::Idle
    }

    fn epoch(&self) -> Option<i64> {
        match self.run {
            Run::Idle => None,
            Run::Claiming { running } => running,
            Run::Running { epoch } | Run::Held { epoch } | Run::Stopping { epoch, .. } => Some(epoch),
        }
    }

    fn is_on_probation(&self) -> bool {
        !self.is_idle() && self.strikes > 0 && !self.settled
    }
}

/// One host.
#[derive(Debug)]
pub struct Host {
    name: String,
    run: String,
    /// Most cameras at once.
    capacity: usize,
    partitions: BTreeMap<i32, Partition>,
    cameras: BTreeMap<Slot, Camera>,
    /// It takes no camera any more.
    ends: bool,
    actions: Vec<Action>,
}

/// A camera has settled after it has played for this long.
const SETTLES: Duration = Duration::from_secs(3);
/// A host that may have lost its cameras waits this long for the group to say so before it claims them again; longer than a
/// few heartbeats.
const DOUBT: Duration = Duration::from_secs(3);
/// Between two attempts to write a claim.
const RETRY: Duration = Duration::from_secs(1);
/// A camera that ended this many hosts in a row isn't started again.
const MOST_STRIKES: u32 = 2;

impl Host {
    /// `run` identifies the process among all of this name.
    pub fn new(name: &str, run: &str, capacity: usize) -> Self {
        Self {
            name: name.to_owned(),
            run: run.to_owned(),
            capacity,
            partitions: BTreeMap::new(),
            cameras: BTreeMap::new(),
            ends: false,
            actions: Vec::new(),
        }
    }

    /// Takes at most this many cameras from now on. It keeps those that it has.
    pub fn set_capacity(&mut self, cameras: usize) {
        self.capacity = cameras;
    }

    /// The record of a camera.
    pub fn record(&self, slot: &Slot) -> Option<&CameraRecord> {
        self.cameras.get(slot)?.record.as_ref().map(|(record, _)| record)
    }

    /// The cameras of its partitions, and those that still run.
    pub fn cameras(&self) -> impl Iterator<Item = CameraView> {
        let room = self.room();
        self.cameras.iter().filter(|(_, camera)| camera.record.is_some() || !camera.is_idle()).map(
            move |(slot, camera)| CameraView {
                slot: slot.clone(),
                epoch: camera.epoch(),
                doing: self.doing(slot, camera, room),
            },
        )
    }

    /// Whether nothing runs or is about to.
    pub fn is_idle(&self) -> bool {
        self.cameras.values().all(Camera::is_idle)
    }

    /// Whether all its partitions have been read.
    pub fn has_read(&self) -> bool {
        self.partitions.values().all(|partition| partition.records && partition.claims)
    }

    /// The number of its partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    fn doing(&self, slot: &Slot, camera: &Camera, room: usize) -> Doing {
        match camera.run {
            Run::Running { .. } | Run::Claiming { running: Some(_) } => Doing::Running,
            Run::Held { .. } => Doing::Held,
            Run::Stopping { .. } => Doing::Stopping,
            Run::Claiming { running: None } => Doing::Waiting,
            Run::Idle => match &camera.unusable {
                Some(reason) => Doing::Unusable(reason.clone()),
                None if self.is_quarantined(camera) => Doing::Quarantined,
                None if self.is_wanted(slot, camera) && room == 0 => Doing::Unserved,
                None => Doing::Waiting,
            },
        }
    }

    /// Takes an event at `now` on the caller's clock, and returns what is to be done.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let waits = self.only_reads(&event);
        match event {
            Event::Assigned(partitions) => self.assigned(&partitions),
            Event::Revoked(partitions) => self.set_owned(&partitions, Owned::Revoked),
            Event::Lost(partitions) => self.lost(&partitions),
            Event::Suspended => self.suspended(now),
            Event::Record { slot, offset, value } => self.record_came(slot, offset, value.as_deref()),
            Event::RecordsRead(partition) => {
                self.partitions.entry(partition).and_modify(|partition| partition.records = true);
            }
            Event::Claim { slot, offset, value } => self.claim_came(slot, offset, value.as_deref(), now),
            Event::ClaimsRead(partition) => {
                self.partitions.entry(partition).and_modify(|partition| partition.claims = true);
                self.resume_held(partition);
            }
            Event::Claimed { slot, offset } => self.claimed(slot, offset),
            Event::ClaimFailed { slot, reason } => self.claim_failed(slot, &reason, now),
            Event::Unusable { slot, reason } => self.unusable(slot, reason),
            Event::Restart(slot) => self.restart(slot),
            Event::Plays(slot) => {
                if let Some(camera) = self.cameras.get_mut(&slot) {
                    camera.playing.get_or_insert(now);
                }
            }
            Event::Stopped(slot) => self.stopped(slot),
            Event::Drain | Event::End => self.ends = true,
            Event::Tick => {}
        }
        if !waits {
            self.settle(now);
            self.go_on(now);
        }
        std::mem::take(&mut self.actions)
    }

    /// Whether the event is a part of reading a partition whose end hasn't come: nothing follows from it yet.
    fn only_reads(&self, event: &Event) -> bool {
        let unread = |number: &i32| self.partitions.get(number).is_some_and(|p| !p.records || !p.claims);
        match event {
            Event::Record { slot, .. } | Event::Claim { slot, .. } => unread(&slot.partition),
            Event::RecordsRead(number) => self.partitions.get(number).is_some_and(|partition| !partition.claims),
            Event::ClaimsRead(number) => self.partitions.get(number).is_some_and(|partition| !partition.records),
            _ => false,
        }
    }

    fn assigned(&mut self, partitions: &[i32]) {
        // What was lost and isn't given back has another owner.
        let gone: Vec<i32> = self
            .partitions
            .iter()
            .filter(|(n, p)| p.state == Owned::Lost && !partitions.contains(n))
            .map(|(n, _)| *n)
            .collect();
        self.give_up(&gone);
        for partition in partitions {
            self.partitions.insert(*partition, Partition { records: false, claims: false, state: Owned::Yes });
            // A record that isn't there any more isn't read again.
            for (_, camera) in self.cameras.iter_mut().filter(|(slot, _)| slot.partition == *partition) {
                if camera.is_idle() {
                    *camera = Camera::new();
                }
            }
        }
    }

    fn set_owned(&mut self, partitions: &[i32], state: Owned) {
        for number in partitions {
            match self.partitions.get_mut(number) {
                Some(partition) => partition.state = state,
                None if state == Owned::Revoked => self.actions.push(Action::LetGo(*number)),
                None => {}
            }
        }
    }

    fn lost(&mut self, partitions: &[i32]) {
        self.set_owned(partitions, Owned::Lost);
        for (slot, camera) in self.cameras.iter_mut().filter(|(slot, _)| partitions.contains(&slot.partition)) {
            if let Run::Running { epoch } | Run::Claiming { running: Some(epoch) } = camera.run {
                camera.run = Run::Held { epoch };
                self.actions.push(Action::Hold(slot.clone()));
            }
        }
    }

    fn suspended(&mut self, now: Duration) {
        let running: Vec<Slot> = self.cameras.keys().cloned().collect();
        for slot in running {
            self.cut(&slot);
        }
        self.cameras.values_mut().for_each(|camera| camera.not_before = now + DOUBT);
    }

    /// Cuts the cameras of partitions that have another owner.
    fn give_up(&mut self, partitions: &[i32]) {
        let of = |slot: &&Slot| partitions.contains(&slot.partition);
        let slots: Vec<Slot> = self.cameras.keys().filter(of).cloned().collect();
        for slot in slots {
            self.cut(&slot);
        }
        self.set_owned(partitions, Owned::Revoked);
    }

    fn cut(&mut self, slot: &Slot) {
        let Some(camera) = self.cameras.get_mut(slot) else { return };
        match camera.run {
            Run::Running { epoch } | Run::Held { epoch } | Run::Claiming { running: Some(epoch) } => {
                camera.run = Run::Stopping { epoch, cut: true };
                self.actions.push(Action::Cut(slot.clone()));
            }
            Run::Stopping { epoch, cut: false } => {
                camera.run = Run::Stopping { epoch, cut: true };
                self.actions.push(Action::Cut(slot.clone()));
            }
            Run::Idle | Run::Claiming { running: None } | Run::Stopping { cut: true, .. } => {}
        }
    }

    fn record_came(&mut self, slot: Slot, offset: i64, value: Option<&[u8]>) {
        if !self.partitions.contains_key(&slot.partition) {
            return;
        }
        let camera = self.cameras.entry(slot.clone()).or_insert_with(Camera::new);
        let record = match value.map(|value| CameraRecord::read(&slot.camera, value)) {
            Some(Ok(record)) => Some((record, offset)),
            None => None,
            Some(Err(error)) => {
                self.actions.push(Action::Say(format!(
                    "record {offset} of partition {} of the cameras, {:?}, is left out: {error}; write cameras with gst-trt \
                     fleet apply",
                    slot.partition, slot.camera
                )));
                None
            }
        };
        let changed = match (&camera.record, &record) {
            (Some((old, _)), Some((new, _))) => old != new,
            _ => false,
        };
        camera.record = record;
        (camera.unusable, camera.said) = (None, false);
        if changed && matches!(camera.run, Run::Running { .. } | Run::Held { .. } | Run::Claiming { .. }) {
            self.actions.push(Action::Changed(slot));
        }
    }

    fn claim_came(&mut self, slot: Slot, offset: i64, value: Option<&[u8]>, now: Duration) {
        let Some(value) = value else { return };
        let claim = match Claim::read(value) {
            Ok(claim) => claim,
            Err(error) => {
                self.actions.push(Action::Say(format!(
                    "record {offset} of partition {} of the claims, {:?}, is left out: {error}",
                    slot.partition, slot.camera
                )));
                return;
            }
        };
        if !self.partitions.contains_key(&slot.partition) {
            return;
        }
        let epoch = claim.epoch_at(offset);
        let ours = claim.run == self.run;
        let camera = self.cameras.entry(slot.clone()).or_insert_with(Camera::new);
        if camera.claim.as_ref().is_some_and(|(_, last)| *last > epoch) {
            return;
        }
        let begins = claim.state == ClaimState::Started;
        camera.claim = Some((claim, epoch));
        // A later claim of another process: it has the camera, or had it for a moment.
        if begins && !ours && camera.epoch().is_some_and(|own| epoch > own) {
            self.cut(&slot);
            self.cameras.entry(slot).and_modify(|camera| camera.not_before = now + DOUBT);
        }
    }

    /// The claims of a partition that was lost and came back have been read: where none is later, the run goes on.
    fn resume_held(&mut self, partition: i32) {
        let owned = self.partitions.get(&partition).is_some_and(|partition| partition.state == Owned::Yes);
        if !owned {
            return;
        }
        let slots: Vec<Slot> = self.cameras.keys().filter(|slot| slot.partition == partition).cloned().collect();
        for slot in slots {
            let Some(camera) = self.cameras.get_mut(&slot) else { continue };
            let Run::Held { epoch } = camera.run else { continue };
            if camera.claim.as_ref().is_none_or(|(_, last)| *last <= epoch) {
                camera.run = Run::Running { epoch };
                self.actions.push(Action::Resume(slot));
            } else {
                self.cut(&slot);
            }
        }
    }

    fn claimed(&mut self, slot: Slot, offset: i64) {
        let Some(camera) = self.cameras.get_mut(&slot) else { return };
        let Run::Claiming { running } = camera.run else {
            // It was cut meanwhile; the next claim is later than this one.
            return;
        };
        let base = camera.record.as_ref().map_or(0, |(record, _)| record.base);
        let epoch = base + offset;
        camera.run = Run::Running { epoch };
        (camera.playing, camera.settled) = (None, false);
        let owned = self.partitions.get(&slot.partition).map(|partition| partition.state);
        if owned == Some(Owned::Yes) && camera.record.is_some() && !self.ends {
            self.actions.push(Action::Start { slot, epoch });
        } else if running.is_none() {
            // There was no need to start it.
            self.release(&slot, epoch);
        }
    }

    fn claim_failed(&mut self, slot: Slot, reason: &str, now: Duration) {
        let Some(camera) = self.cameras.get_mut(&slot) else { return };
        let Run::Claiming { running } = camera.run else { return };
        camera.run = running.map_or(Run::Idle, |epoch| Run::Running { epoch });
        camera.not_before = now + RETRY;
        if running.is_some() {
            self.actions.push(Action::Changed(slot.clone()));
        }
        self.actions
            .push(Action::Say(format!("{}: the claim can't be written: {reason}; it's tried again", slot.camera)));
    }

    fn unusable(&mut self, slot: Slot, reason: String) {
        let Some(camera) = self.cameras.get_mut(&slot) else { return };
        self.actions.push(Action::Say(format!("{}: can't run: {reason}", slot.camera)));
        camera.unusable = Some(reason);
    }

    /// A running camera gets a new claim; it runs on until that is written.
    fn restart(&mut self, slot: Slot) {
        let owned = self.partitions.get(&slot.partition).is_some_and(|partition| partition.state == Owned::Yes);
        let Some(camera) = self.cameras.get_mut(&slot).filter(|_| owned && !self.ends) else { return };
        let Run::Running { epoch } = camera.run else { return };
        camera.run = Run::Claiming { running: Some(epoch) };
        camera.strikes = 0;
        let claim = new_claim(&self.name, &self.run, camera);
        self.actions.push(Action::Claim { slot, claim });
    }

    fn stopped(&mut self, slot: Slot) {
        let Some(camera) = self.cameras.get(&slot) else { return };
        if let Some(epoch) = camera.epoch() {
            self.release(&slot, epoch);
        }
    }

    /// Nothing of the camera runs any more: the claim is released, unless another host has made a later one.
    fn release(&mut self, slot: &Slot, epoch: i64) {
        let Some(camera) = self.cameras.get_mut(slot) else { return };
        camera.run = Run::Idle;
        (camera.playing, camera.settled) = (None, false);
        if camera.claim.as_ref().is_none_or(|(claim, last)| *last <= epoch && (claim.run == self.run || *last < epoch))
        {
            let claim = Claim {
                state: ClaimState::Released,
                strikes: 0,
                epoch: Some(epoch),
                ..new_claim(&self.name, &self.run, camera)
            };
            camera.claim = Some((claim.clone(), epoch));
            self.actions.push(Action::Note { slot: slot.clone(), claim });
        }
    }

    /// Notes which cameras have played long enough.
    fn settle(&mut self, now: Duration) {
        for (slot, camera) in &mut self.cameras {
            let Run::Running { epoch } = camera.run else { continue };
            let long = camera.playing.is_some_and(|since| now.saturating_sub(since) >= SETTLES);
            if long && !camera.settled {
                (camera.settled, camera.strikes) = (true, 0);
                let claim = Claim {
                    state: ClaimState::Settled,
                    epoch: Some(epoch),
                    ..new_claim(&self.name, &self.run, camera)
                };
                camera.claim = Some((claim.clone(), epoch));
                self.actions.push(Action::Note { slot: slot.clone(), claim });
            }
        }
    }

    /// Whether the camera is to run here, if there is room.
    fn is_wanted(&self, slot: &Slot, camera: &Camera) -> bool {
        let partition = self.partitions.get(&slot.partition);
        !self.ends
            && partition.is_some_and(|p| p.state == Owned::Yes && p.records && p.claims)
            && camera.record.is_some()
    }

    fn is_quarantined(&self, camera: &Camera) -> bool {
        let same = |claim: &Claim| camera.record.as_ref().is_some_and(|(_, offset)| *offset == claim.record);
        camera.is_idle()
            && camera.claim.as_ref().is_some_and(|(claim, _)| {
                same(claim)
                    && (claim.state == ClaimState::Quarantined
                        || claim.state == ClaimState::Started
                            && claim.strikes + 1 >= MOST_STRIKES
                            && claim.run != self.run)
            })
    }

    /// How many more cameras fit.
    fn room(&self) -> usize {
        let taken = self.cameras.values().filter(|camera| !camera.is_idle()).count();
        self.capacity.saturating_sub(taken)
    }

    /// Starts what is to run and stops what isn't.
    fn go_on(&mut self, now: Duration) {
        let slots: Vec<Slot> = self.cameras.keys().cloned().collect();
        let busy = self.cameras.iter().filter(|(_, camera)| !camera.is_idle());
        let mut busy: BTreeSet<String> = busy.map(|(slot, _)| slot.camera.clone()).collect();
        let mut room = self.room();
        let mut probation = self.cameras.values().any(Camera::is_on_probation);
        for slot in &slots {
            let Some(camera) = self.cameras.get(slot) else { continue };
            match camera.run {
                Run::Running { epoch } => {
                    let owned = self.partitions.get(&slot.partition).map(|partition| partition.state);
                    // A partition that is read again still has the camera until it's known that it hasn't.
                    let reads = self.partitions.get(&slot.partition).is_some_and(|partition| !partition.records);
                    let goes = owned == Some(Owned::Yes) && (camera.record.is_some() || reads) && !self.ends;
                    if !goes || camera.unusable.is_some() {
                        self.cameras.entry(slot.clone()).and_modify(|c| c.run = Run::Stopping { epoch, cut: false });
                        self.actions.push(Action::Stop(slot.clone()));
                    }
                }
                Run::Held { .. } => {
                    let state = self.partitions.get(&slot.partition).map(|partition| partition.state);
                    if self.ends || !matches!(state, Some(Owned::Yes | Owned::Lost)) {
                        self.cut(slot);
                    }
                }
                // It may be on its way from another partition.
                Run::Idle if busy.contains(&slot.camera) => {}
                Run::Idle => {
                    if let Some(strikes) = self.start(slot, room, probation, now) {
                        room -= 1;
                        probation |= strikes > 0;
                        busy.insert(slot.camera.clone());
                    }
                }
                Run::Claiming { .. } | Run::Stopping { .. } => {}
            }
        }
        self.let_go();
    }

    /// Claims a camera, if it's to run, fits, and isn't one of several that may have ended a host. Returns how many hosts it
    /// may have ended.
    fn start(&mut self, slot: &Slot, room: usize, probation: bool, now: Duration) -> Option<u32> {
        let camera = self.cameras.get(slot)?;
        if !self.is_wanted(slot, camera) || camera.unusable.is_some() || now < camera.not_before {
            return None;
        }
        if self.is_quarantined(camera) {
            self.quarantine(slot);
            return None;
        }
        let camera = self.cameras.get_mut(slot)?;
        camera.strikes = strikes(camera, &self.run);
        if probation && camera.strikes > 0 {
            return None;
        }
        if room == 0 {
            if !std::mem::replace(&mut camera.said, true) {
                self.actions.push(Action::Say(format!(
                    "{}: doesn't run: this host takes {} camera(s) at most; add a host, or set --max-cameras",
                    slot.camera, self.capacity
                )));
            }
            return None;
        }
        camera.run = Run::Claiming { running: None };
        (camera.playing, camera.settled, camera.said) = (None, false, false);
        let (claim, strikes) = (new_claim(&self.name, &self.run, camera), camera.strikes);
        self.actions.push(Action::Claim { slot: slot.clone(), claim });
        Some(strikes)
    }

    fn quarantine(&mut self, slot: &Slot) {
        let Some(camera) = self.cameras.get_mut(slot) else { return };
        if std::mem::replace(&mut camera.said, true) {
            return;
        }
        self.actions.push(Action::Say(format!(
            "{}: in quarantine, because two hosts ended while they started it; gst-trt fleet release {} or a change of its \
             record makes hosts try it again",
            slot.camera, slot.camera
        )));
        let Some((claim, epoch)) = &camera.claim else { return };
        if claim.state != ClaimState::Quarantined {
            let claim = Claim {
                state: ClaimState::Quarantined,
                strikes: claim.strikes + 1,
                epoch: Some(*epoch),
                ..new_claim(&self.name, &self.run, camera)
            };
            camera.claim = Some((claim.clone(), *epoch));
            self.actions.push(Action::Note { slot: slot.clone(), claim });
        }
    }

    /// Lets go what was asked for and doesn't run any more.
    fn let_go(&mut self) {
        let busy: BTreeSet<i32> =
            self.cameras.iter().filter(|(_, camera)| !camera.is_idle()).map(|(slot, _)| slot.partition).collect();
        let asked = self.partitions.iter().filter(|(_, partition)| partition.state == Owned::Revoked);
        let gone: Vec<i32> = asked.map(|(number, _)| *number).filter(|number| !busy.contains(number)).collect();
        for number in gone {
            self.partitions.remove(&number);
            self.cameras.retain(|slot, _| slot.partition != number);
            self.actions.push(Action::LetGo(number));
        }
        // Cameras that were removed; their claims are read again when they come back.
        let partitions = &self.partitions;
        self.cameras.retain(|slot, camera| {
            camera.record.is_some() || !camera.is_idle() || partitions.contains_key(&slot.partition)
        });
    }
}

/// How many hosts in a row ended while they started the camera.
fn strikes(camera: &Camera, run: &str) -> u32 {
    match (&camera.claim, &camera.record) {
        // Another record gets another chance.
        (Some((claim, _)), Some((_, offset)))
            if claim.state == ClaimState::Started && claim.run != run && claim.record == *offset =>
        {
            claim.strikes + 1
        }
        _ => 0,
    }
}

fn new_claim(host: &str, run: &str, camera: &Camera) -> Claim {
    let (base, record) = camera.record.as_ref().map_or((0, 0), |(record, offset)| (record.base, *offset));
    Claim {
        host: host.to_owned(),
        run: run.to_owned(),
        state: ClaimState::Started,
        strikes: camera.strikes,
        epoch: None,
        base,
        record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);

    fn slot() -> Slot {
        Slot { partition: 3, camera: "door".into() }
    }

    fn record() -> Option<Vec<u8>> {
        Some(br#"{"camera":{"NAME":"door"}}"#.to_vec())
    }

    /// A claim of another host.
    fn foreign(state: ClaimState, strikes: u32) -> Option<Vec<u8>> {
        let mut camera = Camera::new();
        camera.strikes = strikes;
        Some(Claim { state, ..new_claim("b", "2", &camera) }.write())
    }

    /// A host that runs the camera with epoch 5.
    fn running() -> Host {
        let mut host = Host::new("a", "1", 9);
        host.handle(Event::Assigned(vec![3]), NOW);
        host.handle(Event::Record { slot: slot(), offset: 0, value: record() }, NOW);
        host.handle(Event::RecordsRead(3), NOW);
        assert!(matches!(host.handle(Event::ClaimsRead(3), NOW)[..], [Action::Claim { .. }]));
        assert_eq!(
            host.handle(Event::Claimed { slot: slot(), offset: 5 }, NOW),
            [Action::Start { slot: slot(), epoch: 5 }]
        );
        host
    }

    #[test]
    fn a_later_claim_of_another_host_ends_the_run_at_once() {
        let mut host = running();
        let claim = Event::Claim { slot: slot(), offset: 6, value: foreign(ClaimState::Started, 0) };
        assert_eq!(host.handle(claim, NOW), [Action::Cut(slot())]);
        // The other host's claim isn't released by this one.
        assert_eq!(host.handle(Event::Stopped(slot()), NOW), []);
        // The group still says that the camera is this host's: the other was late.
        assert_eq!(host.handle(Event::Tick, NOW + DOUBT / 2), []);
        assert!(matches!(host.handle(Event::Tick, NOW + DOUBT)[..], [Action::Claim { .. }]));
    }

    #[test]
    fn a_partition_that_comes_back_goes_on_unless_it_was_claimed() {
        for (offset, done) in [(6, Action::Cut(slot())), (4, Action::Resume(slot()))] {
            let mut host = running();
            assert_eq!(host.handle(Event::Lost(vec![3]), NOW), [Action::Hold(slot())]);
            host.handle(Event::Assigned(vec![3]), NOW);
            host.handle(Event::Record { slot: slot(), offset: 0, value: record() }, NOW);
            host.handle(Event::RecordsRead(3), NOW);
            // It's read while the camera is held, and counts only once all have been read.
            let claim = Event::Claim { slot: slot(), offset, value: foreign(ClaimState::Started, 0) };
            let mut actions = host.handle(claim, NOW);
            actions.extend(host.handle(Event::ClaimsRead(3), NOW));
            assert_eq!(actions, [done]);
        }
        // Another has the partition.
        let mut host = running();
        host.handle(Event::Lost(vec![3]), NOW);
        assert_eq!(host.handle(Event::Assigned(vec![]), NOW), [Action::Cut(slot())]);
        assert_eq!(host.handle(Event::Stopped(slot()), NOW).last(), Some(&Action::LetGo(3)));
    }

    #[test]
    fn a_changed_record_is_told_and_a_removed_camera_is_stopped() {
        let mut host = running();
        let value = Some(br#"{"camera":{"NAME":"door","URL":"b"}}"#.to_vec());
        assert_eq!(host.handle(Event::Record { slot: slot(), offset: 1, value }, NOW), [Action::Changed(slot())]);
        let actions = host.handle(Event::Restart(slot()), NOW);
        assert!(matches!(&actions[..], [Action::Claim { claim, .. }] if claim.record == 1), "{actions:?}");
        let claimed = host.handle(Event::Claimed { slot: slot(), offset: 6 }, NOW);
        assert_eq!(claimed, [Action::Start { slot: slot(), epoch: 6 }]);
        let removed = host.handle(Event::Record { slot: slot(), offset: 2, value: None }, NOW);
        assert_eq!(removed, [Action::Stop(slot())]);
        let stopped = host.handle(Event::Stopped(slot()), NOW);
        assert!(matches!(&stopped[..], [Action::Note { claim, .. }] if claim.state == ClaimState::Released));
        assert!(host.is_idle());
    }

    #[test]
    fn a_host_that_takes_fewer_keeps_what_it_has_and_one_that_takes_more_starts_the_rest() {
        let slot = |n: usize| Slot { partition: 3, camera: format!("c{n}") };
        let mut host = Host::new("a", "1", 2);
        host.handle(Event::Assigned(vec![3]), NOW);
        for n in 0..4 {
            let value = Some(format!("{{\"camera\":{{\"NAME\":\"c{n}\"}}}}").into_bytes());
            host.handle(Event::Record { slot: slot(n), offset: 0, value }, NOW);
        }
        host.handle(Event::RecordsRead(3), NOW);
        host.handle(Event::ClaimsRead(3), NOW);
        (0..2).for_each(|n| drop(host.handle(Event::Claimed { slot: slot(n), offset: n as i64 }, NOW)));
        let unserved = |host: &Host| host.cameras().filter(|view| view.doing == Doing::Unserved).count();
        assert_eq!(unserved(&host), 2);
        host.set_capacity(1);
        assert_eq!((host.handle(Event::Tick, NOW), unserved(&host)), (vec![], 2));
        host.set_capacity(3);
        let actions = host.handle(Event::Tick, NOW);
        assert!(matches!(&actions[..], [Action::Claim { slot, .. }] if slot.camera == "c2"), "{actions:?}");
        assert_eq!(unserved(&host), 1);
    }

    #[test]
    fn a_camera_that_left_one_host_without_release_starts_alone_and_after_two_not_at_all() {
        let mut host = Host::new("a", "1", 9);
        host.handle(Event::Assigned(vec![3]), NOW);
        for (camera, strikes) in [("c0", 0), ("c1", 0), ("c2", 1)] {
            let slot = Slot { partition: 3, camera: camera.into() };
            let value = Some(format!("{{\"camera\":{{\"NAME\":\"{camera}\"}}}}").into_bytes());
            host.handle(Event::Record { slot: slot.clone(), offset: 0, value }, NOW);
            host.handle(Event::Claim { slot, offset: 0, value: foreign(ClaimState::Started, strikes) }, NOW);
        }
        host.handle(Event::RecordsRead(3), NOW);
        let first = Slot { partition: 3, camera: "c0".into() };
        let actions = host.handle(Event::ClaimsRead(3), NOW);
        let claims: Vec<_> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Claim { slot, claim } => Some((slot.camera.as_str(), claim.strikes)),
                _ => None,
            })
            .collect();
        assert_eq!(claims, [("c0", 1)], "{actions:?}");
        assert!(
            actions.iter().any(|a| matches!(a, Action::Note { slot, claim }
            if slot.camera == "c2" && claim.state == ClaimState::Quarantined)),
            "{actions:?}"
        );
        host.handle(Event::Claimed { slot: first.clone(), offset: 9 }, NOW);
        assert_eq!(host.handle(Event::Plays(first), NOW), []);
        let actions = host.handle(Event::Tick, NOW + SETTLES);
        assert!(actions.iter().any(|a| matches!(a, Action::Claim { slot, .. } if slot.camera == "c1")), "{actions:?}");
    }
}
