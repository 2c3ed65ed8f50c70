//! Facts that the system tells of a process.

use std::fs;
use std::time::Duration;

/// The memory that a process has resident, in bytes.
pub(crate) fn resident(process: u32) -> u64 {
    let path = format!("/proc/{process}/statm");
    let text = fs::read_to_string(path).expect("it runs");
    let pages = text.split(' ').nth(1).expect("its second field");
    let pages: u64 = pages.parse().expect("a number");
    pages * rustix::param::page_size() as u64
}

/// The file descriptors that a process has open.
pub(crate) fn descriptors(process: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{process}/fd"));
    entries.expect("it runs, and is ours").count()
}

/// Raises this process's limit of open files to what it may have; whether that is
/// enough.
pub(crate) fn may_open(files: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < files) {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // Told by what is there then.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let enough = getrlimit(Resource::Nofile);
    enough.current.is_none_or(|current| current >= files)
}

/// Milliseconds, for printing.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
