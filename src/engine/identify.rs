//! What a client says of itself in band, and what becomes of those that nobody
//! knows: `hello` as a line and as the read of a reserved key, the meta flag `P`,
//! and refusals.

use std::sync::Arc;

use super::counts::{Outcome, Untagged};
use super::dispatch::{Dispatch, Taken, quiet};
use super::downstream::Downstream;
use super::listener::ListenerId;
use super::notes::Kind;
use super::who::{FlagTag, Who};
use super::words::{push_key, push_word};
use crate::policy::{Admission, Identity, RuntimeTag, Standing, Tag, Told};
use crate::protocol::request::{Head, Meta, OWN_STATS, Retrieve, Verb};

/// Start of the reserved keys; the tag follows.
pub(super) const HELLO: &[u8] = b"@hello/";
const BAD_TAG: &[u8] = b"CLIENT_ERROR bad runtime tag: write for example python/3.11";
/// Tags of `P` flags that are known without parsing them again.
const MAX_FLAG_TAGS: usize = 64;

/// Parses a tag from the wire, where keys and flags hold no spaces: a comma
/// stands for one.
fn parse_tag(text: &[u8]) -> Option<RuntimeTag> {
    let text = std::str::from_utf8(text).ok()?;
    RuntimeTag::parse(text).ok()
}

