//! Follows the uses that a pickle makes of each class and function: how many arguments
//! it gives, which states instances get, which attributes.

use super::dicts::{Dicts, Keys, MAX_KEYS};
use super::uses::{Range, Used, Uses};
use crate::pickle::node::{Kind, Node, Span};
use crate::pickle::observer::{Call, View};
use crate::pickle::opcode::{APPEND, APPENDS, INST, NEWOBJ, NEWOBJ_EX, OBJ, SETITEM, SETITEMS};

/// Instances made by helpers that are remembered until they get their state.
const MAX_MADE: usize = 1024;
/// Members of enumerations that are looked up in one pickle, at most.
const MAX_VALUES: usize = 256;
/// Models of Django in one pickle, at most.
const MAX_MODELS: usize = 32;
/// Times that other attributes than before are added to a class, in one pickle.
const MAX_MERGES: u32 = 1024;
/// Strings of Python 2 whose places are remembered, at most.
const MAX_STRS: usize = 1 << 20;

/// A model of Django by its label, which the pickle calls through a helper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    /// The application, and the model's name.
    pub(super) label: [Span; 2],
    pub(super) used: Used,
}

/// A dict that may be a state, or a part of one.
fn is_state(node: Node) -> bool {
    matches!(node.kind, Kind::Dict | Kind::None)
}

/// A class or function whose uses are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Global(u32),
    Model(u32),
}

/// The uses of all that a pickle names, and what is needed to follow them; its memory is
/// kept for the next pickle.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// By the number of the global.
    pub(super) used: Vec<Used>,
    pub(super) models: Vec<Model>,
    /// First arguments of calls that have only one: members of enumerations, by value.
    pub(super) values: Vec<(u32, Node)>,
    pub(super) dicts: Dicts,
    /// Instances that helpers made, by the offset of the call.
    made: Vec<(u32, Subject)>,
    /// Offsets of Python 2's strings.
    strs: Vec<u32>,
    /// Keys of states, in ranges.
    pub(super) attributes: Vec<Span>,
    /// Instances got states that nothing tells the class of.
    pub(super) nobody: bool,
    /// One more than the place of the last arguments.
    arguments: u32,
    /// Times that attributes were added to a class.
    merges: u32,
    /// More strings than are remembered: all may hold some.
    lost: bool,
}

impl Followed {
    pub(super) fn clear(&mut self) {
        self.used.clear();
        self.models.clear();
        self.values.clear();
        self.dicts.clear();
        self.made.clear();
        self.strs.clear();
        self.attributes.clear();
        self.nobody = false;
        self.arguments = 0;
        self.merges = 0;
        self.lost = false;
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.used.capacity() * size_of::<Used>()
            + self.models.capacity() * size_of::<Model>()
            + self.values.capacity() * size_of::<(u32, Node)>()
            + self.attributes.capacity() * size_of::<Span>()
            + self.dicts.held_bytes()
            + self.made.capacity() * size_of::<(u32, Subject)>()
            + self.strs.capacity() * size_of::<u32>()
    }

    /// The subject's uses.
    pub(super) fn of(&mut self, subject: Subject) -> &mut Used {
        match subject {
            Subject::Global(number) => &mut self.used[number as usize],
            Subject::Model(at) => &mut self.models[at as usize].used,
        }
    }

    /// A Python 2 `str` is pushed here, at first or again.
    pub(super) fn str_at(&mut self, at: u32) {
        if self.strs.len() < MAX_STRS {
            self.strs.push(at);
        } else {
            self.lost = true;
        }
    }

    /// Count of the Python 2 strings that were pushed since an offset.
    fn strs_since(&self, at: u32) -> usize {
        if self.lost {
            return usize::MAX;
        }
        self.strs.len() - self.strs.partition_point(|place| *place < at)
    }

    /// A helper makes an instance: what happens to that, happens to the subject.
    pub(super) fn helped(&mut self, call: u32, subject: Subject) {
        if self.made.len() == MAX_MADE {
            self.made.clear();
        }
        self.made.push((call, subject));
        self.of(subject).instances += 1;
    }

