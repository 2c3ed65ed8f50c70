//! A lane and the state of its server, as far as the engine knows it. Connects to nothing.

use super::front::UpstreamCounts;
use crate::engine::upstream::Lane;
use crate::policy::OnMiss;

/// One lane of an engine, as long as that lives: no other lane ever has its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u64);

/// Whether a server knows the meta commands. One that does not would take the body of an
/// `ms` for commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaCommands {
    /// memcached 1.6 and later.
    Known,
    /// Anything that does not tell a version of memcached.
    Perhaps,
    /// memcached until 1.5.
    Unknown,
}

impl MetaCommands {
    /// Reads the answer of a server to `version`.
    pub fn of_version(answer: &str) -> Self {
        let numbers = answer.strip_prefix("VERSION ").map(|version| {
            let mut numbers = version.split(['.', '-', ' ', '_']).map(str::parse::<u32>);
            (numbers.next(), numbers.next())
        });
        match numbers {
            Some((Some(Ok(major)), Some(Ok(minor)))) if (major, minor) >= (1, 6) => Self::Known,
            Some((Some(Ok(_)), Some(Ok(_)))) => Self::Unknown,
            _ => Self::Perhaps,
        }
    }
}

/// A lane with its server's name and whether it may be written to.
#[derive(Debug)]
pub struct Upstream {
    /// The number of the lane, wherever it stands.
    pub id: LaneId,
    /// The multiplexed connection.
    pub lane: Lane,
    /// The server, as configured.
    pub server: String,
    /// Why requests are refused at once, while reconnecting is put off.
    pub down: Option<String>,
    /// Whether it is down since it wants a login: then no read of it is answered as a miss,
    /// whatever its rule says, since that would hide what somebody has to mend.
    pub wants_login: bool,
    /// Meta commands of its server, as far as its last connection told; nothing is sent
    /// before there was one.
    pub meta: MetaCommands,
    /// Requests that were answered for it at once, because it could not.
    pub(in crate::engine) refused: u64,
    /// Keys of reads among them that were answered as misses.
    pub(in crate::engine) softened: u64,
}

impl Upstream {
    /// A lane that was asked nothing yet.
    pub(in crate::engine) fn new(id: LaneId, server: &str) -> Self {
        Self {
            id,
            lane: Lane::default(),
            server: server.to_owned(),
            down: None,
            wants_login: false,
            meta: MetaCommands::Known,
            refused: 0,
            softened: 0,
        }
    }

    /// Requests sent and failed since the start.
    pub fn counts(&self) -> UpstreamCounts {
        UpstreamCounts {
            requests: self.lane.counts.requests + self.refused,
            errors: self.lane.counts.errors + self.refused,
            misses: self.lane.counts.misses + self.softened,
        }
    }

    /// Why nothing can be asked of it now.
    pub(in crate::engine) fn refusal(&self) -> Option<&str> {
        let full = || self.lane.is_full().then_some("has too much waiting for it");
        self.down.as_deref().or_else(full)
    }

    /// The error line for a client whose request is refused, which is counted, as nothing
    /// can be asked of it now.
    #[inline] // Every request asks.
    pub(in crate::engine) fn refuse(&mut self) -> Option<Vec<u8>> {
        let error = self.error(self.refusal()?);
        self.refused += 1;
        Some(error)
    }

    /// Whether a read is answered as a miss now, instead of asking for it.
    pub(in crate::engine) fn misses(&self, on_miss: OnMiss) -> bool {
        on_miss.contains(OnMiss::SOFT) && !self.wants_login && self.refusal().is_some()
    }

    /// The error line for clients.
    #[cold]
    pub(in crate::engine) fn error(&self, why: &str) -> Vec<u8> {
        format!("SERVER_ERROR picklegate: upstream {} {why}", self.server).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_commands_came_with_memcached_1_6() {
        for (answer, meta) in [
            ("VERSION 1.6.18", MetaCommands::Known),
            ("VERSION 1.6.18-embedded", MetaCommands::Known),
            ("VERSION 2.0", MetaCommands::Known),
            ("VERSION 1.5.22", MetaCommands::Unknown),
            ("VERSION 1.4.15 (Ubuntu)", MetaCommands::Unknown),
            ("VERSION mcrouter 37", MetaCommands::Perhaps),
            ("ERROR", MetaCommands::Perhaps),
            ("", MetaCommands::Perhaps),
        ] {
            assert_eq!(MetaCommands::of_version(answer), meta, "{answer}");
        }
    }
}
