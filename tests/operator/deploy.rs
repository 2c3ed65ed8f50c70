//! Files of deploy/, and files that the command makes for packages, as far as a machine
//! without containers and clusters can check. deploy/README.md names the other checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{Picklegate, free_addr};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn picklegate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(args)
        .output()
        .expect("cargo has built the command")
}

/// Whether a program is there; prints that its test is skipped if not.
fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("tests/operator/deploy: skipped: no {program}");
    }
    found
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The file that a `ConfigMap` holds under a name.
fn block(yaml: &str, name: &str) -> String {
    let lines = yaml
        .lines()
        .skip_while(|line| !line.contains(&format!("{name}: |")));
    let lines = lines.skip(1).map_while(|line| {
        let is_of_it = line.is_empty() || line.starts_with("    ");
        is_of_it.then(|| line.get(4..).unwrap_or_default().to_owned() + "\n")
    });
    lines.collect()
}

#[test]
fn configurations_of_examples_are_accepted() {
    let dir = TempDir::new().unwrap();
    let mounted = dir.path().join("picklegate.toml");
    let yaml = fs::read_to_string(root().join("deploy/kubernetes/sidecar.yaml")).unwrap();
    fs::write(&mounted, block(&yaml, "picklegate.toml")).unwrap();
    let composed = root().join("deploy/compose/picklegate/picklegate.toml");
    for (file, listener) in [(mounted, "127.0.0.1:11312"), (composed, "0.0.0.0:11313")] {
        let checked = picklegate(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
        assert!(text(&checked).contains(listener), "{}", text(&checked));
    }
}

#[test]
fn systemd_accepts_the_units_and_finds_them_closed() {
    if !has("systemd-analyze") {
        return;
    }
    let verified = Command::new(root().join("deploy/systemd/verify"))
        .arg(env!("CARGO_BIN_EXE_picklegate"))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    assert!(
        text(&verified).contains("exposure level"),
        "{}",
        text(&verified)
    );
}

/// The units are for every listener of the packaged configuration.
#[test]
fn the_socket_unit_has_what_the_packaged_configuration_listens_on() {
    let unit = fs::read_to_string(root().join("deploy/systemd/socket/picklegate.socket")).unwrap();
    let toml = fs::read_to_string(root().join("config/1-observe.toml")).unwrap();
    let config = picklegate::config::Config::parse("1-observe.toml", &toml).unwrap();
    let streams: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="))
        .collect();
    let listens: Vec<_> = config
        .listeners
        .iter()
        .map(|l| l.addr.to_string())
        .collect();
    assert_eq!(streams, listens);
}

#[test]
fn prometheus_accepts_the_composed_configuration() {
    if !has("promtool") {
        return;
    }
    let dir = TempDir::new().unwrap();
    for file in [
        "compose/prometheus.yml",
        "prometheus/recording.yml",
        "prometheus/alerts.yml",
    ] {
        let from = root().join("deploy").join(file);
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    let checked = Command::new("promtool")
        .args(["check", "config"])
        .arg(dir.path().join("prometheus.yml"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let dir = TempDir::new().unwrap();
    let pages = picklegate(&["man", dir.path().to_str().unwrap()]);
    assert_eq!(pages.status.code(), Some(0), "{}", text(&pages));
    let help = String::from_utf8(picklegate(&["--help"]).stdout).unwrap();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 11, "{commands:?}");
    for name in &commands {
        let page = dir.path().join(format!("picklegate-{name}.1"));
        let page = fs::read_to_string(page).expect("a page");
        assert!(
            page.starts_with(".ie") && page.contains(".SH SYNOPSIS"),
            "{page}"
        );
    }
    for shell in ["bash", "fish", "zsh"] {
        let script = picklegate(&["completions", shell]);
        let script = String::from_utf8(script.stdout).unwrap();
        for name in &commands {
            assert!(script.contains(name), "{shell}: {name}");
        }
        let file = dir.path().join(shell);
        fs::write(&file, script).unwrap();
        if has(shell) {
            let read = Command::new(shell).arg("-n").arg(&file).output().unwrap();
            assert!(read.status.success(), "{}", text(&read));
        }
    }
    let nowhere: PathBuf = dir.path().join("nowhere");
    assert_eq!(
        picklegate(&["man", nowhere.to_str().unwrap()])
            .status
            .code(),
        Some(64)
    );
}

#[test]
fn health_is_0_while_it_serves() {
    let (listen, admin) = (free_addr(), free_addr());
    let health = |args: &[&str]| picklegate(&[&["health", "--admin", &admin], args].concat());
    assert_eq!(health(&["--live"]).status.code(), Some(69));
    let listen = format!("{listen}=py3");
    let serve = |upstream: &str| {
        let to = ["--upstream", upstream, "--admin", &admin];
        Picklegate::with_args(&[&["serve", "--listen", &listen], &to[..]].concat())
    };
    let gate = serve("embedded:1MiB");
    assert_eq!(health(&[]).status.code(), Some(0));
    drop(gate);
    let _gate = serve(&free_addr());
    assert_eq!(health(&["--live"]).status.code(), Some(0));
    let sick = health(&[]);
    assert_eq!(sick.status.code(), Some(1));
    assert!(text(&sick).contains("503"), "{}", text(&sick));
}
