//! Chooses the keys of an isolating rule that are isolated: a share of them, by a
//! published hash of the client key, so that every sidecar chooses alike.

use twox_hash::XxHash64;

/// Buckets that keys fall into: hundredths of a percent.
pub const BUCKETS: u64 = 10_000;
const BUCKETS_PER_PERCENT: u32 = 100;

/// The bucket of a client key, `0..BUCKETS`: XXH64 with seed 0, scaled down by
/// `hash * BUCKETS / 2^64`.
#[inline(never)] // Most rollouts take in all keys or none, and get by without it.
pub fn bucket(key: &[u8]) -> u32 {
    let hash = XxHash64::oneshot(0, key);
    ((u128::from(hash) * u128::from(BUCKETS)) >> 64) as u32
}

/// The share of a rule's keys that is isolated: those in the first buckets, so
/// that raising it never moves a key back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    percent: u8,
}

impl Rollout {
    /// No key.
    pub const NONE: Self = Self { percent: 0 };
    /// Every key.
    pub const ALL: Self = Self { percent: 100 };

    /// `None` above 100.
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self { percent })
    }

    /// 0 to 100.
    pub fn percent(self) -> u8 {
        self.percent
    }

    /// Tells whether it takes in a client key.
    #[inline]
    pub fn includes(self, key: &[u8]) -> bool {
        match self.percent {
            0 => false,
            100 => true,
            _ => self.takes(bucket(key)),
        }
    }

    /// Tells whether it takes in the keys of a bucket.
    pub fn takes(self, bucket: u32) -> bool {
        bucket < u32::from(self.percent) * BUCKETS_PER_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(percent: u8) -> Rollout {
        Rollout::new(percent).unwrap()
    }

    #[test]
    fn buckets_are_those_of_the_published_hash() {
        // XXH64's own test values: of nothing, and of "abc".
        assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(XxHash64::oneshot(0, b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(bucket(b""), 9346);
        assert_eq!(bucket(b"abc"), 2684);
    }

    #[test]
    fn the_share_of_keys_is_the_percentage() {
        let percents = [1, 10, 25, 50, 99];
        for family in ["user:", "", "session:0000"] {
            let mut inside = [0u32; 5];
            for i in 0..1_000_000 {
                let key = format!("{family}{i}");
                for (inside, percent) in inside.iter_mut().zip(percents) {
                    *inside += u32::from(rollout(percent).includes(key.as_bytes()));
                }
            }
            for (inside, percent) in inside.into_iter().zip(percents) {
                let share = f64::from(inside) / 10_000.0;
                let off = (share - f64::from(percent)).abs();
                assert!(off < 0.2, "{family}: {share} for {percent} %");
            }
        }
    }

    #[test]
    fn raising_it_takes_no_key_out() {
        for i in 0..2_000 {
            let key = format!("key{i}");
            let inside = (0..=100).map(|percent| rollout(percent).includes(key.as_bytes()));
            let inside: Vec<bool> = inside.collect();
            assert!(inside.is_sorted(), "{key}");
            assert!(!inside[0] && inside[100]);
        }
    }
}
