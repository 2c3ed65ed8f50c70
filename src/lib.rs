//! A version-aware memcache proxy that isolates pickle namespaces.
//!
//! # Bird's eye
//!
//! A client connects to a listener, whose runtime tag gives it a namespace.
//! Each request is parsed, decided for by one [`policy::Snapshot`], and written
//! with its physical key onto a *lane*: one of few upstream connections that all
//! clients of a worker share. Replies come back in the order of the requests,
//! are checked against the key owed, get the client's key back and go out in
//! the order of the client's own requests.
//!
//! # Map
//!
//! | room | owns | knows nothing of |
//! |---|---|---|
//! | [`protocol`] | bytes to requests and replies | namespaces, sockets |
//! | [`pickle`] | what a pickle is, who can load it, and its form for another reader | memcache |
//! | [`policy`] | tags, namespaces, key codec, rules and what each means, servers: the decision for a key | the wire |
//! | [`engine`] | one worker's clients and lanes as state machines | sockets, clocks, threads |
//! | [`server`] | listeners, who connects, TLS, workers, upstream connections, admin, reload, signals | what the bytes mean |
//! | [`config`] | TOML or flags to one compiled configuration, or all its errors | serving |
//! | [`metrics`] | families, and how a worker's counts become theirs | the data path |
//! | [`log`] | lines for standard error, and that nobody waits for its reader | what they are about |
//! | [`embedded`] | an in-process memcached for trying things out | the proxy |
//! | [`report`] | what people read: advice, check, explain, inspect, transcode | serving |
//! | [`cli`] | the command line, what each command does, the demo | |
//!
//! Imports point one way: `protocol` and `pickle` under `policy`, that under
//! `engine`, that under `server`.
//!
//! # Invariants
//!
//! - The core (`protocol`, `pickle`, `policy`, `engine`) opens no socket, reads
//!   no clock, spawns nothing, locks nothing.
//! - Every request on a lane is answered exactly once, in order. A reply that is
//!   not its request's drops the lane and fails what was owed on it.
//! - Replies leave in request order on every connection.
//! - A client is on one lane of each server at a time, and changes to the one for
//!   large values, or back, only while nothing of it is under way: its requests
//!   for a key are carried out in their order. Those of other clients may be
//!   overtaken until somebody is told of them: that is how gets share lines.
//! - A request is decided and carried out by one snapshot: another is adopted only
//!   while nothing is under way in a worker.
//! - A request in steady state allocates nothing; what it needs is handed back.
//! - A value reaches a lane only whole; its bytes are never changed, and nothing
//!   outside the key and the hushing flags of a request is. What a reader gets of it
//!   is those bytes, nothing, or a transcoded form that was judged loadable again.
//! - Pickled bytes are never executed.
//! - Peer bytes can end their own connection; they cannot panic, stall others or
//!   grow memory past the limits. Every queue and buffer has a named bound.
//! - A look that would keep others waiting is had apart, by threads beside the workers;
//!   what it comes to takes its place in the order of its client.
//! - Counting is adding to plain numbers; labels are resolved when somebody
//!   looks.
//!
//! # Reading order
//!
//! [`protocol::request`], then `policy/key.rs` and `policy/plan.rs`, then
//! `engine/mod.rs`, `engine/dispatch/`, `engine/upstream/` and
//! `engine/downstream/`, then `server/worker/`. For pickles: `pickle/machine.rs`,
//! `scan/`, `rules/`, `verdict.rs`, `transcode/mod.rs`, then `engine/value/`.
//!
//! # What was tried and is not here
//!
//! Each measured in pairs with `picklegate-loadtest`, all on one core:
//!
//! - Writing large values from where they were read, by vectored writes: more
//!   system calls than the copy is worth (16 KiB: 3 % more CPU, 256 KiB: 16 %).
//! - Larger or smaller read buffers, fewer or more reads of a lane in a turn:
//!   256 KiB buffers took up to 1.9 times the CPU, the rest was even or worse.
//! - Writing to a client as soon as it is answered instead of once in a turn: who
//!   is woken earlier asks earlier, so less is merged (16 KiB: 8 % more CPU).
//! - A current-thread runtime in each worker, with a task's readiness per
//!   connection: 700 more instructions for a request, 8 % more CPU with one
//!   connection, three times the memory for a client that idles.
//! - More than one lane for small values: less is merged in each.
//! - Leaving gets apart where the upstream batches them itself (1.6.35 and
//!   later): memcached 1.6.45 took 38 % and the proxy 13 % more CPU.
//! - `mg` merged into `get`: they are not equivalent. The reply to `mg` says
//!   whether an item is stale or being refreshed and takes the token to refresh
//!   it, which `get` neither says nor does.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod embedded;
pub mod engine;
pub mod log;
pub mod metrics;
pub mod pickle;
pub mod policy;
pub mod protocol;
pub mod report;
pub mod server;
