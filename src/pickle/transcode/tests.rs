//! Each pitfall by itself, and pickles that nobody writes.

use super::python3::MAX_DIGITS;
use super::*;
use crate::pickle::opcode::PROTO;
use crate::pickle::{Extensions, Flaw, Scanner};

const TEXT: Form = Form::Python3 {
    py2_str: Py2Str::Text,
};
const BYTES: Form = Form::Python3 {
    py2_str: Py2Str::Bytes,
};
const FORMS: [Form; 5] = [Form::Python2, Form::Protocol4, Form::Protocol5, TEXT, BYTES];

/// Python 2.7 with an old-style class, Python 3 with a newer Django and `NumPy` 1.
struct Known;

impl Environment for Known {
    fn is_classic(&self, module: &[u8], name: &[u8]) -> bool {
        (module, name) == (b"a", b"Old")
    }

    fn has(&self, module: &[u8], _name: &[u8]) -> Option<bool> {
        Some(!module.starts_with(b"numpy._core"))
    }

    fn django(&self) -> Option<(u16, u16)> {
        Some((4, 2))
    }
}

fn transcode(form: Form, pickle: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = b"old".to_vec();
    let done = Transcoder::default().transcode(pickle, form, &Known, &mut out);
    if done.is_ok() {
        Scanner::default()
            .scan(&out, Extensions::NONE)
            .unwrap_or_else(|broken| panic!("{broken}: {}", out.escape_ascii()));
    } else {
        assert_eq!(out, b"");
    }
    done.map(|()| out)
}

#[track_caller]
fn becomes(form: Form, pickle: &[u8], expected: &[u8]) {
    let out = transcode(form, pickle);
    let shown = out.as_ref().map(|out| out.escape_ascii().to_string());
    let expected = expected.escape_ascii().to_string();
    assert_eq!(shown, Ok(expected), "{}", pickle.escape_ascii());
}

#[track_caller]
fn is_refused(form: Form, pickle: &[u8], expected: Obstacle) {
    match transcode(form, pickle) {
        Err(Refusal::NoForm { obstacle, .. }) => assert_eq!(obstacle, expected),
        other => panic!("{other:?}: {}", pickle.escape_ascii()),
    }
}

// Python 3 to 2 -------------------------------------------------------------

#[test]
fn memo_entries_that_nobody_reads_are_left_out() {
    // MEMOIZE counts what BINPUT has put: the list is entry 1, not 0.
    becomes(
        Form::Python2,
        b"\x80\x04]q\x00]\x94(h\x01h\x01e.",
        b"\x80\x02]]q\x00(h\x00h\x00e.",
    );
    // Entry 7 takes one place: the next MEMOIZE is 1.
    becomes(
        Form::Python2,
        b"\x80\x04]\x8c\x03abc0q\x07]\x94(h\x01h\x07e.",
        b"\x80\x02]X\x03\0\0\0abc0q\x00]q\x01(h\x01h\x00e.",
    );
    // An entry that is replaced is another one.
    becomes(
        Form::Python2,
        b"\x80\x04]q\x00h\x00\x850]q\x000h\x00.",
        b"\x80\x02]q\x00h\x00\x850]q\x010h\x01.",
    );
}

#[test]
fn frames_are_left_out_wherever_they_cut() {
    becomes(
        Form::Python2,
        b"\x80\x04\x95\x02\0\0\0\0\0\0\0\x8c\x02ab.",
        b"\x80\x02X\x02\0\0\0ab.",
    );
    becomes(
        Form::Protocol4,
        b"\x80\x05\x95\x02\0\0\0\0\0\0\0\x8c\x02ab.",
        b"\x80\x04\x8c\x02ab.",
    );
}

