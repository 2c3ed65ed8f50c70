//! TLS on either side: real memcacheds that speak it, and real clients. Certificates
//! are made for each test.

mod authority;
mod client;
mod listener;
mod rotation;
mod upstream;

use std::fmt::Write as _;
use std::net::TcpStream;

use crate::support::{Memcached, roundtrip};
use authority::{Authority, Pair, text};

/// A memcached that speaks TLS, with this certificate.
fn memcached(pair: &Pair) -> Option<Memcached> {
    memcached_with(pair, "")
}

/// Starts a memcached with further settings of TLS; `None` if it was built without.
fn memcached_with(pair: &Pair, more: &str) -> Option<Memcached> {
    let help = std::process::Command::new("memcached").arg("-h").output();
    let help = help.expect("memcached: run tests/setup").stdout;
    if !String::from_utf8_lossy(&help).contains("ssl_chain_cert") {
        eprintln!("tests/wire/tls: skipped: this memcached was built without TLS");
        return None;
    }
    Some(Memcached::start_with(&["-Z", "-o", &ssl(pair, more)]))
}

/// Arguments that name a certificate to memcached.
fn ssl(pair: &Pair, more: &str) -> String {
    let (certificate, key) = (text(&pair.certificate), text(&pair.key));
    format!("ssl_chain_cert={certificate},ssl_key={key}{more}")
}

/// A configuration whose one upstream is `tls://`, with `tls` in its table.
struct Toml {
    text: String,
}

impl Toml {
    fn new(server: &str, admin: &str) -> Self {
        Self {
            text: format!(
                r#"
[admin]
listen = "{admin}"
[limits]
connect_timeout_ms = 5000
request_timeout_ms = 5000
[namespaces.py2]
runtimes = "python <3"
[namespaces.py3]
runtimes = "python >=3"
[[rules]]
prefix = ""
coherence = "deletes"
[upstream]
servers = ["{server}"]
"#
            ),
        }
    }

    /// With roots and further settings.
    fn upstream_tls(mut self, roots: &Authority, more: &str) -> Self {
        let roots = roots.roots();
        let _ = write!(
            self.text,
            "[upstream.tls]\nroots = \"{}\"\n{more}",
            text(&roots)
        );
        self
    }

    fn listener(mut self, listen: &str, how: &str) -> Self {
        let _ = write!(self.text, "[[listeners]]\nlisten = \"{listen}\"\n{how}\n");
        self
    }

    fn listener_tls(mut self, tls: &str) -> Self {
        let _ = write!(self.text, "[listeners.tls]\n{tls}\n");
        self
    }
}

const PY2: &str = "runtime = \"python/2.7\"";
const PY3: &str = "runtime = \"python/3.11\"";
/// Tells an error of the upstream: a read would be a miss.
const SET: &str = "set k 0 0 1\r\n1\r\n";

/// Sends a request whose whole reply is known.
fn say(stream: &TcpStream, request: &[u8], reply: &str) {
    let received = roundtrip(stream, request, reply.as_bytes());
    assert_eq!(String::from_utf8_lossy(&received), reply);
}

/// A value that no compression would shorten.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(bytes as u64);
    std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect()
}
