//! The key codec: client key to physical key and back. Injective over all
//! (space, client key) pairs, and never longer than memcached allows.
//!
//! | client key | in a namespace | bare |
//! |---|---|---|
//! | ordinary | prefix, key | key |
//! | starts with a reserved prefix | prefix, key | `@//`, key |
//! | starts with `~` | prefix, `~`, digest | key |
//! | too long once prefixed | prefix, `~`, digest | `@//~`, digest |
//!
//! Too long is over 250 bytes, or over 186 where base64 can spell the client key
//! (up to 186 bytes), so that it can spell the physical one as well. Text and
//! base64 keys share one key space in memcached, so the choice depends on the
//! key's bytes alone, never on the form in which a client spelled it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::protocol::key::{MAX_BASE64_KEY_BYTES, MAX_KEY_BYTES};

/// Put in front of bare client keys that would read as somebody's namespace.
const ESCAPE: &[u8] = b"@//";
/// Marks a digest in place of the client key.
const HASHED: u8 = b'~';

/// A key space: [`SpaceId::BARE`], or a namespace by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub u8);

impl SpaceId {
    /// The keys of modes `shared`, `observe` and `guard`.
    pub const BARE: Self = Self(0);

    /// Position in tables that have one row per space, the bare space first.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The way back from a physical key to the client key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// The client key is what follows this many bytes.
    Strip(u8),
    /// The physical key holds a digest only. A caller that needs the client key must keep
    /// it.
    Hashed,
}

/// Key spaces of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCodec {
    /// Spaces by [`SpaceId`]; the bare space has no name and no prefix.
    spaces: Vec<Space>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Space {
    name: Box<str>,
    epoch: u64,
    /// `@name/` or `@name.epoch/`, padded with `/` to a multiple of three bytes.
    prefix: Box<[u8]>,
}

impl KeyCodec {
    /// Lays out the spaces of namespaces given as (name, epoch), in order: the
    /// first is `SpaceId(1)`. Names hold neither `.` nor `/`.
    pub fn new<'a>(namespaces: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let bare = Space {
            name: "".into(),
            epoch: 0,
            prefix: Box::default(),
        };
        let named = namespaces.into_iter().map(|(name, epoch)| Space {
            name: name.into(),
            epoch,
            prefix: namespace_prefix(name, epoch).into(),
        });
        Self {
            spaces: std::iter::once(bare).chain(named).collect(),
        }
    }

    /// Spaces, the bare one first.
    pub fn spaces(&self) -> impl ExactSizeIterator<Item = SpaceId> + use<> {
        // A configuration holds at most 255 namespaces.
        (0..self.spaces.len()).map(|i| SpaceId(i as u8))
    }

    /// A space's name; empty for the bare one.
    pub fn name(&self, space: SpaceId) -> &str {
        &self.spaces[space.index()].name
    }

    /// A space's epoch; 0 for the bare one.
    pub fn epoch(&self, space: SpaceId) -> u64 {
        self.spaces[space.index()].epoch
    }

    /// Returns what a space puts in front of client keys; empty for the bare one.
    pub fn prefix(&self, space: SpaceId) -> &[u8] {
        &self.spaces[space.index()].prefix
    }

    /// Appends the physical key of a client key of 1 to 250 bytes; what is
    /// appended is at most 250 bytes.
    // A call takes as many instructions as the little that there is to do.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn encode(&self, space: SpaceId, key: &[u8], out: &mut Vec<u8>) -> Restore {
        debug_assert!(!key.is_empty() && key.len() <= MAX_KEY_BYTES);
        let prefix: &[u8] = match space {
            SpaceId::BARE if self.is_reserved(key) => ESCAPE,
            SpaceId::BARE => {
                out.extend_from_slice(key);
                return Restore::Strip(0);
            }
            _ => &self.spaces[space.index()].prefix,
        };
        out.extend_from_slice(prefix);
        let len = prefix.len() + key.len();
        if key[0] == HASHED || (len > MAX_BASE64_KEY_BYTES && len > physical_limit(key)) {
            out.push(HASHED);
            out.extend_from_slice(&digest(key));
            return Restore::Hashed;
        }
        out.extend_from_slice(key);
        // Prefixes are at most 58 bytes: a name of 32, an epoch of 20 digits.
        Restore::Strip(prefix.len() as u8)
    }

    /// Tells whether a bare key would read as a namespace's, or as an escaped one.
    fn is_reserved(&self, key: &[u8]) -> bool {
        let Some(rest) = key.strip_prefix(b"@") else {
            return false;
        };
        rest.starts_with(b"//")
            || self.spaces[1..].iter().any(|space| {
                rest.strip_prefix(space.name.as_bytes())
                    .and_then(<[u8]>::first)
                    .is_some_and(|&b| b == b'.' || b == b'/')
            })
    }
}

/// `@py2//` for `py2`, `@py3.12/` + padding for epoch 12 of `py3`.
fn namespace_prefix(name: &str, epoch: u64) -> Vec<u8> {
    let mut prefix = match epoch {
        0 => format!("@{name}/"),
        epoch => format!("@{name}.{epoch}/"),
    }
    .into_bytes();
    prefix.resize(prefix.len().next_multiple_of(3), b'/');
    prefix
}

