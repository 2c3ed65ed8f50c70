//! Certificates, keys and roots, read and put together: what is wrong with them is
//! told here, not by the first connection. Opens no connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};

use super::addr::ServerAddr;
use super::document::Table;
use super::report::{At, Place, Report};
use super::validity::{self, Purpose};
use super::values::parsed;
use super::words::{ClientAuth, Word as _};

/// The hint where TLS needs a certificate to show.
const CERTIFICATE_HINT: &str = "write for example \"server.pem\"";
const KEY_HINT: &str = "write for example \"server.key\"";
/// The settings that name a file.
const FILES: [&str; 4] = ["roots", "certificate", "key", "client_roots"];

/// Settings as they are written, by name.
pub type Written = Vec<(&'static str, String)>;

/// TLS to the servers.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// Roots to trust and the certificate to present.
    pub client: Arc<ClientConfig>,
    /// The name that their certificates bear; `None` for the host of each address.
    pub server_name: Option<ServerName<'static>>,
    /// The settings that it was made of.
    pub written: Written,
}

/// TLS with the clients of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// The certificate to show, and the authorities to trust.
    pub server: Arc<ServerConfig>,
    /// Whether clients show a certificate; `None` if they are not asked for one.
    pub client_auth: Option<ClientAuth>,
    /// The settings that it was made of.
    pub written: Written,
}

/// TLS to servers; `None` where none of them has it, or what is wrong was reported.
/// `given` is the place of the table, if it is there.
pub(super) fn upstream(
    mut table: Table<'_>,
    given: Option<&Place>,
    servers: &[At<ServerAddr>],
    base: &Path,
    report: &Report,
) -> Option<UpstreamTls> {
    if table.has("certificate") {
        table.require("key", KEY_HINT);
    }
    if table.has("key") {
        table.require("certificate", CERTIFICATE_HINT);
    }
    let [roots_file, server_name, certificate, key] =
        ["roots", "server_name", "certificate", "key"].map(|name| table.string(name));
    let by_tls = |at: &&At<ServerAddr>| matches!(at.value, ServerAddr::Tls { .. });
    let Some(first) = servers.iter().find(by_tls) else {
        if let Some(place) = given {
            report.warn(place, "has no effect: no server is tls://host:port");
        }
        return None;
    };
    if server_name.is_none() {
        for At { place, value } in servers {
            if let ServerAddr::Tls { host, .. } = value {
                report.ok(place, name(host));
            }
        }
    }
    let name_shown = parsed(server_name.as_ref(), name, report);
    let roots = match &roots_file {
        Some(at) => roots(at, base, report),
        None => report.ok(&first.place, system_roots()),
    };
    let own = Own::read(certificate.as_ref(), key.as_ref(), base, report);
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots?);
    let client = match own {
        None => client.with_no_client_auth(),
        Some(own) => {
            let made = client.with_client_auth_cert(own.chain, own.secret);
            own.files.accept(made, report)?
        }
    };
    Some(UpstreamTls {
        client: Arc::new(client),
        server_name: name_shown.map(|at| at.value),
        written: as_written([
            ("roots", roots_file),
            ("server_name", server_name),
            ("certificate", certificate),
            ("key", key),
        ]),
    })
}

/// TLS with the clients of one listener; `None` where what is wrong was reported.
pub(super) fn listener(mut table: Table<'_>, base: &Path, report: &Report) -> Option<ListenerTls> {
    table.require("certificate", CERTIFICATE_HINT);
    table.require("key", KEY_HINT);
    let [certificate, key, client_roots] =
        ["certificate", "key", "client_roots"].map(|name| table.string(name));
    let client_auth = table.word("client_auth", ClientAuth::Required);
    if let (None, Some(place)) = (&client_roots, table.given("client_auth")) {
        report.error(place, "has no effect without client_roots");
    }
    let trusted = client_roots.as_ref().map(|at| roots(at, base, report));
    let own = Own::read(certificate.as_ref(), key.as_ref(), base, report);
    let (own, client_auth) = (own?, client_auth?);
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need");
    let (server, client_auth) = match trusted {
        None => (server.with_no_client_auth(), None),
        Some(roots) => {
            let verifier = verifier(roots?, client_auth);
            (
                server.with_client_cert_verifier(verifier),
                Some(client_auth),
            )
        }
    };
    let made = server.with_single_cert(own.chain, own.secret);
    let server = own.files.accept(made, report)?;
    let mut written = as_written([
        ("certificate", certificate),
        ("key", key),
        ("client_roots", client_roots),
    ]);
    written.extend(client_auth.map(|auth| ("client_auth", auth.word().to_owned())));
    Some(ListenerTls {
        server: Arc::new(server),
        client_auth,
        written,
    })
}

