//! The checker on small trees.

use super::graph::Graph;
use super::names;
use super::tree::{Sources, Tree};

/// The circles of a library of these files.
fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let circles = graph(files).circles().into_iter();
    circles.map(|files| files.into_iter().collect()).collect()
}

fn graph(files: &[(&str, &str)]) -> Graph {
    Graph::new(names::edges(&tree(files)))
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files
        .iter()
        .map(|&(path, text)| (format!("src/{path}"), text.to_owned()));
    let sources: Sources = files.collect();
    let mut tree = Tree::default();
    tree.add_crate(&sources, "src/lib.rs", Some("lib"));
    if sources.contains_key("src/main.rs") {
        tree.add_crate(&sources, "src/main.rs", None);
    }
    tree
}

const LIB: (&str, &str) = ("lib.rs", "mod a; mod b;");

#[test]
fn two_files_that_use_each_other_are_a_circle() {
    let found = circles(&[
        LIB,
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; fn f() { let _: crate::a::A; }"),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn files_that_use_each_other_one_way_are_none() {
    let found = circles(&[
        LIB,
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "use std::fmt::Debug; pub struct B;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn re_exports_hide_nothing() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; pub mod facade;"),
        ("facade.rs", "pub use deeper::Name; mod deeper;"),
        ("facade/deeper.rs", "pub(super) use crate::a::A as Name;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        (
            "b.rs",
            "use crate::facade; pub struct B; fn f(a: facade::Name) {}",
        ),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn a_re_exported_module_hides_nothing() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; pub use a as other;"),
        (
            "a.rs",
            "use crate::b::{self}; fn f(b: b::B) {} pub struct A;",
        ),
        (
            "b.rs",
            "pub struct B; impl B { const C: u8 = crate::other::A::C; }",
        ),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn globs_hide_nothing() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; mod prelude;"),
        ("prelude.rs", "pub use crate::{a::*, b::*};"),
        ("a.rs", "use crate::prelude::*; pub struct A; fn f(b: B) {}"),
        ("b.rs", "use crate::prelude::*; pub struct B; fn f(a: A) {}"),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn a_glob_takes_only_what_is_used() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; mod prelude;"),
        ("prelude.rs", "pub use crate::{a::*, b::*};"),
        ("a.rs", "use crate::prelude::*; pub struct A; fn f(b: B) {}"),
        ("b.rs", "use crate::prelude::*; pub struct B; fn f(b: B) {}"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn constants_of_a_macro_come_from_the_file_that_calls_it() {
    let found = circles(&[
        LIB,
        ("a.rs", "codes! { MARK = 1; } fn f() { crate::b::g() }"),
        (
            "b.rs",
            "use crate::a::*; pub fn g() { match 1 { MARK => (), _ => () } }",
        ),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn a_module_and_its_children_may_use_each_other() {
    let found = circles(&[
        LIB,
        (
            "a.rs",
            "mod c; mod d; pub struct A(c::C); fn f() { d::g() }",
        ),
        (
            "a/c.rs",
            "use super::A; pub struct C; fn f(_: A) { super::d::g() }",
        ),
        ("a/d.rs", "use crate::a::A; pub fn g() { let _: A; }"),
        ("b.rs", "pub struct B(crate::a::A);"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn children_may_not_use_each_other_in_a_circle() {
    let found = circles(&[
        LIB,
        ("a.rs", "mod c; mod d; pub struct A(c::C);"),
        (
            "a/c.rs",
            "use super::A; pub struct C; fn f(_: A) { super::d::g() }",
        ),
        ("a/d.rs", "pub fn g() { let _: crate::a::c::C; }"),
        ("b.rs", ""),
    ]);
    assert_eq!(found, [["src/a/c.rs", "src/a/d.rs"]]);
}

#[test]
fn what_a_child_takes_from_its_parent_is_its_siblings_if_the_parent_only_imports_it() {
    let found = circles(&[
        LIB,
        ("a.rs", "mod c; mod d; use c::C; pub struct A(C, d::D);"),
        ("a/c.rs", "use super::d::D; pub struct C(D);"),
        ("a/d.rs", "use super::C; pub struct D; fn f(_: C) {}"),
        ("b.rs", ""),
    ]);
    assert_eq!(found, [["src/a/c.rs", "src/a/d.rs"]]);
}

#[test]
fn a_circle_that_leaves_the_module_is_found() {
    let found = circles(&[
        LIB,
        ("a/mod.rs", "mod c; pub struct A(c::C);"),
        ("a/c.rs", "pub struct C(crate::b::B);"),
        ("b.rs", "pub struct B; fn f(_: crate::a::A) {}"),
    ]);
    assert_eq!(found, [["src/a/c.rs", "src/a/mod.rs", "src/b.rs"]]);
}

#[test]
fn methods_in_another_file_are_its_imports_of_the_type() {
    let found = circles(&[
        LIB,
        ("a.rs", "pub struct A; impl A { fn f() { crate::b::g() } }"),
        (
            "b.rs",
            "use crate::a; impl a::A { fn h() {} } pub fn g() {}",
        ),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn arguments_of_macros_and_attributes_count() {
    let found = circles(&[
        LIB,
        ("a.rs", "fn f() { println!(\"{}\", crate::b::B) }"),
        (
            "b.rs",
            "pub struct B { #[arg(value_parser = crate::a::f)] b: u8 }",
        ),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn tests_and_documentation_do_not_count() {
    let found = circles(&[
        LIB,
        (
            "a.rs",
            "//! [`crate::b::B`]\npub struct A;\n#[cfg(test)] mod tests { use crate::b::B; }",
        ),
        ("b.rs", "use crate::a::A; pub struct B(A);"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_command_uses_the_library_by_its_name() {
    let found = circles(&[
        (
            "main.rs",
            "mod cli; use lib::a::A; fn f(_: A, _: cli::Cli) {}",
        ),
        (
            "cli.rs",
            "pub struct Cli; fn f(_: crate::A, _: lib::a::A) {}",
        ),
        ("lib.rs", "pub mod a;"),
        ("a.rs", "pub struct A;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
#[should_panic(expected = "src/a.rs:2: crate::b::Gone leads to nothing")]
fn a_path_that_leads_to_nothing_is_not_passed_over() {
    circles(&[LIB, ("a.rs", "\nuse crate::b::Gone;"), ("b.rs", "")]);
}

#[test]
fn a_circle_is_shown_with_the_names_of_each_step() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::{B, f};\npub struct A(B);"),
        ("b.rs", "pub struct B;\npub fn f() { crate::c::g() }"),
        ("c.rs", "use crate::a::A;\npub fn g() { let _: A; }"),
    ]);
    let files = &graph.circles()[0];
    let shown = "    src/a.rs -> src/b.rs: B (line 1), f (line 1)
    src/b.rs -> src/c.rs: g (line 2)
    src/c.rs -> src/a.rs: A (line 1)
";
    assert_eq!(graph.example(files, Some("src/a.rs")), shown);
    assert_eq!(graph.render(), format!("circle of 3 files:\n{shown}"));
}

#[test]
fn a_child_that_only_its_parent_uses_is_not_drawn_into_the_parents_circle() {
    let found = circles(&[
        LIB,
        ("a.rs", "mod c; pub struct A(c::C, crate::b::B);"),
        ("a/c.rs", "pub struct C; fn f(_: super::A) {}"),
        ("b.rs", "pub struct B; fn f(_: crate::a::A) {}"),
    ]);
    assert_eq!(found, [["src/a.rs", "src/b.rs"]]);
}

#[test]
fn what_a_parent_only_imports_is_borrowed_from_it() {
    let files = [
        (
            "a.rs",
            "mod c; mod d; use c::{C, f}; pub struct A(C, d::D);",
        ),
        ("a/c.rs", "pub struct C; pub fn f() {}"),
        (
            "a/d.rs",
            "use super::{A, C, c}; pub struct D(A, C, c::C); fn g() { crate::a::f() }",
        ),
        ("b.rs", "use crate::a::C;"),
    ];
    let found: Vec<String> = names::borrowed(&tree(&[&[LIB], &files[..]].concat()))
        .into_iter()
        .collect();
    assert_eq!(found, ["src/a/d.rs: crate::a::f", "src/a/d.rs: super::C"]);
}