impl Dispatch<'_> {
    /// Takes a request of a client that may say who it is, or that nobody knows.
    #[cold]
    pub(super) fn take_unsure(&mut self, head: &Head<'_>, body: &[u8]) -> Taken {
        let session = self.session();
        let asks = session.asks;
        match *head {
            Head::Hello(tag) if asks => self.hello_line(tag),
            Head::Retrieve(ref retrieve) if asks && only_key(retrieve).is_some() => {
                self.hello_read(retrieve);
            }
            Head::Meta(ref meta)
                if asks && meta.verb == Verb::Mg && meta.key.starts_with(HELLO) =>
            {
                self.hello_meta(meta);
            }
            Head::Meta(ref meta) if asks && meta.has(b'P') => {
                return self.take_flagged(head, meta, body);
            }
            _ => return self.take_as_is(head, body),
        }
        Taken::Body(0)
    }

    /// Takes a request under the connection's own standing.
    fn take_as_is(&mut self, head: &Head<'_>, body: &[u8]) -> Taken {
        let session = self.session();
        let refused = session.refused;
        if session.who.identity == Identity::UNTAGGED
            && !std::mem::replace(&mut session.told_untagged, true)
        {
            self.tell_untagged();
        }
        match head {
            Head::Version
            | Head::Quit
            | Head::MetaNoop
            | Head::Bad(_)
            | Head::Hello(_)
            | Head::Stats(OWN_STATS) => {}
            _ if refused && !is_delete(head) => {
                let tag = self.tag();
                return self.refuse_untagged(head, tag.as_ref());
            }
            _ => self.is_anybody = refused,
        }
        self.take_known(head, body)
    }

    /// The tag that the client's connection bears, from a source that counts.
    fn tag(&self) -> Option<RuntimeTag> {
        let session = &self.downstream.clients.slab[self.client as usize];
        session.tag().map(|tag| tag.runtime.clone())
    }

    /// Counts a connection that no namespace is for, and says so in the log if it
    /// bears a tag: somebody meant it to be known.
    fn tell_untagged(&mut self) {
        let session = self.session();
        let (listener, origin) = (session.listener, session.who.origin);
        let tag = self.tag();
        let why = match tag {
            None => Untagged::NoTag,
            Some(_) => Untagged::NoNamespace,
        };
        self.downstream.context.counts.untagged(origin, why);
        if let Some(tag) = tag {
            let name = self.settings.listener_name(listener);
            self.downstream.context.note(Kind::NoNamespace, || {
                format!("client without a namespace: none is for {tag} (listener {name})")
            });
        }
    }

    // A tag for the connection ---------------------------------------------

    /// Has the connection say its tag. What it is taken for then.
    fn greet(&mut self, text: &[u8]) -> Option<Standing> {
        let tag = parse_tag(text)?;
        let listener = self.session().listener;
        let admission = Arc::clone(self.admission(listener)?);
        self.downstream.clients.hear(self.client, tag);
        let standing = self
            .downstream
            .stand(self.client, &admission, self.snapshot);
        Some(standing)
    }

    fn admission(&self, listener: ListenerId) -> Option<&Arc<Admission>> {
        let (_, admission) = self.settings.listener(listener)?;
        Some(admission)
    }

    /// `hello python/3.11`
    fn hello_line(&mut self, tag: &[u8]) {
        match self.greet(tag) {
            None => self.answer_hello(Outcome::Error, BAD_TAG),
            Some(Standing::Refused) => self.answer_refusal(),
            Some(Standing::Known(_) | Standing::Passed) => self.answer_hello(Outcome::Ok, b"OK"),
        }
    }

    fn answer_hello(&mut self, outcome: Outcome, reply: &[u8]) {
        self.answer(Verb::Hello, outcome, reply);
    }

    /// `get @hello/python/3.11`: a hit is the name of the namespace.
    fn hello_read(&mut self, retrieve: &Retrieve<'_>) {
        let Some(key) = only_key(retrieve) else {
            return;
        };
        let standing = self.greet(&key[HELLO.len()..]);
        let Some(name) = self.answer_unknown(standing, b"END") else {
            return;
        };
        let with_cas = matches!(retrieve.verb, Verb::Gets | Verb::Gats);
        let mut reply = [b"VALUE ", key].concat();
        reply.extend_from_slice(format!(" 0 {}", name.len()).as_bytes());
        reply.extend_from_slice(if with_cas { b" 0\r\n" } else { b"\r\n" });
        reply.extend_from_slice(name.as_bytes());
        reply.extend_from_slice(b"\r\nEND");
        self.answer_hello(Outcome::Ok, &reply);
    }

    /// `mg @hello/python/3.11 v`
    fn hello_meta(&mut self, meta: &Meta<'_>) {
        let standing = self.greet(&meta.key[HELLO.len()..]);
        let quiet = meta.has(b'q');
        let mut miss = b"EN".to_vec();
        push_flags(&mut miss, meta, None);
        let Some(name) = self.answer_unknown(standing, if quiet { b"" } else { &miss }) else {
            return;
        };
        let mut reply = if meta.has(b'v') {
            format!("VA {}", name.len()).into_bytes()
        } else {
            b"HD".to_vec()
        };
        push_flags(&mut reply, meta, Some(name.len()));
        if meta.has(b'v') {
            reply.extend_from_slice(b"\r\n");
            reply.extend_from_slice(name.as_bytes());
        }
        self.answer_hello(Outcome::Ok, &reply);
    }

    /// Answers for a greeting that led to no namespace; else, its name.
    fn answer_unknown(&mut self, standing: Option<Standing>, miss: &[u8]) -> Option<String> {
        match standing {
            None => self.answer_hello(Outcome::Error, BAD_TAG),
            Some(Standing::Refused) => self.answer_refusal(),
            Some(Standing::Passed) => self.answer_hello(Outcome::Miss, miss),
            Some(Standing::Known(identity)) => {
                return Some(self.snapshot.codec.name(identity.space).to_owned());
            }
        }
        None
    }

    // A tag for one request ------------------------------------------------

    /// `mg key v Ppython/3.11`: the tag counts for this request, as far as it does
    /// not contradict what is known of the connection.
    fn take_flagged(&mut self, head: &Head<'_>, meta: &Meta<'_>, body: &[u8]) -> Taken {
        let text = meta.argument(b'P').unwrap_or_default();
        let Some(standing) = self.flag_standing(text) else {
            return self.refuse_with(head, BAD_TAG);
        };
        if standing == Standing::Refused && !is_delete(head) {
            let tag = parse_tag(text).and_then(|flag| self.flag_tag(&flag));
            return self.refuse_untagged(head, tag.map(|tag| tag.runtime).as_ref());
        }
        self.is_anybody = standing == Standing::Refused;
        let identity = standing.identity();
        let Downstream { clients, context } = &mut *self.downstream;
        let session = clients.get(self.client);
        let origin = context.counts.beside(session.who.origin, identity.space);
        let own = std::mem::replace(&mut session.who, Who { identity, origin });
        let taken = self.take_known(head, body);
        self.session().who = own;
        taken
    }

    /// The standing of a request with this flag; `None` if that is no tag.
    fn flag_standing(&mut self, text: &[u8]) -> Option<Standing> {
        let session = &self.downstream.clients.slab[self.client as usize];
        let (listener, known) = (session.listener, &session.known);
        let found = self
            .downstream
            .clients
            .flag_tags
            .iter()
            .find(|tag| tag.listener == listener && *tag.text == *text && tag.known == *known);
        if let Some(found) = found {
            return Some(found.standing);
        }
        let flag = parse_tag(text)?;
        let known = known.clone();
        let tag = self.flag_tag(&flag);
        let runtime = tag.as_ref().map(|tag| &tag.runtime);
        let standing = self.admission(listener)?.standing(runtime, self.snapshot);
        let flag_tags = &mut self.downstream.clients.flag_tags;
        if flag_tags.len() >= MAX_FLAG_TAGS {
            flag_tags.clear();
        }
        flag_tags.push(FlagTag {
            listener,
            known,
            text: text.into(),
            standing,
        });
        Some(standing)
    }

    /// The tag of a request with this flag.
    fn flag_tag(&self, flag: &RuntimeTag) -> Option<Tag> {
        let session = &self.downstream.clients.slab[self.client as usize];
        let admission = self.admission(session.listener)?;
        match &session.known {
            Some(known) => known.told.tag_at(admission, Some(flag)),
            None => Told::default().tag_at(admission, Some(flag)),
        }
    }

    // Refusals -------------------------------------------------------------

    /// Refuses a request of whom no namespace is for. A client may not hear of it, so
    /// what a write would have changed is told in the log.
    fn refuse_untagged(&mut self, head: &Head<'_>, tag: Option<&RuntimeTag>) -> Taken {
        let line = self.refusal(tag);
        if is_write(head) {
            let origin = self.session().who.origin;
            self.downstream.context.counts.refuse_write(origin);
            self.downstream.context.note(Kind::RefusedWrite, || {
                let told = line.strip_prefix("SERVER_ERROR picklegate: ");
                format!("write refused: {}", told.unwrap_or_default())
            });
        }
        self.refuse_with(head, line.as_bytes())
    }

    /// The error for a client that no namespace is for, with the tag that says so.
    fn refusal(&self, tag: Option<&RuntimeTag>) -> String {
        let session = &self.downstream.clients.slab[self.client as usize];
        let name = self.admission(session.listener).map_or("", |a| &a.name);
        let why = match tag {
            None => "no runtime tag on this connection".to_owned(),
            Some(tag) => format!("no namespace for {tag}"),
        };
        format!("SERVER_ERROR picklegate: {why} (listener {name})")
    }

    fn answer_refusal(&mut self) {
        let line = self.refusal(self.tag().as_ref());
        self.answer_hello(Outcome::Error, line.as_bytes());
    }

    /// Answers by an error; a body is swallowed.
    fn refuse_with(&mut self, head: &Head<'_>, line: &[u8]) -> Taken {
        let (verb, noreply) = match *head {
            Head::Retrieve(ref retrieve) => (retrieve.verb, false),
            Head::Store(ref store) => (store.verb, store.noreply),
            Head::Change(ref change) => (change.verb, change.noreply),
            Head::Meta(ref meta) => (meta.verb, false),
            Head::FlushAll { noreply, .. } => (Verb::FlushAll, noreply),
            Head::Stats(_) => (Verb::Stats, false),
            Head::Refused { noreply, .. } => (Verb::Other, noreply),
            _ => (Verb::Other, false),
        };
        let has_body = matches!(head, Head::Store(_)) || verb == Verb::Ms;
        self.refuse(verb, quiet(noreply), line);
        if has_body {
            self.session().swallow = head.body_len() + 2;
        }
        Taken::Body(0)
    }
}

