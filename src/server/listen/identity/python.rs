//! Python version of a process, found from its program and its mapped files. Does nothing
//! but read these.
//!
//! A process can call itself anything, so a name alone is never believed. The files that
//! the process has mapped must agree; if none shows a Python, the content of its program
//! must.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;

use memchr::memmem::Finder;
use procfs::ProcResult;
use procfs::process::Process;

use crate::policy::RuntimeTag;

/// Most mappings of a process looked at: what Linux lets it have by default.
const MAX_MAPPINGS: usize = 65_530;
/// Programs whose files are remembered.
const MAX_PROGRAMS: usize = 256;
/// Bound on the bytes of a program that are searched: four times the largest Python.
const MAX_PROGRAM_BYTES: u64 = 128 << 20;
/// Read at once.
const PIECE_BYTES: usize = 1 << 20;
/// String that every interpreter contains.
const PYTHONPATH: &[u8] = b"PYTHONPATH";
/// Suffix that Linux appends to the path of a mapped file that was deleted.
const DELETED: &str = " (deleted)";

/// Major and minor.
type Version = (u8, u8);

/// A file in one state: a write gives it another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// Programs whose files were searched, with the result for a version.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// `searched.len() <= MAX_PROGRAMS`
    searched: HashMap<(FileId, Version), bool>,
}

impl Programs {
    /// Tag of the Python that a process runs; `None` if it runs none.
    pub(super) fn look_at(&mut self, process: &Process) -> ProcResult<Option<RuntimeTag>> {
        let path = process.exe()?;
        let program = path.file_name().map(OsStr::to_string_lossy);
        // Not procfs's parser: some paths that a process can map make it fail or panic.
        let maps = BufReader::new(process.open_relative("maps")?);
        let holds = |version| {
            let held = process.open_relative("exe").map_err(io::Error::other);
            let held = held.and_then(|file| self.hold(file, version));
            held.unwrap_or_else(|error| {
                tracing::debug!(pid = process.pid, %error, "program not read");
                false
            })
        };
        Ok(runtime_of(
            &program.unwrap_or_default(),
            mapped_files(maps),
            holds,
        ))
    }

    /// Whether a program's file contains the marks of an interpreter of this version.
    fn hold(&mut self, file: File, version: Version) -> io::Result<bool> {
        let metadata = file.metadata()?;
        let id = FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        if let Some(held) = self.searched.get(&(id, version)) {
            return Ok(*held);
        }
        let held = holds(file.take(MAX_PROGRAM_BYTES), version)?;
        if self.searched.len() >= MAX_PROGRAMS {
            self.searched.clear();
        }
        self.searched.insert((id, version), held);
        Ok(held)
    }
}

/// Whether a program contains `PYTHONPATH` and a full version such as `3.11.7`.
fn holds(mut program: impl Read, (major, minor): Version) -> io::Result<bool> {
    let version = format!("{major}.{minor}.");
    let (version, path) = (Finder::new(&version), Finder::new(PYTHONPATH));
    // The next piece begins with the end of the last.
    let kept = PYTHONPATH.len().max(version.needle().len() + 1);
    let (mut has_version, mut has_path) = (false, false);
    let mut piece = Vec::with_capacity(PIECE_BYTES + kept);
    loop {
        let read = program
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        has_path |= path.find(&piece).is_some();
        has_version |= version.find_iter(&piece).any(|at| {
            let before = at.checked_sub(1).map(|before| piece[before]);
            let after = piece.get(at + version.needle().len());
            // Not of 13.11.7, nor of 3.11.x.
            before.is_none_or(|byte| !byte.is_ascii_digit() && byte != b'.')
                && after.is_some_and(u8::is_ascii_digit)
        });
        if read == 0 || has_path && has_version {
            return Ok(has_path && has_version);
        }
        piece.drain(..piece.len().saturating_sub(kept));
    }
}

/// `<addresses> <permissions> <offset> <device> <inode> <path>\n`; only files have a
/// path with a slash.
fn mapped_files(maps: impl BufRead) -> impl Iterator<Item = String> {
    maps.split(b'\n')
        .take(MAX_MAPPINGS)
        .map_while(Result::ok)
        .filter_map(|line| {
            let path = memchr::memchr(b'/', &line)?;
            Some(String::from_utf8_lossy(&line[path..]).into_owned())
        })
}

/// Runtime of a process, from the name of its program, the paths of its mapped files, and
/// whether its program contains the marks of a version.
///
/// A program named otherwise (uwsgi) is a Python if it has mapped a libpython,
/// or an extension module of the standard library if libpython is linked statically. A
/// program named after a Python must agree with the versions that it has mapped; if it
/// has mapped none, its file must contain its version. There is no tag if several
/// versions show, or only a major one.
fn runtime_of(
    program: &str,
    mapped: impl IntoIterator<Item = String>,
    holds: impl FnOnce(Version) -> bool,
) -> Option<RuntimeTag> {
    let program = program.strip_suffix(DELETED).unwrap_or(program);
    let named = python_in_name(program);
    let shown = versions_in_files(named.is_none() && is_python(program), mapped);
    let (major, minor) = match named {
        None => one_of(&shown)?,
        Some(named) if shown.is_empty() => holds(named).then_some(named)?,
        Some(named) => one_of(&shown).filter(|shown| *shown == named)?,
    };
    RuntimeTag::parse(&format!("python/{major}.{minor}")).ok()
}

