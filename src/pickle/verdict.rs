//! Verdicts on who can load a pickle: the findings of a scan, held against what a reader
//! is.
//!
//! The rules come in the order in which they are certain: the protocol, byte
//! strings that Python 3 cannot decode, names that the reader lacks, then shapes
//! that its classes refuse. Each was measured against real interpreters (see
//! `tests/pickle/verdicts.rs`, which also says how often they are wrong).

use super::inventory::Inventory;
use super::names::{self, Presence, PythonVersion, Versions};
use super::pool::Pool;
use super::reader::Reader;
use super::reason::{Doubt, MAX_DIGITS, Reason};
use super::rules::{self, Kind};
use super::scan::{Global, Scan};

impl<'s> Scan<'s> {
    /// Whether a reader can load it. Without an inventory of its environment, what
    /// lies outside the standard library is taken to be there, but for packages
    /// that are there for other versions as a rule: of those, nothing is known.
    ///
    /// # Errors
    /// The first reason why it cannot; else, why that is not known.
    pub fn judge(&self, reader: Reader, inventory: Option<&Inventory>) -> Result<(), Reason<'s>> {
        let facts = self.facts();
        let needs = facts.declared.max(self.effective_protocol());
        if needs > reader.max_protocol {
            return Err(Reason::Protocol { needs });
        }
        if let Some(at) = facts.persistent_id {
            return Err(Reason::PersistentId { at });
        }
        if let Some(at) = facts.buffer {
            return Err(Reason::Buffer { at });
        }
        if let Some((at, byte)) = facts.undecodable
            && reader.is_python3()
        {
            return Err(Reason::ByteString { byte, at });
        }
        if facts.digits > MAX_DIGITS && reader.is_all_of(Versions::since(PythonVersion::Py37)) {
            let count = facts.digits;
            return Err(Reason::Digits { count });
        }
        let named = self.raw_globals();
        let mut doubt = None;
        for global in named.filter(|global| self.is_named(&global.named)) {
            self.judge_global(global, reader, inventory)?;
            if inventory.is_none() && doubt.is_none() {
                doubt = self.doubt(global, reader);
            }
        }
        rules::judge(facts, reader)?;
        let pool = Pool { reader, inventory };
        for (number, global) in self.raw_globals().enumerate() {
            if let Some(refusal) = self.refused((number, global), pool) {
                let (module, name) = self.named(global);
                return Err(Reason::Refused {
                    module,
                    name,
                    refusal,
                });
            }
        }
        if let Some(code) = facts.unknown_extension {
            return Err(Reason::Extension { code });
        }
        let mut named = self.raw_globals();
        match named.find(|global| self.names(&global.named).0 == b"__main__") {
            Some(script) => {
                let (_, name) = self.names(&script.named);
                let name = str::from_utf8(name).unwrap_or_default();
                Err(Reason::Script { name })
            }
            None => doubt
                .or_else(|| rules::doubt(facts, reader))
                .map_or(Ok(()), Err),
        }
    }

    /// Whether a global that may be there may just as well be lacking.
    fn doubt(&self, global: &Global, reader: Reader) -> Option<Reason<'s>> {
        let (module, name) = self.names(&global.named);
        let (module_there, _) = if reader.is_python2() || global.named.protocol >= 3 {
            (module, name)
        } else {
            names::to_py3(module, name)
        };
        let doubt = if reader.is_all_of(names::backported(module_there)) {
            Doubt::Backport(reader)
        } else {
            Doubt::Rule(self.against(global, Kind::Doubtful, reader)?)
        };
        let [module, name] = [module, name].map(|part| str::from_utf8(part).unwrap_or_default());
        Some(Reason::Doubtful {
            module,
            name,
            doubt,
        })
    }

    /// Why a rule of this kind is against a global.
    pub(super) fn against(
        &self,
        global: &Global,
        kind: Kind,
        reader: Reader,
    ) -> Option<&'static str> {
        let rows = global.known.rows;
        rules::against(rows, |of| of == kind, self.facts(), reader).map(|(_, why)| why)
    }

    fn judge_global(
        &self,
        global: &Global,
        reader: Reader,
        inventory: Option<&Inventory>,
    ) -> Result<(), Reason<'s>> {
        let (module, name) = self.names(&global.named);
        let text = || {
            (
                str::from_utf8(module).unwrap_or_default(),
                str::from_utf8(name).unwrap_or_default(),
            )
        };
        let missing = || {
            let (module, name) = text();
            Err(Reason::Missing {
                module,
                name,
                reader,
            })
        };
        let protocol = global.named.protocol;
        let (module3, name3) = if protocol < 3 {
            names::to_py3(module, name)
        } else {
            (module, name)
        };
        let (module_there, name_there) = if reader.is_python2() {
            (module, name)
        } else {
            (module3, name3)
        };
        let known_there = inventory.and_then(|all| all.knows(module_there, name_there));
        if known_there == Some(false) {
            return missing();
        }
        let dotted = memchr::memchr(b'.', name).is_some();
        // Nested names are looked up part by part from protocol 4 on only.
        let plain_only = protocol < 4 && dotted;
        let is_lacking = || {
            !reader.may_be(versions_with((module, name), (module3, name3)))
                || self.against(global, Kind::Missing, reader).is_some()
        };
        if plain_only || (known_there.is_none() && is_lacking()) {
            return missing();
        }
        let is = |kind: fn(&Inventory, &[u8], &[u8]) -> bool| {
            inventory.is_some_and(|all| kind(all, module_there, name_there))
        };
        let new_style_only = global.roles.instantiated || global.roles.reconstructed;
        if reader.is_python2()
            && new_style_only
            && (names::is_classic_27(module, name) || is(Inventory::is_classic))
        {
            let (module, name) = text();
            return Err(Reason::Classic { module, name });
        }
        let refused =
            reader.is_python3() && global.from_str || reader.is_python2() && global.from_text;
        if refused && is(Inventory::is_bytes_based) {
            let (module, name) = text();
            return Err(Reason::Bytes { module, name });
        }
        if global.dict_state && is(Inventory::has_no_dict) {
            let (module, name) = text();
            return Err(Reason::State { module, name });
        }
        Ok(())
    }
}

