//! An engine that lives through the same turn over and over: requests of its
//! clients in, the replies of its lanes in, replies to its clients out. All
//! bytes are prepared, so that a turn costs what the engine costs.

// Every test binary compiles its own copy and uses a part of it.
#![allow(dead_code)]

use picklegate::engine::Engine;

use super::rig::Rig;

/// A turn that can be repeated.
#[derive(Debug)]
pub(crate) struct Replay {
    engine: Engine,
    /// Reads from clients, in order.
    inputs: Vec<(u32, Vec<u8>)>,
    /// Reads from lanes, in order, each with whether the lane has asked for more before.
    replies: Vec<(usize, Vec<u8>, bool)>,
    /// Replies that the clients received in the recorded turn.
    received: Vec<Vec<u8>>,
}

impl Replay {
    /// Lives through a turn once and notes what the caches answer; a read of a
    /// lane brings at most `read_bytes`.
    pub(crate) fn record(mut rig: Rig, inputs: Vec<(u32, Vec<u8>)>, read_bytes: usize) -> Self {
        rig.engine.set_now(0);
        for (client, input) in &inputs {
            rig.send(*client, input);
        }
        let mut replies = Vec::new();
        for lane in 0..rig.lanes() {
            rig.write_lane(lane, usize::MAX);
            let mut asks = false;
            while !rig.unread(lane).is_empty() {
                let read = rig.unread(lane);
                let read = read[..read.len().min(read_bytes)].to_vec();
                rig.read_on(lane, read.len());
                replies.push((lane, read, asks));
                // What was read may lead to further requests.
                asks = rig.write_lane(lane, usize::MAX) > 0;
            }
        }
        rig.flush_clients();
        let clients = inputs.iter().map(|&(client, _)| client).max();
        let clients = 0..=clients.expect("somebody asks");
        for client in clients.clone() {
            let idle = rig.engine.session(client).is_idle();
            assert!(idle, "client {client} needs more than a turn");
        }
        Self {
            received: clients.map(|client| rig.take_received(client)).collect(),
            engine: rig.engine,
            inputs,
            replies,
        }
    }

    /// Replies that a client received in the recorded turn.
    pub(crate) fn received(&self, client: u32) -> &[u8] {
        &self.received[client as usize]
    }

    /// Lives through the turn again.
    // One copy: what is counted must not depend on who calls it.
    #[inline(never)]
    pub(crate) fn turn(&mut self) {
        self.ask();
        self.answer();
    }

    /// The half of a turn up to the lanes.
    pub(crate) fn ask(&mut self) {
        self.engine.set_now(0);
        for (client, input) in &self.inputs {
            self.engine.client_input(*client, input);
        }
        for lane in 0..self.engine.lanes().len() {
            self.write(lane);
        }
    }

    fn write(&mut self, lane: usize) {
        let lane = &mut self.engine.lane(lane).lane;
        let bytes = lane.unwritten().len();
        lane.wrote(bytes);
    }

    /// The half of a turn that starts with their replies.
    pub(crate) fn answer(&mut self) {
        for at in 0..self.replies.len() {
            let (lane, _, asks) = self.replies[at];
            if asks {
                self.write(lane);
            }
            let taken = self.engine.lane_input(lane, &self.replies[at].1);
            taken.expect("the replies are to the same requests");
        }
        while let Some(client) = self.engine.pop_dirty() {
            let bytes = self.engine.session(client).unsent().len();
            self.engine.client_sent(client, bytes);
        }
    }
}
