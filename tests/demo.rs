//! The demo as a user runs it: its report, from real pickles through real
//! listeners.

use std::process::Command;

mod support;

#[test]
fn the_demo_shows_what_crosses_and_what_stays_apart() {
    let [py2, py3, admin] = std::array::from_fn(|_| support::free_addr());
    let demo = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args([
            "demo", "--once", "--py2", &py2, "--py3", &py3, "--admin", &admin,
        ])
        .output()
        .expect("the demo runs");
    assert!(
        demo.status.success(),
        "{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    insta::assert_snapshot!(String::from_utf8_lossy(&demo.stdout), @r"
    user:42  (isolate: a copy for each version)
      python2.7   set     pickle of protocol 2, 138 bytes, STORED
      python3.11  get     miss                                    isolated: the other's copy stays out of sight
      python3.11  set     pickle of protocol 5, 111 bytes, STORED
      python2.7   get     pickle of protocol 2, 138 bytes         its own copy
      python3.11  get     pickle of protocol 5, 111 bytes         its own copy
      python2.7   delete  DELETED                                 every copy
      python3.11  get     miss                                    deleted by the other version

    page:home  (guard: one copy, never one that its reader cannot load)
      python3.11  set     pickle of protocol 5, 89 bytes, STORED
      python2.7   get     miss                                    hidden: it cannot load this protocol
      python2.7   set     pickle of protocol 2, 91 bytes, STORED
      python3.11  get     pickle of protocol 2, 91 bytes          crossed: written by the other version

    hits:home  (shared: numbers and locks cross versions)
      python2.7   set     41, STORED
      python3.11  incr    42                                      crossed: written by the other version
      python2.7   get     42                                      crossed: written by the other version

    lock:nightly  (shared: one of them gets it)
      python2.7   add     STORED
      python3.11  add     NOT_STORED                              crossed: the other version holds it

    crossed 4, isolated 1, hidden 1
    ");
}
