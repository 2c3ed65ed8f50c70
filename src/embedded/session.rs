//! A connection: requests in, replies out, and the classic commands. Knows no socket
//! and no clock; what lasts longer than a request is the store's.

use super::meta;
use super::reply::{Context, NOT_NUMERIC, TOO_LARGE, push_lines, push_number, say};
use super::store::{CasRule, Counted, Item, Mode, Outcome, expiry, too_large};
use crate::protocol::key::KeyBuf;
use crate::protocol::request::{Change, Head, Line, Retrieve, Verb, find_line, parse_head};
use crate::protocol::{parse_i32, parse_u64};

/// Past this many bytes of replies no further request is begun.
const HIGH_WATER: usize = 256 << 10;
/// The memcached whose answers these are; libmemcached wants three numbers.
const VERSION: &str = "1.6.18-embedded";

const BAD_CHUNK: &str = "CLIENT_ERROR bad data chunk";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta argument";

/// A connection between two requests, or within a long one.
#[derive(Debug, Default)]
pub struct Session {
    /// Bytes yet to come of a body that nobody wants.
    swallow: usize,
    /// Keys already answered of the retrieval at hand.
    answered: usize,
    closed: bool,
}

impl Session {
    /// Answers what it can of `input` and returns how many bytes that took.
    /// If that left replies in `out`, there may be more to answer without new
    /// input; if not, there is not.
    pub(super) fn serve(&mut self, mut context: Context<'_>, input: &[u8]) -> usize {
        let mut used = 0;
        while !self.closed && context.out.len() < HIGH_WATER {
            let unwanted = self.swallow.min(input.len() - used);
            self.swallow -= unwanted;
            used += unwanted;
            match self.step(&mut context, &input[used..]) {
                Some(taken) => used += taken,
                None => break,
            }
        }
        used
    }

    /// Tells whether the client asked, or has to, leave.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Answers one request; `None` if not all of it is there.
    fn step(&mut self, context: &mut Context<'_>, input: &[u8]) -> Option<usize> {
        let (text, total) = match find_line(input, 0) {
            Line::Partial => return None,
            Line::TooLong => {
                self.closed = true;
                return None;
            }
            Line::Whole { text, total } => (text, total),
        };
        let (line, rest) = (&input[..text], &input[total..]);
        match parse_head(line, &mut KeyBuf::new()) {
            Head::Retrieve(head) => self.retrieve(context, head)?,
            Head::Store(head) => {
                let mut new = Item {
                    flags: head.flags,
                    expires: expiry(head.exptime, context.now),
                    ..Item::default()
                };
                if too_large(head.key, head.flags, head.len) {
                    if head.verb == Verb::Set {
                        context.store.delete(head.key, context.now);
                    }
                    self.swallow = head.len + 2;
                    say(context.out, head.noreply, TOO_LARGE);
                    return Some(total);
                }
                let reply = match body(rest, head.len)? {
                    Err(bad) => bad,
                    Ok(value) => {
                        new.value = value.to_vec();
                        let rule = CasRule {
                            compare: head.cas.unwrap_or(0),
                            ..CasRule::default()
                        };
                        let mode = store_mode(head.verb);
                        told(context.store.store(head.key, new, mode, rule, context.now))
                    }
                };
                say(context.out, head.noreply, reply);
                return Some(total + head.len + 2);
            }
            Head::Change(head) => change(context, head),
            Head::Meta(head) if head.verb == Verb::Ms => {
                let write = match meta::prepare_set(context, &head) {
                    Ok(write) => write,
                    Err(error) => {
                        self.swallow = head.len + 2;
                        say(context.out, false, error);
                        return Some(total);
                    }
                };
                match body(rest, head.len)? {
                    Err(bad) => say(context.out, false, bad),
                    Ok(value) => meta::set(context, &head, write, value),
                }
                return Some(total + head.len + 2);
            }
            Head::Meta(head) => meta::answer(context, &head),
            Head::MetaNoop => say(context.out, false, "MN"),
            Head::Hello(_) => say(context.out, false, "ERROR"),
            Head::Version => say(context.out, false, &format!("VERSION {VERSION}")),
            Head::Stats(section) => stats(context, section),
            Head::FlushAll { delay, noreply } => {
                context.store.flush(delay.unwrap_or(0), context.now);
                say(context.out, noreply, "OK");
            }
            Head::Quit => self.closed = true,
            Head::Refused { command, noreply } => {
                // There is nothing to be verbose about; the rest is not here.
                let reply = if command == "verbosity" {
                    "OK"
                } else {
                    "ERROR"
                };
                say(context.out, noreply, reply);
            }
            Head::Bad(bad) => {
                say(context.out, bad.reply.is_empty(), bad.reply);
                self.swallow = bad.swallow;
                self.closed = bad.close;
            }
        }
        Some(total)
    }

