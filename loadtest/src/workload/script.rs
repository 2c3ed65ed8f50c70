//! The order in which keys are asked for, drawn once from a seed.

use rand::distr::Distribution as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::Zipf;

use super::Op;
use crate::cli::{Distribution, Mix};

/// Requests drawn, and repeated from there; every connection begins elsewhere.
const SCRIPT_LENGTH: usize = 1 << 17;
/// Different multi-gets.
const MULTIGETS: usize = 256;

/// Draws numbers of keys.
enum Keys {
    Uniform(u32),
    Zipf(Zipf<f64>),
}

impl Keys {
    fn new(mix: &Mix) -> Self {
        match mix.dist {
            Distribution::Uniform => Self::Uniform(mix.keys as u32),
            Distribution::Zipf(exponent) => {
                let zipf = Zipf::new(mix.keys as f64, exponent);
                Self::Zipf(zipf.expect("at least one key, and the exponent is not negative"))
            }
        }
    }

    #[expect(clippy::cast_sign_loss, reason = "ranks begin at 1")]
    fn draw(&self, rng: &mut StdRng) -> u32 {
        match self {
            Self::Uniform(keys) => rng.random_range(0..*keys),
            Self::Zipf(zipf) => zipf.sample(rng) as u32 - 1,
        }
    }

    /// Draws keys that differ, as those of a client's multi-get do: where one
    /// was drawn before, the next that was not stands in for it.
    fn draw_distinct(&self, rng: &mut StdRng, count: usize, keys: usize) -> Box<[u32]> {
        let mut taken = vec![false; keys];
        let mut one = || {
            let mut key = self.draw(rng) as usize;
            while taken[key] {
                key = (key + 1) % keys;
            }
            taken[key] = true;
            key as u32
        };
        (0..count).map(|_| one()).collect()
    }
}

/// The keys of each multi-get.
pub(super) fn multigets(mix: &Mix) -> Vec<Box<[u32]>> {
    if mix.multiget == 0 {
        return Vec::new();
    }
    let keys = Keys::new(mix);
    let mut rng = StdRng::seed_from_u64(!mix.seed);
    (0..MULTIGETS)
        .map(|_| keys.draw_distinct(&mut rng, mix.multiget_keys, mix.keys))
        .collect()
}

/// The requests in their order.
pub(super) fn script(mix: &Mix) -> Vec<Op> {
    let keys = Keys::new(mix);
    let mut rng = StdRng::seed_from_u64(mix.seed);
    let total = mix.get + mix.set + mix.multiget;
    let op = |_| match rng.random_range(0..total) {
        lot if lot < mix.get => Op::Get(keys.draw(&mut rng)),
        lot if lot < mix.get + mix.set => Op::Set(keys.draw(&mut rng)),
        _ => Op::MultiGet(rng.random_range(0..MULTIGETS as u32)),
    };
    (0..SCRIPT_LENGTH).map(op).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn mix(arguments: &str) -> Mix {
        let fixed = ["load", "run", "--target", "h:1"];
        let words = fixed.into_iter().chain(arguments.split_whitespace());
        match Cli::parse_from(words).command {
            Command::Run(run) => run.mix,
            other => panic!("{other:?}"),
        }
    }

    fn shares(ops: &[Op], of: impl Fn(&Op) -> bool) -> f64 {
        ops.iter().filter(|op| of(op)).count() as f64 / ops.len() as f64
    }

    #[test]
    fn weights_are_kept() {
        let ops = script(&mix(
            "--get 70 --set 20 --multiget 10 --keys 50 --multiget-keys 5",
        ));
        assert!((shares(&ops, |op| matches!(op, Op::Get(_))) - 0.7).abs() < 0.01);
        assert!((shares(&ops, |op| matches!(op, Op::Set(_))) - 0.2).abs() < 0.01);
        assert!(ops.iter().all(|op| match op {
            Op::Get(key) | Op::Set(key) => *key < 50,
            Op::MultiGet(number) => *number < MULTIGETS as u32,
        }));
    }

    #[test]
    fn uniform_and_zipf_have_their_shapes() {
        let first = |ops: &[Op]| shares(ops, |op| *op == Op::Get(0));
        let uniform = script(&mix("--get 1 --set 0 --keys 100"));
        assert!((first(&uniform) - 0.01).abs() < 0.003);
        // With exponent 1 the first of 100 has 1 / H(100) = 0.1928 of all.
        let zipf = script(&mix("--get 1 --set 0 --keys 100 --dist zipf:1"));
        assert!((first(&zipf) - 0.1928).abs() < 0.01);
        let second = shares(&zipf, |op| *op == Op::Get(1));
        assert!((first(&zipf) / second - 2.0).abs() < 0.15);
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let of = |seed| script(&mix(&format!("--seed {seed}")));
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn keys_of_a_multiget_differ() {
        for batch in multigets(&mix(
            "--multiget 1 --multiget-keys 9 --keys 10 --dist zipf:3",
        )) {
            let mut keys = batch.to_vec();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), 9);
        }
    }
}
