//! Picklegate as clients and memcached see it: the bytes of every command against real
//! memcacheds, the copies behind it, the identity of clients, and TLS.

mod cuts;
mod differential;
mod embedded;
mod fanout;
mod identity;
mod isolation;
#[path = "../support/mod.rs"]
mod support;
mod tls;
