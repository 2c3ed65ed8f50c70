//! Other settings: what is under way ends by those that decided about it, and nothing
//! more is taken until then.

use super::Engine;
use super::settings::Settings;
use super::upstream::server::{LaneId, Upstream};

/// The time in which retrievals may ask for further keys while other settings wait to
/// be adopted, and with them all clients: enough for hundreds of keys.
const MAX_ASKING_US: u64 = 250_000;

impl Engine {
    /// Takes no further request until [`Engine::adopt`], so that each is carried
    /// out by the settings that decided about it.
    pub fn hold(&mut self) {
        self.held_since_us = Some(self.downstream.context.clock.steady_us);
    }

    /// Ends what could keep other settings waiting for as long as clients like: once
    /// they have waited for a while, retrievals ask for no further keys.
    pub fn hasten(&mut self) {
        let is_over =
            |since_us| self.downstream.context.clock.steady_us - since_us >= MAX_ASKING_US;
        if !self.held_since_us.is_some_and(is_over) {
            return;
        }
        for ticket in self.downstream.clients.end_all_asking() {
            self.dispatch(ticket.client).ask_rest(ticket);
        }
        self.go_on_with_changes();
    }

    /// Tells whether nothing is under way: no lane owes a reply, no client is owed one.
    pub fn is_at_rest(&self) -> bool {
        let lanes_rest = self.lanes.iter().all(|upstream| upstream.lane.is_idle());
        lanes_rest && self.downstream.clients.are_idle() && self.downstream.context.jobs.is_idle()
    }

    /// Works by other settings from now on, while nothing is under way: whatever
    /// is numbered by settings is replaced here, lanes and counts and what each
    /// client is taken for. What was counted starts again from zero; clients of
    /// listeners that are no more are sent away.
    ///
    /// # Panics
    /// If something is under way.
    pub fn adopt(&mut self, settings: Settings) {
        assert!(self.is_at_rest(), "settings change under a request");
        self.settings = settings;
        self.held_since_us = None;
        self.group_lanes();
        self.downstream.adopt(&self.settings);
    }

    /// Puts the lanes in the order of the servers: adds those to new ones, and
    /// drops those to servers that are no more, which are owed nothing.
    pub(super) fn group_lanes(&mut self) {
        let Settings {
            servers,
            connections,
            ..
        } = &self.settings;
        let mut before = std::mem::take(&mut self.lanes);
        self.groups.clear();
        for server in servers {
            let known = self.lanes.iter().position(|lane| lane.server == *server);
            self.groups.push(known.unwrap_or(self.lanes.len()));
            if known.is_some() {
                continue;
            }
            let (kept, others): (Vec<_>, _) =
                before.into_iter().partition(|lane| lane.server == *server);
            before = others;
            let missing = connections + 1 - kept.len();
            self.lanes.extend(kept);
            for _ in 0..missing {
                self.lanes
                    .push(Upstream::new(LaneId(self.made_lanes), server));
                self.made_lanes += 1;
            }
        }
    }
}
