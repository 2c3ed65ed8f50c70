//! The command line. Knows words, not what comes of them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::target::Target;
use crate::watch::Watched;

/// Drives load through a memcache server, and compares what proxies cost.
#[derive(Debug, Parser)]
#[command(name = "picklegate-loadtest", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put load on one or more targets and report throughput, latency and wrong replies.
    Run(Run),
    /// Put picklegate, twemproxy, haproxy and no proxy side by side: ratios, targets and plots.
    Compare(Compare),
    /// Forward bytes, one connection for each client: a proxy that does nothing else.
    Forward(Forward),
    /// Hold connections that did one read each.
    Idle(Idle),
}

/// A comparison.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Measurements of each contender.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    pub(crate) rounds: usize,
    /// Duration of each.
    #[arg(long, value_name = "S", default_value = "1.5", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Only works whose name contains this, for a quick look.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// The memcached to run; else the one on PATH.
    #[arg(long, value_name = "FILE")]
    pub(crate) memcached: Option<PathBuf>,
    /// The picklegate to run; else the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) picklegate: Option<PathBuf>,
    /// A memcached that was built with its proxy, to compare that, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) memcached_proxy: Option<PathBuf>,
    /// A picklegate with the feature `uncounted`, to tell what counting costs.
    #[arg(long, value_name = "FILE")]
    pub(crate) uncounted: Option<PathBuf>,
    /// Write everything that was measured.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Directory for the plots.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/compare",
        overrides_with = "plots"
    )]
    pub(crate) plots: PathBuf,
}

/// A byte forwarder.
#[derive(Debug, Args)]
pub(crate) struct Forward {
    /// Address for clients: host:port.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: String,
    /// Destination of their bytes: host:port.
    #[arg(long, value_name = "ADDR")]
    pub(crate) upstream: String,
}

/// Idle clients.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Address to connect to.
    #[arg(long, value_name = "ADDR")]
    pub(crate) target: Target,
    /// Number of connections.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = positive)]
    pub(crate) connections: usize,
    /// Time for which they stay.
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

/// One load.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Target: `host:port` or `unix:/path`, and maybe a runtime
    /// (`127.0.0.1:11212=py2.7`); connections are spread over several, each with its own
    /// values.
    #[arg(long = "target", value_name = "ADDR[=TAG]", required = true)]
    pub(crate) targets: Vec<Target>,
    /// All targets use the same key names, which a proxy must keep apart.
    #[arg(long)]
    pub(crate) shared_keys: bool,
    #[command(flatten)]
    pub(crate) mix: Mix,
    /// Connections over all targets.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = positive)]
    pub(crate) connections: usize,
    /// Requests that a connection has under way at most.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    pub(crate) depth: usize,
    /// Duration of the measurement.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Measure this many requests instead, in no more than 60 seconds or --seconds if longer.
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<u64>,
    /// Load before measuring begins (none with --requests).
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    pub(crate) warmup: Duration,
    /// Open loop: so many requests a second, whatever comes back; latency counts from when each
    /// was due.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Open loop with random gaps instead of even ones.
    #[arg(long, requires = "rate")]
    pub(crate) poisson: bool,
    /// Use memcache-async, one task per connection, instead of raw sockets.
    #[arg(long, conflicts_with_all = ["rate", "meta", "depth", "poisson"])]
    pub(crate) plain: bool,
    /// Keys are there already.
    #[arg(long)]
    pub(crate) no_preload: bool,
    /// Run on this CPU alone.
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<usize>,
    /// Account the CPU of a process; may be said more than once.
    #[arg(long = "watch", value_name = "NAME=PID")]
    pub(crate) watched: Vec<Watched>,
    /// Write the results as JSON; "-" is standard output, without the text.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Say how it goes each second even if standard error is no terminal.
    #[arg(long)]
    pub(crate) progress: bool,
}

/// Kinds of requests, and their shares.
#[derive(Debug, Args)]
pub(crate) struct Mix {
    /// Weight of single reads.
    #[arg(long, value_name = "PERCENT", default_value_t = 90)]
    pub(crate) get: u32,
    /// Weight of writes.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    pub(crate) set: u32,
    /// Weight of reads of many keys.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    pub(crate) multiget: u32,
    /// Keys of one multi-get.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    pub(crate) multiget_keys: usize,
    /// Meta commands (mg, ms, mn) in place of get and set.
    #[arg(long)]
    pub(crate) meta: bool,
    /// Number of keys.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    pub(crate) keys: usize,
    /// Prefix of key names.
    #[arg(long, value_name = "TEXT", default_value = "load")]
    pub(crate) prefix: String,
    /// Distribution of the keys asked for: uniform or zipf:EXPONENT.
    #[arg(long, value_name = "DIST", default_value = "uniform")]
    pub(crate) dist: Distribution,
    /// Size of a value.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    pub(crate) value_bytes: usize,
    /// Plain bytes with flags 0 as values, not pickles with flags 1.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Seed: an equal one asks for the same keys in the same order.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The share of the requests that each key gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Distribution {
    /// All alike.
    Uniform,
    /// The key of rank r in proportion to r^-exponent.
    Zipf(f64),
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let exponent = text.strip_prefix("zipf:").map(str::parse::<f64>);
        match (text, exponent) {
            ("uniform", _) => Ok(Self::Uniform),
            (_, Some(Ok(exponent))) if exponent.is_finite() && exponent >= 0.0 => {
                Ok(Self::Zipf(exponent))
            }
            _ => Err("write uniform or for example zipf:0.99".to_owned()),
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

/// Longest run that can be asked for, so that none is forgotten.
const MAX_SECONDS: f64 = 3600.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("write seconds, at most {MAX_SECONDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_words() {
        assert_eq!("uniform".parse(), Ok(Distribution::Uniform));
        assert_eq!("zipf:0.99".parse(), Ok(Distribution::Zipf(0.99)));
        for wrong in ["zipf", "zipf:", "zipf:-1", "zipf:inf", "normal"] {
            assert!(wrong.parse::<Distribution>().is_err(), "{wrong}");
        }
    }
}
