//! The model of one client key: memcached, two sidecars that walk through stages,
//! and clients of two versions whose changes interleave operation by operation.
//!
//! A *copy* is what memcached holds under one physical key. A *change* is a delete
//! or a store; its operations are carried out in their order, and between any two
//! of them anything may happen. What the clients are is left open as far as can
//! be: every request is of either version and through either sidecar, and a fill
//! may come without its miss having been seen. So a client that keeps to one
//! sidecar, or looks before it fills, is among those explored.
//!
//! What goes together as one step, because nothing is lost by it:
//! - a get: what it would find late, after a change was acknowledged, it finds
//!   at once as well. So gets are no steps, but what the properties try in every
//!   state (one that reads through is then tried as well between its operations);
//! - the change of the database and the decision for the request that follows:
//!   until its first operation is carried out nobody notices either;
//! - the last operation and the acknowledgement: an earlier one promises more.
//!
//! A request that was decided about at one stage may be carried out many stages
//! later. That is more than the engine allows, which reloads only while nothing
//! is under way; where it would matter a protocol is `patient`.
//!
//! Absent: failures, of which clients are told; expiry and eviction, which only
//! take copies away; deletes on a CAS condition.
//!
//! # What a stale read is
//!
//! A get that starts after a change was acknowledged must not return a copy of an
//! older version that was there when the change began. What was stored after
//! that, though its database read was earlier, is the race that memcached has
//! alone: the store overlaps the change or follows it, so memcached itself might
//! have carried it out last. With one server and no sidecar a change is one
//! operation, and the two statements are one.

use stateright::{Model, Property};

use super::stages::{Op, PY2, PY3, Plan, RUNTIMES, Script, Stages, without_siblings};
use picklegate::policy::Mode;

const KEYS: usize = 4;
const SLOTS: usize = 3;
pub(crate) const NO_STALE_READ: &str = "no stale read";
pub(crate) const NO_WRONG_READER: &str = "no wrong reader";
const BOTH: u8 = 0b11;

/// A way in which an implementation could be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    DeletesStayAtHome,
    SiblingsFirst,
    AcknowledgedEarly,
    StoresStayAtHome,
    FillsNotUsedUp,
    FillsOfAnyNamespace,
    /// A `cas` that follows a miss counts as its fill.
    ConditionalsFill,
    DeletesReachOnlyWhenIsolated,
    GuardShowsAll,
    SecondStepsDecideAnew,
}

/// Acknowledged stores that no later read may be older than.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// None: only deletes are promised.
    Deletes,
    /// Stores that are no fills by the rule. A fill is a `set` or `add` in whose
    /// namespace the key was missed, through the same sidecar, more often than it was
    /// stored so since. An `add` in a place of its own changes nothing.
    NoFills,
    /// All, to readers of the writer's version.
    OwnStores,
    /// All, but for an `add` in a place of its own.
    AllStores,
}

/// Overlapping stores that may leave a copy older than an acknowledged change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Races {
    /// Stores that began after the change: memcached alone does no better.
    Forgiven,
    Reported,
}

/// Settings of one exploration.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) stages: Stages,
    pub(crate) promise: Promise,
    pub(crate) races: Races,
    /// Whether sidecars remember misses.
    pub(crate) fill_aware: bool,
    /// Whether a miss is served another's copy, if its reader can load that.
    pub(crate) read_through: bool,
    /// Misses of one runtime that a sidecar remembers at most.
    pub(crate) most_misses: u8,
    /// Whether the database is changed by `cas` as well.
    pub(crate) has_cas: bool,
    /// Whether fills are `add` instead of `set`.
    pub(crate) fills_add: bool,
    /// Whether no sidecar takes a second step while a request of before the first
    /// is under way: who walks waits for a request's timeout after each step.
    pub(crate) patient: bool,
    /// Whether stages are walked up only.
    pub(crate) one_way: bool,
    pub(crate) fault: Option<Fault>,
    /// Changes of the database.
    pub(crate) writes: u8,
    /// Fills and changes under way at a time.
    pub(crate) slots: usize,
    /// Every distinct one of the plans; a change under way names it by number.
    pub(crate) scripts: Vec<Script>,
}