    /// The subject of an instance that a helper made.
    pub(super) fn made_by_help(&mut self, call: u32) -> Option<Subject> {
        while let Some((last, _)) = self.made.last()
            && *last > call
        {
            self.made.pop();
        }
        self.made
            .last()
            .filter(|(last, _)| *last == call)
            .map(|(_, subject)| *subject)
    }

    /// The helper of Django's models makes an instance, by the model's label.
    pub(super) fn model(
        &mut self,
        label: Option<(&[Node], u32)>,
        helper: u32,
        call: u32,
        pickle: &[u8],
    ) {
        let label = match label {
            Some((&[app, name], 2))
                if [app, name].iter().all(|part| part.string(pickle).is_some()) =>
            {
                [app.bytes(), name.bytes()]
            }
            _ => return self.used[helper as usize].uses |= Uses::LOST,
        };
        let same = |model: &Model| {
            model.label == label
                || model.label.map(|part| part.of(pickle)) == label.map(|part| part.of(pickle))
        };
        let at = self.models.iter().position(same).unwrap_or_else(|| {
            if self.models.len() < MAX_MODELS {
                let used = Used::NOT;
                self.models.push(Model { label, used });
            } else {
                self.used[helper as usize].uses |= Uses::LOST;
            }
            self.models.len() - 1
        });
        self.helped(call, Subject::Model(at as u32));
    }

    /// A global is called, or instances of it are made.
    #[inline]
    pub(super) fn call(&mut self, call: &Call<'_>, number: u32, py2_str: bool) {
        if py2_str {
            self.note_strs(call, number);
        }
        let used = &mut self.used[number as usize];
        let Some((args, count)) = call.args else {
            used.uses |= Uses::CALLED | Uses::LOST;
            return;
        };
        match call.op {
            NEWOBJ | NEWOBJ_EX => {
                used.uses |= Uses::MADE;
                if call.op == NEWOBJ_EX {
                    used.uses |= Uses::KEYWORDS;
                }
                used.made.add(count);
                used.instances += 1;
            }
            INST | OBJ if count == 0 => {
                used.uses |= Uses::BARE;
                used.instances += 1;
            }
            _ => {
                used.uses |= Uses::CALLED;
                used.called.add(count);
                match args {
                    [value] if count == 1 && self.values.len() < MAX_VALUES => {
                        self.values.push((number, *value));
                    }
                    [_] => used.uses |= Uses::LOST,
                    _ => {}
                }
            }
        }
    }

    /// Takes note of Python 2's strings among the arguments.
    #[cold]
    fn note_strs(&mut self, call: &Call<'_>, number: u32) {
        let count = call.args.map_or(u32::MAX, |(_, count)| count);
        // Those that the memo gives again were looked at elsewhere.
        let again = count > 0 && call.arguments < self.arguments;
        self.arguments = self.arguments.max(call.arguments + 1);
        if again || self.strs_since(call.callee.at) > 0 {
            self.used[number as usize].uses |= Uses::STR;
        }
    }

    /// `copyreg._reconstructor` makes an instance of a class from a built-in type.
    pub(super) fn remade(&mut self, class: u32, base: Option<u32>, helper: u32, call: u32) {
        let has_str = self.used[helper as usize].uses & Uses::STR;
        let used = &mut self.used[class as usize];
        used.uses |= Uses::REMADE | has_str;
        if base.is_none() || used.base.is_some_and(|known| Some(known) != base) {
            used.uses |= Uses::BASES;
        }
        used.base = base;
        self.helped(call, Subject::Global(class));
    }

    /// An attribute of a global is taken.
    pub(super) fn attribute_of(&mut self, number: u32) {
        self.used[number as usize].uses |= Uses::ATTRIBUTE;
    }

    /// An instance gets a state that nothing tells the class of.
    pub(super) fn state_of_nobody(&mut self) {
        self.nobody = true;
    }

