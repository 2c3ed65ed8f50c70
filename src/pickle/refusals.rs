//! What the classes and functions of a reader refuse, or take for something else:
//! held against what a scan found of calls and states.

use super::django::Series;
use super::names::{PythonVersion, Versions};
use super::reader::Reader;
use super::reason::Reason;
use super::scan::Facts;
use super::special::{Said, Shapes};

/// A pickle with all of these shapes is nothing for readers that are surely among
/// these versions.
struct Refusal(Shapes, Versions, &'static str);

const NEW_STATUS: &str = "an HTTP status that is new in a later Python";

const REFUSALS: [Refusal; 22] = {
    use PythonVersion::{Py36, Py37, Py38, Py39, Py310, Py312};
    const PY2: Versions = Versions::PY2;
    const PY3: Versions = Versions::PY3;
    [
        Refusal(
            Shapes::TIME_SECONDS,
            Versions::only(Py36),
            "Python 3.6 takes the seconds of a Python 2 time for its hour",
        ),
        Refusal(
            Shapes::ARRAY_CHAR,
            PY3,
            "array type code c is gone from Python 3",
        ),
        Refusal(
            Shapes::OR.union(Shapes::REDUCE),
            Versions::before(Py310),
            "unions of types are new in Python 3.10",
        ),
        Refusal(Shapes::STATUS_37, Versions::before(Py37), NEW_STATUS),
        Refusal(Shapes::STATUS_38, Versions::before(Py38), NEW_STATUS),
        Refusal(Shapes::STATUS_39, Versions::before(Py39), NEW_STATUS),
        // With 3.10.9 and 3.11.1 they began to say their state themselves.
        Refusal(
            Shapes::NORMAL_PAIR,
            Versions::before(Py310),
            "a NormalDist of Python 3.10 and later has another state",
        ),
        Refusal(
            Shapes::NORMAL_SLOTS,
            Versions::since(Py312),
            "a NormalDist from before Python 3.12 has another state",
        ),
        Refusal(
            Shapes::STRING_IO_STATE,
            PY3,
            "Python 3 takes StringIO for io.StringIO, which has another state",
        ),
        Refusal(
            Shapes::NATIVE,
            PY3,
            "a class of Python 2 that Python 3 has in C takes no bare instance",
        ),
        Refusal(
            Shapes::CONTEXT_STATE,
            PY3,
            "a decimal context of Python 2 has attributes that Python 3's in C cannot take",
        ),
        Refusal(
            Shapes::BYTES_IO_OF_STR,
            PY3,
            "a BytesIO of Python 2 gives a str for its bytes",
        ),
        Refusal(
            Shapes::SAFE_BYTES_OF_STR,
            PY3,
            "SafeBytes is made of bytes in Python 3, the pickle gives it a str",
        ),
        Refusal(
            Shapes::CONTEXT_ARGUMENTS,
            PY2,
            "decimal contexts take other arguments in Python 2.7",
        ),
        Refusal(
            Shapes::ARRAY_LONG_LONG,
            PY2,
            "array type codes q and Q are new in Python 3.3",
        ),
        Refusal(
            Shapes::INT_ON_LONG,
            PY2,
            "a class of int is no class of long in Python 2.7",
        ),
        Refusal(
            Shapes::ITERATOR_STATE,
            PY2,
            "iterators take no state in Python 2.7",
        ),
        Refusal(
            Shapes::UNICODE_ERROR_TEXT,
            PY2,
            "UnicodeErrors take byte strings in Python 2.7",
        ),
        Refusal(
            Shapes::WIDE_RANGE,
            PY2,
            "an xrange of Python 2.7 holds no more than a C long",
        ),
        Refusal(
            Shapes::RANDOM_METHOD,
            PY2,
            "a method of random that is new in Python 3",
        ),
        Refusal(
            Shapes::UFUNC_TEXT,
            PY2,
            "numpy takes the name of a function as a byte string in Python 2.7",
        ),
        Refusal(
            Shapes::SAFE_STRING_NON_ASCII,
            PY2,
            "SafeString is made of bytes in Python 2.7, the text is not ASCII",
        ),
    ]
};

/// Of [`REFUSALS`], those of classes of Django.
const OF_DJANGO: Shapes = Shapes::SAFE_BYTES_OF_STR.union(Shapes::SAFE_STRING_NON_ASCII);

/// Whether what the pickle calls and builds is something to a reader.
///
/// # Errors
/// Says what it refuses, or takes for something else.
pub(super) fn judge(facts: &Facts, reader: Reader) -> Result<(), Reason<'static>> {
    let found = |refusal: &&Refusal| {
        let Refusal(shapes, versions, _) = **refusal;
        facts.shapes.contains(shapes) && reader.is_all_of(versions)
    };
    // Most pickles have no shape that speaks against anybody.
    if facts.shapes.is_empty() {
        return Ok(());
    }
    if let Some(&Refusal(shapes, _, what)) = REFUSALS.iter().find(found) {
        return Err(if OF_DJANGO.contains(shapes) {
            Reason::Framework { what }
        } else {
            Reason::Type { what }
        });
    }
    judge_attributes(facts, reader).map_err(|what| Reason::Type { what })?;
    let django = reader.django();
    django.map_or(Ok(()), |django| {
        judge_django(facts, reader, django).map_err(|what| Reason::Framework { what })
    })
}

