//! Sockets of this machine, looked up by the addresses of a TCP connection. The kernel
//! answers for one (`sock_diag`) in microseconds however many there are; where the kernel
//! may not be asked, the table of all sockets is read instead.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
use procfs::net::TcpNetEntry;
use procfs::{ProcError, ProcResult};

/// Larger than any answer about one socket.
const ANSWER_BYTES: usize = 4096;
/// Answers to earlier questions that are skipped before giving up.
const MAX_STRAY: usize = 16;
/// Cookie that matches any socket with the addresses asked for.
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// Address and port of both ends, the client's first. IPv4 addresses mapped into IPv6 are
/// unmapped, so that either family of socket gives the same.
pub(super) type Ends = [(IpAddr, u16); 2];

pub(super) fn ends(client: SocketAddr, server: SocketAddr) -> Ends {
    [client, server].map(|addr| (addr.ip().to_canonical(), addr.port()))
}

/// A socket that some process has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) inode: u64,
    /// User whose process opened the socket.
    pub(super) uid: u32,
}

/// Means of looking up sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// `None` where the kernel is not asked.
    kernel: Option<Kernel>,
}

#[derive(Debug)]
struct Kernel {
    socket: Socket,
    /// Number of the last question.
    sequence: u32,
}

impl Default for Sockets {
    fn default() -> Self {
        let kernel = Kernel::connect();
        if let Err(error) = &kernel {
            tracing::warn!(
                %error,
                "the kernel cannot be asked for one socket (AF_NETLINK): each look-up of a \
                 process behind TCP reads the table of all"
            );
        }
        Self {
            kernel: kernel.ok(),
        }
    }
}

impl Sockets {
    /// The other end of a connection; `None` if it is closed, or not of this machine.
    pub(super) fn find(&mut self, ends: Ends) -> io::Result<Option<Open>> {
        let [(client, port), _] = ends;
        if !client.is_loopback() || port == 0 {
            return Ok(None);
        }
        match &mut self.kernel {
            Some(kernel) => kernel.ask(ends),
            None => from_table(ends).map_err(io::Error::other),
        }
    }

    /// Creates one that reads the table.
    #[cfg(test)]
    pub(super) fn without_kernel() -> Self {
        Self { kernel: None }
    }
}

impl Kernel {
    fn connect() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        // The kernel answers within `send`, so the answer is there when it returns, and
        // a missing one must not block the thread that serves all lookups.
        socket.set_non_blocking(true)?;
        let mut kernel = Self {
            socket,
            sequence: 0,
        };
        // Asked once for nothing: where questions are forbidden, the socket may still be
        // allowed. No connection has port 0, so only a refusal is an error.
        let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
        kernel.ask(ends(nobody, nobody))?;
        Ok(kernel)
    }

    fn ask(&mut self, ends: Ends) -> io::Result<Option<Open>> {
        let [
            (source_address, source_port),
            (destination_address, destination_port),
        ] = ends;
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let request = SockDiagMessage::InetRequest(InetRequest {
            family: if source_address.is_ipv4() {
                AF_INET
            } else {
                AF_INET6
            },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port,
                destination_port,
                source_address,
                destination_address,
                interface_id: 0,
                cookie: ANY_COOKIE,
            },
        });
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = [0; ANSWER_BYTES];
        for _ in 0..MAX_STRAY {
            let len = self.socket.recv(&mut &mut answer[..], 0)?;
            let read = NetlinkMessage::<SockDiagMessage>::deserialize(&answer[..len]);
            let message = read.map_err(|error| io::Error::other(error.to_string()))?;
            // Left by a question whose answer was not read because of an error.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            return match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                    Ok(open(found.header.inode.into(), found.header.uid))
                }
                NetlinkPayload::Error(error) => match error.to_io() {
                    error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    error => Err(error),
                },
                _ => Err(io::Error::other("the kernel gave another kind of answer")),
            };
        }
        Err(io::Error::other("the kernel does not answer"))
    }
}

/// A closed socket still has addresses, but no inode and so no process.
fn open(inode: u64, uid: u32) -> Option<Open> {
    (inode != 0).then_some(Open { inode, uid })
}

fn from_table(wanted: Ends) -> ProcResult<Option<Open>> {
    let among = |table: Vec<TcpNetEntry>| {
        let its = |socket: &TcpNetEntry| ends(socket.local_address, socket.remote_address);
        let found = table.into_iter().find(|socket| its(socket) == wanted);
        found.and_then(|socket| open(socket.inode, socket.uid))
    };
    let [(client, _), _] = wanted;
    if client.is_ipv4()
        && let Some(found) = among(procfs::net::tcp()?)
    {
        return Ok(Some(found));
    }
    // A dual-stack client shows in the IPv6 table even if it connected by IPv4.
    match procfs::net::tcp6() {
        Ok(table) => Ok(among(table)),
        Err(ProcError::NotFound(_)) => Ok(None), // A system without IPv6.
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_and_its_table_tell_the_same() {
        let mut kernel = Sockets::default();
        if kernel.kernel.is_none() {
            println!("skipped: the kernel cannot be asked for one socket");
        }
        let mut table = Sockets::without_kernel();
        for bound in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bound) else {
                println!("skipped: cannot listen on {bound}");
                continue;
            };
            let mut server = listener.local_addr().unwrap();
            if bound == "[::]:0" {
                server = SocketAddr::from(([127, 0, 0, 1], server.port()));
            }
            let stream = TcpStream::connect(server).unwrap();
            let (accepted, client) = listener.accept().unwrap();
            let ends = ends(client, accepted.local_addr().unwrap());
            let found = kernel.find(ends).unwrap();
            assert!(found.is_some(), "{bound}");
            assert_eq!(found, table.find(ends).unwrap(), "{bound}");
            // What was sent is still there, but nobody who has it open.
            drop(stream);
            assert_eq!(kernel.find(ends).unwrap(), None, "{bound}");
            assert_eq!(table.find(ends).unwrap(), None, "{bound}");
        }
    }

    #[test]
    fn others_have_no_socket_here() {
        let server: SocketAddr = "127.0.0.1:11211".parse().unwrap();
        for client in ["192.0.2.1:5", "[2001:db8::1]:5", "127.0.0.1:0"] {
            let ends = ends(client.parse().unwrap(), server);
            assert_eq!(Sockets::default().find(ends).unwrap(), None, "{client}");
        }
    }
}
