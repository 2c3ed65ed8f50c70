//! A configuration as written: texts and numbers, each with its place. Knows
//! which settings there are and of which type; not what they mean.

use super::document::Table;
use super::report::{At, Place, Report};
use super::socket::RawSocketAccess;

/// The hint where a listener needs an address.
const ADDRESS_HINT: &str = "write host:port, [v6]:port or unix:/path";
/// The hint where TLS needs a certificate to show.
const CERTIFICATE_HINT: &str = "write for example \"server.pem\"";
const KEY_HINT: &str = "write for example \"server.key\"";

/// Settings as they stand in TOML. `None` stands for a setting that is absent, or was
/// wrong and reported.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) listeners: Option<At<Vec<RawListener>>>,
    pub(super) servers: Option<At<Vec<At<String>>>>,
    pub(super) hash: Option<At<String>>,
    pub(super) tls: Option<RawUpstreamTls>,
    pub(super) connections: Option<At<i64>>,
    pub(super) admin: Option<At<String>>,
    pub(super) admin_access: RawSocketAccess,
    pub(super) workers: Option<At<i64>>,
    pub(super) reuse_port: Option<At<bool>>,
    pub(super) namespaces: Option<Vec<RawNamespace>>,
    pub(super) rules: Option<At<Vec<RawRule>>>,
    pub(super) pickle: RawPickle,
    pub(super) limits: RawLimits,
    pub(super) families: RawFamilies,
    pub(super) flush_all: Option<At<String>>,
}

#[derive(Debug, Default)]
pub(super) struct RawListener {
    pub(super) listen: Option<At<String>>,
    pub(super) access: RawSocketAccess,
    pub(super) runtime: Option<At<String>>,
    pub(super) identify: Option<At<Vec<At<String>>>>,
    pub(super) untagged: Option<At<String>>,
    pub(super) tls: Option<RawListenerTls>,
}

#[derive(Debug)]
pub(super) struct RawListenerTls {
    pub(super) place: Place,
    pub(super) certificate: Option<At<String>>,
    pub(super) key: Option<At<String>>,
    pub(super) client_roots: Option<At<String>>,
    pub(super) client_auth: Option<At<String>>,
}

#[derive(Debug, Default)]
pub(super) struct RawUpstreamTls {
    pub(super) place: Place,
    pub(super) roots: Option<At<String>>,
    pub(super) server_name: Option<At<String>>,
    pub(super) certificate: Option<At<String>>,
    pub(super) key: Option<At<String>>,
}

#[derive(Debug)]
pub(super) struct RawNamespace {
    pub(super) name: At<String>,
    pub(super) runtimes: Option<At<String>>,
    pub(super) epoch: Option<At<i64>>,
    pub(super) inventory: Option<At<String>>,
    pub(super) also_invalidate: Option<At<Vec<At<i64>>>>,
}

#[derive(Debug, Default)]
pub(super) struct RawRule {
    /// `None` only where it was reported.
    pub(super) prefix: Option<At<String>>,
    pub(super) mode: Option<At<String>>,
    pub(super) rollout: Option<At<i64>>,
    pub(super) sniff: Option<At<String>>,
    pub(super) on_unloadable_read: Option<At<String>>,
    pub(super) on_unknown_read: Option<At<String>>,
    pub(super) on_unloadable_write: Option<At<String>>,
    pub(super) on_unknown_write: Option<At<String>>,
    pub(super) on_upstream_failure: Option<At<String>>,
    pub(super) coherence: Option<At<String>>,
    pub(super) globals: Option<At<String>>,
    pub(super) py2_str: Option<At<String>>,
    pub(super) read_through: Option<At<bool>>,
}

#[derive(Debug, Default)]
pub(super) struct RawPickle {
    pub(super) flag_bit: Option<At<i64>>,
    pub(super) compressed_bit: Option<At<i64>>,
    pub(super) detect: Option<At<String>>,
    pub(super) max_inflated_bytes: Option<At<String>>,
    pub(super) max_inflate_ratio: Option<At<i64>>,
    /// `None` only where one is wrong and reported.
    pub(super) extensions: Option<Vec<(At<String>, String)>>,
    pub(super) deny_globals: Option<At<Vec<At<String>>>>,
    pub(super) allow_globals: Option<At<Vec<At<String>>>>,
}

