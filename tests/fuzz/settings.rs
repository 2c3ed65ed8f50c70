//! Claims on any configuration and any PROXY header: the bodies of their fuzz targets,
//! which `tests/fuzz/main.rs` replays and tries with inputs of its own.

// The fuzzers use one of these each.
#![allow(dead_code)]

use picklegate::config::Config;
use picklegate::report::check::{step, summary};
use picklegate::server::proxy::{MAX_HEADER_BYTES, Parsed, ProxyError, parse};

/// Longer inputs find nothing new.
const MAX_INPUT: usize = 4096;

// Configurations --------------------------------------------------------------

const SOURCE: &str = "picklegate.toml";

/// Two configurations, read and compared: the texts themselves if the first byte
/// is 0, parted by the next 0; else those that the bytes choose.
pub(crate) fn config(data: &[u8]) {
    let data = &data[..data.len().min(MAX_INPUT)];
    let Some((&style, rest)) = data.split_first() else {
        return;
    };
    let texts = if style == 0 {
        let mut parts = rest.splitn(2, |&byte| byte == 0);
        [(); 2].map(|()| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
    } else {
        let mut speller = Speller { data: rest };
        [style & 15, style >> 4].map(|tables| speller.text(tables))
    };
    let [old, new] = texts.each_ref().map(|text| read(text));
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    assert!(step(&old, &old).changes.is_empty(), "{}", texts[0]);
    for (from, to) in [(&old, &new), (&new, &old)] {
        let step = step(from, to);
        let refused = step.refused().count();
        assert_eq!(step.is_accepted(), refused == 0);
        assert_eq!(refused + step.warnings().count(), step.hazards.len());
        let shown = step.to_string();
        assert!(
            step.changes
                .iter()
                .all(|change| shown.contains(&change.how))
        );
    }
}

/// A text is a configuration that works, or told what is wrong with it and where.
fn read(text: &str) -> Option<Config> {
    let lines = text.split('\n').count();
    let read = Config::parse(SOURCE, text);
    let again = Config::parse(SOURCE, text);
    match read {
        Ok(config) => {
            assert_eq!(summary(&config), summary(&again.expect("it was one")));
            assert!(!config.listeners.is_empty() && !config.upstream.servers.is_empty());
            let limits = config.limits;
            assert!(config.workers > 0 && limits.max_connections > 0 && limits.max_value_bytes > 0);
            for key in [&b"k"[..], b"lock:1", b"~", b"@py2//k"] {
                assert!(key.starts_with(&config.snapshot.rules.find(key).rule.prefix));
                assert!(config.snapshot.ring.server(key) < config.upstream.servers.len());
            }
            Some(config)
        }
        Err(errors) => {
            assert_eq!(errors, again.expect_err("it was none"));
            assert!(errors.iter().next().is_some());
            for error in errors.iter() {
                assert_eq!(error.source.as_deref(), Some(SOURCE), "{error}");
                let line = error.line.unwrap_or_else(|| panic!("no line: {error}"));
                assert!((1..=lines).contains(&line), "{error} of {lines} lines");
                assert!(!error.message.is_empty());
                assert!(error.to_string().starts_with(&format!("{SOURCE}:{line}: ")));
            }
            None
        }
    }
}

/// Tables, their settings, and values for them: those that fit, and others.
type Table = (
    &'static str,
    &'static [(&'static str, &'static [&'static str])],
);

