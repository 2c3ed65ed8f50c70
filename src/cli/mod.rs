//! The `picklegate` command: the command line to a configuration, that to an
//! answer, and the answer to an exit code.

mod args;
pub mod demo;
mod files;

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Config, ConfigErrors, ListenAddr};
use crate::log;
use crate::pickle::Verdict;
use crate::pickle::inventory::{self, Inventory};
use crate::policy::RuntimeTag;
use crate::report::advice::Report;
use crate::report::check;
use crate::report::explain::{ExplainError, Value, explain};
use crate::report::inspect::{Asked, Inspector, NameList, every_python};
use crate::report::transcode::{self, Done};
use crate::server::{self, AskError, ServeError, Server};
use clap::{CommandFactory as _, Parser as _};
use demo::Addresses;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;

use args::{Cli, Command, Format};

/// A reason why a command ends without what was asked for. The codes from 64 on are
/// those of `sysexits.h`; `--help` has the table.
enum Failure {
    /// A negative answer: 1.
    No(String),
    /// Neither a positive answer nor a negative one: 2.
    Unknown(String),
    /// The command line or the configuration is at fault: 64.
    Usage(String),
    /// Nobody answers where somebody should: 69.
    Unavailable(String),
    /// picklegate is at fault: 70.
    Internal(String),
    /// The system refused what was asked of it: 71.
    Refused(String),
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        if error.is_refusal() {
            Self::Refused(error.to_string())
        } else {
            Self::Internal(error.to_string())
        }
    }
}

/// Does what the command line of this process says, and tells how it went.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run_command(cli),
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}

fn run_command(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => run_serve(&args),
        Command::Demo(args) => run_demo(&args),
        Command::Check(args) => run_check(&args),
        Command::Explain(args) => run_explain(&args),
        Command::Advise(args) => run_advise(&args),
        Command::Inspect(args) => run_inspect(&args),
        Command::Transcode(args) => run_transcode(&args),
        Command::Inventory => print(inventory::SCRIPT),
        Command::Health(args) => run_health(&args),
        Command::Completions(args) => run_completions(&args),
        Command::Man(args) => run_man(&args),
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

fn run_serve(args: &args::Serve) -> Result<(), Failure> {
    let config = match &args.config {
        Some(path) => Config::load(path),
        None => Config::from_flags(&args.listen, &args.upstream, args.admin.as_deref()),
    };
    serve(config.map_err(usage)?, args.config.as_deref())
}

fn run_demo(args: &args::Demo) -> Result<(), Failure> {
    let addresses = Addresses {
        py2: &args.py2,
        py3: &args.py3,
        admin: &args.admin,
    };
    let config = Config::parse("demo", &demo::configuration(&addresses)).map_err(usage)?;
    log_to_stderr(LevelFilter::WARN);
    let ran = server::block_on(async {
        let server = Server::start(config.clone()).await?;
        let report = demo::replay(&config).await?;
        let outlook = if args.once {
            String::new()
        } else {
            demo::outlook(&addresses)
        };
        // Whoever has gone away wants no more of it.
        let _ = print(&format!("{report}{outlook}"));
        if args.once {
            server.drain().await;
            return Ok(());
        }
        let traffic = async {
            // It ends when the server does.
            let _ = demo::traffic(&config).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ran = server.run(None) => ran,
            () = traffic => unreachable!("it waits for ever"),
        }
    });
    ran.map_err(Failure::from)
}

fn serve(config: Config, file: Option<&Path>) -> Result<(), Failure> {
    log_to_stderr(LevelFilter::INFO);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    server::serve(config, file).map_err(Failure::from)
}

/// Structured logs; `PICKLEGATE_LOG=debug` (or `target=level,...`) shows more.
fn log_to_stderr(level: LevelFilter) {
    log::start(level, &env::var("PICKLEGATE_LOG").unwrap_or_default());
}

fn run_check(args: &args::Check) -> Result<(), Failure> {
    let no = |errors: ConfigErrors| Failure::No(errors.to_string());
    let config = Config::load(&args.config).map_err(no)?;
    let Some(old) = &args.against else {
        return print(&check::summary(&config));
    };
    let step = check::step(&Config::load(old).map_err(no)?, &config);
    let conclusion = step.conclusion();
    if step.is_accepted() {
        return print(&format!("{step}{conclusion}\n"));
    }
    print(&step.to_string())?;
    Err(Failure::No(conclusion))
}

fn run_explain(args: &args::Explain) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(usage)?;
    let tag = RuntimeTag::parse(&args.runtime).map_err(usage)?;
    let value = match &args.value {
        None => None,
        Some(path) => {
            let bytes =
                files::read(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
            Some(Value::new(&config.snapshot.pickles, args.flags, bytes))
        }
    };
    let explanations: Vec<String> = args
        .keys
        .iter()
        .map(|key| explain(&config, &tag, key, value.as_ref()).map(|e| e.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|error| match error {
            ExplainError::NoNamespace(_) => Failure::No(error.to_string()),
            _ => usage(error),
        })?;
    print(&explanations.join("\n"))
}

fn run_advise(args: &args::Advise) -> Result<(), Failure> {
    let addr = ListenAddr::parse(&args.admin).map_err(usage)?;
    let unavailable = |why: String| Failure::Unavailable(format!("{}: {why}", args.admin));
    let answer = server::ask_admin(&addr, "/families");
    let answer = answer.map_err(|error| unavailable(error.to_string()))?;
    let report: Report = serde_json::from_slice(&answer)
        .map_err(|error| unavailable(format!("no advice in its answer: {error}")))?;
    print(&match args.format {
        Format::Json => json(&report)?,
        Format::Text => report.to_string(),
    })?;
    if report.go {
        Ok(())
    } else {
        Err(Failure::No("no go".to_owned()))
    }
}

fn run_health(args: &args::Health) -> Result<(), Failure> {
    let addr = ListenAddr::parse(&args.admin).map_err(usage)?;
    let path = if args.live { "/live" } else { "/ready" };
    match server::ask_admin(&addr, path) {
        Ok(answer) => write(&answer),
        Err(error) => {
            let message = format!("{}: {error}", args.admin);
            Err(match error {
                AskError::Silent(_) => Failure::Unavailable(message),
                AskError::Refused { .. } => Failure::No(message),
            })
        }
    }
}

fn run_completions(args: &args::Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "picklegate", &mut script);
    write(&script)
}

fn run_man(args: &args::Man) -> Result<(), Failure> {
    let directory = &args.directory;
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|error| usage(format!("{}: {error}", directory.display())))
}

