//! Identity of clients: every snippet of `config/identity.md` run as it stands there,
//! each source of tags, clients without one, and the effects of a reload on listeners and
//! the connections to them.

mod binary;
mod closing;
mod listeners;
mod logins;
mod measure;
mod snippets;
mod sources;
mod untagged;

use std::net::TcpStream;

use serde_json::Value;

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Memcached, Picklegate, free_addr, roundtrip};

/// A picklegate with one listener that identifies, its namespaces `py2` and
/// `py3`, all keys isolated.
struct Gate {
    listen: String,
    admin: String,
    toml: String,
    process: Picklegate,
    memcached: Memcached,
}

impl Gate {
    /// `identify` and `untagged` as written in the configuration.
    fn start(identify: &str, untagged: &str) -> Self {
        let (listen, admin, memcached) = (free_addr(), free_addr(), Memcached::start());
        let toml = configuration(
            &[(&listen, &identifies(identify, untagged))],
            &memcached.addr(),
            &admin,
        );
        Self {
            process: Picklegate::with_config(&toml),
            listen,
            admin,
            toml,
            memcached,
        }
    }

    /// Ends it, with all of its connections, and starts it again.
    fn restart(&mut self) {
        self.process.terminate();
        assert_eq!(self.process.exit_code(), Some(0));
        self.process = Picklegate::with_config(&self.toml);
    }

    /// Answer to clients without a tag, if the listener refuses them.
    fn refusal(&self) -> String {
        refusal(&self.listen)
    }

    /// Answer to clients whose tag no namespace is for.
    fn unmatched(&self, tag: &str) -> String {
        let listener = &self.listen;
        format!("SERVER_ERROR picklegate: no namespace for {tag} (listener {listener})\r\n")
    }

    /// Waits until one of the connections that `/status` lists is so.
    fn await_connected(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        admin::await_status(&self.admin, what, |status| connected(status).any(&is_so))
    }
}

fn identifies(identify: &str, untagged: &str) -> String {
    format!("identify = {identify}\nuntagged = \"{untagged}\"")
}

/// Listeners with what each says of runtimes, before one memcached.
fn configuration(listeners: &[(&str, &str)], upstream: &str, admin: &str) -> String {
    let toml = Toml::new(&[upstream])
        .admin(admin)
        .rule("mode = \"isolate\"\nrollout = 100\ncoherence = \"deletes\"");
    let all = listeners.iter();
    all.fold(toml, |toml, (listen, how)| toml.listener_with(listen, how))
        .to_string()
}

fn refusal(listener: &str) -> String {
    format!("SERVER_ERROR picklegate: no runtime tag on this connection (listener {listener})\r\n")
}

/// The connections that `/status` lists.
fn connected(status: &Value) -> impl Iterator<Item = &Value> {
    let connected = status["connected"].as_array();
    connected.expect("a list").iter()
}

/// Whether a connection has this tag, from there, and is in this namespace.
fn is(connection: &Value, runtime: &str, told_by: &str, namespace: &str) -> bool {
    connection["runtime"] == runtime
        && connection["told_by"] == told_by
        && connection["namespace"] == namespace
}

/// Sends a request whose whole reply is known, and so needs no fence.
fn say(stream: &TcpStream, request: &[u8], reply: &str) {
    let received = roundtrip(stream, request, reply.as_bytes());
    assert_eq!(String::from_utf8_lossy(&received), reply);
}
