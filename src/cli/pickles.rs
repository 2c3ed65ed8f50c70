//! `inspect` and `transcode`: files of pickles, and the Pythons that are to read them.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::answer::{Failure, json, print, usage, write};
use super::args::{self, Format};
use super::files;
use crate::pickle::Verdict;
use crate::pickle::inventory::Inventory;
use crate::policy::RuntimeTag;
use crate::report::inspect::{Asked, Inspector, NameList, every_python};
use crate::report::inventory::{Difference, Side};
use crate::report::transcode::{self, Done};

pub(super) fn inspect(args: &args::Inspect) -> Result<(), Failure> {
    let named = inputs(&args.files)?;
    let readers = readers(&args.reader, &args.inventory)?;
    // Where none is named, all are asked, and none answers for the exit code.
    let asked = readers.iter().filter(|_| !args.reader.is_empty());
    let mut judged: Vec<_> = asked.map(|reader| (reader.tag.to_string(), 0, 0)).collect();
    let mut inspector = Inspector::new(readers);
    let mut list = NameList::default();
    let mut unreadable = Vec::new();
    let progress = progress(&named);
    for path in named.iter().flat_map(|path| files::below(path)) {
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                unreadable.push(error.to_string());
                continue;
            }
        };
        let input = path.display().to_string();
        progress.inc(1);
        let report = match files::read(&path) {
            Ok(bytes) => inspector.inspect(&input, &bytes),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                let size = fs::metadata(&path).map_or(0, |about| about.len());
                inspector.refuse(&input, size as usize, error.to_string())
            }
            Err(error) => {
                unreadable.push(format!("{input}: {error}"));
                continue;
            }
        };
        if args.globals {
            list.add(&report);
            if let Some(error) = &report.error {
                progress.suspend(|| eprintln!("{input}: {error}"));
            }
            continue;
        }
        for ((_, cannot, unknown), reader) in judged.iter_mut().zip(&report.readers) {
            match reader.verdict {
                Verdict::Loadable => {}
                Verdict::Unloadable => *cannot += 1,
                Verdict::Unknown | Verdict::NotLookedAt => *unknown += 1,
            }
        }
        let text = match args.format {
            Format::Json => json(&report)?,
            Format::Text if progress.position() == 1 => report.to_string(),
            Format::Text => format!("\n{report}"),
        };
        progress.suspend(|| print(&text))?;
    }
    progress.finish_and_clear();
    if args.globals {
        print(&match args.format {
            Format::Json => json(&list)?,
            Format::Text => list.to_string(),
        })?;
    }
    if !unreadable.is_empty() {
        return Err(Failure::Usage(unreadable.join("\n")));
    }
    let of = progress.position();
    if of == 0 {
        return Err(usage("no files there"));
    }
    let mut told = Vec::new();
    for (tag, cannot, unknown) in &judged {
        if *cannot > 0 {
            told.push(format!("{tag} cannot load {cannot} of {of}"));
        }
        if *unknown > 0 {
            told.push(format!("{tag}: not known of {unknown} of {of}"));
        }
    }
    match told.join("\n") {
        told if told.is_empty() => Ok(()),
        told if judged.iter().any(|(_, cannot, _)| *cannot > 0) => Err(Failure::No(told)),
        told => Err(Failure::Unknown(told)),
    }
}

/// A counter on standard error, if that is a terminal and there is something to count.
fn progress(named: &[PathBuf]) -> ProgressBar {
    let has_directory = named.iter().any(|path| path.is_dir());
    let (template, len) = match named {
        // How many are below it is known at the end.
        _ if has_directory => ("{pos} files", None),
        [_] => return ProgressBar::hidden(),
        _ => ("{pos} of {len} files", Some(named.len() as u64)),
    };
    let style = ProgressStyle::with_template(template);
    let target = ProgressDrawTarget::stderr_with_hz(10);
    ProgressBar::with_draw_target(len, target)
        .with_style(style.expect("the template is well-formed"))
}

