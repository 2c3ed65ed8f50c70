//! Sockets that a service manager listens on and passes on (`LISTEN_FDS`). Whichever
//! has the address of a listener is used in its place, so a configuration is the
//! same with and without them. A connection that comes while nothing accepts waits.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::lookup_host;

use crate::config::ListenAddr;
use crate::server::stream::Listening;

/// Sockets that the process was started with. All are kept until it ends: a listener that
/// one configuration drops may return with the next.
#[derive(Debug)]
pub(in crate::server) struct Passed(Vec<Socket>);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Passed {
    /// Takes what was passed to this process.
    ///
    /// # Errors
    /// If some of it is nothing to listen on, or has no name.
    pub(in crate::server) fn take() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).filter_map(|at| Socket::take(&mut passed, at).transpose());
        sockets.collect::<io::Result<_>>().map(Self)
    }

    /// The socket of an address, if it was passed.
    pub(in crate::server) async fn find(&self, addr: &ListenAddr) -> io::Result<Option<Listening>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        match addr {
            ListenAddr::Tcp(text) => {
                let wanted: Vec<SocketAddr> = lookup_host(text).await?.collect();
                let found = self.0.iter().find_map(|socket| match socket {
                    Socket::Tcp(listener, at) => {
                        wanted.iter().any(|w| is_same(w, at)).then_some(listener)
                    }
                    Socket::Unix(..) => None,
                });
                let listener = found.map(TcpListener::try_clone).transpose()?;
                listener.map(Listening::passed_tcp).transpose()
            }
            ListenAddr::Unix(path) => {
                let found = self.0.iter().find_map(|socket| match socket {
                    Socket::Unix(listener, at) => (at == path).then_some(listener),
                    Socket::Tcp(..) => None,
                });
                let listener = found.map(UnixListener::try_clone).transpose()?;
                listener
                    .map(|l| Listening::passed_unix(l, path))
                    .transpose()
            }
        }
    }

    /// The addresses of all.
    pub(in crate::server) fn addresses(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|socket| match socket {
            Socket::Tcp(_, at) => at.to_string(),
            Socket::Unix(_, at) => format!("unix:{}", at.display()),
        })
    }
}

impl Socket {
    fn take(passed: &mut ListenFd, at: usize) -> io::Result<Option<Self>> {
        let socket = Self::take_bound(passed, at)?;
        let (is_listening, addr) = match &socket {
            None => return Ok(None),
            Some(Self::Tcp(listener, at)) => (socket_acceptconn(listener)?, at.to_string()),
            Some(Self::Unix(listener, at)) => {
                let addr = format!("unix:{}", at.display());
                (socket_acceptconn(listener)?, addr)
            }
        };
        if !is_listening {
            let message = format!("the socket that was passed for {addr} does not listen");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(socket)
    }

    fn take_bound(passed: &mut ListenFd, at: usize) -> io::Result<Option<Self>> {
        if let Ok(Some(listener)) = passed.take_unix_listener(at) {
            let path = listener.local_addr()?.as_pathname().map(PathBuf::from);
            let path = path.ok_or_else(|| io::Error::other("a passed socket has no path"))?;
            return Ok(Some(Self::Unix(listener, path)));
        }
        let Some(listener) = passed.take_tcp_listener(at)? else {
            return Ok(None);
        };
        let at = listener.local_addr()?;
        Ok(Some(Self::Tcp(listener, at)))
    }
}

/// `ListenStream=11311` is `[::]:11311`, which takes `0.0.0.0` in.
fn is_same(wanted: &SocketAddr, passed: &SocketAddr) -> bool {
    let any = wanted.ip().is_unspecified() && passed.ip().is_unspecified();
    wanted.port() == passed.port() && (any || wanted.ip() == passed.ip())
}
