//! Counts by reason, of which there are few.

/// Counts by the few reasons that there are.
#[derive(Debug, Clone, Default)]
pub struct ByReason {
    counts: Vec<(&'static str, u64)>,
}

impl ByReason {
    pub(in crate::engine) fn add(&mut self, reason: &'static str) {
        self.add_count(reason, 1);
    }

    /// Adds the counts of others.
    pub(super) fn add_all(&mut self, others: &Self) {
        for (reason, count) in others.iter() {
            self.add_count(reason, count);
        }
    }

    fn add_count(&mut self, reason: &'static str, more: u64) {
        match self.counts.iter_mut().find(|(name, _)| *name == reason) {
            Some((_, count)) => *count += more,
            None => self.counts.push((reason, more)),
        }
    }

    /// The count of one reason.
    pub fn of(&self, reason: &str) -> u64 {
        let found = self.counts.iter().find(|(name, _)| *name == reason);
        found.map_or(0, |(_, count)| *count)
    }

    /// All reasons that there were.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().copied()
    }
}