pub(super) fn transcode(args: &args::Transcode) -> Result<(), Failure> {
    let mut reader = asked(&args.reader)?;
    if let Some(path) = &args.inventory {
        take_inventory(&mut reader, path)?;
    }
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(usage(
            "no pickle is written to a terminal: name a file with -o",
        ));
    }
    let inputs = inputs(args.file.as_slice())?;
    let path = &inputs[0];
    let named = |error: &dyn Display| format!("{}: {error}", path.display());
    let bytes = files::read(path).map_err(|error| usage(named(&error)))?;
    let done = transcode::transcode(&reader, &bytes, args.raw);
    let bytes = match done.map_err(|error| Failure::No(named(&error)))? {
        Done::Rewritten(bytes) => bytes,
        Done::Unchanged(bytes) => {
            eprintln!(
                "{}",
                named(&format!(
                    "nothing stands against {}: copied as it is",
                    reader.tag
                ))
            );
            bytes
        }
    };
    match &args.output {
        None => write(&bytes),
        Some(out) => files::replace(out, &bytes)
            .map_err(|error| usage(format!("{}: {error}", out.display()))),
    }
}

/// Returns the files to read: standard input if nothing is named and nobody types
/// there.
fn inputs(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    match files {
        [] if io::stdin().is_terminal() => Err(usage("name a FILE, or - for this terminal")),
        [] => Ok(vec![PathBuf::from("-")]),
        _ => Ok(files.to_vec()),
    }
}

/// The readers named, or all, each with its inventory.
fn readers(tags: &[String], inventories: &[String]) -> Result<Vec<Asked>, Failure> {
    let mut readers: Vec<Asked> = Vec::new();
    for tag in tags {
        let asked = asked(tag)?;
        if readers.iter().all(|known| known.tag != asked.tag) {
            readers.push(asked);
        }
    }
    if tags.is_empty() {
        readers.extend(every_python().map(Asked::from));
    }
    for given in inventories {
        let (tag, path) = given
            .split_once('=')
            .ok_or_else(|| usage(format!("\"{given}\" is no inventory: write TAG=FILE")))?;
        let tag = RuntimeTag::parse(tag).map_err(usage)?;
        let reader = readers.iter_mut().find(|reader| reader.tag == tag);
        let reader = reader.ok_or_else(|| usage(format!("{tag} is none of the readers")))?;
        take_inventory(reader, Path::new(path))?;
    }
    Ok(readers)
}

fn asked(tag: &str) -> Result<Asked, Failure> {
    let tag = RuntimeTag::parse(tag).map_err(usage)?;
    if tag.version("python").is_none() {
        return Err(usage(format!("{tag} names no Python")));
    }
    Ok(tag.into())
}

fn read_inventory(path: &Path) -> Result<(String, Inventory), Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| usage(format!("{name}: {error}")))?;
    let inventory = Inventory::read(&name, file).map_err(usage)?;
    Ok((name, inventory))
}

pub(super) fn diff(args: &args::Diff) -> Result<(), Failure> {
    let (writer, ours) = read_inventory(&args.writer)?;
    let (reader, theirs) = read_inventory(&args.reader)?;
    let side = |name, inventory| Side { name, inventory };
    let sides = (side(&writer, &ours), side(&reader, &theirs));
    let difference = Difference::of(sides.0, sides.1, &args.package);
    match args.format {
        Format::Text => print(&format!("{difference}\n"))?,
        Format::Json => print(&json(&difference)?)?,
    }
    if difference.is_certain() {
        let what = "does not have all that this writes, or has it otherwise";
        Err(Failure::No(format!("{reader}: {what}")))
    } else if difference.is_none() {
        Ok(())
    } else {
        let what = "may have some of what this writes otherwise";
        Err(Failure::Unknown(format!("{reader}: {what}")))
    }
}

fn take_inventory(reader: &mut Asked, path: &Path) -> Result<(), Failure> {
    let (name, inventory) = read_inventory(path)?;
    let (major, minor) = inventory.python();
    let fits = reader.tag.version("python").is_some_and(|python| {
        python.major == major && python.minor.is_none_or(|theirs| theirs == minor)
    });
    if !fits {
        let tag = &reader.tag;
        return Err(usage(format!(
            "{name}: lists Python {major}.{minor}, which is not {tag}"
        )));
    }
    reader.inventory = Some(Arc::new(inventory));
    Ok(())
}
