//! The form that a reader needs, and what transcoding asks of where it runs.

use super::{Environment, Form, Py2Str};
use crate::pickle::names;
use crate::pickle::pool::Pool;
use crate::pickle::reader::Reader;
use crate::pickle::scan::{Scan, Writer};

impl Environment for Pool<'_> {
    fn is_classic(&self, module: &[u8], name: &[u8]) -> bool {
        self.reader.is_python2()
            && (names::is_classic_27(module, name)
                || self
                    .inventory
                    .is_some_and(|all| all.is_classic(module, name)))
    }

    fn has(&self, module: &[u8], name: &[u8]) -> Option<bool> {
        self.inventory.and_then(|all| all.knows(module, name))
    }

    fn django(&self) -> Option<(u16, u16)> {
        self.reader.django()
    }
}

impl Form {
    /// The form in which a reader may be able to load a pickle: `None` if its
    /// writer's own is the only one.
    pub fn of(reader: Reader, scan: &Scan<'_>, py2_str: Py2Str) -> Option<Self> {
        let protocol = scan.declared_protocol().max(scan.effective_protocol());
        match scan.writer() {
            Writer::Python2 if reader.is_python2() => None,
            _ if reader.is_python2() => Some(Self::Python2),
            Writer::Python2 if reader.is_python3() => Some(Self::Python3 { py2_str }),
            // Nothing that only Python 2 writes is in it.
            Writer::Unknown if reader.is_python3() && protocol <= 2 => {
                Some(Self::Python3 { py2_str })
            }
            _ => match reader.max_protocol {
                4 => Some(Self::Protocol4),
                5 => Some(Self::Protocol5),
                _ => None,
            },
        }
    }
}