/// What a reader takes that may have been meant otherwise: nothing in the pickle
/// tells.
pub(super) fn doubt(facts: &Facts, reader: Reader) -> Option<Reason<'static>> {
    use PythonVersion::{Py38, Py310, Py311, Py312};
    let is = |shape, first: Versions, end| {
        facts.shapes.contains(shape) && reader.is_all_of(first & Versions::before(end))
    };
    let what = if is(Shapes::TIMEOUT, Versions::PY3, Py311) {
        "TimeoutError may be that of sockets since Python 3.10, of asyncio and futures since 3.11: before, those are others"
    } else if is(Shapes::FUTURES_TIMEOUT, Versions::since(Py38), Py311) {
        "TimeoutError of concurrent.futures may be that of asyncio before Python 3.8: since, those are two"
    } else if is(Shapes::NORMAL_SLOTS, Versions::since(Py310), Py312) {
        "a NormalDist has another state since Python 3.10.9 and 3.11.1"
    } else if facts.shapes.contains(Shapes::SIGNER)
        && !facts.said.contains(Said::FALLBACK_KEYS)
        && reader.django().is_some_and(|series| series >= (4, 1))
    {
        "a signer from before Django 4.1 has no fallback_keys: it signs, and raises when it is to check"
    } else {
        return None;
    };
    Some(Reason::Ambiguous { what })
}

/// Attributes that a reader's classes need, or do not have.
fn judge_attributes(facts: &Facts, reader: Reader) -> Result<(), &'static str> {
    use PythonVersion::{Py37, Py38, Py313};
    let has = |shape| facts.shapes.contains(shape);
    let says = |said| facts.said.contains(said);
    if has(Shapes::MORSEL)
        && says(Said::SAMESITE)
        && facts.declared >= 2
        && reader.is_all_of(Versions::PY2 | Versions::only(PythonVersion::Py36))
        // Later ones teach it to all cookies.
        && reader.django().is_none_or(|series| series < (2, 1))
    {
        return Err("cookies have no samesite before Python 3.8");
    }
    if has(Shapes::GROWN_STATE) && !says(Said::GROWN) && reader.is_python3() {
        return Err("mails, log records and ConfigParsers need attributes that Python 2's lack");
    }
    if has(Shapes::ZIP_INFO) {
        for (slot, versions) in [
            (Said::COMPRESSLEVEL, Versions::before(Py37)),
            (Said::COMPRESS_LEVEL, Versions::before(Py313)),
            // Later releases of 3.8 to 3.12 have it.
            (Said::END_OFFSET, Versions::before(Py38)),
        ] {
            if says(slot) && reader.is_all_of(versions) {
                return Err("a ZipInfo of a later Python has slots that this one lacks");
            }
        }
    }
    if has(Shapes::OFFSET_NAME_TEXT) && reader.is_python2() {
        return Err("a FixedOffset of Python 3 names its zone by text, Python 2.7 refuses to");
    }
    Ok(())
}

