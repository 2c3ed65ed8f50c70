//! Servers whose replies cannot be right.

use super::{HASTY, Proxy, false_upstream, value};
use crate::support::ask_text;

#[test]
fn a_lying_upstream_never_gets_a_value_through() {
    for lie in [
        "VALUE other 0 1\r\nx\r\nEND\r\n",
        "VALUE k 0 x\r\nEND\r\n",
        "VALUE k\r\nx\r\nEND\r\n",
        "garbage\r\n",
        "HD\r\n",
        "STORED\r\n",
        "VA 1 kother\r\nx\r\n",
        "\r\n",
        "\0\0\0\0\r\n",
    ] {
        let server = false_upstream(move |_| Some(lie.as_bytes().to_vec()));
        let proxy = Proxy::start(std::slice::from_ref(&server), HASTY);
        let client = proxy.connect();
        for request in ["get k\r\n", "gets k\r\n", "mg k v k\r\n"] {
            let reply = ask_text(&client, request);
            let refused = format!("SERVER_ERROR picklegate: upstream {server} ");
            let honest = request.starts_with("mg") && lie.starts_with("HD");
            assert!(
                reply.starts_with(&refused) || honest,
                "{request:?} and {lie:?}: {reply:?}"
            );
        }
    }
}

#[test]
fn a_reply_too_many_reaches_nobody() {
    let server = false_upstream(|line| {
        let key = line.rsplit(' ').next().unwrap_or_default();
        let reply = value(key, key.as_bytes());
        Some([&reply[..], &reply].concat())
    });
    let proxy = Proxy::start(&[server], HASTY);
    let client = proxy.connect();
    for key in (0..50).map(|key| format!("k{key}")) {
        let reply = ask_text(&client, &format!("get {key}\r\n"));
        let own = String::from_utf8(value(&key, key.as_bytes())).unwrap();
        assert!(
            reply == own || reply.starts_with("SERVER_ERROR picklegate: "),
            "{reply}"
        );
    }
}
