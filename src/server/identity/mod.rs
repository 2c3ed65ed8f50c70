//! What runs at the other end of a connection, found out from outside of the
//! memcache protocol: [`proxy`] from a header that a load balancer or a sidecar
//! writes first, [`process`] from the system.

#![cfg_attr(not(test), expect(dead_code, reason = "wired by the listener"))]

pub(super) mod process;
pub(super) mod proxy;