/// A copy of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    /// Of the database.
    version: u8,
    writer: u8,
    /// The changes to a newer version that began while it was there (by slot).
    met: u8,
    /// The swaps that looked at it.
    seen: u8,
    /// The readers for whom it is older than what was acknowledged.
    stale: u8,
}

/// State of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Slot {
    Free,
    /// The client has read the database, for a fill.
    Read {
        runtime: u8,
        version: u8,
    },
    Sent(Sent),
}

/// A change under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sent {
    script: u8,
    /// Index of the next operation.
    next: u8,
    /// The stage that it was decided at, where steps wait for it; else 0.
    stage: u8,
    runtime: u8,
    version: u8,
    /// The readers to whom it is promised once it is acknowledged.
    promised: u8,
}

/// Sets of runtimes and of slots are bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Of each sidecar; they are alike, so the lower one stands first.
    stages: [u8; 2],
    /// The misses that each sidecar remembers (by runtime).
    misses: [[u8; 2]; 2],
    /// The misses that count by the rule.
    counted: [[u8; 2]; 2],
    database: u8,
    /// The newest version that was acknowledged, where races are reported.
    acknowledged: u8,
    copies: [Option<Held>; KEYS],
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Delete,
    Set,
    Cas,
}

/// Sidecars are named by their place, runtimes and slots by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Reload {
        sidecar: usize,
        stage: u8,
    },
    Miss {
        sidecar: usize,
        runtime: usize,
    },
    Forget {
        sidecar: usize,
        runtime: usize,
    },
    Read {
        runtime: usize,
    },
    Fill {
        sidecar: usize,
        slot: usize,
    },
    Change {
        sidecar: usize,
        runtime: usize,
        kind: Kind,
    },
    Land {
        slot: usize,
    },
}

impl Protocol {
    pub(crate) fn new(stages: Stages, promise: Promise) -> Self {
        Self {
            stages,
            promise,
            races: Races::Forgiven,
            fill_aware: false,
            read_through: false,
            most_misses: 1,
            has_cas: false,
            fills_add: false,
            patient: false,
            one_way: false,
            fault: None,
            writes: 2,
            slots: 2,
            scripts: Vec::new(),
        }
        .prepared()
    }

