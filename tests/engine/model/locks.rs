//! The model of a family that all runtimes share: clients of both versions lock,
//! count and compare-and-swap through two sidecars that walk through stages.

use picklegate::config::Config;
use stateright::{Model, Property};

use super::record::{self, Asked, record};
use super::stages::{Coherence, ISOLATE, MIGRATION, PY2, PY3, RUNTIMES, SHARED, config};
use super::{explore, find};

const KEY: &str = "lock:job";
const CLIENTS: usize = 3;
/// Two of one version and one of the other.
const RUNTIME: [usize; CLIENTS] = [PY2, PY3, PY3];
/// The key in the bare space and in each namespace.
const KEYS: usize = 3;
/// Changes of the counter.
const COUNTS: u8 = 3;
const ONE_HOLDER: &str = "one holder";
const NO_LOST_UPDATE: &str = "no lost update";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Add,
    Delete,
    Incr,
    Gets,
    Cas,
}

const VERBS: [Verb; 5] = [Verb::Add, Verb::Delete, Verb::Incr, Verb::Gets, Verb::Cas];

impl Verb {
    fn request(self) -> String {
        match self {
            Self::Add => format!("add {KEY} 0 0 1\r\n0\r\n"),
            Self::Delete => format!("delete {KEY}\r\n"),
            Self::Incr => format!("incr {KEY} 1\r\n"),
            Self::Gets => format!("gets {KEY}\r\n"),
            Self::Cas => format!("cas {KEY} 0 0 1 7\r\n1\r\n"),
        }
    }
}

/// Use that the clients make of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Lock,
    Counter,
}

/// Settings of one exploration.
#[derive(Debug, Clone)]
struct Family {
    purpose: Use,
    /// The keys that each verb goes to, in order, by stage and runtime.
    keys: Vec<[[Vec<usize>; VERBS.len()]; 2]>,
}

impl Family {
    /// All stages of a migration, the family under this rule in each.
    fn new(purpose: Use, rule: &str) -> Self {
        let mut known = Vec::new();
        let keys = MIGRATION.iter().map(|stage| {
            let config = config(stage, Coherence::Strict, rule);
            RUNTIMES.map(|tag| VERBS.map(|verb| keys(&config, tag, verb, &mut known)))
        });
        Self {
            purpose,
            keys: keys.collect(),
        }
    }

    /// Key that a request goes to, taken from the engine's first operation.
    fn key(&self, stage: u8, client: usize, verb: Verb) -> usize {
        self.keys[usize::from(stage)][RUNTIME[client]][verb as usize][0]
    }

    fn begin(&self, state: &State, client: usize, steps: &mut Vec<Step>) {
        let verbs: &[Verb] = match (self.purpose, state.clients[client]) {
            (_, Client::Sent { .. }) => return steps.push(Step::Land { client }),
            (Use::Lock, Client::Idle) => &[Verb::Add],
            (Use::Lock, _) => &[Verb::Delete],
            (Use::Counter, _) if state.counts >= COUNTS => &[],
            (Use::Counter, Client::Seen { .. }) => &[Verb::Cas],
            (Use::Counter, _) => &[Verb::Incr, Verb::Gets],
        };
        for &verb in verbs {
            for sidecar in [0, 1] {
                steps.push(Step::Ask {
                    client,
                    sidecar,
                    verb,
                });
            }
        }
    }
}

/// The numbers of the physical keys that a request goes to.
fn keys(config: &Config, tag: &str, verb: Verb, known: &mut Vec<Vec<u8>>) -> Vec<usize> {
    let recorded = record(config, tag, verb.request().as_bytes(), record::success);
    let number = |asked: &Asked| {
        let at = known.iter().position(|key| *key == asked.key);
        at.unwrap_or_else(|| {
            known.push(asked.key.clone());
            known.len() - 1
        })
    };
    recorded.asked.iter().map(number).collect()
}

/// A value and its CAS id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Item {
    number: u8,
    cas: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Idle,
    Holding,
    Seen(Item),
    Sent {
        verb: Verb,
        key: usize,
        /// Item that a `cas` refers to.
        seen: Option<Item>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    stages: [u8; 2],
    items: [Option<Item>; KEYS],
    clients: [Client; CLIENTS],
    /// Changes of the counter that were acknowledged.
    counts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Reload {
        sidecar: usize,
        stage: u8,
    },
    Ask {
        client: usize,
        sidecar: usize,
        verb: Verb,
    },
    Land {
        client: usize,
    },
}