/// `python2.7`, `python3.13t`, `pypy3.10`.
fn python_in_name(name: &str) -> Option<Version> {
    leading_version(after_any(name, &["python", "pypy"])?)
}

/// `python`, `python3`, `pypy3`.
fn is_python(name: &str) -> bool {
    after_any(name, &["python", "pypy"])
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The versions of the libpythons that are mapped, or else of the modules.
fn versions_in_files(
    is_python: bool,
    mapped: impl IntoIterator<Item = String>,
) -> BTreeSet<Version> {
    let mut libraries = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for path in mapped {
        let name = path.rsplit('/').next().unwrap_or_default();
        let library = after_any(name, &["libpython", "libpypy"]).and_then(leading_version);
        libraries.extend(library);
        modules.extend(python_of_module(is_python, &path));
    }
    if libraries.is_empty() {
        modules
    } else {
        libraries
    }
}

fn one_of(shown: &BTreeSet<Version>) -> Option<Version> {
    let one = shown.len() == 1;
    shown.first().copied().filter(|_| one)
}

/// The version in `/usr/lib/python3.11/lib-dynload/_json.so`. Below another directory
/// of `python3.11` there are also libraries and programs that have nothing to do with
/// Python but came in its packages, so there it must be a Python that maps them.
fn python_of_module(is_python: bool, path: &str) -> Option<Version> {
    let parts: Vec<&str> = path.split('/').collect();
    parts.windows(3).find_map(|window| match *window {
        [lib, python, below] if lib.starts_with("lib") && (is_python || below == "lib-dynload") => {
            python_in_name(python)
        }
        _ => None,
    })
}

pub(super) fn after_any<'t>(text: &'t str, prefixes: &[&str]) -> Option<&'t str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Version at the start of `3.11`, `3.6m.so.1.0` or `3.10-c.so`.
pub(super) fn leading_version(text: &str) -> Option<Version> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(program: &str, mapped: &[&str]) -> Option<String> {
        let mapped = mapped.iter().map(|path| (*path).to_owned());
        runtime_of(program, mapped, |_| false).map(|tag| tag.to_string())
    }

    #[test]
    fn a_name_is_believed_only_with_what_agrees() {
        for (program, version) in [
            ("python2.7", "2.7"),
            ("python3.11", "3.11"),
            ("python3.13t", "3.13"),
            ("python3.9-dbg", "3.9"),
            ("python3.11.4", "3.11"),
            ("python3.6m", "3.6"),
            ("pypy3.10", "3.10"),
            ("pypy2.7", "2.7"),
            ("python3.11 (deleted)", "3.11"),
        ] {
            let tag = Some(format!("python/{version}"));
            let library = format!("/usr/lib/libpython{version}.so.1.0");
            let module = format!("/opt/lib/python{version}/lib-dynload/_json.so");
            // Of whoever installs it where: nothing of the interpreter.
            let package = "/venv/lib/python3.8/site-packages/a.so";
            let other = "/usr/lib/libpython3.8.so.1.0";
            let foreign = "/opt/lib/python3.8/lib-dynload/_json.so";
            assert_eq!(runtime(program, &[&library]), tag, "{program}");
            assert_eq!(runtime(program, &[&library, foreign]), tag, "{program}");
            assert_eq!(runtime(program, &[&module]), tag, "{program}");
            assert_eq!(runtime(program, &[&module, package]), tag, "{program}");
            assert_eq!(runtime(program, &[package]), None, "{program}");
            assert_eq!(runtime(program, &[]), None, "{program}");
            assert_eq!(runtime(program, &[other]), None, "{program}");
            assert_eq!(runtime(program, &[&library, other]), None, "{program}");
            assert_eq!(runtime(program, &[&module, foreign]), None, "{program}");
            // What is in it counts where nothing is mapped that tells.
            let held = |mapped: Option<&str>| {
                let mapped = mapped.map(str::to_owned);
                let tag = runtime_of(program, mapped, |(major, minor)| {
                    format!("{major}.{minor}") == version
                });
                tag.map(|tag| tag.to_string())
            };
            assert_eq!(held(None), tag, "{program}");
            assert_eq!(held(Some(package)), tag, "{program}");
            assert_eq!(held(Some(other)), None, "{program}");
        }
    }

    #[test]
    fn an_interpreter_holds_its_version_in_full_and_its_variables() {
        let held = |text: &[u8]| holds(text, (3, 11)).unwrap();
        assert!(held(b"3.11.7\0lib\0PYTHONPATH\0"));
        assert!(held(b"PYTHONPATH 3.11.0rc1"));
        for text in [
            &b""[..],
            b"3.11.7",
            b"PYTHONPATH",
            b"PYTHONPATH 3.11",
            b"PYTHONPATH 3.11.x",
            b"PYTHONPATH 13.11.7",
            b"PYTHONPATH 1.3.11.7",
            b"PYTHONPATH 3.1.17",
        ] {
            assert!(!held(text), "{}", text.escape_ascii());
        }
        // Across the edges of pieces.
        for at in PIECE_BYTES - 20..PIECE_BYTES + 5 {
            for mark in [&b" 3.11.7 "[..], b" PYTHONPATH "] {
                let mut program = b"PYTHONPATH 3.11.7"[..].to_vec();
                // All but the mark.
                if mark.contains(&b'P') {
                    program[..10].fill(b' ');
                } else {
                    program[11..].fill(b' ');
                }
                program.resize(at, 0);
                program.extend_from_slice(mark);
                program.resize(2 * PIECE_BYTES + 100, 0);
                assert!(held(&program), "{at} {}", mark.escape_ascii());
            }
        }
    }

    #[test]
    fn mapped_files_tell_the_rest() {
        let table: [(&str, &[&str], Option<&str>); 21] = [
            (
                "uwsgi",
                &["/usr/bin/uwsgi", "/usr/lib/libpython3.11.so.1.0"],
                Some("python/3.11"),
            ),
            (
                "apache2",
                &["/usr/lib/x86_64-linux-gnu/libpython2.7.so.1.0"],
                Some("python/2.7"),
            ),
            (
                "uwsgi (deleted)",
                &["/lib/libpython3.6m.so.1.0 (deleted)"],
                Some("python/3.6"),
            ),
            (
                "platform-python3.6",
                &["/lib64/libpython3.6m.so.1.0"],
                Some("python/3.6"),
            ),
            (
                "app",
                &["/tmp/_MEIx/libpython3.13t.so.1.0"],
                Some("python/3.13"),
            ),
            (
                "app",
                &["/opt/pypy/bin/libpypy3.10-c.so"],
                Some("python/3.10"),
            ),
            (
                "app",
                &["/usr/lib/libpython3.so", "/usr/lib/libpython3.9.so"],
                Some("python/3.9"),
            ),
            ("app", &["/usr/lib/libpython3.so"], None),
            (
                "vim",
                &["/lib/libpython2.7.so.1.0", "/lib/libpython3.11.so.1.0"],
                None,
            ),
            (
                "uwsgi",
                &["/opt/lib/python3.8/lib-dynload/_json.so"],
                Some("python/3.8"),
            ),
            (
                "uwsgi",
                &[
                    "/lib/libpython3.9.so",
                    "/lib/python3.8/lib-dynload/_json.so",
                ],
                Some("python/3.9"),
            ),
            (
                "node",
                &["/venv/lib/python3.8/site-packages/nodejs/bin/node"],
                None,
            ),
            (
                "python3",
                &["/venv/lib/python3.8/site-packages/a.so"],
                Some("python/3.8"),
            ),
            (
                "python3",
                &["/usr/lib64/python3.8/lib-dynload/_json.so"],
                Some("python/3.8"),
            ),
            (
                "python (deleted)",
                &["/usr/lib/libpython3.12.so.1.0"],
                Some("python/3.12"),
            ),
            (
                "pypy3",
                &["/opt/lib/pypy3.10/_cffi.so"],
                Some("python/3.10"),
            ),
            (
                "python3",
                &["/lib/python3.8/a.so", "/lib/python3.9/b.so"],
                None,
            ),
            (
                "python3",
                &["/opt/python3.8/a.so", "/lib/python3/dist-packages/b.so"],
                None,
            ),
            ("python3", &["/lib/python3.8"], None),
            ("python3", &[], None),
            ("memcached", &["/usr/lib/libc.so.6", ""], None),
        ];
        for (program, mapped, expected) in table {
            assert_eq!(
                runtime(program, mapped).as_deref(),
                expected,
                "{program} {mapped:?}"
            );
        }
    }

    #[test]
    fn unlikely_names_are_no_python() {
        for program in [
            "",
            " (deleted)",
            "python",
            "python.3",
            "python3.",
            "python999.1",
            "pythonic3.1",
        ] {
            assert_eq!(runtime(program, &[]), None, "{program}");
        }
    }

    #[test]
    fn paths_are_read_out_of_maps() {
        let maps = b"\
            00400000-00452000 r-xp 00000000 08:02 173521     /usr/bin/a b\n\
            00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n\
            35b1800000-35b1820000 r-xp 00000000 08:02 135522  /lib/\xff (deleted)\n\
            f2c6ff8c000-7f2c7078c000 rw-p 00000000 00:00 0\n\
            7fffb2d48000-7fffb2d49000 r-xp 00000000 00:00 0   /SYSV\n";
        let paths: Vec<String> = mapped_files(&maps[..]).collect();
        assert_eq!(paths, ["/usr/bin/a b", "/lib/\u{fffd} (deleted)", "/SYSV"]);
    }
}
