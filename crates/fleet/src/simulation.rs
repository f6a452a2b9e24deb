//! A fleet on a made-up broker and a made-up clock: hosts are killed, suspended, restarted, drained and cut off from the
//! broker at random, and cameras come and go. What must hold is read from the topics and the lines alone.

use super::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(100);
/// In ticks.
const SESSION: u64 = 60;

/// A small generator of random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

type Log = Vec<(String, Option<Vec<u8>>)>;

/// The broker: logs, and one consumer group with a coordinator.
#[derive(Default)]
struct Broker {
    cameras: Vec<Log>,
    claims: Vec<Log>,
    away: bool,
    /// By member: the tick of its last heartbeat.
    members: BTreeMap<String, u64>,
    /// By partition: the member that the group has given it to, until that lets it go.
    owners: BTreeMap<i32, String>,
}

impl Broker {
    fn publish(&mut self, partition: i32, name: &str, value: Option<Vec<u8>>) {
        self.cameras[partition as usize].push((name.to_owned(), value));
    }

    /// Forgets members that weren't heard.
    fn expire(&mut self, tick: u64) {
        if self.away {
            // A coordinator that was away gives each member its session anew.
            self.members.values_mut().for_each(|heard| *heard = tick);
            return;
        }
        self.members.retain(|_, heard| tick - *heard <= SESSION);
        let members = &self.members;
        self.owners.retain(|_, owner| members.contains_key(owner));
    }

    /// How many partitions a member gets.
    fn share(&self, member: &str) -> usize {
        let (members, partitions) = (self.members.len().max(1), self.cameras.len());
        let at = self.members.keys().position(|name| name == member).unwrap_or(0);
        partitions / members + usize::from(at < partitions % members)
    }
}

struct Process {
    host: Host,
    name: String,
    run: String,
    /// Read positions: cameras, claims.
    read: HashMap<i32, (usize, usize)>,
    /// What it believes to own.
    owned: BTreeSet<i32>,
    asked_back: BTreeSet<i32>,
    /// Claims on their way to the broker.
    sending: VecDeque<(Slot, Vec<u8>)>,
    notes: VecDeque<(Slot, Vec<u8>)>,
    /// What runs: epoch, frames, held.
    running: BTreeMap<Slot, Runs>,
    stopping: Vec<(u64, Slot)>,
    suspended_until: u64,
    heard: u64,
    drains: bool,
    lost: bool,
    joined: bool,
    /// Until then it isn't told what the group has decided.
    untold_until: u64,
}

#[derive(Clone, Copy)]
struct Runs {
    epoch: i64,
    frame: u64,
    held: bool,
    since: u64,
}

/// A line that reached the readers.
struct Line {
    camera: String,
    host: String,
    epoch: i64,
    frame: u64,
}

struct World {
    random: Random,
    tick: u64,
    broker: Broker,
    processes: Vec<Process>,
    starts: u64,
    lines: Vec<Line>,
    wanted: BTreeSet<String>,
    /// A camera that ends its process.
    poison: Option<String>,
    poisoned: usize,
    capacity: usize,
    says: Vec<String>,
}

impl World {
    fn new(seed: u64, partitions: usize) -> Self {
        let logs = || (0..partitions).map(|_| Log::new()).collect();
        Self {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            tick: 0,
            broker: Broker { cameras: logs(), claims: logs(), ..Broker::default() },
            processes: Vec::new(),
            starts: 0,
            lines: Vec::new(),
            wanted: BTreeSet::new(),
            poison: None,
            poisoned: 0,
            capacity: usize::MAX,
            says: Vec::new(),
        }
    }

    fn start(&mut self, name: &str) {
        self.starts += 1;
        let run = self.starts.to_string();
        self.processes.push(Process {
            host: Host::new(name, &run, self.capacity),
            name: name.to_owned(),
            run,
            read: HashMap::new(),
            owned: BTreeSet::new(),
            asked_back: BTreeSet::new(),
            sending: VecDeque::new(),
            notes: VecDeque::new(),
            running: BTreeMap::new(),
            stopping: Vec::new(),
            suspended_until: 0,
            heard: self.tick,
            drains: false,
            lost: false,
            joined: false,
            untold_until: 0,
        });
    }

