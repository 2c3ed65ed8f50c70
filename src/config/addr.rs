//! Addresses as users write them. Resolves no name and opens nothing; only where two
//! sockets are the same, it looks where their paths lead.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

/// The longest path of a unix socket: `sun_path` holds 108 bytes on Linux, one
/// of them NUL.
const MAX_SOCKET_PATH: usize = 107;
/// The prefix of the address of a server that speaks TLS.
const TLS: &str = "tls://";

/// An address that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// `host:port` or `[v6]:port`.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// The address of a memcached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddr {
    /// A host, an IPv6 address without brackets, and a port.
    Tcp {
        /// A name or an address.
        host: String,
        /// Port, never 0.
        port: u16,
    },
    /// A server reached by TCP that speaks TLS.
    Tls {
        /// A name or an address.
        host: String,
        /// Port, never 0.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
    /// A cache inside this process.
    Embedded {
        /// The size of the cache; never 0.
        bytes: u64,
    },
}

/// A reason why an address was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// An address of no known form.
    #[error("\"{0}\" is no address: write host:port, [v6]:port or unix:/path")]
    Form(String),
    /// A port that is no number in the range, with the lowest that is.
    #[error("\"{0}\" is no port: write a number from {1} to 65535")]
    Port(String, u16),
    /// A unix socket without an absolute path.
    #[error("\"{0}\" is no absolute path: write unix:/path")]
    Path(String),
    /// A unix socket that no system call would take.
    #[error("socket path is {0} bytes, limit {MAX_SOCKET_PATH}")]
    PathTooLong(usize),
    /// An embedded cache without a size.
    #[error("\"{0}\" is no size: write for example embedded:64MiB")]
    Size(String),
}

impl ListenAddr {
    /// Parses `host:port`, `[v6]:port` or `unix:/path`.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        host_and_port(text, 0)?;
        Ok(Self::Tcp(text.to_owned()))
    }

    /// Tells whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(text) => host_and_port(text, 0).is_ok_and(|(host, _)| {
                let ip = host.parse::<IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
            }),
        }
    }

    /// Tells whether the system chooses the port, so that no two collide.
    pub(super) fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(text) if text.ends_with(":0"))
    }
}

impl ServerAddr {
    /// Parses `host:port`, `[v6]:port`, `tls://host:port`, `unix:/path` or
    /// `embedded:SIZE`.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        if let Some(size) = text.strip_prefix("embedded:") {
            return match size.parse::<ByteSize>() {
                Ok(ByteSize(bytes)) if bytes > 0 => Ok(Self::Embedded { bytes }),
                _ => Err(AddrError::Size(size.to_owned())),
            };
        }
        let by_tls = text.strip_prefix(TLS);
        let (host, port) = host_and_port(by_tls.unwrap_or(text), 1)?;
        let host = host.to_owned();
        Ok(match by_tls {
            Some(_) => Self::Tls { host, port },
            None => Self::Tcp { host, port },
        })
    }

    /// The address without TLS. Two configurations that differ only in TLS name one
    /// server.
    pub(crate) fn plain(&self) -> Self {
        match self.clone() {
            Self::Tls { host, port } => Self::Tcp { host, port },
            plain => plain,
        }
    }

    /// Tells whether a connection to it comes out at a listener, however the two are
    /// spelled. Asks no name server: names other than `localhost` are what they are.
    pub(super) fn leads_to(&self, listener: &ListenAddr) -> bool {
        match (self, listener) {
            (Self::Tcp { host, port } | Self::Tls { host, port }, ListenAddr::Tcp(text)) => {
                host_and_port(text, 0)
                    .is_ok_and(|(own, own_port)| own_port == *port && reaches(host, own))
            }
            (Self::Unix(path), ListenAddr::Unix(own)) => real(path) == real(own),
            _ => false,
        }
    }

    /// Returns its name on the ring.
    pub(super) fn ring_name(&self) -> (&str, u16) {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } => (host, *port),
            // Parsed from a `str`, so it is UTF-8.
            Self::Unix(path) => (path.to_str().unwrap_or_default(), 0),
            Self::Embedded { .. } => ("embedded", 0),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write_host_and_port(f, host, *port),
            Self::Tls { host, port } => {
                f.write_str(TLS)?;
                write_host_and_port(f, host, *port)
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Embedded { bytes } => write!(f, "embedded:{}", exact_size(*bytes)),
        }
    }
}