/// The files among settings of TLS.
pub(super) fn files(written: &Written, base: &Path) -> impl Iterator<Item = PathBuf> {
    let files = written.iter().filter(|(name, _)| FILES.contains(name));
    files.map(|(_, file)| base.join(file))
}

/// The certificate that one end shows of itself.
struct Own<'r> {
    files: OwnFiles<'r>,
    /// Certificate chain, the leaf first.
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

struct OwnFiles<'r> {
    certificate: &'r At<String>,
    key: &'r At<String>,
}

impl<'r> Own<'r> {
    /// `None` where there is none, or what is wrong was reported.
    fn read(
        certificate: Option<&'r At<String>>,
        key: Option<&'r At<String>>,
        base: &Path,
        report: &Report,
    ) -> Option<Self> {
        let chain = certificate.and_then(|at| {
            let chain = certificates(at, base, report)?;
            validity::report(at, &chain, Purpose::Shown, report);
            Some(chain)
        });
        let secret = key.and_then(|at| secret(at, base, report));
        Some(Self {
            files: OwnFiles {
                certificate: certificate?,
                key: key?,
            },
            chain: chain?,
            secret: secret?,
        })
    }
}

impl OwnFiles<'_> {
    /// Passes on what was made of a certificate and its key; reports why they were not
    /// taken.
    fn accept<T>(&self, made: Result<T, Error>, report: &Report) -> Option<T> {
        let Self { certificate, key } = self;
        let (at, message) = match made {
            Ok(made) => return Some(made),
            Err(Error::InconsistentKeys(_)) => {
                let message = format!("{} is not the key of {}", key.value, certificate.value);
                (key, message)
            }
            Err(Error::InvalidCertificate(why)) => {
                let message = format!("{} holds a bad certificate: {why:?}", certificate.value);
                (certificate, message)
            }
            Err(error) => (key, format!("{}: {error}", key.value)),
        };
        report.error(&at.place, message);
        None
    }
}

fn certificates(
    at: &At<String>,
    base: &Path,
    report: &Report,
) -> Option<Vec<CertificateDer<'static>>> {
    let pem = read(at, base, report)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = match found {
        Ok(found) if found.is_empty() => Err(format!("{} holds no certificate", at.value)),
        Ok(found) => Ok(found),
        Err(error) => Err(pem_error(&at.value, &error)),
    };
    report.ok(&at.place, found)
}

fn secret(at: &At<String>, base: &Path, report: &Report) -> Option<PrivateKeyDer<'static>> {
    let pem = read(at, base, report)?;
    let found = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("{} holds no private key in the clear", at.value),
        error => pem_error(&at.value, &error),
    });
    report.ok(&at.place, found)
}

fn roots(at: &At<String>, base: &Path, report: &Report) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = certificates(at, base, report)?;
    validity::report(at, &found, Purpose::Roots, report);
    for certificate in found {
        let added = roots.add(certificate);
        let added = added.map_err(|error| match error {
            Error::InvalidCertificate(why) => format!("{} holds a bad root: {why:?}", at.value),
            error => format!("{}: {error}", at.value),
        });
        report.ok(&at.place, added)?;
    }
    Some(roots)
}

fn pem_error(file: &str, error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => format!("{file} ends before a section does"),
        pem::Error::IllegalSectionStart { .. } => format!("{file} has a section without a name"),
        error => format!("{file}: {error}"),
    }
}

/// Returns those of the system's roots that make sense.
fn system_roots() -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system has no root certificates: name a file in upstream.tls.roots");
    }
    Ok(roots)
}

fn verifier(roots: RootCertStore, auth: ClientAuth) -> Arc<dyn ClientCertVerifier> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = match auth {
        ClientAuth::Optional => verifier.allow_unauthenticated(),
        ClientAuth::Required => verifier,
    };
    verifier
        .build()
        .expect("there are roots, and no lists of revoked certificates")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A name as a certificate bears it.
