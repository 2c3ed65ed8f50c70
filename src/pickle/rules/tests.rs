//! The rules by pickles that real interpreters wrote, and the table by itself.

use crate::pickle::reader::Series;
use crate::pickle::{Extensions, Reader, Scanner};

use super::judge::judge;
use super::known::Knowledge;
use super::row::{Besides, Kind};
use super::when::What;

#[test]
fn every_line_of_the_table_is_read_and_asks_for_what_there_is() {
    let rows = &Knowledge::get().rows;
    for (at, row) in rows.iter().enumerate() {
        let named = row.when.iter().all(|when| when.what == What::Named);
        match row.kind {
            Kind::Missing => assert!(named && row.why.is_empty(), "{row:?}"),
            Kind::Mark(_) => assert!(row.why.is_empty(), "{row:?}"),
            Kind::Doubtful => assert!(named && !row.why.is_empty(), "{row:?}"),
            _ => assert!(!row.why.is_empty(), "{row:?}"),
        }
        for besides in &row.besides {
            if let Besides::With(mark) | Besides::Without(mark) = besides {
                let mut kinds = rows.iter().map(|row| row.kind);
                assert!(kinds.any(|kind| kind == Kind::Mark(mark)), "{row:?}");
            }
        }
        // A second rule that says the same never gives a reason.
        let same = |other| format!("{other:?}") == format!("{row:?}");
        assert!(!rows[..at].iter().any(same) || named, "{row:?}");
    }
}

#[test]
fn names_are_matched_whole_by_their_beginning_or_below_a_package() {
    let knowledge = Knowledge::get();
    let known = |module: &str, name: &str| {
        let known = knowledge.of(module.as_bytes(), name.as_bytes());
        known.rows.iter().count()
    };
    let message = known("email.message", "Message");
    assert_eq!(message, 1);
    for module in ["email.mime", "email.mime.text", "email.mime.text.deep"] {
        assert_eq!(known(module, "MIMEText"), 1, "{module}");
    }
    for (module, name) in [
        ("email", "Message"),
        ("email.messages", "Message"),
        ("email.message", "Messages"),
        ("email.message.deep", "Message"),
        ("emails.mime", "Message"),
        ("shop.email.message", "Message"),
        ("", ""),
        (".", "."),
    ] {
        assert_eq!(known(module, name), 0, "{module}.{name}");
    }
    let response = known("django.http", "HttpResponse");
    assert!(response > 0);
    assert_eq!(known("django.http", "HttpResponseRedirect"), response);
    assert_eq!(known("django.http", "HttpRequest"), 0);
}

#[test]
fn django_has_names_that_come_and_go() {
    let named = |name: &str| format!("c{name}\n.").into_bytes();
    let django = [(1, 11), (3, 0), (4, 2), (5, 2)];
    let lacking = |name: &str| -> Vec<Series> {
        let pickle = named(name);
        let lacks = |series: &Series| {
            let mut scanner = Scanner::default();
            let scan = scanner.scan(&pickle, Extensions::NONE).unwrap();
            let reader = Reader::of_python(3, Some(8)).with_django(Some(*series));
            scan.judge(reader, None).is_err()
        };
        django.into_iter().filter(lacks).collect()
    };
    assert_eq!(lacking("django.utils.safestring\nSafeBytes"), django[1..]);
    assert!(lacking("django.utils.safestring\nSafeText").is_empty());
    assert_eq!(
        lacking("django.core.mail.message\nEmailAttachment"),
        django[..3]
    );
}

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
    let negative = b"c__builtin__\nxrange\nq\x00(L-9223372036854775808L\nK\x00K\x01tq\x01Rq\x02.";
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
    let none = b"X\x0b\x00\x00\x00attachmentsq\x12]q\x13X\x0c\x00\x00\x00alternativesq\x17]q\x18";
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

/// Each attribute that rules ask for is left out of some state.
#[test]
fn a_query_has_the_attributes_that_its_series_reads() {
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
    let taken = |attributes: &[&str]| -> Vec<Series> {
        let mut pickle =
            b"\x80\x02cdjango.db.models.sql.query\nQuery\nq\x00)\x81q\x01}q\x02(".to_vec();
        for attribute in attributes {
            let len = u8::try_from(attribute.len()).unwrap();
            pickle.extend([&[b'U', len], attribute.as_bytes(), b"N"].concat());
        }
        pickle.extend(b"ub.");
        let refusing = refusing_django(&pickle, &django);
        let takes = |series: &Series| !refusing.contains(series);
        django.into_iter().filter(takes).collect()
    };
    let old = ["tables", "_extra", "_extra_select_cache"];
    assert_eq!(taken(&old), [(1, 11), (2, 0)]);
    let of_2_2 = ["_extra", "explain_query", "_extra_select_cache"];
    assert_eq!(taken(&of_2_2), [(2, 0), (2, 2)]);
    let of_3_0 = ["extra", "explain_query", "_extra_select_cache"];
    assert_eq!(taken(&of_3_0), [(3, 0)]);
    let of_3_2 = [
        "extra",
        "explain_query",
        "_extra_select_cache",
        "alias_cols",
    ];
    assert_eq!(taken(&of_3_2), [(3, 0), (3, 2), (4, 1), (5, 0)]);
    let of_4_0 = ["extra", "_extra_select_cache", "alias_cols", "explain_info"];
    assert_eq!(taken(&of_4_0), [(4, 0), (4, 1), (5, 0)]);
    assert_eq!(taken(&["extra", "alias_cols"]), [(4, 1), (5, 0)]);
    // The class itself has no state.
    let class = b"\x80\x02cdjango.db.models.sql.query\nQuery\nq\x00.";
    assert!(refusing_django(class, &django).is_empty());
}