#[test]
fn names_go_into_the_opcode_unless_they_are_data_too() {
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x08builtins\x94\x8c\x03len\x94\x93\x94.",
        b"\x80\x02c__builtin__\nlen\n.",
    );
    // The module's name is read again, as a name and as data.
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x01m\x94\x8c\x01n\x94\x93h\x00\x8c\x01o\x93h\x00\x87.",
        b"\x80\x02X\x01\0\0\0mq\x000cm\nn\ncm\no\nh\x00\x87.",
    );
    // With a frame in between.
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x01m\x94\x95\x06\0\0\0\0\0\0\0\x8c\x01n\x94\x93h\x01\x86.",
        b"\x80\x02X\x01\0\0\0nq\x000cm\nn\nh\x00\x86.",
    );
    // Not right before it.
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x01mN0\x8c\x01n\x93.",
        b"\x80\x02X\x01\0\0\0mN0X\x01\0\0\0n00cm\nn\n.",
    );
}

#[test]
fn names_are_those_of_python_2() {
    for (module, name, expected) in [
        ("builtins", "str", "__builtin__\nunicode"),
        ("builtins", "ValueError", "exceptions\nValueError"),
        ("queue", "Empty", "Queue\nEmpty"),
        ("a", "queue", "a\nqueue"),
        (
            "numpy._core.multiarray",
            "scalar",
            "numpy.core.multiarray\nscalar",
        ),
        ("numpy._corex", "f", "numpy._corex\nf"),
        (
            "django.utils.safestring",
            "SafeString",
            "django.utils.safestring\nSafeText",
        ),
    ] {
        let pickle = format!("\u{3}c{module}\n{name}\n.");
        let pickle = [b"\x80", pickle.as_bytes()].concat();
        becomes(
            Form::Python2,
            &pickle,
            format!("c{expected}\n.").header(2).as_slice(),
        );
    }
    // Below protocol 3 they have been written so already.
    becomes(
        Form::Python2,
        b"\x80\x02cbuiltins\nstr\n.",
        b"\x80\x02cbuiltins\nstr\n.",
    );
    becomes(
        Form::Python2,
        b"(iqueue\nEmpty\n.",
        b"\x80\x02(iqueue\nEmpty\n.",
    );
    becomes(
        Form::Python2,
        b"\x80\x03(iqueue\nEmpty\n.",
        b"\x80\x02(iQueue\nEmpty\n.",
    );
    is_refused(
        Form::Python2,
        "c\u{e9}\nn\n.".header(3).as_slice(),
        Obstacle::NonAsciiName,
    );
    is_refused(
        Form::Python2,
        b"\x80\x04\x8c\x01m\x8c\x02\xc3\xa9\x93.",
        Obstacle::NonAsciiName,
    );
    is_refused(
        Form::Python2,
        b"\x80\x04\x8c\x01m\x8c\x03a\nb\x93.",
        Obstacle::LineBreakInName,
    );
}

trait Header {
    fn header(&self, protocol: u8) -> Vec<u8>;
}

impl Header for str {
    fn header(&self, protocol: u8) -> Vec<u8> {
        [&[PROTO, protocol], self.as_bytes()].concat()
    }
}

#[test]
fn dots_get_attributes() {
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x08builtins\x8c\x07str.a.b\x93.",
        b"\x80\x02c__builtin__\ngetattr\nq\x000h\x00h\x00c__builtin__\nunicode\nX\x01\0\0\0a\x86RX\x01\0\0\0b\x86R.",
    );
    // Below protocol 4 a dot is a character.
    becomes(Form::Python2, b"\x80\x03cm\na.b\n.", b"\x80\x02cm\na.b\n.");
}

