//! The replies of a lane: checked against what is owed, and delivered.

use super::fence::{End, OUT_OF_MEMORY};
use super::{CAREFUL, Lane, Owed, OwedKey, Reading, Reply};
use crate::engine::downstream::{Came, LARGE_BYTES, Sessions};
use crate::engine::meta::{
    OwedRestore, asked_flags, asked_key, asked_opaque, is_won, miss_line, restore_debug,
    rewrite_meta, rewrite_unnamed,
};
use crate::engine::ticket::Ticket;
use crate::engine::value::apart::Awaits;
use crate::engine::value::judged::Shown;
use crate::policy::OnMiss;
use crate::protocol::Tokens;
use crate::protocol::reply::{
    ReplyError, ValueHead, find_reply_line, is_error, is_reply_to, parse_va_len, parse_value_head,
    parse_value_of,
};
use crate::protocol::request::Verb;

/// What memcached says once, where it had no room for the replies that it had ready.
const DROPPED: &[u8] = b"SERVER_ERROR out of memory writing get response";
/// Digits of the largest number, in 64 bits.
const MAX_NUMBER_BYTES: usize = 20;
/// How much of the input goes behind what was cut off before it, at a time.
const PIECE_BYTES: usize = 1024;

impl Lane {
    /// Takes input from the upstream and delivers the replies in it.
    ///
    /// # Errors
    /// What came is no reply to what was asked: the lane must be dropped.
    pub fn receive(&mut self, sessions: &mut Sessions, input: &[u8]) -> Result<(), ReplyError> {
        self.heard_us = sessions.steady_us;
        let mut at = 0;
        if std::mem::take(&mut self.parked) {
            // It was here that it waited.
            self.excuse(sessions.steady_us);
            let mut inbox = std::mem::take(&mut self.inbox);
            let taken = self.take(sessions, &inbox)?;
            inbox.drain(..taken);
            self.inbox = inbox;
        }
        while !self.inbox.is_empty() && at < input.len() && !self.parked {
            // Only what was cut off is copied, not all that comes behind it.
            let lacking = std::mem::take(&mut self.lacking);
            let end = at + lacking.max(PIECE_BYTES);
            let piece = &input[at..input.len().min(end)];
            let mut inbox = std::mem::take(&mut self.inbox);
            let before = inbox.len();
            inbox.reserve(lacking);
            inbox.extend_from_slice(piece);
            if piece.len() < lacking {
                self.lacking = lacking - piece.len();
                self.inbox = inbox;
                return Ok(());
            }
            let taken = self.take(sessions, &inbox)?;
            if taken < before {
                at += piece.len();
                inbox.drain(..taken);
            } else {
                at += taken - before;
                inbox.clear();
                // What comes next is looked at in the input itself.
                self.lacking = 0;
            }
            self.inbox = inbox;
        }
        if !self.parked && self.inbox.is_empty() {
            at += self.take(sessions, &input[at..])?;
        }
        self.inbox.extend_from_slice(&input[at..]);
        self.forget_answered(sessions.now_us);
        Ok(())
    }

