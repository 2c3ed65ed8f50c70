//! Python 3 to an older Python 3: protocol 5 to 4, and names that moved.

use super::names;
use super::ops::{Op, op};
use super::output::{Output, push_global, push_len};
use super::{Edit, Edits, Environment, Obstacle, Obstacles, Refusal, refuse};
use crate::pickle::flaw::{Broken, Flaw};
use crate::pickle::machine::Machine;
use crate::pickle::node::Span;
use crate::pickle::observer::{Named, Observer};
#[allow(clippy::wildcard_imports)] // All of them, each in its place.
use crate::pickle::opcode::*;

pub(super) fn transcode(
    machine: &mut Machine,
    pickle: &[u8],
    highest: u8,
    environment: &dyn Environment,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut plan = Plan {
        obstacles: Obstacles::default(),
        environment,
        renamed: Vec::new(),
    };
    machine.walk(pickle, &mut plan)?;
    plan.obstacles.none()?;
    let mut edits = Edits::new(&mut plan.renamed);
    let mut output = Output::new(pickle, out, machine.pause());
    let mut at = 0;
    loop {
        let Some(op) = op(pickle, at) else {
            return Err(truncated(at));
        };
        if let Some(named) = edits.at(at)? {
            rename(&mut output, pickle, op, named, environment)?;
        }
        match op.code {
            PROTO if pickle[op.data] > highest => output.cut(op.data, op.end).push(highest),
            // Their lengths may no longer hold.
            FRAME => drop(output.cut(op.at, op.end)),
            BYTEARRAY8 if highest < 5 => bytearray(&mut output, op)?,
            BINPUT | LONG_BINPUT | PUT if output.is_beyond(op.number(pickle), at) => {
                return Err(refuse(Obstacle::Shape, at));
            }
            STOP => {
                output.cut(op.end, op.end);
                return Ok(());
            }
            _ => {}
        }
        at = output.next(op)?;
    }
}

/// The first pass has read all of it.
#[cold]
pub(super) fn truncated(at: usize) -> Refusal {
    let at = at as u32;
    let flaw = Flaw::Truncated;
    Refusal::Broken(Broken { flaw, at })
}

/// `bytearray` of bytes. The memo is numbered by how much is in it, so that the
/// name cannot be kept there.
fn bytearray(output: &mut Output<'_>, op: Op) -> Result<(), Refusal> {
    let len = op.end - op.data;
    if u32::try_from(len).is_err() {
        return Err(refuse(Obstacle::Length, op.at));
    }
    let out = output.cut(op.at, op.data);
    out.extend_from_slice(b"cbuiltins\nbytearray\n");
    if len == 0 {
        out.push(EMPTY_TUPLE);
    } else {
        push_len(out, Some(SHORT_BINBYTES), BINBYTES, len);
        output.cut(op.end, op.end).push(TUPLE1);
    }
    output.more().push(REDUCE);
    Ok(())
}

/// A global under another name.
fn rename(
    output: &mut Output<'_>,
    pickle: &[u8],
    op: Op,
    (module, name): (Span, Span),
    environment: &dyn Environment,
) -> Result<(), Refusal> {
    let Some(renamed) = names::of_numpy(module.of(pickle), name.of(pickle), environment) else {
        return Ok(());
    };
    if !renamed.is_one_line() {
        return Err(refuse(Obstacle::LineBreakInName, op.at));
    }
    let out = output.cut(op.at, op.end);
    if op.code == STACK_GLOBAL {
        // The strings may be in the memo: they stay where they are.
        out.extend_from_slice(&[POP, POP]);
    }
    let code = if op.code == INST { INST } else { GLOBAL };
    push_global(out, code, renamed);
    Ok(())
}

struct Plan<'p> {
    obstacles: Obstacles,
    environment: &'p dyn Environment,
    renamed: Vec<Edit<(Span, Span)>>,
}

impl Observer for Plan<'_> {
    fn global(&mut self, at: u32, named: Named, pickle: &[u8]) -> u32 {
        if named.extension.is_some() {
            self.obstacles.add(Obstacle::ExtensionCode, at);
        }
        let (module, name) = (named.module, named.name);
        if names::of_numpy(module.of(pickle), name.of(pickle), self.environment).is_some() {
            let what = (module, name);
            self.renamed.push(Edit { at, what });
        }
        0
    }

    fn protocol(&mut self, at: u32, _protocol: u8) {
        if at != 0 {
            self.obstacles.add(Obstacle::SecondProtocol, at);
        }
    }

    fn persistent_id(&mut self, at: u32) {
        self.obstacles.add(Obstacle::PersistentId, at);
    }

    fn buffer(&mut self, at: u32) {
        self.obstacles.add(Obstacle::OutOfBandBuffer, at);
    }
}