#[test]
fn strings_take_the_forms_of_python_2() {
    becomes(
        Form::Python2,
        b"\x80\x04\x8d\x01\0\0\0\0\0\0\0a.",
        b"\x80\x02X\x01\0\0\0a.",
    );
    becomes(
        Form::Python2,
        b"\x80\x03C\x02\xff\x00.",
        b"\x80\x02U\x02\xff\x00.",
    );
    becomes(Form::Python2, b"\x80\x03C\x00.", b"\x80\x02U\x00.");
    becomes(
        Form::Python2,
        b"\x80\x03B\x01\0\0\0\xff.",
        b"\x80\x02U\x01\xff.",
    );
    becomes(
        Form::Python2,
        b"\x80\x04\x8e\x01\0\0\0\0\0\0\0\xff.",
        b"\x80\x02U\x01\xff.",
    );
    let long = [b"\x80\x03B\x00\x01\0\0", &[7; 256][..], b"."].concat();
    becomes(
        Form::Python2,
        &long,
        &[b"\x80\x02T\x00\x01\0\0", &[7; 256][..], b"."].concat(),
    );
    becomes(
        Form::Python2,
        b"\x80\x05\x96\x01\0\0\0\0\0\0\0\xff\x94\x96\0\0\0\0\0\0\0\0h\x00\x87.",
        b"\x80\x02c__builtin__\nbytearray\nq\x000h\x00U\x01\xff\x85Rq\x01h\x00)Rh\x01\x87.",
    );
}

#[test]
fn sets_are_made_of_lists() {
    const SET: &[u8] = b"\x80\x02c__builtin__\nset\nq\x000";
    let set = |rest: &[u8]| [SET, rest].concat();
    becomes(Form::Python2, b"\x80\x04\x8f.", &set(b"h\x00)R."));
    becomes(
        Form::Python2,
        b"\x80\x04\x8f\x94h\x00\x86.",
        &set(b"h\x00)Rq\x01h\x01\x86."),
    );
    // In one go and in several; the memo gets it when it is whole.
    becomes(
        Form::Python2,
        b"\x80\x04\x8f\x94(K\x01\x90h\x00\x86.",
        &set(b"h\x00](K\x01e\x85Rq\x01h\x01\x86."),
    );
    becomes(
        Form::Python2,
        b"\x80\x04\x8f\x94(K\x01\x90(K\x02\x90(K\x03\x90.",
        &set(b"h\x00](K\x01e(K\x02e(K\x03e\x85R."),
    );
    // One in which another is made.
    becomes(
        Form::Python2,
        b"\x80\x04\x8f(\x8f(K\x01\x90\x85\x90.",
        &set(b"h\x00](h\x00](K\x01e\x85R\x85e\x85R."),
    );
    becomes(
        Form::Python2,
        b"\x80\x04(K\x01\x91\x94h\x00\x86.",
        b"\x80\x02c__builtin__\nfrozenset\nq\x000h\x00](K\x01e\x85Rq\x01h\x01\x86.",
    );
}

#[test]
fn a_set_that_reaches_itself_is_there_before_its_members() {
    becomes(
        Form::Python2,
        b"\x80\x04\x8f\x94(K\x01\x90(h\x00\x85\x90.",
        b"\x80\x02c__builtin__\nset\nq\x000c__builtin__\ngetattr\nq\x010X\x06\0\0\0updateq\x020\
          h\x00)Rq\x03h\x01h\x03h\x02\x86R](K\x01e\x85R0h\x01h\x03h\x02\x86R](h\x03\x85e\x85R0.",
    );
    // Fetched from the memo to be added to.
    becomes(
        Form::Python2,
        b"\x80\x04\x8f\x940h\x00(K\x01\x90.",
        b"\x80\x02c__builtin__\nset\nq\x000c__builtin__\ngetattr\nq\x010X\x06\0\0\0updateq\x020\
          h\x00)Rq\x030h\x03h\x01h\x03h\x02\x86R](K\x01e\x85R0.",
    );
}

#[test]
fn what_nobody_writes_of_sets_is_refused() {
    for pickle in [
        &b"\x80\x04\x8f2(K\x01\x900."[..],
        b"\x80\x04\x8f(K\x01\x90\x94(h\x00\x85\x90.",
        b"\x80\x04\x8f}b.",
        b"\x80\x04cm\nn\n)R(K\x01\x90.",
    ] {
        is_refused(Form::Python2, pickle, Obstacle::Shape);
    }
    // An APPENDS would reach the list that it is made of.
    let broken = transcode(Form::Python2, b"\x80\x04\x8f(K\x01e(K\x01\x90.");
    let flaw = Flaw::Operand;
    assert_eq!(broken, Err(Refusal::Broken(Broken { flaw, at: 6 })));
}

