//! Scripted clients: what they ask for, and how they take the replies. Those that
//! read fill what they missed, those that change a row delete it or write it
//! through. Knows the wire, not the sidecars.

use std::collections::VecDeque;

use fastrand::Rng;
use memchr::memmem;
use picklegate::protocol::key::encode_base64_key;

use picklegate::protocol::request::Verb;

use super::reference::{Asker, Begun, Reference};
use super::value::{PICKLED, Python, Stamp, pickle};
use crate::support::rig::{replies, text};

/// Requests of one client under way.
const MAX_WAITING: usize = 6;
/// Names of each kind in the shared family.
const SHARED: usize = 2;

/// Ways in which a client gives its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// The listener knows.
    Known(Python),
    /// By a first line.
    Hello(Python),
    /// With each request, as one and the other.
    Flag,
    /// Not at all: it may delete, and that reaches every copy.
    Nobody,
}

/// One request that waits for its reply.
#[derive(Debug)]
struct Op {
    kind: Kind,
    /// The `O` flag of a meta request.
    opaque: Option<u32>,
    python: Python,
}

#[derive(Debug)]
enum Kind {
    Hello,
    Noop,
    /// A retrieval; `is_quiet` if a miss is answered by nothing.
    Read {
        keys: Vec<(usize, Begun)>,
        is_quiet: bool,
    },
    /// `is_plain` if it is stored whatever is there.
    Store {
        stamp: Stamp,
        begun: Begun,
        verb: Verb,
        is_silent: bool,
    },
    Delete {
        key: usize,
        begun: Begun,
        is_silent: bool,
    },
    Lock {
        name: String,
    },
    Release {
        name: String,
    },
    Incr {
        name: String,
        before: u64,
    },
    Gets {
        name: String,
    },
    Cas {
        name: String,
        number: u64,
        before: u64,
    },
}

/// Next action of a client.
#[derive(Debug)]
enum Todo {
    Fill {
        key: usize,
        row: u64,
        python: Python,
    },
    Replace {
        key: usize,
        id: u64,
        python: Python,
    },
    Release {
        name: String,
    },
    Cas {
        name: String,
        number: u64,
        id: u64,
        before: u64,
    },
}

/// Knowledge shared by all clients.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) names: Vec<String>,
    /// Times that each lock was given up for another because its holder was unknown.
    locks: [u64; SHARED],
    /// Python 2 asks for nothing any more.
    pub(crate) without_two: bool,
    /// Rejected stores are answered as stores whose condition is not met.
    pub(crate) rejects: bool,
    /// Nobody adds: each copy that is there was stored by a change.
    pub(crate) without_adds: bool,
}

impl Common {
    pub(crate) fn new(names: Vec<String>, rejects: bool) -> Self {
        Self {
            names,
            locks: [0; SHARED],
            without_two: false,
            rejects,
            without_adds: false,
        }
    }

    fn lock(&self, slot: usize) -> String {
        format!("s:lock{slot}.{}", self.locks[slot])
    }

    /// Nobody asks for this lock any more.
    fn give_up(&mut self, name: &str) {
        for slot in 0..SHARED {
            if self.lock(slot) == name {
                self.locks[slot] += 1;
            }
        }
    }
}

/// The names of the numbers in the shared family, which start at 0.
pub(crate) fn counters() -> impl Iterator<Item = String> {
    (0..SHARED).flat_map(|slot| [format!("s:incr{slot}"), format!("s:cas{slot}")])
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) sidecar: usize,
    pub(crate) introduction: Introduction,
    /// Number of the client in the engine.
    pub(crate) id: u32,
    /// Bytes that it did not send yet.
    pub(crate) outgoing: VecDeque<u8>,
    /// Bytes that are no whole reply yet.
    inbox: Vec<u8>,
    waiting: VecDeque<Op>,
    todo: Vec<Todo>,
    /// Whether the client sends no more.
    pub(crate) is_leaving: bool,
    /// Whether the client is closed for good.
    pub(crate) is_gone: bool,
}

