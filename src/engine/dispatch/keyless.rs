//! Requests without a key, which may go to every server.

use super::{Dispatch, quiet};
use crate::engine::counts::Outcome;
use crate::engine::statistics::Gathering;
use crate::engine::ticket::Quiet;
use crate::protocol::request::{OWN_STATS, Verb};

impl Dispatch<'_> {
    pub(super) fn version(&mut self) {
        let ticket = self
            .downstream
            .open_stream(self.client, Verb::Version, Quiet::No);
        let lane = self.lane_at(0);
        self.send(lane, ticket, |lane, downstream| {
            lane.plain(downstream, ticket, Verb::Version, &[b"version"]);
        });
        self.downstream.finish(ticket);
    }

    pub(super) fn stats(&mut self, section: &[u8]) {
        if section == OWN_STATS {
            let ticket = self
                .downstream
                .open_stream(self.client, Verb::Stats, Quiet::No);
            self.downstream.clients.questions.push(ticket);
            return;
        }
        let (client, servers) = (self.client, self.snapshot.ring.servers());
        let name = |server: usize| self.lanes[self.groups[server]].server.clone();
        let gathering = Gathering::new(section, (0..servers).map(name));
        let ticket = self.downstream.open_statistics(client, gathering, servers);
        for server in 0..servers {
            self.send(self.lane_at(server), ticket, |lane, downstream| {
                lane.stats(downstream, ticket, server, section);
            });
        }
        self.downstream.finish(ticket);
    }

    pub(super) fn flush_all(&mut self, delay: Option<i32>, noreply: bool) {
        if !self.snapshot.forward_flush_all {
            let reply = b"CLIENT_ERROR flush_all not allowed";
            return self.refuse(Verb::FlushAll, quiet(noreply), reply);
        }
        let client = self.client;
        let quiet = quiet(noreply);
        let ticket = self
            .downstream
            .open_fixed(client, Verb::FlushAll, quiet, Outcome::Ok, b"OK");
        let mut number = itoa::Buffer::new();
        let delay = delay.map_or("", |delay| number.format(delay));
        for server in 0..self.snapshot.ring.servers() {
            let lane = self.lane_at(server);
            let words: [&[u8]; 3] = [
                b"flush_all",
                if delay.is_empty() { b"" } else { b" " },
                delay.as_bytes(),
            ];
            self.send(lane, ticket, |lane, downstream| {
                lane.plain(downstream, ticket, Verb::FlushAll, &words);
            });
        }
        self.downstream.finish(ticket);
    }
}