#[test]
fn keyword_arguments_are_applied() {
    becomes(
        Form::Python2,
        b"\x80\x04cm\nn\n)}\x92.",
        b"\x80\x02c__builtin__\ngetattr\nq\x000c__builtin__\napply\nq\x010cfunctools\npartial\nq\x020\
          X\x07\0\0\0__new__q\x030Nq\x040Nq\x050Nq\x060cm\nn\n)}q\x060q\x050q\x040\
          h\x01h\x02h\x00h\x04h\x03\x86Rh\x04\x86Rh\x05h\x06\x87R.",
    );
}

#[test]
fn the_fold_is_left_out() {
    becomes(
        Form::Python2,
        b"\x80\x04cdatetime\ndatetime\nC\x0a\x07\xe3\x8b\x01\x02\x03\x04\0\0\x80\x94\x85R.",
        b"\x80\x02cdatetime\ndatetime\nU\x0a\x07\xe3\x0b\x01\x02\x03\x04\0\0\x80\x85R.",
    );
    becomes(
        Form::Python2,
        b"\x80\x04cdatetime\ntime\nC\x06\x81\x02\x03\0\0\x80\x85R.",
        b"\x80\x02cdatetime\ntime\nU\x06\x01\x02\x03\0\0\x80\x85R.",
    );
    // A date has none, and other classes may have other bytes.
    becomes(
        Form::Python2,
        b"\x80\x04cm\ndatetime\nC\x0a\x07\xe3\x8b\x01\x02\x03\x04\0\0\x80\x85R.",
        b"\x80\x02cm\ndatetime\nU\x0a\x07\xe3\x8b\x01\x02\x03\x04\0\0\x80\x85R.",
    );
    // The same bytes as data stay what they are.
    becomes(
        Form::Python2,
        b"\x80\x04cdatetime\ntime\nC\x06\x81\x02\x03\0\0\x80\x94\x85Rh\x00\x86.",
        b"\x80\x02cdatetime\ntime\nU\x06\x01\x02\x03\0\0\x80U\x06\x81\x02\x03\0\0\x80q\x000\x85Rh\x00\x86.",
    );
}

fn array(type_code: u8, format: u8, items: &[u8]) -> Vec<u8> {
    let mut pickle =
        b"\x80\x04carray\n_array_reconstructor\n\x94(carray\narray\n\x94\x8c\x01".to_vec();
    pickle.extend_from_slice(&[type_code, 0x94, b'K', format, b'C', items.len() as u8]);
    pickle.extend_from_slice(items);
    pickle.extend_from_slice(b"\x94t\x94R\x94.");
    pickle
}

#[test]
fn arrays_are_made_of_lists() {
    for (type_code, format, items, expected) in [
        (b'B', 0, &b"\x01\xff"[..], &b"K\x01K\xff"[..]),
        (b'b', 1, b"\x01\xff", b"K\x01J\xff\xff\xff\xff"),
        (b'H', 2, b"\x01\x02", b"M\x01\x02"),
        (b'H', 3, b"\x01\x02", b"M\x02\x01"),
        (b'h', 5, b"\xff\xfe", b"J\xfe\xff\xff\xff"),
        (b'I', 6, b"\xff\xff\xff\xff", b"\x8a\x05\xff\xff\xff\xff\0"),
        (b'i', 9, b"\x80\0\0\0", b"J\0\0\0\x80"),
        (
            b'L',
            10,
            &[0xff; 8],
            b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0",
        ),
        (
            b'l',
            13,
            b"\x80\0\0\0\0\0\0\0",
            b"\x8a\x08\0\0\0\0\0\0\0\x80",
        ),
        (b'f', 15, b"\x3f\x80\0\0", b"G\x3f\xf0\0\0\0\0\0\0"),
        (b'd', 16, b"\0\0\0\0\0\0\xf0\x3f", b"G\x3f\xf0\0\0\0\0\0\0"),
        (b'd', 17, b"", b""),
    ] {
        let head = [
            b"\x80\x02carray\narray\nX\x01\0\0\0",
            &[type_code][..],
            b"](",
        ]
        .concat();
        let expected = [&head, expected, b"e\x86R."].concat();
        becomes(Form::Python2, &array(type_code, format, items), &expected);
    }
    for type_code in [b'u', b'w', b'q', b'Q'] {
        let obstacle = Obstacle::ArrayType(char::from(type_code));
        is_refused(Form::Python2, &array(type_code, 12, b""), obstacle);
    }
    for (format, items) in [(20, &b""[..]), (8, b"\x01"), (2, b"\x01\x02\x03")] {
        is_refused(
            Form::Python2,
            &array(b'i', format, items),
            Obstacle::ArrayShape,
        );
    }
}

