//! Standing of clients: what is known of them, weighed under the settings.

use std::sync::Arc;

use super::Downstream;
use super::life::Life;
use super::session::Session;
use crate::engine::listener::ListenerId;
use crate::engine::settings::Settings;
use crate::engine::who::{Known, Who};
use crate::policy::{Admission, Identity, Snapshot, Source, SpaceId, Standing, Tag, Told};

/// The error for a client whose listener went while its requests waited.
const GONE: &[u8] = b"SERVER_ERROR picklegate: this listener is gone\r\n";

impl Session {
    /// The client's tag, if any source told one that its listener believes.
    pub fn tag(&self) -> Option<&Tag> {
        self.known.as_deref()?.tag.as_ref()
    }
}

impl Downstream {
    /// Adds a client of a listener, which may be gone.
    pub fn insert(&mut self, listener: ListenerId, told: Told, settings: &Settings) -> u32 {
        let known = (told != Told::default()).then(|| Arc::new(Known { told, tag: None }));
        // Connections are limited far below 2^32.
        let client = self.clients.slab.insert(Session::new(listener, known)) as u32;
        self.place(client, settings);
        client
    }

    /// Takes a client from now on for what its listener makes of it.
    pub fn stand(&mut self, client: u32, admission: &Admission, snapshot: &Snapshot) -> Standing {
        let session = &mut self.clients.slab[client as usize];
        if let Some(known) = &mut session.known {
            let tag = known.told.tag_at(admission, None);
            if known.tag != tag {
                Arc::make_mut(known).tag = tag;
            }
        }
        let runtime = session.tag().map(|tag| &tag.runtime);
        let standing = admission.standing(runtime, snapshot);
        let identity = standing.identity();
        session.who = Who {
            identity,
            origin: self
                .context
                .counts
                .beside(session.who.origin, identity.space),
        };
        session.asks = admission.asks(Source::Hello);
        session.refused = standing == Standing::Refused;
        session.unsure = session.asks || identity == Identity::UNTAGGED;
        standing
    }

    /// Takes a client for what it is under these settings.
    pub(super) fn place(&mut self, client: u32, settings: &Settings) {
        let session = &mut self.clients.slab[client as usize];
        session.who = Who::NOBODY;
        let Some((at, admission)) = settings.listener(session.listener) else {
            return self.send_away(client);
        };
        session.who.origin = self.context.counts.origin(at, SpaceId::BARE);
        self.stand(client, admission, &settings.snapshot);
    }

    /// Ends a client whose listener is gone: what it is owed is still sent, what it
    /// asked for and nobody took is answered by one error, and carried out by
    /// nobody. Settings that know nothing of it cannot decide for it.
    fn send_away(&mut self, client: u32) {
        let session = &mut self.clients.slab[client as usize];
        let inbox = std::mem::take(&mut session.inbox);
        if !inbox.is_empty() && !session.is_closing() {
            if session.out.capacity() == 0 {
                session.out = self.context.pool.take();
            }
            session.out.extend_from_slice(GONE);
        }
        self.context.pool.give(inbox);
        session.swallow = 0;
        session.need = 0;
        session.paused = false;
        session.come_to(Life::Closing);
        self.clients.mark_dirty(client);
    }
}