    /// Answers key by key; `None` when there is enough to write for now.
    fn retrieve(&mut self, context: &mut Context<'_>, head: Retrieve<'_>) -> Option<()> {
        let now = context.now;
        let expires = head.exptime.and_then(parse_i32).map(|t| expiry(t, now));
        let with_cas = matches!(head.verb, Verb::Gets | Verb::Gats);
        for key in head.keys.skip(self.answered) {
            if context.out.len() >= HIGH_WATER {
                return None;
            }
            self.answered += 1;
            let Some(mut item) = context.store.read(key, now) else {
                continue;
            };
            item.bump(now);
            item.expires = expires.unwrap_or(item.expires);
            context.out.extend_from_slice(b"VALUE ");
            context.out.extend_from_slice(key);
            push_number(context.out, b" ", item.flags.into());
            push_number(context.out, b" ", item.value.len() as u64);
            if with_cas {
                push_number(context.out, b" ", item.cas);
            }
            push_lines(context.out, &[b"", &item.value]);
        }
        self.answered = 0;
        say(context.out, false, "END");
        Some(())
    }
}

/// The value of a store, once all of it is there.
fn body(rest: &[u8], len: usize) -> Option<Result<&[u8], &'static str>> {
    let chunk = rest.get(..len + 2)?;
    Some(chunk.strip_suffix(b"\r\n").ok_or(BAD_CHUNK))
}

fn store_mode(verb: Verb) -> Mode {
    match verb {
        Verb::Add => Mode::Add,
        Verb::Replace => Mode::Replace,
        Verb::Append => Mode::Append,
        Verb::Prepend => Mode::Prepend,
        Verb::Cas => Mode::Cas,
        _ => Mode::Set,
    }
}

fn told(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Stored(_) => "STORED",
        Outcome::NotStored => "NOT_STORED",
        Outcome::Exists => "EXISTS",
        Outcome::NotFound => "NOT_FOUND",
    }
}

fn change(context: &mut Context<'_>, head: Change<'_>) {
    let Context { store, now, out } = context;
    let argument = head.argument.unwrap_or_default();
    let found = |yes, reply| if yes { reply } else { "NOT_FOUND" };
    let reply = match head.verb {
        Verb::Delete => found(store.delete(head.key, *now), "DELETED"),
        Verb::Touch => match parse_i32(argument) {
            None => BAD_EXPTIME,
            Some(exptime) => {
                let touched = store.touch(head.key, expiry(exptime, *now), *now);
                found(touched.is_some(), "TOUCHED")
            }
        },
        up_or_down => {
            let up = up_or_down == Verb::Incr;
            let counted = parse_u64(argument)
                .map(|delta| store.count(head.key, up, delta, CasRule::default(), *now));
            match counted {
                None => BAD_DELTA,
                Some(Counted::Done(count)) => {
                    let mut digits = itoa::Buffer::new();
                    return say(out, head.noreply, digits.format(count.value));
                }
                Some(Counted::NotNumeric) => NOT_NUMERIC,
                Some(Counted::NotFound | Counted::CasMismatch) => "NOT_FOUND",
            }
        }
    };
    say(out, head.noreply, reply);
}