#[test]
fn classic_instances_are_made_as_python_2_makes_them() {
    becomes(
        Form::Python2,
        b"\x80\x04\x8c\x01a\x94\x8c\x03Old\x94\x93\x94)\x81\x94}b.",
        b"\x80\x02(ca\nOld\no}b.",
    );
    becomes(
        Form::Python2,
        b"\x80\x03ca\nOld\nq\x00)\x81h\x00)\x81\x86.",
        b"\x80\x02(ca\nOld\nq\x00o(h\x00o\x86.",
    );
    is_refused(
        Form::Python2,
        b"\x80\x03ca\nOld\nK\x01\x85\x81.",
        Obstacle::ClassicArguments,
    );
    is_refused(
        Form::Python2,
        b"\x80\x04ca\nOld\n)}\x92.",
        Obstacle::ClassicArguments,
    );
    // Below protocol 2 a function makes it.
    becomes(
        Form::Python2,
        b"ccopy_reg\n_reconstructor\n(ca\nOld\nc__builtin__\nobject\nNtRp0\n}bg0\n\x86.",
        b"\x80\x02ccopy_reg\n_reconstructor\n(ca\nOld\nc__builtin__\nobject\nNt00(ca\nOld\noq\x00}bh\x00\x86.",
    );
    is_refused(
        Form::Python2,
        b"ccopy_reg\n_reconstructor\n(ca\nOld\nc__builtin__\nint\nK\x01tR.",
        Obstacle::ClassicArguments,
    );
    // An empty tuple from the memo, whose key looks like EMPTY_TUPLE.
    let puts = [
        b"\x80\x03)",
        &(0..=0x29).flat_map(|k| [b'q', k]).collect::<Vec<u8>>()[..],
    ]
    .concat();
    let pickle = [&puts[..], b"0ca\nOld\nh\x29\x81."].concat();
    is_refused(Form::Python2, &pickle, Obstacle::Shape);
}

// Every form --------------------------------------------------------------------

#[test]
fn what_depends_on_the_application_is_refused() {
    for form in FORMS {
        is_refused(form, b"Pabc\n.", Obstacle::PersistentId);
        is_refused(form, b"K\x01Q.", Obstacle::PersistentId);
        is_refused(form, b"\x80\x02\x82\x01.", Obstacle::ExtensionCode);
        is_refused(form, b"\x80\x02N0\x80\x02N.", Obstacle::SecondProtocol);
    }
    is_refused(
        Form::Python2,
        b"\x80\x05\x97\x98.",
        Obstacle::OutOfBandBuffer,
    );
    is_refused(Form::Protocol4, b"\x80\x05\x97.", Obstacle::OutOfBandBuffer);
    is_refused(TEXT, b"\x80\x03N.", Obstacle::FromPython3);
    is_refused(TEXT, b"\x80\x02C\x00.", Obstacle::FromPython3);
}

