//! Changes that take more than one step upstream: those whose siblings are
//! deleted once they took effect, and those that may meet a value which their
//! client cannot see. Decides the next step from the reply; sends nothing.
//!
//! What is hidden from a client is no raw material for it: an `add` replaces it, and
//! whatever works on a value that is there finds none. How that is known:
//!
//! - `add` asks first, and looks at what was in its way: nearly always nothing is.
//! - `replace`, `append` and `prepend` look first, and are then carried out on that
//!   very value, by its CAS id: once they took effect it would be too late.
//! - `incr` and `decr` ask first: memcached counts what begins with a digit, a sign or
//!   white space, and no pickle does. Only where a firewall hides what is flagged as a
//!   pickle and is none, they look first. They are then asked for whatever is there: of
//!   many that ask by a CAS id for one counter, most would be told that it is not there.
//!
//! A key that no text command can spell is looked at by `mg`, which takes the token of a
//! stale item. There an `add` replaces nothing, and `ma` says what memcached says.

use std::borrow::Cow;

use super::meta::MetaReply;
use super::ticket::Ticket;
use crate::policy::{OnMiss, SpaceId};
use crate::protocol::key::KeyBuf;
use crate::protocol::request::Verb;

/// The CAS id of no item.
const NO_ITEM: u64 = u64::MAX;
/// Most looks at a value that others change meanwhile.
const MAX_LOOKS: u8 = 8;

/// A change whose reply decides what comes next.
#[derive(Debug)]
pub struct Stepwise {
    /// The client key.
    pub key: KeyBuf,
    /// Whether the client spelled it in base64.
    pub base64: bool,
    /// Namespace of the own copy.
    pub own: SpaceId,
    /// The lane it goes to.
    pub lane: usize,
    /// Whether its siblings are deleted once it took effect.
    pub invalidates: bool,
    /// Treatment of a value that is hidden from its client.
    pub on_hidden: OnHidden,
    pub stage: Stage,
}

/// Treatment of a value that is hidden from the client of a change.
#[derive(Debug)]
pub enum OnHidden {
    /// Nothing is hidden from it.
    Ignore,
    /// Store in its place: an `add`.
    Replace(Original),
    /// Leave it, and answer with the refusal.
    Leave {
        original: Original,
        refusal: Cow<'static, [u8]>,
        /// Looks that are left.
        looks: u8,
    },
    /// Do not count it, and answer with the refusal. The original, where it looks first.
    Count {
        original: Option<Original>,
        refusal: Cow<'static, [u8]>,
    },
}

impl OnHidden {
    /// Of a change of a value that its client must see.
    pub fn leave(original: Original, refusal: Cow<'static, [u8]>) -> Self {
        Self::Leave {
            original,
            refusal,
            looks: MAX_LOOKS,
        }
    }

    /// More steps may follow the first, which what its client asks for next must not
    /// overtake.
    pub fn holds_up(&self) -> bool {
        // One that is not counted changed nothing.
        !matches!(self, Self::Ignore | Self::Count { original: None, .. })
    }

    /// The value is looked at before the change is asked for.
    pub fn looks_first(&self) -> bool {
        match self {
            Self::Ignore | Self::Replace(_) => false,
            Self::Leave { .. } => true,
            Self::Count { original, .. } => original.is_some(),
        }
    }
}

/// A change as its client asked for it, without its key.
#[derive(Debug)]
pub struct Original {
    pub head: OriginalHead,
    pub value: Box<[u8]>,
}

#[derive(Debug)]
pub enum OriginalHead {
    /// A classic store.
    Text {
        verb: Verb,
        flags: u32,
        exptime: i32,
    },
    /// `incr` or `decr`.
    Count { verb: Verb, delta: Box<[u8]> },
    /// `ms` or `ma`: its flag tokens, and whether it is asked for as it is, as it has a
    /// condition of its own or needs none.
    Meta {
        verb: Verb,
        flags: Box<[u8]>,
        is_bound: bool,
    },
}

/// Progress of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The change itself was sent.
    Asked,
    /// The value in its way was asked for: what was found.
    Probed(Found),
    /// Sent again, for exactly that value.
    Swapped,
}

