//! Arrays. From protocol 3 on Python 3 writes them as the bytes that they have in
//! memory, Python 2 takes a list.

use super::super::Obstacle;
use super::super::ops::next_but_puts;
use super::super::output::push_int;
use crate::pickle::node::{Kind, Node, Span};
use crate::pickle::observer::View;
#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

/// A TUPLE and its MARK, by their offsets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tuple {
    pub(super) at: u32,
    pub(super) mark: u32,
}

/// A machine format of the array module: its code is that of `Modules/arraymodule.c`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    kind: Number,
    /// Bytes of an item.
    width: u8,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Unsigned,
    Signed,
    Float,
}

/// The parts of a call `array._array_reconstructor(class, type code, format, bytes)`.
pub(super) struct Shape {
    /// Offset of the format's code.
    pub(super) code: u32,
    /// Offset of the opcode that pushes the bytes.
    pub(super) at: u32,
    /// The bytes.
    pub(super) items: Span,
    pub(super) format: Format,
}

/// Looks at the arguments of a call of the reconstructor.
pub(super) fn shape(
    (args, count): (&[Node], u32),
    tuple: Tuple,
    view: &View<'_>,
) -> Result<Shape, Obstacle> {
    let (4, [class, type_code, code, items]) = (count, args) else {
        return Err(Obstacle::ArrayShape);
    };
    if class.kind != Kind::Global || type_code.kind != Kind::Text || items.kind != Kind::Bytes {
        return Err(Obstacle::ArrayShape);
    }
    let pickle = view.pickle;
    match type_code.bytes().of(pickle) {
        [b'b' | b'B' | b'h' | b'H' | b'i' | b'I' | b'l' | b'L' | b'f' | b'd'] => {}
        [other] => return Err(Obstacle::ArrayType(char::from(*other))),
        _ => return Err(Obstacle::ArrayShape),
    }
    let pushed = |node: &Node| pickle[node.at as usize];
    let direct = matches!(pushed(code), BININT1 | BININT2 | BININT | LONG1)
        && next_but_puts(pickle, items.at).is_some_and(|op| op.at == tuple.at as usize);
    let format = code.int().and_then(Format::of).filter(|format| {
        let len = items.bytes().of(pickle).len();
        direct && len.is_multiple_of(usize::from(format.width))
    });
    format
        .map(|format| Shape {
            code: code.at,
            at: items.at,
            items: items.bytes(),
            format,
        })
        .ok_or(Obstacle::ArrayShape)
}

impl Format {
    fn of(code: i32) -> Option<Self> {
        let (kind, width) = match code {
            0 => (Number::Unsigned, 1),
            1 => (Number::Signed, 1),
            2 | 3 => (Number::Unsigned, 2),
            4 | 5 => (Number::Signed, 2),
            6 | 7 => (Number::Unsigned, 4),
            8 | 9 => (Number::Signed, 4),
            10 | 11 => (Number::Unsigned, 8),
            12 | 13 => (Number::Signed, 8),
            14 | 15 => (Number::Float, 4),
            16 | 17 => (Number::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            width,
            big_endian: code % 2 == 1 && width > 1,
        })
    }

    /// A list of the items.
    pub(super) fn push_list(self, out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend_from_slice(&[EMPTY_LIST, MARK]);
        for item in bytes.chunks_exact(usize::from(self.width)) {
            self.push_item(out, item);
        }
        out.push(APPENDS);
    }

    fn push_item(self, out: &mut Vec<u8>, item: &[u8]) {
        let mut bytes = [0; 8];
        for (i, slot) in bytes.iter_mut().take(item.len()).enumerate() {
            let from = if self.big_endian {
                item.len() - 1 - i
            } else {
                i
            };
            *slot = item[from];
        }
        let unsigned = u64::from_le_bytes(bytes);
        match self.kind {
            Number::Unsigned => push_int(out, i128::from(unsigned)),
            Number::Signed => {
                let unused = 64 - 8 * u32::from(self.width);
                push_int(
                    out,
                    i128::from((unsigned << unused).cast_signed() >> unused),
                );
            }
            Number::Float => {
                let value = if self.width == 4 {
                    f64::from(f32::from_bits(unsigned as u32))
                } else {
                    f64::from_bits(unsigned)
                };
                out.push(BINFLOAT);
                out.extend_from_slice(&value.to_be_bytes());
            }
        }
    }
}