    fn apply(&mut self, names: impl IntoIterator<Item = String>, respread: bool) {
        self.wanted = names.into_iter().collect();
        let mut there: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
        for (partition, log) in self.broker.cameras.iter().enumerate() {
            let last: BTreeMap<&String, &Option<Vec<u8>>> = log.iter().map(|(name, value)| (name, value)).collect();
            for (name, value) in last {
                let Some(value) = value else { continue };
                let record = CameraRecord::read(name, value).unwrap();
                there.entry(name.clone()).or_default().push(Placed { partition: partition as i32, record });
            }
        }
        let mut spread = Spread { partitions: self.broker.cameras.len() as i32, ..Spread::default() };
        for (partition, log) in self.broker.claims.iter().enumerate() {
            spread.next_claims.insert(partition as i32, log.len() as i64);
            for (offset, (name, value)) in log.iter().enumerate() {
                let epoch = Claim::read(value.as_ref().unwrap()).unwrap().epoch_at(offset as i64);
                let last = spread.epochs.entry(name.clone()).or_default();
                *last = epoch.max(*last);
            }
        }
        let camera = |name: &String| {
            let object = serde_json::json!({ "NAME": name, "URL": "test:ball" });
            (name.clone(), object.as_object().unwrap().clone())
        };
        let wanted = self.wanted.iter().map(camera).collect();
        for write in changes(&there, &wanted, &spread, respread) {
            self.broker.publish(write.partition, &write.camera, write.record.map(|record| record.write()));
        }
    }

    fn now(&self) -> Duration {
        TICK * self.tick as u32
    }

    fn step(&mut self) {
        self.tick += 1;
        self.broker.expire(self.tick);
        for n in 0..self.processes.len() {
            if self.processes[n].suspended_until <= self.tick {
                self.run(n);
            }
        }
        if let Some(poison) = self.poison.clone() {
            let dies = |p: &Process| p.running.iter().any(|(slot, runs)| slot.camera == poison && runs.frame >= 5);
            let before = self.processes.len();
            self.processes.retain(|process| !dies(process));
            self.poisoned += before - self.processes.len();
        }
    }

    fn run(&mut self, n: usize) {
        let tick = self.tick;
        let reachable = !self.broker.away;
        // A suspended process notices by its own clock.
        let gap = tick - self.processes[n].heard;
        if self.processes[n].suspended_until != 0 {
            self.processes[n].untold_until = tick + self.random.below(10) as u64;
            if gap > SESSION {
                self.handle(n, Event::Suspended);
            }
        }
        self.processes[n].suspended_until = 0;
        let name = self.processes[n].name.clone();
        if reachable && tick < self.processes[n].untold_until {
            self.processes[n].heard = tick;
            self.deliver(n);
            self.read(n);
        } else if reachable {
            let p = &mut self.processes[n];
            let member = self.broker.members.contains_key(&name);
            if !member || p.lost || !p.joined {
                let theirs: BTreeSet<i32> =
                    self.broker.owners.iter().filter(|(_, owner)| **owner == name).map(|(number, _)| *number).collect();
                let owned: Vec<i32> = p.owned.iter().copied().collect();
                if !p.lost && !owned.is_empty() && !member {
                    p.lost = true;
                    self.handle(n, Event::Lost(owned));
                }
                let p = &mut self.processes[n];
                // It joins again; what is still its own is given back.
                if !p.drains {
                    self.broker.members.insert(name.clone(), tick);
                    (p.lost, p.joined) = (false, true);
                    p.owned = theirs.clone();
                    p.asked_back.clear();
                    theirs.iter().for_each(|number| _ = p.read.insert(*number, (0, 0)));
                    self.handle(n, Event::Assigned(theirs.into_iter().collect()));
                }
            } else {
                self.broker.members.insert(name.clone(), tick);
            }
            self.processes[n].heard = tick;
            self.rebalance(n);
            self.deliver(n);
            self.read(n);
        } else if gap > SESSION && !self.processes[n].lost {
            self.processes[n].lost = true;
            let owned = self.processes[n].owned.iter().copied().collect();
            self.handle(n, Event::Lost(owned));
        }
        self.play(n);
        let due: Vec<Slot> = {
            let p = &mut self.processes[n];
            let due = p.stopping.iter().filter(|(at, _)| *at <= tick).map(|(_, slot)| slot.clone()).collect();
            p.stopping.retain(|(at, _)| *at > tick);
            due
        };
        for slot in due {
            self.processes[n].running.remove(&slot);
            self.handle(n, Event::Stopped(slot));
        }
        self.handle(n, Event::Tick);
    }