fn name(text: &str) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(text.to_owned());
    name.map_err(|_| format!("no certificate is for {text:?}: name a host or an address"))
}

fn read(At { place, value }: &At<String>, base: &Path, report: &Report) -> Option<Vec<u8>> {
    let read = std::fs::read(base.join(value));
    report.ok(
        place,
        read.map_err(|error| format!("{value} cannot be read: {error}")),
    )
}

fn as_written<const N: usize>(settings: [(&'static str, Option<At<String>>); N]) -> Written {
    let given = settings.into_iter();
    given
        .filter_map(|(name, at)| Some((name, at?.value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use tempfile::TempDir;

    use crate::config::{ClientAuth, Config};

    const NAMES: &str = "[upstream]\nservers = ['127.0.0.1:1']\n";
    const LISTENER: &str = "[[listeners]]\nlisten = '127.0.0.1:11312'\nruntime = 'py3'\n";

    /// A directory with a certificate, its key, the key of another, roots, and what is
    /// none of these.
    fn files() -> TempDir {
        let dir = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let [key, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let params = CertificateParams::new(vec!["cache.example".to_owned()]).unwrap();
        write("own.pem", &params.self_signed(&key).unwrap().pem());
        write("own.key", &key.serialize_pem());
        write("other.key", &other.serialize_pem());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write("roots.pem", &params.self_signed(&other).unwrap().pem());
        write("text", "nothing of that kind\n");
        write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
        let empty = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        write("empty.pem", empty);
        dir
    }

    fn load(dir: &TempDir, toml: &str) -> Result<Config, String> {
        let file = dir.path().join("t.toml");
        fs::write(&file, toml).unwrap();
        let in_dir = format!("{}/", dir.path().display());
        Config::load(&file).map_err(|errors| errors.to_string().replace(&in_dir, ""))
    }

    fn errors(dir: &TempDir, toml: &str) -> String {
        load(dir, toml).map(|_| ()).unwrap_err()
    }

    #[test]
    fn both_sides_are_read() {
        let dir = files();
        let config = load(
            &dir,
            &format!(
                "[upstream]\nservers = ['tls://cache.example:11211', 'cache-2:11211']\n\
                 [upstream.tls]\nroots = 'roots.pem'\nserver_name = '10.0.0.1'\n\
                 certificate = 'own.pem'\nkey = 'own.key'\n\
                 {LISTENER}[listeners.tls]\ncertificate = 'own.pem'\nkey = 'own.key'\n\
                 [[listeners]]\nlisten = '127.0.0.1:1'\nidentify = ['certificate']\n\
                 [listeners.tls]\ncertificate = 'own.pem'\nkey = 'own.key'\n\
                 client_roots = 'roots.pem'\n\
                 [[listeners]]\nlisten = '127.0.0.1:2'\nruntime = 'py3'\n"
            ),
        );
        let config = config.unwrap();
        let auth = |at: usize| config.listeners[at].tls.as_ref().map(|tls| tls.client_auth);
        assert_eq!(
            [auth(0), auth(1), auth(2)],
            [Some(None), Some(Some(ClientAuth::Required)), None]
        );
        let tls = config.upstream.tls.as_ref().unwrap();
        assert_eq!(tls.server_name.as_ref().unwrap().to_str(), "10.0.0.1");
        let watched = config.watched();
        for name in ["t.toml", "roots.pem", "own.pem", "own.key"] {
            assert!(watched.contains(&dir.path().join(name)), "{name}");
        }
        // What differs from host to host tells nothing of the configuration.
        assert_eq!(config.files, [dir.path().join("t.toml")]);
    }

    #[test]
    fn every_mistake_with_listeners_is_named() {
        let dir = files();
        let mut toml = NAMES.to_owned();
        for (nth, tls) in [
            "",
            "certificate = 'own.pem'\nkey = 'other.key'",
            "certificate = 'absent.pem'\nkey = 'text'",
            "certificate = 'text'\nkey = 'cut.pem'",
            "certificate = 'empty.pem'\nkey = 'own.key'",
            "certificate = 'own.pem'\nkey = 'own.key'\nclient_auth = 'required'",
            "certificate = 'own.pem'\nkey = 'own.key'\nclient_auth = 'yes'\nclient_roots = 'roots.pem'",
            "certificate = 'own.pem'\nkey = 'own.key'\nclient_roots = 'empty.pem'\nca = 'x'",
        ]
        .iter()
        .enumerate()
        {
            let listen = format!("127.0.0.1:{}", 11_312 + nth);
            toml += &LISTENER.replace("127.0.0.1:11312", &listen);
            toml.push_str("[listeners.tls]\n");
            toml.push_str(tls);
            toml.push('\n');
        }
        toml += "[[listeners]]\nlisten = 'unix:/a'\nidentify = ['certificate']\n\
            [listeners.tls]\ncertificate = 'own.pem'\nkey = 'own.key'\n";
        insta::assert_snapshot!(errors(&dir, &toml), @r#"
        t.toml:6: listeners[0].tls.certificate: missing: write for example "server.pem"
        t.toml:6: listeners[0].tls.key: missing: write for example "server.key"
        t.toml:13: listeners[1].tls.key: other.key is not the key of own.pem
        t.toml:18: listeners[2].tls.certificate: absent.pem cannot be read: No such file or directory (os error 2)
        t.toml:19: listeners[2].tls.key: text holds no private key in the clear
        t.toml:24: listeners[3].tls.certificate: text holds no certificate
        t.toml:25: listeners[3].tls.key: cut.pem ends before a section does
        t.toml:30: listeners[4].tls.certificate: empty.pem holds a bad certificate: BadEncoding
        t.toml:38: listeners[5].tls.client_auth: has no effect without client_roots
        t.toml:45: listeners[6].tls.client_auth: unknown demand "yes", expected optional or required
        t.toml:53: listeners[7].tls.client_roots: empty.pem holds a bad root: BadEncoding
        t.toml:54: listeners[7].tls.ca: unknown key, expected certificate, key, client_roots or client_auth
        t.toml:57: listeners[8].identify[0]: needs tls.client_roots to verify the clients' certificates
        t.toml:58: listeners[8].tls: there is no TLS on a unix socket
        "#);
    }

    #[test]
    fn every_mistake_with_servers_is_named() {
        let dir = files();
        let told: Vec<String> = [
            "[upstream]\nservers = ['tls://a:1', 'a:1']\n[upstream.tls]\nroots = 'roots.pem'\n",
            "[upstream]\nservers = ['tls://127.0.0.1:11312']\n[upstream.tls]\nroots = 'roots.pem'\n",
            "[upstream]\nservers = ['tls://a:1']\n[upstream.tls]\nroots = 'text'\nkey = 'own.key'\n",
            "[upstream]\nservers = ['tls://a:1']\n[upstream.tls]\nroots = 'roots.pem'\n\
             server_name = 'a b'\ncertificate = 'own.pem'\n",
            "[upstream]\nservers = ['tls://-a-:1']\n[upstream.tls]\nroots = 'roots.pem'\n\
             certificate = 'own.pem'\nkey = 'other.key'\nverify = false\n",
        ]
        .iter()
        .map(|upstream| errors(&dir, &format!("{upstream}{LISTENER}")))
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        t.toml:2: upstream.servers[1]: a:1 is already in upstream.servers[0] (line 2)
        t.toml:2: upstream.servers[0]: 127.0.0.1:11312 is this proxy's own listeners[0].listen
        t.toml:3: upstream.tls.certificate: missing: write for example "server.pem"
        t.toml:4: upstream.tls.roots: text holds no certificate
        t.toml:3: upstream.tls.key: missing: write for example "server.key"
        t.toml:5: upstream.tls.server_name: no certificate is for "a b": name a host or an address
        t.toml:2: upstream.servers[0]: no certificate is for "-a-": name a host or an address
        t.toml:6: upstream.tls.key: other.key is not the key of own.pem
        t.toml:7: upstream.tls.verify: unknown key, expected roots, server_name, certificate or key
        "#);
        let idle = load(
            &dir,
            &format!("{NAMES}[upstream.tls]\nroots = 'absent'\n{LISTENER}"),
        );
        let warnings = idle.unwrap().warnings.join("\n");
        assert!(
            warnings.contains("t.toml:3: upstream.tls: has no effect"),
            "{warnings}"
        );
    }
}
