//! The `run` command: one load from the command line to its report.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Failure;
use crate::cli::Run;
use crate::compare::pin;
use crate::drive::{self, Pace, Plan};
use crate::plain;
use crate::report::Report;
use crate::stream;
use crate::tally::{Extent, Meter, Tally};
use crate::target::Target;
use crate::watch::{LOAD, Watched};
use crate::workload::{Keyspace, Workload};

/// Longest that a number of requests may take, unless --seconds says longer.
const MAX_FOR_REQUESTS: Duration = Duration::from_mins(1);
/// The time that connecting, preloading and the last replies may take besides.
const GRACE: Duration = Duration::from_secs(30);
/// Writes under way while keys are preloaded.
const PRELOAD_BATCH: usize = 64;

/// Puts the load on, and says how it went.
pub(crate) async fn run(args: &Run) -> Result<(), Failure> {
    let workload = Workload::new(&args.mix, &args.targets, args.shared_keys)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if args
        .rate
        .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
    {
        return Err(Failure::Usage("--rate must be above 0".to_owned()));
    }
    if let Some(cpu) = args.cpu {
        pin(None, cpu).map_err(|error| Failure::Usage(format!("--cpu {cpu}: {error}")))?;
    }
    let limit = limit(args);
    let tally = tokio::time::timeout(limit, load(args, workload, limit))
        .await
        .unwrap_or_else(|_| Err(Failure::No(format!("no end after {limit:?}"))))?;
    let report = Report::new(&tally, args.rate);
    output(args.json.as_deref(), &report)?;
    if report.is_right() {
        return Ok(());
    }
    Err(Failure::No(format!(
        "{} wrong replies and {} errors: {}",
        report.wrong,
        report.errors,
        report.samples.first().map_or("", String::as_str)
    )))
}

fn limit(args: &Run) -> Duration {
    let measured = match args.requests {
        Some(_) => args.seconds.max(MAX_FOR_REQUESTS),
        None => args.warmup + args.seconds,
    };
    measured + GRACE
}

async fn load(args: &Run, workload: Workload, limit: Duration) -> Result<Tally, Failure> {
    if !args.no_preload {
        for (target, keyspace) in args.targets.iter().zip(&workload.keyspaces) {
            preload(target, keyspace)
                .await
                .map_err(|error| Failure::No(format!("cannot preload {target}: {error}")))?;
        }
    }
    let extent = match args.requests {
        Some(requests) => Extent::Requests(requests),
        None => Extent::Time {
            warmup: args.warmup,
            window: args.seconds,
        },
    };
    let mut watched = args.watched.clone();
    watched.push(Watched {
        name: LOAD.to_owned(),
        pid: std::process::id().cast_signed(),
    });
    let progress = args.progress || io::stderr().is_terminal();
    let meter = |now| Meter::new(extent, &watched, progress, now);
    if args.plain {
        return Ok(plain::drive(args, workload, meter).await?);
    }
    let plan = Plan {
        workload: &workload,
        targets: &args.targets,
        connections: args.connections,
        depth: args.depth,
        pace: args.rate.map(|rate| Pace {
            rate,
            poisson: args.poisson.then_some(args.mix.seed),
        }),
        limit,
    };
    Ok(drive::drive(&plan, meter).await?)
}

/// Writes every key, so that reads find it.
async fn preload(target: &Target, keyspace: &Keyspace) -> io::Result<()> {
    let mut stream = stream::connect(&target.address).await?;
    let stored = if keyspace.meta {
        "HD\r\n"
    } else {
        "STORED\r\n"
    };
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for items in keyspace.items.chunks(PRELOAD_BATCH) {
        requests.clear();
        for item in items {
            requests.extend_from_slice(item.set());
        }
        stream.write_all(&requests).await?;
        replies.resize(items.len() * stored.len(), 0);
        stream.read_exact(&mut replies).await?;
        if let Some(other) = replies
            .chunks(stored.len())
            .find(|reply| *reply != stored.as_bytes())
        {
            let other = other.escape_ascii();
            return Err(io::Error::other(format!(
                "a write was answered \"{other}...\""
            )));
        }
    }
    Ok(())
}

fn output(json: Option<&Path>, report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match json {
        Some(path) if path == Path::new("-") => {
            serde_json::to_writer_pretty(&mut stdout, report)?;
            writeln!(stdout)
        }
        Some(path) => {
            std::fs::write(path, serde_json::to_string_pretty(report)?)?;
            write!(stdout, "{report}")
        }
        None => write!(stdout, "{report}"),
    }
}
