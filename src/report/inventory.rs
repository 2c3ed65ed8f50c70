//! What one environment would make of another's pickles, by their inventories alone.

use std::fmt;

use serde::Serialize;

use crate::pickle::inventory::Inventory;
use crate::pickle::names::is_in;
use crate::pickle::{Alike, compare};
use crate::report::table::aligned;

/// One inventory, and what it is called.
#[derive(Debug, Clone, Copy)]
pub struct Side<'i> {
    /// The name of its file.
    pub name: &'i str,
    /// The inventory.
    pub inventory: &'i Inventory,
}

/// The classes and functions that a writer may name, and what becomes of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    writer: String,
    reader: String,
    /// Count of those that are the same.
    same: usize,
    /// The others, by name.
    others: Vec<Other>,
}

/// A class or a function that is not the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    name: String,
    /// `missing`, `differs` or `unknown`.
    is: &'static str,
    /// What differs, or why that is not known.
    why: String,
}

impl Difference {
    /// Compares what the writer's inventory lists in these packages, or all.
    pub fn of(writer: Side<'_>, reader: Side<'_>, packages: &[String]) -> Self {
        let mut same = 0;
        let mut others = Vec::new();
        let is_asked = |module: &[u8]| {
            let mut within = packages
                .iter()
                .map(|package| is_in(module, package.as_bytes()));
            packages.is_empty() || within.any(|within| within)
        };
        let listed = writer.inventory.listed_names();
        for (module, name) in listed.filter(|(module, _)| is_asked(module)) {
            let (is, why) = match compare(writer.inventory, reader.inventory, module, name) {
                Alike::Same => {
                    same += 1;
                    continue;
                }
                Alike::Missing => ("missing", String::new()),
                Alike::Differs(what) => ("differs", what.join(", ")),
                Alike::Unknown(why) => ("unknown", why.to_owned()),
            };
            let [module, name] = [module, name].map(String::from_utf8_lossy);
            let name = format!("{module}.{name}");
            others.push(Other { name, is, why });
        }
        others.sort_by(|one, other| (one.is, &one.name).cmp(&(other.is, &other.name)));
        let called = |side: Side<'_>| {
            let (major, minor) = side.inventory.python();
            format!("{} (Python {major}.{minor})", side.name)
        };
        Self {
            writer: called(writer),
            reader: called(reader),
            same,
            others,
        }
    }

    fn count(&self, is: &str) -> usize {
        self.others.iter().filter(|other| other.is == is).count()
    }

    /// Whether some pickles of the writer's would surely not be read, or read otherwise.
    pub fn is_certain(&self) -> bool {
        self.count("missing") + self.count("differs") > 0
    }

    /// Whether all is the same.
    pub fn is_none(&self) -> bool {
        self.others.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pickles of {}, read by {}", self.writer, self.reader)?;
        let rows = self.others.iter();
        let rows: Vec<_> = rows
            .map(|other| [other.is.to_owned(), other.name.clone(), other.why.clone()])
            .collect();
        f.write_str(&aligned(&rows))?;
        let [missing, differ, unknown] = ["missing", "differs", "unknown"].map(|is| self.count(is));
        let same = self.same;
        write!(
            f,
            "{same} the same, {missing} missing, {differ} differ, {unknown} not known"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two listings of one module, with these facts of its names.
    fn inventory(python: u64, facts: &[(&str, &str)]) -> Inventory {
        let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
        let numbers: Vec<_> = (0..facts.len()).map(|number| number.to_string()).collect();
        let facts: Vec<_> = facts.iter().map(|(_, facts)| *facts).collect();
        let listing = serde_json::json!({
            "format": 2, "python": [3, python, 0], "distributions": {}, "open": [],
            "modules": {"shop": names.join(" "), "other": ""},
            "facts": facts, "facts_of": {"shop": numbers.join(" "), "other": ""},
            "classic": {}, "bytes_based": {}, "text_based": {}, "no_dict": {}, "walked": [],
            "importable": ["shop", "other"], "errors": {}, "owners": {},
        });
        Inventory::read("app", listing.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_missing_or_differs_is_told() {
        let before = [
            ("Cart", "class sets=items"),
            ("Gone", "class"),
            ("Kind", "class enum=A:i1,B:i2"),
            ("Made", "class c"),
            ("Point", "class base=tuple tuple=x,y"),
            ("total", "function 1-1 #00000001"),
        ];
        let after = [
            ("Cart", "class setstate=#00000002 sets=items,owner"),
            ("Kind", "class enum=A:i1"),
            ("Made", "class c"),
            ("Point", "class base=tuple tuple=x,y"),
            ("total", "function 1-1 #00000003"),
        ];
        let (before, after) = (inventory(8, &before), inventory(13, &after));
        let side = |name, inventory| Side { name, inventory };
        let sides = (side("old.json", &before), side("new.json", &after));
        let difference = Difference::of(sides.0, sides.1, &[]);
        assert!(difference.is_certain() && !difference.is_none());
        insta::assert_snapshot!(difference.to_string(), @r"
        pickles of old.json (Python 3.8), read by new.json (Python 3.13)
          differs  shop.Cart   __setstate__, attributes
          differs  shop.Kind   members
          differs  shop.total  code
          missing  shop.Gone
        2 the same, 1 missing, 3 differ, 0 not known
        ");
        assert!(Difference::of(sides.0, sides.1, &["other".to_owned()]).is_none());
        assert!(Difference::of(sides.0, sides.0, &[]).is_none());
    }
}