impl Client {
    pub(crate) fn new(number: usize, sidecar: usize, introduction: Introduction, id: u32) -> Self {
        let mut client = Self {
            number,
            sidecar,
            introduction,
            id,
            outgoing: VecDeque::new(),
            inbox: Vec::new(),
            waiting: VecDeque::new(),
            todo: Vec::new(),
            is_leaving: false,
            is_gone: false,
        };
        client.introduce();
        client
    }

    /// A new connection in place of one that is gone.
    pub(crate) fn connected(&mut self, id: u32) {
        self.id = id;
        self.is_leaving = false;
        self.introduce();
    }

    fn introduce(&mut self) {
        if let Introduction::Hello(python) = self.introduction {
            let line = format!("hello {}\r\n", python.tag());
            self.send(python, Kind::Hello, None, line.as_bytes());
        }
    }

    pub(crate) fn is_two(&self) -> bool {
        use Introduction::{Flag, Hello, Known, Nobody};
        match self.introduction {
            Known(python) | Hello(python) => python == Python::Two,
            Flag | Nobody => false,
        }
    }

    /// Whether it waits for nothing.
    pub(crate) fn is_answered(&self) -> bool {
        self.inbox.is_empty() && self.waiting.iter().all(is_silent)
    }

    /// Whether it has nothing of Python 2 under way.
    pub(crate) fn is_without_two(&self) -> bool {
        self.waiting.iter().all(|op| op.python == Python::Three)
    }

    fn send(&mut self, python: Python, kind: Kind, opaque: Option<u32>, bytes: &[u8]) {
        self.outgoing.extend(bytes);
        self.waiting.push_back(Op {
            kind,
            opaque,
            python,
        });
    }

    fn asker(&self, python: Python) -> Asker {
        Asker {
            client: self.number,
            sidecar: self.sidecar,
            python,
        }
    }

    // Requests -------------------------------------------------------------

    /// Asks for something; whether it did.
    pub(crate) fn ask(
        &mut self,
        rng: &mut Rng,
        common: &mut Common,
        reference: &mut Reference,
    ) -> bool {
        if self.is_leaving || self.is_gone || self.waiting.len() >= MAX_WAITING {
            return false;
        }
        let python = self.python(rng, common);
        if common.without_two && python == Python::Two {
            return false;
        }
        if self.introduction == Introduction::Nobody {
            let meta = rng.bool();
            // Else there would be little to read.
            return match rng.u8(..8) {
                0 => {
                    self.delete(rng, common, reference, (python, meta));
                    true
                }
                1 => {
                    self.send(python, Kind::Noop, None, b"mn\r\n");
                    true
                }
                _ => false,
            };
        }
        let flagged = self.introduction == Introduction::Flag;
        if !self.todo.is_empty() && rng.u8(..10) < 6 {
            let todo = self.todo.swap_remove(rng.usize(..self.todo.len()));
            return self.carry_out(rng, common, reference, todo);
        }
        let meta = flagged || rng.u8(..3) == 0;
        match rng.u8(..100) {
            0..50 => self.read(rng, common, reference, (python, meta)),
            50..64 => self.delete(rng, common, reference, (python, meta)),
            64..82 => {
                let key = rng.usize(..common.names.len());
                let row = reference.bump(key);
                let verb = match rng.u8(..8) {
                    0 if !common.without_adds => Verb::Add,
                    1 | 2 => Verb::Replace,
                    _ => Verb::Set,
                };
                let how = (python, meta, verb, None);
                self.store(rng, common, reference, (key, row), how);
            }
            82.. if flagged => self.send(python, Kind::Noop, None, b"mn\r\n"),
            82.. => self.use_shared(rng, common, reference, python),
        }
        true
    }

    /// Python that the next request is of.
    pub(crate) fn python(&self, rng: &mut Rng, common: &Common) -> Python {
        match self.introduction {
            Introduction::Known(python) | Introduction::Hello(python) => python,
            Introduction::Flag if common.without_two || rng.bool() => Python::Three,
            Introduction::Flag => Python::Two,
            Introduction::Nobody => Python::Three,
        }
    }

    /// Whether it may write, and has nothing under way.
    pub(crate) fn may_raid(&self) -> bool {
        let is_free = !self.is_leaving && !self.is_gone && self.waiting.is_empty();
        is_free && self.introduction != Introduction::Nobody
    }

