//! The `picklegate` command: which part does what the command line says, and the exit
//! code for how that went.

mod answer;
mod args;
mod ask;
pub mod demo;
mod files;
mod offline;
mod pickles;
mod serve;

use std::panic;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use crate::log;
use crate::pickle::inventory;
use answer::{Failure, print, usage, write};
use args::{Cli, Command, InventoryCommand};

/// Runs the command line of this process, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        // Whatever panicked has said so.
        Ok(cli) => panic::catch_unwind(|| run_parsed(cli)).unwrap_or(ExitCode::from(70)),
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}

fn run_parsed(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::serve(args),
        Command::Demo(args) => serve::demo(&args),
        Command::Check(args) => offline::check(&args),
        Command::Explain(args) => offline::explain(&args),
        Command::Advise(args) => ask::advise(&args),
        Command::Inspect(args) => pickles::inspect(&args),
        Command::Transcode(args) => pickles::transcode(&args),
        Command::Inventory(args) => match args.command {
            None => print(inventory::SCRIPT),
            Some(InventoryCommand::Diff(args)) => pickles::diff(&args),
        },
        Command::Health(args) => ask::health(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => man(&directory),
    };
    let (code, message) = match done {
        Ok(()) => {
            log::flush();
            return ExitCode::SUCCESS;
        }
        Err(Failure::No(message)) => (1, message),
        Err(Failure::Unknown(message)) => (2, message),
        Err(Failure::Usage(message)) => (64, message),
        Err(Failure::Unavailable(message)) => (69, message),
        Err(Failure::Internal(message)) => (70, message),
        Err(Failure::Refused(message)) => (71, message),
    };
    log::last_words(message);
    ExitCode::from(code)
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "picklegate", &mut script);
    write(&script)
}

fn man(directory: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|error| usage(format!("{}: {error}", directory.display())))
}
