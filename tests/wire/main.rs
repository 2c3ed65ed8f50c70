//! What clients and memcached see of a picklegate between them: the bytes of every
//! command against real memcacheds, the copies behind it, who a client is taken for,
//! and TLS.

mod cuts;
mod differential;
mod embedded;
mod fanout;
mod identity;
mod isolation;
#[path = "../support/mod.rs"]
mod support;
mod tls;