    pub(crate) fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self.prepared()
    }

    /// Puts the fault in, and numbers the scripts.
    fn prepared(mut self) -> Self {
        let mut scripts = Vec::new();
        for plan in self.stages.plans.iter_mut().flatten() {
            if let Some(fault) = self.fault {
                fault.spoil(plan);
            }
            let Plan {
                delete,
                set,
                fill,
                add,
                cas,
                missed_cas,
                ..
            } = plan;
            for script in [delete, set, fill, add, cas, missed_cas] {
                let script = &*script;
                if !scripts.contains(script) {
                    scripts.push(script.clone());
                }
            }
        }
        self.scripts = scripts;
        self
    }

    fn number(&self, script: &Script) -> u8 {
        let at = self.scripts.iter().position(|known| known == script);
        u8::try_from(at.expect("all are numbered")).expect("a few scripts")
    }

    fn plan(&self, state: &State, sidecar: usize, runtime: usize) -> &Plan {
        &self.stages.plans[usize::from(state.stages[sidecar])][runtime]
    }

    /// Copy that a reader would get at a stage.
    fn shown<'s>(&self, state: &'s State, stage: u8, reader: usize) -> Option<&'s Held> {
        let plan = &self.stages.plans[usize::from(stage)][reader];
        // A delete goes to all copies, the own one first.
        let copies = &plan.delete.ops;
        let reach = if self.read_through { copies.len() } else { 1 };
        let held = copies[..reach].iter();
        let mut held = held.filter_map(|op| state.copies[op.key()].as_ref());
        held.find(|held| plan.shown[usize::from(held.writer)])
    }

    /// Whether no get that starts now finds what is older than a change that was
    /// acknowledged before, but for the races that memcached has itself.
    fn is_fresh(&self, state: &State) -> bool {
        state.stages.iter().all(|&stage| {
            [PY2, PY3].into_iter().all(|reader| {
                let held = self.shown(state, stage, reader);
                held.is_none_or(|held| {
                    held.stale >> reader & 1 == 0 && held.version >= state.acknowledged
                })
            })
        })
    }

    /// Whether no get that starts now finds what its reader cannot load, where
    /// the mode promises that.
    fn is_loadable(&self, state: &State) -> bool {
        state.stages.iter().all(|&stage| {
            [PY2, PY3].into_iter().all(|reader| {
                let mode = self.stages.plans[usize::from(stage)][reader].mode;
                let promised = matches!(mode, Mode::Guard | Mode::Isolate);
                let held = self.shown(state, stage, reader).filter(|_| promised);
                held.is_none_or(|held| self.stages.loadable[reader][usize::from(held.writer)])
            })
        })
    }

    // Steps ------------------------------------------------------------------

    fn reloads(&self, state: &State, steps: &mut Vec<Step>) {
        let last = u8::try_from(self.stages.plans.len() - 1).expect("a few stages");
        for sidecar in [0, 1] {
            let (stage, other) = (state.stages[sidecar], state.stages[1 - sidecar]);
            let up = (stage < last).then(|| stage + 1);
            let down = stage.checked_sub(1).filter(|_| !self.one_way);
            let adjacent = |to: &u8| to.abs_diff(other) <= 1 && self.is_awaited(state, *to);
            let to = up.into_iter().chain(down).filter(adjacent);
            steps.extend(to.map(|stage| Step::Reload { sidecar, stage }));
        }
    }

    /// Whether no request under way is older than the step before this one.
    fn is_awaited(&self, state: &State, to: u8) -> bool {
        let fits = |slot: &Slot| match slot {
            Slot::Sent(sent) => sent.stage.abs_diff(to) <= 1,
            Slot::Free | Slot::Read { .. } => true,
        };
        !self.patient || state.slots.iter().all(fits)
    }

    fn memories(&self, state: &State, steps: &mut Vec<Step>) {
        for (sidecar, runtime) in PAIRS {
            let stage = state.stages[sidecar];
            let remembered = state.counted[sidecar][runtime];
            if remembered > 0 {
                steps.push(Step::Forget { sidecar, runtime });
            }
            if remembered < self.most_misses && self.shown(state, stage, runtime).is_none() {
                steps.push(Step::Miss { sidecar, runtime });
            }
        }
    }

    /// Adds the steps that the client of a slot may take next.
    fn progress(state: &State, slot: usize, steps: &mut Vec<Step>) {
        match state.slots[slot] {
            Slot::Free => {}
            Slot::Read { .. } => {
                steps.extend([0, 1].map(|sidecar| Step::Fill { sidecar, slot }));
            }
            Slot::Sent(_) => steps.push(Step::Land { slot }),
        }
    }

    fn beginnings(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend([PY2, PY3].map(|runtime| Step::Read { runtime }));
        if state.database == self.writes {
            return;
        }
        for (sidecar, runtime) in PAIRS {
            let kinds = [Kind::Delete, Kind::Set, Kind::Cas];
            let kinds = kinds[..if self.has_cas { 3 } else { 2 }].iter();
            steps.extend(kinds.map(|&kind| Step::Change {
                sidecar,
                runtime,
                kind,
            }));
        }
    }

    fn miss(&self, state: &mut State, sidecar: usize, runtime: usize) {
        state.counted[sidecar][runtime] += 1;
        let any = self.fault == Some(Fault::FillsOfAnyNamespace);
        for other in [PY2, PY3] {
            if other == runtime || any {
                state.misses[sidecar][other] += 1;
            }
        }
    }

    /// Decides for a store; it uses a miss up.
    fn store(
        &self,
        state: &mut State,
        sidecar: usize,
        runtime: usize,
        version: u8,
        adds: bool,
    ) -> Sent {
        let plan = self.plan(state, sidecar, runtime);
        let is_fill = state.misses[sidecar][runtime] > 0;
        let counts = state.counted[sidecar][runtime] > 0;
        let script = match (is_fill, adds) {
            (_, true) => &plan.add,
            (true, false) => &plan.fill,
            (false, false) => &plan.set,
        };
        let promised = match self.promise {
            Promise::Deletes => 0,
            _ if adds && plan.mode == Mode::Isolate => 0,
            Promise::NoFills if counts => 0,
            Promise::OwnStores => 1 << runtime,
            Promise::NoFills | Promise::AllStores => BOTH,
        };
        let less = |misses: &mut u8| *misses = misses.saturating_sub(1);
        less(&mut state.counted[sidecar][runtime]);
        if self.fault != Some(Fault::FillsNotUsedUp) {
            less(&mut state.misses[sidecar][runtime]);
        }
        let stage = state.stages[sidecar];
        self.sent(script, stage, (runtime, version), promised)
    }

    fn sent(
        &self,
        script: &Script,
        stage: u8,
        (runtime, version): (usize, u8),
        promised: u8,
    ) -> Sent {
        Sent {
            script: self.number(script),
            next: 0,
            stage: if self.patient { stage } else { 0 },
            runtime: runtime as u8,
            version,
            promised,
        }
    }

    fn change(&self, state: &mut State, sidecar: usize, runtime: usize, kind: Kind) -> Sent {
        state.database += 1;
        let version = state.database;
        match kind {
            Kind::Set => self.store(state, sidecar, runtime, version, false),
            Kind::Cas => {
                let plan = self.plan(state, sidecar, runtime);
                let promised = match self.promise {
                    Promise::Deletes => 0,
                    Promise::OwnStores => 1 << runtime,
                    Promise::NoFills | Promise::AllStores => BOTH,
                };
                let script = match state.misses[sidecar][runtime] {
                    0 => &plan.cas,
                    _ => &plan.missed_cas,
                };
                self.sent(script, state.stages[sidecar], (runtime, version), promised)
            }
            Kind::Delete => {
                let plan = self.plan(state, sidecar, runtime);
                let stage = state.stages[sidecar];
                // Who deletes makes no difference.
                self.sent(&plan.delete, stage, (PY2, version), BOTH)
            }
        }
    }

    /// Carries a change's next operation out.
    fn land(&self, state: &mut State, slot: usize) {
        let Slot::Sent(mut sent) = state.slots[slot] else {
            unreachable!("only changes that were sent are carried out");
        };
        let script = &self.scripts[usize::from(sent.script)];
        let at = usize::from(sent.next);
        let effect = state.carry_out(script, at, slot, sent);
        let begins = at == 0 || matches!(script.ops[at], Op::Swap(_));
        if begins && effect == Effect::Changed && sent.promised != 0 {
            state.meet(slot, sent.version);
        }
        let probes = script.probes();
        let next = match (effect, script.ops[at]) {
            // What follows a probe and its swap follows a lucky `add` as well.
            (Effect::Changed, Op::Add(_)) if probes => 3,
            (Effect::Changed, _) => at + 1,
            (Effect::None, Op::Add(_)) if probes => 1,
            (Effect::None, _) => script.ops.len() + 1,
        };
        if at < script.acked_after && (script.acked_after..=script.ops.len()).contains(&next) {
            state.acknowledge(slot, sent);
            if self.races == Races::Reported {
                state.report_races(sent.version);
            }
        }
        sent.next = next as u8;
        match script.ops.get(next) {
            None => return state.release(slot),
            Some(Op::Delete(_)) => self.store_is_done(state, &mut sent),
            Some(_) => {}
        }
        state.slots[slot] = Slot::Sent(sent);
    }

    /// Forgets what only the store of a change needed, so that fewer states differ.
    fn store_is_done(&self, state: &State, sent: &mut Sent) {
        let script = &self.scripts[usize::from(sent.script)];
        let next = usize::from(sent.next);
        if self.fault == Some(Fault::SecondStepsDecideAnew) && script.ends_cas_before(next) {
            let anew = &self.plan(state, 1, usize::from(sent.runtime)).cas;
            sent.script = self.number(anew);
            sent.next = (anew.ops.len() - (script.ops.len() - next)) as u8;
        }
        let siblings_first = self.fault == Some(Fault::SiblingsFirst);
        if self.races == Races::Forgiven && !siblings_first {
            sent.version = 0;
            sent.runtime = 0;
        }
    }
}

