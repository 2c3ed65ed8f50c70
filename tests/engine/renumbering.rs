//! Namespaces that come and go between two configurations: the others keep what
//! is theirs, whatever their numbers are then.

use crate::rig::{Rig, config, settings};

/// A rule, and some of these namespaces.
fn rule(names: &[&str]) -> String {
    let namespaces = [("old", "<3"), ("new", ">=3.10"), ("middle", ">=3")];
    let kept = namespaces.iter().filter(|(name, _)| names.contains(name));
    let tables =
        kept.map(|(name, python)| format!("[namespaces.{name}]\nruntimes = \"python {python}\"\n"));
    let rule = "mode = \"isolate\"\ncoherence = \"fill-aware\"\n".to_owned();
    rule + &tables.collect::<String>()
}

#[test]
fn a_miss_of_a_namespace_that_is_gone_makes_no_change_of_another_a_fill() {
    let mut rig = Rig::new(&config(1, &rule(&["old", "new", "middle"])), 1);
    let [gone, writer, reader] = ["py2.7", "py3.11", "py3.6"].map(|python| rig.open(python));
    assert_eq!(rig.ask(reader, b"set k 0 0 3\r\nold\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(gone, b"get k\r\n"), b"END\r\n");
    let without = config(1, &rule(&["new", "middle"]));
    rig.engine.hold();
    rig.engine.adopt(settings(&without, 1));
    assert_eq!(rig.ask(writer, b"set k 0 0 3\r\nnew\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(reader, b"get k\r\n"), b"END\r\n");
}

#[test]
fn a_miss_is_filled_after_a_reload_that_keeps_the_namespaces() {
    let config = config(1, &rule(&["new", "middle"]));
    let mut rig = Rig::new(&config, 1);
    let [writer, reader] = ["py3.11", "py3.6"].map(|python| rig.open(python));
    assert_eq!(rig.ask(reader, b"set k 0 0 3\r\nown\r\n"), b"STORED\r\n");
    assert_eq!(rig.ask(writer, b"get k\r\n"), b"END\r\n");
    rig.engine.hold();
    rig.engine.adopt(settings(&config, 1));
    assert_eq!(rig.ask(writer, b"set k 0 0 3\r\nown\r\n"), b"STORED\r\n");
    let hit = b"VALUE k 0 3\r\nown\r\nEND\r\n";
    assert_eq!(rig.ask(reader, b"get k\r\n"), hit);
}