    /// An instance gets its state.
    pub(super) fn state(&mut self, subject: Subject, state: Node, view: &View<'_>) {
        let mut uses = Uses::empty();
        let mut keys = Keys::default();
        let mut slots = Keys::default();
        match state.kind {
            Kind::None => uses |= Uses::NONE,
            Kind::Dict => {
                uses |= Uses::DICT;
                keys = self.dicts.keys_of(state);
            }
            Kind::Tuple => match view.elements(state) {
                Some((&[dict, in_slots], 2)) if is_state(dict) && is_state(in_slots) => {
                    uses |= Uses::PAIR;
                    if dict.kind == Kind::Dict {
                        uses |= Uses::DICT;
                        keys = self.dicts.keys_of(dict);
                    }
                    if in_slots.kind == Kind::Dict {
                        slots = self.dicts.keys_of(in_slots);
                    }
                }
                _ => uses |= Uses::OTHER,
            },
            Kind::Object | Kind::Stated | Kind::Unknown => uses |= Uses::OBJECT,
            _ => uses |= Uses::OTHER,
        }
        if self.lost || !self.strs.is_empty() {
            let strs = self.strs_since(state.at);
            uses.set(Uses::STR, strs > (keys.strs + slots.strs) as usize);
        }
        let whole = !keys.lost && !slots.lost && self.merge(subject, keys, slots, view.pickle);
        uses.set(Uses::LOST, !whole);
        let class = self.of(subject);
        class.uses |= uses;
        class.built += 1;
        if state.kind == Kind::Tuple {
            class.parts.add(state.b);
        }
    }

    /// Adds the attributes of one state to those of the class; says whether all were.
    fn merge(&mut self, subject: Subject, keys: Keys, slots: Keys, pickle: &[u8]) -> bool {
        let used = *self.of(subject);
        let Self {
            attributes,
            dicts: Dicts { keys: known, .. },
            merges,
            ..
        } = self;
        let alike = |one: &Span, other: &Span| one == other || one.of(pickle) == other.of(pickle);
        // Instances have the same attributes in the same places, as a rule.
        if let Some(common) = used.common
            && (common.len(), slots.len()) == (used.any.len(), used.slots.len())
        {
            let (before, now) = (&attributes[common.range()], &known[keys.range()]);
            if slots.len() == 0 && before == now {
                return true;
            }
            let now = now.iter().chain(&known[slots.range()]);
            if now.clone().count() == before.len()
                && before.iter().zip(now).all(|(one, other)| alike(one, other))
            {
                return true;
            }
        }
        let now = || known[keys.range()].iter().chain(&known[slots.range()]);
        let has = |all: &[Span], key: &Span| all.iter().any(|one| alike(one, key));
        *merges += 1;
        if *merges > MAX_MERGES || now().count() + used.any.len() > 2 * MAX_KEYS {
            return false;
        }
        let start = attributes.len();
        match used.common {
            None => attributes.extend(now()),
            Some(common) => {
                for at in common.range() {
                    let key = attributes[at];
                    if now().any(|one| alike(one, &key)) {
                        attributes.push(key);
                    }
                }
            }
        }
        let common = Range::new(start, attributes.len());
        let mut union = |old: Range, new: &mut dyn Iterator<Item = &Span>| {
            let start = attributes.len();
            attributes.extend_from_within(old.range());
            for key in new {
                if !has(&attributes[start..], key) {
                    attributes.push(*key);
                }
            }
            Range::new(start, attributes.len())
        };
        let any = match used.common {
            None => common,
            Some(_) => union(used.any, &mut now()),
        };
        let slots = union(used.slots, &mut known[slots.range()].iter());
        let class = self.of(subject);
        (class.common, class.any, class.slots) = (Some(common), any, slots);
        true
    }

    /// Something is put into an instance.
    pub(super) fn grown(&mut self, subject: Subject, op: u8) {
        self.of(subject).uses |= match op {
            APPEND | APPENDS => Uses::APPENDED,
            SETITEM | SETITEMS => Uses::SET,
            _ => Uses::ADDED,
        };
    }
}