/// Tells whether connecting to a host may come out at what listens on another of this
/// machine.
fn reaches(host: &str, own: &str) -> bool {
    const NAME: &str = "localhost";
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let addresses = |host: &str| -> Vec<IpAddr> {
        match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(ip) => vec![ip],
            Err(_) if host.eq_ignore_ascii_case(NAME) => vec![v4, v6],
            Err(_) => Vec::new(),
        }
    };
    // Whoever connects to no address in particular comes to the loopback one.
    let reached = |ip: IpAddr| match ip {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => v4,
        IpAddr::V6(_) => v6,
    };
    let listens = |own: IpAddr, ip: IpAddr| match own {
        own if !own.is_unspecified() => own == ip,
        IpAddr::V4(_) => ip.is_ipv4() && ip.is_loopback(),
        // Linux takes connections by IPv4 there as well.
        IpAddr::V6(_) => ip.is_loopback(),
    };
    host.eq_ignore_ascii_case(own)
        || addresses(own).iter().any(|&own| {
            addresses(host)
                .into_iter()
                .map(reached)
                .any(|ip| listens(own, ip))
        })
}

/// A socket's path without symbolic links, as far as they are there yet.
fn real(path: &Path) -> PathBuf {
    let found = path.canonicalize().ok();
    let beside = || {
        let directory = path.parent()?.canonicalize().ok()?;
        Some(directory.join(path.file_name()?))
    };
    found.or_else(beside).unwrap_or_else(|| path.to_owned())
}

fn write_host_and_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') {
        write!(f, "[{host}]:{port}")
    } else {
        write!(f, "{host}:{port}")
    }
}

/// The shortest exact spelling: `64MiB`, `1536KiB`, `1000`.
fn exact_size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fits = |(_, shift): &(_, u32)| bytes.trailing_zeros() >= *shift;
    match units.into_iter().find(fits) {
        Some((unit, shift)) if bytes > 0 => format!("{}{unit}", bytes >> shift),
        _ => bytes.to_string(),
    }
}

fn host_and_port(text: &str, lowest: u16) -> Result<(&str, u16), AddrError> {
    let form = || AddrError::Form(text.to_owned());
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:").ok_or_else(form)?;
        host.parse::<Ipv6Addr>().map_err(|_| form())?;
        (host, port)
    } else {
        let (host, port) = text.split_once(':').ok_or_else(form)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        // A second colon in what should be a port: IPv6 without brackets.
        if host.is_empty() || !host.chars().all(plain) || port.contains([':', '/']) {
            return Err(form());
        }
        (host, port)
    };
    let bad_port = || AddrError::Port(port.to_owned(), lowest);
    // `u16::from_str` would accept a sign.
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad_port());
    }
    let number = port.parse().map_err(|_| bad_port())?;
    if number < lowest {
        return Err(bad_port());
    }
    Ok((host, number))
}

