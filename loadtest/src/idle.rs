//! The `idle` command: clients that did one read each and stay connected.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use picklegate::config::ServerAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::Failure;
use crate::cli::Idle;
use crate::stream::{self, Stream};

/// Connections from one address, so that its ports suffice. The first so many
/// leave the choice to the system, which finds a free port much faster then.
const PER_SOURCE: usize = 20_000;
const REQUEST: &[u8] = b"get idle\r\n";
const REPLY: &[u8] = b"END\r\n";

/// Connects, says "ready" on standard output, and holds on for the time given.
pub(crate) async fn idle(args: &Idle) -> Result<(), Failure> {
    let mut held = Vec::with_capacity(args.connections);
    for number in 0..args.connections {
        let connected = connect(&args.target.address, number).await;
        held.push(connected.map_err(|error| Failure::No(format!("client {number}: {error}")))?);
    }
    println!("ready");
    io::stdout().flush()?;
    tokio::time::sleep(args.seconds).await;
    drop(held);
    Ok(())
}

async fn connect(server: &ServerAddr, number: usize) -> io::Result<Stream> {
    let limit = Duration::from_secs(5);
    let connected = tokio::time::timeout(limit, async {
        let mut stream = match loopback(server) {
            Some(address) if number >= PER_SOURCE => {
                Stream::Left(connect_from(address, number / PER_SOURCE).await?)
            }
            _ => stream::connect(server).await?,
        };
        stream.write_all(REQUEST).await?;
        let mut reply = [0; REPLY.len()];
        stream.read_exact(&mut reply).await?;
        if reply == *REPLY {
            Ok(stream)
        } else {
            let what = reply.escape_ascii();
            Err(io::Error::other(format!("answered \"{what}\"")))
        }
    });
    connected
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The address of a server on this machine, which any 127.x.y.z can reach.
fn loopback(server: &ServerAddr) -> Option<SocketAddr> {
    match server {
        ServerAddr::Tcp { host, port } => {
            let host = host.parse::<Ipv4Addr>().ok()?;
            host.is_loopback().then(|| (host, *port).into())
        }
        _ => None,
    }
}

async fn connect_from(server: SocketAddr, source: usize) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let source = Ipv4Addr::new(127, 0, 1 + (source / 250) as u8, 1 + (source % 250) as u8);
    socket.bind((source, 0).into())?;
    socket.connect(server).await
}
