//! Pages, metrics and status of a picklegate, from its admin address.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::connect;

/// Time that something may take to show, also beside others on a small machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Status and body of a page.
pub(crate) fn page(admin: &str, path: &str) -> (u16, String) {
    let mut stream = connect(admin);
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the admin address reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a page in UTF-8");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a number"), body.to_owned())
}

/// Content of `/status`.
pub(crate) fn status(admin: &str) -> Value {
    let (code, body) = page(admin, "/status");
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("/status is JSON")
}

/// Configurations that were taken over.
pub(crate) fn generation(status: &Value) -> u64 {
    let generation = &status["config"]["generation"];
    generation.as_u64().expect("a number")
}

/// Waits until `/status` is so, and gives it.
pub(crate) fn await_status(admin: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    await_that(what, || {
        last = status(admin);
        is_so(&last)
    });
    last
}

/// Polls until something is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The sum of all series of one name whose labels hold all of `labels`.
pub(crate) fn metric(admin: &str, name: &str, labels: &[&str]) -> u64 {
    let (code, text) = page(admin, "/metrics");
    assert_eq!(code, 200);
    let series = text.lines().filter(|line| {
        line.split(['{', ' ']).next() == Some(name)
            && labels.iter().all(|label| line.contains(label))
    });
    series
        .map(|line| line.rsplit(' ').next().expect("a value"))
        .map(|value| value.parse::<u64>().expect("a count"))
        .sum()
}
