//! The CPU and memory of other processes, as the kernel counts them. Touches none of
//! them.

use std::collections::BTreeMap;
use std::str::FromStr;

use procfs::ProcResult;
use procfs::process::Process;

/// Under which name this process is watched itself.
pub(crate) const LOAD: &str = "load";

/// `NAME=PID`: a process whose CPU is accounted to the load.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) pid: i32,
}

impl FromStr for Watched {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, pid) = text.split_once('=').ok_or("write NAME=PID")?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().map_err(|_| "PID is a number")?,
        })
    }
}

/// The CPU time that each of some processes has had so far, in nanoseconds.
pub(crate) fn cpu_ns(watched: &[Watched]) -> ProcResult<BTreeMap<String, u64>> {
    let mut used = BTreeMap::new();
    for process in watched {
        *used.entry(process.name.clone()).or_default() += process_cpu_ns(process.pid)?;
    }
    Ok(used)
}

fn process_cpu_ns(pid: i32) -> ProcResult<u64> {
    let mut sum = 0;
    for task in Process::new(pid)?.tasks()? {
        sum += task?.schedstat()?.sum_exec_runtime;
    }
    Ok(sum)
}