    /// The coordinator asks for what a member has too much, and gives what is free.
    fn rebalance(&mut self, n: usize) {
        let name = self.processes[n].name.clone();
        if !self.broker.members.contains_key(&name) {
            return;
        }
        if self.processes[n].drains {
            let all: Vec<i32> = self.processes[n].owned.difference(&self.processes[n].asked_back).copied().collect();
            if !all.is_empty() {
                self.processes[n].asked_back.extend(&all);
                self.handle(n, Event::Revoked(all));
            }
            if self.processes[n].owned.is_empty() {
                self.broker.members.remove(&name);
            }
            return;
        }
        let share = self.broker.share(&name);
        let held = self.processes[n].owned.len() - self.processes[n].asked_back.len();
        if held > share {
            let back: Vec<i32> =
                self.processes[n].owned.difference(&self.processes[n].asked_back).copied().take(held - share).collect();
            self.processes[n].asked_back.extend(&back);
            self.handle(n, Event::Revoked(back));
        } else {
            let free = (0..self.broker.cameras.len() as i32).filter(|number| !self.broker.owners.contains_key(number));
            let given: Vec<i32> = free.take(share - held).collect();
            if !given.is_empty() {
                for number in &given {
                    self.broker.owners.insert(*number, name.clone());
                    self.processes[n].owned.insert(*number);
                    self.processes[n].read.insert(*number, (0, 0));
                }
                self.handle(n, Event::Assigned(given));
            }
        }
    }

    /// Claims and notes arrive.
    fn deliver(&mut self, n: usize) {
        if self.random.chance(60) {
            while let Some((slot, value)) = self.processes[n].notes.pop_front() {
                self.broker.claims[slot.partition as usize].push((slot.camera.clone(), Some(value)));
            }
            while let Some((slot, value)) = self.processes[n].sending.pop_front() {
                if self.random.chance(5) {
                    self.handle(n, Event::ClaimFailed { slot, reason: "timed out".into() });
                    continue;
                }
                let log = &mut self.broker.claims[slot.partition as usize];
                log.push((slot.camera.clone(), Some(value)));
                let offset = log.len() as i64 - 1;
                self.handle(n, Event::Claimed { slot, offset });
            }
        }
    }

    fn read(&mut self, n: usize) {
        for number in self.processes[n].owned.clone() {
            let (cameras, claims) = self.processes[n].read.get(&number).copied().unwrap_or_default();
            let end = (self.broker.cameras[number as usize].len(), self.broker.claims[number as usize].len());
            for offset in cameras..end.0 {
                let (camera, value) = self.broker.cameras[number as usize][offset].clone();
                self.handle(
                    n,
                    Event::Record { slot: Slot { partition: number, camera }, offset: offset as i64, value },
                );
            }
            for offset in claims..end.1 {
                let (camera, value) = self.broker.claims[number as usize][offset].clone();
                self.handle(n, Event::Claim { slot: Slot { partition: number, camera }, offset: offset as i64, value });
            }
            self.handle(n, Event::RecordsRead(number));
            self.handle(n, Event::ClaimsRead(number));
            if self.processes[n].owned.contains(&number) {
                self.processes[n].read.insert(number, end);
            }
        }
    }

    /// Each camera publishes a line, if it may.
    fn play(&mut self, n: usize) {
        let tick = self.tick;
        let p = &mut self.processes[n];
        let mut plays = Vec::new();
        for (slot, runs) in &mut p.running {
            if tick < runs.since + 3 {
                continue;
            }
            if runs.frame == 0 {
                plays.push(slot.clone());
            }
            runs.frame += 1;
            if !runs.held {
                self.lines.push(Line {
                    camera: slot.camera.clone(),
                    host: p.run.clone(),
                    epoch: runs.epoch,
                    frame: runs.frame,
                });
            }
        }
        for slot in plays {
            self.handle(n, Event::Plays(slot));
        }
    }

