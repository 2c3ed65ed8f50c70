//! Finds the server that owns a client key: the two distributions of libmemcached, bit
//! for bit. Siblings share a server because only the client key is hashed.

use md5::{Digest, Md5};

/// The port that libmemcached leaves out of a server's name on the ring.
const DEFAULT_PORT: u16 = 11211;
/// MD5 digests per server, more or less; each gives four points, 160 in all.
const DIGESTS_PER_SERVER: f32 = 40.0;

/// The way in which client keys are spread over servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED` with equal weights.
    #[default]
    Ketama,
    /// libmemcached's default: one-at-a-time hash, modulo.
    Modula,
}

/// A compiled distribution.
#[derive(Debug, Clone)]
pub struct Ring {
    servers: usize,
    /// Sorted by point; empty for `Modula` and for a single server.
    points: Vec<(u32, u32)>,
}

impl Ring {
    /// Builds the ring for servers named by host and port, in their order.
    pub fn new(distribution: Distribution, servers: &[(&str, u16)]) -> Self {
        let mut points = Vec::new();
        if distribution == Distribution::Ketama && servers.len() > 1 {
            for (index, (host, port)) in (0u32..).zip(servers) {
                for digest in 0..digests_per_server(servers.len()) {
                    let name = if *port == DEFAULT_PORT {
                        format!("{host}-{digest}")
                    } else {
                        format!("{host}:{port}-{digest}")
                    };
                    let digest = Md5::digest(name.as_bytes());
                    points.extend(digest.chunks_exact(4).map(|p| (le_u32(p), index)));
                }
            }
            points.sort_unstable();
        }
        Self {
            servers: servers.len(),
            points,
        }
    }

    /// The index of the server that owns a client key.
    pub fn server(&self, key: &[u8]) -> usize {
        if self.servers == 1 {
            return 0;
        }
        if self.points.is_empty() {
            return one_at_a_time(key) as usize % self.servers;
        }
        let hash = le_u32(&Md5::digest(key));
        let at = self.points.partition_point(|&(point, _)| point < hash);
        let (_, server) = self.points[if at == self.points.len() { 0 } else { at }];
        server as usize
    }

    /// Returns the number of servers.
    pub fn servers(&self) -> usize {
        self.servers
    }
}

/// The digests of one of `servers` equal servers: [`DIGESTS_PER_SERVER`], or
/// one less where libmemcached's floats do not come out even (25 servers).
fn digests_per_server(servers: usize) -> u32 {
    // Rings of over 2^24 servers are not built.
    #[allow(clippy::cast_precision_loss)]
    let servers = servers as f32;
    let share = 1.0 / servers * (4.0 * DIGESTS_PER_SERVER) / 4.0 * servers;
    // A non-negative number of at most 40.
    #[allow(clippy::cast_sign_loss)]
    let digests = ((f64::from(share) + 1e-10) as f32).floor() as u32;
    digests
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .rev()
        .fold(0, |word, &b| word << 8 | u32::from(b))
}

/// Bob Jenkins' one-at-a-time hash, libmemcached's default.
fn one_at_a_time(key: &[u8]) -> u32 {
    let mut hash = key.iter().fold(0u32, |hash, &byte| {
        // It adds a `char`, which is signed where it was recorded.
        let hash = hash.wrapping_add_signed(i32::from(byte.cast_signed()));
        let hash = hash.wrapping_add(hash << 10);
        hash ^ hash >> 6
    });
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of libmemcached itself; the head of the file says how.
    const RECORDED: &str = include_str!("../../tests/fixtures/ketama.txt");

    /// `host:port`, `[v6]:port` or `unix:/path`, as a configuration names it.
    fn name(address: &str) -> (&str, u16) {
        if let Some(path) = address.strip_prefix("unix:") {
            return (path, 0);
        }
        let (host, port) = address.rsplit_once(':').unwrap();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host, port.parse().unwrap())
    }

    /// Compares every choice recorded for a distribution with its own.
    fn check(distribution: Distribution, word: &str) {
        let lines = || RECORDED.lines().filter_map(|line| line.split_once(' '));
        let keys: Vec<&str> = lines()
            .filter_map(|(kind, key)| (kind == "key").then_some(key))
            .collect();
        let (mut servers, mut checked) = ("", 0);
        for (kind, rest) in lines() {
            if kind == "servers" {
                servers = rest;
            }
            if kind != word {
                continue;
            }
            let names: Vec<(&str, u16)> = servers.split(' ').map(name).collect();
            let ring = Ring::new(distribution, &names);
            assert_eq!(rest.len(), keys.len());
            for (key, recorded) in keys.iter().zip(rest.chars()) {
                let server = u32::try_from(ring.server(key.as_bytes())).unwrap();
                assert_eq!(
                    char::from_digit(server, 36),
                    Some(recorded),
                    "{word}: {key} on {servers}"
                );
                checked += 1;
            }
        }
        assert!(checked > 1000, "the recording has no {word}");
    }

    #[test]
    fn ketama_chooses_as_libmemcached_does() {
        check(Distribution::Ketama, "ketama");
    }

    #[test]
    fn modula_chooses_as_libmemcached_does() {
        check(Distribution::Modula, "modula");
    }
}
