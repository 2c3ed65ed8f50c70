//! Drives load through a memcache server, and compares what proxies cost.
//!
//! | room | owns |
//! |---|---|
//! | `workload` | what is asked and what must come back, made before the clock starts |
//! | `drive` | one task that sends it over all connections and checks every reply |
//! | `plain` | the same load by an ordinary client, to check the above against |
//! | `tally`, `report` | counts and latencies, as JSON and as text |
//! | `watch` | what a process used, as the kernel counts it |
//! | `compare` | contenders, their interleaved rounds, targets, table and plots |
//! | `forward`, `idle` | a proxy that does nothing, clients that do nothing |
#![forbid(unsafe_code)]

mod cli;
mod compare;
mod drive;
mod forward;
mod idle;
mod plain;
mod report;
mod run;
mod stream;
mod tally;
mod target;
mod watch;
mod workload;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// A reason why a command ends without what was asked for.
pub(crate) enum Failure {
    /// Replies were wrong, or nothing could be measured: 1.
    No(String),
    /// The command line is at fault: 64, as in `sysexits.h`.
    Usage(String),
}

/// Whatever fails is a measurement that failed, unless somebody knows better.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::No(error.to_string())
    }
}

/// Runs a command on this thread alone.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Run(args) => block_on(run::run(&args)),
        Command::Compare(args) => block_on(compare::compare(&args)),
        Command::Forward(args) => block_on(forward::forward(&args)),
        Command::Idle(args) => block_on(idle::idle(&args)),
    };
    let (code, message) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::No(message)) => (1, message),
        Err(Failure::Usage(message)) => (64, message),
    };
    eprintln!("picklegate-loadtest: {message}");
    ExitCode::from(code)
}