fn judge_django(facts: &Facts, reader: Reader, django: Series) -> Result<(), &'static str> {
    let has = |shape| facts.shapes.contains(shape);
    let says = |said| facts.said.contains(said);
    if has(Shapes::SAFE_STRING_STATE) && django >= (4, 0) {
        return Err("safe strings take no state since Django 4.0");
    }
    if has(Shapes::QUERY) && facts.django.is_some_and(|writer| writer != django) {
        return Err("a QuerySet loads in the Django series that pickled it only");
    }
    if has(Shapes::QUERY_STATE) && facts.django.is_none() && !is_query_of(facts.said, django) {
        return Err("a Query of another Django series lacks attributes that this one needs");
    }
    if has(Shapes::MODEL | Shapes::MODEL_STATE)
        && !says(Said::DB)
        && facts
            .django
            .is_some_and(|writer| (writer < (2, 0)) != (django < (2, 0)))
    {
        return Err("an unsaved model does not cross Django 2.0");
    }
    if has(Shapes::HTTP_RESPONSE) {
        match (has(Shapes::RESPONSE_HEADERS), django >= (3, 2)) {
            (false, true) => return Err("responses of Django before 3.2 have no ResponseHeaders"),
            (true, false) => return Err("ResponseHeaders are new in Django 3.2"),
            _ => {}
        }
        if facts.py2_str && reader.is_python3() && !has(Shapes::RESPONSE_HEADERS) {
            return Err("the body of a Python 2 response is a byte string");
        }
    }
    if has(Shapes::SIGNER) {
        match (says(Said::ALGORITHM), django >= (3, 1)) {
            (false, true) => {
                return Err("a signer from before Django 3.1 has no algorithm: it raises in use");
            }
            (true, false) if !says(Said::SHA1) => {
                return Err("signers know no algorithm but SHA-1 before Django 3.1");
            }
            _ => {}
        }
    }
    if has(Shapes::PLAIN_ALTERNATIVES) && django >= (5, 2) {
        return Err("the alternatives of a mail are named tuples since Django 5.2");
    }
    Ok(())
}

/// Whether a `Query` pickled by itself, without a `QuerySet` that says its series,
/// has the attributes that one of this series reads whatever it is used for. Others
/// are the class's own where an instance has none. By loading such pickles under
/// 2.0 to 4.1, 5.0 and what the record has.
fn is_query_of(said: Said, django: Series) -> bool {
    [
        (Said::TABLES, django < (2, 0)),
        (Said::PRIVATE_EXTRA, django < (3, 0)),
        (Said::EXPLAIN_QUERY, ((2, 1)..(4, 0)).contains(&django)),
        (Said::EXTRA, django >= (3, 0)),
        (Said::ALIAS_COLS, django >= (3, 1)),
        (Said::EXPLAIN_INFO, django == (4, 0)),
        (Said::EXTRA_CACHE, django < (4, 1)),
    ]
    .into_iter()
    .all(|(attribute, needed)| !needed || said.contains(attribute))
}

#[cfg(test)]
mod tests {
    use crate::pickle::{Extensions, Scanner};

    use super::*;

    /// Why Python `major.minor` refuses what a scan finds, or nothing.
    fn refused(pickle: &[u8], (major, minor): (u64, u64), django: Option<Series>) -> String {
        let mut scanner = Scanner::default();
        let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
        let reader = Reader::of_python(major, Some(minor)).with_django(django);
        let judged = judge(scan.facts(), reader);
        judged.map_or_else(|reason| reason.to_string(), |()| String::new())
    }

    /// By Pythons only: who refuses it, of those with other standard libraries.
    fn refusing(pickle: &[u8]) -> Vec<(u64, u64)> {
        let pythons = [(2, 7), (3, 6), (3, 7), (3, 8), (3, 10), (3, 12), (3, 13)];
        let refuses = |python: &(u64, u64)| !refused(pickle, *python, None).is_empty();
        pythons.into_iter().filter(refuses).collect()
    }

    fn refusing_django(pickle: &[u8], django: &[Series]) -> Vec<Series> {
        let refuses = |series: &Series| !refused(pickle, (3, 8), Some(*series)).is_empty();
        django.iter().copied().filter(refuses).collect()
    }

    /// `NormalDist(3.5, 1.25)`
    #[test]
    fn a_normal_distribution_says_its_state_otherwise_since_3_10() {
        let slots = b"\x80\x02cstatistics\nNormalDist\nq\x00)\x81q\x01N}q\x02(X\x03\x00\x00\x00_muq\x03G@\x0c\x00\x00\x00\x00\x00\x00X\x06\x00\x00\x00_sigmaq\x04G?\xf4\x00\x00\x00\x00\x00\x00u\x86q\x05b.";
        assert_eq!(refusing(slots), [(3, 12), (3, 13)]);
        let pair = b"\x80\x02cstatistics\nNormalDist\nq\x00)\x81q\x01G@\x0c\x00\x00\x00\x00\x00\x00G?\xf4\x00\x00\x00\x00\x00\x00\x86q\x02b.";
        let before = [(2, 7), (3, 6), (3, 7), (3, 8)];
        assert_eq!(refusing(pair), before);
        let reconstructed = b"ccopy_reg\n_reconstructor\np0\n(cstatistics\nNormalDist\np1\nc__builtin__\nobject\np2\nNtp3\nRp4\n(F3.5\nF1.25\ntp5\nb.";
        assert_eq!(refusing(reconstructed), before);
    }

