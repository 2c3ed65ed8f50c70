//! The `picklegate` command.
#![forbid(unsafe_code)]

fn main() {}
