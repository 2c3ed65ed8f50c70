//! A picklegate before something that fails, and what it says of itself.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::admin;
use crate::support::load::{Load, Report};
use crate::support::process;
use crate::support::toml::Toml;
use crate::support::{Picklegate, free_addr};

/// Time that an upstream may take for a reply here.
pub(crate) const TIMEOUT_MS: u64 = 400;
/// Time within which all is well again once the upstream is.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);
/// Threads that serve.
const WORKERS: usize = 2;
/// Connections of all workers to a server: small values, large ones.
pub(crate) const LANES: u64 = 2 * WORKERS as u64;
/// Time over the timeout that a batch may take, beside other tests on a small machine. No
/// request here waits for more than one timeout, except large values behind small ones.
const SLACK: Duration = Duration::from_millis(1_600);

/// Two listeners, of Python 2 and Python 3, all keys isolated.
pub(crate) struct Scene {
    pub(crate) gate: Picklegate,
    pub(crate) listens: Vec<String>,
    pub(crate) admin: String,
    pub(crate) server: String,
}

impl Scene {
    /// A scene for tests that are not about time.
    pub(crate) fn patient(server: &str) -> Self {
        Self::with(server, "[limits]\nrequest_timeout_ms = 8000")
    }

    pub(crate) fn before(server: &str) -> Self {
        Self::with(
            server,
            &format!("[limits]\nrequest_timeout_ms = {TIMEOUT_MS}"),
        )
    }

    /// A scene with further tables of settings.
    pub(crate) fn with(server: &str, more: &str) -> Self {
        Self::under(&[], server, more)
    }

    /// A scene whose picklegate is run by another program.
    pub(crate) fn under(wrapper: &[&str], server: &str, more: &str) -> Self {
        let (py2, py3, admin) = (free_addr(), free_addr(), free_addr());
        let toml = Toml::new(&[server])
            .rule("mode = \"isolate\"\non_upstream_failure = \"error\"")
            .table("server", &format!("workers = {WORKERS}\n{more}"))
            .listener(&py2, "python/2.7")
            .listener(&py3, "python/3.11")
            .admin(&admin)
            .to_string();
        let scene = Self {
            gate: if wrapper.is_empty() {
                Picklegate::with_config(&toml)
            } else {
                Picklegate::under(wrapper, &toml)
            },
            listens: vec![py2, py3],
            admin,
            server: server.to_owned(),
        };
        // Whoever looked whether it listens goes.
        scene.await_count("connections", &[], 0);
        scene.await_count("upstream_connections", &[], LANES);
        scene
    }

    pub(crate) fn load(&self) -> Load {
        Load::start(&self.listens, &self.server, 3, 1)
    }

    /// A metric, added up over the labels that are not said.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        admin::metric(&self.admin, &format!("picklegate_{name}"), labels)
    }

    pub(crate) fn await_count(&self, name: &str, labels: &[&str], count: u64) {
        let mut last = 0;
        admin::await_that(&format!("{name} {labels:?} to be {count}"), || {
            last = self.count(name, labels);
            last == count
        });
    }

    pub(crate) fn resident(&self) -> u64 {
        process::resident(self.gate.id())
    }

    pub(crate) fn descriptors(&self) -> usize {
        process::descriptors(self.gate.id())
    }

    /// Lets a load run on after the upstream is back: from some point on, and that
    /// soon, nothing fails any more. What all of it was.
    pub(crate) fn recovers(&self, load: Load, back: Instant) -> Report {
        let rest = RECOVERY.saturating_sub(back.elapsed());
        thread::sleep(rest + Duration::from_millis(400));
        let before = load.report().answered;
        thread::sleep(Duration::from_millis(200));
        let report = load.stop();
        let told = self.gate.stderr();
        assert_eq!(report.wrong, Vec::<String>::new(), "{report:#?}\n{told}");
        assert!(report.answered > before, "nobody is served: {report:#?}");
        let took = report
            .last_error
            .map(|last| last.saturating_duration_since(back));
        assert!(
            took.is_none_or(|took| took <= RECOVERY),
            "errors {took:?} after its return: {report:#?}\n{told}"
        );
        let most = Duration::from_millis(TIMEOUT_MS) + SLACK;
        assert!(report.slowest < most, "{report:#?}");
        // Nothing stays behind.
        self.await_count("connections", &[], 0);
        self.await_count("upstream_connections", &[], LANES);
        self.await_count("upstream_in_flight", &[], 0);
        println!(
            "{} requests, {} hits, {} cut, slowest {:.0} ms, last error {:.0} ms after the return: {:?}",
            report.answered,
            report.hits,
            report.cut,
            process::ms(report.slowest),
            process::ms(took.unwrap_or_default()),
            report.errors
        );
        report
    }
}

/// Part of an error that an upstream took too long.
pub(crate) const TOO_LONG: &str = "timed out after  ms";

/// Expects errors for these reasons, and for no other, but that a machine with too
/// much to do may take too long.
pub(crate) fn failed_for(report: &Report, reasons: &[&str]) {
    let is_expected = |reason: &str| reasons.iter().any(|expected| reason.starts_with(expected));
    let (expected, others): (Vec<_>, Vec<_>) =
        report.errors.keys().partition(|reason| is_expected(reason));
    assert!(!expected.is_empty(), "{others:?}");
    assert!(
        others.iter().all(|reason| *reason == TOO_LONG),
        "{others:?} beside {reasons:?}"
    );
}