    /// `ZipInfo("a", (2024, 6, 1, 0, 0, 0))` of 3.6, 3.8 and 3.13.
    #[test]
    fn slots_of_a_zip_entry_come_and_go() {
        const HEAD: &[u8] = b"\x80\x02czipfile\nZipInfo\nq\x00)\x81q\x01N}q\x02(X\x0d\x00\x00\x00orig_filenameq\x03X\x01\x00\x00\x00aq\x04X\x08\x00\x00\x00filenameq\x05h\x04X\x09\x00\x00\x00date_timeq\x06(M\xe8\x07K\x06K\x01K\x00K\x00K\x00tq\x07X\x0d\x00\x00\x00compress_typeq\x08K\x00";
        let entry = |slots: &[u8], end: &[u8]| [HEAD, slots, end].concat();
        let bytes = b"X\x07\x00\x00\x00commentq\x0ac__builtin__\nbytes\nq\x0b)Rq\x0cX\x05\x00\x00\x00extraq\x0dh\x0c";
        assert!(refusing(&entry(bytes, b"u\x86q\x15b.")).is_empty());
        let private = [&b"X\x0e\x00\x00\x00_compresslevelq\x09N"[..], bytes].concat();
        let of_3_8 = entry(&private, b"u\x86q\x16b.");
        assert_eq!(refusing(&of_3_8), [(2, 7), (3, 6)]);
        let public = [&b"X\x0e\x00\x00\x00compress_levelq\x09N"[..], bytes].concat();
        let end = b"X\x0b\x00\x00\x00_end_offsetq\x18Nu\x86q\x19b.";
        let of_3_13 = entry(&public, end);
        let before = [(2, 7), (3, 6), (3, 7), (3, 8), (3, 10), (3, 12)];
        assert_eq!(refusing(&of_3_13), before);
        // A release of 3.8 or later that checks for overlapping entries.
        let of_3_12_2 = entry(&private, end);
        assert_eq!(refusing(&of_3_12_2), before[..3]);
    }

    #[test]
    fn python_2_refuses_what_its_types_do_not_hold() {
        // range(2 ** 64), range(2 ** 62) and, at protocol 1, range(2 ** 64).
        let wide = b"\x80\x02c__builtin__\nxrange\nq\x00K\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01K\x01\x87q\x01Rq\x02.";
        let fits = b"\x80\x02c__builtin__\nxrange\nq\x00K\x00\x8a\x08\x00\x00\x00\x00\x00\x00\x00@K\x01\x87q\x01Rq\x02.";
        let digits = b"c__builtin__\nxrange\nq\x00(K\x00L18446744073709551616L\nK\x01tq\x01Rq\x02.";
        let negative =
            b"c__builtin__\nxrange\nq\x00(L-9223372036854775808L\nK\x00K\x01tq\x01Rq\x02.";
        assert_eq!(refusing(wide), [(2, 7)]);
        assert_eq!(refusing(digits), [(2, 7)]);
        assert!(refusing(fits).is_empty() && refusing(negative).is_empty());
        // random.choices and random.choice, without the generator's state.
        let method = |name: &[u8]| {
            let head = b"c__builtin__\ngetattr\nq\x00(crandom\nRandom\nq\x01)Rq\x02X";
            let len = u32::try_from(name.len()).unwrap().to_le_bytes();
            [head, &len[..], name, b"q\x03tq\x04Rq\x05."].concat()
        };
        assert_eq!(refusing(&method(b"choices")), [(2, 7)]);
        assert!(refusing(&method(b"choice")).is_empty());
        // numpy.add of Python 3 and of Python 2.
        let ufunc = b"\x80\x02cnumpy.core\n_ufunc_reconstruct\nq\x00X\x10\x00\x00\x00numpy.core.umathq\x01X\x03\x00\x00\x00addq\x02\x86q\x03Rq\x04.";
        assert_eq!(refusing(ufunc), [(2, 7)]);
        let ufunc = b"\x80\x02cnumpy.core\n_ufunc_reconstruct\nq\x01U\x10numpy.core.umathq\x02U\x03add\x86Rq\x03.";
        assert!(refusing(ufunc).is_empty());
    }

