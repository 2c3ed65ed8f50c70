//! Which server owns a client key: the two distributions of libmemcached, bit
//! for bit. Siblings share a server because only the client key is hashed.

use md5::{Digest, Md5};

/// The port that libmemcached leaves out of a server's name on the ring.
const DEFAULT_PORT: u16 = 11211;
/// Points per server on the ring; each MD5 digest gives four.
const POINTS_PER_SERVER: f32 = 160.0;

/// How client keys are spread over servers.
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

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.servers
    }
}

/// 40, or what is left of it: libmemcached takes each server's share in single
/// precision and rounds down, so that from 25 servers on it is sometimes 39.
fn digests_per_server(servers: usize) -> u32 {
    let servers = servers as f32;
    let share = 1.0 / servers;
    // Positive and at most 40.
    (share * POINTS_PER_SERVER / 4.0 * servers + 1e-10).floor() as u32
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
        // It hashes `char`, which is signed.
        let hash = hash.wrapping_add_signed(i32::from(byte.cast_signed()));
        let hash = hash.wrapping_add(hash << 10);
        hash ^ hash >> 6
    });
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}
