//! The demo as a user runs it: its report, from real pickles through real
//! listeners, the page, and the advice.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::support::{self, admin};

/// A demo that goes on serving, ended with the test.
struct Demo {
    child: Child,
    admin: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    /// Returns once it has said where the page is, which comes last.
    fn start() -> Self {
        let [py2, py3, admin] = std::array::from_fn(|_| support::free_addr());
        let child = Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["demo", "--py2", &py2, "--py3", &py3, "--admin", &admin])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let mut demo = Self { child, admin };
        let said = BufReader::new(demo.child.stdout.take().expect("it is piped"));
        let pointed = said
            .lines()
            .map(|line| line.expect("it is text"))
            .find(|line| line.starts_with("May the migration go on?"));
        let page = pointed.expect("it says where the page is");
        assert!(
            page.ends_with(&format!(" http://{}/", demo.admin)),
            "{page}"
        );
        demo
    }

    fn advise(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["advise", "--admin", &self.admin])
            .args(args)
            .output()
            .expect("it answers")
    }
}

#[test]
fn the_demo_ends_by_pointing_at_the_page() {
    let demo = Demo::start();
    let (status, reply) = admin::page(&demo.admin, "/");
    assert_eq!(status, 200);
    assert!(reply.contains("<title>picklegate</title>"), "{reply}");
}

#[test]
fn the_advice_names_the_families_that_the_demo_planted() {
    let demo = Demo::start();
    let json = demo.advise(&["--format", "json"]);
    assert_eq!(json.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    let families = json["families"].as_array().expect("a list");
    let told = families.iter().map(|family| {
        let text = |key: &str| family[key].as_str().unwrap_or_default();
        (text("family"), text("advice"))
    });
    let told: BTreeMap<&str, &str> = told.collect();
    let expected = [
        ("hits:", "share"),
        ("lock:", "share"),
        ("page:", "isolate"),
        ("user:", "isolate"),
    ];
    assert_eq!(told, BTreeMap::from(expected));
    let text = demo.advise(&[]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(text.starts_with("# go\n"), "{text}");
    let rule =
        "# as it is: used 2 times as a lock\n[[rules]]\nprefix = \"lock:\"\nmode = \"shared\"\n";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn advice_needs_somebody_who_gives_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(["advise", "--admin", &support::free_addr()])
        .output()
        .expect("it answers");
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused"));
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
      python2.7   set     pickle of protocol 2, 138 bytes, STORED
      python3.11  get     miss                                    hidden: it cannot load a date of Python 2

    hits:home  (shared: numbers and locks cross versions)
      python2.7   set     41, STORED
      python3.11  incr    42                                      crossed: written by the other version
      python2.7   get     42                                      crossed: written by the other version

    lock:nightly  (shared: one of them gets it)
      python2.7   add     STORED
      python3.11  add     NOT_STORED                              crossed: the other version holds it

    crossed 4, isolated 1, hidden 2
    ");
}
