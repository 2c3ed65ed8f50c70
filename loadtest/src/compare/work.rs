//! The loads that contenders are put to, and their CPUs.

use super::contender::Kind::{
    self, Direct, Forwarder, Haproxy, MemcachedProxy, Picklegate, PicklegateShared,
    PicklegateUncounted, PicklegateUnix, Twemproxy,
};

/// The CPUs that processes run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pins {
    /// All on CPU 0: throughput is what all of it together costs.
    Together,
    /// The proxy alone on CPU 0, memcached and the load on CPU 1.
    Apart,
}

impl Pins {
    /// The CPUs of the proxy, and of memcached and the load.
    pub(super) fn cpus(self, available: usize) -> (usize, usize) {
        match self {
            Self::Apart if available > 1 => (0, 1),
            _ => (0, 0),
        }
    }
}

/// A load, and who bears it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) kinds: &'static [Kind],
    /// Arguments of `run`.
    pub(super) load: &'static str,
    pub(super) pins: Pins,
}

const ALL: &[Kind] = &[Direct, Picklegate, Twemproxy, Haproxy, MemcachedProxy];

pub(super) const SINGLE: &str = "depth 1, 1 connection";
pub(super) const C64: &str = "depth 1, 64 connections";
pub(super) const C256: &str = "depth 1, 256 connections";
pub(super) const C1024: &str = "depth 1, 1,024 connections";
pub(super) const PIPELINED: &str = "pipelined 16, 64 connections";
pub(super) const MULTIGET: &str = "100-key multi-get, 16 connections";
pub(super) const LARGE: &str = "16 KiB values, 64 connections";
pub(super) const EQUAL_LOAD: &str = "equal offered load";
pub(super) const BESIDE_LARGE: &str = "small reads beside 1 MiB reads";
pub(super) const MEMORY: &str = "idle connections";
pub(super) const SYSTEM_CALLS: &str = "system calls";
pub(super) const INSTRUCTIONS: &str = "user instructions";

/// Closed loops on one CPU.
pub(super) const CLOSED: [Work; 7] = [
    closed(SINGLE, ALL, "--connections 1 --prefix a"),
    closed(
        C64,
        &[
            Direct,
            Picklegate,
            PicklegateShared,
            PicklegateUnix,
            PicklegateUncounted,
            Twemproxy,
            Haproxy,
            MemcachedProxy,
        ],
        "--connections 64 --prefix a",
    ),
    closed(C256, ALL, "--connections 256 --prefix a"),
    closed(C1024, ALL, "--connections 1024 --prefix a"),
    closed(PIPELINED, ALL, "--connections 64 --depth 16 --prefix a"),
    closed(
        MULTIGET,
        ALL,
        "--connections 16 --get 0 --set 0 --multiget 100 --multiget-keys 100 --prefix a",
    ),
    closed(
        LARGE,
        ALL,
        "--connections 64 --value-bytes 16384 --keys 1000 --prefix b",
    ),
];

const fn closed(name: &'static str, kinds: &'static [Kind], load: &'static str) -> Work {
    Work {
        name,
        kinds,
        load,
        pins: Pins::Together,
    }
}

/// Half of what twemproxy bears at most, for all alike.
pub(super) const OPEN: Work = Work {
    name: EQUAL_LOAD,
    kinds: ALL,
    load: "--connections 64 --prefix a",
    pins: Pins::Apart,
};

/// A few readers of small values while others read large ones.
pub(super) const BESIDE: Work = Work {
    name: BESIDE_LARGE,
    kinds: &[Picklegate, Forwarder],
    load: "--connections 16 --rate 3000 --get 100 --set 0 --prefix a",
    pins: Pins::Apart,
};

/// The load that reads beside them: 200 values a second, as large as fits in an item of
/// 1 MiB with its key and header.
pub(super) const BESIDE_LOAD: &str =
    "--connections 4 --rate 200 --get 100 --set 0 --value-bytes 1048000 --keys 16 --prefix c";
