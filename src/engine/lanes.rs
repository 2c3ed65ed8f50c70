//! The lanes of an engine as the shell works them: what came on one, whether it is
//! there, and the steps that follow from either.

use super::Engine;
use super::steps::{Next, Stepwise};
use super::upstream::server::{MetaCommands, Upstream};
use super::upstream::{Overdue, Target};
use crate::protocol::reply::ReplyError;

impl Engine {
    /// All lanes, those of one server after those of another.
    pub fn lanes(&self) -> &[Upstream] {
        &self.lanes
    }

    /// One lane.
    pub fn lane(&mut self, lane: usize) -> &mut Upstream {
        &mut self.lanes[lane]
    }

    /// Takes bytes that an upstream sent.
    ///
    /// # Errors
    /// They are no replies to what was asked: the connection must be dropped
    /// and [`Engine::lane_lost`] called.
    pub fn lane_input(&mut self, lane: usize, input: &[u8]) -> Result<(), ReplyError> {
        let result = self.lanes[lane].lane.receive(&mut self.downstream, input);
        self.go_on_with_changes();
        result
    }

    /// Sends the next steps of changes that need more than one.
    pub(super) fn go_on_with_changes(&mut self) {
        while let Some(next) = self.downstream.clients.steps.pop() {
            match next {
                Next::Change(ticket, step, change) => {
                    self.dispatch(ticket.client).step(ticket, step, change);
                }
                Next::Through(ticket, key, on_miss, next) => {
                    self.dispatch(ticket.client)
                        .read_through(ticket, key, on_miss, next);
                }
                Next::Ask(ticket) => self.dispatch(ticket.client).ask_rest(ticket),
                Next::Late(change) => self.finish_late(&change),
                Next::ThroughMeta(ticket, key, meta, flags) => {
                    self.dispatch(ticket.client)
                        .ask_on(ticket, key, meta, flags);
                }
            }
        }
    }

    /// Deletes the siblings of a change that took effect too late for its client.
    fn finish_late(&mut self, change: &Stepwise) {
        let upstream = &mut self.lanes[change.lane];
        if upstream.refusal().is_some() {
            upstream.refused += 1;
            return;
        }
        let codec = &self.settings.snapshot.codec;
        for space in codec.spaces().filter(|&space| space != change.own) {
            let target = Target {
                codec,
                space,
                key: &change.key,
                base64: change.base64,
            };
            upstream
                .lane
                .delete_copy(&mut self.downstream, None, target, None);
        }
    }

    /// A lane's connection is there, to a server that understands so much. Stores that
    /// waited for it and that this server would take for commands are refused.
    pub fn lane_connected(&mut self, lane: usize, meta: MetaCommands) {
        let upstream = &mut self.lanes[lane];
        upstream.down = None;
        upstream.wants_login = false;
        upstream.meta = meta;
        if meta == MetaCommands::Unknown {
            let error = upstream.error("knows no meta commands");
            upstream
                .lane
                .refuse_meta_stores(&mut self.downstream, &error);
            self.go_on_with_changes();
        }
    }

    /// Whether an upstream owes something and is not worth waiting for, if a request
    /// may take so long.
    pub fn overdue(&self, lane: usize, timeout_us: u64) -> Option<Overdue> {
        let lane = &self.lanes[lane].lane;
        lane.overdue(self.downstream.context.clock.steady_us, timeout_us)
    }

    /// Answers for requests that a lane did not answer within their time.
    pub fn expire(&mut self, lane: usize, timeout_us: u64) {
        let upstream = &mut self.lanes[lane];
        if !upstream
            .lane
            .is_due(self.downstream.context.clock.steady_us, timeout_us)
        {
            return;
        }
        let why = format!("timed out after {} ms", timeout_us / 1000);
        let error = upstream.error(&why);
        upstream
            .lane
            .expire(&mut self.downstream, timeout_us, &error);
        self.go_on_with_changes();
    }

    /// A lane's connection is gone: what was owed on it is answered with an
    /// error, but for reads that are worth another try if `retry` says so.
    pub fn lane_lost(&mut self, lane: usize, why: &str, retry: bool) {
        let upstream = &mut self.lanes[lane];
        let error = upstream.error(why);
        if upstream.wants_login {
            upstream.lane.fail_reads();
        }
        upstream.lane.reset(&mut self.downstream, &error, retry);
        self.go_on_with_changes();
    }
}