const TABLES: &[Table] = &[
    (
        "[upstream]",
        &[
            (
                "servers",
                &[
                    "['127.0.0.1:11211']",
                    "['a:1', 'b:2', '[::1]:3']",
                    "['unix:/a', 'unix:/b']",
                    "['embedded:1MiB']",
                    "['a:1', 'a:1']",
                    "[]",
                ],
            ),
            ("hash", &["'ketama'", "'modula'", "'md5'"]),
            ("connections", &["1", "4", "0", "-1"]),
        ],
    ),
    (
        "[[listeners]]",
        &[
            (
                "listen",
                &[
                    "'127.0.0.1:1'",
                    "'127.0.0.1:2'",
                    "'unix:/c'",
                    "'[::]:3'",
                    "'x'",
                ],
            ),
            (
                "runtime",
                &["'py2'", "'python/3.11 django/4.2'", "'cp27'", "'ruby'"],
            ),
            (
                "identify",
                &[
                    "['hello', 'proxy-protocol', 'process']",
                    "['process']",
                    "['hello', 'hello']",
                    "[]",
                ],
            ),
            ("untagged", &["'refuse'", "'pass'", "'py3'", "'who'"]),
        ],
    ),
    (
        "[namespaces.py2]",
        &[
            (
                "runtimes",
                &["'python <3'", "'python >=2.7, <3'", "'python >=3'", "'x'"],
            ),
            ("epoch", &["0", "1", "18446744073709551615", "-1"]),
            (
                "also_invalidate",
                &["[]", "[1]", "[1, 1]", "[0, 2, 3, 4, 5]"],
            ),
            ("inventory", &["'no such file'", "''"]),
        ],
    ),
    (
        "[namespaces.py3]",
        &[
            (
                "runtimes",
                &[
                    "'python >=3'",
                    "'python'",
                    "'python ==3.11'",
                    "'django >=4'",
                ],
            ),
            ("epoch", &["0", "1", "2"]),
            ("also_invalidate", &["[]", "[1]", "[2]"]),
        ],
    ),
    ("[[rules]]", RULE),
    ("[[rules]]", RULE),
    (
        "[limits]",
        &[
            ("max_connections", &["1", "10000", "0"]),
            (
                "max_value_bytes",
                &["'1MiB'", "'1GiB'", "'2GiB'", "'0'", "'x'", "7"],
            ),
            ("max_buffered_bytes", &["'64MiB'", "'1KiB'", "'x'"]),
            ("request_timeout_ms", &["1", "1000", "0"]),
            ("connect_timeout_ms", &["250", "9223372036854775807"]),
            ("drain_timeout_ms", &["10000", "-1"]),
        ],
    ),
    (
        "[pickle]",
        &[
            ("flag_bit", &["0", "3", "31", "32"]),
            ("compressed_bit", &["3", "0"]),
            ("detect", &["'flags'", "'bytes'", "'both'", "'none'"]),
            ("max_inflated_bytes", &["'8MiB'", "'1'"]),
            ("max_inflate_ratio", &["100", "0"]),
            ("deny_globals", &["['os.*']", "['os']", "[]"]),
            (
                "allow_globals",
                &["['call os.system']", "['os.system']", "[]"],
            ),
            ("extensions", &["{ 240 = 'a:b' }", "{ x = 'a' }"]),
        ],
    ),
    (
        "[families]",
        &[
            ("track", &["true", "false"]),
            ("separators", &["':'", "'\u{e9}'", "''"]),
        ],
    ),
    (
        "[admin_commands]",
        &[("flush_all", &["'deny'", "'forward'", "'x'"])],
    ),
    (
        "[admin]",
        &[(
            "listen",
            &["'127.0.0.1:9151'", "'0.0.0.0:9151'", "'unix:/d'", "'x'"],
        )],
    ),
    ("[server]", &[("workers", &["1", "8", "0", "1000000"])]),
];

const RULE: &[(&str, &[&str])] = &[
    ("prefix", &["''", "'lock:'", "'l'", "'@'", "'\u{e9}'"]),
    (
        "mode",
        &["'isolate'", "'shared'", "'guard'", "'observe'", "'x'"],
    ),
    ("rollout", &["100", "0", "25", "101"]),
    ("sniff", &["'full'", "'header'", "'off'"]),
    ("on_unloadable_read", &["'miss'", "'transcode'", "'pass'"]),
    ("on_unknown_read", &["'serve'", "'miss'"]),
    ("on_unloadable_write", &["'accept'", "'reject'"]),
    ("on_unknown_write", &["'accept'", "'reject'"]),
    (
        "coherence",
        &["'fill-aware'", "'strict'", "'deletes'", "'none'"],
    ),
    ("read_through", &["true", "false"]),
    ("globals", &["'any'", "'deny'", "'allow'"]),
    ("py2_str", &["'text'", "'bytes'"]),
    ("unknown", &["1"]),
];

