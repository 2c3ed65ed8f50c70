//! The demo as a user runs it: its report, from real pickles through real
//! listeners.

use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod support;

/// A demo that goes on serving, ended when dropped.
struct Demo {
    child: Child,
    admin: String,
}

impl Demo {
    fn start() -> Self {
        let [py2, py3, admin] = std::array::from_fn(|_| support::free_addr());
        let child = Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["demo", "--py2", &py2, "--py3", &py3, "--admin", &admin])
            .stdout(Stdio::null())
            .spawn()
            .expect("the demo starts");
        let demo = Self { child, admin };
        let started = Instant::now();
        while TcpStream::connect(&demo.admin).is_err() || !demo.advise(&[]).contains("lock:") {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(10), "it does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        demo
    }

    fn ask(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_picklegate"))
            .args(["advise", "--admin", &self.admin])
            .args(args)
            .output()
            .expect("it answers")
    }

    fn advise(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask(args).stdout).into_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_advice_names_the_families_that_the_demo_planted() {
    let demo = Demo::start();
    assert_eq!(demo.ask(&[]).status.code(), Some(0));
    insta::assert_snapshot!(demo.advise(&[]), @r#"
    # go
    #   all is isolated: nothing is left to raise

    # 1 of 2 reads not loadable (protocol 1)
    [[rules]]
    prefix = "page:"
    mode = "isolate"
    coherence = "fill-aware"

    # as it is: used once as a counter
    [[rules]]
    prefix = "hits:"
    mode = "shared"

    # as it is: used 2 times as a lock
    [[rules]]
    prefix = "lock:"
    mode = "shared"

    # all is isolated: nothing is left to raise
    [[rules]]
    prefix = ""
    mode = "isolate"
    coherence = "fill-aware"
    "#);
    let json: serde_json::Value =
        serde_json::from_str(&demo.advise(&["--format", "json"])).unwrap();
    let families = json["families"].as_array().unwrap();
    let told = families.iter().map(|family| {
        let text = |key: &str| family[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", text("family"), text("advice"), text("why"))
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    insta::assert_snapshot!(told.join("\n"), @r"
    hits: share: used once as a counter
    lock: share: used 2 times as a lock
    page: isolate: 1 of 2 reads not loadable (protocol 1)
    user: isolate: pickles of protocol 5 in a family that versions share
    ");
}

#[test]
fn advice_needs_somebody_who_gives_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(["advise", "--admin", &support::free_addr()])
        .output()
        .expect("it answers");
    assert_eq!(output.status.code(), Some(64));
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
