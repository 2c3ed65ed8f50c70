//! Makes certificates and keys, as files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use tempfile::TempDir;

/// An authority that signs certificates.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Several are told apart by their names.
        let mut params = params(&format!("authority {}", fastrand::u64(..)), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let dir = TempDir::new().expect("a writable temporary directory");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let issuer = issuer.expect("an authority");
        fs::write(dir.path().join("roots.pem"), issuer.pem()).expect("a writable directory");
        Self { dir, issuer }
    }

    /// Roots that make others trust it.
    pub(crate) fn roots(&self) -> PathBuf {
        self.dir.path().join("roots.pem")
    }

    /// A certificate for these names: hosts, addresses and URIs.
    pub(crate) fn issue(&self, name: &str, names: &[&str]) -> Pair {
        self.sign(name, &params(name, names))
    }

    /// One that was for loopback, once.
    pub(crate) fn expired(&self) -> Pair {
        let mut params = params("expired", &["127.0.0.1"]);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign("expired", &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = self.pair(name);
        pair.write(&signed.pem(), &key.serialize_pem());
        pair
    }

    fn pair(&self, name: &str) -> Pair {
        Pair {
            certificate: self.dir.path().join(format!("{name}.pem")),
            key: self.dir.path().join(format!("{name}.key")),
        }
    }
}

impl Pair {
    fn write(&self, certificate: &str, key: &str) {
        fs::write(&self.certificate, certificate).expect("a writable directory");
        fs::write(&self.key, key).expect("a writable directory");
    }

    /// Puts another in its place: each file at once, the certificate first.
    pub(crate) fn replace(&self, other: &Self) {
        for (new, old) in [
            (&other.certificate, &self.certificate),
            (&other.key, &self.key),
        ] {
            fs::rename(new, old).expect("a writable directory");
        }
    }

    /// Settings of TLS that name the two.
    pub(crate) fn settings(&self) -> String {
        let (certificate, key) = (text(&self.certificate), text(&self.key));
        format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n")
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let (uris, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains(':'));
    let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(others).expect("names");
    let uris = uris
        .into_iter()
        .map(|uri| SanType::URI(uri.try_into().expect("ASCII")));
    params.subject_alt_names.extend(uris);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
