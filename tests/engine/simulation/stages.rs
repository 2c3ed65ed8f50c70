//! The stages of a migration, each a configuration, and how two sidecars walk
//! through them: at most one apart.

use picklegate::config::Config;

use crate::support::rig::config;

/// Settings that all stages share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) coherence: &'static str,
    pub(crate) servers: usize,
    pub(crate) read_through: bool,
    pub(crate) on_unloadable_read: &'static str,
    pub(crate) on_unloadable_write: &'static str,
}

/// One configuration of a migration.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) config: Config,
    /// Whether nobody is given what it cannot load.
    pub(crate) guards: bool,
    /// The earliest stage that may follow it: earlier ones would find copies that
    /// nobody deletes in this one, or leave such copies to it.
    lowest: usize,
    /// Whether Python 2 is gone.
    pub(crate) without_two: bool,
}

/// `py3`'s further settings while its epoch is raised.
const ANNOUNCED: &str = "also_invalidate = [1]";
const RAISED: &str = "epoch = 1\nalso_invalidate = [0]";
const DONE: &str = "epoch = 1";

/// Name, mode with rollout, settings of `py3`, the earliest stage that may follow.
type Row = (&'static str, &'static str, &'static str, usize);
const STAGES: [Row; 10] = [
    ("observe", "observe", "", 0),
    ("guard", "guard", "", 0),
    ("isolate 10 %", "isolate 10", "", 0),
    ("isolate 50 %", "isolate 50", "", 0),
    ("isolate 50 %, epoch announced", "isolate 50", ANNOUNCED, 0),
    // Before it is announced, nobody deletes what the new epoch holds.
    ("isolate 50 %, epoch raised", "isolate 50", RAISED, 4),
    ("isolate, epoch raised", "isolate 100", RAISED, 4),
    // Nobody deletes what the old epoch holds any more.
    ("isolate", "isolate 100", DONE, 7),
    ("guard again", "guard", DONE, 7),
    // Nor what is left of `py2`.
    ("guard with one runtime", "guard", DONE, 9),
];

impl Plan {
    /// All stages, in order.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        let stages = STAGES.iter().enumerate();
        stages.map(|(at, stage)| self.stage(at, *stage)).collect()
    }

    fn stage(&self, at: usize, (name, mode, py3, lowest): Row) -> Stage {
        let (mode, rollout) = mode.split_once(' ').unwrap_or((mode, ""));
        let without_two = at + 1 == STAGES.len();
        let rollout = match rollout {
            "" => String::new(),
            percent => format!("rollout = {percent}\n"),
        };
        let py2 = if without_two {
            ""
        } else {
            "[namespaces.py2]\nruntimes = \"python <3\"\n"
        };
        let rule = format!(
            "mode = \"{mode}\"\n{rollout}coherence = \"{}\"\non_unloadable_read = \"{}\"\n\
             on_unloadable_write = \"{}\"\nread_through = {}\n\
             [[rules]]\nprefix = \"s:\"\nmode = \"shared\"\n\
             {py2}[namespaces.py3]\nruntimes = \"python >=3\"\n{py3}\n",
            self.coherence, self.on_unloadable_read, self.on_unloadable_write, self.read_through,
        );
        Stage {
            name,
            config: config(self.servers, &rule),
            guards: mode != "observe",
            lowest,
            without_two,
        }
    }
}

/// Positions of two sidecars on their way through the stages.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    at: [usize; 2],
    /// The stage that a sidecar is about to adopt.
    next: [Option<usize>; 2],
    /// The earliest stage that may follow all those that there were.
    lowest: usize,
}

impl Walk {
    pub(crate) fn next(&self, sidecar: usize) -> Option<usize> {
        self.next[sidecar]
    }

    /// Stage that a sidecar may go to, up or down.
    pub(crate) fn step(&self, sidecar: usize, up: bool, stages: &[Stage]) -> Option<usize> {
        let at = self.at[sidecar];
        let to = if up { at + 1 } else { at.checked_sub(1)? };
        let other = 1 - sidecar;
        let near = |stage: usize| stage.abs_diff(to) <= 1;
        let is_near = near(self.at[other]) && self.next[other].is_none_or(near);
        (to < stages.len() && to >= self.lowest && is_near).then_some(to)
    }

    pub(crate) fn begin(&mut self, sidecar: usize, to: usize) {
        self.next[sidecar] = Some(to);
    }

    pub(crate) fn arrive(&mut self, sidecar: usize, stages: &[Stage]) -> Option<usize> {
        let to = self.next[sidecar].take()?;
        self.at[sidecar] = to;
        self.lowest = self.lowest.max(stages[to].lowest);
        Some(to)
    }
}
