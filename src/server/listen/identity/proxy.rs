//! The PROXY protocol header, version 2, at the start of a connection: where it
//! ends, and the runtime tag in it. Knows no socket; does not say what the tag
//! means.
//!
//! The addresses in it are not looked at, and neither is its checksum, if any: the
//! receiver may leave both.

use ppp::v2::{Header, PROTOCOL_PREFIX, ParseError, TypeLengthValues};

use crate::policy::MAX_TAG_BYTES;

/// Longest header accepted, its signature included, in bytes.
pub const MAX_HEADER_BYTES: usize = 4096;
/// The type of the field with the runtime tag, the first that the protocol leaves
/// to applications.
const TAG: u8 = 0xe0;
/// `<signature> <version and command> <family and transport> <length>`
const HEAD_BYTES: usize = PROTOCOL_PREFIX.len() + 4;

/// Result of parsing the first bytes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// No header of this version: all of them are the client's.
    NotProxy,
    /// The beginning of a header, or too few to tell.
    Partial,
    /// A header.
    Whole {
        /// Bytes that it takes; what follows is the client's.
        total: usize,
        /// The text of its tag, if it has one, not parsed.
        tag: Option<String>,
    },
}

/// Faults of a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Longer than [`MAX_HEADER_BYTES`].
    #[error("proxy header is {0} bytes, limit {MAX_HEADER_BYTES}")]
    TooLong(usize),
    /// Another version behind the signature of version 2.
    #[error("proxy header is of version {0}, only 2 has this signature")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("proxy header has command {0}, known are 0 (LOCAL) and 1 (PROXY)")]
    Command(u8),
    /// Neither unspecified nor IPv4, IPv6 or unix.
    #[error("proxy header has address family {0}, known are 0 to 3")]
    Family(u8),
    /// Neither unspecified nor a stream or datagrams.
    #[error("proxy header has transport {0}, known are 0 to 2")]
    Transport(u8),
    /// The addresses of its family do not fit.
    #[error("proxy header has {has} bytes behind its head, its addresses take {needs}")]
    Addresses {
        /// Length that the header states.
        has: usize,
        /// Length that the address family needs.
        needs: usize,
    },
    /// A field longer than what is left for it.
    #[error("proxy header ends inside a field")]
    Field,
    /// More than one field of the tag's type.
    #[error("proxy header has more than one runtime tag")]
    TwoTags,
    /// Longer than [`MAX_TAG_BYTES`].
    #[error("runtime tag in the proxy header is {0} bytes, limit {MAX_TAG_BYTES}")]
    LongTag(usize),
    /// The tag is not UTF-8.
    #[error("runtime tag in the proxy header is not UTF-8")]
    BadTag,
}

/// Looks for a header at the start of what a client has sent so far. Asked again
/// with more of it while it answers [`Parsed::Partial`], which it does for less than
/// [`MAX_HEADER_BYTES`].
///
/// # Errors
/// What is wrong with a header, as soon as the bytes before its fields are there.
pub fn parse(input: &[u8]) -> Result<Parsed, ProxyError> {
    let header = match Header::try_from(input) {
        Ok(header) => header,
        Err(ParseError::Prefix) => return Ok(Parsed::NotProxy),
        Err(ParseError::Incomplete(_)) => return Ok(Parsed::Partial),
        Err(ParseError::Partial(_, length)) => {
            return within_limit(HEAD_BYTES + length).map(|_| Parsed::Partial);
        }
        Err(error) => return Err(refusal(&error)),
    };
    let total = within_limit(header.len())?;
    let addresses = header.addresses.len();
    // Not `Header::tlvs`, which sees none behind addresses of no family.
    let fields = TypeLengthValues::from(&header.as_bytes()[HEAD_BYTES + addresses..]);
    let tag = tag_among(fields)?;
    Ok(Parsed::Whole { total, tag })
}

fn within_limit(total: usize) -> Result<usize, ProxyError> {
    if total > MAX_HEADER_BYTES {
        return Err(ProxyError::TooLong(total));
    }
    Ok(total)
}

fn tag_among(fields: TypeLengthValues<'_>) -> Result<Option<String>, ProxyError> {
    let mut tag = None;
    for field in fields {
        let field = field.map_err(|error| refusal(&error))?;
        if field.kind != TAG {
            continue;
        }
        if tag.is_some() {
            return Err(ProxyError::TwoTags);
        }
        if field.len() > MAX_TAG_BYTES {
            return Err(ProxyError::LongTag(field.len()));
        }
        let text = std::str::from_utf8(&field.value).map_err(|_| ProxyError::BadTag)?;
        tag = Some(text.to_owned());
    }
    Ok(tag)
}

