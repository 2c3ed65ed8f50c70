//! Explains a key: its namespace, rule, physical key, siblings and server, in words;
//! and a value under that key. Asks the snapshot and the data path; decides nothing
//! itself.

mod value;

use std::fmt;

use crate::config::{Config, Word};
use crate::policy::{
    BUCKETS, Decision, KeyCodec, Mode, Plan, Restore, Rollout, Rule, RuntimeTag, SpaceId, bucket,
    physical_limit,
};
use crate::protocol::key::{MAX_KEY_BYTES, encode_base64_key};
use crate::report::consequences;
pub use value::{Fate, Value};

/// The answer for one key and one runtime; its display is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The client key.
    pub key: String,
    /// The tag as understood.
    pub runtime: String,
    /// The runtime's namespace.
    pub namespace: String,
    /// The rule's family of keys.
    pub rule: String,
    /// Consequences of the rule for the key.
    pub plan: Plan,
    /// Rollout and the key's place in it, if the rule isolates.
    pub rollout: Option<Place>,
    /// The copy that this runtime reads and writes.
    pub copy: StoredCopy,
    /// The copies of the others, the bare key included.
    pub siblings: Vec<StoredCopy>,
    /// The server that holds all copies.
    pub server: String,
    /// The fate of the value that was given.
    pub fate: Option<Fate>,
}

/// The place of a key in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The share of the rule's keys that is isolated.
    pub rollout: Rollout,
    /// The key's bucket, of [`BUCKETS`].
    pub bucket: u32,
}

/// A copy of a client key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCopy {
    /// The namespace, or `bare`.
    pub space: String,
    /// The physical key.
    pub key: String,
    /// Base64 form of the key, if memcached can take it.
    pub base64: Option<String>,
    /// The reason why a digest stands for the client key, if one does.
    pub hashed: Option<Hashed>,
}

/// A reason why a digest stands for a client key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashed {
    /// The client key starts with `~`, which marks digests.
    Marked,
    /// Longer with its prefix than such a key may be, both in bytes.
    TooLong(usize, usize),
}

/// A reason why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No namespace admits the runtime.
    #[error("no namespace is for {0}")]
    NoNamespace(String),
    /// The key is empty.
    #[error("key is empty")]
    EmptyKey,
    /// The key is longer than memcached takes.
    #[error("key is {0} bytes, limit {MAX_KEY_BYTES}")]
    LongKey(usize),
    /// The key holds a space or a control character.
    #[error("key {0:?} holds a space or a control character")]
    BadKey(String),
}

/// Explains what happens to a client key of this runtime, and to a value there.
///
/// # Errors
/// Where the key is none, or no namespace is for the runtime.
pub fn explain(
    config: &Config,
    tag: &RuntimeTag,
    key: &str,
    value: Option<&Value>,
) -> Result<Explanation, ExplainError> {
    check_key(key)?;
    let snapshot = &config.snapshot;
    let codec = &snapshot.codec;
    let identity = snapshot
        .identify(tag)
        .ok_or_else(|| ExplainError::NoNamespace(tag.to_string()))?;
    let decision = snapshot.decide(identity, key.as_bytes());
    let rule = &snapshot.rules.find(key.as_bytes()).rule;
    Ok(Explanation {
        key: key.to_owned(),
        runtime: tag.to_string(),
        namespace: codec.name(identity.space).to_owned(),
        rule: family(&rule.prefix),
        plan: *decision.plan,
        rollout: rollout(rule, key),
        copy: copy(codec, decision.space, key),
        siblings: siblings(codec, decision, key),
        server: config.upstream.servers[snapshot.ring.server(key.as_bytes())].to_string(),
        fate: value.map(|value| Fate::of(snapshot, identity, key, value)),
    })
}

fn rollout(rule: &Rule, key: &str) -> Option<Place> {
    (rule.mode == Mode::Isolate).then(|| Place {
        rollout: rule.rollout,
        bucket: bucket(key.as_bytes()),
    })
}