    #[test]
    fn python_3_refuses_states_of_what_it_has_in_c() {
        let every_3 = [(3, 6), (3, 7), (3, 8), (3, 10), (3, 12), (3, 13)];
        // BytesIO(b"abc") of Python 2 and of Python 3.
        let bytes_io = b"\x80\x02c_io\nBytesIO\nq\x01)\x81q\x02U\x03abcK\x00N\x87b.";
        assert_eq!(refusing(bytes_io), every_3);
        let bytes_io = b"\x80\x02c_io\nBytesIO\nq\x00)\x81q\x01c_codecs\nencode\nq\x02X\x03\x00\x00\x00abcq\x03X\x06\x00\x00\x00latin1q\x04\x86q\x05Rq\x06K\x00N\x87q\x07b.";
        assert!(refusing(bytes_io).is_empty());
        // decimal.Context(prec=5), without its flags and traps.
        let context = b"\x80\x02cdecimal\nContext\nq\x01)\x81q\x02}q\x03(U\x04Eminq\x05J\x016e\xc4U\x04precq\nK\x05ub.";
        assert_eq!(refusing(context), every_3);
    }

    /// `get_fixed_timezone(90)` of Django 1.11.
    #[test]
    fn a_fixed_offset_of_python_3_names_its_zone_by_text() {
        let of_3 = b"\x80\x02cdjango.utils.timezone\nFixedOffset\nq\x00)Rq\x01}q\x02(X\x14\x00\x00\x00_FixedOffset__offsetq\x03cdatetime\ntimedelta\nq\x04K\x00M\x18\x15K\x00\x87q\x05Rq\x06X\x12\x00\x00\x00_FixedOffset__nameq\x07X\x05\x00\x00\x00+0130q\x08ub.";
        assert_eq!(refusing(of_3), [(2, 7)]);
        let of_2 = b"\x80\x02cdjango.utils.timezone\nFixedOffset\nq\x01)Rq\x02}q\x03(U\x14_FixedOffset__offsetq\x04cdatetime\ntimedelta\nq\x05K\x00M\x18\x15K\x00\x87Rq\x06U\x12_FixedOffset__nameq\x07U\x05+0130ub.";
        assert!(refusing(of_2).is_empty());
    }

    /// `Signer(key="k", salt="s")` of Django 1.11, 3.2 and 4.2.
    #[test]
    fn signers_sign_with_the_algorithm_that_they_know() {
        let django = [(1, 11), (3, 0), (3, 1), (4, 0), (4, 1), (5, 2)];
        let of_1_11 = b"\x80\x02cdjango.core.signing\nSigner\nq\x01)\x81q\x02}q\x03(U\x04saltq\x04U\x01sU\x03keyq\x05U\x01kU\x03sepq\x06U\x01:ub.";
        assert_eq!(refusing_django(of_1_11, &django), django[2..]);
        let at_protocol_0 = b"ccopy_reg\n_reconstructor\np1\n(cdjango.core.signing\nSigner\np2\nc__builtin__\nobject\np3\nNtRp4\n(dp5\nS'salt'\np6\nS's'\nsS'key'\np7\nS'k'\nsS'sep'\np8\nS':'\nsb.";
        assert_eq!(refusing_django(at_protocol_0, &django), django[2..]);
        let with = |algorithm: &[u8]| {
            let head = b"\x80\x02cdjango.core.signing\nSigner\nq\x00)\x81q\x01}q\x02(X\x03\x00\x00\x00keyq\x03X\x01\x00\x00\x00kq\x04X\x03\x00\x00\x00sepq\x05X\x01\x00\x00\x00:q\x06X\x04\x00\x00\x00saltq\x07X\x01\x00\x00\x00sq\x08X\x09\x00\x00\x00algorithmq\x09X";
            [head, algorithm, b"ub."].concat()
        };
        let of_3_2 = with(b"\x06\x00\x00\x00sha256q\x0a");
        assert_eq!(refusing_django(&of_3_2, &django), django[..2]);
        // As all did before.
        let sha1 = with(b"\x04\x00\x00\x00sha1q\x0a");
        assert!(refusing_django(&sha1, &django).is_empty());
        // The class itself has no state.
        let class = b"\x80\x02cdjango.core.signing\nSigner\nq\x00.";
        assert!(refusing_django(class, &django).is_empty());
    }