/// Traces in words.
impl Protocol {
    fn describe(&self, state: &State, step: Step) -> String {
        let at = |sidecar: usize| self.stages.names[usize::from(state.stages[sidecar])];
        match step {
            Step::Reload { sidecar, stage } => {
                let to = self.stages.names[usize::from(stage)];
                format!("the sidecar at {} goes to {to}", at(sidecar))
            }
            Step::Miss { sidecar, runtime } => {
                format!("{} misses at {}", RUNTIMES[runtime], at(sidecar))
            }
            Step::Forget { sidecar, runtime } => {
                format!("{} forgets a miss of {}", at(sidecar), RUNTIMES[runtime])
            }
            Step::Read { runtime } => {
                let version = state.database;
                format!(
                    "{} reads version {version} from the database",
                    RUNTIMES[runtime]
                )
            }
            Step::Fill { sidecar, slot } => {
                format!("it fills at {}: {:?}", at(sidecar), state.slots[slot])
            }
            Step::Change {
                sidecar,
                runtime,
                kind,
            } => {
                let (version, runtime) = (state.database + 1, RUNTIMES[runtime]);
                format!(
                    "{runtime} writes version {version}, {kind:?} at {}",
                    at(sidecar)
                )
            }
            Step::Land { slot } => self.describe_landing(state.slots[slot]),
        }
    }

