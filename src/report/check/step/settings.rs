//! Listeners, servers and everything that holds for all keys.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::super::hazard::{Hazard, share};
use super::super::who;
use super::Comparison;
use crate::config::{Config, Written};
use crate::pickle::Firewall;
use crate::policy::{Identify, Pickles, Snapshot, Untagged};

/// Sample of keys in which those that change their server are counted.
const SAMPLE: usize = 10_000;

impl Comparison<'_> {
    pub(super) fn settings(&mut self) {
        self.listeners();
        self.servers();
        self.pickles();
        self.limits();
    }

    fn listeners(&mut self) {
        let (old, new) = (self.old, self.new);
        for listener in &new.listeners {
            let identify = &listener.admission.identify;
            let name = listener.admission.name.to_string();
            let what = format!("listener {name}");
            let mut known = old.listeners.iter();
            let Some(before) = known.find(|l| l.admission.name == listener.admission.name) else {
                self.change(&what, format!("is new, for {}", admits(identify)));
                continue;
            };
            let [old_tls, new_tls] = [before, listener].map(|l| l.tls.as_ref().map(|t| &t.written));
            self.tls(&what, old_tls, new_tls);
            if old_tls.is_some() != new_tls.is_some() {
                let listener = name.clone();
                self.step.hazards.push(Hazard::Transport {
                    listener,
                    tls: new_tls.is_some(),
                });
            }
            let before = &before.admission.identify;
            let differs = self.setting(&what, "", admits(before), admits(identify));
            let each = |identify: &Identify| matches!(identify, Identify::Each { .. });
            if differs && !(each(before) && each(identify)) {
                let (old, new) = (who(before), who(identify));
                let listener = name;
                self.step
                    .hazards
                    .push(Hazard::Runtime { listener, old, new });
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
                self.step.hazards.push(Hazard::Servers { percent });
            }
        }
        self.fixed("upstream.connections", old.connections, new.connections);
        self.fixed("server.workers", self.old.workers, self.new.workers);
        self.fixed(
            "server.reuse_port",
            self.old.reuse_port,
            self.new.reuse_port,
        );
        let admin = |config: &Config| {
            config
                .admin
                .as_ref()
                .map_or("none".to_owned(), ToString::to_string)
        };
        self.fixed("admin.listen", admin(self.old), admin(self.new));
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

    /// Reports a setting that only a restart takes over.
    fn fixed(&mut self, setting: &'static str, old: impl Display, new: impl Display) {
        if self.setting(setting, "", old, new) {
            self.step.hazards.push(Hazard::Restart { setting });
        }
    }

    fn pickles(&mut self) {
        let (old, new) = (&self.old.snapshot.pickles, &self.new.snapshot.pickles);
        let (was, is) = (old.encoding, new.encoding);
        let bit = |mask: u32| mask.trailing_zeros();
        self.setting(
            "pickle",
            "flag_bit",
            bit(was.pickle_flag),
            bit(is.pickle_flag),
        );
        self.setting(
            "pickle",
            "compressed_bit",
            bit(was.compressed_flag),
            bit(is.compressed_flag),
        );
        let detect = |by_flags, by_bytes| match (by_flags, by_bytes) {
            (true, true) => "both",
            (true, false) => "flags",
            (false, _) => "bytes",
        };
        let (before, after) = (
            detect(was.by_flags, was.by_bytes),
            detect(is.by_flags, is.by_bytes),
        );
        self.setting("pickle", "detect", before, after);
        let (was, is) = (old.inflate, new.inflate);
        self.setting("pickle", "max_inflated_bytes", was.max_bytes, is.max_bytes);
        self.setting("pickle", "max_inflate_ratio", was.max_ratio, is.max_ratio);
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

    fn limits(&mut self) {
        let (old, new) = (self.old.limits, self.new.limits);
        self.setting(
            "limits",
            "max_connections",
            old.max_connections,
            new.max_connections,
        );
        self.setting(
            "limits",
            "max_value_bytes",
            old.max_value_bytes,
            new.max_value_bytes,
        );
        self.setting(
            "limits",
            "max_buffered_bytes",
            old.max_buffered_bytes,
            new.max_buffered_bytes,
        );
        for (name, old, new) in [
            (
                "request_timeout_ms",
                old.request_timeout,
                new.request_timeout,
            ),
            (
                "connect_timeout_ms",
                old.connect_timeout,
                new.connect_timeout,
            ),
            ("send_timeout_ms", old.send_timeout, new.send_timeout),
            ("drain_timeout_ms", old.drain_timeout, new.drain_timeout),
        ] {
            self.setting("limits", name, old.as_millis(), new.as_millis());
        }
        let answer = |snapshot: &Snapshot| {
            if snapshot.forward_flush_all {
                "forward"
            } else {
                "deny"
            }
        };
        let (old, new) = (answer(&self.old.snapshot), answer(&self.new.snapshot));
        self.setting("admin_commands", "flush_all", old, new);
        let families = |snapshot: &Snapshot| snapshot.families;
        let (old, new) = (families(&self.old.snapshot), families(&self.new.snapshot));
        self.setting("families", "track", old.is_some(), new.is_some());
        if let (Some(old), Some(new)) = (old, new) {
            self.setting("families", "separators", old, new);
        }
    }
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
