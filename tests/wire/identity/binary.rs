//! Clients that speak the binary protocol, on every kind of listener.

use std::io::Write as _;

use super::Gate;
use crate::support::admin;
use crate::support::connect;

/// "set k" with 8 bytes of extras, whose value would do harm as a command.
fn set() -> Vec<u8> {
    let value = b"\r\nset victim 0 0 3\r\nbad\r\n";
    let mut set = b"\x80\x01\0\x01\x08\0\0\0\0\0\0".to_vec();
    set.push(9 + value.len() as u8);
    set.extend([0; 20]);
    set.push(b'k');
    set.extend(value);
    set
}

/// All that is said until the close.
fn said(mut stream: impl std::io::Read) -> Vec<u8> {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("it is closed");
    said
}

const CLOSED: &str = "picklegate_closed_connections_total";
const CLIENTS: u64 = 30;

#[test]
fn whoever_speaks_binary_is_closed_at_once_and_told_of() {
    for identify in ["[\"hello\"]", "[\"process\"]", "[\"proxy-protocol\"]"] {
        let gate = Gate::start(identify, "pass");
        for nth in 0..CLIENTS {
            let client = connect(&gate.listen);
            // The first byte is enough.
            let first = if nth == 0 { 1 } else { usize::MAX };
            let request = set();
            let request = &request[..request.len().min(first)];
            (&client).write_all(request).expect("it reads");
            assert_eq!(said(&client), b"", "{identify}");
        }
        let counted = admin::metric(&gate.admin, CLOSED, &["reason=\"binary_protocol\""]);
        assert_eq!(counted, CLIENTS, "{identify}");
        let direct = gate.memcached.connect();
        super::say(&direct, b"get k victim\r\n", "END\r\n");
        admin::await_that("a line in the log", || {
            gate.process.stderr().contains("speaks the binary protocol")
        });
        let log = gate.process.stderr();
        let lines = log.matches("speaks the binary protocol").count() as u64;
        assert!((1..CLIENTS / 2).contains(&lines), "{identify}: {log}");
        assert!(log.contains(&gate.listen), "{log}");
    }
}

#[test]
fn a_proxy_header_makes_no_difference() {
    let gate = Gate::start("[\"proxy-protocol\"]", "refuse");
    let client = connect(&gate.listen);
    let header = super::sources::header(&[(0xe0, b"python/2.7")]);
    let request = [&header[..], &set()].concat();
    (&client).write_all(&request).expect("it reads");
    assert_eq!(said(&client), b"");
    let counted = admin::metric(&gate.admin, CLOSED, &["reason=\"binary_protocol\""]);
    assert_eq!(counted, 1);
}
