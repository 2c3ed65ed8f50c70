//! The command line: its words and defaults. Opens no file, parses no address.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "\
Exit codes:
  0   fine
  1   a negative answer: the check failed, a named reader cannot load, no go
  2   not known yet: incomplete, or nothing proves it
  64  usage or configuration error
  69  the proxy that was asked does not answer
  70  internal error, such as a worker that ended
  71  the system refused something, such as a port in use";

const ADDRESSES: &str = "\
ADDR is host:port, [v6]:port or unix:/path. --upstream also takes tls://host:port, and
embedded:SIZE, a cache inside this process, for trying things out.

RUNTIME is the Python of the clients: python/3.11, or a short form such as py2.7, cp311.

By flags alone, each version has its own keys, and pickles are looked at whole: a reader
that cannot load one gets a miss. A file may say sniff = \"header\", which costs less and
sees the protocol alone, not a date of Python 2 nor a class that the reader lacks; or \"off\".";

const ADVISE: &str = "\
The text is the rules section of the next stage, as TOML. FORMAT is text or json.

The exit code is 1 if there is a reason against the next step, 69 if nobody answers.";

const INSPECT: &str = "\
TAG is a runtime: python/3.11, py2.7, \"python/3.11 django/4.2\". FORMAT is text or json.

The exit code is 1 if a reader named with --reader cannot load some input. It is 2 if that is
not known of some input, and none is certain to fail.";

const TAG: &str = "\
TAG is a runtime: python/3.11, py2.7, \"python/3.11 django/4.2\".

A pickle that the reader can load already is copied as it is. The exit code is 1 if there is
no form with the same meaning.";

const DIFF: &str = "\
The exit code is 1 if something is missing or differs, 2 if something is only not known. What
differs may still be read, where the pickle has all that the reader needs: inspect tells.";

const HEALTH: &str = "\
The exit code is 1 if a server or a worker does not answer, or if picklegate is about to end.
It is 69 if nobody answers at ADDR.";

/// A memcache proxy that keeps Python versions out of each other's pickles
#[derive(Debug, Parser)]
#[command(name = "picklegate", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy
    Serve(Serve),
    /// Try it out: an embedded cache, two listeners, sample traffic
    Demo(Demo),
    /// Say whether a configuration is valid, and what it means
    Check(Check),
    /// Show where keys live: namespace, rule, physical key, siblings, server
    Explain(Explain),
    /// Ask a running picklegate which rules its traffic needs, and whether to go on
    Advise(Advise),
    /// Say what pickles are, and who can load them
    Inspect(Inspect),
    /// Rewrite a pickle so that a reader loads it with the same meaning
    Transcode(Transcode),
    /// Print the Python script that lists what an environment can load, or compare listings
    Inventory(Inventory),
    /// Ask a running picklegate whether it serves, as health checks do
    Health(Health),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// The directory for the pages, one for each command
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
}

/// Either a file or flags.
#[derive(Debug, Args)]
#[command(after_help = ADDRESSES)]
#[command(override_usage = "picklegate serve --config FILE\n       \
    picklegate serve --listen ADDR=RUNTIME... --upstream ADDR... [--admin ADDR]")]
pub(crate) struct Serve {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", required_unless_present = "listen")]
    #[arg(conflicts_with_all = ["listen", "upstream", "admin"])]
    pub(crate) config: Option<PathBuf>,

    /// Accept one runtime's clients, e.g. 127.0.0.1:11312=python/2.7; repeatable
    #[arg(long, value_name = "ADDR=RUNTIME", requires = "upstream")]
    pub(crate) listen: Vec<String>,

    /// A memcached; repeatable, keys are spread over all
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(crate) upstream: Vec<String>,

    /// Serve metrics and health here
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(crate) admin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Run the sample traffic, report, and exit
    #[arg(long)]
    pub(crate) once: bool,

    /// Accept clients of Python 2 here
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:11312")]
    pub(crate) py2: String,

    /// Accept clients of Python 3 here
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:11313")]
    pub(crate) py3: String,

    /// Serve metrics and health here
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9151")]
    pub(crate) admin: String,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// The file that sidecars run now: say what changes, and whether the step is safe
    #[arg(long, value_name = "OLD")]
    pub(crate) against: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// The runtime that asks, e.g. python/3.11, py2.7 or cp311
    #[arg(long, value_name = "TAG")]
    pub(crate) runtime: String,

    /// A value: also say what a read and a write of it do; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) value: Option<PathBuf>,

    /// Client flags of the value [default: those of a pickle, if it looks like one]
    #[arg(long, value_name = "N", requires = "value")]
    pub(crate) flags: Option<u32>,

    /// Client keys
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
}

/// The proxy to ask.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The admin listener of the running picklegate
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9151")]
    pub(crate) admin: String,
}