/// The value in the way of a change, by its CAS id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// The client sees it.
    Seen(u64),
    /// Hidden from the client.
    Hidden(u64),
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the value in the way.
    Probe,
    /// Carry it out on the value of this CAS id.
    Swap(u64),
    /// Ask for the change itself.
    Ask,
    /// Delete the siblings.
    Invalidate,
}

/// Requests still to be sent for a slot that waits for them.
#[derive(Debug)]
pub(super) enum Next {
    /// The next step of a change.
    Change(Ticket, Step, Box<Stepwise>),
    /// The copies of others of a client key that a `get` missed, from this one on.
    Through(Ticket, Box<KeyBuf>, OnMiss, usize),
    /// The deletes of the siblings of a change that took effect after its client was
    /// told that it was not heard of.
    Late(Box<Stepwise>),
    /// Further keys of a retrieval.
    Ask(Ticket),
    /// The next copy of another, as an `mg` asked for the own one: its flags.
    ThroughMeta(Ticket, Box<KeyBuf>, MetaReply, Vec<u8>),
}

impl Stepwise {
    /// The next step after a stage's reply, which is put into the words of the
    /// client's request; `None` if the reply is final.
    pub fn next(&mut self, reply: &mut Vec<u8>) -> Option<Step> {
        match (self.stage, &mut self.on_hidden) {
            (Stage::Probed(found), OnHidden::Replace(_)) => {
                self.stage = Stage::Swapped;
                return match found {
                    Found::Hidden(cas) => Some(Step::Swap(cas)),
                    Found::Nothing | Found::Seen(_) => None,
                };
            }
            (Stage::Probed(Found::Seen(cas)), OnHidden::Leave { .. }) => {
                self.stage = Stage::Swapped;
                return Some(Step::Swap(cas));
            }
            // memcached says best what it makes of it where nothing is.
            (Stage::Probed(Found::Nothing), OnHidden::Leave { .. }) => {
                self.stage = Stage::Swapped;
                return Some(Step::Swap(NO_ITEM));
            }
            (
                Stage::Probed(Found::Nothing | Found::Seen(_)),
                OnHidden::Count {
                    original: Some(_), ..
                },
            ) => {
                self.stage = Stage::Asked;
                return Some(Step::Ask);
            }
            (
                Stage::Probed(Found::Hidden(_)),
                OnHidden::Leave { refusal, .. } | OnHidden::Count { refusal, .. },
            ) => {
                reply.clear();
                reply.extend_from_slice(refusal);
                return None;
            }
            // What it was told before stands.
            (Stage::Probed(_), OnHidden::Count { .. } | OnHidden::Ignore) => return None,
            (Stage::Asked, OnHidden::Replace(_)) if is_not_stored(reply) => {
                return Some(self.probe());
            }
            (Stage::Asked, OnHidden::Count { original: None, .. }) if is_no_number(reply) => {
                return Some(self.probe());
            }
            (
                Stage::Swapped,
                OnHidden::Leave {
                    original, looks, ..
                },
            ) if !matches!(original.head, OriginalHead::Meta { is_bound: true, .. }) => {
                // Somebody was faster: what is there now may be seen as well.
                if *looks > 0 && is_exists(reply) {
                    *looks -= 1;
                    reply.clear();
                    return Some(self.probe());
                }
                if let OriginalHead::Text { .. } = original.head {
                    replace_code(reply, &[(b"HD", b"STORED"), (b"NS", b"NOT_STORED")]);
                    replace_code(reply, &[(b"EX", b"EXISTS"), (b"NF", b"NOT_FOUND")]);
                }
                replace_code(reply, &NOT_THERE);
            }
            // Somebody was faster: to an `add`, the key exists.
            (Stage::Swapped, OnHidden::Replace(_)) => replace_code(reply, &NOT_THERE),
            (Stage::Asked | Stage::Swapped, _) => {}
        }
        (self.invalidates && is_success(reply)).then_some(Step::Invalidate)
    }

    fn probe(&mut self) -> Step {
        self.stage = Stage::Probed(Found::Nothing);
        Step::Probe
    }
}

/// Replies that a condition which we added leads to, in the words of a request without one.
const NOT_THERE: [(&[u8], &[u8]); 4] = [
    (b"EXISTS", b"NOT_STORED"),
    (b"NOT_FOUND", b"NOT_STORED"),
    (b"EX", b"NS"),
    (b"NF", b"NS"),
];