/// The parser gives half bytes where they stand: the high ones shifted left.
fn refusal(error: &ParseError) -> ProxyError {
    match *error {
        ParseError::Version(version) => ProxyError::Version(version >> 4),
        ParseError::Command(command) => ProxyError::Command(command),
        ParseError::AddressFamily(family) => ProxyError::Family(family >> 4),
        ParseError::Protocol(transport) => ProxyError::Transport(transport),
        ParseError::InvalidAddresses(has, needs) => ProxyError::Addresses { has, needs },
        // Those about a header that is not there or not whole are no errors here.
        ParseError::InvalidTLV(..)
        | ParseError::Leftovers(_)
        | ParseError::Incomplete(_)
        | ParseError::Prefix
        | ParseError::Partial(..) => ProxyError::Field,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Family and transport, and how many bytes its addresses take.
    const FAMILIES: [(u8, usize); 8] = [
        (0x00, 0),
        (0x01, 0),
        (0x11, 12),
        (0x12, 12),
        (0x21, 36),
        (0x22, 36),
        (0x31, 216),
        (0x32, 216),
    ];

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind], &length[..], value].concat()
    }

    fn header(command: u8, (family, addresses): (u8, usize), fields: &[Vec<u8>]) -> Vec<u8> {
        let fields = fields.concat();
        let length = u16::try_from(addresses + fields.len()).unwrap();
        let mut header = PROTOCOL_PREFIX.to_vec();
        header.extend([command, family]);
        header.extend(length.to_be_bytes());
        header.extend(vec![7; addresses]);
        header.extend(fields);
        header
    }

    fn ipv4(fields: &[Vec<u8>]) -> Vec<u8> {
        header(0x21, (0x11, 12), fields)
    }

    fn whole(header: &[u8], tag: Option<&str>) -> Parsed {
        Parsed::Whole {
            total: header.len(),
            tag: tag.map(str::to_owned),
        }
    }

    #[test]
    fn tag_is_read_whatever_the_family_and_command() {
        let fields = [field(4, &[0; 9]), field(TAG, b"python/3.11"), field(1, b"")];
        for family in FAMILIES {
            for command in [0x20, 0x21] {
                let tagged = header(command, family, &fields);
                let expected = Ok(whole(&tagged, Some("python/3.11")));
                assert_eq!(parse(&tagged), expected, "{command:#x} {family:?}");
                let plain = header(command, family, &[]);
                let expected = Ok(whole(&plain, None));
                assert_eq!(parse(&plain), expected, "{command:#x} {family:?}");
            }
        }
    }

    #[test]
    fn what_follows_is_left() {
        let tagged = ipv4(&[field(TAG, b"py2")]);
        let sent = [&tagged[..], b"get a\r\n"].concat();
        assert_eq!(parse(&sent), Ok(whole(&tagged, Some("py2"))));
        let twice = [&tagged[..], &tagged[..]].concat();
        assert_eq!(parse(&twice), Ok(whole(&tagged, Some("py2"))));
    }

    #[test]
    fn other_first_bytes_are_the_clients_at_once() {
        let cases: [(&str, &[u8]); 7] = [
            ("a command", b"get a\r\n"),
            ("one byte", b"g"),
            ("an empty line and a command", b"\r\nget a\r\n"),
            ("two empty lines", b"\r\n\r\n\r\n"),
            ("all but the end of the signature", b"\r\n\r\n\0\r\nQUIT\r"),
            ("version 1", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
            ("binary protocol", b"\x80\x0a\0\0"),
        ];
        for (case, input) in cases {
            assert_eq!(parse(input), Ok(Parsed::NotProxy), "{case}");
        }
    }

    #[test]
    fn every_prefix_of_a_header_is_partial() {
        for family in FAMILIES {
            let tagged = header(0x21, family, &[field(TAG, b"py311"), field(4, &[0; 300])]);
            for cut in 0..tagged.len() {
                let prefix = &tagged[..cut];
                assert_eq!(parse(prefix), Ok(Parsed::Partial), "{family:?} {cut}");
            }
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let with = |at: usize, byte: u8| {
            let mut changed = ipv4(&[]);
            changed[at] = byte;
            changed
        };
        let fits = MAX_HEADER_BYTES - HEAD_BYTES - 12 - 3;
        let cases = [
            ("version", with(12, 0x11), ProxyError::Version(1)),
            ("command", with(12, 0x22), ProxyError::Command(2)),
            ("family", with(13, 0x41), ProxyError::Family(4)),
            ("transport", with(13, 0x13), ProxyError::Transport(3)),
            (
                "no room for the addresses",
                with(15, 11),
                ProxyError::Addresses { has: 11, needs: 12 },
            ),
            (
                "field without length",
                ipv4(&[vec![4, 0]]),
                ProxyError::Field,
            ),
            (
                "field past the end",
                ipv4(&[vec![4, 0, 2, 0]]),
                ProxyError::Field,
            ),
            (
                "tag past the end",
                ipv4(&[vec![TAG, 0, 4, b'p', b'y', b'2']]),
                ProxyError::Field,
            ),
            (
                "addresses of no family",
                header(0x21, (0x00, 12), &[]),
                ProxyError::Field,
            ),
            (
                "two tags",
                ipv4(&[field(TAG, b"py2"), field(TAG, b"py2")]),
                ProxyError::TwoTags,
            ),
            (
                "long tag",
                ipv4(&[field(TAG, &[b'p'; 129])]),
                ProxyError::LongTag(129),
            ),
            (
                "tag not UTF-8",
                ipv4(&[field(TAG, b"py\xff")]),
                ProxyError::BadTag,
            ),
            (
                "long header",
                ipv4(&[field(4, &vec![0; fits + 1])]),
                ProxyError::TooLong(4097),
            ),
            (
                "head of a long header",
                ipv4(&[field(4, &vec![0; 9000])])[..HEAD_BYTES].to_vec(),
                ProxyError::TooLong(9031),
            ),
        ];
        for (case, input, error) in cases {
            assert_eq!(parse(&input), Err(error), "{case}");
        }
        let longest = ipv4(&[field(4, &vec![0; fits])]);
        assert_eq!(parse(&longest), Ok(whole(&longest, None)));
    }

    #[test]
    fn tag_may_be_empty_or_as_long_as_any() {
        for tag in [
            String::new(),
            "x".repeat(MAX_TAG_BYTES),
            "\u{e9}".to_owned(),
        ] {
            let tagged = ipv4(&[field(TAG, tag.as_bytes())]);
            assert_eq!(parse(&tagged), Ok(whole(&tagged, Some(&tag))));
        }
    }

    fn others() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let kind = any::<u8>().prop_filter("the tag's", |kind| *kind != TAG);
        let other = (kind, vec(any::<u8>(), 0..200));
        vec(other.prop_map(|(kind, value)| field(kind, &value)), 0..8)
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            signature in any::<bool>(),
            start in prop::sample::select(vec![0x20u8, 0x21, 0x22]),
            family in any::<u8>(),
            length in 0u16..300,
            bytes in vec(any::<u8>(), 0..400),
        ) {
            let mut input = Vec::new();
            if signature {
                input.extend(PROTOCOL_PREFIX);
                input.extend([start, family]);
                input.extend(length.to_be_bytes());
            }
            input.extend(bytes);
            if let Ok(Parsed::Whole { total, .. }) = parse(&input) {
                prop_assert_eq!(total, HEAD_BYTES + usize::from(length));
                prop_assert!(total <= input.len());
            }
        }

        #[test]
        fn tag_is_found_among_other_fields(
            command in prop::sample::select(vec![0x20u8, 0x21]),
            family in prop::sample::select(FAMILIES.to_vec()),
            before in others(),
            tag in proptest::option::of("[a-z0-9/. ]{0,128}"),
            after in others(),
            rest in vec(any::<u8>(), 0..20),
        ) {
            let tagged = tag.iter().map(|tag| field(TAG, tag.as_bytes()));
            let fields: Vec<_> = before.into_iter().chain(tagged).chain(after).collect();
            let header = header(command, family, &fields);
            let sent = [&header[..], &rest[..]].concat();
            prop_assert_eq!(parse(&sent), Ok(whole(&header, tag.as_deref())));
            let cut = header.len() - 1;
            prop_assert_eq!(parse(&sent[..cut]), Ok(Parsed::Partial));
        }
    }
}