#[test]
fn what_follows_stop_is_left_out() {
    for form in FORMS {
        let out = transcode(form, b"\x80\x02N.trailing").unwrap();
        assert_eq!(out[2..], *b"N.");
    }
}

#[test]
fn truncation_anywhere_is_no_pickle() {
    let whole: [&[u8]; 3] = [
        b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8f\x94(\x8c\x01a\x94h\x00\x85\x90\x8c\x01m\x94\x8c\x01n\x94\x93\x94)}\x92\x94\x87.",
        b"\x80\x05\x96\x02\0\0\0\0\0\0\0ab\x94C\x01x\x94\x86\x94.",
        b"(lp0\nS'a\\xff'\np1\naF1.5\na(icopy_reg\nX\np2\na.",
    ];
    for pickle in whole {
        for len in 0..pickle.len() {
            for form in FORMS {
                let refused = transcode(form, &pickle[..len]).unwrap_err();
                assert!(
                    matches!(refused, Refusal::Broken(_)),
                    "{refused}: {}",
                    pickle[..len].escape_ascii()
                );
            }
        }
    }
}

#[test]
fn hostile_shapes_take_linear_time_and_bounded_room() {
    let mut transcoder = Transcoder::default();
    let n = 200_000;
    let times = |unit: &[u8]| unit.repeat(n);
    let shapes: [Vec<u8>; 10] = [
        // Deep nesting, of lists and of MARKs.
        [b"]".to_vec(), times(b"]"), times(b"a"), b".".to_vec()].concat(),
        [times(b"("), times(b"t"), b".".to_vec()].concat(),
        // Many sets within one another, side by side, and batches without members.
        [b"\x80\x04".to_vec(), times(b"\x8f0"), b"N.".to_vec()].concat(),
        [b"\x80\x04\x8f".to_vec(), times(b"(\x90"), b".".to_vec()].concat(),
        [
            b"\x80\x04\x8f\x94(h\x00\x85\x90".to_vec(),
            times(b"(\x90"),
            b".".to_vec(),
        ]
        .concat(),
        // Frozensets, frames, entries put and read.
        [b"\x80\x04".to_vec(), times(b"(\x910"), b"N.".to_vec()].concat(),
        [
            b"\x80\x04".to_vec(),
            times(b"\x95\0\0\0\0\0\0\0\0"),
            b"N.".to_vec(),
        ]
        .concat(),
        [b"\x80\x04N".to_vec(), times(b"q\x00h\x000"), b".".to_vec()].concat(),
        // Instances with keyword arguments out of almost nothing.
        [
            b"\x80\x04cm\nn\n)\x94}\x94".to_vec(),
            times(b"h\x00h\x01\x92"),
            b".".to_vec(),
        ]
        .concat(),
        // One long name, again and again.
        [
            b"\x80\x04\x8d\x10\x27\0\0\0\0\0\0".to_vec(),
            vec![b'm'; 10_000],
            b"\x94".to_vec(),
            times(b"h\x00\x930h\x00"),
            b".".to_vec(),
        ]
        .concat(),
    ];
    let mut grew = 0;
    for shape in &shapes {
        let mut out = Vec::new();
        match transcoder.transcode(shape, Form::Python2, &Known, &mut out) {
            Ok(()) => assert!(out.len() <= bound(shape.len())),
            Err(Refusal::NoForm { obstacle, .. }) => {
                assert_eq!(obstacle, Obstacle::Growth);
                assert!(out.capacity() <= 2 * bound(shape.len()));
                grew += 1;
            }
            Err(Refusal::Broken(broken)) => panic!("{broken}: {}", shape[..40].escape_ascii()),
        }
    }
    assert!(grew >= 1);
}

#[test]
fn a_huge_memo_index_or_length_allocates_nothing() {
    for pickle in [
        &b"\x80\x04Nr\xff\xff\xff\x7f."[..],
        b"\x80\x04\x8e\0\0\0\0\0\0\0\x40.",
        b"\x80\x03B\xff\xff\xff\x7f.",
        b"Np999999999\n.",
    ] {
        let mut out = Vec::new();
        let refused = Transcoder::default().transcode(pickle, Form::Python2, &Known, &mut out);
        assert!(matches!(refused, Err(Refusal::Broken(_))));
        assert!(out.capacity() < 100);
    }
}

