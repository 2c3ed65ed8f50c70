//! Changes that take more than one step upstream: those whose siblings are
//! deleted once they took effect, and an `add` that meets a value which its
//! reader cannot see. Decides the next step from the reply; sends nothing.

use super::lane::OnMiss;
use super::meta::MetaReply;
use super::session::Ticket;
use crate::policy::SpaceId;
use crate::protocol::key::KeyBuf;

/// A change whose reply decides what comes next.
#[derive(Debug)]
pub struct Change {
    /// The client key.
    pub key: KeyBuf,
    /// Whether the client spelled it in base64.
    pub base64: bool,
    /// Where the own copy lives.
    pub own: SpaceId,
    /// The lane it goes to.
    pub lane: usize,
    /// Whether its siblings are deleted once it took effect.
    pub invalidates: bool,
    /// What it stores if it is an `add` that may replace a hidden value.
    pub refill: Option<Refill>,
    pub stage: Stage,
}

/// What an `add` stores.
#[derive(Debug)]
pub struct Refill {
    pub head: RefillHead,
    pub value: Box<[u8]>,
}

/// The head of an `add`, without key and length.
#[derive(Debug)]
pub enum RefillHead {
    /// `add`.
    Text { flags: u32, exptime: i32 },
    /// `ms` in mode `E`: its flag tokens.
    Meta { flags: Box<[u8]> },
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The change itself was sent.
    Asked,
    /// The value in its way was asked for: its CAS id, if it is hidden.
    Probed { hidden: Option<u64> },
    /// It was sent again, to replace exactly that value.
    Swapped,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the value in the way.
    Probe,
    /// Replace the value of this CAS id.
    Swap(u64),
    /// Delete the siblings.
    Invalidate,
}

/// What is still to be sent for a slot that waits for it.
#[derive(Debug)]
pub(super) enum Next {
    /// The next step of a change.
    Change(Ticket, Step, Box<Change>),
    /// The copies of others of a client key that a `get` missed, from this one on.
    Through(Ticket, Box<KeyBuf>, OnMiss, usize),
    /// The deletes of the siblings of a change that took effect after its client was
    /// told that it was not heard of.
    Late(Box<Change>),
    /// Further keys of a retrieval.
    Ask(Ticket),
    /// The next copy of another, as an `mg` asked for the own one: its flags.
    ThroughMeta(Ticket, Box<KeyBuf>, MetaReply, Vec<u8>),
}

impl Change {
    /// The next step after a stage's reply, which is put into the words of the
    /// client's request; `None` if the reply is final.
    pub fn next(&mut self, reply: &mut Vec<u8>) -> Option<Step> {
        match self.stage {
            Stage::Probed { hidden } => {
                self.stage = Stage::Swapped;
                return hidden.map(Step::Swap);
            }
            Stage::Asked if self.refill.is_some() && is_not_stored(reply) => {
                self.stage = Stage::Probed { hidden: None };
                return Some(Step::Probe);
            }
            // Somebody was faster: to an `add`, the key exists.
            Stage::Swapped => replace_code(
                reply,
                &[
                    (b"EXISTS", b"NOT_STORED"),
                    (b"NOT_FOUND", b"NOT_STORED"),
                    (b"EX", b"NS"),
                    (b"NF", b"NS"),
                ],
            ),
            Stage::Asked => {}
        }
        (self.invalidates && is_success(reply)).then_some(Step::Invalidate)
    }
}

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

impl Change {
    /// Whether the siblings are deleted after this reply to what was sent last.
    pub fn reaches_siblings(&self, reply: &[u8]) -> bool {
        let was_sent = matches!(self.stage, Stage::Asked | Stage::Swapped);
        self.invalidates && was_sent && is_success(reply)
    }
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

    fn next(stage: Stage, refill: bool, invalidates: bool, reply: &str) -> (Option<Step>, String) {
        let refill = refill.then(|| Refill {
            head: RefillHead::Text {
                flags: 0,
                exptime: 0,
            },
            value: Box::default(),
        });
        let mut change = Change {
            key: KeyBuf::new(),
            base64: false,
            own: SpaceId::BARE,
            lane: 0,
            invalidates,
            refill,
            stage,
        };
        let mut reply = reply.as_bytes().to_vec();
        let step = change.next(&mut reply);
        (step, String::from_utf8(reply).unwrap())
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
        let seen = Stage::Probed { hidden: None };
        assert_eq!(
            next(seen, true, true, "NOT_STORED\r\n"),
            (None, "NOT_STORED\r\n".to_owned())
        );
        let hidden = Stage::Probed { hidden: Some(7) };
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
}
