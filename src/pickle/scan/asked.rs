//! The uses of one class or function, as proofs ask for them.

use super::follow::Followed;
use super::uses::{Range, Used, Uses};
use crate::pickle::node::Node;

/// The uses of one class or function, with what the pickle has of them.
#[derive(Debug, Clone, Copy)]
pub(in crate::pickle) struct Asked<'s> {
    pub(in crate::pickle) used: &'s Used,
    /// The built-in type that `copyreg._reconstructor` made instances of, in the words of
    /// facts; `None` if it is none that they word.
    pub(in crate::pickle) base: Option<&'static str>,
    /// [`Uses::GIVEN`], if a call is given it, which may use it in any way.
    pub(super) given: Uses,
    pub(in crate::pickle) pickle: &'s [u8],
    followed: &'s Followed,
    number: Option<u32>,
}

impl<'s> Asked<'s> {
    /// The kinds of uses.
    pub(in crate::pickle) fn uses(&self) -> Uses {
        self.used.uses | self.given
    }

    fn texts(&self, range: Range) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        let pickle = self.pickle;
        let spans = &self.followed.attributes[range.range()];
        spans.iter().map(move |key| key.of(pickle))
    }

    /// The attributes that every state had.
    pub(in crate::pickle) fn common(&self) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        self.texts(self.used.common.unwrap_or_default())
    }

    /// Whether every state had an attribute.
    pub(in crate::pickle) fn always_has(&self, attribute: &str) -> bool {
        self.common().any(|key| key == attribute.as_bytes())
    }

    /// The attributes in slots that any state had.
    pub(in crate::pickle) fn slots(&self) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        self.texts(self.used.slots)
    }

    /// The arguments of its calls, if each has only one and all are known.
    pub(in crate::pickle) fn values(&self) -> Option<impl Iterator<Item = Node> + use<'s>> {
        let Used { uses, called, .. } = self.used;
        let whole = !uses.contains(Uses::LOST) && (called.least, called.most) == (1, 1);
        let number = self.number.filter(|_| whole)?;
        let values = self
            .followed
            .values
            .iter()
            .filter(move |(of, _)| *of == number);
        Some(values.map(|(_, value)| *value))
    }

    /// Whether some instance got no state.
    pub(in crate::pickle) fn some_without_state(&self) -> bool {
        self.used.instances > self.used.built
    }

    /// Whether some states may be those of any class.
    pub(in crate::pickle) fn is_blurred(&self) -> bool {
        self.followed.nobody
    }
}

impl Followed {
    /// The uses of a global, by its number.
    pub(super) fn asked<'s>(&'s self, number: usize, pickle: &'s [u8]) -> Asked<'s> {
        Asked {
            used: &self.used[number],
            base: None,
            given: Uses::empty(),
            pickle,
            followed: self,
            number: Some(number as u32),
        }
    }

    /// The models of Django by their labels, and the uses of each.
    pub(super) fn models<'s>(
        &'s self,
        pickle: &'s [u8],
    ) -> impl Iterator<Item = ([&'s [u8]; 2], Asked<'s>)> {
        self.models.iter().map(move |model| {
            let asked = Asked {
                used: &model.used,
                base: None,
                given: Uses::empty(),
                pickle,
                followed: self,
                number: None,
            };
            (model.label.map(|part| part.of(pickle)), asked)
        })
    }
}
