//! The meta commands, flag by flag in the request's order, as memcached 1.6.18
//! answers them; `E` and `x`, which it lacks, as its successors do. Knows no
//! framing: a body comes whole.

use super::reply::{Context, NOT_NUMERIC, TOO_LARGE, push_lines, push_number, say};
use super::store::{CasRule, Count, Counted, Item, Mode, Outcome, expiry, item_bytes, too_large};
use crate::protocol::key::encode_base64_key;
use crate::protocol::request::{Meta, Verb};
use crate::protocol::{parse_i32, parse_u64};

/// Known flags without a number in them.
const PLAIN_FLAGS: &[u8] = b"bcfhklqstuvILOPx";
/// Longest `O` flag.
const MAX_OPAQUE_TOKEN: usize = 32;

const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_FLAG: &str = "CLIENT_ERROR invalid flag";
const BAD_OR_DUPLICATE: &str = "CLIENT_ERROR invalid or duplicate flag";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format";
const BAD_MODE_LENGTH: &str = "CLIENT_ERROR incorrect length for M token";
const BAD_MS_MODE: &str = "CLIENT_ERROR invalid mode for ms M token";
const BAD_MA_MODE: &str = "CLIENT_ERROR invalid mode for ma M token";
const BAD_INITIAL: &str = "CLIENT_ERROR invalid numeric initial value";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta value";
const LONG_OPAQUE: &str = "CLIENT_ERROR opaque token too long";

/// A reply as the `q` flag sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    /// The expected outcome: `q` hides it.
    Nominal,
    Telling,
}

/// A reply, or the error in its place.
type Answer = Result<Tone, &'static str>;

/// The flags that carry numbers, read.
#[derive(Debug, Default)]
struct Options {
    /// `N`, `T`, `R`: when the item dies, would die, or counts as about to.
    vivify: Option<u64>,
    ttl: Option<u64>,
    recache: Option<u64>,
    client_flags: u32,
    compare: Option<u64>,
    assign: Option<u64>,
    mode: Option<u8>,
    initial: u64,
    delta: u64,
}

impl Options {
    /// Reads the flags. Like memcached, reports the last of several mistakes but stops at
    /// an unknown flag; a bad `F` has no words of its own.
    fn read(meta: &Meta<'_>, now: u64) -> Result<Self, &'static str> {
        let mut options = Self {
            delta: 1,
            ..Self::default()
        };
        let mut error = None;
        for token in meta.flags.clone() {
            match options.take(token, now) {
                Ok(()) => {}
                Err(BAD_FLAG) => return Err(BAD_FLAG),
                Err(BAD_FORMAT) => error = error.or(Some(BAD_FORMAT)),
                Err(told) => error = Some(told),
            }
        }
        error.map_or(Ok(options), Err)
    }

    fn take(&mut self, token: &[u8], now: u64) -> Result<(), &'static str> {
        let (flag, argument) = (token[0], &token[1..]);
        let number = |error| parse_u64(argument).ok_or(error);
        let time = || {
            let exptime = parse_i32(argument).ok_or(BAD_TOKEN);
            exptime.map(|exptime| Some(expiry(exptime, now)))
        };
        match flag {
            b'N' => self.vivify = time()?,
            b'T' => self.ttl = time()?,
            b'R' => self.recache = time()?,
            // Cut to its 32 bits, as in memcached.
            b'F' => self.client_flags = number(BAD_FORMAT)? as u32,
            b'C' => self.compare = Some(number(BAD_TOKEN)?),
            b'E' => self.assign = Some(number(BAD_TOKEN)?),
            b'J' => self.initial = number(BAD_INITIAL)?,
            b'D' => self.delta = number(BAD_DELTA)?,
            b'M' => match argument {
                [mode] => self.mode = Some(*mode),
                _ => return Err(BAD_MODE_LENGTH),
            },
            _ if PLAIN_FLAGS.contains(&flag) => {}
            _ => return Err(BAD_FLAG),
        }
        Ok(())
    }

    fn cas_rule(&self) -> CasRule {
        CasRule {
            compare: self.compare.unwrap_or(0),
            take_older: false,
            assign: self.assign,
        }
    }
}