    /// Replaces the value of this CAS id.
    pub(crate) fn replace(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        (key, id, python): (usize, u64, Python),
    ) {
        let row = reference.bump(key);
        let meta = self.introduction == Introduction::Flag || rng.u8(..3) == 0;
        let how = (python, meta, Verb::Cas, Some(id));
        self.store(rng, common, reference, (key, row), how);
    }

    fn carry_out(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        todo: Todo,
    ) -> bool {
        match todo {
            Todo::Fill { python, .. } | Todo::Replace { python, .. }
                if common.without_two && python == Python::Two =>
            {
                return false;
            }
            Todo::Fill { key, row, python } => {
                let meta = self.introduction == Introduction::Flag || rng.u8(..3) == 0;
                let adds = rng.bool() && !common.without_adds;
                let verb = if adds { Verb::Add } else { Verb::Set };
                self.store(
                    rng,
                    common,
                    reference,
                    (key, row),
                    (python, meta, verb, None),
                );
                reference.counts.add("fills", 1);
            }
            Todo::Replace { key, id, python } => {
                self.replace(rng, common, reference, (key, id, python));
            }
            Todo::Release { name } => {
                reference.release(&name, self.number);
                let line = format!("delete {name}\r\n");
                self.send(Python::Three, Kind::Release { name }, None, line.as_bytes());
            }
            Todo::Cas {
                name,
                number,
                id,
                before,
            } => {
                let digits = number.to_string();
                let request = format!("cas {name} 0 0 {} {id}\r\n{digits}\r\n", digits.len());
                let kind = Kind::Cas {
                    name,
                    number,
                    before,
                };
                self.send(Python::Three, kind, None, request.as_bytes());
            }
        }
        true
    }

    /// A key as a meta request spells it, the flags that go with that and say who
    /// asks, and its opaque.
    fn spell(&self, rng: &mut Rng, name: &str, python: Python) -> (String, String, Option<u32>) {
        let opaque = rng.u32(1..1_000_000_000);
        let mut flags = match self.introduction {
            Introduction::Flag => format!("O{opaque} P{}", python.tag()),
            _ => format!("O{opaque}"),
        };
        let base64 = encode_base64_key(name.as_bytes()).filter(|_| rng.u8(..4) == 0);
        let spelled = base64.map(|token| String::from_utf8_lossy(&token).into_owned());
        if spelled.is_some() {
            flags += " b";
        }
        let spelled = spelled.unwrap_or_else(|| name.to_owned());
        (spelled, flags, Some(opaque))
    }

    fn read(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        (python, meta): (Python, bool),
    ) {
        let by = self.asker(python);
        let first = rng.usize(..common.names.len());
        let begin = |reference: &mut Reference, key| (key, reference.begin_read(key, by));
        if meta {
            let (name, flags, opaque) = self.spell(rng, &common.names[first], python);
            let is_quiet = rng.u8(..4) == 0;
            let quiet = if is_quiet { " q" } else { "" };
            let line = format!("mg {name} v f k {flags}{quiet}\r\n");
            let keys = vec![begin(reference, first)];
            self.send(
                python,
                Kind::Read { keys, is_quiet },
                opaque,
                line.as_bytes(),
            );
            if is_quiet {
                self.send(python, Kind::Noop, None, b"mn\r\n");
            }
            return;
        }
        let more = if rng.bool() { 1 } else { rng.usize(2..4) };
        let numbers = (0..more).map(|nth| (first + nth) % common.names.len());
        let keys: Vec<_> = numbers.map(|key| begin(reference, key)).collect();
        let mut line = ["get", "get", "gets", "gat 500"][rng.usize(..4)].to_owned();
        for (key, _) in &keys {
            line += " ";
            line += &common.names[*key];
        }
        line += "\r\n";
        let kind = Kind::Read {
            keys,
            is_quiet: false,
        };
        self.send(python, kind, None, line.as_bytes());
    }