/// The versions that may have a global: as Python 2 looks it up, and as Python 3.
fn versions_with(in2: (&[u8], &[u8]), in3: (&[u8], &[u8])) -> Versions {
    let lookup = |(module, name)| names::lookup(module, names::first_part(name));
    let has2 = lookup(in2);
    // Most are called the same.
    let has3 = if in3 == in2 { has2 } else { lookup(in3) };
    let listed = |has: Option<Presence>| has.is_some_and(|has| has.listed.is_some());
    // Where one side of a renaming is known, the other side's lack of it is, too.
    let known = listed(has2) || listed(has3);
    let versions = |has: Option<Presence>| {
        has.map_or(Versions::ALL, |has| match has.listed {
            None if known => has.foreign,
            _ => has.versions(),
        })
    };
    versions(has2) & Versions::PY2 | versions(has3) & Versions::PY3
}

#[cfg(test)]
mod tests {
    use crate::pickle::reader::Series;
    use crate::pickle::{Extensions, Scanner, Verdict};

    use super::*;

    const PY2: &str = include_str!("../../tests/fixtures/inventory/py2.7.json");
    const PY3: &str = include_str!("../../tests/fixtures/inventory/py3.13.json");

    fn python(minor: u64) -> Reader {
        Reader::of_python(3, Some(minor))
    }

    fn python2() -> Reader {
        Reader::of_python(2, Some(7))
    }

    fn judged(pickle: &[u8], reader: Reader, inventory: Option<&str>) -> (Verdict, String) {
        let inventory = inventory.map(|text| Inventory::read("app", text.as_bytes()).unwrap());
        let mut scanner = Scanner::default();
        let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
        match scan.judge(reader, inventory.as_ref()) {
            Ok(()) => (Verdict::Loadable, String::new()),
            Err(reason) => (reason.verdict(), reason.to_string()),
        }
    }

    /// An inventory of an environment that has this module, too.
    fn importing(inventory: &str, module: &str) -> String {
        let mut value: serde_json::Value = serde_json::from_str(inventory).unwrap();
        value["importable"]
            .as_array_mut()
            .unwrap()
            .push(module.into());
        value.to_string()
    }

