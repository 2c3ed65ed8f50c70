//! Processes that a comparison starts. Each ends with its owner, also when that
//! fails or is interrupted.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use procfs::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::CompareError;
use crate::stream;
use crate::target::Target;

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Spawned {
    name: String,
    child: Child,
    pid: i32,
    log: PathBuf,
}

impl Spawned {
    /// Starts a program whose output goes to a log in a directory.
    pub(super) fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        directory: &Path,
    ) -> Result<Self, CompareError> {
        let fail = |error| CompareError::Start(name.to_owned(), error);
        let log = directory.join(format!("{}.log", name.replace(' ', "-")));
        let output = File::create(&log).map_err(fail)?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(fail)?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .map_err(fail)?;
        let pid = child
            .id()
            .ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            pid: pid.cast_signed(),
            log,
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Keeps all of its threads on one CPU.
    pub(super) fn pin(&self, cpu: usize) -> Result<(), CompareError> {
        for task in Process::new(self.pid)?.tasks()? {
            pin(Pid::from_raw(task?.tid), cpu).map_err(CompareError::Pin)?;
        }
        Ok(())
    }

    /// Memory that it holds, in KiB.
    pub(super) fn rss_kib(&self) -> Result<u64, CompareError> {
        // The count in "status" lags behind by up to 64 pages for each CPU.
        let maps = Process::new(self.pid)?.smaps_rollup()?;
        let rss = maps.memory_map_rollup.iter().next();
        let rss = rss.and_then(|map| map.extension.map.get("Rss").copied());
        Ok(rss.unwrap_or_default() / 1024)
    }

    /// Waits until it answers a read at an address.
    pub(super) async fn until_it_answers(
        &mut self,
        target: &Target,
        limit: Duration,
    ) -> Result<(), CompareError> {
        let end = Instant::now() + limit;
        while !timeout(limit, answers(target))
            .await
            .is_ok_and(|answer| answer.is_ok())
        {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() >= end {
                return Err(CompareError::Silent(self.name.clone(), self.last_words()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends it as an operator would, and waits for that.
    pub(super) async fn stop(mut self, signal: Signal) -> Result<ExitStatus, CompareError> {
        let fail = |error| CompareError::Start(self.name.clone(), error);
        if let Some(pid) = Pid::from_raw(self.pid) {
            kill_process(pid, signal).map_err(|error| fail(error.into()))?;
        }
        let limit = Duration::from_secs(30);
        match timeout(limit, self.child.wait()).await {
            Ok(status) => status.map_err(fail),
            Err(_) => Err(fail(io::ErrorKind::TimedOut.into())),
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

async fn answers(target: &Target) -> io::Result<()> {
    let mut stream = stream::connect(&target.address).await?;
    stream.write_all(b"get ready\r\n").await?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).await?;
    match &reply {
        b"END\r\n" => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Keeps a thread on one CPU; no thread is the calling one.
pub(crate) fn pin(thread: Option<Pid>, cpu: usize) -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(thread, &cpus)?)
}

/// A TCP port of this machine that nobody listens on.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Finds a program on PATH, or where Debian keeps daemons.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}
