//! What people read: what a configuration means, what a step changes, where a key lives,
//! what a pickle is, which rules the traffic needs. Knows configurations, decisions and
//! verdicts; serves nothing.

pub mod advice;
pub mod check;
mod consequences;
pub mod explain;
pub mod inspect;
mod table;
pub mod transcode;