    fn verdict(pickle: &[u8], reader: Reader) -> Verdict {
        judged(pickle, reader, None).0
    }

    #[test]
    fn what_only_a_backport_has_is_not_known_without_an_inventory() {
        // ip_address("10.0.0.1")
        let address = b"\x80\x02cipaddress\nIPv4Address\nq\x00J\x01\x00\x00\n\x85q\x01Rq\x02.";
        let (verdict, why) = judged(address, python2(), None);
        assert_eq!(verdict, Verdict::Unknown);
        insta::assert_snapshot!(why, @"ipaddress is not part of Python 2.7 (a backport may be installed: an inventory tells)");
        assert_eq!(judged(address, python(6), None).0, Verdict::Loadable);
        // Which of them does not have it.
        let (verdict, why) = judged(address, python2(), Some(PY2));
        assert_eq!(verdict, Verdict::Unloadable);
        insta::assert_snapshot!(why, @"ipaddress.IPv4Address does not exist in Python 2.7");
        let with = importing(PY2, "ipaddress");
        assert_eq!(judged(address, python2(), Some(&with)).0, Verdict::Loadable);
    }

    #[test]
    fn backports_have_what_they_are_known_to_have() {
        let named = |name: &str| verdict(format!("c{name}\n.").as_bytes(), python2());
        for name in [
            "enum\nIntEnum",
            "pathlib\nPurePosixPath",
            "typing\nOptional",
            "concurrent.futures._base\nTimeoutError",
        ] {
            assert_eq!(named(name), Verdict::Unknown, "{name}");
        }
        for name in [
            "enum\nFlag",
            "pathlib._local\nPosixPath",
            "zoneinfo\nZoneInfo",
        ] {
            assert_eq!(named(name), Verdict::Unloadable, "{name}");
        }
        assert_eq!(
            verdict(b"cdataclasses\nfield\n.", python(6)),
            Verdict::Unknown
        );
        assert_eq!(
            verdict(b"cdataclasses\nfield\n.", python(7)),
            Verdict::Loadable
        );
        // Of other platforms, which is another matter.
        let of_windows = b"casyncio.windows_events\nIocpProactor\n.";
        assert_eq!(verdict(of_windows, python(8)), Verdict::Loadable);
        // What is certain comes first.
        let both = b"(cipaddress\nIPv4Address\nczoneinfo\nZoneInfo\nt.";
        assert_eq!(verdict(both, python2()), Verdict::Unloadable);
    }

    #[test]
    fn django_brings_packages_along_for_a_time() {
        let judged = |pickle: &[u8], reader: Reader, django: Option<Series>| {
            judged(pickle, reader.with_django(django), None)
        };
        // pytz.utc
        let utc = b"\x80\x02cpytz\n_UTC\nq\x00)Rq\x01.";
        for django in [None, Some((2, 2)), Some((3, 2))] {
            assert_eq!(judged(utc, python(9), django).0, Verdict::Loadable);
        }
        assert_eq!(judged(utc, python2(), None).0, Verdict::Loadable);
        let (verdict, why) = judged(utc, python(9), Some((4, 0)));
        assert_eq!(verdict, Verdict::Unknown);
        insta::assert_snapshot!(why, @"pytz does not come with Django since 4.0 (it may be installed: an inventory tells)");
        // ZoneInfo("Asia/Tokyo"), of the package for 3.6 to 3.8.
        let tokyo = b"\x80\x02cbackports.zoneinfo\nZoneInfo\nq\x00.";
        let (verdict, why) = judged(tokyo, python(9), None);
        assert_eq!(verdict, Verdict::Unknown);
        insta::assert_snapshot!(why, @"backports.zoneinfo comes with Django 4 before Python 3.9 only (it may be installed: an inventory tells)");
        for (django, expected) in [
            (None, Verdict::Loadable),
            (Some((4, 2)), Verdict::Loadable),
            (Some((3, 2)), Verdict::Unknown),
        ] {
            assert_eq!(judged(tokyo, python(8), django).0, expected);
        }
        assert_eq!(judged(tokyo, python2(), None).0, Verdict::Unloadable);
    }

