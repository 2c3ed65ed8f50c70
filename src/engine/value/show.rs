//! Decides how much of a pickle that was looked at whole is shown: all of it, nothing, or
//! another form that was judged again. Knows what was found, and counts nothing.

use super::judged::{BROKEN, FIREWALL, Pickle, Shown};
use super::scanned::Scanned;
use crate::pickle::transcode::{Form, Py2Str, Refusal, Transcoder};
use crate::pickle::{Extensions, Pool, Reader, Scan, Scanner, Verdict, Writer};
use crate::policy::Whole;

impl Whole {
    /// The treatment of a pickle as it is.
    pub(super) fn shows(self, pickle: &Pickle) -> Shown {
        let hiding = if pickle.reason == Some(FIREWALL) {
            Self::ENFORCE
        } else {
            Self::HIDE
        };
        let hidden = match pickle.verdict {
            Verdict::Loadable => false,
            _ if pickle.of_another => true,
            Verdict::Unloadable => self.contains(hiding),
            Verdict::Unknown | Verdict::NotLookedAt => self.contains(Self::HIDE_UNKNOWN),
        };
        if hidden { Shown::Hidden } else { Shown::AsIs }
    }

    /// The form that a reader is to get a pickle in, if it is not as it is; an error if
    /// there is none.
    pub(super) fn form(
        self,
        reader: Reader,
        scan: &Scan<'_>,
        pickle: &Pickle,
    ) -> Option<Result<Form, &'static str>> {
        let py2_str = if self.contains(Self::STR_AS_BYTES) {
            Py2Str::Bytes
        } else {
            Py2Str::Text
        };
        let as_bytes = py2_str == Py2Str::Bytes && scan.writer() == Writer::Python2;
        let wanted = self.contains(Self::TRANSCODE)
            && pickle.reason != Some(FIREWALL)
            && (pickle.verdict == Verdict::Unloadable || as_bytes && reader.is_python3());
        wanted.then(|| Form::of(reader, scan, py2_str).ok_or("writer"))
    }
}

/// Reason why there is no other form of a pickle: it would not be told from that of another
/// value.
const UNDECIDED: &str = "ambiguous_form";

/// Writes a pickle in another form. Whatever it is then, its reader must be proved to get
/// what the writer meant.
pub(super) fn rewrite<'w>(
    bytes: &[u8],
    form: Form,
    (pool, writers): (Pool<'_>, impl Iterator<Item = Pool<'w>> + Clone),
    (transcoder, scanner, extensions): (&mut Transcoder, &mut Scanner, &Extensions),
    rewritten: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let scan = scanner.scan(bytes, extensions).map_err(|_| BROKEN)?;
    let by = scan.writer();
    if !scan.may_be_rewritten(pool, &by.among(writers.clone())) {
        return Err(UNDECIDED);
    }
    transcoder
        .transcode(bytes, form, &pool, rewritten)
        .map_err(Refusal::name)?;
    let again = scanner.scan(rewritten, extensions);
    let again = Scanned::of(again, None, |scan| {
        scan.judge(pool.reader, pool.inventory)?;
        scan.prove(pool, &by.among(writers))
    });
    again.pickle.reason.map_or(Ok(()), Err)
}