fn socket_path(path: &str) -> Result<PathBuf, AddrError> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(AddrError::Path(path.to_owned()));
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(AddrError::PathTooLong(path.len()));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_a_listener_is_known_by_any_spelling() {
        let leads = |server: &str, own: &str| {
            let own = ListenAddr::parse(own).unwrap();
            ServerAddr::parse(server).unwrap().leads_to(&own)
        };
        for (server, own) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("localhost:1", "127.0.0.1:1"),
            ("LocalHost:1", "[::1]:1"),
            ("127.0.0.1:1", "localhost:1"),
            ("127.0.0.1:1", "0.0.0.0:1"),
            ("127.8.8.8:1", "0.0.0.0:1"),
            ("localhost:1", "0.0.0.0:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("[::1]:1", "[::]:1"),
            ("127.0.0.1:1", "[::]:1"),
            ("tls://localhost:1", "[::]:1"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
            ("[0:0::1]:1", "[::1]:1"),
            ("Cache.Example:1", "cache.example:1"),
        ] {
            assert!(leads(server, own), "{server} {own}");
        }
        for (server, own) in [
            ("127.0.0.1:2", "0.0.0.0:1"),
            ("127.0.0.2:1", "127.0.0.1:1"),
            ("10.0.0.1:1", "0.0.0.0:1"),
            ("cache.example:1", "0.0.0.0:1"),
            ("[::1]:1", "0.0.0.0:1"),
            ("[::1]:1", "127.0.0.1:1"),
            ("unix:/a", "unix:/b"),
            ("unix:/a", "0.0.0.0:1"),
        ] {
            assert!(!leads(server, own), "{server} {own}");
        }
    }

    #[test]
    fn a_socket_is_known_through_symbolic_links() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("run")).unwrap();
        std::os::unix::fs::symlink("run", path("var")).unwrap();
        std::fs::write(path("run/b"), "").unwrap();
        std::os::unix::fs::symlink("run/b", path("link")).unwrap();
        // One that is not there yet, by its directory; one that is a link.
        for (server, own) in [
            ("var/a", "run/a"),
            ("run/../run/a", "run/a"),
            ("link", "run/b"),
        ] {
            let server = ServerAddr::Unix(path(server));
            assert!(server.leads_to(&ListenAddr::Unix(path(own))), "{server}");
        }
        let other = ServerAddr::Unix(path("var/a"));
        assert!(!other.leads_to(&ListenAddr::Unix(path("run/b"))));
    }

    #[test]
    fn servers_are_shown_as_written() {
        for text in [
            "127.0.0.1:11211",
            "cache-1.example:11211",
            "[::1]:11211",
            "tls://cache-1.example:11211",
            "tls://[::1]:11211",
            "unix:/run/memcached.sock",
            "embedded:64MiB",
            "embedded:1536KiB",
            "embedded:1000",
        ] {
            assert_eq!(ServerAddr::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn listeners_are_shown_as_written() {
        for text in ["localhost:0", "[::]:11312", "unix:/run/any.sock"] {
            assert_eq!(ListenAddr::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn ipv6_hosts_lose_their_brackets() {
        let server = ServerAddr::parse("[::1]:11212").unwrap();
        assert_eq!(server.ring_name(), ("::1", 11212));
    }

    #[test]
    fn what_is_no_address_is_named() {
        let errors: Vec<String> = [
            "cache1",
            "::1:11211",
            "[::1]",
            "[cache]:1",
            ":11211",
            "a b:1",
            "http://a:1",
            "a:",
            "a:+1",
            "a:0",
            "a:65536",
            "unix:run.sock",
            "unix:/",
            "embedded:",
            "embedded:0",
            "embedded:lots",
            "tls://a",
            "tls://:1",
            "TLS://a:1",
        ]
        .iter()
        .map(|text| ServerAddr::parse(text).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        "cache1" is no address: write host:port, [v6]:port or unix:/path
        "::1:11211" is no address: write host:port, [v6]:port or unix:/path
        "[::1]" is no address: write host:port, [v6]:port or unix:/path
        "[cache]:1" is no address: write host:port, [v6]:port or unix:/path
        ":11211" is no address: write host:port, [v6]:port or unix:/path
        "a b:1" is no address: write host:port, [v6]:port or unix:/path
        "http://a:1" is no address: write host:port, [v6]:port or unix:/path
        "" is no port: write a number from 1 to 65535
        "+1" is no port: write a number from 1 to 65535
        "0" is no port: write a number from 1 to 65535
        "65536" is no port: write a number from 1 to 65535
        "run.sock" is no absolute path: write unix:/path
        "/" is no absolute path: write unix:/path
        "" is no size: write for example embedded:64MiB
        "0" is no size: write for example embedded:64MiB
        "lots" is no size: write for example embedded:64MiB
        "a" is no address: write host:port, [v6]:port or unix:/path
        ":1" is no address: write host:port, [v6]:port or unix:/path
        "TLS://a:1" is no address: write host:port, [v6]:port or unix:/path
        "#);
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(ListenAddr::parse(&long), Err(AddrError::PathTooLong(108)));
    }

    #[test]
    fn local_addresses_are_known() {
        let local = |text| ListenAddr::parse(text).unwrap().is_local();
        for text in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "localhost:1",
            "unix:/a",
        ] {
            assert!(local(text), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1"] {
            assert!(!local(text), "{text}");
        }
    }
}