#[derive(Debug, Args)]
#[command(after_help = ADVISE)]
pub(crate) struct Advise {
    #[command(flatten)]
    pub(crate) running: Running,

    /// Text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    #[arg(hide_possible_values = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT)]
pub(crate) struct Inspect {
    /// A reader that is to load them; repeatable [default: python/2.7, python/3.6 to 3.15]
    #[arg(long, value_name = "TAG")]
    pub(crate) reader: Vec<String>,

    /// A listing of what a reader's environment can load; repeatable
    #[arg(long, value_name = "TAG=FILE")]
    pub(crate) inventory: Vec<String>,

    /// Text for people, or one JSON object per input
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    #[arg(hide_possible_values = true)]
    pub(crate) format: Format,

    /// Only list the names in them, in the form of the firewall's allow list
    #[arg(long, conflicts_with_all = ["reader", "inventory"])]
    pub(crate) globals: bool,

    /// Pickles, raw or compressed by zlib, or directories of such files; - is standard input, the
    /// default
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Inventory {
    #[command(subcommand)]
    pub(crate) command: Option<InventoryCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InventoryCommand {
    /// Say what one environment's classes would make of another's pickles
    Diff(Diff),
}

#[derive(Debug, Args)]
#[command(after_help = DIFF)]
pub(crate) struct Diff {
    /// The listing of the environment that writes
    #[arg(value_name = "WRITER")]
    pub(crate) writer: PathBuf,

    /// The listing of the environment that reads
    #[arg(value_name = "READER")]
    pub(crate) reader: PathBuf,

    /// Only what is in this package; repeatable
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) package: Vec<String>,

    /// Text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    #[arg(hide_possible_values = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = TAG)]
pub(crate) struct Transcode {
    /// The reader that is to load it
    #[arg(long = "for", value_name = "TAG")]
    pub(crate) reader: String,

    /// A listing of what its environment can load
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,

    /// Write here, all or nothing, instead of to standard output
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Leave the result uncompressed
    #[arg(long)]
    pub(crate) raw: bool,

    /// A pickle, raw or compressed by zlib; - is standard input, the default
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = HEALTH)]
pub(crate) struct Health {
    #[command(flatten)]
    pub(crate) running: Running,

