//! Sockets that a service manager listens on and passes on (`LISTEN_FDS`). Whichever
//! has the address of a listener is used in its place, so a configuration is the
//! same with and without them. A connection that comes while nothing accepts waits.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use socket2::{SockAddr, Socket};
use tokio::net::lookup_host;

use crate::config::ListenAddr;
use crate::server::stream::Listening;

/// Sockets that the process was started with, and their addresses. All are kept until it
/// ends: a listener that one configuration drops may return with the next.
#[derive(Debug)]
pub(in crate::server) struct Passed(Vec<(SockAddr, Socket)>);

impl Passed {
    /// Takes what was passed to this process.
    ///
    /// # Errors
    /// If some of it is nothing to listen on, or has no name.
    pub(in crate::server) fn take() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).filter_map(|at| take(&mut passed, at).transpose());
        sockets.collect::<io::Result<_>>().map(Self)
    }

    /// The socket of an address, if it was passed.
    pub(in crate::server) async fn find(&self, addr: &ListenAddr) -> io::Result<Option<Listening>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let wanted: Vec<SocketAddr> = match addr {
            ListenAddr::Tcp(text) => lookup_host(text).await?.collect(),
            ListenAddr::Unix(_) => Vec::new(),
        };
        let found = self.0.iter().find(|(at, _)| match addr {
            ListenAddr::Tcp(_) => at
                .as_socket()
                .is_some_and(|at| wanted.iter().any(|wanted| is_same(wanted, &at))),
            ListenAddr::Unix(path) => at.as_pathname() == Some(path),
        });
        found
            .map(|(_, socket)| Listening::passed(socket.try_clone()?, addr))
            .transpose()
    }

    /// The addresses of all.
    pub(in crate::server) fn addresses(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(at, _)| name(at))
    }
}

/// A socket that listens; `None` if it is taken already.
fn take(passed: &mut ListenFd, at: usize) -> io::Result<Option<(SockAddr, Socket)>> {
    let socket = if let Ok(Some(listener)) = passed.take_unix_listener(at) {
        Socket::from(listener)
    } else if let Some(listener) = passed.take_tcp_listener(at)? {
        Socket::from(listener)
    } else {
        return Ok(None);
    };
    let addr = socket.local_addr()?;
    let name = name(&addr).ok_or_else(|| io::Error::other("a passed socket has no path"))?;
    if !socket_acceptconn(&socket)? {
        let message = format!("the socket that was passed for {name} does not listen");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(Some((addr, socket)))
}

/// An address as a listener with it is described; `None` for a socket without a path.
fn name(addr: &SockAddr) -> Option<String> {
    match addr.as_socket() {
        Some(addr) => Some(addr.to_string()),
        None => Some(format!("unix:{}", addr.as_pathname()?.display())),
    }
}

/// `ListenStream=11311` is `[::]:11311`, which takes `0.0.0.0` in.
fn is_same(wanted: &SocketAddr, passed: &SocketAddr) -> bool {
    let any = wanted.ip().is_unspecified() && passed.ip().is_unspecified();
    wanted.port() == passed.port() && (any || wanted.ip() == passed.ip())
}
