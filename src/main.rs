//! The `picklegate` command: the command line to a configuration, that to an
//! answer, and the answer to an exit code.
#![forbid(unsafe_code)]

mod cli;

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use picklegate::check;
use picklegate::config::{Config, ConfigErrors};
use picklegate::demo::{self, Addresses};
use picklegate::explain::{ExplainError, explain};
use picklegate::pickle::inventory;
use picklegate::policy::RuntimeTag;
use picklegate::server::{self, Server};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use cli::{Cli, Command};

/// Why a command ends without what was asked for. The codes for usage and
/// internal errors are those of `sysexits.h`.
enum Failure {
    /// A negative answer: 1.
    No(String),
    /// The command line or the configuration is at fault: 64.
    Usage(String),
    /// picklegate is: 70.
    Internal(String),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}

/// Does what the command line says, and tells how it went.
fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => run_serve(&args),
        Command::Demo(args) => run_demo(&args),
        Command::Check(args) => run_check(&args),
        Command::Explain(args) => run_explain(&args),
        Command::Inventory => print(inventory::SCRIPT),
    };
    let (code, message) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::No(message)) => (1, message),
        Err(Failure::Usage(message)) => (64, message),
        Err(Failure::Internal(message)) => (70, message),
    };
    eprintln!("{message}");
    ExitCode::from(code)
}

fn run_serve(args: &cli::Serve) -> Result<(), Failure> {
    let config = match &args.config {
        Some(path) => Config::load(path),
        None => Config::from_flags(&args.listen, &args.upstream, args.admin.as_deref()),
    };
    serve(&config.map_err(usage)?)
}

fn run_demo(args: &cli::Demo) -> Result<(), Failure> {
    let addresses = Addresses {
        py2: &args.py2,
        py3: &args.py3,
        admin: &args.admin,
    };
    let config = Config::parse("demo", &demo::configuration(&addresses)).map_err(usage)?;
    log_to_stderr(LevelFilter::WARN);
    let ran = server::block_on(async {
        let server = Server::start(&config).await?;
        let report = demo::replay(&config).await?;
        let outlook = if args.once {
            String::new()
        } else {
            demo::outlook(&addresses)
        };
        // Whoever has gone away wants no more of it.
        let _ = print(&format!("{report}{outlook}"));
        if args.once {
            server.drain(config.limits.drain_timeout).await;
            return Ok(());
        }
        server.run(config.limits.drain_timeout).await
    });
    ran.map_err(|error| Failure::Internal(error.to_string()))
}

fn serve(config: &Config) -> Result<(), Failure> {
    log_to_stderr(LevelFilter::INFO);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    server::serve(config).map_err(|error| Failure::Internal(error.to_string()))
}

/// Structured logs; `PICKLEGATE_LOG=debug` (or any filter) shows more.
fn log_to_stderr(level: LevelFilter) {
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .with_env_var("PICKLEGATE_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

fn run_check(args: &cli::Check) -> Result<(), Failure> {
    let no = |errors: ConfigErrors| Failure::No(errors.to_string());
    let config = Config::load(&args.config).map_err(no)?;
    print(&check::summary(&config))
}

fn run_explain(args: &cli::Explain) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(usage)?;
    let tag = RuntimeTag::parse(&args.runtime).map_err(usage)?;
    let explanations: Vec<String> = args
        .keys
        .iter()
        .map(|key| explain(&config, &tag, key).map(|e| e.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|error| match error {
            ExplainError::NoNamespace(_) => Failure::No(error.to_string()),
            _ => usage(error),
        })?;
    print(&explanations.join("\n"))
}

/// Writes an answer; a reader that has gone away wanted no more of it.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Internal(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

fn usage(error: impl Display) -> Failure {
    Failure::Usage(error.to_string())
}
