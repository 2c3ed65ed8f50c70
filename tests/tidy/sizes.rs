//! Holds files to a size that is read in one go.

use std::collections::BTreeMap;

/// Lines of a file, its tests left out.
const MOST: usize = 600;

/// Files that may stay longer, and why.
const EXCEPTIONS: &[(&str, usize, &str)] = &[(
    "src/pickle/machine.rs",
    900,
    "one machine with an arm for every opcode, which is read as a table",
)];

/// Lines by which a bound may be above its file, so that small changes do not meet it.
const LEEWAY: usize = 50;

#[test]
fn no_file_is_too_long_to_read() {
    let lines = &crate::circles::crates().lines;
    let mut wrong = Vec::new();
    let bounds = EXCEPTIONS.iter().map(|&(file, most, _)| (file, most));
    let bounds: BTreeMap<&str, usize> = bounds.collect();
    for (file, most) in &bounds {
        let now = lines.get(*file).copied().unwrap_or_default();
        if now <= MOST {
            wrong.push(format!("{file} has {now} lines: it is no exception"));
        } else if now + LEEWAY <= *most {
            wrong.push(format!("{file} has {now} lines: lower its bound of {most}"));
        }
    }
    for (file, now) in lines {
        let most = bounds.get(file.as_str()).copied().unwrap_or(MOST);
        if *now > most {
            wrong.push(format!("{file} has {now} lines, more than {most}: cut it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
