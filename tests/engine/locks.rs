//! Locks: an `add` of something short, raw or pickled.

use crate::support::rig::{Rig, config, text};

const GUARD: &str = "mode = \"guard\"";
/// `pickle.dumps(True, 5)`, which `cache.add(key, True)` stores.
const TRUE_5: &[u8] = b"\x80\x05\x88.";
/// The longest value that is taken for a lock, in bytes.
const MAX_LOCK_BYTES: usize = 64;

fn add(value: &[u8]) -> Vec<u8> {
    let head = format!("add k 1 0 {}\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn meta_add(value: &[u8]) -> Vec<u8> {
    let head = format!("ms k {} F1 ME\r\n", value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

#[test]
fn a_lock_that_is_hidden_is_held_all_the_same() {
    for add in [add, meta_add] {
        let mut rig = Rig::new(&config(1, GUARD), 1);
        let (old, new) = (rig.open("py2.7"), rig.open("py3.11"));
        assert!(!text(&rig.ask(new, &add(TRUE_5))).starts_with('N'));
        // Python 2 cannot load it, and does not get it.
        assert_eq!(text(&rig.ask(old, b"get k\r\n")), "END\\r\\n");
        assert!(text(&rig.ask(old, &add(b"\x80\x02\x88."))).starts_with('N'));
        assert!(text(&rig.ask(old, &add(b"I01\n."))).starts_with('N'));
        // As pylibmc stores a truth value.
        assert!(text(&rig.ask(old, b"add k 16 0 1\r\n1\r\n")).starts_with('N'));
        // The name of its holder, a container, and nothing.
        assert!(text(&rig.ask(old, b"add k 0 0 4\r\nweb1\r\n")).starts_with('N'));
        assert!(text(&rig.ask(old, &add(b"\x80\x02}q\x01."))).starts_with('N'));
        assert!(text(&rig.ask(old, b"add k 0 0 0\r\n\r\n")).starts_with('N'));
        // Until it is given back.
        assert!(text(&rig.ask(new, b"delete k\r\n")).starts_with("DELETED"));
        assert!(!text(&rig.ask(old, &add(b"\x80\x02\x88."))).starts_with('N'));
    }
}

#[test]
fn what_is_no_lock_still_replaces_what_its_reader_is_not_shown() {
    for (len, stored) in [(MAX_LOCK_BYTES, false), (MAX_LOCK_BYTES + 1, true)] {
        let value = [b"\x80\x02X", &[len as u8 - 8, 0, 0, 0][..]].concat();
        let value = [&value[..], &vec![b'x'; len - 8], b"."].concat();
        assert_eq!(value.len(), len);
        for (add, told) in [
            (add as fn(&[u8]) -> Vec<u8>, ["NOT_STORED", "STORED"]),
            (meta_add, ["NS", "HD"]),
        ] {
            let mut rig = Rig::new(&config(1, GUARD), 1);
            let (old, new) = (rig.open("py2.7"), rig.open("py3.11"));
            rig.ask(new, &add(TRUE_5));
            let found = text(&rig.ask(old, &add(&value)));
            assert_eq!(
                found,
                format!("{}\\r\\n", told[usize::from(stored)]),
                "{len}"
            );
        }
    }
}

#[test]
fn locks_that_are_pickles_are_counted_where_they_are_split() {
    for (rule, split) in [("mode = \"isolate\"", 1), (GUARD, 0)] {
        for add in [add, meta_add] {
            let mut rig = Rig::new(&config(1, rule), 1);
            let client = rig.open("py3.11");
            rig.ask(client, &add(TRUE_5));
            let suspected: u64 = rig.engine.counts().suspected.as_flattened().iter().sum();
            assert_eq!(suspected, split, "{rule}");
        }
    }
}