/// Start of most configurations.
const BASE: &str = "[upstream]\nservers = ['127.0.0.1:11211']\n\
    [[listeners]]\nlisten = '127.0.0.1:1'\nruntime = 'py3'\n";

/// Configurations out of any bytes.
struct Speller<'d> {
    /// Bytes not used yet; after the last, everything is 0.
    data: &'d [u8],
}

impl Speller<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.data.split_first() else {
            return 0;
        };
        self.data = rest;
        byte
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn text(&mut self, tables: u8) -> String {
        let mut text = String::new();
        if !self.byte().is_multiple_of(8) {
            text += BASE;
        }
        for _ in 0..tables {
            let (header, settings) = self.choose(TABLES);
            // A table that is there already, or one of two names, is rarely meant.
            if !header.starts_with("[[") && text.contains(header) && self.byte() > 8 {
                continue;
            }
            text += header;
            for _ in 0..self.byte() % 6 {
                let (name, values) = self.choose(settings);
                let value = self.choose(values);
                text.extend(["\n", name, " = ", value]);
            }
            text += "\n";
        }
        text
    }
}

// PROXY headers ---------------------------------------------------------------

/// However the first bytes of a connection are cut, they are taken for the same:
/// the bytes themselves if the first is 0, else a header that they choose.
pub(crate) fn proxy(data: &[u8]) {
    let sent = spell_header(&data[..data.len().min(MAX_INPUT / 8)]);
    let whole = parse(&sent);
    check_header(&sent, &whole);
    let mut decided = false;
    for cut in 0..sent.len() {
        let found = parse(&sent[..cut]);
        check_header(&sent[..cut], &found);
        if decided || found != Ok(Parsed::Partial) {
            decided = true;
            assert_eq!(found, whole, "after {cut} of {} bytes", sent.len());
        }
    }
}

fn check_header(sent: &[u8], found: &Result<Parsed, ProxyError>) {
    match found {
        // Else it would be asked again for ever.
        Ok(Parsed::Partial) => assert!(sent.len() < MAX_HEADER_BYTES),
        Ok(Parsed::Whole { total, tag }) => {
            assert!((16..=sent.len().min(MAX_HEADER_BYTES)).contains(total));
            assert!(tag.as_ref().is_none_or(|tag| tag.len() <= 128));
        }
        Ok(Parsed::NotProxy) => assert!(!sent.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn spell_header(data: &[u8]) -> Vec<u8> {
    let Some((&style, rest)) = data.split_first() else {
        return Vec::new();
    };
    let mut sent = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    if style == 0 {
        return rest.to_vec();
    }
    let mut speller = Speller { data: rest };
    let mut body = vec![b'x'; speller.choose(&[0, 12, 36, 216, 7])];
    let head = [
        speller.choose(&[0x21, 0x20, 0x21, 0x11, 0x2f]),
        speller.choose(&[0x11, 0x21, 0x31, 0x00, 0x12, 0x41, 0x13]),
    ];
    for _ in 0..style % 5 {
        let kind = speller.choose(&[0xe0, 0x04, 0xe0, 0xe1]);
        let len = usize::from(speller.byte() % 140).min(speller.data.len());
        let (value, rest) = speller.data.split_at(len);
        body.push(kind);
        body.extend((len as u16).to_be_bytes());
        body.extend(value);
        speller.data = rest;
    }
    // Mostly as long as it is.
    let off = isize::from(speller.choose(&[0i8, 0, 0, 1, -1, 127, -128]));
    let len = body.len().saturating_add_signed(off) as u16;
    sent.extend(head);
    sent.extend(len.to_be_bytes());
    sent.extend(body);
    sent.extend(speller.data);
    sent
}