/// Puts one code in another's place at the start of a reply.
pub(super) fn replace_code(reply: &mut Vec<u8>, codes: &[(&[u8], &[u8])]) {
    let ends = |at: usize| reply.get(at).is_some_and(|&b| b == b' ' || b == b'\r');
    let found = codes
        .iter()
        .find(|(code, _)| reply.starts_with(code) && ends(code.len()));
    if let Some((code, other)) = found {
        reply.splice(..code.len(), other.iter().copied());
    }
}

impl Stepwise {
    /// Whether the siblings are deleted after this reply to what was sent last.
    pub fn reaches_siblings(&self, reply: &[u8]) -> bool {
        let was_sent = matches!(self.stage, Stage::Asked | Stage::Swapped);
        self.invalidates && was_sent && is_success(reply)
    }
}

fn is_exists(reply: &[u8]) -> bool {
    matches!(reply, [b'E', b'X', b' ' | b'\r', ..]) || reply.starts_with(b"EXISTS\r\n")
}

/// Whether the reply says that a value is no number, as `incr` and `ma` put it.
fn is_no_number(reply: &[u8]) -> bool {
    reply.starts_with(b"CLIENT_ERROR cannot increment or decrement non-numeric value")
}

fn is_not_stored(reply: &[u8]) -> bool {
    matches!(reply, [b'N', b'S', b' ' | b'\r', ..]) || reply.starts_with(b"NOT_STORED\r\n")
}