    /// `EmailMultiAlternatives("s", ...)` of Django 1.11, 4.2 and 5.2.
    #[test]
    fn alternatives_of_mails_are_named_tuples_since_django_5_2() {
        let django = [(1, 11), (5, 1), (5, 2), (6, 0)];
        let mail = |attributes: &[u8]| {
            let head = b"\x80\x02cdjango.core.mail.message\nEmailMultiAlternatives\nq\x00)\x81q\x01}q\x02(X\x02\x00\x00\x00toq\x03]q\x04X\x06\x00\x00\x00c@d.chq\x05a";
            [head, attributes, b"ub."].concat()
        };
        let none =
            b"X\x0b\x00\x00\x00attachmentsq\x12]q\x13X\x0c\x00\x00\x00alternativesq\x17]q\x18";
        assert!(refusing_django(&mail(none), &django).is_empty());
        // Attachments are taken apart, whatever tuples they are.
        let file = b"X\x0b\x00\x00\x00attachmentsq\x12]q\x13X\x05\x00\x00\x00a.txtq\x14X\x04\x00\x00\x00textq\x15X\n\x00\x00\x00text/plainq\x16\x87q\x17aX\x0c\x00\x00\x00alternativesq\x1b]q\x1c";
        assert!(refusing_django(&mail(file), &django).is_empty());
        let plain = b"X\x0c\x00\x00\x00alternativesq\x1b]q\x1cX\x03\x00\x00\x00<p>q\x1dX\x09\x00\x00\x00text/htmlq\x1e\x86q\x1fa";
        assert_eq!(refusing_django(&mail(plain), &django), django[2..]);
        let named = b"X\x0c\x00\x00\x00alternativesq\x1d]q\x1ecdjango.core.mail.message\nEmailAlternative\nq\x1fX\x03\x00\x00\x00<p>q X\x09\x00\x00\x00text/htmlq!\x86q\"\x81q#a";
        assert!(refusing_django(&mail(named), &django).is_empty());
        let at_protocol_0 = b"ccopy_reg\n_reconstructor\np1\n(cdjango.core.mail.message\nEmailMultiAlternatives\np2\nc__builtin__\nobject\np3\nNtRp4\n(dp5\nS'attachments'\np9\n(lp10\nsS'alternatives'\np16\n(lp17\n(S'<p>'\np18\nS'text/html'\np19\ntp20\nasS'to'\np23\n(lp24\nS'c@d.ch'\np25\nasb.";
        assert_eq!(refusing_django(at_protocol_0, &django), django[2..]);
        // Beside a mail, a dict with the same key is nobody's state.
        let beside = [&mail(none)[..mail(none).len() - 1], b"}X\x0c\x00\x00\x00alternatives](X\x03\x00\x00\x00<p>X\x09\x00\x00\x00text/html\x86es\x86."].concat();
        assert!(refusing_django(&beside, &django).is_empty());
    }

    #[test]
    fn a_query_has_the_attributes_that_its_series_reads() {
        let old = Said::TABLES | Said::PRIVATE_EXTRA | Said::EXTRA_CACHE;
        let of_2_2 = Said::PRIVATE_EXTRA | Said::EXPLAIN_QUERY | Said::EXTRA_CACHE;
        let of_3_0 = Said::EXTRA | Said::EXPLAIN_QUERY | Said::EXTRA_CACHE;
        let of_3_2 = of_3_0 | Said::ALIAS_COLS;
        let of_4_0 = Said::EXTRA | Said::EXTRA_CACHE | Said::ALIAS_COLS | Said::EXPLAIN_INFO;
        let of_4_1 = Said::EXTRA | Said::ALIAS_COLS;
        let django = [
            (1, 11),
            (2, 0),
            (2, 2),
            (3, 0),
            (3, 2),
            (4, 0),
            (4, 1),
            (5, 0),
        ];
        let taken = |said| -> Vec<Series> {
            let takes = |series: &Series| is_query_of(said, *series);
            django.into_iter().filter(takes).collect()
        };
        assert_eq!(taken(old), [(1, 11), (2, 0)]);
        assert_eq!(taken(of_2_2), [(2, 0), (2, 2)]);
        assert_eq!(taken(of_3_0), [(3, 0)]);
        assert_eq!(taken(of_3_2), [(3, 0), (3, 2), (4, 1), (5, 0)]);
        assert_eq!(taken(of_4_0), [(4, 0), (4, 1), (5, 0)]);
        assert_eq!(taken(of_4_1), [(4, 1), (5, 0)]);
        // The class itself has no state.
        let class = b"\x80\x02cdjango.db.models.sql.query\nQuery\nq\x00.";
        assert!(refusing_django(class, &django).is_empty());
    }
}
