//! The first pass: which strings have to be text, and which bytes.

use super::super::ops::next_but_puts;
use super::super::{Edit, Environment, Obstacle, Obstacles, Py2Str, Refusal, empty};
use crate::pickle::machine::Machine;
use crate::pickle::node::{Kind, NO_GLOBAL, Node};
use crate::pickle::observer::{Call, Named, Observer, View};
use crate::pickle::opcode::{EMPTY_DICT, NONE, STRING};

/// Most arguments of a call that the machine keeps.
const KEPT_ARGUMENTS: u32 = 6;

/// Notes of the first pass for the second. Strings are known by the offset of their first
/// byte.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Have to be bytes, whatever else they are for.
    pub(super) bytes: Vec<u32>,
    /// Have to be text.
    pub(super) text: Vec<u32>,
    /// A BUILD that would fail at a state without anything in it.
    pub(super) dropped: Vec<Edit<()>>,
    /// (dict, its key).
    keys: Vec<(u32, u32)>,
    /// Dicts of attributes.
    states: Vec<u32>,
    globals: Vec<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Ordinary,
    /// `datetime`, `date` and `time` take their state as bytes.
    Datetime,
    /// A scalar of `NumPy`: its type, its bytes.
    Scalar,
    /// An array of `NumPy`, whose bytes are in its state.
    Array,
    SafeText,
}

pub(super) fn make(
    notes: &mut Notes,
    machine: &mut Machine,
    pickle: &[u8],
    py2_str: Py2Str,
    environment: &dyn Environment,
) -> Result<(), Refusal> {
    empty(&mut notes.bytes);
    empty(&mut notes.text);
    empty(&mut notes.dropped);
    empty(&mut notes.keys);
    empty(&mut notes.states);
    empty(&mut notes.globals);
    let mut plan = Plan {
        notes,
        obstacles: Obstacles::default(),
        names_are_text: py2_str == Py2Str::Bytes,
        slotted_safe_text: environment.django().is_some_and(|django| django >= (4, 0)),
    };
    let walked = machine.walk(pickle, &mut plan)?;
    if walked.protocols >= 1 << 3 {
        plan.obstacles.add(Obstacle::FromPython3, 0);
    }
    plan.obstacles.none()?;
    notes.name_attributes();
    Ok(())
}

impl Notes {
    /// The keys of attribute dicts become text.
    fn name_attributes(&mut self) {
        let Self {
            text, keys, states, ..
        } = self;
        keys.sort_unstable();
        states.sort_unstable();
        states.dedup();
        let mut keys = keys.iter().peekable();
        for state in states {
            while let Some((dict, key)) = keys.next_if(|(dict, _)| dict <= state) {
                if dict == state {
                    text.push(*key);
                }
            }
        }
    }
}

struct Plan<'p> {
    notes: &'p mut Notes,
    obstacles: Obstacles,
    /// By themselves they would become bytes.
    names_are_text: bool,
    slotted_safe_text: bool,
}

/// Start of a `str` of Python 2; `None` if this is none.
fn str_at(node: Node, pickle: &[u8]) -> Option<u32> {
    match node.kind {
        Kind::Str => Some(node.a),
        // Its bytes follow the quote that follows the opcode; a GET's node is of
        // another opcode, but begins in the same place.
        Kind::Escaped => {
            let quote = (node.a as usize).checked_sub(2)?;
            (pickle.get(quote) == Some(&STRING)).then_some(node.a)
        }
        _ => None,
    }
}

impl Plan<'_> {
    fn role(&self, callee: Node) -> Role {
        let number = callee.a as usize;
        let global = (callee.kind == Kind::Global || callee.is_object()) && callee.a != NO_GLOBAL;
        let role = global.then(|| self.notes.globals.get(number)).flatten();
        role.copied().unwrap_or(Role::Ordinary)
    }

    fn bytes(&mut self, node: Option<&Node>, pickle: &[u8]) {
        if let Some(at) = node.and_then(|&node| str_at(node, pickle)) {
            self.notes.bytes.push(at);
        }
    }
}

impl Observer for Plan<'_> {
    fn global(&mut self, at: u32, named: Named, pickle: &[u8]) -> u32 {
        if named.extension.is_some() {
            self.obstacles.add(Obstacle::ExtensionCode, at);
        }
        let role = match (named.module.of(pickle), named.name.of(pickle)) {
            (b"datetime", b"datetime" | b"date" | b"time") => Role::Datetime,
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"scalar") => Role::Scalar,
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct")
            | (b"numpy.ma.core", b"_mareconstruct") => Role::Array,
            (b"django.utils.safestring", b"SafeText" | b"SafeString") => Role::SafeText,
            _ => Role::Ordinary,
        };
        self.notes.globals.push(role);
        self.notes.globals.len() as u32 - 1
    }

    fn call(&mut self, call: &Call<'_>) {
        let Some((args, count)) = call.args else {
            return;
        };
        let pickle = call.view.pickle;
        match self.role(call.callee) {
            Role::Datetime => self.bytes(args.first(), pickle),
            Role::Scalar => self.bytes(args.get(1), pickle),
            _ => {}
        }
        if self.names_are_text {
            if count > KEPT_ARGUMENTS {
                self.obstacles.add(Obstacle::ManyArguments, call.at);
            }
            let strings = args.iter().filter_map(|&arg| str_at(arg, pickle));
            self.notes.text.extend(strings);
        }
    }

    fn build(&mut self, at: u32, object: Node, state: Node, view: &View<'_>) {
        if object.is_object() {
            match self.role(object) {
                Role::Array => {
                    let (elements, _) = view.elements(state).unwrap_or_default();
                    for element in elements {
                        self.bytes(Some(element), view.pickle);
                    }
                }
                Role::SafeText if self.slotted_safe_text => {
                    let begins = view.pickle.get(state.at as usize);
                    let is_empty = matches!(begins, Some(&(EMPTY_DICT | NONE)))
                        && next_but_puts(view.pickle, state.at)
                            .is_some_and(|op| op.at == at as usize);
                    if is_empty {
                        self.notes.dropped.push(Edit { at, what: () });
                    } else {
                        self.obstacles.add(Obstacle::SafeStringState, at);
                    }
                }
                _ => {}
            }
        }
        if self.names_are_text {
            // Either the attributes, or (attributes, slots).
            let (elements, _) = view.elements(state).unwrap_or_default();
            let dicts = std::iter::once(&state)
                .chain(elements)
                .filter(|node| node.kind == Kind::Dict);
            self.notes.states.extend(dicts.map(|dict| dict.a));
        }
    }

    fn pairs(&mut self, dict: Node, pairs: &[Node], pickle: &[u8]) {
        if self.names_are_text && dict.kind == Kind::Dict {
            let keys = pairs.iter().step_by(2);
            let keys = keys.filter_map(|&key| str_at(key, pickle));
            self.notes.keys.extend(keys.map(|key| (dict.a, key)));
        }
    }

    fn protocol(&mut self, at: u32, protocol: u8) {
        if at != 0 {
            self.obstacles.add(Obstacle::SecondProtocol, at);
        }
        if protocol > 2 {
            self.obstacles.add(Obstacle::FromPython3, at);
        }
    }

    fn persistent_id(&mut self, at: u32) {
        self.obstacles.add(Obstacle::PersistentId, at);
    }

    fn buffer(&mut self, at: u32) {
        self.obstacles.add(Obstacle::OutOfBandBuffer, at);
    }
}
