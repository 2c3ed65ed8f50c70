//! Connecting to a server by name, although a resolver or some addresses may be silent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Lifetime of an answer that came after everybody gave up. Longer than the pause after
/// which a lane asks again, so that the next attempt finds it.
const KEPT: Duration = Duration::from_secs(2);
/// The longest that one address is alone: past it the next one is tried as well.
const MAX_SHARE: Duration = Duration::from_millis(250);

/// A question that was asked, and its answer once it is there.
type Asked = watch::Receiver<Option<(Instant, Found)>>;
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The addresses of a server's name. All who ask wait for one question, so that a
/// resolver that is silent holds up no more than one thread; and one that is slower
/// than a connection may be still has its answer heard.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    asked: Mutex<Option<Asked>>,
}

impl Lookup {
    /// Addresses of a name, the best first.
    ///
    /// # Errors
    /// What the resolver says.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let mut asked = self.ask(host, port);
        let answered = asked.wait_for(Option::is_some).await;
        let answered = answered.map_err(io::Error::other)?.clone();
        // Who asks from now on asks anew: names move.
        self.lock().take_if(|last| last.same_channel(&asked));
        match answered {
            Some((_, Ok(addresses))) => Ok(addresses),
            Some((_, Err((kind, why)))) => Err(io::Error::new(kind, why)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Asked>> {
        // Nothing that may panic is done with it.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question that is under way, or answered when nobody waited, else a new one.
    fn ask(&self, host: &str, port: u16) -> Asked {
        let mut asked = self.lock();
        if let Some(asked) = &*asked
            && is_good(asked)
        {
            return asked.clone();
        }
        let (answer, question) = watch::channel(None);
        let name = host.to_owned();
        tokio::spawn(async move {
            let found = lookup_host((name, port)).await;
            let found = found.map(Iterator::collect);
            let found = found.map_err(|error| (error.kind(), error.to_string()));
            answer.send_replace(Some((Instant::now(), found)));
        });
        *asked = Some(question.clone());
        question
    }
}

/// Whether a question may be shared.
fn is_good(asked: &Asked) -> bool {
    match &*asked.borrow() {
        Some((at, Ok(_))) => at.elapsed() < KEPT,
        Some((_, Err(_))) => false,
        // Its task is gone if nobody will answer.
        None => asked.has_changed().is_ok(),
    }
}

/// Connects to the first address that takes a connection. Each is tried when the one
/// before it failed or had its share of the time; none is given up before the end.
///
/// # Errors
/// The last one's, or that there is no address.
pub(super) async fn connect(
    addresses: Vec<SocketAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let share = (timeout / count.max(1)).min(MAX_SHARE);
    let mut untried = addresses.into_iter();
    let mut tried = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match untried.next() {
            Some(address) => {
                tried.spawn(TcpStream::connect(address));
            }
            None if tried.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(connected) = tried.join_next() => {
                match connected.map_err(io::Error::other).and_then(|connected| connected) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(stream);
                    }
                    Err(error) => failure = error,
                }
            }
            () = tokio::time::sleep(share), if untried.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// An address that answers to no attempt, and what it needs for that.
    fn silent() -> (SocketAddr, Vec<std::net::TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        // Whom nobody accepts fills what the system accepts in advance.
        let short = Duration::from_millis(100);
        let connect = || std::net::TcpStream::connect_timeout(&address, short).ok();
        let waiting = std::iter::from_fn(connect).collect();
        // The listener ends with the test process.
        std::mem::forget(listener);
        (address, waiting)
    }

    #[tokio::test]
    async fn a_living_address_is_reached_behind_silent_ones_and_refusing_ones() {
        let (silent, _waiting) = silent();
        let refusing = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let living = TcpListener::bind("127.0.0.1:0").unwrap();
        let living = living.local_addr().map(|addr| (addr, living)).unwrap();
        for before in [vec![silent], vec![refusing], vec![silent, refusing, silent]] {
            let addresses = [before.clone(), vec![living.0]].concat();
            let connecting = connect(addresses, SECOND);
            let connected = tokio::time::timeout(SECOND, connecting).await;
            let peer = connected.expect("in time").unwrap().peer_addr().unwrap();
            assert_eq!(peer, living.0, "{before:?}");
        }
    }

    #[tokio::test]
    async fn the_last_failure_is_told() {
        let refusing = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let kind = |addresses| async { connect(addresses, SECOND).await.unwrap_err().kind() };
        assert_eq!(
            kind(vec![refusing; 3]).await,
            io::ErrorKind::ConnectionRefused
        );
        assert_eq!(kind(Vec::new()).await, io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn all_who_wait_for_a_name_ask_once_and_a_late_answer_is_heard() {
        let names = Lookup::default();
        // Its asker had to give up.
        let mut late = names.ask("localhost", 7);
        assert!(late.same_channel(&names.ask("localhost", 7)));
        late.changed().await.unwrap();
        assert!(late.same_channel(&names.ask("localhost", 7)));
        let found = names.addresses("localhost", 7).await.unwrap();
        assert!(found.iter().all(|address| address.port() == 7), "{found:?}");
        // Names move.
        assert!(!late.same_channel(&names.ask("localhost", 7)));
        // What failed is asked again.
        let wrong = Lookup::default();
        wrong.addresses("no such name", 7).await.unwrap_err();
        assert!(wrong.ask("no such name", 7).borrow().is_none());
        // An address is no question.
        let found = names.addresses("::1", 7).await.unwrap();
        assert_eq!(found, ["[::1]:7".parse::<SocketAddr>().unwrap()]);
    }
}
