//! Interleaved rounds: each contender in turn, every round beginning with
//! another, so that what changes on the machine changes for all.

use super::contender::Kind;
use super::ratio::Spread;
use super::results::WorkResult;
use super::work::{self, Pins, Work};
use super::{CompareError, Session};

/// Load before each measurement, in seconds.
const WARMUP: f64 = 0.3;
/// The time that a tail is watched, in windows of a closed loop.
const TAIL_WINDOWS: f64 = 1.5;

impl Session {
    /// Measures a closed loop.
    pub(super) async fn closed(&mut self, work: &Work) -> Result<(), CompareError> {
        let load = format!(
            "{} --seconds {} --warmup {WARMUP}",
            work.load, self.bench.seconds
        );
        self.rounds(work, &load, None).await
    }

    /// Measures all at half of what twemproxy bears.
    pub(super) async fn equal_load(&mut self) -> Result<(), CompareError> {
        let work = &work::OPEN;
        let Some(rate) = self.half_of_twemproxy(work).await? else {
            let reason = format!("{}: twemproxy, which sets it, is not there", work.name);
            self.results.skipped.push(reason);
            return Ok(());
        };
        let load = format!(
            "{} --rate {rate:.0} --seconds {} --warmup {WARMUP}",
            work.load, self.bench.seconds
        );
        self.rounds(work, &load, None).await
    }

    async fn half_of_twemproxy(&mut self, work: &Work) -> Result<Option<f64>, CompareError> {
        if !self.bench.shop.has(Kind::Twemproxy) {
            return Ok(None);
        }
        self.say(&format!("{}: what twemproxy bears at most", work.name));
        let contender = self.bench.pinned(Kind::Twemproxy, work.pins)?;
        let mut most = Vec::new();
        for _ in 0..3 {
            let args = format!("{} --seconds 1 --warmup {WARMUP}", work.load);
            let report = self.bench.load(contender, args, work.pins).run().await?;
            most.push(report.requests_per_second);
        }
        Ok(Spread::of(most).map(|most| most.median / 2.0))
    }

    /// Measures small reads while large ones go on.
    pub(super) async fn beside_large(&mut self) -> Result<(), CompareError> {
        let work = &work::BESIDE;
        let seconds = self.bench.seconds * TAIL_WINDOWS;
        let load = format!("{} --seconds {seconds} --warmup {WARMUP}", work.load);
        let beside = format!(
            "{} --seconds {} --warmup 0",
            work::BESIDE_LOAD,
            // Both preload at the same time; the large ones are to outlast.
            seconds + WARMUP + 0.5
        );
        self.rounds(work, &load, Some(beside)).await
    }

    async fn rounds(
        &mut self,
        work: &Work,
        load: &str,
        beside: Option<String>,
    ) -> Result<(), CompareError> {
        let kinds: Vec<Kind> = work
            .kinds
            .iter()
            .copied()
            .filter(|&kind| self.bench.shop.has(kind))
            .collect();
        let mut rounds: Vec<_> = kinds.iter().map(|kind| (kind.name(), Vec::new())).collect();
        for round in 0..self.bench.rounds {
            self.say(&format!(
                "{}: round {} of {}",
                work.name,
                round + 1,
                self.bench.rounds
            ));
            let preload = if round == 0 { "" } else { " --no-preload" };
            for turn in 0..kinds.len() {
                let number = (turn + round) % kinds.len();
                let contender = self.bench.pinned(kinds[number], work.pins)?;
                let small = self
                    .bench
                    .load(contender, format!("{load}{preload}"), work.pins);
                let report = match &beside {
                    None => small.run().await?,
                    Some(beside) => {
                        let large =
                            self.bench
                                .load(contender, format!("{beside}{preload}"), work.pins);
                        let (small, large) = tokio::try_join!(small.run(), large.run())?;
                        self.results.note(work.name, kinds[number], &large);
                        small
                    }
                };
                self.results.note(work.name, kinds[number], &report);
                rounds[number].1.push(report);
            }
        }
        let load = beside.map_or_else(
            || load.to_owned(),
            |beside| format!("{load} beside {beside}"),
        );
        let name = work.name;
        let result = WorkResult { name, load, rounds };
        if work.pins == Pins::Together {
            self.results.note_neighbours(&result);
        }
        self.results.works.push(result);
        Ok(())
    }
}
