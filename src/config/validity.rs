//! The validity of certificates: an invalid one is told when the file is read, not by
//! every handshake.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use super::report::{At, Report};

/// The time before its end from which on a certificate is warned of, if it is valid for
/// longer than three times that; else it is its last third.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// The state of a certificate at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Soon(Time),
    Expired(Time),
    NotYet(Time),
}

/// The purpose of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An end shows them: each has to be valid.
    Shown,
    /// Roots are trusted: an invalid one is no loss, if another is valid.
    Roots,
}

/// Reports certificates that are not valid, or soon not to be.
pub(super) fn report(
    at: &At<String>,
    certificates: &[CertificateDer<'_>],
    purpose: Purpose,
    report: &Report,
) {
    let now = SystemTime::now();
    let found: Vec<_> = certificates
        .iter()
        .enumerate()
        .filter_map(|(nth, der)| Some((nth, validity(der, now)?)))
        .collect();
    let is_invalid =
        |validity: &Validity| matches!(validity, Validity::Expired(_) | Validity::NotYet(_));
    let all_invalid = !found.is_empty() && found.iter().all(|(_, validity)| is_invalid(validity));
    let fatal = purpose == Purpose::Shown || all_invalid;
    for (nth, validity) in &found {
        let which = match found.len() {
            1 => at.value.clone(),
            _ => format!("{}, certificate {}", at.value, nth + 1),
        };
        let message = match validity {
            Validity::Valid => continue,
            Validity::Soon(end) => {
                report.warn(&at.place, format!("{which} expires soon: on {end}"));
                continue;
            }
            Validity::Expired(end) => format!("{which} has expired: on {end}"),
            Validity::NotYet(start) => format!("{which} is not valid before {start}"),
        };
        if fatal {
            report.error(&at.place, message);
        } else {
            report.warn(&at.place, message);
        }
    }
}

/// `None` for what cannot be read: whoever uses it says so.
fn validity(der: &CertificateDer<'_>, now: SystemTime) -> Option<Validity> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let (start, end) = (validity.not_before, validity.not_after);
    let (starts, ends) = (start.to_system_time(), end.to_system_time());
    let lifetime = ends.duration_since(starts).unwrap_or_default();
    let soon = SOON.min(lifetime / 3);
    Some(if now < starts {
        Validity::NotYet(start)
    } else if now > ends {
        Validity::Expired(end)
    } else if ends.duration_since(now).is_ok_and(|left| left < soon) {
        Validity::Soon(end)
    } else {
        Validity::Valid
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::config::report::Place;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A certificate that began some days ago and ends some days from now.
    fn certificate(began: u32, left: i32) -> CertificateDer<'static> {
        let now = SystemTime::now();
        let ends = DAY * left.unsigned_abs();
        let mut params = CertificateParams::new(["cache.example".to_owned()]).unwrap();
        params.not_before = (now - DAY * began).into();
        params.not_after = if left < 0 { now - ends } else { now + ends }.into();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    /// The errors, or the warnings without the day.
    fn told(purpose: Purpose, certificates: &[CertificateDer<'_>]) -> String {
        let place = Place {
            line: Some(7),
            key: "tls.file".to_owned(),
        };
        let at = At {
            place,
            value: "a.pem".to_owned(),
        };
        let told = Report::new(Some("t"));
        report(&at, certificates, purpose, &told);
        let without_day = |text: String| {
            let ends = [": on ", " before "]
                .iter()
                .filter_map(|word| text.find(word))
                .min();
            text[..ends.unwrap_or(text.len())].to_owned()
        };
        match told.finish() {
            Ok(warnings) => warnings
                .into_iter()
                .map(without_day)
                .collect::<Vec<_>>()
                .join("; "),
            Err(errors) => {
                let errors = errors.iter().map(|error| without_day(error.to_string()));
                format!("error {}", errors.collect::<Vec<_>>().join("; "))
            }
        }
    }

    #[test]
    fn a_certificate_that_is_not_valid_is_told() {
        for (began, left, shown) in [
            (400, 100, ""),
            (400, 10, "t:7: tls.file: a.pem expires soon"),
            (400, -1, "error t:7: tls.file: a.pem has expired"),
            // One for few days is soon to end in its last third only.
            (1, 5, ""),
            (5, 1, "t:7: tls.file: a.pem expires soon"),
        ] {
            assert_eq!(told(Purpose::Shown, &[certificate(began, left)]), shown);
        }
        let now = SystemTime::now();
        let mut params = CertificateParams::default();
        params.not_before = (now + DAY).into();
        params.not_after = (now + DAY * 90).into();
        let early = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            told(Purpose::Shown, &[early.der().clone()]),
            "error t:7: tls.file: a.pem is not valid"
        );
    }

    #[test]
    fn of_several_roots_one_has_to_be_valid() {
        let [valid, expired] = [certificate(9, 900), certificate(900, -9)];
        let both = [valid, expired.clone()];
        assert_eq!(
            told(Purpose::Roots, &both),
            "t:7: tls.file: a.pem, certificate 2 has expired"
        );
        assert_eq!(
            told(Purpose::Shown, &both),
            "error t:7: tls.file: a.pem, certificate 2 has expired"
        );
        assert_eq!(
            told(Purpose::Roots, &[expired]),
            "error t:7: tls.file: a.pem has expired"
        );
        assert_eq!(
            told(Purpose::Roots, &[CertificateDer::from(vec![0x30, 0])]),
            ""
        );
    }
}