impl State {
    fn holders(&self) -> usize {
        let holds = |client: &&Client| {
            let releases = matches!(client, Client::Sent { verb, .. } if *verb == Verb::Delete);
            **client == Client::Holding || releases
        };
        self.clients.iter().filter(holds).count()
    }

    /// Carries a request out and tells the client.
    fn land(&mut self, client: usize) {
        let Client::Sent { verb, key, seen } = self.clients[client] else {
            unreachable!("only what was sent is carried out");
        };
        let item = &mut self.items[key];
        let next = |number| Item {
            number,
            cas: number,
        };
        let (changed, told) = match (verb, *item) {
            (Verb::Add, None) => (Some(next(0)), Client::Holding),
            (Verb::Delete, _) => (None, Client::Idle),
            (Verb::Incr, Some(old)) => (Some(next(old.number + 1)), Client::Idle),
            (Verb::Gets, Some(found)) => (Some(found), Client::Seen(found)),
            (Verb::Cas, Some(old)) if Some(old.cas) == seen.map(|seen| seen.cas) => {
                let number = seen.map_or(0, |seen| seen.number);
                (Some(next(number + 1)), Client::Idle)
            }
            (_, old) => (old, Client::Idle),
        };
        let counted = matches!(verb, Verb::Incr | Verb::Cas) && changed != *item;
        *item = changed;
        self.counts += u8::from(counted);
        self.clients[client] = told;
    }
}

impl Model for Family {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let zero = Item { number: 0, cas: 0 };
        let item = (self.purpose == Use::Counter).then_some(zero);
        vec![State {
            stages: [0; 2],
            items: [item; KEYS],
            clients: [Client::Idle; CLIENTS],
            counts: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for sidecar in [0, 1] {
            let (stage, other) = (state.stages[sidecar], state.stages[1 - sidecar]);
            let exists = |to: &u8| usize::from(*to) < self.keys.len() && to.abs_diff(other) <= 1;
            let to = stage.checked_sub(1).into_iter().chain([stage + 1]);
            steps.extend(
                to.filter(exists)
                    .map(|stage| Step::Reload { sidecar, stage }),
            );
        }
        for client in 0..CLIENTS {
            self.begin(state, client, steps);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Reload { sidecar, stage } => state.stages[sidecar] = stage,
            Step::Ask {
                client,
                sidecar,
                verb,
            } => {
                let key = self.key(state.stages[sidecar], client, verb);
                let seen = match state.clients[client] {
                    Client::Seen(item) => Some(item),
                    _ => None,
                };
                state.clients[client] = Client::Sent { verb, key, seen };
            }
            Step::Land { client } => state.land(client),
        }
        state.stages.sort_unstable();
        Some(state)
    }

    fn format_step(&self, _: &State, step: Step) -> Option<String> {
        Some(format!("{step:?}"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_HOLDER, |_, state: &State| state.holders() <= 1),
            Property::always(NO_LOST_UPDATE, |family: &Family, state: &State| {
                let seen = |client| {
                    let keys = state
                        .stages
                        .map(|stage| family.key(stage, client, Verb::Gets));
                    let items = keys.map(|key| state.items[key]);
                    let counts = |item: &Item| item.number == state.counts;
                    items.iter().flatten().all(counts)
                };
                family.purpose == Use::Lock || (0..CLIENTS).all(seen)
            }),
        ]
    }
}

#[test]
fn shared_requests_go_to_one_key_whatever_the_stage() {
    let family = Family::new(Use::Lock, SHARED.rule);
    assert!(
        family
            .keys
            .iter()
            .flatten()
            .flatten()
            .all(|keys| keys == &[0])
    );
}

#[test]
fn a_shared_lock_has_one_holder_at_every_stage() {
    explore(&Family::new(Use::Lock, SHARED.rule));
}

#[test]
fn a_shared_counter_loses_no_update_at_any_stage() {
    explore(&Family::new(Use::Counter, SHARED.rule));
}

#[test]
fn a_lock_that_is_isolated_by_mistake_has_two_holders() {
    find(ONE_HOLDER, &Family::new(Use::Lock, ISOLATE.rule));
}

#[test]
fn a_counter_that_is_isolated_by_mistake_loses_updates() {
    find(NO_LOST_UPDATE, &Family::new(Use::Counter, ISOLATE.rule));
}
