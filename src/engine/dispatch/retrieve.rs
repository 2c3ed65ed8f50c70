//! Retrievals: which copies are asked for, at which servers, and how many keys at a time.

use super::{ClientKey, Dispatch, meta_quiet, meta_reply};
use crate::engine::counts::Outcome;
use crate::engine::downstream::Asking;
use crate::engine::meta::{MetaReply, OwedRestore, miss_line};
use crate::engine::ticket::Ticket;
use crate::engine::upstream::{MetaRequest, Target};
use crate::policy::{Look, OnMiss};
use crate::protocol::Tokens;
use crate::protocol::key::KeyBuf;
use crate::protocol::request::{Meta, Retrieve, Verb};

const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format";
/// Of a retrieval that asked for keys for too long.
const TOO_LONG: &[u8] = b"SERVER_ERROR picklegate: timed out before all keys were asked for";

impl<'e> Dispatch<'e> {
    pub(super) fn retrieve(&mut self, retrieve: &Retrieve<'_>) {
        let ring = &self.snapshot.ring;
        if ring.servers() == 1 || retrieve.keys.is_empty() {
            let ticket = self
                .downstream
                .open_retrieve(self.client, retrieve.verb, false);
            self.retrieve_some(retrieve, ticket, 0, retrieve.keys.clone());
            return;
        }
        let mut owners = std::mem::take(&mut self.downstream.context.owners);
        owners.extend(retrieve.keys.clone().map(|key| ring.server(key)));
        // A slot per server keeps each server's values together and in order.
        let asked = || (0..ring.servers()).filter(|server| owners.contains(server));
        let parts = asked().count();
        let open = |part| {
            let more = part < parts;
            self.downstream
                .open_retrieve(self.client, retrieve.verb, more)
        };
        let first = (1..=parts).map(open).reduce(|first, _| first);
        for (server, ticket) in asked().zip(first.into_iter().flat_map(Ticket::onwards)) {
            let pairs = retrieve.keys.clone().zip(&owners);
            let own = pairs.filter_map(|(key, &owner)| (owner == server).then_some(key));
            self.retrieve_some(retrieve, ticket, server, own);
        }
        owners.clear();
        self.downstream.context.owners = owners;
    }

