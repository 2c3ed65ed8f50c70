//! The bounded look at the first bytes of a value. Finds the protocol that a
//! pickle declares, through zlib where the client compressed it; never looks
//! further than [`SNIFF_BYTES`].

use flate2::{Decompress, FlushDecompress};

use super::opcode::{HIGHEST_PROTOCOL, PROTO};

/// Leading bytes of a value that are enough. A zlib header, the longest dynamic Huffman
/// tables (under 300 bytes) and the first two literals fit.
pub const SNIFF_BYTES: usize = 512;

/// The marks that clients put on pickles: the bits of the client flags, and whether to
/// trust those or the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Mask of the flag that says "pickle".
    pub pickle_flag: u32,
    /// Mask of the flag that says "zlib".
    pub compressed_flag: u32,
    /// A value is a pickle if its flags say so.
    pub by_flags: bool,
    /// A value is a pickle if its bytes say so (protocol 2 and later).
    pub by_bytes: bool,
}

impl Default for Encoding {
    /// Bits 0 and 3, as python-memcached, pymemcache, pylibmc and bmemcached.
    fn default() -> Self {
        Self {
            pickle_flag: 1,
            compressed_flag: 1 << 3,
            by_flags: true,
            by_bytes: false,
        }
    }
}

impl Encoding {
    /// Whether a value with these flags needs a look at its bytes at all.
    pub fn may_be_pickle(&self, flags: u32) -> bool {
        self.by_bytes || (self.by_flags && flags & self.pickle_flag != 0)
    }

    /// Count of a value's leading bytes that [`Sniffer::sniff`] needs.
    pub fn bytes_needed(&self, flags: u32, value_len: usize) -> usize {
        if !self.may_be_pickle(flags) {
            0
        } else if flags & self.compressed_flag == 0 {
            value_len.min(2)
        } else {
            value_len.min(SNIFF_BYTES)
        }
    }
}

/// The findings in the first bytes of a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The declared protocol; 0 for pickles without a header (protocols 0 and
    /// 1 have none); `None` where the bytes are no pickle or no zlib stream.
    pub protocol: Option<u8>,
}

/// Looks at values; holds the one inflater that all of a worker's looks share.
#[derive(Debug)]
pub struct Sniffer {
    inflate: Decompress,
}

impl Default for Sniffer {
    fn default() -> Self {
        Self {
            inflate: Decompress::new(true),
        }
    }
}

impl Sniffer {
    /// The header of a value, or `None` if it is no pickle. `start` holds at
    /// least [`Encoding::bytes_needed`] leading bytes of it.
    #[inline]
    pub fn sniff(&mut self, encoding: &Encoding, flags: u32, start: &[u8]) -> Option<Header> {
        if !encoding.may_be_pickle(flags) {
            return None;
        }
        let flagged = encoding.by_flags && flags & encoding.pickle_flag != 0;
        let mut inflated = [0; 2];
        let head = if flags & encoding.compressed_flag == 0 {
            start
        } else {
            self.inflate(start, &mut inflated)
        };
        match *head {
            [PROTO, protocol, ..] if (2..=HIGHEST_PROTOCOL).contains(&protocol) => Some(Header {
                protocol: Some(protocol),
            }),
            _ if !flagged => None,
            // Future protocols are flagged pickles that nobody here can load.
            [PROTO, protocol, ..] if protocol > HIGHEST_PROTOCOL => Some(Header {
                protocol: Some(protocol),
            }),
            [first, ..] if starts_old_pickle(first) => Some(Header { protocol: Some(0) }),
            _ => Some(Header { protocol: None }),
        }
    }

    #[cold]
    fn inflate<'o>(&mut self, start: &[u8], out: &'o mut [u8; 2]) -> &'o [u8] {
        self.inflate.reset(true);
        let start = &start[..start.len().min(SNIFF_BYTES)];
        // An error leaves whatever was inflated before it.
        let _ = self.inflate.decompress(start, out, FlushDecompress::None);
        &out[..self.inflate.total_out() as usize]
    }
}

/// The opcodes that a pickle of protocol 0 or 1 can start with.
fn starts_old_pickle(first: u8) -> bool {
    b"(])}.NIFGJKLMSTUVXcP".contains(&first)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use serde_pickle::SerOptions;

    use super::*;

    fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn sniff(encoding: Encoding, flags: u32, value: &[u8]) -> Option<Header> {
        let needed = encoding.bytes_needed(flags, value.len());
        Sniffer::default().sniff(&encoding, flags, &value[..needed])
    }

    // The form in which `sniff` answers.
    #[allow(clippy::unnecessary_wraps)]
    fn header(protocol: u8) -> Option<Header> {
        Some(Header {
            protocol: Some(protocol),
        })
    }

    const BROKEN: Option<Header> = Some(Header { protocol: None });

    #[test]
    fn flagged_values_tell_their_protocol() {
        let by_flags = Encoding::default();
        assert_eq!(sniff(by_flags, 1, b"\x80\x04K\x01."), header(4));
        assert_eq!(sniff(by_flags, 1, b"\x80\x02K\x01."), header(2));
        assert_eq!(sniff(by_flags, 1, b"I1\n."), header(0));
        assert_eq!(sniff(by_flags, 1, b"\x80\x09."), header(9));
        assert_eq!(sniff(by_flags, 1, b""), BROKEN);
        assert_eq!(sniff(by_flags, 1, b"\xff\x00"), BROKEN);
        assert_eq!(sniff(by_flags, 0, b"\x80\x04K\x01."), None);
        assert_eq!(sniff(by_flags, 16, b"\x80\x04K\x01."), None);
    }

    proptest! {
        #[test]
        fn whatever_is_pickled_tells_its_protocol(
            value in proptest::collection::vec((".*", any::<f64>()), 0..20),
            level in 0u32..=9,
        ) {
            let pickled = |options| serde_pickle::to_vec(&value, options).unwrap();
            let (two, three) = (SerOptions::new().proto_v2(), SerOptions::new());
            for (protocol, options) in [(2, two), (3, three)] {
                let pickle = pickled(options);
                prop_assert_eq!(sniff(Encoding::default(), 1, &pickle), header(protocol));
                let compressed = deflate(&pickle, level);
                prop_assert_eq!(sniff(Encoding::default(), 9, &compressed), header(protocol));
            }
        }
    }

    #[test]
    fn raw_pickles_are_found_by_their_bytes() {
        let by_bytes = Encoding {
            by_flags: false,
            by_bytes: true,
            ..Encoding::default()
        };
        assert_eq!(sniff(by_bytes, 0, b"\x80\x05."), header(5));
        assert_eq!(sniff(by_bytes, 0, b"I1\n."), None);
        assert_eq!(sniff(by_bytes, 0, b"\x80\x77"), None);
    }

    #[test]
    fn compressed_values_are_inflated_as_far_as_needed() {
        let noise: Vec<u8> = (0..100_000u32)
            .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for body in [
            &b"\x80\x04"[..],
            &[b"\x80\x04".as_slice(), &noise].concat(),
            &[&b"\x80\x04"[..], &[b'a'; 9000]].concat(),
        ] {
            for level in [0, 1, 6, 9] {
                assert_eq!(
                    sniff(Encoding::default(), 9, &deflate(body, level)),
                    header(4)
                );
            }
        }
        assert_eq!(sniff(Encoding::default(), 9, b"not zlib"), BROKEN);
        assert_eq!(sniff(Encoding::default(), 9, b"\x78\x9c"), BROKEN);
    }
}