#[derive(Debug, Default)]
pub(super) struct RawFamilies {
    pub(super) track: Option<At<bool>>,
    pub(super) separators: Option<At<String>>,
}

#[derive(Debug, Default)]
pub(super) struct RawLimits {
    pub(super) max_connections: Option<At<i64>>,
    pub(super) max_value_bytes: Option<At<String>>,
    pub(super) max_buffered_bytes: Option<At<String>>,
    pub(super) request_timeout_ms: Option<At<i64>>,
    pub(super) connect_timeout_ms: Option<At<i64>>,
    pub(super) send_timeout_ms: Option<At<i64>>,
    pub(super) drain_timeout_ms: Option<At<i64>>,
}

impl Raw {
    /// Takes everything out of a document's root table.
    pub(super) fn from_document(mut root: Table<'_>) -> Self {
        root.require("listeners", "write [[listeners]] with listen and runtime");
        let listeners = root.tables("listeners").map(|At { place, value }| At {
            place,
            value: value.into_iter().map(RawListener::read).collect(),
        });
        let mut upstream = root.table("upstream");
        upstream.require("servers", "write for example [\"127.0.0.1:11211\"]");
        let mut server = root.table("server");
        let namespaces = root.named_tables("namespaces").map(|tables| {
            tables
                .into_iter()
                .map(|(name, table)| RawNamespace::read(name, table))
                .collect()
        });
        let rules = root.tables("rules").map(|At { place, value }| At {
            place,
            value: value.into_iter().map(RawRule::read).collect(),
        });
        let (admin, admin_access) = read_admin(&mut root);
        Self {
            listeners,
            servers: upstream.strings("servers"),
            hash: upstream.string("hash"),
            tls: upstream.optional_table("tls").map(RawUpstreamTls::read),
            connections: upstream.integer("connections"),
            admin,
            admin_access,
            workers: server.integer("workers"),
            reuse_port: server.boolean("reuse_port"),
            namespaces,
            rules,
            pickle: RawPickle::read(root.table("pickle")),
            limits: RawLimits::read(root.table("limits")),
            families: RawFamilies::read(root.table("families")),
            flush_all: root.table("admin_commands").string("flush_all"),
        }
    }

    /// Takes what the command line can say: `ADDR=RUNTIME` for each listener, the
    /// upstream servers, the admin address. All else is absent.
    pub(super) fn from_flags(
        listen: &[String],
        upstream: &[String],
        admin: Option<&str>,
        report: &Report,
    ) -> Self {
        let listeners = listen
            .iter()
            .map(|flag| RawListener::from_flag(flag, report))
            .collect();
        let servers = upstream
            .iter()
            .map(|server| flag_value("--upstream", server))
            .collect();
        Self {
            listeners: Some(At {
                place: Place::flag("--listen"),
                value: listeners,
            }),
            servers: Some(At {
                place: Place::flag("--upstream"),
                value: servers,
            }),
            admin: admin.map(|admin| flag_value("--admin", admin)),
            namespaces: Some(Vec::new()),
            pickle: RawPickle {
                extensions: Some(Vec::new()),
                ..RawPickle::default()
            },
            ..Self::default()
        }
    }
}

/// An `[admin]` table must say where; no table means no admin address.
fn read_admin(root: &mut Table<'_>) -> (Option<At<String>>, RawSocketAccess) {
    let Some(mut admin) = root.optional_table("admin") else {
        return (None, RawSocketAccess::default());
    };
    admin.require("listen", ADDRESS_HINT);
    (admin.string("listen"), read_access(&mut admin))
}

fn read_access(table: &mut Table<'_>) -> RawSocketAccess {
    RawSocketAccess {
        mode: table.string("socket_mode"),
        group: table.string("socket_group"),
    }
}

fn flag_value(flag: &str, value: &str) -> At<String> {
    At {
        place: Place::flag(&format!("{flag} {value}")),
        value: value.to_owned(),
    }
}

impl RawListener {
    fn read(mut table: Table<'_>) -> Self {
        table.require("listen", ADDRESS_HINT);
        let identify = table.strings("identify");
        if identify.is_none() {
            table.require("runtime", "write for example \"python/3.11\"");
        }
        Self {
            listen: table.string("listen"),
            access: read_access(&mut table),
            runtime: table.string("runtime"),
            identify,
            untagged: table.string("untagged"),
            tls: table.optional_table("tls").map(RawListenerTls::read),
        }
    }

