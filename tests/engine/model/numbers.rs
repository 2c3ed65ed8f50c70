//! Reloads that give other numbers to namespaces, listeners and servers, explored:
//! every order of requests, holds and reloads that a worker with two clients can
//! come to in a few steps. The worker is the real engine, before caches in which each
//! namespace has a value of its own: a state is how it came there.

use picklegate::config::Config;
use picklegate::engine::Settings;
use stateright::{Model, Property};

use crate::support::rig::{Rig, config_of, settings, text};

/// Steps of a trace: two reloads and what comes before, between or after.
const STEPS: usize = 3;
const RUNTIMES: [&str; 2] = ["python/2.7", "python/3.11"];
const NAMESPACES: [(&str, &str); 3] = [
    ("two", "python <3"),
    ("new", "python >=3.11"),
    ("three", "python >=3"),
];
const SERVERS: [usize; 3] = [1, 2, 3];
const GONE: &str = "SERVER_ERROR picklegate: this listener is gone\r\n";

const OWN_VALUES: &str = "each request is carried out as its client's, or not at all";

/// Configuration of a worker: namespaces by their place in the table, their clients, and
/// the servers.
struct Layout {
    namespaces: &'static [usize],
    is_heard: [bool; 2],
    servers: &'static [usize],
}

const LAYOUTS: [Layout; 7] = [
    Layout {
        namespaces: &[0, 1, 2],
        is_heard: [true, true],
        servers: &[1, 2],
    },
    // In another order, without the one or the other listener.
    Layout {
        namespaces: &[1, 0, 2],
        is_heard: [true, false],
        servers: &[2, 1],
    },
    Layout {
        namespaces: &[2, 0],
        is_heard: [false, true],
        servers: &[1, 2],
    },
    Layout {
        namespaces: &[2, 1, 0],
        is_heard: [true, true],
        servers: &[2, 1],
    },
    // One namespace less, which another takes in.
    Layout {
        namespaces: &[0, 2],
        is_heard: [true, true],
        servers: &[1, 2],
    },
    // The first goes, and nobody is for its runtimes.
    Layout {
        namespaces: &[1],
        is_heard: [false, true],
        servers: &[3, 1, 2],
    },
    Layout {
        namespaces: &[0],
        is_heard: [false, false],
        servers: &[3],
    },
];

/// Events of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// One of the clients asks.
    Ask(usize),
    /// Another layout is served; both ask `meanwhile`, or none does.
    Reload { to: usize, meanwhile: bool },
}

#[derive(Clone)]
pub(crate) struct Numbers {
    configs: Vec<Config>,
}

impl Numbers {
    pub(crate) fn new() -> Self {
        let config = |layout: &Layout| {
            let tables = layout.namespaces.iter().map(|&at| {
                let (name, runtimes) = NAMESPACES[at];
                format!("[namespaces.{name}]\nruntimes = \"{runtimes}\"\n")
            });
            // The rig's own listener has one, and nobody else does.
            let rest = "[namespaces.rest]\nruntimes = \"python >=3\"\n";
            let rule = "mode = \"isolate\"\ncoherence = \"deletes\"\n".to_owned();
            let rule = rule + &tables.collect::<String>() + rest;
            config_of(layout.servers, &rule)
        };
        Self {
            configs: LAYOUTS.iter().map(config).collect(),
        }
    }

    /// Value that a client reads under a layout.
    fn reads(layout: usize, client: usize) -> String {
        let names = LAYOUTS[layout]
            .namespaces
            .iter()
            .map(|&at| NAMESPACES[at].0);
        let fits = |name: &&str| match *name {
            "two" => client == 0,
            _ => client == 1,
        };
        match names.into_iter().find(fits) {
            Some(name) => format!("VALUE k 0 5\r\n{name:_<5}\r\nEND\r\n"),
            None => "END\r\n".to_owned(),
        }
    }

