//! Takes reply bytes apart and rewrites what two servers may rightly say
//! differently: cas ids become `#n` by order of first appearance, clocks and
//! slab sizes become `*`. Everything else stays byte for byte.

use std::collections::HashMap;

/// The cas ids that one server showed, in order of first appearance.
#[derive(Default)]
pub(crate) struct CasIds {
    ids: Vec<u64>,
    places: HashMap<u64, usize>,
    /// Whether it may differ that an item was fetched: an `add` that finds a
    /// value has picklegate look whether the client can load it.
    pub(crate) looks: bool,
}

impl CasIds {
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.ids
    }

    fn place(&mut self, id: u64) -> usize {
        *self.places.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() - 1
        })
    }
}

/// One reply: its line without CRLF and normalised, and its value if it has one.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) line: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    /// The place of the cas id in the line.
    pub(crate) cas: Option<usize>,
    /// The key in the line, if it shows one.
    pub(crate) key: Option<Vec<u8>>,
}

/// Splits what one server sent. Total: bytes that make no sense become lines.
pub(crate) fn parse(mut bytes: &[u8], ids: &mut CasIds) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let end = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at(end);
        let mut reply = normalise(line.strip_suffix(b"\r\n").unwrap_or(line), ids);
        bytes = rest;
        if let Some(length) = value_length(&reply.line) {
            let (value, rest) = bytes.split_at((length + 2).min(bytes.len()));
            reply.value = Some(value.to_vec());
            bytes = rest;
        }
        replies.push(reply);
    }
    replies
}

/// "VALUE <key> <flags> <length>[ <cas>]" and "VA <length>[ <flag>]*".
fn value_length(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|&byte| byte == b' ');
    let length = match words.next()? {
        b"VALUE" => words.nth(2)?,
        b"VA" => words.next()?,
        _ => return None,
    };
    number(length)?.try_into().ok()
}

fn normalise(line: &[u8], ids: &mut CasIds) -> Reply {
    let mut words: Vec<Vec<u8>> = line.split(|&byte| byte == b' ').map(Vec::from).collect();
    let (mut cas, mut key) = (None, None);
    match (words[0].as_slice(), words.len()) {
        (b"VALUE", 4 | 5) => {
            key = Some(words[1].clone());
            if let Some(id) = words.get(4).and_then(|word| number(word)) {
                words[4] = show_cas(&mut cas, b"", ids.place(id));
            }
        }
        (b"VA" | b"HD" | b"EN" | b"NF" | b"NS" | b"EX", _) => {
            for word in &mut words[1..] {
                match (word.first(), number(word.get(1..).unwrap_or_default())) {
                    (Some(b'c'), Some(id)) => *word = show_cas(&mut cas, b"c", ids.place(id)),
                    (Some(b'h'), Some(_)) if ids.looks => *word = b"h*".to_vec(),
                    (Some(b't' | b'l'), Some(_)) => word.splice(1.., *b"*").for_each(drop),
                    (Some(b'k'), _) if key.is_none() => key = Some(word[1..].to_vec()),
                    _ => {}
                }
            }
        }
        (b"ME", 8..) => {
            let first = words.len() - 6;
            for word in &mut words[first..] {
                let name = word
                    .iter()
                    .position(|&byte| byte == b'=')
                    .map_or(0, |at| at + 1);
                match (&word[..name], number(&word[name..])) {
                    (b"fetch=", _) if ids.looks => *word = b"fetch=*".to_vec(),
                    (b"cas=", Some(id)) => *word = show_cas(&mut cas, b"cas=", ids.place(id)),
                    (b"exp=" | b"la=" | b"cls=" | b"size=", _) if word[name..] != *b"-1" => {
                        word.splice(name.., *b"*").for_each(drop);
                    }
                    _ => {}
                }
            }
            key = Some(words[1..first].join(&b' '));
        }
        (b"VERSION", 2) => words[1] = b"*".to_vec(),
        _ => {}
    }
    Reply {
        line: words.join(&b' '),
        value: None,
        cas,
        key,
    }
}

fn show_cas(cas: &mut Option<usize>, prefix: &[u8], place: usize) -> Vec<u8> {
    *cas = Some(place);
    [prefix, b"#", place.to_string().as_bytes()].concat()
}

fn number(word: &[u8]) -> Option<u64> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(word).ok()?.parse().ok())?
}

#[test]
fn ids_clocks_and_sizes_are_normalised_and_nothing_else() {
    let mut ids = CasIds::default();
    let sent = b"VALUE k 5 3 700\r\na\r\n\r\nHD c9 t30 t-1 l4 Oc7 kc8 s3 c700\r\n\
        ME a b exp=-1 la=3 cas=9 fetch=yes cls=1 size=61\r\nVERSION 1.6.18\r\n700\r\n";
    let shown: Vec<_> = parse(sent, &mut ids)
        .into_iter()
        .map(|reply| (String::from_utf8(reply.line).expect("ASCII"), reply.value))
        .collect();
    let expected = [
        ("VALUE k 5 3 #0", Some(&b"a\r\n\r\n"[..])),
        ("HD c#1 t* t-1 l* Oc7 kc8 s3 c#0", None),
        ("ME a b exp=-1 la=* cas=#1 fetch=yes cls=* size=*", None),
        ("VERSION *", None),
        ("700", None),
    ]
    .map(|(line, value)| (line.to_owned(), value.map(Vec::from)));
    assert_eq!(shown, expected);
    assert_eq!(ids.as_slice(), [700, 9]);
}
