//! Certificates that are replaced while picklegate serves.

use std::fs;
use std::io::Write;

use super::authority::{Authority, text};
use super::client::{Client, Who, say};
use super::{PY3, SET, Toml, memcached};
use crate::support::admin;
use crate::support::{Memcached, Picklegate, ask_text, connect, free_addr};

/// The certificate that a server shows.
fn shown(client: &Client) -> Vec<u8> {
    let chain = client
        .conn
        .peer_certificates()
        .expect("after the handshake");
    chain[0].to_vec()
}

#[test]
fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let pair = authority.issue("server", &["127.0.0.1"]);
    let memcached = Memcached::start();
    let (listen, admin) = (free_addr(), free_addr());
    let toml = Toml::new(&memcached.addr(), &admin)
        .listener(&listen, PY3)
        .listener_tls(&pair.settings());
    let _gate = Picklegate::with_config(&toml.text);
    let hash = || admin::page(&admin, "/metrics").1;
    let hash = || {
        let page = hash();
        let line = page
            .lines()
            .find(|line| line.starts_with("picklegate_config_hash "));
        line.expect("there is a file").to_owned()
    };
    let before = hash();
    let connect = || {
        let mut client = Who::new(&authority, None).connect(&listen);
        say(&mut client, b"get k\r\n", "END\r\n");
        client
    };
    let mut old = connect();
    let first = shown(&old);

    let renewed = authority.issue("renewed", &["127.0.0.1"]);
    pair.replace(&renewed);
    admin::await_that("the renewed certificate", || shown(&connect()) != first);
    let second = shown(&connect());
    assert_eq!(hash(), before, "certificates differ from host to host");
    say(&mut old, b"get k\r\n", "END\r\n");

    // A key of another, then what is no key.
    let good = fs::read(&pair.key).expect("a key");
    let other = authority.issue("other", &["127.0.0.1"]);
    let other = fs::read(&other.key).expect("a key");
    for (key, why) in [
        (&other[..], "is not the key of"),
        (b"none", "holds no private key"),
    ] {
        fs::write(&pair.key, key).expect("a writable directory");
        let status = admin::await_status(&admin, why, |status| {
            status["config"]["failure"].to_string().contains(why)
        });
        let error = status["config"]["failure"]["errors"][0].to_string();
        assert!(error.contains("picklegate.toml:"), "{error}");
        assert!(error.contains("listeners[0].tls.key: "), "{error}");
        assert!(error.contains(text(&pair.key)), "{error}");
        assert_eq!(shown(&connect()), second);
    }
    fs::write(&pair.key, good).expect("a writable directory");
    admin::await_status(&admin, "a good key", |status| {
        status["config"]["failure"].is_null()
    });
    assert_eq!(shown(&connect()), second);
    old.flush().expect("it stands");
}

#[test]
fn other_roots_are_believed_once_they_are_there() {
    let (old, new) = (Authority::new(), Authority::new());
    let pair = new.issue("server", &["127.0.0.1"]);
    let Some(memcached) = memcached(&pair) else {
        return;
    };
    let (listen, admin) = (free_addr(), free_addr());
    let server = format!("tls://{}", memcached.addr());
    let toml = Toml::new(&server, &admin)
        .upstream_tls(&old, "")
        .listener(&listen, PY3);
    let _gate = Picklegate::with_config(&toml.text);
    let client = connect(&listen);
    admin::await_that("an unknown issuer", || {
        ask_text(&client, SET).contains("UnknownIssuer")
    });
    fs::copy(new.roots(), old.roots()).expect("a writable directory");
    admin::await_that("the server", || ask_text(&client, SET) == "STORED\r\n");
}