/// Whether a change took effect.
fn is_success(reply: &[u8]) -> bool {
    match reply {
        [b'H', b'D', ..] | [b'V', b'A', b' ', ..] => true,
        [first, ..] if first.is_ascii_digit() => true,
        _ => reply.starts_with(b"STORED\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(on_hidden: OnHidden, stage: Stage, invalidates: bool) -> Stepwise {
        Stepwise {
            key: KeyBuf::new(),
            base64: false,
            own: SpaceId::BARE,
            lane: 0,
            invalidates,
            on_hidden,
            stage,
        }
    }

    fn original(verb: Verb) -> Original {
        Original {
            head: OriginalHead::Text {
                verb,
                flags: 0,
                exptime: 0,
            },
            value: Box::default(),
        }
    }

    fn meta(is_bound: bool) -> Original {
        Original {
            head: OriginalHead::Meta {
                verb: Verb::Ms,
                flags: Box::default(),
                is_bound,
            },
            value: Box::default(),
        }
    }

    fn reply(change: &mut Stepwise, reply: &str) -> (Option<Step>, String) {
        let mut reply = reply.as_bytes().to_vec();
        let step = change.next(&mut reply);
        (step, String::from_utf8(reply).unwrap())
    }

    fn next(stage: Stage, refill: bool, invalidates: bool, told: &str) -> (Option<Step>, String) {
        let on_hidden = if refill {
            OnHidden::Replace(original(Verb::Add))
        } else {
            OnHidden::Ignore
        };
        reply(&mut change(on_hidden, stage, invalidates), told)
    }

    #[test]
    fn only_a_change_that_took_effect_reaches_the_siblings() {
        for (reply, effect) in [
            ("STORED\r\n", true),
            ("HD Ox\r\n", true),
            ("VA 1 c7\r\n5\r\n", true),
            ("17\r\n", true),
            ("NOT_STORED\r\n", false),
            ("EXISTS\r\n", false),
            ("NOT_FOUND\r\n", false),
            ("NS k\r\n", false),
            ("SERVER_ERROR out of memory storing object\r\n", false),
        ] {
            let (step, told) = next(Stage::Asked, false, true, reply);
            assert_eq!(step, effect.then_some(Step::Invalidate), "{reply}");
            assert_eq!(told, reply);
            assert_eq!(next(Stage::Asked, false, false, reply).0, None);
        }
    }

    #[test]
    fn an_add_in_the_way_of_a_hidden_value_replaces_it() {
        assert_eq!(
            next(Stage::Asked, true, false, "NOT_STORED\r\n").0,
            Some(Step::Probe)
        );
        assert_eq!(
            next(Stage::Asked, true, false, "NS Ox\r\n").0,
            Some(Step::Probe)
        );
        assert_eq!(
            next(Stage::Asked, true, true, "STORED\r\n").0,
            Some(Step::Invalidate)
        );
        let seen = Stage::Probed(Found::Nothing);
        assert_eq!(
            next(seen, true, true, "NOT_STORED\r\n"),
            (None, "NOT_STORED\r\n".to_owned())
        );
        let hidden = Stage::Probed(Found::Hidden(7));
        assert_eq!(
            next(hidden, true, true, "NOT_STORED\r\n").0,
            Some(Step::Swap(7))
        );
    }

    #[test]
    fn a_lost_race_is_told_in_the_words_of_add() {
        for (reply, told) in [
            ("STORED\r\n", "STORED\r\n"),
            ("EXISTS\r\n", "NOT_STORED\r\n"),
            ("NOT_FOUND\r\n", "NOT_STORED\r\n"),
            ("EX kfoo\r\n", "NS kfoo\r\n"),
            ("NF\r\n", "NS\r\n"),
        ] {
            assert_eq!(
                next(Stage::Swapped, true, false, reply),
                (None, told.to_owned())
            );
        }
    }
    #[test]
    fn what_is_hidden_is_changed_by_nobody() {
        let refusal = || Cow::Borrowed(&b"NOT_STORED\r\n"[..]);
        let on_hidden = OnHidden::leave(original(Verb::Append), refusal());
        assert!(on_hidden.looks_first());
        let mut append = change(on_hidden, Stage::Probed(Found::Hidden(7)), true);
        assert_eq!(reply(&mut append, ""), (None, "NOT_STORED\r\n".to_owned()));
        // Where nothing is it is still carried out on no other value.
        append.stage = Stage::Probed(Found::Nothing);
        assert_eq!(reply(&mut append, "").0, Some(Step::Swap(NO_ITEM)));
        let no_number = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
        let count = || OnHidden::Count {
            original: None,
            refusal: Cow::Borrowed(b"NOT_FOUND\r\n"),
        };
        let mut counted = change(count(), Stage::Asked, true);
        assert_eq!(reply(&mut counted, "6\r\n").0, Some(Step::Invalidate));
        let mut counted = change(count(), Stage::Asked, true);
        assert_eq!(reply(&mut counted, no_number).0, Some(Step::Probe));
        counted.stage = Stage::Probed(Found::Seen(7));
        assert_eq!(reply(&mut counted, no_number), (None, no_number.to_owned()));
        counted.stage = Stage::Probed(Found::Hidden(7));
        let told = reply(&mut counted, no_number);
        assert_eq!(told, (None, "NOT_FOUND\r\n".to_owned()));
    }

    #[test]
    fn what_is_seen_is_changed_unless_others_were_faster() {
        let refusal = || Cow::Borrowed(&b"NOT_STORED\r\n"[..]);
        let seen = Stage::Probed(Found::Seen(7));
        let on_hidden = OnHidden::leave(original(Verb::Append), refusal());
        let mut append = change(on_hidden, seen, true);
        for _ in 0..MAX_LOOKS {
            assert_eq!(reply(&mut append, "").0, Some(Step::Swap(7)));
            let again = reply(&mut append, "EX\r\n");
            assert_eq!(again, (Some(Step::Probe), String::new()));
            append.stage = seen;
        }
        assert_eq!(reply(&mut append, "").0, Some(Step::Swap(7)));
        let told = reply(&mut append, "EX\r\n");
        assert_eq!(told, (None, "NOT_STORED\r\n".to_owned()));
        for (said, told, step) in [
            ("HD\r\n", "STORED\r\n", Some(Step::Invalidate)),
            ("STORED\r\n", "STORED\r\n", Some(Step::Invalidate)),
            ("NS\r\n", "NOT_STORED\r\n", None),
            ("NF\r\n", "NOT_STORED\r\n", None),
            ("NOT_FOUND\r\n", "NOT_STORED\r\n", None),
        ] {
            let on_hidden = OnHidden::leave(original(Verb::Append), refusal());
            let mut append = change(on_hidden, Stage::Swapped, true);
            assert_eq!(reply(&mut append, said), (step, told.to_owned()));
        }
        // A condition of its own is its client's to hear of.
        for (is_bound, told) in [(false, "NS\r\n"), (true, "NF\r\n")] {
            let on_hidden = OnHidden::leave(meta(is_bound), refusal());
            let mut append = change(on_hidden, Stage::Swapped, true);
            assert_eq!(reply(&mut append, "NF\r\n"), (None, told.to_owned()));
        }
    }
}
