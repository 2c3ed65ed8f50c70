//! The `picklegate` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    picklegate::cli::run()
}
