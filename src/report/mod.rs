//! Reports for people: the meaning of a configuration, the effect of a step, the place of
//! a key, the content of a pickle, the rules that traffic needs. Knows configurations,
//! decisions and verdicts; serves nothing.

pub mod advice;
pub mod check;
mod consequences;
pub mod explain;
pub mod inspect;
pub mod inventory;
mod table;
pub mod transcode;