/// Answers `stats` as exporters and client libraries expect; sections are empty.
fn stats(context: &mut Context<'_>, section: &[u8]) {
    let Context { store, now, out } = context;
    if section.is_empty() {
        say(out, false, &format!("STAT version {VERSION}"));
        for (name, number) in [
            ("pid", std::process::id().into()),
            ("time", *now),
            ("cmd_get", store.hits + store.misses),
            ("cmd_set", store.stores),
            ("get_hits", store.hits),
            ("get_misses", store.misses),
            ("bytes", store.bytes()),
            ("curr_items", store.len() as u64),
            ("limit_maxbytes", store.capacity()),
        ] {
            say(out, false, &format!("STAT {name} {number}"));
        }
    }
    say(out, false, "END");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::store::Store;

    const NOW: u64 = 1_700_000_000;

    /// A conversation on one connection: what is asked, what is answered.
    const CONVERSATION: &[(&str, &str)] = &[
        ("get a\r\n", "END\r\n"),
        ("set a 7 0 3\r\none\r\n", "STORED\r\n"),
        (
            "gets a b a\r\n",
            "VALUE a 7 3 1\r\none\r\nVALUE a 7 3 1\r\none\r\nEND\r\n",
        ),
        ("add a 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("append a 0 0 1 noreply\r\n!\r\n", ""),
        (
            "prepend a 0 0 1\r\n>\r\nget a\n",
            "STORED\r\nVALUE a 7 5\r\n>one!\r\nEND\r\n",
        ),
        (
            "cas a 1 0 1 1\r\nx\r\ncas a 1 0 1 3\r\nx\r\n",
            "EXISTS\r\nSTORED\r\n",
        ),
        ("cas z 1 0 1 1\r\nx\r\n", "NOT_FOUND\r\n"),
        ("replace z 0 0 0\r\n\r\n", "NOT_STORED\r\n"),
        ("set n 0 -1 2\r\n10\r\nget n\r\n", "STORED\r\nEND\r\n"),
        (
            "set n 0 0 2\r\n10\r\ndecr n 1\r\nget n\r\n",
            "STORED\r\n9\r\nVALUE n 0 2\r\n9 \r\nEND\r\n",
        ),
        (
            "incr n x\r\nincr a 1\r\nincr z 1\r\n",
            concat!(
                "CLIENT_ERROR invalid numeric delta argument\r\n",
                "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
                "NOT_FOUND\r\n",
            ),
        ),
        (
            "touch a 100\r\ntouch z 100\r\ntouch a x\r\n",
            "TOUCHED\r\nNOT_FOUND\r\nCLIENT_ERROR invalid exptime argument\r\n",
        ),
        (
            "gat -1 a\r\ngat 0 a\r\n",
            "VALUE a 1 1\r\nx\r\nEND\r\nEND\r\n",
        ),
        ("delete n 0 noreply\r\ndelete n\r\n", "NOT_FOUND\r\n"),
        (
            "set a 0 0 2\r\nlong\r\n",
            "CLIENT_ERROR bad data chunk\r\nERROR\r\n",
        ),
        ("set a 0 0 2 noreply\r\nlonger\r\n", "ERROR\r\n"),
        (
            "set a x 0 2\r\nab\r\nversion\r\n",
            "CLIENT_ERROR bad command line format\r\nVERSION 1.6.18-embedded\r\n",
        ),
        (
            "verbosity 1\r\nwatch\r\nhello x\r\n",
            "OK\r\nERROR\r\nERROR\r\n",
        ),
        ("stats items\r\n", "END\r\n"),
        // Meta.
        (
            "mg a\r\nmg a q\r\nmg a k O1\r\nmn\r\n",
            "EN\r\nEN ka O1\r\nMN\r\n",
        ),
        ("ms a 3 T90 F5 c k Oq\r\none\r\n", "HD c8 ka Oq\r\n"),
        (
            "mg a v t f c k s h q Oz\r\n",
            "VA 3 t90 f5 c8 ka s3 h0 Oz\r\none\r\n",
        ),
        (
            "mg a h l u\r\nmg a t T0\r\nmg a T0 t\r\n",
            "HD h1 l0\r\nHD t90\r\nHD t-1\r\n",
        ),
        (
            "ms a 1 ME\r\nx\r\nms a 1 q\r\ny\r\nms z 1 MA c\r\nx\r\n",
            "NS\r\nNS c0\r\n",
        ),
        (
            "ms a 1 C1\r\nx\r\nms a 1 C9 MR c\r\nx\r\nms z 1 C1 q\r\nx\r\n",
            "EX\r\nHD c10\r\nNF\r\n",
        ),
        ("ms a 1 I T30 C10\r\nz\r\nmd a I T60 q\r\n", "HD\r\n"),
        ("mg a t v\r\nmg a\r\n", "VA 1 t60 X W\r\nz\r\nHD Z X\r\n"),
        (
            "ms a 1 I C2\r\nw\r\nmg a v\r\nms a 1 C99\r\nw\r\n",
            "HD\r\nVA 1 Z X\r\nw\r\nEX\r\n",
        ),
        (
            "mg viv N30 v t\r\nmg viv s v\r\nmg viv R60\r\n",
            "VA 0 t30 W\r\n\r\nVA 0 s0 Z\r\n\r\nHD Z\r\n",
        ),
        (
            "ms soon 0 T20\r\n\r\nmg soon R30 t\r\nmg soon R30\r\n",
            "HD\r\nHD t20 W\r\nHD Z\r\n",
        ),
        (
            "ma c\r\nma c N0 J41 v\r\nma c v t c\r\nma c MD D100 v q\r\nma c MD D1 v\r\n",
            "NF\r\nVA 2\r\n41\r\nVA 2 t-1 c17\r\n42\r\nVA 1\r\n0\r\n",
        ),
        (
            "ma a\r\nma c Mx\r\nma c Dx\r\nma c C1 k\r\n",
            concat!(
                "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
                "CLIENT_ERROR invalid mode for ma M token\r\n",
                "CLIENT_ERROR invalid or duplicate flag\r\n",
                "EX kc\r\n",
            ),
        ),
        (
            "md a C1 k\r\nmd a k O2\r\nmd a q\r\nmd a b k\r\n",
            "EX ka\r\nHD ka O2\r\nNF\r\nCLIENT_ERROR invalid or duplicate flag\r\n",
        ),
        (
            "ms Zm9v 3 b k T0\r\nbar\r\nmg foo k v\r\nmg Zm9v b k\r\n",
            "HD kZm9v b\r\nVA 3 kZm9v b\r\nbar\r\nHD kZm9v b\r\n",
        ),
        (
            "me foo\r\nme nope\r\nset foo 1 0 1\r\nx\r\nmg Zm9v b k\r\nme Zm9v b\r\n",
            concat!(
                "ME Zm9v exp=-1 la=0 cas=20 fetch=yes cls=1 size=65\r\nEN\r\nSTORED\r\n",
                "HD kfoo\r\nME foo exp=-1 la=0 cas=21 fetch=yes cls=1 size=67\r\n",
            ),
        ),
        (
            "mg a v v\r\nmg a Nx !\r\nmg a Jx Fx\r\nmg a Nx\r\nms a 1 Mxy\r\nz\r\nms a 1 Mx\r\nz\r\nms a 1 Fx\r\nz\r\n",
            concat!(
                "CLIENT_ERROR duplicate flag\r\n",
                "CLIENT_ERROR invalid flag\r\n",
                "CLIENT_ERROR invalid numeric initial value\r\n",
                "CLIENT_ERROR bad token in command line format\r\n",
                "CLIENT_ERROR incorrect length for M token\r\n",
                "CLIENT_ERROR invalid mode for ms M token\r\n",
                "CLIENT_ERROR bad command line format\r\n",
            ),
        ),
        (
            "mg foo O12345678901234567890123456789012 v\r\nms a 2 q\r\nzzz\r\n",
            "CLIENT_ERROR opaque token too long\r\nCLIENT_ERROR bad data chunk\r\nERROR\r\n",
        ),
        (
            "ms e 1 E500 c\r\nx\r\nmd e x E501\r\nmg e v c\r\n",
            "HD c500\r\nHD\r\nVA 0 c501\r\n\r\n",
        ),
        (
            "flush_all\r\nget foo\r\nflush_all noreply\r\nflush_all 5\r\n",
            "OK\r\nEND\r\nOK\r\n",
        ),
        ("quit\r\nversion\r\n", ""),
    ];

    /// Feeds pieces as a socket would; every reply byte.
    fn converse(store: &mut Store, pieces: &[&[u8]]) -> Vec<u8> {
        let mut session = Session::default();
        let (mut input, mut all) = (Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                let mut out = Vec::new();
                let context = Context {
                    store: &mut *store,
                    now: NOW,
                    out: &mut out,
                };
                let used = session.serve(context, &input);
                input.drain(..used);
                if out.is_empty() {
                    break;
                }
                all.extend_from_slice(&out);
            }
        }
        all
    }

    fn text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn requests_are_answered_as_memcached_does() {
        let mut store = Store::new(0);
        for (asked, answered) in CONVERSATION {
            let got = converse(&mut store, &[asked.as_bytes()]);
            assert_eq!(text(&got), text(answered.as_bytes()), "{asked:?}");
        }
    }

    #[test]
    fn cuts_change_nothing() {
        let asked: Vec<u8> = CONVERSATION.iter().flat_map(|(a, _)| a.bytes()).collect();
        let answered: Vec<u8> = CONVERSATION.iter().flat_map(|(_, a)| a.bytes()).collect();
        let bytes: Vec<&[u8]> = asked.chunks(1).collect();
        assert_eq!(text(&converse(&mut Store::new(0), &bytes)), text(&answered));
        for at in 0..=asked.len() {
            let (head, tail) = asked.split_at(at);
            let got = converse(&mut Store::new(0), &[head, tail]);
            assert_eq!(text(&got), text(&answered), "cut at {at}");
        }
    }

    #[test]
    fn too_large_values_are_swallowed_and_delete_the_old() {
        for (head, stays) in [
            ("set k 0 0 1048576", false),
            ("set k 0 0 1048576 noreply", false),
            ("add k 0 0 1048576", true),
            ("ms k 1048576 q", false),
            ("ms k 1048576 ME", false),
        ] {
            let mut store = Store::new(0);
            converse(&mut store, &[b"set k 0 0 1\r\nv\r\n"]);
            let request = format!("{head}\r\n{}\r\nmg k v\r\n", "x".repeat(1 << 20));
            let pieces: Vec<&[u8]> = request.as_bytes().chunks(100_000).collect();
            let error = if head.ends_with("noreply") {
                ""
            } else {
                "SERVER_ERROR object too large for cache\r\n"
            };
            let after = if stays { "VA 1\r\nv\r\n" } else { "EN\r\n" };
            let got = converse(&mut store, &pieces);
            assert_eq!(text(&got), text(format!("{error}{after}").as_bytes()));
        }
    }

    #[test]
    fn replies_pause_at_the_high_water_mark() {
        let value = "x".repeat(100_000);
        let mut store = Store::new(0);
        converse(
            &mut store,
            &[format!("set k 0 0 100000\r\n{value}\r\n").as_bytes()],
        );
        let request = format!("get{}\r\nmg k s\r\n", " k".repeat(50));
        let (mut session, mut rounds, mut total) = (Session::default(), 0, 0);
        let mut input = request.as_bytes();
        loop {
            let mut out = Vec::new();
            let context = Context {
                store: &mut store,
                now: NOW,
                out: &mut out,
            };
            input = &input[session.serve(context, input)..];
            assert!(out.len() < HIGH_WATER + 2 * value.len());
            if out.is_empty() {
                break;
            }
            rounds += 1;
            total += out.len();
        }
        assert!(rounds > 10);
        assert_eq!(input, b"");
        let each = "VALUE k 0 100000\r\n".len() + value.len() + 2;
        assert_eq!(total, 50 * each + "END\r\nHD s100000\r\n".len());
    }

    #[test]
    fn endless_lines_close() {
        let mut session = Session::default();
        let (mut store, mut out) = (Store::new(0), Vec::new());
        let context = Context {
            store: &mut store,
            now: NOW,
            out: &mut out,
        };
        session.serve(context, &vec![b'x'; 1 << 20]);
        assert!(session.is_closed() && out.is_empty());
    }
}
