//! A configuration as it is given: the tables of a document, or flags beside tables in
//! which nothing stands. Knows where everything stands, not what it means.

use super::document::Table;
use super::report::{At, Place};

/// The hint where a listener needs an address.
pub(super) const ADDRESS_HINT: &str = "write host:port, [v6]:port or unix:/path";

/// The parts of a configuration. `None` stands for what is absent, or was wrong and
/// reported.
#[derive(Debug)]
pub(super) struct Raw<'d> {
    pub(super) listeners: Option<At<Vec<RawListener<'d>>>>,
    pub(super) servers: Option<At<Vec<At<String>>>>,
    /// The `[upstream]` table, without the servers.
    pub(super) upstream: Table<'d>,
    pub(super) server: Table<'d>,
    pub(super) namespaces: Option<Vec<(At<String>, Table<'d>)>>,
    /// One in which nothing stands, if there are none.
    pub(super) rules: At<Vec<Table<'d>>>,
    pub(super) admin: Option<At<String>>,
    /// The `[admin]` table, without the address.
    pub(super) admin_table: Option<Table<'d>>,
    pub(super) pickle: Table<'d>,
    pub(super) limits: Table<'d>,
    pub(super) families: Table<'d>,
    pub(super) admin_commands: Table<'d>,
}

/// A listener: a table, or `ADDR=RUNTIME`.
#[derive(Debug)]
pub(super) enum RawListener<'d> {
    Table(Table<'d>),
    Flag(At<String>),
}

impl<'d> Raw<'d> {
    /// Takes everything out of a document's root table.
    pub(super) fn from_document(mut root: Table<'d>) -> Self {
        let raw = Self::read(&mut root);
        root.require("listeners", "write [[listeners]] with listen and runtime");
        raw.upstream
            .require("servers", "write for example [\"127.0.0.1:11211\"]");
        // An `[admin]` table must say where; no table means no admin address.
        if let Some(admin) = &raw.admin_table {
            admin.require("listen", ADDRESS_HINT);
        }
        raw
    }

    /// Takes what the command line can say: `ADDR=RUNTIME` for each listener, the
    /// upstream servers, the admin address. Nothing stands in `root`.
    pub(super) fn from_flags(
        mut root: Table<'d>,
        listen: &[String],
        upstream: &[String],
        admin: Option<&str>,
    ) -> Self {
        let all = |flag, values: &[String]| At {
            place: Place::flag(flag),
            value: values.iter().map(|value| flag_value(flag, value)).collect(),
        };
        let listeners: At<Vec<_>> = all("--listen", listen);
        Self {
            listeners: Some(listeners.map(|all| all.into_iter().map(RawListener::Flag).collect())),
            servers: Some(all("--upstream", upstream)),
            admin: admin.map(|admin| flag_value("--admin", admin)),
            ..Self::read(&mut root)
        }
    }

    fn read(root: &mut Table<'d>) -> Self {
        let listeners = root.tables("listeners");
        let mut upstream = root.table("upstream");
        let (server, namespaces) = (root.table("server"), root.named_tables("namespaces"));
        let rules = root.tables("rules").unwrap_or_else(|| At {
            place: root.place(),
            value: vec![root.without("rules")],
        });
        let mut admin_table = root.optional_table("admin");
        Self {
            listeners: listeners
                .map(|at| at.map(|tables| tables.into_iter().map(RawListener::Table).collect())),
            servers: upstream.strings("servers"),
            upstream,
            server,
            namespaces,
            rules,
            admin: admin_table
                .as_mut()
                .and_then(|table| table.string("listen")),
            admin_table,
            pickle: root.table("pickle"),
            limits: root.table("limits"),
            families: root.table("families"),
            admin_commands: root.table("admin_commands"),
        }
    }
}

fn flag_value(flag: &str, value: &str) -> At<String> {
    At {
        place: Place::flag(&format!("{flag} {value}")),
        value: value.to_owned(),
    }
}