    fn store(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        (key, row): (usize, u64),
        (python, meta, verb, id): (Python, bool, Verb, Option<u64>),
    ) {
        let (stamp, begun) = reference.begin_store(key, row, self.asker(python));
        let value = pickle(python, stamp, rng.u16(..400) == 0);
        let (name, len) = (&common.names[key], value.len());
        let is_silent = !meta && rng.u8(..8) == 0;
        let (head, opaque) = if meta {
            let (name, flags, opaque) = self.spell(rng, name, python);
            let mode = match (verb, id) {
                (_, Some(id)) => format!("C{id}"),
                (Verb::Add, _) => "ME".to_owned(),
                (Verb::Replace, _) => "MR".to_owned(),
                _ => "MS".to_owned(),
            };
            let head = format!("ms {name} {len} F{PICKLED} {mode} {flags}\r\n");
            (head, opaque)
        } else {
            let id = id.map_or(String::new(), |id| format!(" {id}"));
            let noreply = if is_silent { " noreply" } else { "" };
            let verb = verb.name();
            let head = format!("{verb} {name} {PICKLED} 0 {len}{id}{noreply}\r\n");
            (head, None)
        };
        let bytes = [head.as_bytes(), &value, b"\r\n"].concat();
        let kind = Kind::Store {
            stamp,
            begun,
            verb,
            is_silent,
        };
        self.send(python, kind, opaque, &bytes);
    }

    fn delete(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        (python, meta): (Python, bool),
    ) {
        let key = rng.usize(..common.names.len());
        reference.bump(key);
        let begun = reference.begin_delete(key, self.asker(python));
        let name = &common.names[key];
        let is_silent = !meta && rng.u8(..8) == 0;
        let (line, opaque) = if meta {
            let (name, flags, opaque) = self.spell(rng, name, python);
            (format!("md {name} {flags}\r\n"), opaque)
        } else {
            let noreply = if is_silent { " noreply" } else { "" };
            (format!("delete {name}{noreply}\r\n"), None)
        };
        let kind = Kind::Delete {
            key,
            begun,
            is_silent,
        };
        self.send(python, kind, opaque, line.as_bytes());
    }

    fn use_shared(
        &mut self,
        rng: &mut Rng,
        common: &Common,
        reference: &mut Reference,
        python: Python,
    ) {
        let slot = rng.usize(..SHARED);
        match rng.u8(..3) {
            0 => {
                let name = common.lock(slot);
                reference.note(&name, format_args!("client {} asks for it", self.number));
                let request = format!("add {name} 0 0 1\r\n{}\r\n", self.number % 10);
                self.send(python, Kind::Lock { name }, None, request.as_bytes());
            }
            1 => {
                let name = format!("s:incr{slot}");
                let before = reference.begin_count(&name);
                let line = format!("incr {name} 1\r\n");
                self.send(python, Kind::Incr { name, before }, None, line.as_bytes());
            }
            _ => {
                let name = format!("s:cas{slot}");
                let line = format!("gets {name}\r\n");
                self.send(python, Kind::Gets { name }, None, line.as_bytes());
            }
        }
    }

    // Replies --------------------------------------------------------------

