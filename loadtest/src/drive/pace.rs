//! The pace of an open loop: requests are due whatever comes back.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp1};

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) connection: usize,
}

/// Arrivals in their order, without end: at even gaps over the connections in
/// turn, or at random ones (Poisson) over connections drawn.
#[derive(Debug)]
pub(super) struct Schedule {
    began: Instant,
    gap_ns: f64,
    connections: usize,
    random: Option<SmallRng>,
    next: Arrival,
    number: u64,
    /// The time when the next request is due, from `began`.
    offset_ns: f64,
}

impl Schedule {
    pub(super) fn new(rate: f64, connections: usize, poisson: Option<u64>, now: Instant) -> Self {
        Self {
            began: now,
            gap_ns: 1e9 / rate,
            connections,
            random: poisson.map(SmallRng::seed_from_u64),
            next: Arrival {
                at: now,
                connection: 0,
            },
            number: 0,
            offset_ns: 0.0,
        }
    }

    /// The next arrival.
    pub(super) fn peek(&self) -> Arrival {
        self.next
    }

    /// The next arrival if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Arrival> {
        let due = self.next;
        if due.at > now {
            return None;
        }
        self.number += 1;
        let (offset_ns, connection) = match &mut self.random {
            None => (
                self.number as f64 * self.gap_ns,
                (self.number % self.connections as u64) as usize,
            ),
            Some(random) => {
                let gaps: f64 = Exp1.sample(random);
                (
                    self.offset_ns + gaps * self.gap_ns,
                    random.random_range(0..self.connections),
                )
            }
        };
        self.offset_ns = offset_ns;
        self.next = Arrival {
            at: self.began + Duration::from_secs_f64(offset_ns / 1e9),
            connection,
        };
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(poisson: Option<u64>, seconds: u64) -> Vec<(u128, usize)> {
        let began = Instant::now();
        let mut schedule = Schedule::new(1000.0, 4, poisson, began);
        let end = began + Duration::from_secs(seconds);
        std::iter::from_fn(|| schedule.pop(end))
            .map(|due| ((due.at - began).as_micros(), due.connection))
            .collect()
    }

    #[test]
    fn even_arrivals_take_turns() {
        let all = arrivals(None, 1);
        assert_eq!(all.len(), 1001);
        assert_eq!(
            all[..5],
            [(0, 0), (1000, 1), (2000, 2), (3000, 3), (4000, 0)]
        );
        assert_eq!(all[1000], (1_000_000, 0));
    }

    #[test]
    fn nothing_is_due_early_and_all_is_when_late() {
        let began = Instant::now();
        let mut schedule = Schedule::new(1000.0, 1, None, began);
        assert!(schedule.pop(began).is_some());
        assert_eq!(schedule.pop(began + Duration::from_micros(999)), None);
        let late = began + Duration::from_millis(10);
        assert_eq!(std::iter::from_fn(|| schedule.pop(late)).count(), 10);
    }

    #[test]
    fn poisson_arrivals_keep_their_rate_and_vary_as_much() {
        let all = arrivals(Some(1), 20);
        assert!((19_000..21_000).contains(&all.len()), "{}", all.len());
        let gaps: Vec<f64> = all
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
    }
}