/// Answers any meta command but `ms`.
pub(super) fn answer(context: &mut Context<'_>, meta: &Meta<'_>) {
    let start = context.out.len();
    let options = Options::read(meta, context.now);
    let answer = match (meta.verb, options) {
        (Verb::Mg, Ok(options)) => get(context, meta, &options),
        (Verb::Md, Ok(options)) => delete(context, meta, &options),
        (Verb::Ma, Ok(options)) => count(context, meta, &options),
        (Verb::Me, _) => Ok(debug(context, meta)),
        (Verb::Mg, Err(error)) => Err(error),
        (_, Err(_)) => Err(BAD_OR_DUPLICATE),
        (_, Ok(_)) => unreachable!("ms has a body, the rest is not meta"),
    };
    finish(context.out, start, meta, answer);
}

/// Ends a reply that began at `start`, or takes it back.
fn finish(out: &mut Vec<u8>, start: usize, meta: &Meta<'_>, answer: Answer) {
    match answer {
        Ok(Tone::Nominal) if meta.has(b'q') => out.truncate(start),
        Ok(_) => push_lines(out, &[b""]),
        Err(error) => {
            out.truncate(start);
            say(out, false, error);
        }
    }
}

/// An `ms` whose head is fine.
#[derive(Debug)]
pub(super) struct Write {
    new: Item,
    mode: Mode,
    rule: CasRule,
}

/// Reads the head of an `ms`; an error is to be answered and the body
/// swallowed.
pub(super) fn prepare_set(
    context: &mut Context<'_>,
    meta: &Meta<'_>,
) -> Result<Write, &'static str> {
    let options = Options::read(meta, context.now)?;
    let mode = match options.mode {
        None | Some(b'S' | b'R') if options.compare.is_some() => Mode::Cas,
        None | Some(b'S') => Mode::Set,
        Some(b'E') => Mode::Add,
        Some(b'A') => Mode::Append,
        Some(b'P') => Mode::Prepend,
        Some(b'R') => Mode::Replace,
        Some(_) => return Err(BAD_MS_MODE),
    };
    if meta.flags.clone().any(is_long_opaque) {
        return Err(LONG_OPAQUE);
    }
    if too_large(meta.key, options.client_flags, meta.len) {
        context.store.delete(meta.key, context.now);
        return Err(TOO_LARGE);
    }
    Ok(Write {
        new: Item {
            flags: options.client_flags,
            expires: options.ttl.unwrap_or(0),
            binary: meta.base64,
            ..Item::default()
        },
        mode,
        rule: CasRule {
            take_older: meta.has(b'I'),
            ..options.cas_rule()
        },
    })
}

/// Answers an `ms`.
pub(super) fn set(context: &mut Context<'_>, meta: &Meta<'_>, write: Write, value: &[u8]) {
    let Context { store, now, out } = context;
    let Write {
        mut new,
        mode,
        rule,
    } = write;
    new.value = value.to_vec();
    let start = out.len();
    let outcome = store.store(meta.key, new, mode, rule, *now);
    let (code, cas, tone) = match outcome {
        Outcome::Stored(cas) => (b"HD", cas, Tone::Nominal),
        Outcome::NotStored => (b"NS", 0, Tone::Telling),
        Outcome::Exists => (b"EX", 0, Tone::Telling),
        Outcome::NotFound => (b"NF", 0, Tone::Telling),
    };
    out.extend_from_slice(code);
    let answer = push_flags(out, meta, |out, flag| {
        if flag == b'c' {
            push_number(out, b" c", cas);
        }
    });
    finish(out, start, meta, answer.map(|()| tone));
}