    /// Takes bytes; `guarded` says of a beginning whether its sidecar has kept
    /// from clients what they cannot load ever since.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        common: &mut Common,
        reference: &mut Reference,
        guarded: impl Fn(Begun) -> bool,
    ) {
        self.inbox.extend_from_slice(bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let (whole, rest) = replies(&inbox);
        for reply in whole {
            self.take(reply, common, reference, &guarded);
        }
        self.inbox = rest.to_vec();
    }

    fn take(
        &mut self,
        reply: &[u8],
        common: &mut Common,
        reference: &mut Reference,
        guarded: &dyn Fn(Begun) -> bool,
    ) {
        loop {
            let op = self.waiting.pop_front();
            let who = self.number;
            let Some(op) = op else {
                reference.claim("", false, format_args!("client {who}: {}", text(reply)));
                return;
            };
            if is_silent(&op) || is_unsaid(&op, reply) {
                self.leave_unsaid(op, reference);
                continue;
            }
            self.answered(op, reply, common, reference, guarded);
            return;
        }
    }

    /// A request is answered by nothing: later ones are answered.
    fn leave_unsaid(&mut self, op: Op, reference: &mut Reference) {
        let by = self.asker(op.python);
        match op.kind {
            Kind::Read { keys, .. } => {
                for (key, begun) in keys {
                    reference.missed(key, by, begun);
                }
            }
            Kind::Store { stamp, begun, .. } => reference.change_failed(stamp.key, by, begun),
            Kind::Delete { key, begun, .. } => reference.change_failed(key, by, begun),
            _ => {}
        }
    }

    fn answered(
        &mut self,
        op: Op,
        reply: &[u8],
        common: &mut Common,
        reference: &mut Reference,
        guarded: &dyn Fn(Begun) -> bool,
    ) {
        if reply.starts_with(b"SERVER_ERROR ") {
            self.fail(op, common, reference);
            return;
        }
        let by = self.asker(op.python);
        let line = reply.split(|&b| b == b'\r').next().unwrap_or_default();
        let code = line.split(|&b| b == b' ').next().unwrap_or_default();
        let opaque = op.opaque.map(|opaque| format!("O{opaque}"));
        let is_own = opaque.is_none_or(|opaque| {
            let mut tokens = line.split(|&b| b == b' ');
            tokens.any(|token| token == opaque.as_bytes())
        });
        let mut is_answer = is_own;
        match op.kind {
            Kind::Hello => is_answer = code == b"OK",
            Kind::Noop => is_answer = code == b"MN",
            Kind::Read { keys, .. } if op.opaque.is_some() => {
                let (key, begun) = keys[0];
                match code {
                    b"VA" => {
                        let value = &reply[line.len() + 2..reply.len() - 2];
                        reference.read(key, by, begun, value, guarded(begun));
                    }
                    _ => self.missed(key, by, begun, reference),
                }
                is_answer &= code == b"VA" || code == b"EN";
            }
            Kind::Read { keys, .. } => {
                let keys = keys
                    .iter()
                    .map(|&(key, begun)| (key, begun, guarded(begun)));
                self.read_all(keys.collect(), by, reply, common, reference);
            }
            Kind::Store {
                stamp, begun, verb, ..
            } => match code {
                b"STORED" | b"HD" => reference.stored(verb, by, stamp, begun),
                b"NOT_STORED" | b"NS" if verb == Verb::Set => {
                    is_answer &= common.rejects;
                    reference.rejected(stamp.key, by, begun);
                }
                b"NOT_STORED" | b"NS" | b"EXISTS" | b"EX" | b"NOT_FOUND" | b"NF" => {
                    reference.not_stored(stamp.key, by, begun);
                }
                _ => is_answer = false,
            },
            Kind::Delete { key, begun, .. } => {
                is_answer &= matches!(code, b"DELETED" | b"NOT_FOUND" | b"HD" | b"NF");
                let is_nobodys = self.introduction == Introduction::Nobody;
                let counts = &mut reference.counts;
                counts.add("deletes of nobody in particular", u64::from(is_nobodys));
                reference.deleted(key, by, begun);
            }
            kind => is_answer = self.shared(kind, code, line, reply, reference),
        }
        let all = || format!("client {}: answered {}", self.number, text(reply));
        reference.claim("", is_answer, all());
    }

    fn missed(&mut self, key: usize, by: Asker, begun: Begun, reference: &mut Reference) {
        reference.missed(key, by, begun);
        let row = reference.row(key);
        let python = by.python;
        self.todo.push(Todo::Fill { key, row, python });
    }

    /// Takes the values of a retrieval of keys, each with whether it was guarded; those
    /// without a value were missed, unless an error is what ends it.
    fn read_all(
        &mut self,
        mut left: Vec<(usize, Begun, bool)>,
        by: Asker,
        reply: &[u8],
        common: &Common,
        reference: &mut Reference,
    ) {
        let mut rest = reply;
        while let Some(head) = rest.strip_prefix(b"VALUE ") {
            let (name, value, id, tail) = cut_value(head);
            let at = left
                .iter()
                .position(|(key, ..)| common.names[*key].as_bytes() == name);
            let Some(at) = at else {
                reference.claim("", false, format_args!("not asked for: {}", text(name)));
                return;
            };
            let (key, begun, guarded) = left.remove(at);
            reference.read(key, by, begun, value, guarded);
            if let Some(id) = id {
                let python = by.python;
                self.todo.push(Todo::Replace { key, id, python });
            }
            rest = tail;
        }
        let is_end = rest == b"END\r\n";
        let is_error = rest.starts_with(b"SERVER_ERROR ");
        reference.claim("", is_end || is_error, format_args!("{}", text(reply)));
        for (key, begun, _) in left {
            if is_error {
                reference.read_failed(key, by, begun);
            } else {
                self.missed(key, by, begun, reference);
            }
        }
    }

    /// Takes the reply to a request of the shared family; whether it is one.
    fn shared(
        &mut self,
        kind: Kind,
        code: &[u8],
        line: &[u8],
        reply: &[u8],
        reference: &mut Reference,
    ) -> bool {
        match (kind, code) {
            (Kind::Lock { name }, b"STORED") => {
                reference.locked(&name, self.number);
                self.todo.push(Todo::Release { name });
            }
            // Its server failed: a number is never missed.
            (Kind::Gets { .. }, b"END")
            | (Kind::Lock { .. }, b"NOT_STORED")
            | (Kind::Release { .. }, b"DELETED")
            | (Kind::Cas { .. }, b"EXISTS") => {}
            (Kind::Incr { name, before }, digits) => {
                let Some(number) = number(digits) else {
                    return false;
                };
                reference.counted(&name, number, before);
            }
            (Kind::Gets { name }, b"VALUE") => {
                let id = line.rsplit(|&b| b == b' ').next().and_then(number);
                let value = &reply[line.len() + 2..];
                let end = memmem::find(value, b"\r\n").unwrap_or_default();
                let (Some(id), Some(seen)) = (id, number(&value[..end])) else {
                    return false;
                };
                let before = reference.begin_count(&name);
                self.todo.push(Todo::Cas {
                    name,
                    number: seen + 1,
                    id,
                    before,
                });
            }
            (
                Kind::Cas {
                    name,
                    number,
                    before,
                },
                b"STORED",
            ) => reference.counted(&name, number, before),
            _ => return false,
        }
        true
    }

    /// A request was answered by an error.
    fn fail(&mut self, op: Op, common: &mut Common, reference: &mut Reference) {
        let by = self.asker(op.python);
        reference.counts.add("errors", 1);
        match op.kind {
            Kind::Read { keys, .. } => {
                for (key, begun) in keys {
                    reference.read_failed(key, by, begun);
                }
            }
            Kind::Store { stamp, begun, .. } => reference.change_failed(stamp.key, by, begun),
            Kind::Delete { key, begun, .. } => reference.change_failed(key, by, begun),
            Kind::Lock { name } | Kind::Release { name } => {
                reference.note(&name, "in doubt");
                common.give_up(&name);
            }
            Kind::Incr { name, .. } | Kind::Cas { name, .. } => reference.count_in_doubt(&name),
            Kind::Gets { .. } => {}
            Kind::Hello | Kind::Noop => reference.claim("", false, "nothing of these fails"),
        }
    }

    /// Handles the loss of the connection, with all that was under way.
    pub(crate) fn lost(&mut self, common: &mut Common, reference: &mut Reference) {
        self.outgoing.clear();
        self.inbox.clear();
        for op in std::mem::take(&mut self.waiting) {
            if !matches!(op.kind, Kind::Hello | Kind::Noop) {
                self.fail(op, common, reference);
            }
        }
    }
}

fn is_silent(op: &Op) -> bool {
    matches!(
        op.kind,
        Kind::Store {
            is_silent: true,
            ..
        } | Kind::Delete {
            is_silent: true,
            ..
        }
    )
}

/// Whether a quiet request was a miss, since this is the reply to the one after it.
fn is_unsaid(op: &Op, reply: &[u8]) -> bool {
    let is_quiet = matches!(op.kind, Kind::Read { is_quiet: true, .. });
    is_quiet && reply == b"MN\r\n"
}

/// Key, value, maybe CAS id, and what follows, of a value behind "VALUE ".
fn cut_value(head: &[u8]) -> (&[u8], &[u8], Option<u64>, &[u8]) {
    let end = memmem::find(head, b"\r\n").unwrap_or(head.len());
    let mut words = head[..end].split(|&b| b == b' ');
    let name = words.next().unwrap_or_default();
    let len = words.nth(1).and_then(number).unwrap_or_default() as usize;
    let id = words.next().and_then(number);
    let start = end + 2;
    let value = &head[start..start + len];
    (name, value, id, &head[start + len + 2..])
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
