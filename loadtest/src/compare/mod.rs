//! The `compare` command: picklegate, twemproxy, `HAProxy` and no proxy at all
//! side by side, and how far picklegate is from what it is meant to reach.

mod contender;
mod instructions;
mod load;
mod memory;
mod plot;
mod process;
mod ratio;
mod results;
mod rounds;
mod system_calls;
mod table;
mod targets;
mod work;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use strum::VariantArray as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::cli::Compare;
use crate::target::TargetError;
use contender::{Contender, Kind, Workshop, memcached_version};
use load::Load;
pub(crate) use process::pin;
use results::Results;
use work::Pins;

/// A reason why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("cannot start {0}: {1}")]
    Start(String, io::Error),
    #[error("{0} does not answer: {1}")]
    Silent(String, String),
    #[error("{0} is not installed")]
    NotInstalled(&'static str),
    #[error("load on {0}: {1}")]
    Load(Kind, String),
    #[error("cannot keep a process on its CPU: {0}")]
    Pin(io::Error),
    #[error("cannot look at a process: {0}")]
    Process(#[from] procfs::ProcError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("cannot plot: {0}")]
    Plot(String),
}

/// Compares, prints, and leaves the files that were asked for.
pub(crate) async fn compare(args: &Compare) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Dropping the measurement ends every process that it started.
    let results = tokio::select! {
        results = measure(args) => results?,
        _ = interrupt.recv() => return Err(Failure::No("interrupted".to_owned())),
        _ = terminate.recv() => return Err(Failure::No("terminated".to_owned())),
    };
    println!("{}", table::text(&results));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, json)?;
    }
    let plots = plot::plot(&results, &args.plots)?;
    for path in plots {
        println!("{}", path.display());
    }
    match results.faults.len() {
        0 => Ok(()),
        faults => Err(Failure::No(format!(
            "{faults} loads met wrong replies or errors"
        ))),
    }
}

/// The tools that measure, and what they have measured so far.
struct Session {
    bench: Bench,
    results: Results,
    only: String,
    started: Instant,
}

/// The contenders that run, and how long each is looked at.
struct Bench {
    shop: Workshop,
    contenders: Vec<Contender>,
    rounds: usize,
    /// Of one measurement.
    seconds: f64,
    cpus: usize,
}

async fn measure(args: &Compare) -> Result<Results, CompareError> {
    let directory = tempfile::tempdir()?;
    let mut session = Session::new(args, directory.path())?;
    session.start_contenders().await?;
    for work in &work::CLOSED {
        if session.is_wanted(work.name) {
            session.closed(work).await?;
        }
    }
    if session.is_wanted(work::EQUAL_LOAD) {
        session.equal_load().await?;
    }
    if session.is_wanted(work::BESIDE_LARGE) {
        session.beside_large().await?;
    }
    if session.is_wanted(work::SYSTEM_CALLS) {
        session.system_calls().await?;
    }
    // These start contenders of their own.
    session.stop_contenders();
    if session.is_wanted(work::MEMORY) {
        session.memory().await?;
    }
    if session.is_wanted(work::INSTRUCTIONS) {
        session.instructions().await?;
    }
    session.results.claims = targets::claims(&session.results);
    session.say("done");
    Ok(session.results)
}

impl Session {
    fn new(args: &Compare, directory: &Path) -> Result<Self, CompareError> {
        let loadtest = std::env::current_exe()?;
        let memcached = args
            .memcached
            .clone()
            .or_else(|| process::find("memcached"));
        let memcached = memcached.ok_or(CompareError::NotInstalled("memcached"))?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = vec![
            format!("{cpus} CPUs, {}", kernel()),
            memcached_version(&memcached)?,
            format!(
                "{} rounds of {} s, medians [least..most]",
                args.rounds,
                args.seconds.as_secs_f64()
            ),
        ];
        Ok(Self {
            bench: Bench {
                shop: Workshop {
                    memcached,
                    picklegate: args.picklegate.clone().unwrap_or_else(|| beside(&loadtest)),
                    uncounted: args.uncounted.clone(),
                    memcached_proxy: args.memcached_proxy.clone(),
                    loadtest,
                    directory: directory.to_owned(),
                },
                contenders: Vec::new(),
                rounds: args.rounds,
                seconds: args.seconds.as_secs_f64(),
                cpus,
            },
            results: Results {
                machine,
                ..Results::default()
            },
            only: args.only.clone().unwrap_or_default(),
            started: Instant::now(),
        })
    }

    fn is_wanted(&self, work: &str) -> bool {
        work.contains(&self.only)
    }

    /// Says on standard error how far it is.
    fn say(&self, what: &str) {
        eprintln!("[{:>4.0} s] {what}", self.started.elapsed().as_secs_f64());
    }

    /// Starts all that can be had.
    async fn start_contenders(&mut self) -> Result<(), CompareError> {
        for &kind in Kind::VARIANTS {
            if let Some(program) = self.bench.shop.lacks(kind) {
                let reason = format!("{kind}: {program} is not installed");
                self.results.skipped.push(reason);
                continue;
            }
            let contender = Contender::start(&self.bench.shop, kind).await?;
            self.bench.contenders.push(contender);
        }
        if self.bench.cpus < 2 {
            let reason = "the proxy on a CPU of its own: there is but one".to_owned();
            self.results.skipped.push(reason);
        }
        Ok(())
    }

    fn stop_contenders(&mut self) {
        self.bench.contenders.clear();
    }
}

impl Bench {
    /// A contender on the CPUs where a work wants it.
    fn pinned(&self, kind: Kind, pins: Pins) -> Result<&Contender, CompareError> {
        let contender = self.contenders.iter().find(|there| there.kind == kind);
        let contender = contender.ok_or(CompareError::NotInstalled(kind.name()))?;
        let (proxy, memcached) = pins.cpus(self.cpus);
        contender.pin(proxy, memcached)?;
        Ok(contender)
    }

    fn load<'a>(&'a self, contender: &'a Contender, args: String, pins: Pins) -> Load<'a> {
        Load {
            loadtest: &self.shop.loadtest,
            contender,
            args,
            cpu: pins.cpus(self.cpus).1,
        }
    }
}

/// picklegate as cargo leaves it beside this program.
fn beside(loadtest: &Path) -> PathBuf {
    loadtest.with_file_name("picklegate")
}

fn kernel() -> String {
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    format!("Linux {}", version.unwrap_or_default().trim())
}
