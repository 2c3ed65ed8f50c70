//! The classic commands: what stands between a verb and the end of its line.

use super::verb::Verb;
use super::{BAD_FORMAT, Bad, Change, ERROR, Head, MAX_ARGUMENT_BYTES, Retrieve, Store, parse_len};
use crate::protocol::key::MAX_KEY_BYTES;
use crate::protocol::token::{Tokens, parse_i32, parse_i64, parse_u64};

const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta argument";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument";

/// The section of `stats` that a proxy answers itself.
pub const OWN_STATS: &[u8] = b"picklegate";

pub(super) fn parse_retrieve(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let mut keys = tokens;
    if keys.is_empty() {
        return Head::Bad(Bad::new(ERROR));
    }
    let exptime = matches!(verb, Verb::Gat | Verb::Gats)
        .then(|| keys.next())
        .flatten();
    if exptime.is_some_and(|token| token.len() > MAX_ARGUMENT_BYTES || parse_i64(token).is_none()) {
        return Head::Bad(Bad::new(BAD_EXPTIME));
    }
    if keys.any_over(MAX_KEY_BYTES) {
        return Head::Bad(Bad::new(BAD_FORMAT));
    }
    Head::Retrieve(Retrieve {
        verb,
        exptime,
        keys,
    })
}

pub(super) fn parse_store(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    // The key, three numbers, for `cas` one more, and maybe "noreply". memcached
    // takes any word for that; but where a key has a space it is the length.
    let numbers = if verb == Verb::Cas { 4 } else { 3 };
    let is_whole = |all: &[&[u8]]| match all.len().checked_sub(numbers + 1) {
        Some(0) => true,
        Some(1) => is_noreply(all),
        _ => false,
    };
    let Some(all) = collect::<4, 6>(tokens).filter(|all| is_whole(all)) else {
        return Head::Bad(Bad::new(ERROR).closing());
    };
    let noreply = is_noreply(&all);
    let bad = Bad::new(BAD_FORMAT).silent_if(noreply);
    // Without its CAS id, or without its key, every number is in another's place.
    let lacks_one = verb == Verb::Cas && noreply && all.len() == numbers + 1;
    let Some(len) = parse_len(all[3]).filter(|_| !lacks_one) else {
        return Head::Bad(bad.closing());
    };
    let flags = parse_u64(all[1]).and_then(|flags| u32::try_from(flags).ok());
    let cas = if verb == Verb::Cas {
        parse_u64(all[4])
    } else {
        Some(0)
    };
    let (Some(flags), Some(exptime), Some(cas)) = (flags, parse_i32(all[2]), cas) else {
        return Head::Bad(bad.with_body(len));
    };
    if all[0].len() > MAX_KEY_BYTES {
        return Head::Bad(bad.with_body(len));
    }
    Head::Store(Store {
        verb,
        key: all[0],
        flags,
        exptime,
        len,
        cas: (verb == Verb::Cas).then_some(cas),
        noreply,
    })
}

pub(super) fn parse_delete(tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<1, 3>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = all.len() > 1 && is_noreply(&all);
    // The "0" is a hold time of long ago.
    let valid = match all[1..] {
        [] => true,
        [only] => only == b"0" || noreply,
        [hold, _] => hold == b"0" && noreply,
        _ => false,
    };
    if !valid {
        return Head::Bad(Bad::new(BAD_DELETE).silent_if(noreply));
    }
    change(Verb::Delete, all[0], None, noreply)
}

pub(super) fn parse_change(verb: Verb, tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<2, 3>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = is_noreply(&all);
    // Passed on, it would end the line, and the upstream would not reply.
    let hushes = all[1] == b"noreply";
    if (hushes || all[1].len() > MAX_ARGUMENT_BYTES) && all[0].len() <= MAX_KEY_BYTES {
        let reply = match verb {
            Verb::Touch => BAD_EXPTIME,
            _ => BAD_DELTA,
        };
        return Head::Bad(Bad::new(reply).silent_if(noreply));
    }
    change(verb, all[0], Some(all[1]), noreply)
}

fn change<'a>(verb: Verb, key: &'a [u8], argument: Option<&'a [u8]>, noreply: bool) -> Head<'a> {
    if key.len() > MAX_KEY_BYTES {
        return Head::Bad(Bad::new(BAD_FORMAT).silent_if(noreply));
    }
    Head::Change(Change {
        verb,
        key,
        argument,
        noreply,
    })
}

pub(super) fn parse_stats(tokens: Tokens<'_>) -> Head<'_> {
    let mut rest = tokens;
    let refused = |command| Head::Refused {
        command,
        noreply: false,
    };
    match rest.next() {
        None => Head::Stats(b""),
        Some(
            section @ (b"settings" | b"items" | b"slabs" | b"sizes" | b"conns" | b"extstore"
            | OWN_STATS),
        ) => Head::Stats(section),
        Some(b"reset") => refused("stats reset"),
        Some(b"detail") => refused("stats detail"),
        // Lists keys of every namespace.
        Some(b"cachedump") => refused("stats cachedump"),
        Some(_) => Head::Bad(Bad::new(ERROR)),
    }
}

pub(super) fn parse_flush_all(tokens: Tokens<'_>) -> Head<'_> {
    let Some(all) = collect::<0, 2>(tokens) else {
        return Head::Bad(Bad::new(ERROR));
    };
    let noreply = is_noreply(&all);
    if all.len() == usize::from(noreply) {
        return Head::FlushAll {
            delay: None,
            noreply,
        };
    }
    match parse_i32(all[0]) {
        Some(delay) => Head::FlushAll {
            delay: Some(delay),
            noreply,
        },
        None => Head::Bad(Bad::new(BAD_EXPTIME).silent_if(noreply)),
    }
}

/// Collects all tokens if there are `MIN` to `N` of them.
fn collect<const MIN: usize, const N: usize>(
    tokens: Tokens<'_>,
) -> Option<arrayvec::ArrayVec<&[u8], N>> {
    let mut all = arrayvec::ArrayVec::new();
    for token in tokens {
        all.try_push(token).ok()?;
    }
    (all.len() >= MIN).then_some(all)
}

fn is_noreply(tokens: &[&[u8]]) -> bool {
    tokens.last().is_some_and(|token| *token == b"noreply")
}
