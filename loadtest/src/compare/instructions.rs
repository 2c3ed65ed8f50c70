//! Instructions that picklegate runs in user space for each request, as
//! valgrind counts them: the difference between a run and one twice as long, so
//! that starting, preloading and ending cancel out.

use std::path::Path;

use rustix::process::Signal;

use super::contender::{Contender, Kind};
use super::process::find;
use super::targets::{PER_GET, PER_KEY};
use super::work::{INSTRUCTIONS, Pins};
use super::{CompareError, Session};

/// The counts that are taken: name, load, its requests, and how many each counts.
const COUNTED: [(&str, &str, u32, u32); 2] = [
    (
        PER_GET,
        "--connections 64 --get 100 --set 0 --keys 1000",
        20_000,
        1,
    ),
    (
        PER_KEY,
        "--connections 16 --get 0 --set 0 --multiget 100 --multiget-keys 100 --keys 1000",
        1_000,
        100,
    ),
];

impl Session {
    /// Counts for picklegate.
    pub(super) async fn instructions(&mut self) -> Result<(), CompareError> {
        let Some(valgrind) = find("valgrind") else {
            self.results
                .skipped
                .push(format!("{INSTRUCTIONS}: valgrind is not installed"));
            return Ok(());
        };
        for (name, args, requests, each) in COUNTED {
            let mut totals = [0; 2];
            for (times, total) in (1..).zip(&mut totals) {
                self.say(&format!(
                    "{INSTRUCTIONS}: {name}, {} requests",
                    times * requests
                ));
                let args = format!("{args} --requests {}", times * requests);
                *total = self.bench.count(&valgrind, args).await?;
            }
            let more = totals[1].saturating_sub(totals[0]);
            let each = more as f64 / f64::from(requests * each);
            self.results.instructions.insert(name, each);
        }
        Ok(())
    }
}

impl super::Bench {
    /// All that picklegate runs while a load lasts.
    async fn count(&self, valgrind: &Path, args: String) -> Result<u64, CompareError> {
        let counts = self.shop.directory.join("callgrind.out");
        let command = [
            valgrind.display().to_string(),
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", counts.display()),
        ];
        let kind = Kind::Picklegate;
        let contender = Contender::start_under(&self.shop, kind, Some(&command)).await?;
        self.load(&contender, args, Pins::Together).run().await?;
        if let Some(proxy) = contender.proxy {
            proxy.stop(Signal::TERM).await?;
        }
        let text = std::fs::read_to_string(&counts)?;
        total(&text).ok_or_else(|| CompareError::Load(kind, "callgrind counted nothing".to_owned()))
    }
}

/// `summary: 123456` or `totals: 123456`.
fn total(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let total = lines.find_map(|line| {
        line.strip_prefix("summary: ")
            .or_else(|| line.strip_prefix("totals: "))
    })?;
    total.trim().parse().ok()
}