/// Whether a request is a delete, which reaches every copy: it needs no tag.
fn is_delete(head: &Head<'_>) -> bool {
    match head {
        Head::Change(change) => change.verb == Verb::Delete,
        Head::Meta(meta) => meta.verb == Verb::Md,
        _ => false,
    }
}

/// Whether a request would change something of a key.
fn is_write(head: &Head<'_>) -> bool {
    match head {
        Head::Store(_) | Head::Change(_) => true,
        Head::Retrieve(retrieve) => matches!(retrieve.verb, Verb::Gat | Verb::Gats),
        Head::Meta(meta) => matches!(meta.verb, Verb::Ms | Verb::Md | Verb::Ma),
        _ => false,
    }
}

/// The reserved key of a retrieval that reads nothing else.
fn only_key<'k>(retrieve: &Retrieve<'k>) -> Option<&'k [u8]> {
    let mut keys = retrieve.keys.clone();
    let key = keys.next().filter(|key| key.starts_with(HELLO))?;
    keys.next().is_none().then_some(key)
}

/// The flags that memcached returns; `len` is the size of a hit's value.
fn push_flags(reply: &mut Vec<u8>, meta: &Meta<'_>, len: Option<usize>) {
    for flag in meta.flags.clone() {
        match (flag[0], len) {
            (b'O', _) => push_word(reply, flag),
            (b'k', _) => push_key(reply, meta.key, meta.base64),
            (b'f' | b'c', Some(_)) => reply.extend_from_slice(&[b' ', flag[0], b'0']),
            (b's', Some(len)) => reply.extend_from_slice(format!(" s{len}").as_bytes()),
            (b't', Some(_)) => reply.extend_from_slice(b" t-1"),
            _ => {}
        }
    }
}
