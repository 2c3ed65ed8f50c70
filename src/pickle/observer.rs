//! The events of a walk that the machine reports, and the values that observers may look
//! at.

use super::node::{Kind, Node, Span};

/// Elements of a tuple that are remembered, at most: no rule asks for more of a call.
pub(super) const KEPT_ITEMS: usize = 6;

/// A class, function or module attribute that a pickle names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) module: Span,
    pub(super) name: Span,
    /// Named by an extension code of the registry: the spans are empty.
    pub(super) extension: Option<u32>,
    /// The protocol in force where it stands; below 3, Python 3 translates
    /// Python 2's names.
    pub(super) protocol: u8,
}

/// Receives the events of a walk, in the order of the opcodes.
///
/// Offsets are of the opcode itself.
pub(super) trait Observer {
    /// The pickle names a global: gives the number by which it is to be known.
    fn global(&mut self, at: u32, named: Named, pickle: &[u8]) -> u32;
    /// Count of the globals that it knows apart.
    fn names(&self) -> usize {
        0
    }
    /// A string of any kind is pushed.
    fn string(&mut self, _node: Node, _pickle: &[u8]) {}
    /// An integer in decimal digits (INT, LONG).
    fn decimal(&mut self, _at: u32, _digits: u32) {}
    /// LONG1 or LONG4; whether its value fits 32 bits.
    fn long(&mut self, _small: bool) {}
    /// A global is pushed, again or for the first time.
    fn pushed(&mut self, _global: u32) {}
    /// A pushed global is dropped by POP.
    fn dropped(&mut self, _global: u32) {}
    /// REDUCE, NEWOBJ, `NEWOBJ_EX`, OBJ or INST.
    fn call(&mut self, _call: &Call<'_>) {}
    /// BUILD gives an object its state.
    fn build(&mut self, _at: u32, _object: Node, _state: Node, _m: &View<'_>) {}
    /// A value goes into the memo under this key.
    fn put(&mut self, _at: u32, _key: u32, _node: Node) {}
    /// A value is fetched from the memo.
    fn get(&mut self, _at: u32, _key: u32, _node: Node, _pickle: &[u8]) {}
    /// The names of a `STACK_GLOBAL`, before [`Observer::global`].
    fn stack_global(&mut self, _at: u32, _module: Node, _name: Node) {}
    /// An opcode consumes everything above a MARK.
    fn close(&mut self, _op: u8, _at: u32, _mark: u32, _below: Option<Node>) {}
    /// `EMPTY_SET`.
    fn empty_set(&mut self, _at: u32) {}
    /// Keys and values by turns, put into a dict.
    fn pairs(&mut self, _dict: Node, _pairs: &[Node], _pickle: &[u8]) {}
    /// Something is put into an object by APPEND, SETITEM, ADDITEMS and the like.
    fn grown(&mut self, _op: u8, _object: Node) {}
    /// Items, put at the end of a list.
    fn append(&mut self, _list: Node, _items: &[Node]) {}
    /// PROTO.
    fn protocol(&mut self, _at: u32, _protocol: u8) {}
    /// A persistent id: only an unpickler made for it loads it.
    fn persistent_id(&mut self, _at: u32) {}
    /// An out-of-band buffer: only an unpickler given them loads it.
    fn buffer(&mut self, _at: u32) {}
    /// DUP.
    fn dup(&mut self, _at: u32, _node: Node) {}
}

/// A call that a pickle makes.
pub(super) struct Call<'m> {
    pub(super) op: u8,
    pub(super) at: u32,
    pub(super) callee: Node,
    /// The first arguments and how many there are; `None` where they are not known.
    pub(super) args: Option<(&'m [Node], u32)>,
    /// Place of the arguments, which is further on than that of earlier calls, unless the
    /// memo gives them.
    pub(super) arguments: u32,
    pub(super) view: View<'m>,
}

impl Call<'_> {
    /// The first argument, if it is known.
    pub(super) fn first(&self) -> Option<Node> {
        self.args.and_then(|(args, _)| args.first().copied())
    }
}

/// The part of the machine that an observer may look at.
#[derive(Clone, Copy)]
pub(super) struct View<'m> {
    pub(super) pickle: &'m [u8],
    pub(super) items: &'m [Node],
}

impl<'m> View<'m> {
    /// The first elements of a tuple and how many it has; `None` if it is none.
    pub(super) fn elements(&self, node: Node) -> Option<(&'m [Node], u32)> {
        if node.kind != Kind::Tuple {
            return None;
        }
        let kept = (node.b as usize).min(KEPT_ITEMS);
        let first = node.a as usize;
        Some((self.items.get(first..first + kept)?, node.b))
    }
}