    fn describe_landing(&self, slot: Slot) -> String {
        let Slot::Sent(sent) = slot else {
            unreachable!("only changes that were sent are carried out");
        };
        let script = &self.scripts[usize::from(sent.script)];
        let op = script.ops[usize::from(sent.next)];
        let key = String::from_utf8_lossy(&self.stages.keys[op.key()]);
        let acked = usize::from(sent.next) + 1 == script.acked_after;
        let acked = if acked { ", acknowledged" } else { "" };
        format!("{op:?} is {key}{acked}")
    }
}

const PAIRS: [(usize, usize); 4] = [(0, PY2), (0, PY3), (1, PY2), (1, PY3)];

/// Result of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Changed,
    None,
}

impl Script {
    /// Whether a `cas` took effect, if this operation is next.
    fn ends_cas_before(&self, next: usize) -> bool {
        let before = self.ops.get(next - 1);
        matches!(before, Some(Op::Replace(_)))
    }

    fn probes(&self) -> bool {
        matches!(self.ops.get(1), Some(Op::Probe(_)))
    }
}

impl Fault {
    /// Makes a plan wrong in this way.
    fn spoil(self, plan: &mut Plan) {
        let stores = [&mut plan.set, &mut plan.fill];
        match self {
            Self::DeletesStayAtHome => plan.delete = without_siblings(&plan.delete),
            Self::DeletesReachOnlyWhenIsolated if plan.mode != Mode::Isolate => {
                plan.delete = without_siblings(&plan.delete);
            }
            Self::SiblingsFirst => stores.into_iter().for_each(|s| s.ops.rotate_left(1)),
            Self::AcknowledgedEarly => {
                plan.delete.acked_after = 1;
                plan.set.acked_after = 1;
            }
            Self::StoresStayAtHome => stores.into_iter().for_each(|s| *s = without_siblings(s)),
            Self::ConditionalsFill => plan.missed_cas = without_siblings(&plan.missed_cas),
            Self::GuardShowsAll if plan.mode == Mode::Guard => plan.shown = [true; 2],
            _ => {}
        }
    }
}

impl State {
    /// Does one operation to memcached.
    fn carry_out(&mut self, script: &Script, at: usize, slot: usize, sent: Sent) -> Effect {
        let new = Held {
            version: sent.version,
            writer: sent.runtime,
            met: 0,
            seen: 0,
            stale: 0,
        };
        let op = script.ops[at];
        let copy = &mut self.copies[op.key()];
        match (op, copy.as_mut()) {
            (Op::Store(_), _) | (Op::Add(_), None) | (Op::Replace(_), Some(_)) => {
                *copy = Some(new);
            }
            (Op::Delete(_), _) => *copy = None,
            (Op::Probe(_), Some(held)) if !script.spared[usize::from(held.writer)] => {
                held.seen |= 1 << slot;
            }
            (Op::Swap(_), Some(held)) if held.seen >> slot & 1 == 1 => *copy = Some(new),
            (Op::Add(_) | Op::Probe(_) | Op::Swap(_) | Op::Replace(_), _) => return Effect::None,
        }
        Effect::Changed
    }

