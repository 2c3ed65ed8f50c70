//! Medians, spreads and ratios of interleaved rounds.

use serde::Serialize;

/// The middle of some figures and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of no figures.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures
            .into_iter()
            .filter(|figure| figure.is_finite())
            .collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => f64::midpoint(figures[middle - 1], figures[middle]),
            _ => figures[middle],
        };
        Some(Self { median, min, max })
    }

    /// Of `ours` to `theirs`, round by round: what changed between rounds
    /// changed for both.
    pub(super) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

/// The bound that a figure is to keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(super) fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied());
        let spread = |median, min, max| Some(Spread { median, min, max });
        assert_eq!(of(&[3.0, 1.0, 2.0]), spread(2.0, 1.0, 3.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), spread(2.5, 1.0, 4.0));
        assert_eq!(of(&[7.0]), spread(7.0, 7.0, 7.0));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ratios = Spread::of_ratios(&[1.0, 10.0, 4.0], &[2.0, 20.0, 4.0]).unwrap();
        assert_eq!((ratios.median, ratios.min, ratios.max), (0.5, 0.5, 1.0));
        let with_nothing = Spread::of_ratios(&[1.0, 2.0], &[0.0, 4.0]).unwrap();
        assert!((with_nothing.median - 0.5).abs() < 1e-9);
    }

    #[test]
    fn bounds_have_a_side() {
        assert!(Bound::AtMost(0.5).is_met_by(0.5) && !Bound::AtMost(0.5).is_met_by(0.51));
        assert!(Bound::AtLeast(2.0).is_met_by(2.0) && !Bound::AtLeast(2.0).is_met_by(1.99));
    }
}