/// The most bytes of a plain physical key. Where base64 can spell the client
/// key, it must be able to spell the physical one; longer keys are only ever
/// spelled as text.
pub fn physical_limit(key: &[u8]) -> usize {
    if key.len() <= MAX_BASE64_KEY_BYTES {
        MAX_BASE64_KEY_BYTES
    } else {
        MAX_KEY_BYTES
    }
}

#[cold]
fn digest(key: &[u8]) -> [u8; 43] {
    let mut text = [0; 43];
    URL_SAFE_NO_PAD
        .encode_slice(Sha256::digest(key), &mut text)
        .expect("32 bytes are 43 base64 characters");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::key::encode_base64_key;

    fn codec() -> KeyCodec {
        KeyCodec::new([("py2", 0), ("py3", 0), ("py3b", 0), ("py-3", 7)])
    }

    fn encode(space: u8, key: &[u8]) -> (Vec<u8>, Restore) {
        let mut out = Vec::new();
        let restore = codec().encode(SpaceId(space), key, &mut out);
        (out, restore)
    }

    #[test]
    fn physical_keys_are_spelled_as_documented() {
        for (space, key, physical) in [
            (0, "user:1", "user:1"),
            (1, "user:1", "@py2//user:1"),
            (3, "user:1", "@py3b/user:1"),
            (4, "user:1", "@py-3.7//user:1"),
            (0, "@py2//user:1", "@//@py2//user:1"),
            (0, "@py2.9/x", "@//@py2.9/x"),
            (0, "@//x", "@//@//x"),
            (0, "@py2", "@py2"),
            (0, "@py22/x", "@py22/x"),
            (0, "~x", "~x"),
            (1, "@py3//x", "@py2//@py3//x"),
        ] {
            let (out, _) = encode(space, key.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), physical);
        }
    }

    #[test]
    fn prefixes_keep_base64_aligned() {
        for (name, epoch) in [("a", 0), ("py2", 0), ("py3", 1), ("long-name_9", 123_456)] {
            assert_eq!(namespace_prefix(name, epoch).len() % 3, 0);
        }
    }

    #[test]
    fn digests_are_sha256_in_base64url() {
        // printf '~x' | openssl dgst -sha256 -binary | basenc --base64url
        let (physical, restore) = encode(1, b"~x");
        assert_eq!(restore, Restore::Hashed);
        assert_eq!(
            physical,
            b"@py2//~Uvohc4z1ra6xQf7USJ4KeMVmlFGY8pc10BQZdr_v4zY"
        );
    }

    #[test]
    fn long_keys_are_hashed_exactly_where_they_must() {
        let text = [b'k'; 250];
        for (len, restore) in [
            (180, Restore::Strip(6)),
            (181, Restore::Hashed),
            (186, Restore::Hashed),
            (187, Restore::Strip(6)),
            (244, Restore::Strip(6)),
            (245, Restore::Hashed),
            (250, Restore::Hashed),
        ] {
            assert_eq!(encode(1, &text[..len]).1, restore, "{len}");
            assert_eq!(encode(0, &text[..len]).1, Restore::Strip(0));
        }
    }

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        let prefix = prop_oneof![
            Just(""),
            Just("@"),
            Just("@//"),
            Just("@py2//"),
            Just("@py3/"),
            Just("@py3b/"),
            Just("@py3."),
            Just("~"),
            Just("@//~"),
        ];
        let tail = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..240),
            proptest::collection::vec(b'!'..=b'~', 0..240),
            proptest::collection::vec(Just(b'/'), 0..4),
        ];
        (prefix, tail)
            .prop_map(|(p, t)| [p.as_bytes(), &t].concat())
            .prop_filter("1 to 250 bytes", |k| !k.is_empty() && k.len() <= 250)
    }

    proptest! {
        #[test]
        fn no_two_keys_meet(keys in proptest::collection::vec(any_key(), 1..40)) {
            let mut seen = HashMap::new();
            for key in &keys {
                for space in codec().spaces() {
                    let (physical, _) = encode(space.0, key);
                    prop_assert!(!physical.is_empty() && physical.len() <= MAX_KEY_BYTES);
                    if let Some(other) = seen.insert(physical, (space, key)) {
                        prop_assert_eq!(other, (space, key));
                    }
                }
            }
        }

        #[test]
        fn nobody_spells_a_key_of_another_space(
            key in any_key(),
            owner in 1u8..5,
            other in 0u8..5,
        ) {
            let (physical, _) = encode(owner, &key);
            prop_assert!(other == owner || encode(other, &physical).0 != physical);
            // Nor one that it spells like the other's, and so on.
            let (twice, _) = encode(other, &physical);
            prop_assert!(other == owner || encode(owner, &twice).0 != physical);
        }

        #[test]
        fn stripping_gives_the_client_key_back(key in any_key(), space in 0u8..5) {
            let (physical, restore) = encode(space, &key);
            if let Restore::Strip(n) = restore {
                prop_assert_eq!(&physical[usize::from(n)..], &key[..]);
            }
            prop_assert_eq!(encode(space, &key), (physical, restore));
        }

        #[test]
        fn what_base64_can_spell_fits_base64(key in any_key(), space in 0u8..5) {
            if encode_base64_key(&key).is_some() {
                let (physical, _) = encode(space, &key);
                prop_assert!(encode_base64_key(&physical).is_some());
            }
        }
    }
}