// Newer Python 3 to older ---------------------------------------------------------

#[test]
fn bytearrays_are_called_below_protocol_5() {
    becomes(
        Form::Protocol4,
        b"\x80\x05\x96\x01\0\0\0\0\0\0\0\xff\x94h\x00\x86.",
        b"\x80\x04cbuiltins\nbytearray\nC\x01\xff\x85R\x94h\x00\x86.",
    );
    becomes(
        Form::Protocol4,
        b"\x80\x05\x96\0\0\0\0\0\0\0\0.",
        b"\x80\x04cbuiltins\nbytearray\n)R.",
    );
    becomes(
        Form::Protocol5,
        b"\x80\x05\x96\0\0\0\0\0\0\0\0.",
        b"\x80\x05\x96\0\0\0\0\0\0\0\0.",
    );
    // A lower protocol stays: its names are translated, those of 4 are not.
    becomes(
        Form::Protocol4,
        b"\x80\x02cQueue\nEmpty\n.",
        b"\x80\x02cQueue\nEmpty\n.",
    );
}

#[test]
fn numpy_is_called_what_the_reader_calls_it() {
    for form in [Form::Protocol4, Form::Protocol5] {
        becomes(
            form,
            b"\x80\x04\x8c\x0bnumpy._core\x94\x8c\x01f\x94\x93h\x00\x86.",
            b"\x80\x04\x8c\x0bnumpy._core\x94\x8c\x01f\x9400cnumpy.core\nf\nh\x00\x86.",
        );
        becomes(
            form,
            b"\x80\x03cnumpy._core.x\nf\n.",
            b"\x80\x03cnumpy.core.x\nf\n.",
        );
        becomes(
            form,
            b"\x80\x03cnumpy.core\nf\n.",
            b"\x80\x03cnumpy.core\nf\n.",
        );
    }
}

// Python 2 to 3 ---------------------------------------------------------------

#[test]
fn a_str_becomes_what_it_is() {
    for (pickle, text, bytes) in [
        (&b"U\x01a."[..], &b"X\x01\0\0\0a."[..], &b"C\x01a."[..]),
        (b"T\x01\0\0\0a.", b"X\x01\0\0\0a.", b"C\x01a."),
        (b"S'a'\n.", b"X\x01\0\0\0a.", b"C\x01a."),
        (
            br#"S"it's\n\x41"
."#,
            b"X\x06\0\0\0it's\nA.",
            b"C\x06it's\nA.",
        ),
        (
            b"U\x02\xc3\xa9.",
            b"X\x02\0\0\0\xc3\xa9.",
            b"C\x02\xc3\xa9.",
        ),
        (b"U\x01\xe9.", b"C\x01\xe9.", b"C\x01\xe9."),
        (b"S'\\xe9'\n.", b"C\x01\xe9.", b"C\x01\xe9."),
        // A lone surrogate is no UTF-8.
        (
            b"U\x03\xed\xa0\x80.",
            b"C\x03\xed\xa0\x80.",
            b"C\x03\xed\xa0\x80.",
        ),
        (b"X\x01\0\0\0a.", b"X\x01\0\0\0a.", b"X\x01\0\0\0a."),
        (b"Va\\u00e9\n.", b"Va\\u00e9\n.", b"Va\\u00e9\n."),
    ] {
        becomes(TEXT, pickle, &[b"\x80\x03", text].concat());
        becomes(BYTES, pickle, &[b"\x80\x03", bytes].concat());
    }
}