    /// Takes whole pieces off the input.
    fn take(&mut self, sessions: &mut Sessions, input: &[u8]) -> Result<usize, ReplyError> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let taken = match self.reading {
                Reading::Head => self.take_head(sessions, rest)?,
                Reading::Body { .. } => self.take_body(sessions, rest)?,
            };
            if taken == 0 {
                return Ok(at);
            }
            at += taken;
        }
    }

    /// Takes what there is of a value, its line end only whole.
    fn take_body(&mut self, sessions: &mut Sessions, input: &[u8]) -> Result<usize, ReplyError> {
        let Reading::Body {
            ticket,
            left,
            visible,
        } = self.reading
        else {
            return Ok(0);
        };
        let whole = input.len() >= left + 2;
        let taken = if whole {
            left + 2
        } else {
            left.min(input.len())
        };
        if whole && &input[left..taken] != b"\r\n" {
            return Err(ReplyError::Malformed);
        }
        if visible {
            sessions.bytes(ticket, &[&input[..taken]]);
        }
        if whole {
            self.reading = Reading::Head;
            self.value_done(sessions);
        } else {
            self.reading = Reading::Body {
                ticket,
                left: left - taken,
                visible,
            };
        }
        Ok(taken)
    }

    pub(super) fn value_done(&mut self, sessions: &mut Sessions) {
        match self.owed.front_mut().map(|owed| &mut owed.reply) {
            Some(Reply::Values { .. }) => {
                self.taken_us = sessions.steady_us;
                if let Some((ticket, true)) = self.pop_key(sessions) {
                    sessions.finish(ticket);
                }
            }
            Some(Reply::Late { verb, .. }) if !matches!(verb, Verb::Get | Verb::Gets) => {
                self.answered(sessions);
            }
            Some(Reply::Meta { ticket, .. }) => {
                let ticket = *ticket;
                sessions.finish(ticket);
                self.answered(sessions);
            }
            Some(Reply::Probe { by_meta: true, .. }) => self.end_probe(sessions),
            _ => {}
        }
    }

    /// Takes the first line of a reply, and with a value the bytes that must be
    /// looked at before anything of it is passed on.
    fn take_head(&mut self, sessions: &mut Sessions, input: &[u8]) -> Result<usize, ReplyError> {
        if input.is_empty() {
            return Ok(0);
        }
        match self.owed.front() {
            Some(owed) if owed.start < self.base + self.written as u64 => {}
            Some(_) | None => return Err(ReplyError::Unasked),
        }
        let taken = self.take_values(sessions, input)?;
        if taken > 0 {
            return Ok(taken);
        }
        let Some(line) = find_reply_line(input)? else {
            return Ok(0);
        };
        let body = &input[line.total..];
        if line.text == DROPPED {
            self.careful = CAREFUL;
            if !self.is_alone() {
                // It may stand for replies that were dropped.
                return Err(ReplyError::Dropped);
            }
        }
        let Some(owed) = self.owed.front() else {
            return Err(ReplyError::Unasked);
        };
        let taken = match &owed.reply {
            Reply::Late { .. } => self.take_late(sessions, line.text)?,
            Reply::Values { .. } => self.take_value_line(sessions, line.text, body)?,
            Reply::Meta { .. } => self.take_meta(sessions, line.text, body)?,
            Reply::Line { verb, .. } | Reply::Sibling { verb, .. }
                if !is_reply_to(*verb, line.text) =>
            {
                return Err(ReplyError::Malformed);
            }
            // It was asked for no flags and under no condition.
            Reply::Sibling { verb: Verb::Md, .. }
                if !is_error(line.text) && !matches!(line.text, b"HD" | b"NF") =>
            {
                return Err(ReplyError::Malformed);
            }
            Reply::Stats { .. } if !is_reply_to(Verb::Stats, line.text) => {
                return Err(ReplyError::Malformed);
            }
            Reply::Line { ticket, .. } => {
                let ticket = *ticket;
                sessions.line(ticket, line.text);
                self.answered(sessions);
                Some(0)
            }
            Reply::Sibling { ticket, target, .. } => {
                let (ticket, target) = (*ticket, *target);
                sessions.sibling(ticket, target, line.text);
                self.answered(sessions);
                Some(0)
            }
            Reply::Probe { .. } => self.take_probe(sessions, line.text, body)?,
            Reply::Through { .. } => self.take_through(sessions, line.text, body)?,
            &Reply::Stats { ticket, server } => {
                sessions.statistic(ticket, server, line.text);
                if !line.text.starts_with(b"STAT ") {
                    sessions.finish(ticket);
                    self.answered(sessions);
                }
                Some(0)
            }
        };
        Ok(taken.map_or(0, |body| line.total + body))
    }

    /// Takes small, whole values of the keys that are owed next.
    fn take_values(&mut self, sessions: &mut Sessions, input: &[u8]) -> Result<usize, ReplyError> {
        let Some(Owed {
            start,
            reply: Reply::Values { keys, answered, .. },
            ..
        }) = self.owed.front_mut()
        else {
            return Ok(0);
        };
        let asked = &self.wire[(*start - self.base) as usize..];
        let mut at = 0;
        // One client's after another's.
        while let Some(next) = keys.get(*answered) {
            let ticket = next.ticket;
            if ticket == Ticket::NOBODY {
                break;
            }
            let own = &input[at..];
            let taken = take_values_of(ticket, keys, answered, asked, sessions, own)?;
            if taken == 0 {
                break;
            }
            at += taken;
        }
        if at > 0 {
            self.taken_us = sessions.steady_us;
        }
        Ok(at)
    }

    /// `None` if more of the value is needed.
    fn take_value_line(
        &mut self,
        sessions: &mut Sessions,
        text: &[u8],
        body: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        if !text.starts_with(b"VALUE ") {
            return self.take_end(sessions, text);
        }
        let head = parse_value_head(text)?;
        let missed = self.find_key(head.key).ok_or(ReplyError::WrongKey)?;
        self.take_value(sessions, missed, &head, body)
    }

    /// Takes a value's line. `None` if more of the value is needed.
    fn take_value(
        &mut self,
        sessions: &mut Sessions,
        missed: usize,
        head: &ValueHead<'_>,
        body: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let look = self.owed_keys()[missed].look;
        if self.owed_keys()[missed].ticket == Ticket::NOBODY {
            self.miss_or_fail(sessions, missed);
            self.reading = Reading::Body {
                ticket: Ticket::NOBODY,
                left: head.len,
                visible: false,
            };
            return Ok(Some(0));
        }
        let needed = sessions.looker.bytes_needed(look, head.flags, head.len);
        if body.len() < needed {
            self.lacking = needed - body.len();
            return Ok(None);
        }
        self.miss_or_fail(sessions, missed);
        let key = &self.owed_keys()[0];
        let (ticket, on_miss) = (key.ticket, key.on_miss);
        let seen = (head.flags, body, head.len);
        let client_key = key.restore.client_key(head.key);
        let line = [b"VALUE ", client_key, head.tail, b"\r\n"];
        let shown = sessions.values(ticket, |values| {
            let shown = values.admit(client_key, look, seen);
            match shown {
                Shown::AsIs => values.write(&line),
                Shown::Hidden => values.missed(on_miss, client_key),
                Shown::Rewritten(flags) => values.write_rewritten(client_key, flags, head.tail),
                Shown::Later => {}
            }
            shown
        });
        if shown == Shown::Later {
            let came = came([line[0], line[1], line[2]], (head.flags, head.len), body)?;
            let deferred = sessions.defer(ticket, look, came, |sessions| Awaits::Value {
                ticket,
                client_key: sessions.pool.keep(client_key),
                on_miss,
            });
            if !deferred {
                self.parked = true;
                return Ok(None);
            }
        }
        let visible = shown == Shown::AsIs;
        sessions.comes(ticket, head.len);
        self.reading = Reading::Body {
            ticket,
            left: head.len,
            visible,
        };
        Ok(Some(0))
    }

    /// The keys that the front retrieval is still owed.
    fn owed_keys(&self) -> &[OwedKey] {
        match self.owed.front().map(|owed| &owed.reply) {
            Some(Reply::Values { keys, answered, .. }) => &keys[*answered..],
            _ => &[],
        }
    }

    /// How many owed keys of the front retrieval come before this one.
    fn find_key(&self, physical: &[u8]) -> Option<usize> {
        let start = self.owed.front()?.start;
        let asked = &self.wire[(start - self.base) as usize..];
        let mut keys = self.owed_keys().iter();
        keys.position(|key| key.physical(asked) == physical)
    }

    /// Whether nothing that was sent is behind the front request.
    pub(super) fn is_alone(&self) -> bool {
        let written = self.base + self.written as u64;
        self.owed.get(1).is_none_or(|next| next.start >= written)
    }

    /// Takes the end of a retrieval, or an error in place of it or of a value.
    fn take_end(
        &mut self,
        sessions: &mut Sessions,
        text: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let alone = self.is_alone();
        let Some(Reply::Values { end, keys, .. }) =
            self.owed.front_mut().map(|owed| &mut owed.reply)
        else {
            return Err(ReplyError::Unasked);
        };
        let several = keys.len() > 1;
        let ended = end.takes(text, alone)?;
        let End {
            marked,
            over,
            failed,
        } = *end;
        if is_error(text) && !over {
            let is_memory = text.starts_with(OUT_OF_MEMORY);
            let is_server = text.starts_with(b"SERVER_ERROR");
            if several && is_server && !is_memory && self.fence.raise() && !marked {
                return Err(ReplyError::Doubtful);
            }
            self.error.clear();
            self.error.extend_from_slice(text);
        }
        if over || ended {
            if marked && ended {
                self.fence.held();
            }
            if failed {
                let error = std::mem::take(&mut self.error);
                self.fail_keys(sessions, usize::MAX, &error);
                self.error = error;
            } else {
                self.pass_keys(sessions, usize::MAX);
            }
        }
        if ended {
            self.answered(sessions);
        }
        Ok(Some(0))
    }

    /// The next keys of the front retrieval are not there, as far as is known.
    fn miss_or_fail(&mut self, sessions: &mut Sessions, count: usize) {
        match self.owed.front().map(|owed| &owed.reply) {
            Some(Reply::Values { end, .. }) if end.failed => {
                let error = std::mem::take(&mut self.error);
                self.fail_keys(sessions, count, &error);
                self.error = error;
            }
            _ => self.pass_keys(sessions, count),
        }
    }

    /// The next keys of the front retrieval are misses.
    fn pass_keys(&mut self, sessions: &mut Sessions, count: usize) {
        let Some(Owed {
            start,
            reply: Reply::Values { keys, answered, .. },
            ..
        }) = self.owed.front_mut()
        else {
            return;
        };
        let asked = &self.wire[(*start - self.base) as usize..];
        let owed = &mut keys[*answered..];
        let count = count.min(owed.len());
        *answered += count;
        for own in owed[..count].chunk_by_mut(|key, next| key.ticket == next.ticket) {
            let ticket = own[0].ticket;
            if ticket == Ticket::NOBODY {
                continue;
            }
            let mut misses = own.len();
            for key in &mut *own {
                if key.on_miss.acts() && goes_on(sessions, key, asked) {
                    misses -= 1;
                } else {
                    let client_key = key.restore.client_key(key.physical(asked));
                    sessions.count_miss(ticket, client_key);
                }
                key.restore.give_back(&mut sessions.pool);
            }
            sessions.count_misses(ticket, misses);
            if own[own.len() - 1].last {
                sessions.finish(ticket);
            }
        }
    }

    /// The next keys of the front retrieval are answered for by an error.
    fn fail_keys(&mut self, sessions: &mut Sessions, count: usize, error: &[u8]) {
        let is_server = error.starts_with(b"SERVER_ERROR");
        let left = self.owed_keys().len().min(count);
        self.lost += u64::from(left > 0);
        for _ in 0..left {
            let soft = is_server && self.owed_keys()[0].on_miss.contains(OnMiss::SOFT);
            let Some((ticket, last)) = self.pop_key(sessions) else {
                return;
            };
            if ticket == Ticket::NOBODY {
                continue;
            }
            if soft {
                self.softened += 1;
                sessions.count_upstream_misses(ticket, 1);
            } else {
                sessions.fail(ticket, error);
            }
            if last {
                sessions.finish(ticket);
            }
        }
    }

    /// The next key of the front retrieval is answered: its ticket, and whether
    /// that waits for no more of the lane.
    fn pop_key(&mut self, sessions: &mut Sessions) -> Option<(Ticket, bool)> {
        match self.owed.front_mut().map(|owed| &mut owed.reply) {
            Some(Reply::Values { keys, answered, .. }) => {
                let key = keys.get_mut(*answered)?;
                *answered += 1;
                key.restore.give_back(&mut sessions.pool);
                Some((key.ticket, key.last))
            }
            _ => None,
        }
    }

    /// `None` if more of the value is needed.
    fn take_meta(
        &mut self,
        sessions: &mut Sessions,
        text: &[u8],
        body: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let Some(Owed {
            start,
            reply: Reply::Meta { ticket, meta },
            ..
        }) = self.owed.front()
        else {
            return Err(ReplyError::Unasked);
        };
        let ticket = *ticket;
        if !is_reply_to(meta.verb, text) {
            return Err(ReplyError::Malformed);
        }
        let start = (start - self.base) as usize;
        if text.starts_with(b"SERVER_ERROR") && meta.on_miss.contains(OnMiss::SOFT) {
            let request = &self.wire[start..];
            let physical = asked_key(request).ok_or(ReplyError::Malformed)?;
            let line = miss_line(meta, &physical, Tokens::new(asked_flags(request)));
            self.lost += 1;
            self.softened += 1;
            sessions.miss_for_upstream(ticket, &line);
            sessions.finish(ticket);
            self.answered(sessions);
            return Ok(Some(0));
        }
        if is_error(text) {
            sessions.line(ticket, text);
            self.answered(sessions);
            return Ok(Some(0));
        }
        let physical = asked_key(&self.wire[start..]).ok_or(ReplyError::Malformed)?;
        if meta.verb == Verb::Me {
            let line = restore_debug(text, meta, &physical)?;
            sessions.line(ticket, &line);
            self.answered(sessions);
            return Ok(Some(0));
        }
        let mut line = Vec::new();
        std::mem::swap(&mut line, &mut sessions.line_buffer);
        let rewritten = match meta.unnamed {
            None => rewrite_meta(text, meta, &physical, &mut line),
            Some(unnamed) => {
                let opaque = asked_opaque(&self.wire[start..]);
                rewrite_unnamed(text, meta, unnamed, opaque, &physical, &mut line)
            }
        };
        let taken = match rewritten {
            Err(error) => Err(error),
            Ok(flags) if text.starts_with(b"VA ") => {
                self.take_meta_value(sessions, (ticket, &physical), &mut line, flags, body)
            }
            Ok(_)
                if text.starts_with(b"EN")
                    && let Some(request) = self.asks_on(sessions) =>
            {
                let client_key = meta.restore.client_key(&physical);
                sessions.ask_on(ticket, meta, client_key, request);
                sessions.finish(ticket);
                self.answered(sessions);
                Ok(Some(0))
            }
            Ok(_) => {
                self.note_miss(sessions, ticket, &physical, text);
                if text.starts_with(b"EN") {
                    self.count_miss(sessions, ticket, &physical);
                }
                sessions.line(ticket, &line);
                self.answered(sessions);
                Ok(Some(0))
            }
        };
        line.clear();
        sessions.line_buffer = line;
        taken
    }

    /// The value of a meta command, its line rewritten.
    fn take_meta_value(
        &mut self,
        sessions: &mut Sessions,
        (ticket, physical): (Ticket, &[u8]),
        line: &mut Vec<u8>,
        flags: u32,
        body: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let Some(Reply::Meta { meta, .. }) = self.owed.front().map(|owed| &owed.reply) else {
            return Err(ReplyError::Unasked);
        };
        let len = parse_va_len(line)?;
        if meta.verb != Verb::Mg {
            // A number: short enough to wait for.
            if len > MAX_NUMBER_BYTES {
                return Err(ReplyError::Malformed);
            }
            let Some(number) = body.get(..len + 2) else {
                return Ok(None);
            };
            if !number.ends_with(b"\r\n") {
                return Err(ReplyError::Malformed);
            }
            line.extend_from_slice(b"\r\n");
            line.extend_from_slice(&body[..len]);
            sessions.line(ticket, line);
            self.answered(sessions);
            return Ok(Some(len + 2));
        }
        let needed = sessions.looker.bytes_needed(meta.look, flags, len);
        if body.len() < needed {
            self.lacking = needed - body.len();
            return Ok(None);
        }
        let client_key = meta.restore.client_key(physical);
        let judged = sessions.inspect(ticket, meta.look, (flags, body, len));
        let mut visible = false;
        if judged.shown == Shown::Later {
            let came = came([line, b"", b""], (flags, len), body)?;
            let flags = self.asks_on(sessions).map(asked_flags);
            let deferred = sessions.defer(ticket, meta.look, came, |sessions| Awaits::Meta {
                ticket,
                client_key: sessions.pool.keep(client_key),
                meta: meta.without_key(),
                flags: flags.map(|flags| {
                    let mut kept = sessions.pool.take_line();
                    kept.extend_from_slice(flags);
                    kept
                }),
            });
            if !deferred {
                self.parked = true;
                return Ok(None);
            }
        } else if judged.shown == Shown::Hidden
            && let Some(request) = self.asks_on(sessions)
        {
            sessions.ask_on(ticket, meta, client_key, request);
        } else {
            visible = sessions.show_meta(ticket, (meta, client_key), line, &judged);
        }
        sessions.comes(ticket, len);
        self.reading = Reading::Body {
            ticket,
            left: len,
            visible,
        };
        Ok(Some(0))
    }

    // The copies of others -------------------------------------------------

    /// The request that the next copy of another is asked for by, if there is one and
    /// the meta reply that comes is a miss.
    fn asks_on(&self, sessions: &Sessions) -> Option<&[u8]> {
        let Some(Owed {
            start,
            reply: Reply::Meta { meta, .. },
            ..
        }) = self.owed.front()
        else {
            return None;
        };
        let asks = meta.on_miss.contains(OnMiss::THROUGH) && sessions.has_others(meta.others);
        asks.then(|| &self.wire[(*start - self.base) as usize..])
    }

    /// A key was read that was not there.
    fn count_miss(&self, sessions: &mut Sessions, ticket: Ticket, physical: &[u8]) {
        if let Some(Reply::Meta { meta, .. }) = self.owed.front().map(|owed| &owed.reply) {
            sessions.count_miss(ticket, meta.restore.client_key(physical));
        }
    }

    /// Remembers a miss, or that an item is this client's to refresh.
    fn note_miss(&self, sessions: &mut Sessions, ticket: Ticket, physical: &[u8], text: &[u8]) {
        let Some(Reply::Meta { meta, .. }) = self.owed.front().map(|owed| &owed.reply) else {
            return;
        };
        if meta.verb != Verb::Mg {
            return;
        }
        let client_key = meta.restore.client_key(physical);
        let is_miss = text.starts_with(b"EN");
        if meta.on_miss.contains(OnMiss::NOTE) && (is_miss || is_won(text)) {
            sessions.note_miss(ticket, client_key);
        }
    }

    /// `None` if more of the value is needed.
    fn take_through(
        &mut self,
        sessions: &mut Sessions,
        text: &[u8],
        body: &[u8],
    ) -> Result<Option<usize>, ReplyError> {
        let alone = self.is_alone();
        let Some(Owed {
            start,
            reply:
                Reply::Through {
                    ticket,
                    restore,
                    look,
                    on_miss,
                    first,
                    served,
                    end,
                },
            ..
        }) = self.owed.front_mut()
        else {
            return Err(ReplyError::Unasked);
        };
        let ticket = *ticket;
        let key = restore.client_key(b"");
        if !text.starts_with(b"VALUE ") {
            let request = &self.wire[(*start - self.base) as usize..];
            let several = memchr::memchr(b'\n', request)
                .is_some_and(|line| memchr::memchr_iter(b' ', &request[..line]).count() > 1);
            let was_over = end.over;
            let ended = end.takes(text, alone)?;
            let is_failed = text.starts_with(b"SERVER_ERROR") && !was_over;
            if is_failed && several && self.fence.raise() && !end.marked {
                return Err(ReplyError::Doubtful);
            }
            if is_failed || is_error(text) && !was_over {
                self.error.clear();
                self.error.extend_from_slice(text);
            }
            if !ended {
                return Ok(Some(0));
            }
            let is_soft = on_miss.contains(OnMiss::SOFT) && self.error.starts_with(b"SERVER_ERROR");
            match (end.failed, *served) {
                (true, true) if is_soft => self.lost += 1,
                (true, false) if is_soft => {
                    self.lost += 1;
                    self.softened += 1;
                    sessions.count_upstream_misses(ticket, 1);
                }
                (true, _) => sessions.fail(ticket, &self.error),
                (false, true) => {}
                (false, false) => {
                    if on_miss.contains(OnMiss::NOTE) {
                        sessions.note_miss(ticket, key);
                    }
                    sessions.count_miss(ticket, key);
                    sessions.count_misses(ticket, 1);
                }
            }
            sessions.finish(ticket);
            self.answered(sessions);
            return Ok(Some(0));
        }
        let head = parse_value_head(text)?;
        let request = &self.wire[(*start - self.base) as usize..];
        let end = memchr::memchr(b'\r', request).unwrap_or(request.len());
        let mut copies = Tokens::new(&request[..end]).skip(1);
        let Some(nth) = copies.position(|copy| copy == head.key) else {
            return Err(ReplyError::WrongKey);
        };
        let needed = sessions.looker.bytes_needed(*look, head.flags, head.len);
        if !*served && body.len() < needed {
            self.lacking = needed - body.len();
            return Ok(None);
        }
        let mut visible = false;
        if !*served {
            let seen = (head.flags, body, head.len);
            let line = [b"VALUE ", key, head.tail, b"\r\n"];
            let shown = sessions.values(ticket, |values| {
                let shown = values.admit_through(key, *look, seen);
                match shown {
                    Shown::Hidden | Shown::Later => {}
                    Shown::AsIs => {
                        values.write(&line);
                        visible = true;
                        *served = true;
                    }
                    Shown::Rewritten(flags) => {
                        values.write_rewritten(key, flags, head.tail);
                        *served = true;
                    }
                }
                shown
            });
            if shown == Shown::Later {
                let came = came([line[0], line[1], line[2]], (head.flags, head.len), body)?;
                let (on_miss, next) = (*on_miss, *first + nth + 1);
                let deferred = sessions.defer(ticket, *look, came, |sessions| Awaits::Through {
                    ticket,
                    client_key: sessions.pool.keep(key),
                    on_miss,
                    next,
                });
                if !deferred {
                    self.parked = true;
                    return Ok(None);
                }
                *served = true;
            }
        }
        self.reading = Reading::Body {
            ticket,
            left: head.len,
            visible,
        };
        Ok(Some(0))
    }
}