/// The family of keys with a prefix.
pub(crate) fn family(prefix: &[u8]) -> String {
    match prefix {
        b"" => "everything else".to_owned(),
        prefix => format!("{:?}", String::from_utf8_lossy(prefix)),
    }
}

/// The name that people see for a space.
fn space_name(codec: &KeyCodec, space: SpaceId) -> &str {
    match space {
        SpaceId::BARE => "bare",
        space => codec.name(space),
    }
}

fn check_key(key: &str) -> Result<(), ExplainError> {
    let breaks_a_token = |b: u8| b <= b' ' || b == 0x7f;
    match key.len() {
        0 => Err(ExplainError::EmptyKey),
        len if len > MAX_KEY_BYTES => Err(ExplainError::LongKey(len)),
        _ if key.bytes().any(breaks_a_token) => Err(ExplainError::BadKey(key.to_owned())),
        _ => Ok(()),
    }
}

fn siblings(codec: &KeyCodec, decision: Decision<'_>, key: &str) -> Vec<StoredCopy> {
    codec
        .spaces()
        .filter(|&space| space != decision.space)
        .map(|space| copy(codec, space, key))
        .collect()
}

fn copy(codec: &KeyCodec, space: SpaceId, key: &str) -> StoredCopy {
    let mut physical = Vec::new();
    let restore = codec.encode(space, key.as_bytes(), &mut physical);
    let base64 =
        encode_base64_key(&physical).map(|token| String::from_utf8_lossy(&token).into_owned());
    let hashed = (restore == Restore::Hashed).then(|| match key.strip_prefix('~') {
        Some(_) => Hashed::Marked,
        // What stands before the digest and its mark is the prefix.
        None => Hashed::TooLong(
            physical.len() - DIGEST_BYTES + key.len(),
            physical_limit(key.as_bytes()),
        ),
    });
    StoredCopy {
        space: space_name(codec, space).to_owned(),
        key: String::from_utf8_lossy(&physical).into_owned(),
        base64,
        hashed,
    }
}

/// `~` and 256 bits in base64url.
const DIGEST_BYTES: usize = 44;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            copy,
            siblings,
            plan,
            ..
        } = self;
        writeln!(f, "{}", self.key)?;
        writeln!(f, "  runtime    {}", self.runtime)?;
        writeln!(f, "  namespace  {}", self.namespace)?;
        writeln!(f, "  rule       {}", self.rule)?;
        writeln!(f, "  mode       {}", plan.mode.word())?;
        if let Some(place) = self.rollout {
            writeln!(f, "  rollout    {place}")?;
        }
        writeln!(f, "  space      {}", copy.space)?;
        writeln!(f, "  stored as  {}", copy.key)?;
        let base64 = copy
            .base64
            .as_deref()
            .unwrap_or("none, it would be too long");
        writeln!(f, "  base64     {base64}")?;
        match copy.hashed {
            None => writeln!(f, "  hashed     no")?,
            Some(why) => writeln!(f, "  hashed     yes, {why}")?,
        }
        let width = siblings.iter().map(|s| s.space.len()).max().unwrap_or(0);
        for (i, sibling) in siblings.iter().enumerate() {
            let label = if i == 0 { "siblings" } else { "" };
            writeln!(
                f,
                "  {label:<9}  {:<width$}  {}",
                sibling.space, sibling.key
            )?;
        }
        for (what, told) in consequences::of_key(plan) {
            writeln!(f, "  {what:<9}  {told}")?;
        }
        writeln!(f, "  server     {}", self.server)?;
        if let Some((what, told)) = consequences::of_failures(plan) {
            writeln!(f, "  {what:<9}  {told}")?;
        }
        self.fate.iter().try_for_each(|fate| fate.fmt(f))
    }
}

/// `25 %: bucket 1234 of 10000 is inside`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rollout, bucket } = self;
        let side = if rollout.takes(*bucket) {
            "inside"
        } else {
            "outside"
        };
        let percent = rollout.percent();
        write!(f, "{percent} %: bucket {bucket} of {BUCKETS} is {side}")
    }
}

