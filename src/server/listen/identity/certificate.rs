//! The runtime tag in a client's certificate: one of its alternative names is the
//! URI `picklegate:` and the tag, `picklegate:python/3.11` or
//! `picklegate:python/3.11,django/4.2`. Whether the certificate is to be believed was
//! settled in the handshake.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::policy::{RuntimeError, RuntimeTag};

/// Scheme of a URI that names a tag.
const SCHEME: &str = "picklegate:";

/// Faults of a certificate that names a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum CertificateError {
    #[error("its certificate cannot be read: {0}")]
    Unreadable(webpki::Error),
    #[error("its certificate names \"{SCHEME}{0}\": {1}")]
    BadTag(String, RuntimeError),
    #[error("its certificate names more than one tag")]
    TwoTags,
}

/// The tag that a certificate names, if it names one.
///
/// # Errors
/// What is wrong with it.
pub(in crate::server) fn tag_of(
    certificate: &CertificateDer<'_>,
) -> Result<Option<RuntimeTag>, CertificateError> {
    let certificate = EndEntityCert::try_from(certificate).map_err(CertificateError::Unreadable)?;
    let mut tags = certificate
        .valid_uri_names()
        .filter_map(|uri| uri.strip_prefix(SCHEME));
    let Some(tag) = tags.next() else {
        return Ok(None);
    };
    if tags.next().is_some() {
        return Err(CertificateError::TwoTags);
    }
    let parsed = RuntimeTag::parse(tag);
    parsed
        .map(Some)
        .map_err(|error| CertificateError::BadTag(tag.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn tag(uris: &[&str]) -> Result<Option<String>, String> {
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        let uris = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let tag = tag_of(certificate.der()).map(|tag| tag.map(|tag| tag.to_string()));
        tag.map_err(|error| error.to_string())
    }

    #[test]
    fn one_of_its_names_is_the_tag() {
        let spiffe = "spiffe://example/ns/web/sa/app";
        assert_eq!(tag(&[]), Ok(None));
        assert_eq!(tag(&[spiffe]), Ok(None));
        for (uri, expected) in [
            ("picklegate:python/3.11", "python/3.11"),
            ("picklegate:py2.7", "python/2.7"),
            (
                "picklegate:python/3.11,django/4.2",
                "python/3.11 django/4.2",
            ),
        ] {
            assert_eq!(tag(&[spiffe, uri]), Ok(Some(expected.to_owned())), "{uri}");
        }
    }

    #[test]
    fn what_is_wrong_with_it_is_told() {
        for uris in [
            &["picklegate:"][..],
            &["picklegate:python/x"],
            &["picklegate://python/3.11"],
            &["picklegate:python/2.7", "picklegate:python/3.11"],
        ] {
            let told = tag(uris).unwrap_err();
            assert!(told.starts_with("its certificate names "), "{told}");
        }
        let long = format!("picklegate:python/3.11,{}", "x".repeat(128));
        assert!(tag(&[&long]).is_err());
    }
}
