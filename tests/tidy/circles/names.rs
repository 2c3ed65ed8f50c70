//! Resolves a path to the files that define what it names, through every re-export
//! and glob on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Module, Named, Tree};

/// Meaning of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Module(usize),
    /// Defined in this module; what follows in a path is part of it.
    Item(usize, String),
}

/// Names, and the line where each is first used.
pub(crate) type Names = BTreeMap<String, usize>;

/// Names that each file takes from each other.
pub(crate) type Edges = BTreeMap<(String, String), Names>;

pub(crate) struct Resolver<'t> {
    tree: &'t Tree,
    /// Names being looked up, so that imports which name each other come to an end.
    under_way: Vec<(usize, String)>,
}

/// Finds the names that each file takes from each other.
///
/// # Panics
///
/// If a path leads into these crates and to nothing there: its edge would be missing.
pub(crate) fn edges(tree: &Tree) -> Edges {
    let mut resolver = Resolver {
        tree,
        under_way: Vec::new(),
    };
    let mut edges = Edges::new();
    for (at, module) in tree.modules.iter().enumerate() {
        for named in module.named.iter().chain(&module.globs) {
            for meaning in resolver.resolve(at, named) {
                let Meaning::Item(owner, name) = meaning else {
                    continue;
                };
                let to = &tree.modules[owner].file;
                if *to != module.file {
                    let edge = (module.file.clone(), to.clone());
                    let line = edges
                        .entry(edge)
                        .or_default()
                        .entry(name)
                        .or_insert(named.line);
                    *line = named.line.min(*line);
                }
            }
        }
    }
    edges
}

/// Paths by which a file takes from a module above it what that one only imports, as
/// `file: path`.
pub(crate) fn borrowed(tree: &Tree) -> BTreeSet<String> {
    let mut resolver = Resolver {
        tree,
        under_way: Vec::new(),
    };
    let mut found = BTreeSet::new();
    for (at, module) in tree.modules.iter().enumerate() {
        for named in &module.named {
            if resolver.is_borrowed(at, &named.path) {
                found.insert(format!("{}: {}", module.file, named.path.join("::")));
            }
        }
    }
    found
}

impl Resolver<'_> {
    fn is_borrowed(&mut self, from: usize, path: &[String]) -> bool {
        (1..path.len()).any(|end| {
            self.follow(from, &path[..end]).into_iter().any(|meaning| {
                let Meaning::Module(of) = meaning else {
                    return false;
                };
                let (of_it, name) = (self.module(of), &path[end]);
                let owns = of_it.children.contains_key(name)
                    || of_it.items.contains(name)
                    || of_it.given.contains(name);
                name != "super" && !owns && self.is_above(of, from)
            })
        })
    }

    /// Whether a module is above that of a file.
    fn is_above(&self, module: usize, of: usize) -> bool {
        let parents = std::iter::successors(self.module(of).parent, |&at| self.module(at).parent);
        self.module(module).file != self.module(of).file
            && parents.into_iter().any(|parent| parent == module)
    }

    fn resolve(&mut self, from: usize, named: &Named) -> BTreeSet<Meaning> {
        let path = &named.path;
        let found = self.follow(from, path);
        let first = self.begin(from, &path[0]);
        let ours = first.iter().any(|m| matches!(m, Meaning::Module(_)));
        assert!(
            !found.is_empty() || !ours || path[0] == "Self",
            "{}:{}: {} leads to nothing: the checker has to learn how it is defined",
            self.tree.modules[from].file,
            named.line,
            path.join("::"),
        );
        found
    }

    fn follow(&mut self, from: usize, path: &[String]) -> BTreeSet<Meaning> {
        let mut found = self.begin(from, &path[0]);
        for name in &path[1..] {
            let next = found.into_iter().flat_map(|meaning| match meaning {
                Meaning::Module(module) if name == "super" => {
                    self.parent(module).into_iter().collect()
                }
                Meaning::Module(module) => self.look_up(module, name),
                item @ Meaning::Item(..) => BTreeSet::from([item]),
            });
            found = next.collect();
        }
        found
    }

    /// Meanings of the first name of a path.
    fn begin(&mut self, from: usize, name: &str) -> BTreeSet<Meaning> {
        let module = match name {
            "crate" => {
                let parents = std::iter::successors(Some(from), |&at| self.module(at).parent);
                parents.last().map(Meaning::Module)
            }
            "self" => Some(Meaning::Module(from)),
            "super" => self.parent(from),
            "Self" => None,
            name => {
                let found = self.look_up(from, name);
                let library = self.tree.libraries.get(name).copied();
                if found.is_empty() {
                    library.map(Meaning::Module)
                } else {
                    return found;
                }
            }
        };
        module.into_iter().collect()
    }

    fn module(&self, at: usize) -> &Module {
        &self.tree.modules[at]
    }

    fn parent(&self, of: usize) -> Option<Meaning> {
        self.module(of).parent.map(Meaning::Module)
    }

    /// Meanings of a name within a module: its own items, then imports by name, then
    /// globs, then what its macros may have defined.
    fn look_up(&mut self, at: usize, name: &str) -> BTreeSet<Meaning> {
        let key = (at, name.to_owned());
        if self.under_way.contains(&key) {
            return BTreeSet::new();
        }
        self.under_way.push(key);
        let module = &self.tree.modules[at];
        let mut found = BTreeSet::new();
        found.extend(module.children.get(name).copied().map(Meaning::Module));
        if module.items.contains(name) {
            found.insert(Meaning::Item(at, name.to_owned()));
        }
        for import in module.imports.iter().filter(|import| import.name == name) {
            found.extend(self.follow(at, &import.path));
        }
        if found.is_empty() {
            for glob in &module.globs {
                for meaning in self.follow(at, &glob.path) {
                    if let Meaning::Module(target) = meaning {
                        found.extend(self.look_up(target, name));
                    }
                }
            }
        }
        if found.is_empty() && module.given.contains(name) {
            found.insert(Meaning::Item(at, name.to_owned()));
        }
        self.under_way.pop();
        found
    }
}
