//! The listeners that there are: sockets of this process, or passed to it.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::passed::Passed;
use crate::config::{ListenAddr, Listener, SocketAccess};
use crate::engine::ListenerId;
use crate::policy::Identify;
use crate::server::error::ServeError;
use crate::server::stream::Listening;

/// A listener that there is.
#[derive(Debug)]
pub(in crate::server) struct Bound {
    pub(in crate::server) id: ListenerId,
    pub(in crate::server) name: Box<str>,
    pub(in crate::server) listening: Arc<Listening>,
    pub(in crate::server) accepting: JoinSet<()>,
}

impl Bound {
    pub(in crate::server) fn new(id: ListenerId, name: Box<str>, listening: Listening) -> Self {
        Self {
            id,
            name,
            listening: Arc::new(listening),
            accepting: JoinSet::new(),
        }
    }
}

/// A listener of the configuration.
pub(in crate::server) async fn bind(
    passed: &Passed,
    listener: &Listener,
    reuse_port: bool,
) -> Result<Listening, ServeError> {
    let listening = listen(passed, &listener.addr, listener.access, reuse_port).await?;
    let listens = listening.describe();
    match &listener.admission.identify {
        Identify::Static(runtime) => tracing::info!(listener = %listens, %runtime, "listening"),
        Identify::Each { .. } => tracing::info!(listener = %listens, "listening"),
    }
    Ok(listening)
}

/// Listens on the socket that was passed for an address, else on one of its own.
pub(in crate::server) async fn listen(
    passed: &Passed,
    addr: &ListenAddr,
    access: SocketAccess,
    reuse_port: bool,
) -> Result<Listening, ServeError> {
    let listening = match passed.find(addr).await {
        Ok(None) => Listening::bind(addr, access, reuse_port).await,
        Ok(Some(listening)) => {
            if access != SocketAccess::default() {
                tracing::warn!("the socket {addr} was passed: its mode and group are as they are");
            }
            Ok(listening)
        }
        Err(error) => Err(error),
    };
    listening.map_err(|source| bind_error(addr, source))
}

pub(in crate::server) fn bind_error(addr: &ListenAddr, source: io::Error) -> ServeError {
    ServeError::Bind {
        addr: addr.to_string(),
        source,
    }
}