    fn handle(&mut self, n: usize, event: Event) {
        let now = self.now();
        let actions = self.processes[n].host.handle(event, now);
        for action in actions {
            let p = &mut self.processes[n];
            match action {
                Action::Claim { slot, claim } => p.sending.push_back((slot, claim.write())),
                Action::Note { slot, claim } => p.notes.push_back((slot, claim.write())),
                Action::Start { slot, epoch } => {
                    p.stopping.retain(|(_, other)| *other != slot);
                    p.running.insert(slot, Runs { epoch, frame: 0, held: false, since: self.tick });
                }
                Action::Stop(slot) => p.stopping.push((self.tick + self.random.below(20) as u64, slot)),
                Action::Cut(slot) => {
                    p.running.entry(slot.clone()).and_modify(|runs| runs.held = true);
                    p.stopping.retain(|(_, other)| *other != slot);
                    p.stopping.push((self.tick + self.random.below(5) as u64, slot));
                }
                Action::Hold(slot) => _ = p.running.entry(slot).and_modify(|runs| runs.held = true),
                Action::Resume(slot) => _ = p.running.entry(slot).and_modify(|runs| runs.held = false),
                Action::LetGo(number) => {
                    assert!(p.running.keys().all(|slot| slot.partition != number), "{number} is let go while it plays");
                    p.asked_back.remove(&number);
                    if p.owned.remove(&number) && self.broker.owners.get(&number) == Some(&p.name) {
                        self.broker.owners.remove(&number);
                    }
                }
                Action::Changed(slot) => {
                    if self.random.chance(50) {
                        self.handle(n, Event::Restart(slot));
                    }
                }
                Action::Say(text) => self.says.push(text),
            }
        }
    }

    fn steps(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.step();
        }
    }

    /// The runs of each camera now.
    fn running(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for process in &self.processes {
            for slot in process.running.keys() {
                found.entry(&slot.camera).or_default().push(&process.name);
            }
        }
        found
    }

    /// What readers see.
    #[track_caller]
    fn check_lines(&self, seed: u64) {
        let mut owners: HashMap<(&str, i64), &str> = HashMap::new();
        let mut last: HashMap<(&str, i64), u64> = HashMap::new();
        let mut follower = Follower::default();
        let mut seen: HashMap<&str, i64> = HashMap::new();
        for line in &self.lines {
            let key = (line.camera.as_str(), line.epoch);
            assert_eq!(
                *owners.entry(key).or_insert(&line.host),
                line.host,
                "seed {seed}: one epoch, two hosts: {key:?}"
            );
            let before = last.insert(key, line.frame);
            assert!(before.is_none_or(|before| before < line.frame), "seed {seed}: {key:?} has {} again", line.frame);
            if follower.take(&line.camera, line.epoch, line.frame) {
                let epoch = seen.entry(&line.camera).or_insert(line.epoch);
                assert!(*epoch <= line.epoch, "seed {seed}: {key:?} after {epoch}");
                *epoch = line.epoch;
            }
        }
    }

    #[track_caller]
    fn check_settled(&self, seed: u64) {
        let running = self.running();
        for camera in &self.wanted {
            let hosts = running.get(camera.as_str()).map_or(0, Vec::len);
            assert_eq!(hosts, 1, "seed {seed}: {camera} runs on {hosts} hosts: {running:?}\n{}", self.describe(camera));
        }
        assert_eq!(running.len(), self.wanted.len(), "seed {seed}: {running:?}, wanted {:?}", self.wanted);
        // Lines of the run that each camera has now are the latest.
        let mut last: HashMap<&str, i64> = HashMap::new();
        self.lines.iter().for_each(|line| {
            let epoch = last.entry(&line.camera).or_insert(line.epoch);
            *epoch = line.epoch.max(*epoch);
        });
        for process in &self.processes {
            for (slot, runs) in &process.running {
                assert!(
                    !runs.held && last[slot.camera.as_str()] == runs.epoch,
                    "seed {seed}: {slot:?} isn't published"
                );
            }
        }
    }

    fn describe(&self, camera: &str) -> String {
        let views = |p: &Process| {
            let views: Vec<_> = p.host.cameras().filter(|view| view.slot.camera == camera).collect();
            format!("{} ({}): {views:?}, owns {:?}\n", p.name, p.run, p.owned)
        };
        let claims = self.broker.claims.iter().flatten().filter(|(name, _)| name == camera);
        let claims: String = claims.map(|(_, v)| String::from_utf8_lossy(v.as_ref().unwrap()) + "\n").collect();
        self.processes.iter().map(views).collect::<String>() + &claims
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("c{n}")).collect()
}