fn get(context: &mut Context<'_>, meta: &Meta<'_>, options: &Options) -> Answer {
    let Context { store, now, out } = context;
    let (key, now) = (meta.key, *now);
    let missing = store.read(key, now).is_none();
    let created = missing && options.vivify.is_some();
    if created {
        store.put(key, Item::default(), options.assign, now);
    }
    let Some(mut item) = store.live(key, now) else {
        out.extend_from_slice(b"EN");
        push_echoes(out, meta)?;
        return Ok(Tone::Nominal);
    };
    let item = &mut *item;
    // The read is noted last where the request could tell.
    let notes = !meta.has(b'u');
    let late = b"hlNRT".iter().any(|&flag| meta.has(flag));
    if notes && !late {
        item.bump(now);
    }
    if meta.has(b'v') {
        push_number(out, b"VA ", item.value.len() as u64);
    } else {
        out.extend_from_slice(b"HD");
    }
    let mut wins = created;
    for token in meta.flags.clone() {
        match token[0] {
            b'T' => item.expires = options.ttl.unwrap_or(item.expires),
            b'N' if created => item.expires = options.vivify.unwrap_or(0),
            b'R' if !item.won && !created && item.expires != 0 => {
                wins |= item.expires < options.recache.unwrap_or(0);
            }
            b's' => push_number(out, b" s", item.value.len() as u64),
            b't' => push_ttl(out, item.expires, now),
            b'c' => push_number(out, b" c", item.cas),
            b'f' => push_number(out, b" f", item.flags.into()),
            b'l' => push_number(out, b" l", now.saturating_sub(item.accessed)),
            b'h' => push_number(out, b" h", item.fetched.into()),
            b'k' => push_key(out, key, item.binary),
            b'O' => push_opaque(out, token)?,
            _ => {}
        }
    }
    if item.won {
        out.extend_from_slice(b" Z");
    }
    if item.stale {
        out.extend_from_slice(b" X");
        wins |= !item.won;
    }
    if wins {
        out.extend_from_slice(b" W");
        item.won = true;
    }
    if meta.has(b'v') {
        push_lines(out, &[b""]);
        out.extend_from_slice(&item.value);
    }
    if notes && late {
        item.bump(now);
    }
    Ok(Tone::Telling)
}

fn delete(context: &mut Context<'_>, meta: &Meta<'_>, options: &Options) -> Answer {
    let Context { store, now, out } = context;
    let start = out.len();
    out.extend_from_slice(b"HD");
    push_echoes(out, meta)?;
    let (key, now) = (meta.key, *now);
    let Some(old) = store.live(key, now).map(|item| item.cas) else {
        out[start..start + 2].copy_from_slice(b"NF");
        return Ok(Tone::Telling);
    };
    if options.compare.is_some_and(|cas| cas != old) {
        out[start..start + 2].copy_from_slice(b"EX");
        return Ok(Tone::Telling);
    }
    let (invalidates, empties) = (meta.has(b'I'), meta.has(b'x'));
    if empties {
        let tombstone = Item {
            flags: options.client_flags,
            expires: options.ttl.unwrap_or(0),
            ..Item::default()
        };
        store.put(key, tombstone, Some(options.assign.unwrap_or(old)), now);
    }
    if invalidates {
        let cas = options.assign.unwrap_or_else(|| store.next_cas());
        if let Some(mut item) = store.live(key, now) {
            item.expires = options.ttl.unwrap_or(item.expires);
            item.stale = true;
            item.won = false;
            item.cas = cas;
        }
    } else if !empties {
        store.delete(key, now);
    }
    Ok(Tone::Nominal)
}

