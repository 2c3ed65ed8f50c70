//! Owns a real Prometheus on a loopback port, killed by its own process id, and asks
//! it over HTTP.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::files;
use crate::support::{connect, free_addr};

/// Instead of the ranges that rules and panels look back.
const RANGE: &str = "10s";
const START: Duration = Duration::from_secs(10);

/// Rules or a query for a test that takes seconds: nothing is waited for (`for: 0s`),
/// and every range and offset is ten seconds.
pub(crate) fn shortened(text: &str) -> String {
    let mut short = String::new();
    for line in text.split_inclusive('\n') {
        match line.split_once("for: ") {
            Some((indent, _)) if indent.trim().is_empty() => {
                let _ = writeln!(short, "{indent}for: 0s");
            }
            _ => short.push_str(line),
        }
    }
    let short = with_durations(&short, "[");
    with_durations(&short, "offset ")
}

/// Every duration after `mark` becomes the short range.
fn with_durations(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "$_".contains(c);
        let end = part.find(|c| !is_part(c)).unwrap_or(part.len());
        let is_duration = part.starts_with(|c: char| c.is_ascii_digit() || c == '$');
        let (duration, rest) = if is_duration {
            (RANGE, &part[end..])
        } else {
            ("", part)
        };
        replaced.extend([mark, duration, rest]);
    }
    replaced
}

/// Status and body of a page.
pub(crate) fn http(addr: &str, path: &str) -> (u16, String) {
    let mut stream = connect(addr);
    // An answer to 1.0 comes in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a page in UTF-8");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a number"), body.to_owned())
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

/// A Prometheus that evaluates a shortened copy of the rules twice a second.
pub(crate) struct Prometheus {
    addr: String,
    child: Child,
    targets: PathBuf,
    /// Holds its configuration, its data and its log.
    dir: TempDir,
}

impl Prometheus {
    /// Returns once it answers.
    pub(crate) fn start(targets: &[String]) -> Self {
        let dir = TempDir::new().expect("a writable temporary directory");
        let write = |name: &str, text: &str| -> PathBuf {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("a writable temporary directory");
            path
        };
        let list = write("targets.json", &json!([{"targets": targets}]).to_string());
        write("recording.yml", &shortened(&files::read(files::RECORDING)));
        write("alerts.yml", &shortened(&files::read(files::ALERTS)));
        let config = write(
            "prometheus.yml",
            "global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 500ms
rule_files: [recording.yml, alerts.yml]
scrape_configs:
  - job_name: picklegate
    file_sd_configs:
      - files: [targets.json]
        refresh_interval: 1s
",
        );
        let addr = free_addr();
        let log = std::fs::File::create(dir.path().join("log")).expect("a writable directory");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}/data", dir.path().display()))
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus --version ran");
        let mut prometheus = Self {
            addr,
            child,
            targets: list,
            dir,
        };
        prometheus.await_ready();
        prometheus
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + START;
        while std::net::TcpStream::connect(&self.addr).is_err()
            || http(&self.addr, "/-/ready").0 != 200
        {
            let log = || std::fs::read_to_string(self.dir.path().join("log"));
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "Prometheus does not start: {:?}",
                log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, path: &str) -> Value {
        let (status, body) = http(&self.addr, path);
        assert_eq!(status, 200, "{path}: {body}");
        let mut answer: Value = serde_json::from_str(&body).expect("Prometheus answers JSON");
        answer["data"].take()
    }

    /// Whether a query finds a series with a number.
    pub(crate) fn has_data(&self, query: &str) -> bool {
        let data = self.ask(&format!("/api/v1/query?query={}", escaped(query)));
        let series = data["result"].as_array().expect("a vector");
        series.iter().any(|series| series["value"][1] != "NaN")
    }

    /// The alerts that fire. No rule may fail.
    pub(crate) fn firing(&self) -> BTreeSet<String> {
        let data = self.ask("/api/v1/rules");
        let groups = data["groups"].as_array().expect("a list").iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().expect("a list"));
        let mut firing = BTreeSet::new();
        for rule in rules {
            let name = rule["name"].as_str().expect("a name");
            assert_ne!(rule["health"], "err", "{name}: {}", rule["lastError"]);
            if rule["state"] == "firing" {
                check_annotations(rule);
                firing.insert(name.to_owned());
            }
        }
        firing
    }

    /// Nothing is scraped any more.
    pub(crate) fn forget_targets(&self) {
        std::fs::write(&self.targets, "[]").expect("a writable temporary directory");
    }
}

/// A label that an alert does not have would be told as nothing at all.
fn check_annotations(rule: &Value) {
    let templates = rule["annotations"].to_string();
    let named = templates.split("$labels.").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    let named: BTreeSet<&str> = named.collect();
    for alert in rule["alerts"].as_array().expect("a list") {
        for label in &named {
            assert!(alert["labels"][label].is_string(), "no {label}: {alert}");
        }
        let told = alert["annotations"].to_string();
        assert!(!told.contains("error expanding"), "{alert}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Fails only if it ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ranges_offsets_and_waits_are_shortened() {
    let rules = "    for: 15m\n  expr: a[1h] offset 5m\n  b[$__rate_interval] # offset is\n";
    let short = "    for: 0s\n  expr: a[10s] offset 10s\n  b[10s] # offset is\n";
    assert_eq!(shortened(rules), short);
}
