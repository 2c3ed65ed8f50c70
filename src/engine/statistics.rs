//! The statistics of several servers as those of one: what adds up is added, what does
//! not is told of each server where they differ, and a server that is silent is told
//! to be down. The lines of a single server are passed on as they come, up to a failure.
//!
//! ```text
//! STAT curr_items 12              the sum
//! STAT uptime 60                  of the one that has been up for the least time
//! STAT version 1.6.18             the lowest
//! STAT version@10.0.0.1:11211 1.6.18
//! STAT version@10.0.0.2:11211 1.6.45
//! STAT servers 3                  that there are
//! STAT servers_down 1             that the rest is without
//! STAT down@10.0.0.3:11211 1
//! ```

use std::collections::HashMap;

/// What the lines of all servers together may take, in bytes: `items` and `slabs` of a
/// memcached with all of its 63 classes take a third of that for ten servers.
const MAX_BYTES: usize = 1 << 20;

/// Statistics that are still asked for.
#[derive(Debug)]
pub struct Gathering {
    section: Section,
    servers: Vec<Server>,
    /// Bytes that there is room for.
    left: usize,
}

#[derive(Debug)]
struct Server {
    name: String,
    /// Lines so far; `None` once one was too much.
    lines: Option<Vec<u8>>,
    /// Whether the server has said all.
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    General,
    Settings,
    /// `items` and `slabs`, whose names have a class in front.
    Classes,
}

/// Rules by which the values of one name become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merge {
    Sum,
    Least,
    Most,
    /// The lowest, beside those of each server.
    Version,
    /// The one that all have, or those of each server.
    Same,
}

impl Gathering {
    /// Of these servers.
    pub(super) fn new(section: &[u8], servers: impl Iterator<Item = String>) -> Self {
        let server = |name| Server {
            name,
            lines: Some(Vec::new()),
            is_whole: false,
        };
        Self {
            section: match section {
                b"" => Section::General,
                b"items" | b"slabs" => Section::Classes,
                _ => Section::Settings,
            },
            servers: servers.map(server).collect(),
            left: MAX_BYTES,
        }
    }

    /// Takes a line of a server's reply. One that does not fit, or that is no
    /// statistic, leaves it down.
    pub(super) fn take(&mut self, server: usize, line: &[u8]) {
        let Some(server) = self.servers.get_mut(server) else {
            return;
        };
        if !line.starts_with(b"STAT ") {
            server.is_whole = line == b"END" && server.lines.is_some();
        } else if line.len() >= self.left {
            let lines = server.lines.take();
            self.left += lines.map_or(0, |lines| lines.len());
        } else if let Some(lines) = &mut server.lines {
            self.left -= line.len() + 1;
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }

    /// Whether some server said all.
    pub(super) fn has_some(&self) -> bool {
        self.servers.iter().any(|server| server.is_whole)
    }

    /// The lines for the client, up to `END`.
    pub(super) fn reply(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut values: HashMap<&[u8], Vec<(&str, &[u8])>> = HashMap::new();
        for server in self.servers.iter().filter(|server| server.is_whole) {
            let lines = server.lines.as_deref().unwrap_or_default();
            for line in lines.split(|&byte| byte == b'\n') {
                let mut words = line.splitn(3, |&byte| byte == b' ').skip(1);
                let (Some(name), Some(value)) = (words.next(), words.next()) else {
                    continue;
                };
                let of = values.entry(name).or_default();
                if of.is_empty() {
                    names.push(name);
                }
                of.push((&server.name, value));
            }
        }
        let mut reply = Vec::new();
        for name in names {
            write_merged(&mut reply, self.section, name, &values[name]);
        }
        let down = self.servers.iter().filter(|server| !server.is_whole);
        stat(
            &mut reply,
            b"servers",
            self.servers.len().to_string().as_bytes(),
        );
        let count = down.clone().count().to_string();
        stat(&mut reply, b"servers_down", count.as_bytes());
        for server in down {
            stat(&mut reply, &of_server(b"down", &server.name), b"1");
        }
        reply.extend_from_slice(b"END\r\n");
        reply
    }
}

fn write_merged(reply: &mut Vec<u8>, section: Section, name: &[u8], values: &[(&str, &[u8])]) {
    let all = || values.iter().map(|(_, value)| *value);
    let merge = merge_of(section, name);
    let merged = match merge {
        Merge::Sum => sum(all()),
        Merge::Least => all()
            .filter_map(number)
            .min()
            .map(|least| least.to_string()),
        Merge::Most => all().filter_map(number).max().map(|most| most.to_string()),
        Merge::Version | Merge::Same => None,
    };
    let first = values.first().map_or(&b""[..], |(_, value)| value);
    let is_same = all().all(|value| value == first);
    match merged {
        Some(merged) => stat(reply, name, merged.as_bytes()),
        None if is_same => stat(reply, name, first),
        None => {
            if merge == Merge::Version
                && let Some(lowest) = all().min_by_key(|version| version_parts(version))
            {
                stat(reply, name, lowest);
            }
            for (server, value) in values {
                stat(reply, &of_server(name, server), value);
            }
        }
    }
}

fn merge_of(section: Section, name: &[u8]) -> Merge {
    // Behind the class, where there is one.
    let own = name.rsplit(|&byte| byte == b':').next().unwrap_or(name);
    match (section, own) {
        (Section::General, b"uptime" | b"accepting_conns")
        | (Section::Classes, b"evicted_time") => Merge::Least,
        (
            Section::General,
            b"time"
            | b"hash_power_level"
            | b"hash_is_expanding"
            | b"lru_crawler_running"
            | b"slab_reassign_running",
        )
        | (Section::Classes, b"age" | b"age_hot" | b"age_warm" | b"active_slabs") => Merge::Most,
        (Section::General, b"version") => Merge::Version,
        (Section::Settings, b"maxbytes" | b"maxconns") => Merge::Sum,
        (Section::General, b"pid" | b"libevent" | b"pointer_size")
        | (Section::Classes, b"chunk_size" | b"chunks_per_page")
        | (Section::Settings, _) => Merge::Same,
        _ => Merge::Sum,
    }
}

/// Of whole numbers, or of seconds with their fraction; `None` of what is neither.
fn sum<'v>(values: impl Iterator<Item = &'v [u8]> + Clone) -> Option<String> {
    let whole = values.clone().map(number);
    if let Some(sum) = whole.sum::<Option<u128>>() {
        return Some(sum.to_string());
    }
    let parts = values.map(|value| std::str::from_utf8(value).ok()?.parse::<f64>().ok());
    let sum = parts.sum::<Option<f64>>().filter(|sum| sum.is_finite())?;
    Some(format!("{sum:.6}"))
}