fn count(context: &mut Context<'_>, meta: &Meta<'_>, options: &Options) -> Answer {
    let Context { store, now, out } = context;
    let (key, now) = (meta.key, *now);
    let up = match options.mode {
        None | Some(b'I' | b'+') => true,
        Some(b'D' | b'-') => false,
        Some(_) => return Err(BAD_MA_MODE),
    };
    let mut created = false;
    let mut count = match store.count(key, up, options.delta, options.cas_rule(), now) {
        Counted::Done(count) => count,
        Counted::NotNumeric => return Err(NOT_NUMERIC),
        Counted::NotFound if options.vivify.is_some() => {
            created = true;
            let value = options.initial.to_string().into_bytes();
            let new = Item {
                value,
                ..Item::default()
            };
            Count {
                value: options.initial,
                cas: store.put(key, new, options.assign, now),
                expires: 0,
                in_place: true,
            }
        }
        mismatch => {
            let code = match mismatch {
                Counted::CasMismatch => b"EX",
                _ => b"NF",
            };
            out.extend_from_slice(code);
            push_echoes(out, meta)?;
            return Ok(Tone::Telling);
        }
    };
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(count.value).as_bytes();
    if meta.has(b'v') {
        push_number(out, b"VA ", digits.len() as u64);
    } else {
        out.extend_from_slice(b"HD");
    }
    let answer = push_flags(out, meta, |out, flag| match flag {
        b'c' => push_number(out, b" c", count.cas),
        b't' => push_ttl(out, count.expires, now),
        b'T' => count.expires = options.ttl.unwrap_or(count.expires),
        b'N' if created => count.expires = options.vivify.unwrap_or(0),
        _ => {}
    });
    // Where the number outgrew its item, memcached tells the new time to live
    // but sets it on the item that is gone.
    if count.in_place
        && let Some(mut item) = store.live(key, now)
    {
        item.expires = count.expires;
    }
    answer?;
    if meta.has(b'v') {
        push_lines(out, &[b""]);
        out.extend_from_slice(digits);
    }
    // 1.6.18 does not hide a counter's first value.
    Ok(if created {
        Tone::Telling
    } else {
        Tone::Nominal
    })
}

fn debug(context: &mut Context<'_>, meta: &Meta<'_>) -> Tone {
    let Context { store, now, out } = context;
    let key = meta.key;
    let Some(item) = store.live(key, *now) else {
        out.extend_from_slice(b"EN");
        return Tone::Telling;
    };
    out.extend_from_slice(b"ME ");
    if item.binary {
        out.extend_from_slice(&encoded(key));
    } else {
        out.extend_from_slice(key);
    }
    // Seconds since its death, as memcached has it: negative for the living.
    let age = now.wrapping_sub(item.expires).cast_signed();
    let dump = format!(
        " exp={} la={} cas={} fetch={} cls=1 size={}",
        if item.expires == 0 { -1 } else { age },
        now.saturating_sub(item.accessed),
        item.cas,
        if item.fetched { "yes" } else { "no" },
        item_bytes(key, item.flags, item.value.len()),
    );
    out.extend_from_slice(dump.as_bytes());
    Tone::Telling
}

/// Echoes `O` and `k` in the request's order; other flags are the caller's.
fn push_flags(
    out: &mut Vec<u8>,
    meta: &Meta<'_>,
    mut other: impl FnMut(&mut Vec<u8>, u8),
) -> Result<(), &'static str> {
    for token in meta.flags.clone() {
        match token[0] {
            b'O' => push_opaque(out, token)?,
            b'k' => push_key(out, meta.key, meta.base64),
            flag => other(out, flag),
        }
    }
    Ok(())
}

fn push_echoes(out: &mut Vec<u8>, meta: &Meta<'_>) -> Result<(), &'static str> {
    push_flags(out, meta, |_, _| {})
}

fn is_long_opaque(token: &[u8]) -> bool {
    token[0] == b'O' && token.len() > MAX_OPAQUE_TOKEN
}

fn push_opaque(out: &mut Vec<u8>, token: &[u8]) -> Result<(), &'static str> {
    if is_long_opaque(token) {
        return Err(LONG_OPAQUE);
    }
    out.push(b' ');
    out.extend_from_slice(token);
    Ok(())
}

fn push_key(out: &mut Vec<u8>, key: &[u8], binary: bool) {
    out.extend_from_slice(b" k");
    if binary {
        out.extend_from_slice(&encoded(key));
        out.extend_from_slice(b" b");
    } else {
        out.extend_from_slice(key);
    }
}

/// A key that came in base64 goes out in it.
fn encoded(key: &[u8]) -> crate::protocol::key::KeyBuf {
    encode_base64_key(key).expect("what a base64 token held fits one")
}

/// Seconds to live, in memcached's 32 bits.
fn push_ttl(out: &mut Vec<u8>, expires: u64, now: u64) {
    if expires == 0 {
        out.extend_from_slice(b" t-1");
    } else {
        push_number(out, b" t", (expires.wrapping_sub(now) as u32).into());
    }
}
