//! The whole data path without a socket: an [`Engine`] between clients and
//! caches of this process, every byte moved by hand.
//!
//! Random tests print their seed, which `PICKLEGATE_SEED` replays.
//!
//! [`Engine`]: picklegate::engine::Engine

mod apart;
mod bounds;
mod coherence;
mod cuts;
mod failures;
mod hidden;
mod identity;
mod isolation;
mod lanes;
mod locks;
mod looks;
mod model;
mod order;
mod renumbering;
mod simulation;
#[path = "../support/mod.rs"]
mod support;
mod whole;
mod wrong;