    #[test]
    fn an_inventory_settles_doubts() {
        let utc = b"\x80\x02cpytz\n_UTC\nq\x00)Rq\x01.";
        let django = python(13).with_django(Some((5, 2)));
        assert_eq!(judged(utc, django, None).0, Verdict::Unknown);
        assert_eq!(judged(utc, django, Some(PY3)).0, Verdict::Unloadable);
        let with = importing(PY3, "pytz");
        assert_eq!(judged(utc, django, Some(&with)).0, Verdict::Loadable);
    }

    /// `socket.timeout("timed out")`, `asyncio.TimeoutError()` and
    /// `TimeoutError(110, "slow")` of Python 3.11.
    #[test]
    fn a_timeout_may_be_that_of_another_module() {
        let sockets = b"\x80\x03cbuiltins\nTimeoutError\nq\x00X\x09\x00\x00\x00timed outq\x01\x85q\x02Rq\x03.";
        let asyncio = b"\x80\x04\x95 \x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94\x8c\x0cTimeoutError\x94\x93\x94)R\x94.";
        let system =
            b"\x80\x03cbuiltins\nTimeoutError\nq\x00KnX\x04\x00\x00\x00slowq\x01\x86q\x02Rq\x03.";
        for minor in [6, 9, 10] {
            assert_eq!(verdict(sockets, python(minor)), Verdict::Unknown);
            assert_eq!(
                judged(asyncio, python(minor), Some(PY3)).0,
                Verdict::Unknown
            );
            assert_eq!(verdict(system, python(minor)), Verdict::Loadable);
        }
        for pickle in [&sockets[..], asyncio, system] {
            assert_eq!(verdict(pickle, python(11)), Verdict::Loadable);
            assert_eq!(
                verdict(pickle, Reader::of_python(3, None)),
                Verdict::Loadable
            );
            assert_eq!(verdict(pickle, python2()), Verdict::Unloadable);
        }
        // To catch it says nothing of what was caught.
        assert_eq!(
            verdict(b"\x80\x03cbuiltins\nTimeoutError\n.", python(9)),
            Verdict::Loadable
        );
        // concurrent.futures.TimeoutError(), and asyncio's of 3.6 and 3.7.
        let futures = b"\x80\x02cconcurrent.futures._base\nTimeoutError\nq\x00)Rq\x01.";
        let verdicts = [6, 7, 8, 10, 11].map(|minor| verdict(futures, python(minor)));
        let (yes, maybe) = (Verdict::Loadable, Verdict::Unknown);
        assert_eq!(verdicts, [yes, yes, maybe, maybe, yes]);
    }

    #[test]
    fn some_states_are_taken_by_some_releases_or_for_some_uses() {
        let slots = b"\x80\x02cstatistics\nNormalDist\nq\x00)\x81q\x01N}q\x02(X\x03\x00\x00\x00_muq\x03G@\x0c\x00\x00\x00\x00\x00\x00X\x06\x00\x00\x00_sigmaq\x04G?\xf4\x00\x00\x00\x00\x00\x00u\x86q\x05b.";
        let verdicts = [8, 9, 10, 11, 12].map(|minor| verdict(slots, python(minor)));
        let (yes, maybe, no) = (Verdict::Loadable, Verdict::Unknown, Verdict::Unloadable);
        assert_eq!(verdicts, [yes, yes, maybe, maybe, no]);
        // Signer(key="k") of Django 3.2.
        let signer = b"\x80\x02cdjango.core.signing\nSigner\nq\x00)\x81q\x01}q\x02(X\x03\x00\x00\x00keyq\x03X\x01\x00\x00\x00kq\x04X\x09\x00\x00\x00algorithmq\x09X\x06\x00\x00\x00sha256q\nub.";
        let verdicts = [(3, 0), (3, 2), (4, 0), (4, 1), (5, 2)]
            .map(|series| verdict(signer, python(10).with_django(Some(series))));
        assert_eq!(verdicts, [no, yes, yes, maybe, maybe]);
    }
}
