//! The memory that idle connections hold, with a fresh process for each contender.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::contender::{Contender, Kind};
use super::results::Memory;
use super::work::MEMORY;
use super::{CompareError, Session};

/// Idle connections to look at.
const COUNTS: [usize; 2] = [1_000, 10_000];
/// Files that a proxy has open beside two for each client.
const SPARE_FILES: u64 = 200;
/// Longest that connecting may take, and that they are then held.
const LIMIT: Duration = Duration::from_mins(1);
/// The time that memory is left to settle.
const SETTLE: Duration = Duration::from_millis(200);

impl Session {
    /// Measures every contender that is there.
    pub(super) async fn memory(&mut self) -> Result<(), CompareError> {
        for kind in [
            Kind::Direct,
            Kind::Picklegate,
            Kind::Twemproxy,
            Kind::Haproxy,
        ] {
            if !self.bench.shop.has(kind) {
                continue;
            }
            self.say(&format!("{MEMORY}: {kind}"));
            let counts = COUNTS.map(|count| count.min(most_clients(kind)));
            if counts[1] < COUNTS[1] {
                self.results.skipped.push(format!(
                    "{MEMORY}: {kind} with {}: the limit on open files allows {}",
                    COUNTS[1], counts[1]
                ));
            }
            let memory = self.bench.idle(kind, counts).await?;
            self.results.memory.insert(kind.name(), memory);
        }
        Ok(())
    }
}

impl super::Bench {
    async fn idle(&self, kind: Kind, counts: [usize; 2]) -> Result<Memory, CompareError> {
        let contender = Contender::start(&self.shop, kind).await?;
        let process = contender.proxy.as_ref().unwrap_or(&contender.memcached);
        sleep(SETTLE).await;
        let mut memory = Memory {
            base_kib: process.rss_kib()?,
            held: Vec::new(),
        };
        let mut clients = Vec::new();
        let mut held = 0;
        for count in counts {
            let target = contender.target.to_string();
            clients.push(hold(&self.shop.loadtest, kind, &target, count - held).await?);
            held = count;
            sleep(SETTLE).await;
            memory.held.push((held, process.rss_kib()?));
        }
        Ok(memory)
    }
}

/// The most clients that the limit on open files allows, where each may cost a
/// connection to memcached, too.
fn most_clients(kind: Kind) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let files = limit
        .current
        .unwrap_or(u64::MAX)
        .saturating_sub(SPARE_FILES);
    let each = if kind == Kind::Haproxy { 2 } else { 1 };
    usize::try_from(files / each).unwrap_or(usize::MAX)
}

/// Starts clients, and returns once all are connected.
async fn hold(
    loadtest: &Path,
    kind: Kind,
    target: &str,
    connections: usize,
) -> Result<Child, CompareError> {
    let fail = |error| CompareError::Start("idle clients".to_owned(), error);
    let mut child = Command::new(loadtest)
        .args(["idle", "--target", target, "--connections"])
        .arg(connections.to_string())
        .arg("--seconds")
        .arg(LIMIT.as_secs().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let mut line = String::new();
    if let Some(output) = &mut child.stdout {
        let mut output = BufReader::new(output);
        // A client that says nothing in time is not ready.
        let _ = timeout(LIMIT, output.read_line(&mut line)).await;
    }
    if line.trim() == "ready" {
        return Ok(child);
    }
    let what = format!("{connections} idle clients could not connect");
    Err(CompareError::Load(kind, what))
}
