//! Dotted paths, each with flags: found part by part, in as many look-ups as a path
//! of the list has parts, however many paths there are and whatever is asked.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// A tree of the parts of paths. Only configurations put something into it, so that
/// no seed has to be secret: what is asked never gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// The first is the root.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    flags: u16,
    children: HashMap<Box<str>, u32, FixedState>,
}

/// The flags met while a path was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Followed {
    /// Flags of the path and of all that it begins with.
    pub(super) any: u16,
    /// Flags of the path itself.
    pub(super) own: u16,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Paths {
    /// Adds flags to those of a path.
    pub(super) fn insert(&mut self, path: &str, flags: u16) {
        let mut at = 0;
        for part in path.split('.') {
            let next = self.nodes.len() as u32;
            at = if let Some(&child) = self.nodes[at].children.get(part) {
                child as usize
            } else {
                self.nodes[at].children.insert(part.into(), next);
                self.nodes.push(Node::default());
                next as usize
            };
        }
        self.nodes[at].flags |= flags;
    }

    /// Follows the parts of a path.
    pub(super) fn follow<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> Followed {
        let (mut at, mut any) = (0, 0);
        for part in parts {
            let Some(&child) = self.nodes[at].children.get(part) else {
                return Followed { any, own: 0 };
            };
            at = child as usize;
            any |= self.nodes[at].flags;
        }
        let own = self.nodes[at].flags;
        Followed { any, own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_as_far_as_the_list_has_it() {
        let mut paths = Paths::default();
        paths.insert("os", 1);
        paths.insert("os.path.join", 2);
        paths.insert("os.path.join", 4);
        let follow = |path: &str| {
            let Followed { any, own } = paths.follow(path.split('.'));
            (any, own)
        };
        assert_eq!(follow("os"), (1, 1));
        assert_eq!(follow("os.system"), (1, 0));
        assert_eq!(follow("os.path"), (1, 0));
        assert_eq!(follow("os.path.join"), (7, 6));
        assert_eq!(follow("os.path.join.__call__"), (7, 0));
        for other in ["", "o", "oss", ".os", "path.join"] {
            assert_eq!(follow(other), (0, 0), "{other}");
        }
    }
}