    fn settings(&self, layout: usize) -> Settings {
        let mut settings = settings(&self.configs[layout], 1);
        // Each client has a listener of its own.
        settings.listeners.truncate(2);
        settings.listeners[1].1 = settings.listeners[0].1.clone();
        let mut is_heard = LAYOUTS[layout].is_heard.into_iter();
        settings
            .listeners
            .retain(|_| is_heard.next().unwrap_or(false));
        settings
    }

    /// Goes through all steps; whether everybody received what is right.
    fn is_right(&self, steps: &[Step]) -> bool {
        let mut rig = Rig::new(&self.configs[0], 1);
        let first = self.settings(0);
        rig.adopt(&self.configs[0], first);
        for server in SERVERS {
            for (name, _) in NAMESPACES {
                let prefix = ["@two//", "@new//", "@three///"];
                let prefix = prefix.iter().find(|prefix| prefix.contains(name));
                let prefix = prefix.expect("each has one");
                let store = format!("set {prefix}k 0 0 5\r\n{name:_<5}\r\n");
                rig.ask_server(&format!("10.0.0.{server}:11211"), store.as_bytes());
            }
        }
        let clients = [0, 1].map(|client| {
            let runtime = picklegate::policy::RuntimeTag::parse(RUNTIMES[client]);
            let tag = picklegate::policy::Tag {
                runtime: runtime.expect("a tag"),
                source: picklegate::policy::Source::Process,
            };
            rig.open_as(client as u32, Some(tag))
        });
        let mut layout = 0;
        let mut right = [String::new(), String::new()];
        let mut is_gone = [false; 2];
        for step in steps {
            match *step {
                Step::Ask(client) => {
                    rig.send(clients[client], b"get k\r\n");
                    if !is_gone[client] {
                        right[client] += &Self::reads(layout, client);
                    }
                }
                Step::Reload { to, meanwhile } => {
                    rig.engine.hold();
                    if meanwhile {
                        for client in clients {
                            rig.send(client, b"get k\r\nget k\r\n");
                        }
                    }
                    while !rig.engine.is_at_rest() {
                        for lane in 0..rig.lanes() {
                            rig.write_lane(lane, usize::MAX);
                            rig.read_on(lane, usize::MAX);
                        }
                    }
                    layout = to;
                    rig.adopt(&self.configs[layout], self.settings(layout));
                    // As a worker does in the same turn.
                    rig.flush_clients();
                    for client in 0..2 {
                        if is_gone[client] {
                            continue;
                        }
                        is_gone[client] = !LAYOUTS[layout].is_heard[client];
                        if meanwhile && is_gone[client] {
                            right[client] += GONE;
                        } else if meanwhile {
                            right[client] += &Self::reads(layout, client).repeat(2);
                        }
                    }
                }
            }
        }
        rig.settle();
        clients.into_iter().zip(right).all(|(client, right)| {
            let received = rig.take_received(client);
            let is_right = text(&received) == text(right.as_bytes());
            if !is_right {
                println!(
                    "{steps:?}: {} instead of {}",
                    text(&received),
                    text(right.as_bytes())
                );
            }
            is_right
        })
    }
}

impl Model for Numbers {
    type State = Vec<Step>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        vec![Vec::new()]
    }

    fn actions(&self, state: &Self::State, steps: &mut Vec<Step>) {
        if state.len() < STEPS {
            steps.extend([0, 1].map(Step::Ask));
            for to in 0..LAYOUTS.len() {
                steps.extend([false, true].map(|meanwhile| Step::Reload { to, meanwhile }));
            }
        }
    }

    fn next_state(&self, before: &Self::State, step: Step) -> Option<Self::State> {
        Some([&before[..], &[step]].concat())
    }

    fn format_step(&self, _: &Self::State, step: Step) -> Option<String> {
        Some(format!("{step:?}"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            OWN_VALUES,
            |model: &Self, steps: &Vec<Step>| model.is_right(steps),
        )]
    }
}

#[test]
fn whatever_gets_other_numbers_each_request_is_its_clients_or_nobodys() {
    super::explore(&Numbers::new());
}
