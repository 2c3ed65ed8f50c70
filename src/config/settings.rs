//! The settings of a rule, one row each: its name, what it is where nothing is said, and
//! from which mode on it has an effect. Whoever lists them lists these.

use std::fmt;

use serde::Serialize;

use super::words::Word as _;
use crate::policy::{Mode, Rule};

/// A setting of a rule; the prefix, the mode and the rollout are none.
pub(crate) struct Setting {
    /// Name, as a configuration writes it.
    pub(crate) name: &'static str,
    /// The default; `None` if a rule had better say it.
    pub(crate) default: Option<Value>,
    /// The value that a rule has.
    pub(crate) of: fn(&Rule) -> Value,
    /// The first mode in which it has an effect.
    from: Mode,
}

/// A value of a setting. Shown as in TOML, but for quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Word(&'static str),
    Flag(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl Setting {
    /// Tells whether it has an effect in a mode.
    pub(crate) fn acts_in(&self, mode: Mode) -> bool {
        mode >= self.from
    }
}

/// Settings of a rule, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "sniff",
        default: Some(Value::Word("full")),
        of: |rule| Value::Word(rule.sniff.word()),
        from: Mode::Observe,
    },
    Setting {
        name: "on_unloadable_read",
        default: Some(Value::Word("miss")),
        of: |rule| Value::Word(rule.on_unloadable_read.word()),
        from: Mode::Guard,
    },
    Setting {
        name: "on_unknown_read",
        default: Some(Value::Word("serve")),
        of: |rule| Value::Word(rule.on_unknown_read.word()),
        from: Mode::Guard,
    },
    Setting {
        name: "on_unloadable_write",
        default: Some(Value::Word("accept")),
        of: |rule| Value::Word(rule.on_unloadable_write.word()),
        from: Mode::Guard,
    },
    Setting {
        name: "on_unknown_write",
        default: Some(Value::Word("accept")),
        of: |rule| Value::Word(rule.on_unknown_write.word()),
        from: Mode::Guard,
    },
    Setting {
        name: "on_upstream_failure",
        default: Some(Value::Word("miss")),
        of: |rule| Value::Word(rule.on_upstream_failure.word()),
        from: Mode::Shared,
    },
    Setting {
        name: "coherence",
        default: None,
        of: |rule| Value::Word(rule.coherence.word()),
        from: Mode::Observe,
    },
    Setting {
        name: "read_through",
        default: Some(Value::Flag(false)),
        of: |rule| Value::Flag(rule.read_through),
        from: Mode::Isolate,
    },
    Setting {
        name: "globals",
        default: Some(Value::Word("any")),
        of: |rule| Value::Word(rule.globals.word()),
        from: Mode::Observe,
    },
    Setting {
        name: "py2_str",
        default: Some(Value::Word("text")),
        of: |rule| Value::Word(rule.py2_str.word()),
        from: Mode::Guard,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pickle::transcode::Py2Str;
    use crate::policy::{
        Coherence, Globals, OnStore, OnUnknownRead, OnUnloadableRead, OnUpstreamFailure, Plan,
        Plans, Rollout, Sniff,
    };

    const MODES: [Mode; 4] = [Mode::Shared, Mode::Observe, Mode::Guard, Mode::Isolate];

    /// Every rule that there may be, but for its prefix and its rollout.
    fn rules(mode: Mode) -> Vec<Rule> {
        let mut rules = vec![Rule {
            prefix: Box::default(),
            mode,
            rollout: Rollout::ALL,
            sniff: Sniff::Full,
            on_unloadable_read: OnUnloadableRead::Miss,
            on_unknown_read: OnUnknownRead::Serve,
            on_unloadable_write: OnStore::Accept,
            on_unknown_write: OnStore::Accept,
            on_upstream_failure: OnUpstreamFailure::Miss,
            coherence: Coherence::FillAware,
            globals: Globals::Any,
            py2_str: Py2Str::Text,
            read_through: false,
        }];
        vary(&mut rules, |rule, to| rule.sniff = to);
        vary(&mut rules, |rule, to| rule.on_unloadable_read = to);
        vary(&mut rules, |rule, to| rule.on_unknown_read = to);
        vary(&mut rules, |rule, to| rule.on_unloadable_write = to);
        vary(&mut rules, |rule, to| rule.on_unknown_write = to);
        vary(&mut rules, |rule, to| rule.on_upstream_failure = to);
        vary(&mut rules, |rule, to| rule.coherence = to);
        vary(&mut rules, |rule, to| rule.globals = to);
        vary(&mut rules, |rule, to| rule.py2_str = to);
        let through = rules.clone().into_iter().map(|rule| Rule {
            read_through: true,
            ..rule
        });
        rules.extend(through.collect::<Vec<_>>());
        rules
    }

    fn vary<W: super::super::words::Word>(rules: &mut Vec<Rule>, set: impl Fn(&mut Rule, W)) {
        let all = rules.iter().flat_map(|rule| {
            W::WORDS.iter().map(|&(_, to)| {
                let mut rule = rule.clone();
                set(&mut rule, to);
                rule
            })
        });
        *rules = all.collect();
    }

    /// The plans of a rule as text, and its other settings.
    fn meaning(rule: &Rule, but: &Setting) -> (Vec<String>, String) {
        let others = SETTINGS.iter().filter(|setting| setting.name != but.name);
        let others = others.map(|setting| (setting.of)(rule).to_string());
        let Plans {
            untagged,
            outside,
            inside,
            ..
        } = Plans::new(rule);
        let plans: [Plan; 3] = [untagged, outside, inside];
        (others.collect(), format!("{plans:?}"))
    }

    #[test]
    fn a_setting_changes_plans_in_those_modes_in_which_it_has_an_effect() {
        for mode in MODES {
            let rules = rules(mode);
            for setting in SETTINGS {
                let meanings = rules.iter().map(|rule| meaning(rule, setting));
                let all: BTreeSet<_> = meanings.collect();
                let others: BTreeSet<_> = all.iter().map(|(others, _)| others).collect();
                let is_felt = all.len() > others.len();
                assert_eq!(
                    is_felt,
                    setting.acts_in(mode),
                    "{} in {}",
                    setting.name,
                    mode.word()
                );
            }
        }
    }

    #[test]
    fn a_rule_of_which_nothing_is_said_has_the_defaults() {
        let toml = "[upstream]\nservers = ['a:1']\n[[listeners]]\nlisten = '[::1]:1'\n\
                    runtime = 'py3'\n";
        let config = crate::config::Config::parse("t", toml).unwrap();
        for setting in SETTINGS {
            let value = (setting.of)(&config.snapshot.rules.find(b"k").rule);
            assert!(setting.default.is_none_or(|default| default == value));
        }
    }
}