    /// Ask only whether the process runs, whatever its servers do
    #[arg(long)]
    pub(crate) live: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn help(subcommand: &str) -> String {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let command = match subcommand {
            "" => &mut cli,
            name => cli.find_subcommand_mut(name).unwrap(),
        };
        command.render_help().to_string()
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_short_and_complete() {
        insta::assert_snapshot!(help(""), @r"
        A memcache proxy that keeps Python versions out of each other's pickles

        Usage: picklegate <COMMAND>

        Commands:
          serve        Run the proxy
          demo         Try it out: an embedded cache, two listeners, sample traffic
          check        Say whether a configuration is valid, and what it means
          explain      Show where keys live: namespace, rule, physical key, siblings, server
          advise       Ask a running picklegate which rules its traffic needs, and whether to go on
          inspect      Say what pickles are, and who can load them
          transcode    Rewrite a pickle so that a reader loads it with the same meaning
          inventory    Print the Python script that lists what an environment can load, or compare listings
          health       Ask a running picklegate whether it serves, as health checks do
          completions  Print the completion script for a shell
          man          Write the manual pages
          help         Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Exit codes:
          0   fine
          1   a negative answer: the check failed, a named reader cannot load, no go
          2   not known yet: incomplete, or nothing proves it
          64  usage or configuration error
          69  the proxy that was asked does not answer
          70  internal error, such as a worker that ended
          71  the system refused something, such as a port in use
        ");
        insta::assert_snapshot!(help("serve"), @r#"
        Run the proxy

        Usage: picklegate serve --config FILE
               picklegate serve --listen ADDR=RUNTIME... --upstream ADDR... [--admin ADDR]

        Options:
              --config <FILE>          Configuration file (TOML)
              --listen <ADDR=RUNTIME>  Accept one runtime's clients, e.g. 127.0.0.1:11312=python/2.7; repeatable
              --upstream <ADDR>        A memcached; repeatable, keys are spread over all
              --admin <ADDR>           Serve metrics and health here
          -h, --help                   Print help

        ADDR is host:port, [v6]:port or unix:/path. --upstream also takes tls://host:port, and
        embedded:SIZE, a cache inside this process, for trying things out.

        RUNTIME is the Python of the clients: python/3.11, or a short form such as py2.7, cp311.

        By flags alone, each version has its own keys, and pickles are looked at whole: a reader
        that cannot load one gets a miss. A file may say sniff = "header", which costs less and
        sees the protocol alone, not a date of Python 2 nor a class that the reader lacks; or "off".
        "#);
        insta::assert_snapshot!(help("health"), @r"
        Ask a running picklegate whether it serves, as health checks do

        Usage: picklegate health [OPTIONS]

        Options:
              --admin <ADDR>  The admin listener of the running picklegate [default: 127.0.0.1:9151]
              --live          Ask only whether the process runs, whatever its servers do
          -h, --help          Print help

        The exit code is 1 if a server or a worker does not answer, or if picklegate is about to end.
        It is 69 if nobody answers at ADDR.
        ");
        insta::assert_snapshot!(help("demo"), @r"
        Try it out: an embedded cache, two listeners, sample traffic

        Usage: picklegate demo [OPTIONS]

        Options:
              --once             Run the sample traffic, report, and exit
              --py2 <HOST:PORT>  Accept clients of Python 2 here [default: 127.0.0.1:11312]
              --py3 <HOST:PORT>  Accept clients of Python 3 here [default: 127.0.0.1:11313]
              --admin <ADDR>     Serve metrics and health here [default: 127.0.0.1:9151]
          -h, --help             Print help
        ");
        insta::assert_snapshot!(help("check"), @r"
        Say whether a configuration is valid, and what it means

        Usage: picklegate check [OPTIONS] --config <FILE>

        Options:
              --config <FILE>  Configuration file (TOML)
              --against <OLD>  The file that sidecars run now: say what changes, and whether the step is safe
          -h, --help           Print help
        ");
        insta::assert_snapshot!(help("inspect"), @r#"
        Say what pickles are, and who can load them

        Usage: picklegate inspect [OPTIONS] [FILE]...

        Arguments:
          [FILE]...  Pickles, raw or compressed by zlib, or directories of such files; - is standard input, the default

        Options:
              --reader <TAG>          A reader that is to load them; repeatable [default: python/2.7, python/3.6 to 3.15]
              --inventory <TAG=FILE>  A listing of what a reader's environment can load; repeatable
              --format <FORMAT>       Text for people, or one JSON object per input [default: text]
              --globals               Only list the names in them, in the form of the firewall's allow list
          -h, --help                  Print help

        TAG is a runtime: python/3.11, py2.7, "python/3.11 django/4.2". FORMAT is text or json.

        The exit code is 1 if a reader named with --reader cannot load some input. It is 2 if that is
        not known of some input, and none is certain to fail.
        "#);
        insta::assert_snapshot!(help("transcode"), @r#"
        Rewrite a pickle so that a reader loads it with the same meaning

        Usage: picklegate transcode [OPTIONS] --for <TAG> [FILE]

        Arguments:
          [FILE]  A pickle, raw or compressed by zlib; - is standard input, the default

        Options:
              --for <TAG>         The reader that is to load it
              --inventory <FILE>  A listing of what its environment can load
          -o, --output <OUT>      Write here, all or nothing, instead of to standard output
              --raw               Leave the result uncompressed
          -h, --help              Print help

        TAG is a runtime: python/3.11, py2.7, "python/3.11 django/4.2".

        A pickle that the reader can load already is copied as it is. The exit code is 1 if there is
        no form with the same meaning.
        "#);
        insta::assert_snapshot!(help("explain"), @r"
        Show where keys live: namespace, rule, physical key, siblings, server

        Usage: picklegate explain [OPTIONS] --config <FILE> --runtime <TAG> <KEY>...

        Arguments:
          <KEY>...  Client keys

        Options:
              --config <FILE>  Configuration file (TOML)
              --runtime <TAG>  The runtime that asks, e.g. python/3.11, py2.7 or cp311
              --value <FILE>   A value: also say what a read and a write of it do; - is standard input
              --flags <N>      Client flags of the value [default: those of a pickle, if it looks like one]
          -h, --help           Print help
        ");
    }

    #[test]
    fn serve_takes_a_file_or_flags() {
        for good in [
            "picklegate serve --config a.toml",
            "picklegate serve --listen a:1=py2 --listen a:2=py3 --upstream b:1",
            "picklegate serve --listen a:1=py2 --upstream b:1 --upstream c:1 --admin d:1",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "picklegate serve",
            "picklegate serve --listen a:1=py2",
            "picklegate serve --upstream b:1",
            "picklegate serve --config a.toml --admin d:1",
            "picklegate serve --config a.toml --listen a:1=py2 --upstream b:1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn demo_needs_no_flags() {
        let Command::Demo(demo) = parse("picklegate demo").unwrap().command else {
            panic!("another command");
        };
        assert!(!demo.once);
        assert_eq!(
            (demo.py2.as_str(), demo.py3.as_str()),
            ("127.0.0.1:11312", "127.0.0.1:11313")
        );
        assert_eq!(demo.admin, "127.0.0.1:9151");
    }
}