/// A whole number, as the protocol's counters are.
fn number(value: &[u8]) -> Option<u128> {
    crate::protocol::parse_u64(value).map(u128::from)
}

fn version_parts(version: &[u8]) -> Vec<u64> {
    let parts = version.split(|byte| !byte.is_ascii_digit());
    parts.filter_map(crate::protocol::parse_u64).collect()
}

fn stat(reply: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [b"STAT ", name, b" ", value, b"\r\n"] {
        reply.extend_from_slice(part);
    }
}

/// A name that is one server's. The path of a socket may hold spaces.
fn of_server(name: &[u8], server: &str) -> Vec<u8> {
    let server = server.replace(char::is_whitespace, "_");
    [name, b"@", server.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(section: &[u8], replies: &[&[&str]]) -> String {
        let names = (1..=replies.len()).map(|number| format!("s{number}:1"));
        let mut gathering = Gathering::new(section, names);
        for (server, lines) in replies.iter().enumerate() {
            for line in *lines {
                gathering.take(server, line.as_bytes());
            }
        }
        String::from_utf8(gathering.reply())
            .unwrap()
            .replace('\r', "")
    }

    #[test]
    fn what_adds_up_is_added_and_what_does_not_is_told_apart() {
        let replies: &[&[&str]] = &[
            &[
                "STAT pid 11",
                "STAT uptime 90",
                "STAT time 1000",
                "STAT version 1.6.9",
                "STAT libevent 2.1",
                "STAT rusage_user 1.500000",
                "STAT curr_items 3",
                "STAT only_here 1",
                "END",
            ],
            &[
                "STAT pid 12",
                "STAT uptime 60",
                "STAT time 1001",
                "STAT version 1.6.18",
                "STAT libevent 2.1",
                "STAT rusage_user 0.250000",
                "STAT curr_items 4",
                "END",
            ],
        ];
        insta::assert_snapshot!(gathered(b"", replies), @r"
        STAT pid@s1:1 11
        STAT pid@s2:1 12
        STAT uptime 60
        STAT time 1001
        STAT version 1.6.9
        STAT version@s1:1 1.6.9
        STAT version@s2:1 1.6.18
        STAT libevent 2.1
        STAT rusage_user 1.750000
        STAT curr_items 7
        STAT only_here 1
        STAT servers 2
        STAT servers_down 0
        END
        ");
    }

    #[test]
    fn settings_are_the_same_or_those_of_each_but_room_adds_up() {
        let replies: &[&[&str]] = &[
            &[
                "STAT maxbytes 10",
                "STAT evictions on",
                "STAT num_threads 4",
                "END",
            ],
            &[
                "STAT maxbytes 20",
                "STAT evictions on",
                "STAT num_threads 2",
                "END",
            ],
        ];
        insta::assert_snapshot!(gathered(b"settings", replies), @r"
        STAT maxbytes 30
        STAT evictions on
        STAT num_threads@s1:1 4
        STAT num_threads@s2:1 2
        STAT servers 2
        STAT servers_down 0
        END
        ");
    }

    #[test]
    fn classes_are_added_each() {
        let replies: &[&[&str]] = &[
            &["STAT items:1:number 3", "STAT items:1:age 9", "END"],
            &[
                "STAT items:1:number 4",
                "STAT items:1:age 5",
                "STAT items:2:number 1",
                "END",
            ],
        ];
        insta::assert_snapshot!(gathered(b"items", replies), @r"
        STAT items:1:number 7
        STAT items:1:age 9
        STAT items:2:number 1
        STAT servers 2
        STAT servers_down 0
        END
        ");
    }

    #[test]
    fn a_server_that_did_not_say_all_is_down() {
        let replies: &[&[&str]] = &[
            &["STAT curr_items 3", "END"],
            &["STAT curr_items 4"],
            &["SERVER_ERROR out of memory"],
            &[],
        ];
        insta::assert_snapshot!(gathered(b"", replies), @r"
        STAT curr_items 3
        STAT servers 4
        STAT servers_down 3
        STAT down@s2:1 1
        STAT down@s3:1 1
        STAT down@s4:1 1
        END
        ");
        let mut endless = Gathering::new(b"", ["s1:1".to_owned()].into_iter());
        let line = [b"STAT x ", &b"1".repeat(1000)[..]].concat();
        for _ in 0..2 * MAX_BYTES / line.len() {
            endless.take(0, &line);
        }
        endless.take(0, b"END");
        assert!(endless.reply().len() < 100);
    }
}