#[test]
fn dates_and_numpy_keep_their_bytes() {
    for form in [TEXT, BYTES] {
        // ASCII as it is, and given to somebody else too.
        becomes(
            form,
            b"\x80\x02cdatetime\ndate\nU\x04\x07\x7f\x01\x02q\x00\x85Rh\x00\x86.",
            b"\x80\x03cdatetime\ndate\nC\x04\x07\x7f\x01\x02q\x00\x85Rh\x00\x86.",
        );
        becomes(
            form,
            b"cdatetime\ndate\n(S'\\x07\\x7f\\x01\\x02'\np0\ntRp1\n.",
            b"\x80\x03cdatetime\ndate\n(C\x04\x07\x7f\x01\x02p0\ntRp1\n.",
        );
        becomes(
            form,
            b"\x80\x02cnumpy.core.multiarray\nscalar\nNU\x01a\x86R.",
            b"\x80\x03cnumpy.core.multiarray\nscalar\nNC\x01a\x86R.",
        );
        becomes(
            form,
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01)N\x89U\x01atb.",
            b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n)R(K\x01)N\x89C\x01atb.",
        );
    }
}

#[test]
fn names_of_python_2_are_translated() {
    becomes(TEXT, b"cQueue\nEmpty\n.", b"\x80\x03cqueue\nEmpty\n.");
    becomes(
        TEXT,
        b"\x80\x02c__builtin__\nunicode\n.",
        b"\x80\x03cbuiltins\nstr\n.",
    );
    becomes(
        TEXT,
        b"(iexceptions\nValueError\n.",
        b"\x80\x03(ibuiltins\nValueError\n.",
    );
}

#[test]
fn names_and_arguments_stay_text_among_bytes() {
    // An instance's attributes; what they hold, and other dicts, are bytes.
    becomes(
        BYTES,
        b"\x80\x02cm\nC\n)\x81}(U\x01aU\x01bU\x01c}U\x01dU\x01esub.",
        b"\x80\x03cm\nC\n)\x81}(X\x01\0\0\0aC\x01bX\x01\0\0\0c}C\x01dC\x01esub.",
    );
    becomes(
        BYTES,
        b"\x80\x02cdecimal\nDecimal\nU\x011\x85R.",
        b"\x80\x03cdecimal\nDecimal\nX\x01\0\0\x001\x85R.",
    );
    let many = b"cm\nf\n(NNNNNNNtR.";
    is_refused(BYTES, many, Obstacle::ManyArguments);
    assert!(transcode(TEXT, many).is_ok());
}

#[test]
fn long_decimals_become_binary() {
    for (digits, op) in [(4_300, b'L'), (4_301, 0x8b), (MAX_DIGITS, 0x8b)] {
        for tail in ["L\n.", "\n."] {
            let code = if tail.len() == 3 { "L" } else { "I" };
            let pickle = format!("{code}-{}{tail}", "7".repeat(digits));
            let out = transcode(TEXT, pickle.as_bytes()).unwrap();
            let op = if op == b'L' { code.as_bytes()[0] } else { op };
            assert_eq!(out[2], op);
        }
    }
    let pickle = format!("L{}L\n.", "7".repeat(MAX_DIGITS + 1));
    is_refused(TEXT, pickle.as_bytes(), Obstacle::Digits);
}

#[test]
fn a_safe_text_loses_the_state_that_it_has_no_room_for() {
    let safe = |rest: &[u8]| {
        let head = b"cdjango.utils.safestring\nSafeText\nX\x01\0\0\0a\x85\x81";
        [b"\x80\x02", &head[..], rest].concat()
    };
    let mut expected = safe(b"}q\x000.");
    expected[1] = 3;
    becomes(TEXT, &safe(b"}q\x00b."), &expected);
    is_refused(TEXT, &safe(b"}U\x01aU\x01bsb."), Obstacle::SafeStringState);
    let mut out = Vec::new();
    let mut transcoder = Transcoder::default();
    let done = transcoder.transcode(&safe(b"}b."), TEXT, &UnknownEnvironment, &mut out);
    assert_eq!(done, Ok(()));
    assert!(out.ends_with(b"}b."));
}