    /// No runtime holds a `=`; the path of a socket may.
    fn from_flag(flag: &str, report: &Report) -> Self {
        let At { place, value } = flag_value("--listen", flag);
        let Some((listen, runtime)) = value.rsplit_once('=') else {
            report.error(&place, "no runtime in it: write ADDR=RUNTIME");
            return Self::default();
        };
        let part = |text: &str| At {
            place: place.clone(),
            value: text.to_owned(),
        };
        Self {
            listen: Some(part(listen)),
            runtime: Some(part(runtime)),
            ..Self::default()
        }
    }
}

impl RawListenerTls {
    fn read(mut table: Table<'_>) -> Self {
        table.require("certificate", CERTIFICATE_HINT);
        table.require("key", KEY_HINT);
        Self {
            place: table.place(),
            certificate: table.string("certificate"),
            key: table.string("key"),
            client_roots: table.string("client_roots"),
            client_auth: table.string("client_auth"),
        }
    }
}

impl RawUpstreamTls {
    fn read(mut table: Table<'_>) -> Self {
        if table.has("certificate") {
            table.require("key", KEY_HINT);
        }
        if table.has("key") {
            table.require("certificate", CERTIFICATE_HINT);
        }
        Self {
            place: table.place(),
            roots: table.string("roots"),
            server_name: table.string("server_name"),
            certificate: table.string("certificate"),
            key: table.string("key"),
        }
    }
}

impl RawNamespace {
    fn read(name: At<String>, mut table: Table<'_>) -> Self {
        table.require("runtimes", "write for example \"python >=3\"");
        Self {
            name,
            runtimes: table.string("runtimes"),
            epoch: table.integer("epoch"),
            inventory: table.string("inventory"),
            also_invalidate: table.integers("also_invalidate"),
        }
    }
}

impl RawRule {
    /// Returns the rule that holds where no rules are given.
    pub(super) fn everything() -> Self {
        Self {
            prefix: Some(At {
                place: Place::default(),
                value: String::new(),
            }),
            ..Self::default()
        }
    }

    fn read(mut table: Table<'_>) -> Self {
        Self {
            prefix: table.string_or("prefix", ""),
            mode: table.string("mode"),
            rollout: table.integer("rollout"),
            sniff: table.string("sniff"),
            on_unloadable_read: table.string("on_unloadable_read"),
            on_unknown_read: table.string("on_unknown_read"),
            on_unloadable_write: table.string("on_unloadable_write"),
            on_unknown_write: table.string("on_unknown_write"),
            on_upstream_failure: table.string("on_upstream_failure"),
            coherence: table.string("coherence"),
            globals: table.string("globals"),
            py2_str: table.string("py2_str"),
            read_through: table.boolean("read_through"),
        }
    }
}

impl RawPickle {
    fn read(mut table: Table<'_>) -> Self {
        Self {
            flag_bit: table.integer("flag_bit"),
            compressed_bit: table.integer("compressed_bit"),
            detect: table.string("detect"),
            max_inflated_bytes: table.size("max_inflated_bytes"),
            max_inflate_ratio: table.integer("max_inflate_ratio"),
            extensions: table.named_strings("extensions"),
            deny_globals: table.strings("deny_globals"),
            allow_globals: table.strings("allow_globals"),
        }
    }
}

impl RawFamilies {
    fn read(mut table: Table<'_>) -> Self {
        Self {
            track: table.boolean("track"),
            separators: table.string("separators"),
        }
    }
}

impl RawLimits {
    fn read(mut table: Table<'_>) -> Self {
        Self {
            max_connections: table.integer("max_connections"),
            max_value_bytes: table.size("max_value_bytes"),
            max_buffered_bytes: table.size("max_buffered_bytes"),
            request_timeout_ms: table.integer("request_timeout_ms"),
            connect_timeout_ms: table.integer("connect_timeout_ms"),
            send_timeout_ms: table.integer("send_timeout_ms"),
            drain_timeout_ms: table.integer("drain_timeout_ms"),
        }
    }
}