/// A value that is here with its line end.
pub(super) fn came<'v>(
    line: [&'v [u8]; 3],
    (flags, len): (u32, usize),
    body: &'v [u8],
) -> Result<Came<'v>, ReplyError> {
    let value = body.get(..len + 2).ok_or(ReplyError::Malformed)?;
    if !value.ends_with(b"\r\n") {
        return Err(ReplyError::Malformed);
    }
    Ok(Came { line, flags, value })
}

/// What a missed key leads to; whether the copies of others are asked for.
#[cold]
fn goes_on(sessions: &mut Sessions, key: &OwedKey, asked: &[u8]) -> bool {
    let client_key = key.restore.client_key(key.physical(asked));
    let goes_on = key.on_miss.contains(OnMiss::THROUGH);
    if goes_on {
        sessions.read_through(key.ticket, client_key, key.on_miss);
    } else if key.on_miss.contains(OnMiss::NOTE) {
        sessions.note_miss(key.ticket, client_key);
    }
    goes_on
}

/// Takes values of the keys that are owed next, as long as they go to one client.
fn take_values_of(
    ticket: Ticket,
    keys: &mut [OwedKey],
    answered: &mut usize,
    asked: &[u8],
    sessions: &mut Sessions,
    input: &[u8],
) -> Result<usize, ReplyError> {
    sessions.values(ticket, |values| {
        let mut at = 0;
        while let Some(key) = keys.get_mut(*answered)
            && key.ticket == ticket
        {
            let rest = &input[at..];
            let Some((head, line)) = parse_value_of(rest, key.physical(asked)) else {
                break;
            };
            let total = line + head.len + 2;
            if head.len >= LARGE_BYTES || total > rest.len() {
                break;
            }
            if &rest[total - 2..total] != b"\r\n" {
                return Err(ReplyError::Malformed);
            }
            let value = &rest[line..total - 2];
            match (
                values.admit(
                    key.restore.client_key(head.key),
                    key.look,
                    (head.flags, value, head.len),
                ),
                &key.restore,
            ) {
                // The client's key, what follows and the value in one piece.
                (Shown::AsIs, OwedRestore::Strip(prefix)) => {
                    let start = b"VALUE ".len() + usize::from(*prefix);
                    values.write(&[b"VALUE ", &rest[start..total]]);
                }
                (Shown::AsIs, OwedRestore::Kept(kept)) => {
                    let start = b"VALUE ".len() + head.key.len();
                    values.write(&[b"VALUE ", &kept[..], &rest[start..total]]);
                }
                (Shown::Hidden, restore) => {
                    values.missed(key.on_miss, restore.client_key(head.key));
                }
                (Shown::Rewritten(flags), restore) => {
                    values.write_rewritten(restore.client_key(head.key), flags, head.tail);
                }
                // Taken one by one.
                (Shown::Later, _) => break,
            }
            at += total;
            *answered += 1;
            values.finished = key.last;
            key.restore.give_back(values.pool);
        }
        Ok(at)
    })
}