    /// Asks a server for keys of its own: at first for so many as there is room for the
    /// values of.
    fn retrieve_some<'k>(
        &mut self,
        retrieve: &Retrieve<'_>,
        ticket: Ticket,
        server: usize,
        mut keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) where
        'e: 'k,
    {
        let how = (retrieve.verb, retrieve.exptime);
        let count = self.downstream.clients.keys_at_once(self.client);
        // Each has a space before it.
        let may_be_more = retrieve.keys.rest().len() > 2 * count;
        if !may_be_more || keys.clone().nth(count).is_none() {
            return self.retrieve_part(how, ticket, server, keys);
        }
        let first = keys.clone().take(count);
        keys.nth(count - 1);
        let asking = Asking::new(retrieve, server, count, keys);
        self.downstream.clients.ask_later(ticket, asking);
        self.retrieve_part(how, ticket, server, first);
    }

    /// Asks for further keys of a retrieval, if there is room for their values.
    pub(in crate::engine) fn ask_rest(&mut self, ticket: Ticket) {
        let Some((mut asking, count, unwanted)) = self.downstream.clients.take_asking(ticket)
        else {
            return;
        };
        if unwanted {
            self.leave_rest(ticket, &asking);
            self.downstream.clients.end_asking(ticket);
            return self.downstream.finish(ticket);
        }
        let clock = self.downstream.context.clock;
        self.downstream.clients.wait_anew(ticket, clock);
        let (verb, server) = (asking.verb, asking.server);
        let exptime = asking.exptime.take();
        let (keys, is_last) = asking.next(count);
        let how = (verb, exptime.as_deref());
        if is_last {
            self.downstream.clients.end_asking(ticket);
            return self.retrieve_part(how, ticket, server, keys);
        }
        self.downstream.clients.expect(ticket);
        self.retrieve_part(how, ticket, server, keys);
        asking.exptime = exptime;
        self.downstream.clients.keep_asking(ticket, asking);
    }

    /// Answers for keys that are not asked for any more.
    fn leave_rest(&mut self, ticket: Ticket, asking: &Asking) {
        let identity = self.downstream.clients.who(ticket).identity;
        let mut misses = 0;
        for key in asking.rest() {
            let decision = self.snapshot.decide(identity, key);
            if !decision.plan.on_miss(asking.verb).contains(OnMiss::SOFT) {
                self.downstream.fail(ticket, TOO_LONG);
                return;
            }
            misses += 1;
        }
        self.downstream.count_upstream_misses(ticket, misses);
    }

    /// Asks a server for keys of its own.
    fn retrieve_part<'k>(
        &mut self,
        (verb, exptime): (Verb, Option<&[u8]>),
        ticket: Ticket,
        server: usize,
        keys: impl Iterator<Item = &'k [u8]>,
    ) where
        'e: 'k,
    {
        let identity = self.downstream.clients.who(ticket).identity;
        let snapshot = self.snapshot;
        let lane = self.lane_at(server);
        let mut is_asked = false;
        let wanted = keys.map(|key| {
            let decision = snapshot.decide(identity, key);
            let target = Target {
                codec: &snapshot.codec,
                space: decision.space,
                key,
                base64: false,
            };
            (target, decision.plan.look, decision.plan.on_miss(verb))
        });
        let upstream = &mut self.lanes[lane];
        if let Some(error) = upstream.refuse() {
            for (_, _, on_miss) in wanted {
                if upstream.misses(on_miss) {
                    upstream.softened += 1;
                    self.downstream.count_upstream_misses(ticket, 1);
                } else {
                    self.downstream.fail(ticket, &error);
                }
            }
        } else {
            is_asked = upstream
                .lane
                .retrieve(self.downstream, ticket, (verb, exptime), wanted);
        }
        // What the slot waits for is the lane's to finish, once it is asked.
        if !is_asked {
            self.downstream.finish(ticket);
        }
    }

    /// Answers a read with the line of a miss, for a lane that cannot be asked.
    pub(super) fn miss_for(&mut self, lane: usize, ticket: Ticket, reply: &[u8]) {
        self.lanes[lane].refused += 1;
        self.lanes[lane].softened += 1;
        self.downstream.miss_for_upstream(ticket, reply);
    }

    /// Asks for the copies of others of a key that was missed. Where that cannot be, it
    /// stays missed: half of another key's value may be out, so that no error can be.
    pub(in crate::engine) fn read_through(
        &mut self,
        ticket: Ticket,
        key: Box<KeyBuf>,
        on_miss: OnMiss,
        next: usize,
    ) {
        let decision = self.decide_for(ticket, &key);
        let others = || self.snapshot.others(decision.space).skip(next);
        let upstream = &mut self.lanes[self.lane_of(&key)];
        if upstream.refusal().is_some() {
            upstream.refused += 1;
            upstream.softened += 1;
            self.downstream.count_upstream_misses(ticket, 1);
            return self.downstream.finish(ticket);
        }
        if others().next().is_none() {
            self.downstream.miss(ticket, &key, on_miss);
            return self.downstream.finish(ticket);
        }
        let copies = (&self.snapshot.codec, others());
        let what = (key, decision.plan.through, on_miss, next);
        upstream.lane.through(self.downstream, ticket, what, copies);
    }

    /// Asks for the next copy of another of a key that was missed.
    pub(in crate::engine) fn ask_on(
        &mut self,
        ticket: Ticket,
        key: Box<KeyBuf>,
        mut meta: MetaReply,
        flags: Vec<u8>,
    ) {
        let decision = self.decide_for(ticket, &key);
        meta.look = decision.plan.through;
        let nth = usize::from(meta.others) - 1;
        let next = self.snapshot.others(decision.space).nth(nth);
        let lane = self.lane_of(&key);
        let asked = next.is_some_and(|space| {
            let target = self.target(
                space,
                ClientKey {
                    bytes: &key,
                    base64: meta.base64,
                },
            );
            if self.lanes[lane].misses(meta.on_miss) {
                let mut physical = Vec::new();
                let restore = target.codec.encode(space, &key, &mut physical);
                meta.restore = OwedRestore::new(restore, &key, &mut self.downstream.context.pool);
                let miss = miss_line(&meta, &physical, Tokens::new(&flags));
                meta.restore.give_back(&mut self.downstream.context.pool);
                self.miss_for(lane, ticket, &miss);
                return false;
            }
            self.send(lane, ticket, |lane, downstream| {
                lane.meta_through(downstream, ticket, meta, target, &flags);
            })
        });
        if !asked {
            self.downstream.finish(ticket);
        }
        self.downstream.context.pool.give_key(key);
        self.downstream.context.pool.give(flags);
    }

    pub(super) fn meta_retrieve(&mut self, meta: &Meta<'_>) {
        if meta.verb == Verb::Me && meta.key.contains(&b'\n') {
            // memcached would name it as it is: its reply would be no line.
            self.answer(Verb::Me, Outcome::Error, BAD_FORMAT);
            return;
        }
        let quiet = meta_quiet(meta);
        let decision = self.decide(meta.key);
        // Without the value there is nothing to look at.
        let look = if meta.has(b'v') {
            decision.plan.look
        } else {
            Look::Away
        };
        let mut on_miss = decision.plan.on_miss(meta.verb);
        // A CAS id is of the own copy only, and other copies are not touched.
        if !meta.has(b'v') || b"cENRT".iter().any(|&flag| meta.has(flag)) {
            on_miss.remove(OnMiss::THROUGH);
        }
        if b"ENRT".iter().any(|&flag| meta.has(flag)) {
            // It may change something.
            on_miss.remove(OnMiss::SOFT);
        }
        let ticket = self.downstream.open_stream(self.client, meta.verb, quiet);
        let lane = self.lane_of(meta.key);
        if self.lanes[lane].misses(on_miss) {
            self.miss_for(lane, ticket, &meta_reply(b"EN", meta));
            return self.downstream.finish(ticket);
        }
        let target = self.target(decision.space, ClientKey::of(meta));
        self.send(lane, ticket, |lane, downstream| {
            let request = MetaRequest {
                meta,
                body: None,
                look,
                on_miss,
            };
            lane.meta(downstream, ticket, target, &request);
        });
        self.downstream.finish(ticket);
    }
}
