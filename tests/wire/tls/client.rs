//! A client that speaks TLS.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::authority::{Authority, Pair};
use crate::support::connect;

pub(crate) type Client = StreamOwned<ClientConnection, std::net::TcpStream>;

/// A client and its way of connecting.
#[derive(Clone)]
pub(crate) struct Who {
    config: Arc<ClientConfig>,
}

impl Who {
    /// Believes this authority, and shows this certificate, if any.
    pub(crate) fn new(authority: &Authority, pair: Option<&Pair>) -> Self {
        Self::with(authority, pair, false)
    }

    /// A client that knows nothing after TLS 1.2.
    pub(crate) fn old(authority: &Authority) -> Self {
        Self::with(authority, None, true)
    }

    fn with(authority: &Authority, pair: Option<&Pair>, is_old: bool) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(authority.roots()).expect("a certificate");
        roots.add(root).expect("an authority");
        let versions = if is_old { &[&TLS12][..] } else { &[&TLS13] };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("the provider has both")
            .with_root_certificates(roots);
        let config = match pair {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_file_iter(&pair.certificate).expect("a file");
                let chain = chain.collect::<Result<_, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                config.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// A connection; the handshake goes with the first bytes.
    pub(crate) fn connect(&self, addr: &str) -> Client {
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let session = ClientConnection::new(Arc::clone(&self.config), name).expect("a session");
        StreamOwned::new(session, connect(addr))
    }

    /// Error that the client gets when the other end refuses it.
    pub(crate) fn refused(&self, addr: &str) -> io::Error {
        let mut client = self.connect(addr);
        let asked = client.write_all(b"version\r\n");
        let answered = asked.and_then(|()| client.read(&mut [0; 64]));
        match answered {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(bytes) => panic!("{bytes} bytes for who should be refused"),
            Err(error) => error,
        }
    }
}

/// Sends a request whose whole reply is known.
pub(crate) fn say(client: &mut Client, request: &[u8], reply: &str) {
    client.write_all(request).expect("it reads");
    let mut received = vec![0; reply.len()];
    client
        .read_exact(&mut received)
        .unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(request)));
    assert_eq!(String::from_utf8_lossy(&received), reply);
}
