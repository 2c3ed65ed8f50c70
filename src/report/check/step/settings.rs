//! Listeners, servers and everything that holds for all keys.

use std::collections::BTreeSet;
use std::iter::zip;
use std::time::Duration;

use super::super::hazard::{Hazard, share};
use super::super::who;
use super::Comparison;
use crate::config::{Config, Written};
use crate::pickle::Firewall;
use crate::policy::{Identify, Pickles, Untagged};

/// Sample of keys in which those that change their server are counted.
const SAMPLE: usize = 10_000;

impl Comparison<'_> {
    pub(super) fn settings(&mut self) {
        self.listeners();
        self.servers();
        self.fixed();
        self.pickles();
        self.table("limits", limits);
        self.table("admin_commands", |config| {
            let answer = if config.snapshot.forward_flush_all {
                "forward"
            } else {
                "deny"
            };
            vec![("flush_all", answer.to_owned())]
        });
        self.families_seen();
    }

    fn listeners(&mut self) {
        let (old, new) = (self.old, self.new);
        for listener in &new.listeners {
            let identify = &listener.admission.identify;
            let name = &listener.admission.name;
            let what = format!("listener {name}");
            let mut known = old.listeners.iter();
            let Some(before) = known.find(|l| l.admission.name == *name) else {
                self.change(&what, format!("is new, for {}", admits(identify)));
                continue;
            };
            let [old_tls, new_tls] = [before, listener].map(|l| l.tls.as_ref().map(|t| &t.written));
            self.tls(&what, old_tls, new_tls);
            if old_tls.is_some() != new_tls.is_some() {
                let hazard = Hazard::transport(name, new_tls.is_some());
                self.step.hazards.push(hazard);
            }
            let before = &before.admission.identify;
            let differs = self.setting(&what, "", admits(before), admits(identify));
            let each = |identify: &Identify| matches!(identify, Identify::Each { .. });
            if differs && !(each(before) && each(identify)) {
                let hazard = Hazard::runtime(name, &who(before), &who(identify));
                self.step.hazards.push(hazard);
            }
        }
        for listener in &old.listeners {
            let name = &listener.admission.name;
            if new.listeners.iter().all(|l| l.admission.name != *name) {
                let how = "is removed: its clients get what is under way, an error for what waits, \
                           and are disconnected";
                self.change(&format!("listener {name}"), how);
            }
        }
    }

    fn servers(&mut self) {
        let (old, new) = (&self.old.upstream, &self.new.upstream);
        let list = |servers: &[_]| {
            let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let servers = self.setting(
            "upstream",
            "servers",
            list(&old.servers),
            list(&new.servers),
        );
        let [old_tls, new_tls] = [old, new].map(|u| u.tls.as_ref().map(|tls| &tls.written));
        self.tls("upstream", old_tls, new_tls);
        let several = old.servers.len() > 1 || new.servers.len() > 1;
        let hash = self.word("upstream", "hash", old.hash, new.hash);
        if servers || hash && several {
            let (old_ring, new_ring) = (&self.old.snapshot.ring, &self.new.snapshot.ring);
            let moved = (0..SAMPLE).filter(|i| {
                let key = format!("key:{i}");
                let (before, after) = (
                    old_ring.server(key.as_bytes()),
                    new_ring.server(key.as_bytes()),
                );
                old.servers[before].plain() != new.servers[after].plain()
            });
            let moved = moved.count();
            if moved == 0 {
                self.change("upstream", "no key moves to another server");
            } else {
                let percent = moved * 100 / SAMPLE;
                let how = format!("{} of the keys move to another server", share(percent));
                self.change("upstream", how);
                self.step.hazards.push(Hazard::servers(percent));
            }
        }
    }

    /// Reports the settings that only a restart takes over.
    fn fixed(&mut self) {
        for ((setting, old), (_, new)) in zip(fixed(self.old), fixed(self.new)) {
            if self.setting(setting, "", old, new) {
                self.step.hazards.push(Hazard::restart(setting));
            }
        }
    }

    /// Compares the TLS of one end of connections.
    fn tls(&mut self, what: &str, old: Option<&Written>, new: Option<&Written>) {
        let is = |tls: Option<&Written>| if tls.is_some() { "on" } else { "off" };
        self.setting(what, "tls", is(old), is(new));
        let (Some(old), Some(new)) = (old, new) else {
            return;
        };
        let names = old.iter().chain(new).map(|(name, _)| *name);
        for name in names.collect::<BTreeSet<_>>() {
            let value = |tls: &Written| {
                let found = tls.iter().find(|(known, _)| *known == name);
                found.map_or("none".to_owned(), |(_, value)| value.clone())
            };
            self.setting(what, &format!("tls.{name}"), value(old), value(new));
        }
    }

    /// Compares the settings of a table that are told by their values.
    fn table(&mut self, table: &str, of: impl Fn(&Config) -> Vec<(&'static str, String)>) {
        for ((name, old), (_, new)) in zip(of(self.old), of(self.new)) {
            self.setting(table, name, old, new);
        }
    }

    fn pickles(&mut self) {
        self.table("pickle", pickles);
        let (old, new) = (&self.old.snapshot.pickles, &self.new.snapshot.pickles);
        // The deny list also has what the allow list lets pass.
        let denied = |pickles: &Pickles| pickles.deny.clone().except(&Firewall::nothing());
        for (differs, list) in [
            (old.extensions != new.extensions, "extensions"),
            (denied(old) != denied(new), "deny_globals"),
            (old.allow != new.allow, "allow_globals"),
        ] {
            if differs {
                self.change("pickle", format!("{list}: another list"));
            }
        }
    }

    fn families_seen(&mut self) {
        let (old, new) = (self.old.snapshot.families, self.new.snapshot.families);
        self.setting("families", "track", old.is_some(), new.is_some());
        if let (Some(old), Some(new)) = (old, new) {
            self.setting("families", "separators", old, new);
        }
    }
}

/// The settings that only a restart takes over.
fn fixed(config: &Config) -> [(&'static str, String); 4] {
    let admin = config.admin.as_ref().map(ToString::to_string);
    [
        (
            "upstream.connections",
            config.upstream.connections.to_string(),
        ),
        ("server.workers", config.workers.to_string()),
        ("server.reuse_port", config.reuse_port.to_string()),
        ("admin.listen", admin.unwrap_or_else(|| "none".to_owned())),
    ]
}

fn pickles(config: &Config) -> Vec<(&'static str, String)> {
    let Pickles {
        encoding, inflate, ..
    } = &config.snapshot.pickles;
    let bit = |mask: u32| mask.trailing_zeros().to_string();
    let detect = match (encoding.by_flags, encoding.by_bytes) {
        (true, true) => "both",
        (true, false) => "flags",
        (false, _) => "bytes",
    };
    vec![
        ("flag_bit", bit(encoding.pickle_flag)),
        ("compressed_bit", bit(encoding.compressed_flag)),
        ("detect", detect.to_owned()),
        ("max_inflated_bytes", inflate.max_bytes.to_string()),
        ("max_inflate_ratio", inflate.max_ratio.to_string()),
    ]
}

fn limits(config: &Config) -> Vec<(&'static str, String)> {
    let limits = config.limits;
    let ms = |time: Duration| time.as_millis().to_string();
    vec![
        ("max_connections", limits.max_connections.to_string()),
        ("max_value_bytes", limits.max_value_bytes.to_string()),
        ("max_buffered_bytes", limits.max_buffered_bytes.to_string()),
        ("request_timeout_ms", ms(limits.request_timeout)),
        ("connect_timeout_ms", ms(limits.connect_timeout)),
        ("send_timeout_ms", ms(limits.send_timeout)),
        ("drain_timeout_ms", ms(limits.drain_timeout)),
    ]
}

/// Says which clients a listener is for.
fn admits(identify: &Identify) -> String {
    let otherwise = match identify {
        Identify::Static(_) => String::new(),
        Identify::Each { untagged, .. } => match untagged {
            Untagged::Refuse => ", else refused".to_owned(),
            Untagged::Pass => ", else passed".to_owned(),
            Untagged::As(runtime) => format!(", else {runtime}"),
        },
    };
    who(identify) + &otherwise
}
