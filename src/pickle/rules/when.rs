//! The predicates of rules: which use of a global a rule is about.

use crate::pickle::node::{Kind, Node};
use crate::pickle::opcode::{LONG, LONG1, STRING};
use crate::pickle::operands;

/// A kind of use that a pickle makes of a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pickle) enum What {
    Named,
    Called,
    /// Given to `copyreg._reconstructor` as the class.
    Remade,
    /// Given to it as the base class.
    Base,
    /// An instance is given its state.
    State,
    /// `getattr` of an instance.
    Method,
    /// A dict that may be the state of an instance gets a key and a value.
    Attribute,
}

impl What {
    pub(super) const COUNT: usize = Self::Attribute as usize + 1;
}

/// One such use.
#[derive(Debug, Clone, Copy)]
pub(in crate::pickle) struct Event<'e> {
    pub(in crate::pickle) what: What,
    /// The first of its arguments.
    pub(in crate::pickle) args: &'e [Node],
    /// Count of all arguments.
    pub(in crate::pickle) count: u32,
    /// The state, if it is one.
    pub(in crate::pickle) whole: Option<Node>,
    /// The last list that was given tuples.
    pub(in crate::pickle) tuples_in: Option<u32>,
    pub(in crate::pickle) pickle: &'e [u8],
}

impl<'e> Event<'e> {
    pub(in crate::pickle) fn new(what: What, args: &'e [Node], pickle: &'e [u8]) -> Self {
        Self {
            what,
            args,
            count: args.len() as u32,
            whole: None,
            tuples_in: None,
            pickle,
        }
    }
}

/// A use that a rule is about.
#[derive(Debug)]
pub(super) struct When {
    pub(super) what: What,
    /// All of these hold.
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    Nth(usize, Value),
    Last(Value),
    Some(Value),
    Whole(Value),
    Count(u32, u32),
}

/// A kind of value.
#[derive(Debug)]
enum Value {
    Text,
    /// Python 2's `str`.
    Str,
    None,
    Number,
    Dict,
    /// An integer as Python 3 writes it: Python 2 writes LONG of what it derives from
    /// `long`.
    Int,
    /// An integer that no 64 bits hold.
    Wide,
    /// A Python 2 `time` with seconds of 24 and more.
    Seconds,
    /// Text that is not ASCII, or may not be.
    NonAscii,
    /// A list that was given tuples.
    Tuples,
    Words(Vec<&'static [u8]>),
    Ints(Vec<i32>),
}

impl When {
    pub(super) fn read(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let what = match words.next()? {
            "named" => What::Named,
            "called" => What::Called,
            "remade" => What::Remade,
            "base" => What::Base,
            "state" => What::State,
            "method" => What::Method,
            "attribute" => What::Attribute,
            _ => return None,
        };
        let conditions = words.map(Condition::read).collect::<Option<_>>()?;
        Some(Self { what, conditions })
    }

    pub(super) fn is(&self, event: &Event<'_>) -> bool {
        self.what == event.what && self.conditions.iter().all(|condition| condition.is(event))
    }
}

impl Condition {
    fn read(text: &'static str) -> Option<Self> {
        let (place, value) = text.split_once('=')?;
        Some(match place {
            "count" => {
                let (least, most) = range(value, (0, u32::MAX), |text| text.parse().ok())?;
                Self::Count(least, most)
            }
            "last" => Self::Last(Value::read(value)?),
            "some" => Self::Some(Value::read(value)?),
            "is" => Self::Whole(Value::read(value)?),
            nth => Self::Nth(
                nth.parse::<usize>().ok()?.checked_sub(1)?,
                Value::read(value)?,
            ),
        })
    }

    fn is(&self, event: &Event<'_>) -> bool {
        let args = event.args;
        match self {
            Self::Nth(at, value) => args.get(*at).is_some_and(|arg| value.is(*arg, event)),
            Self::Last(value) => args.last().is_some_and(|arg| value.is(*arg, event)),
            Self::Some(value) => args.iter().any(|arg| value.is(*arg, event)),
            Self::Whole(value) => event.whole.is_some_and(|whole| value.is(whole, event)),
            Self::Count(least, most) => (*least..=*most).contains(&event.count),
        }
    }
}

impl Value {
    fn read(text: &'static str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "str" => Self::Str,
            "none" => Self::None,
            "number" => Self::Number,
            "dict" => Self::Dict,
            "int" => Self::Int,
            "wide" => Self::Wide,
            "seconds" => Self::Seconds,
            "nonascii" => Self::NonAscii,
            "tuples" => Self::Tuples,
            words if words.starts_with('\'') => Self::Words(
                (words.split(','))
                    .map(|word| Some(word.strip_prefix('\'')?.strip_suffix('\'')?.as_bytes()))
                    .collect::<Option<_>>()?,
            ),
            ints => Self::Ints(
                (ints.split(','))
                    .map(|int| int.parse().ok())
                    .collect::<Option<_>>()?,
            ),
        })
    }

    fn is(&self, node: Node, event: &Event<'_>) -> bool {
        let pickle = event.pickle;
        match self {
            Self::Text => node.kind == Kind::Text,
            Self::Str => node.kind == Kind::Str,
            Self::None => node.kind == Kind::None,
            Self::Number => matches!(node.kind, Kind::Float | Kind::Int),
            Self::Dict => node.kind == Kind::Dict,
            Self::Int => node.kind == Kind::Int && pickle[node.at as usize] != LONG,
            Self::Wide => node.kind == Kind::Int && is_wide(node, pickle),
            Self::Seconds => py2_time(node, pickle).nth(2) >= Some(24),
            Self::NonAscii => match node.kind {
                Kind::Text => !node.bytes().of(pickle).is_ascii(),
                kind => kind == Kind::Escaped,
            },
            Self::Tuples => node.kind == Kind::List && event.tuples_in == Some(node.a),
            Self::Words(words) => node
                .string(pickle)
                .is_some_and(|string| words.contains(&string)),
            Self::Ints(ints) => node.int().is_some_and(|int| ints.contains(&int)),
        }
    }
}

fn is_wide(node: Node, pickle: &[u8]) -> bool {
    let at = node.at as usize;
    let operand = pickle.get(at + 1..).unwrap_or(&[]);
    match pickle.get(at) {
        // Its length; picklers write as few bytes as it takes.
        Some(&LONG1) => operand.first().is_some_and(|len| *len > 8),
        Some(&LONG) => {
            let digits = operand.iter().skip_while(|byte| **byte == b'-');
            digits.take_while(|byte| byte.is_ascii_digit()).count() > 19
        }
        _ => false,
    }
}

/// The bytes that Python 2 makes a `time` of; none of Python 3's.
fn py2_time(arg: Node, pickle: &[u8]) -> impl Iterator<Item = u8> {
    let bytes = arg.bytes().of(pickle);
    let (plain, literal) = match arg.kind {
        Kind::Str => (bytes, &[][..]),
        Kind::Escaped if pickle[arg.at as usize] == STRING => (&[][..], bytes),
        _ => (&[][..], &[][..]),
    };
    let literal = operands::literal_bytes(literal).map(|(_, byte)| byte);
    plain.iter().copied().chain(literal)
}

/// `from-to`, with what stands for an end that is left out.
pub(super) fn range<T: Copy>(
    text: &str,
    (least, most): (T, T),
    read: impl Fn(&str) -> Option<T>,
) -> Option<(T, T)> {
    let (from, to) = text.split_once('-')?;
    let end = |text: &str, open| {
        if text.is_empty() {
            Some(open)
        } else {
            read(text)
        }
    };
    Some((end(from, least)?, end(to, most)?))
}
