//! Reads crates into modules: what each defines, what it imports, and every path
//! that its code names. Leaves out what only tests see.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Texts of files by their paths, for the checker's own tests as for the tree.
pub(crate) type Sources = BTreeMap<String, String>;

/// A path as it stands in the code.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// `use path as name`.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The path of its file: an inline module has that of the module around it.
    pub(crate) file: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) globs: Vec<Named>,
    /// Names given to macros at the level of items, which may define any of them.
    pub(crate) given: BTreeSet<String>,
    pub(crate) named: Vec<Named>,
}

/// The modules of several crates.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
    /// Libraries by the name under which other crates know them.
    pub(crate) libraries: BTreeMap<String, usize>,
    /// Lines of each file that are not tests.
    pub(crate) lines: BTreeMap<String, usize>,
}

impl Tree {
    /// Reads a crate from the file of its root.
    pub(crate) fn add_crate(&mut self, sources: &Sources, root: &str, library: Option<&str>) {
        let module = self.add_file(sources, root, None);
        if let Some(name) = library {
            self.libraries.insert(name.to_owned(), module);
        }
    }

    fn add_file(&mut self, sources: &Sources, path: &str, parent: Option<usize>) -> usize {
        let text = &sources[path];
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = self.add_module(path, parent);
        let mut reader = Reader {
            tree: self,
            sources,
            module,
            dir: directory(path),
            test_lines: 0,
        };
        reader.visit_file(&file);
        let lines = text.lines().count() - reader.test_lines;
        self.lines.insert(path.to_owned(), lines);
        module
    }

    fn add_module(&mut self, file: &str, parent: Option<usize>) -> usize {
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        });
        self.modules.len() - 1
    }
}

/// Directory of the children of a file's module.
fn directory(path: &str) -> String {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => dir.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let list = attr.meta.require_list();
        attr.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// Collects what one module holds, and reads its children.
struct Reader<'t> {
    tree: &'t mut Tree,
    sources: &'t Sources,
    module: usize,
    dir: String,
    test_lines: usize,
}

impl Reader<'_> {
    fn here(&mut self) -> &mut Module {
        &mut self.tree.modules[self.module]
    }

    fn name(&mut self, path: Vec<String>, at: &Ident) {
        let line = at.span().start().line;
        self.here().named.push(Named { path, line });
    }

    fn leave_out(&mut self, item: &impl syn::spanned::Spanned) {
        let span = item.span();
        self.test_lines += span.end().line - span.start().line + 1;
    }

    fn child(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        let below = format!("{}/{name}", self.dir);
        let child = match &item.content {
            None => {
                let mut paths = [format!("{below}.rs"), format!("{below}/mod.rs")].into_iter();
                let path = paths.find(|path| self.sources.contains_key(path));
                let path = path.unwrap_or_else(|| panic!("mod {below} has no file"));
                self.tree.add_file(self.sources, &path, Some(self.module))
            }
            Some((_, items)) => {
                let file = self.here().file.clone();
                let child = self.tree.add_module(&file, Some(self.module));
                let outer = (self.module, std::mem::replace(&mut self.dir, below));
                self.module = child;
                for item in items {
                    self.visit_item(item);
                }
                (self.module, self.dir) = outer;
                child
            }
        };
        self.here().children.insert(name, child);
    }

    fn import(&mut self, prefix: &[String], tree: &UseTree) {
        let joined = |ident: &Ident| [prefix, &[ident.to_string()]].concat();
        let (ident, name, path) = match tree {
            UseTree::Path(path) => return self.import(&joined(&path.ident), &path.tree),
            UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.import(prefix, tree));
            }
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                let path = prefix.to_vec();
                return self.here().globs.push(Named { path, line });
            }
            UseTree::Name(name) => (&name.ident, name.ident.to_string(), joined(&name.ident)),
            UseTree::Rename(name) => (&name.ident, name.rename.to_string(), joined(&name.ident)),
        };
        // `a::{self}` is `a`.
        let is_self = ident == "self" && !prefix.is_empty();
        let path = if is_self { prefix.to_vec() } else { path };
        let own = path.last().cloned().unwrap_or_default();
        let name = if name == "self" { own } else { name };
        self.name(path.clone(), ident);
        self.here().imports.push(Import { name, path });
    }

    /// Names the paths in the tokens of a macro or an attribute, which may be any.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let punct = |at: usize, c: char| {
            let found = tokens.get(at);
            matches!(found, Some(TokenTree::Punct(punct)) if punct.as_char() == c)
        };
        let before = |at: usize, back: usize, c: char| at >= back && punct(at - back, c);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    let begin = at;
                    while punct(at + 1, ':') && punct(at + 2, ':') {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else {
                            break;
                        };
                        path.push(next.to_string());
                        at += 3;
                    }
                    // Neither `.field`, nor `'lifetime`, nor a macro's `$parameter`.
                    let field = before(begin, 1, '.') && !before(begin, 2, '.');
                    let parameter = before(begin, 1, '$') && first != "crate";
                    if !field && !parameter && !before(begin, 1, '\'') {
                        self.name(path, first);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attrs, ident) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Mod(item) => (&item.attrs, None),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Use(item) => (&item.attrs, None),
            Item::ExternCrate(_) | Item::ForeignMod(_) => return,
            _ => panic!("{}: an item of an unknown kind", self.here().file),
        };
        if is_test(attrs) {
            return self.leave_out(item);
        }
        if let Some(ident) = ident {
            let name = ident.to_string();
            self.here().items.insert(name);
        }
        match item {
            Item::Mod(item) => self.child(item),
            Item::Use(item) => self.import(&[], &item.tree),
            Item::Macro(item) if item.ident.is_none() => {
                let given = identifiers(item.mac.tokens.clone());
                self.here().given.extend(given);
                visit::visit_item_macro(self, item);
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attrs = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => panic!("{}: an item of an unknown kind", self.here().file),
        };
        if is_test(attrs) {
            return self.leave_out(item);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // `::name` is another crate's.
        if let (None, Some(first)) = (&path.leading_colon, path.segments.first()) {
            let segments = path.segments.iter();
            self.name(
                segments.map(|segment| segment.ident.to_string()).collect(),
                &first.ident,
            );
        }
        visit::visit_path(self, path);
    }

    /// A pattern of one word is a constant or a new name.
    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        self.name(vec![pat.ident.to_string()], &pat.ident);
        visit::visit_pat_ident(self, pat);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }

    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        match &attr.meta {
            syn::Meta::List(list) => self.tokens(list.tokens.clone()),
            _ if attr.path().is_ident("doc") => {}
            _ => visit::visit_attribute(self, attr),
        }
    }
}

fn identifiers(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => found.push(ident.to_string()),
            // What is in round brackets are arguments and the fields of tuples.
            TokenTree::Group(group) if group.delimiter() != Delimiter::Parenthesis => {
                found.extend(identifiers(group.stream()));
            }
            _ => {}
        }
    }
    found
}