fn run_inspect(args: &args::Inspect) -> Result<(), Failure> {
    let files = inputs(&args.files)?;
    let readers = readers(&args.reader, &args.inventory)?;
    // Where none is named, all are asked, and none answers for the exit code.
    let named = readers.iter().filter(|_| !args.reader.is_empty());
    let mut judged: Vec<_> = named.map(|reader| (reader.tag.to_string(), 0, 0)).collect();
    let mut inspector = Inspector::new(readers);
    let mut list = NameList::default();
    let mut unreadable = Vec::new();
    let progress = progress(files.len());
    for path in &files {
        let input = path.display().to_string();
        progress.inc(1);
        let bytes = match files::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                unreadable.push(format!("{input}: {error}"));
                continue;
            }
        };
        let report = inspector.inspect(&input, &bytes);
        if args.globals {
            list.add(&report);
            if let Some(error) = &report.error {
                progress.suspend(|| eprintln!("{input}: {error}"));
            }
            continue;
        }
        for ((_, cannot, unknown), reader) in judged.iter_mut().zip(&report.readers) {
            match reader.verdict {
                Verdict::Loadable => {}
                Verdict::Unloadable => *cannot += 1,
                Verdict::Unknown | Verdict::NotLookedAt => *unknown += 1,
            }
        }
        let text = match args.format {
            Format::Json => json(&report)?,
            Format::Text if progress.position() == 1 => report.to_string(),
            Format::Text => format!("\n{report}"),
        };
        progress.suspend(|| print(&text))?;
    }
    progress.finish_and_clear();
    if args.globals {
        print(&match args.format {
            Format::Json => json(&list)?,
            Format::Text => list.to_string(),
        })?;
    }
    if !unreadable.is_empty() {
        return Err(Failure::Usage(unreadable.join("\n")));
    }
    let of = files.len();
    let mut told = Vec::new();
    for (tag, cannot, unknown) in &judged {
        if *cannot > 0 {
            told.push(format!("{tag} cannot load {cannot} of {of}"));
        }
        if *unknown > 0 {
            told.push(format!("{tag}: not known of {unknown} of {of}"));
        }
    }
    match told.join("\n") {
        told if told.is_empty() => Ok(()),
        told if judged.iter().any(|(_, cannot, _)| *cannot > 0) => Err(Failure::No(told)),
        told => Err(Failure::Unknown(told)),
    }
}

