//! Facts that a scan of a whole value tells, the firewall's word included. Knows no
//! rule: who judges says which readers count and which list.

use super::judged::{BROKEN, FIREWALL, Pickle};
use crate::pickle::{
    Broken, Extensions, Firewall, Header, InflateError, Reason, Scan, Scanner, Verdict,
};

/// Facts about a value that was looked at whole.
pub(super) struct Scanned<'f> {
    /// The pickle; one that the firewall refuses is loadable for nobody.
    pub(super) pickle: Pickle,
    /// The module and the name that are to blame if it is not loadable.
    pub(super) global: Option<(&'f str, &'f str)>,
    pub(super) scan: Option<Scan<'f>>,
    /// The firewall's line for the log.
    pub(super) note: Option<String>,
}

impl<'f> Scanned<'f> {
    /// Scans a value that was inflated, if it could be. Where it could not, or is no
    /// whole pickle, what its header says for certain still holds.
    pub(super) fn within(
        plain: Result<&'f [u8], InflateError>,
        (header, by_header): (Header, Verdict),
        (scanner, extensions): (&'f mut Scanner, &'f Extensions),
        firewall: Option<&Firewall>,
        judge: impl FnOnce(&Scan<'f>) -> Result<(), Reason<'f>>,
    ) -> Self {
        let mut found = match plain {
            Ok(pickle) => Self::of(scanner.scan(pickle, extensions), firewall, judge),
            Err(error) => Self::unreadable((error.verdict(), error.name()), &error, firewall),
        };
        if found.scan.is_none() && firewall.is_none() && by_header == Verdict::Unloadable {
            found.pickle = Pickle::by_header(header, by_header);
        }
        found
    }

    /// By the scan; what is no pickle passes no firewall.
    pub(super) fn of(
        scanned: Result<Scan<'f>, Broken>,
        firewall: Option<&Firewall>,
        judge: impl FnOnce(&Scan<'f>) -> Result<(), Reason<'f>>,
    ) -> Self {
        let scan = match scanned {
            Ok(scan) => scan,
            Err(broken) => {
                return Self::unreadable((Verdict::Unknown, BROKEN), &broken, firewall);
            }
        };
        let refused = firewall.and_then(|firewall| firewall.check(&scan).err());
        let (verdict, reason, global) = match refused {
            Some(_) => (Verdict::Unloadable, Some(FIREWALL), None),
            None => judge(&scan).map_or_else(
                |reason| (reason.verdict(), Some(reason.name()), reason.global()),
                |()| (Verdict::Loadable, None, None),
            ),
        };
        let protocol = scan.declared_protocol().max(scan.effective_protocol());
        Self {
            pickle: Pickle {
                writer: scan.writer().into(),
                ..Pickle::new(Some(protocol), verdict, reason)
            },
            global,
            scan: Some(scan),
            note: refused.map(|refused| refused.to_string()),
        }
    }

    fn unreadable(
        (verdict, reason): (Verdict, &'static str),
        why: &dyn std::fmt::Display,
        firewall: Option<&Firewall>,
    ) -> Self {
        let (verdict, reason) = match firewall {
            Some(_) => (Verdict::Unloadable, FIREWALL),
            None => (verdict, reason),
        };
        Self {
            pickle: Pickle::new(None, verdict, Some(reason)),
            global: None,
            scan: None,
            note: firewall.map(|_| format!("firewall: {why}")),
        }
    }
}
