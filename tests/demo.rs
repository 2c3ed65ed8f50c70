//! The demo as a user runs it: its report, from real pickles through real
//! listeners.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

mod support;

/// Ended with the test, however that ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demo_ends_by_pointing_at_the_page() {
    let [py2, py3, admin] = std::array::from_fn(|_| support::free_addr());
    let demo = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(["demo", "--py2", &py2, "--py3", &py3, "--admin", &admin])
        .stdout(Stdio::piped())
        .spawn();
    let mut demo = Demo(demo.expect("the demo runs"));
    let said = BufReader::new(demo.0.stdout.take().expect("it is piped"));
    let pointed = said
        .lines()
        .map(|line| line.expect("it is text"))
        .find(|line| line.starts_with("May the migration go on?"));
    let page = pointed.expect("it says where the page is");
    assert!(page.ends_with(&format!(" http://{admin}/")), "{page}");
    let mut stream = support::connect(&admin);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it is UTF-8");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("<title>picklegate</title>"), "{reply}");
}

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

    crossed 3, isolated 1, hidden 1
    ");
}