/// A line for programs.
fn json(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// Returns the files to read: standard input if nothing is named and nobody types
/// there.
fn inputs(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    match files {
        [] if io::stdin().is_terminal() => Err(usage("name a FILE, or - for this terminal")),
        [] => Ok(vec![PathBuf::from("-")]),
        _ => Ok(files.to_vec()),
    }
}

/// The readers named, or all, each with its inventory.
fn readers(tags: &[String], inventories: &[String]) -> Result<Vec<Asked>, Failure> {
    let mut readers: Vec<Asked> = Vec::new();
    for tag in tags {
        let asked = asked(tag)?;
        if readers.iter().all(|known| known.tag != asked.tag) {
            readers.push(asked);
        }
    }
    if tags.is_empty() {
        readers.extend(every_python().map(Asked::from));
    }
    for given in inventories {
        let (tag, path) = given
            .split_once('=')
            .ok_or_else(|| usage(format!("\"{given}\" is no inventory: write TAG=FILE")))?;
        let tag = RuntimeTag::parse(tag).map_err(usage)?;
        let reader = readers.iter_mut().find(|reader| reader.tag == tag);
        let reader = reader.ok_or_else(|| usage(format!("{tag} is none of the readers")))?;
        take_inventory(reader, Path::new(path))?;
    }
    Ok(readers)
}

fn asked(tag: &str) -> Result<Asked, Failure> {
    let tag = RuntimeTag::parse(tag).map_err(usage)?;
    if tag.version("python").is_none() {
        return Err(usage(format!("{tag} names no Python")));
    }
    Ok(tag.into())
}

fn take_inventory(reader: &mut Asked, path: &Path) -> Result<(), Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| usage(format!("{name}: {error}")))?;
    let inventory = Inventory::read(&name, file).map_err(usage)?;
    let (major, minor) = inventory.python();
    let fits = reader.tag.version("python").is_some_and(|python| {
        python.major == major && python.minor.is_none_or(|theirs| theirs == minor)
    });
    if !fits {
        let tag = &reader.tag;
        return Err(usage(format!(
            "{name}: lists Python {major}.{minor}, which is not {tag}"
        )));
    }
    reader.inventory = Some(Arc::new(inventory));
    Ok(())
}

/// A counter on standard error, if that is a terminal and there is something to
/// count.
fn progress(files: usize) -> ProgressBar {
    if files < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} of {len} files");
    let target = ProgressDrawTarget::stderr_with_hz(10);
    ProgressBar::with_draw_target(Some(files as u64), target)
        .with_style(style.expect("the template is well-formed"))
}

fn run_transcode(args: &args::Transcode) -> Result<(), Failure> {
    let mut reader = asked(&args.reader)?;
    if let Some(path) = &args.inventory {
        take_inventory(&mut reader, path)?;
    }
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(usage(
            "a pickle is nothing for a terminal: name a file with -o",
        ));
    }
    let inputs = inputs(args.file.as_slice())?;
    let path = &inputs[0];
    let named = |error: &dyn Display| format!("{}: {error}", path.display());
    let bytes = files::read(path).map_err(|error| usage(named(&error)))?;
    let done = transcode::transcode(&reader, &bytes, args.raw);
    let bytes = match done.map_err(|error| Failure::No(named(&error)))? {
        Done::Rewritten(bytes) => bytes,
        Done::Unchanged(bytes) => {
            eprintln!(
                "{}",
                named(&format!(
                    "nothing stands against {}: copied as it is",
                    reader.tag
                ))
            );
            bytes
        }
    };
    match &args.output {
        None => write(&bytes),
        Some(out) => files::replace(out, &bytes)
            .map_err(|error| usage(format!("{}: {error}", out.display()))),
    }
}

/// Writes an answer; a reader that has gone away wanted no more of it.
fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write as _};
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Refused(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

fn usage(error: impl Display) -> Failure {
    Failure::Usage(error.to_string())
}