impl fmt::Display for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked => f.write_str("as every key that starts with ~"),
            Self::TooLong(len, limit) => {
                write!(
                    f,
                    "{len} bytes with its prefix, limit {limit} for its length"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(tag: &str, key: &str) -> Result<String, String> {
        let toml = r#"
            [upstream]
            servers = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"]
            [[listeners]]
            listen = "127.0.0.1:11312"
            runtime = "py2"
            [namespaces.py2]
            runtimes = "python <3"
            [namespaces.py3]
            runtimes = "python >=3"
            epoch = 4
            [[rules]]
            prefix = "lock:"
            mode = "shared"
            [[rules]]
        "#;
        let config = Config::parse("test.toml", toml).unwrap();
        let tag = RuntimeTag::parse(tag).unwrap();
        explain(&config, &tag, key, None)
            .map(|explanation| explanation.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_isolated_key_has_siblings_that_deletes_reach() {
        insta::assert_snapshot!(explained("cp311", "user:1").unwrap(), @r"
        user:1
          runtime    python/3.11
          namespace  py3
          rule       everything else
          mode       isolate
          rollout    100 %: bucket 8507 of 10000 is inside
          space      py3
          stored as  @py3.4///user:1
          base64     QHB5My40Ly8vdXNlcjox
          hashed     no
          siblings   bare  user:1
                     py2   @py2//user:1
          deletes    reach every sibling
          stores     delete every sibling, unless they fill a miss of the last 5.24 s
          server     10.0.0.2:11211
        ");
    }

    #[test]
    fn a_shared_key_is_bare_and_alone() {
        insta::assert_snapshot!(explained("py2.7", "lock:7").unwrap(), @r#"
        lock:7
          runtime    python/2.7
          namespace  py2
          rule       "lock:"
          mode       shared
          space      bare
          stored as  lock:7
          base64     bG9jazo3
          hashed     no
          siblings   py2  @py2//lock:7
                     py3  @py3.4///lock:7
          deletes    reach no sibling
          stores     reach no sibling
          server     10.0.0.2:11211
        "#);
    }

    #[test]
    fn hashed_keys_say_why() {
        insta::assert_snapshot!(explained("py3", "~x").unwrap(), @r"
        ~x
          runtime    python/3
          namespace  py3
          rule       everything else
          mode       isolate
          rollout    100 %: bucket 1817 of 10000 is inside
          space      py3
          stored as  @py3.4///~Uvohc4z1ra6xQf7USJ4KeMVmlFGY8pc10BQZdr_v4zY
          base64     QHB5My40Ly8vflV2b2hjNHoxcmE2eFFmN1VTSjRLZU1WbWxGR1k4cGMxMEJRWmRyX3Y0elk=
          hashed     yes, as every key that starts with ~
          siblings   bare  ~x
                     py2   @py2//~Uvohc4z1ra6xQf7USJ4KeMVmlFGY8pc10BQZdr_v4zY
          deletes    reach every sibling
          stores     delete every sibling, unless they fill a miss of the last 5.24 s
          server     10.0.0.2:11211
        ");
        let long = "k".repeat(245);
        let text = explained("py2", &long).unwrap();
        assert!(
            text.contains("hashed     yes, 251 bytes with its prefix, limit 250 for its length\n")
        );
    }

    #[test]
    fn what_memcached_refuses_is_refused() {
        let error = |tag, key: &str| explained(tag, key).unwrap_err();
        assert_eq!(error("py3", ""), "key is empty");
        assert_eq!(
            error("py3", &"k".repeat(251)),
            "key is 251 bytes, limit 250"
        );
        let spaced = error("py3", "a b");
        assert_eq!(spaced, "key \"a b\" holds a space or a control character");
        let broken = error("py3", "a\n");
        assert_eq!(broken, "key \"a\\n\" holds a space or a control character");
        assert_eq!(error("pypy/7", "a"), "no namespace is for pypy/7");
    }
}
