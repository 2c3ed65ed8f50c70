//! System calls of a proxy for each request, counted by the kernel (perf) or,
//! where it does not let us, by strace.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::sleep;

use super::contender::Kind;
use super::load::Load;
use super::process::{Spawned, find};
use super::work::{Pins, SYSTEM_CALLS};
use super::{CompareError, Session};

/// So many that opening the connections is lost in them.
const REQUESTS: u32 = 100_000;
/// The time that strace takes to attach.
const ATTACH: Duration = Duration::from_millis(500);

impl Session {
    /// Counts for every proxy that is there.
    pub(super) async fn system_calls(&mut self) -> Result<(), CompareError> {
        for kind in [Kind::Picklegate, Kind::Twemproxy, Kind::Haproxy] {
            if !self.bench.shop.has(kind) {
                continue;
            }
            self.say(&format!("{SYSTEM_CALLS}: {kind}"));
            let contender = self.bench.pinned(kind, Pins::Together)?;
            let args = format!("--requests {REQUESTS} --connections 64 --prefix a");
            // Writes what is missing, outside of what is counted.
            let preload = self.bench.load(
                contender,
                args.replace(&REQUESTS.to_string(), "1000"),
                Pins::Together,
            );
            preload.run().await?;
            let load = self
                .bench
                .load(contender, format!("{args} --no-preload"), Pins::Together);
            let Some(calls) = count(&load, &self.bench.shop.directory).await? else {
                let reason = format!("{SYSTEM_CALLS}: neither perf nor strace can count them");
                self.results.skipped.push(reason);
                return Ok(());
            };
            let each = calls as f64 / f64::from(REQUESTS);
            self.results.system_calls.insert(kind.name(), each);
        }
        Ok(())
    }
}

async fn count(load: &Load<'_>, directory: &Path) -> Result<Option<u64>, CompareError> {
    let Some(proxy) = &load.contender.proxy else {
        return Ok(None);
    };
    let counts = directory.join("system-calls");
    let pid = proxy.pid().to_string();
    if let Some(perf) = find("perf") {
        let mut command = Command::new(perf);
        command
            .args([
                "stat",
                "-x,",
                "-e",
                "raw_syscalls:sys_enter",
                "-p",
                &pid,
                "-o",
            ])
            .arg(&counts)
            .arg("--")
            .arg(load.loadtest)
            .args(load.words());
        if load.report(command).await.is_ok()
            && let Some(calls) = read(&counts, perf_count)
        {
            return Ok(Some(calls));
        }
    }
    let Some(strace) = find("strace") else {
        return Ok(None);
    };
    let output = counts.display().to_string();
    let args = ["-c", "-f", "-p", &pid, "-o", &output];
    let strace = Spawned::start("strace", &strace, args, directory)?;
    sleep(ATTACH).await;
    load.run().await?;
    strace.stop(Signal::INT).await?;
    Ok(read(&counts, strace_count))
}

fn read(file: &Path, count: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    count(&std::fs::read_to_string(file).ok()?)
}

/// `205369,,raw_syscalls:sys_enter,1092064683,100.00,,`
fn perf_count(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
    line.split(',').next()?.parse().ok()
}

/// `100.00    0.004 1 12345 12 total`, where errors may be left out.
fn strace_count(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_the_tools_print() {
        let perf = "# started on\n\n205369,,raw_syscalls:sys_enter,1092064683,100.00,,\n";
        assert_eq!(perf_count(perf), Some(205_369));
        assert_eq!(
            perf_count("<not supported>,,raw_syscalls:sys_enter,0,0,,"),
            None
        );
        let strace = "% time seconds usecs/call calls errors syscall\n\
                      100.00    0.004321           1      4242        12 total\n";
        assert_eq!(strace_count(strace), Some(4242));
    }
}
