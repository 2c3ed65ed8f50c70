//! A relay between picklegate and a real memcached that can be told to misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// Fault that a proxy adds to requests and replies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Everything goes through.
    Pass,
    /// Connections are accepted, and nothing is ever answered on them.
    Silent,
    /// Replies come so much later, or up to twice that.
    Late(Duration),
    /// Each request is answered by something else.
    Garbage,
    /// Each connection is closed after so many bytes of replies.
    Cut(usize),
    /// Each connection is reset once something is asked.
    Reset,
}

/// Bytes sent in place of replies. None may be a reply to a request of the load.
const GARBAGE: [&[u8]; 6] = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"VALUE somebody:elses 0 5\r\nwrong\r\nEND\r\n",
    b"\x80\x00\xff\xfe\x01garbage without an end",
    b"\r\n\r\n\r\n",
    b"VA 5 ksomebody:elses O0\r\nwrong\r\n",
    b"VALUE ",
];

/// The relay, until dropped.
pub(crate) struct FaultProxy {
    pub(crate) addr: String,
    state: Arc<State>,
}

struct State {
    upstream: String,
    fault: Mutex<Fault>,
    links: Mutex<Vec<Weak<Link>>>,
    ended: AtomicBool,
}

/// Both ends of one relayed connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Something that was asked went nowhere: whatever came next would be the reply
    /// to something else, which no network does.
    is_broken: AtomicBool,
    /// Whether connections end with a reset, which needs that nobody says goodbye.
    is_reset: AtomicBool,
}

impl FaultProxy {
    pub(crate) fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let addr = listener.local_addr().expect("it is bound").to_string();
        let state = Arc::new(State {
            upstream,
            fault: Mutex::new(Fault::Pass),
            links: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || accepting.accept(&listener));
        Self { addr, state }
    }

    /// Misbehaves so from now on. What lies starts on new connections, or a lie could
    /// become a part of a value.
    pub(crate) fn set(&self, fault: Fault) {
        *self.state.fault.lock().expect("no holder panics") = fault;
        if fault == Fault::Garbage {
            self.state.close_all();
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.state.close_all();
        // Wakes who accepts; where that fails, nobody does.
        let _ = TcpStream::connect(&self.addr);
    }
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("no holder panics")
    }

    fn close_all(&self) {
        let mut links = self.links.lock().expect("no holder panics");
        for link in links.drain(..).filter_map(|link| link.upgrade()) {
            link.close();
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            // A server that is not there closes.
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect(&self.upstream) else {
                continue;
            };
            for socket in [&client, &server] {
                socket.set_nodelay(true).expect("a TCP socket");
            }
            let link = Arc::new(Link {
                client,
                server,
                is_broken: AtomicBool::new(false),
                is_reset: AtomicBool::new(false),
            });
            let mut links = self.links.lock().expect("no holder panics");
            links.retain(|link| link.strong_count() > 0);
            links.push(Arc::downgrade(&link));
            drop(links);
            for pump in [Self::pump_requests, Self::pump_replies] {
                let (state, link) = (Arc::clone(&self), Arc::clone(&link));
                thread::spawn(move || {
                    pump(&state, &link);
                    link.close();
                });
            }
        }
    }

    fn pump_requests(&self, link: &Link) {
        let mut buffer = vec![0; 64 << 10];
        let mut lies = 0;
        while let Ok(bytes @ 1..) = (&link.client).read(&mut buffer) {
            let broken = |link: &Link| link.is_broken.store(true, Ordering::Relaxed);
            match self.fault() {
                Fault::Garbage => {
                    broken(link);
                    lies += bytes;
                    let lie = GARBAGE[lies % GARBAGE.len()];
                    if (&link.client).write_all(lie).is_err() {
                        return;
                    }
                }
                Fault::Silent => broken(link),
                Fault::Reset => {
                    let now = Some(Duration::ZERO);
                    set_socket_linger(&link.client, now).expect("a TCP socket");
                    link.is_reset.store(true, Ordering::Relaxed);
                    return;
                }
                _ if link.is_broken.load(Ordering::Relaxed) => {}
                Fault::Pass | Fault::Late(_) | Fault::Cut(_) => {
                    if (&link.server).write_all(&buffer[..bytes]).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn pump_replies(&self, link: &Link) {
        let mut buffer = vec![0; 64 << 10];
        let mut answered = 0;
        while let Ok(mut bytes @ 1..) = (&link.server).read(&mut buffer) {
            let mut cut = false;
            match self.fault() {
                Fault::Late(by) => thread::sleep(by),
                Fault::Cut(after) => {
                    answered += bytes;
                    cut = answered >= after;
                    bytes -= answered.saturating_sub(after).min(bytes);
                }
                Fault::Pass | Fault::Silent | Fault::Garbage | Fault::Reset => {}
            }
            let is_broken = link.is_broken.load(Ordering::Relaxed);
            if !is_broken && (&link.client).write_all(&buffer[..bytes]).is_err() || cut {
                return;
            }
        }
    }
}

impl Link {
    fn close(&self) {
        // Either may be closed already.
        let _ = self.server.shutdown(Shutdown::Both);
        if !self.is_reset.load(Ordering::Relaxed) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
    }
}
