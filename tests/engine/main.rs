//! The whole data path without a socket: an [`Engine`] between clients and
//! caches of this process, every byte moved by hand.
//!
//! Random tests print their seed, which `PICKLEGATE_SEED` replays.
//!
//! [`Engine`]: picklegate::engine::Engine

mod apart;
#[path = "../support/attacks.rs"]
mod attacks;
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
mod order;
mod renumbering;
mod rig;
mod whole;
mod wrong;