#[test]
fn cameras_are_shared_out_and_taken_over() {
    let mut world = World::new(1, 24);
    world.apply(names(24), false);
    for host in ["a", "b", "c"] {
        world.start(host);
    }
    world.steps(150);
    world.check_settled(0);
    let counts = |world: &World| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        world.running().values().flatten().for_each(|host| *counts.entry((*host).to_owned()).or_default() += 1);
        counts.into_values().collect::<Vec<_>>()
    };
    assert_eq!(counts(&world), [8, 8, 8]);
    world.processes.remove(1);
    // The session, reading, claims, a start.
    world.steps(SESSION + 20);
    world.check_settled(0);
    let before = world.running().into_iter().map(|(c, hosts)| (c.to_owned(), hosts[0].to_owned())).collect::<Vec<_>>();
    world.start("b");
    world.steps(100);
    world.check_settled(0);
    assert_eq!(counts(&world), [8, 8, 8]);
    let now = world.running();
    let moved = before.iter().filter(|(camera, host)| now[camera.as_str()][0] != host).count();
    assert_eq!(moved, 8, "no more than its share moves");
    world.check_lines(0);
}

#[test]
fn a_suspended_host_publishes_nothing_of_its_old_epochs_after_it_has_noticed() {
    let mut world = World::new(2, 6);
    world.apply(names(6), false);
    world.start("a");
    world.start("b");
    world.steps(120);
    let old: BTreeMap<String, i64> =
        world.processes[0].running.iter().map(|(slot, runs)| (slot.camera.clone(), runs.epoch)).collect();
    let run = world.processes[0].run.clone();
    world.processes[0].suspended_until = world.tick + 200;
    world.steps(199);
    let lines = world.lines.len();
    world.steps(150);
    let late =
        world.lines[lines..].iter().filter(|line| line.host == run && old.get(&line.camera) == Some(&line.epoch));
    assert_eq!(late.count(), 0);
    world.check_settled(2);
    world.check_lines(2);
}

#[test]
fn cameras_go_on_while_brokers_are_away_and_publish_what_waited() {
    let mut world = World::new(3, 4);
    world.apply(names(4), false);
    world.start("a");
    world.steps(100);
    let epochs = |world: &World| world.processes[0].running.values().map(|runs| runs.epoch).collect::<Vec<_>>();
    let before = epochs(&world);
    world.broker.away = true;
    world.steps(300);
    assert!(
        world.processes[0].running.values().all(|runs| runs.held && runs.frame > 300),
        "they run and hold lines back"
    );
    world.broker.away = false;
    world.steps(20);
    assert_eq!(epochs(&world), before, "no camera was restarted");
    world.check_settled(3);
}

#[test]
fn a_camera_that_ends_its_host_twice_is_quarantined_and_no_other() {
    for together in [false, true] {
        let mut world = World::new(4, 6);
        world.poison = Some("c5".to_owned());
        world.apply(names(if together { 6 } else { 5 }), false);
        for host in ["a", "b", "c"] {
            world.start(host);
        }
        world.steps(120);
        world.apply(names(6), false);
        for _ in 0..20 {
            world.steps(60);
            for host in ["a", "b", "c"] {
                if world.processes.iter().all(|process| process.name != host) {
                    world.start(host);
                }
            }
        }
        assert_eq!(world.poisoned, 2, "together: {together}, {:#?}", world.says);
        world.wanted.remove("c5");
        world.check_settled(4);
        let doing: Vec<_> =
            world.processes.iter().flat_map(|p| p.host.cameras()).filter(|v| v.slot.camera == "c5").collect();
        assert_eq!(doing.iter().map(|view| &view.doing).collect::<Vec<_>>(), [&Doing::Quarantined]);
        assert!(world.says.iter().any(|text| text.contains("c5: in quarantine")), "{:?}", world.says);

        // Another record gets another chance.
        world.poison = None;
        world.apply(names(5), false);
        world.steps(10);
        world.apply(names(6), false);
        world.steps(100);
        world.check_settled(4);
    }
}