    /// A change to this version begins to take effect.
    fn meet(&mut self, slot: usize, version: u8) {
        for held in self.copies.iter_mut().flatten() {
            if held.version < version {
                held.met |= 1 << slot;
            }
        }
    }

    /// Forbids from now on the copies that were there when the change began.
    fn acknowledge(&mut self, slot: usize, sent: Sent) {
        for held in self.copies.iter_mut().flatten() {
            if held.met >> slot & 1 == 1 {
                held.stale |= sent.promised;
            }
        }
    }

    /// Nothing older than what was acknowledged is forgiven.
    fn report_races(&mut self, version: u8) {
        self.acknowledged = self.acknowledged.max(version);
    }

    fn release(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        for held in self.copies.iter_mut().flatten() {
            held.met &= !(1 << slot);
            held.seen &= !(1 << slot);
        }
    }

    fn free(&self, slots: usize) -> Option<usize> {
        self.slots[..slots]
            .iter()
            .position(|&slot| slot == Slot::Free)
    }

    /// Sidecars are alike, and so are slots: one order stands for all.
    fn sort(&mut self) {
        let sidecar = |at: usize| (self.stages[at], self.misses[at], self.counted[at]);
        if sidecar(0) > sidecar(1) {
            self.stages.swap(0, 1);
            self.misses.swap(0, 1);
            self.counted.swap(0, 1);
        }
        for (low, high) in [(0, 1), (1, 2), (0, 1)] {
            if self.slots[low] < self.slots[high] {
                self.swap_slots(low, high);
            }
        }
    }

    fn swap_slots(&mut self, low: usize, high: usize) {
        self.slots.swap(low, high);
        let swapped = |bits: u8| {
            let both = 1 << low | 1 << high;
            if bits & both == both || bits & both == 0 {
                bits
            } else {
                bits ^ both
            }
        };
        for held in self.copies.iter_mut().flatten() {
            held.met = swapped(held.met);
            held.seen = swapped(held.seen);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        assert!(self.stages.keys.len() <= KEYS && self.slots <= SLOTS);
        vec![State {
            stages: [0; 2],
            misses: [[0; 2]; 2],
            counted: [[0; 2]; 2],
            database: 0,
            acknowledged: 0,
            copies: [None; KEYS],
            slots: [Slot::Free; SLOTS],
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.reloads(state, steps);
        if self.fill_aware {
            self.memories(state, steps);
        }
        for slot in 0..self.slots {
            Self::progress(state, slot, steps);
        }
        if state.free(self.slots).is_some() {
            self.beginnings(state, steps);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let begun = match step {
            Step::Reload { sidecar, stage } => {
                state.stages[sidecar] = stage;
                None
            }
            Step::Miss { sidecar, runtime } => {
                self.miss(&mut state, sidecar, runtime);
                None
            }
            Step::Forget { sidecar, runtime } => {
                // All of them: with the first, the others.
                state.misses[sidecar][runtime] = 0;
                state.counted[sidecar][runtime] = 0;
                None
            }
            Step::Read { runtime } => Some(Slot::Read {
                runtime: runtime as u8,
                version: state.database,
            }),
            Step::Fill { sidecar, slot } => {
                let Slot::Read { runtime, version } = state.slots[slot] else {
                    unreachable!("only who has read the database fills");
                };
                let runtime = usize::from(runtime);
                let sent = self.store(&mut state, sidecar, runtime, version, self.fills_add);
                state.slots[slot] = Slot::Sent(sent);
                None
            }
            Step::Change {
                sidecar,
                runtime,
                kind,
            } => Some(Slot::Sent(self.change(&mut state, sidecar, runtime, kind))),
            Step::Land { slot } => {
                self.land(&mut state, slot);
                None
            }
        };
        if let Some(begun) = begun {
            let slot = state.free(self.slots)?;
            state.slots[slot] = begun;
        }
        state.sort();
        Some(state)
    }

    fn format_step(&self, state: &State, step: Step) -> Option<String> {
        Some(self.describe(state, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_STALE_READ, Self::is_fresh),
            Property::always(NO_WRONG_READER, Self::is_loadable),
        ]
    }
}
