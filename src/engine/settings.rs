//! Settings of an engine, as a configuration says them.

use std::sync::Arc;

use super::listener::ListenerId;
use super::value::apart::Apart;
use crate::policy::{Admission, Snapshot};

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides about each request.
    pub snapshot: Arc<Snapshot>,
    /// Who may connect to each listener that there is. Their places are those of
    /// the metrics' labels.
    pub listeners: Vec<(ListenerId, Arc<Admission>)>,
    /// The names of the snapshot's servers, in its order.
    pub servers: Vec<String>,
    /// Connections to each server, without the one for large values; never
    /// changes.
    pub connections: usize,
    /// Bounds of the looks, at once and apart.
    pub apart: Apart,
}

impl Settings {
    /// The place of a listener and who may connect to it; `None` if it is gone.
    pub fn listener(&self, id: ListenerId) -> Option<(usize, &Arc<Admission>)> {
        let mut places = self.listeners.iter().enumerate();
        let (at, (_, admission)) = places.find(|(_, (known, _))| *known == id)?;
        Some((at, admission))
    }

    /// The name of a listener; none if it is gone.
    pub fn listener_name(&self, id: ListenerId) -> &str {
        self.listener(id)
            .map_or("", |(_, admission)| &admission.name)
    }
}