#[test]
fn a_host_beyond_its_capacity_keeps_what_it_can() {
    let mut world = World::new(5, 8);
    world.capacity = 3;
    world.apply(names(8), false);
    world.start("a");
    world.start("b");
    world.steps(120);
    assert_eq!(world.running().len(), 6);
    let unserved = world.processes.iter().flat_map(|p| p.host.cameras()).filter(|v| v.doing == Doing::Unserved);
    let unserved: Vec<_> = unserved.map(|view| format!("{}: doesn't run", view.slot.camera)).collect();
    assert_eq!(unserved.len(), 2);
    assert!(unserved.iter().all(|text| world.says.iter().any(|said| said.starts_with(text))), "{:?}", world.says);
    world.start("c");
    world.steps(120);
    world.check_settled(5);
}

#[test]
fn records_that_are_no_cameras_are_said_and_left_out() {
    let mut world = World::new(6, 2);
    world.apply(names(2), false);
    world.broker.publish(0, "broken", Some(b"{".to_vec()));
    world.broker.publish(1, "other", Some(b"{\"temperature\": 7}".to_vec()));
    world.broker.claims[1].push(("c1".to_owned(), Some(b"nonsense".to_vec())));
    world.start("a");
    world.steps(60);
    world.check_settled(6);
    for text in ["\"broken\"", "\"other\"", "of the claims, \"c1\""] {
        assert!(world.says.iter().any(|said| said.contains(text)), "{text}: {:?}", world.says);
    }
}

/// Hundreds of random histories.
#[test]
fn whatever_happens_no_camera_is_lost_or_seen_from_two_hosts() {
    for seed in 1..=300 {
        let mut world = World::new(seed, 6);
        let hosts = ["a", "b", "c"];
        world.apply(names(7), false);
        hosts.iter().for_each(|host| world.start(host));
        for _ in 0..12 {
            let quiet = 30 + world.random.below(80) as u64;
            world.steps(quiet);
            let n = world.random.below(world.processes.len());
            match world.random.below(8) {
                0 if !world.processes.is_empty() => drop(world.processes.remove(n)),
                1 if !world.processes.is_empty() => {
                    world.processes[n].suspended_until = world.tick + world.random.below(200) as u64;
                }
                2 => world.broker.away = !world.broker.away,
                3 if !world.broker.away => {
                    let count = 1 + world.random.below(9);
                    let even = world.random.chance(30);
                    world.apply(names(count), even);
                }
                4 if !world.processes.is_empty() => {
                    world.processes[n].drains = true;
                    world.handle(n, Event::Drain);
                }
                5 if !world.processes.is_empty() => {
                    // A plain restart: the same member comes back.
                    let name = world.processes.remove(n).name;
                    world.start(&name);
                }
                _ => {
                    let name = hosts[world.random.below(3)];
                    if world.processes.iter().all(|process| process.name != name) {
                        world.start(name);
                    }
                }
            }
        }
        // Calm: all hosts are there, what was quarantined by chance is released.
        world.broker.away = false;
        world.processes.retain(|process| !process.drains);
        for host in hosts {
            if world.processes.iter().all(|process| process.name != host) {
                world.start(host);
            }
        }
        world.steps(350);
        let quarantined: Vec<Slot> = (world.processes.iter().flat_map(|p| p.host.cameras()))
            .filter(|view| view.doing == Doing::Quarantined)
            .map(|view| view.slot)
            .collect();
        for slot in quarantined {
            let log = &mut world.broker.claims[slot.partition as usize];
            let last = log.iter().rev().find(|(name, _)| *name == slot.camera).unwrap();
            let claim = Claim::read(last.1.as_ref().unwrap()).unwrap();
            let released = Claim { state: ClaimState::Released, strikes: 0, ..claim };
            log.push((slot.camera, Some(released.write())));
        }
        world.steps(150);
        world.check_lines(seed);
        world.check_settled(seed);
    }
}
