//! The memcache text and meta protocols: bytes in, shapes out. Knows no
//! namespace, no policy and no socket; never allocates.
//!
//! Requests are read as memcached 1.6 reads them, error texts included, except
//! where that would let a value run as commands (see [`request`]).

pub mod key;
pub mod reply;
pub mod request;
mod token;

pub use token::{Tokens, find_byte, leading_digits, parse_i32, parse_i64, parse_u64};
