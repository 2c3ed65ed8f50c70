//! The listeners: where each accepts, and how it learns what connects to it.

use std::path::Path;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::Listener;
use super::addr::ListenAddr;
use super::document::Table;
use super::raw::{ADDRESS_HINT, RawListener};
use super::report::{At, Report};
use super::socket::{SocketAccess, access, refuse_obstacle};
use super::tls::{self, ListenerTls};
use super::values::{parsed, some_of};
use super::words::known;
use crate::policy::{Admission, Identify, Namespace, RuntimeTag, SOURCES, Source, Untagged};

/// A listener of which not all may be known; what is absent was reported.
pub(super) struct Draft {
    pub(super) listen: Option<At<ListenAddr>>,
    access: SocketAccess,
    identify: Option<Identify>,
    tls: Option<ListenerTls>,
}

/// Reads all of them. A runtime that is named must have a namespace, if those
/// are known.
pub(super) fn listeners(
    raw: Option<At<Vec<RawListener<'_>>>>,
    namespaces: Option<&[Namespace]>,
    base: &Path,
    report: &Report,
) -> Vec<Draft> {
    let reading = Reading {
        namespaces,
        base,
        report,
    };
    let drafts = some_of(raw, report).into_iter().map(|raw| match raw {
        RawListener::Table(table) => reading.table(table),
        RawListener::Flag(flag) => reading.flag(&flag),
    });
    drafts.collect()
}

/// Context of reading a listener.
struct Reading<'r> {
    namespaces: Option<&'r [Namespace]>,
    base: &'r Path,
    report: &'r Report,
}

impl Draft {
    pub(super) fn finish(self) -> Option<Listener> {
        let addr = self.listen?.value;
        let admission = Admission {
            name: addr.to_string().into(),
            identify: self.identify?,
        };
        let admission = Arc::new(admission);
        Some(Listener {
            addr,
            access: self.access,
            admission,
            tls: self.tls,
        })
    }
}

impl Reading<'_> {
    fn table(&self, mut table: Table<'_>) -> Draft {
        let report = self.report;
        let identify = table.strings("identify");
        table.require("listen", ADDRESS_HINT);
        if identify.is_none() {
            table.require("runtime", "write for example \"python/3.11\"");
        }
        let listen = self.address(table.string("listen").as_ref());
        let access = access(&mut table, listen.as_ref(), report);
        let runtime = table.string("runtime");
        let untagged = table.string("untagged");
        let tls = table.optional_table("tls");
        let of_file = |at: &At<ListenAddr>| matches!(at.value, ListenAddr::Unix(_));
        if let Some(tls) = &tls
            && listen.as_ref().is_some_and(of_file)
        {
            report.error(&tls.place(), "there is no TLS on a unix socket");
        }
        let asks_clients = tls.as_ref().is_some_and(|tls| tls.has("client_roots"));
        let identify = match identify {
            None => {
                if let Some(place) = table.given("untagged") {
                    report.error(place, "has no effect without identify");
                }
                self.runtime(runtime.as_ref())
            }
            Some(identify) => {
                if let Some(place) = table.given("runtime") {
                    report.error(place, "all clients are this runtime: leave out identify");
                }
                let sources = sources(identify, asks_clients, report);
                let untagged = self.untagged(untagged.as_ref());
                sources
                    .zip(untagged)
                    .map(|(sources, untagged)| Identify::Each { sources, untagged })
            }
        };
        Draft {
            listen,
            access,
            identify,
            tls: tls.and_then(|table| tls::listener(table, self.base, report)),
        }
    }

    /// No runtime holds a `=`; the path of a socket may.
    fn flag(&self, At { place, value }: &At<String>) -> Draft {
        let parts = value.rsplit_once('=');
        if parts.is_none() {
            self.report
                .error(place, "no runtime in it: write ADDR=RUNTIME");
        }
        let part = |text: &str| At {
            place: place.clone(),
            value: text.to_owned(),
        };
        let (listen, runtime) = parts
            .map(|(listen, runtime)| (part(listen), part(runtime)))
            .unzip();
        Draft {
            listen: self.address(listen.as_ref()),
            access: SocketAccess::default(),
            identify: self.runtime(runtime.as_ref()),
            tls: None,
        }
    }

    fn address(&self, text: Option<&At<String>>) -> Option<At<ListenAddr>> {
        let listen = parsed(text, ListenAddr::parse, self.report);
        refuse_obstacle(listen.as_ref(), self.report);
        listen
    }

    /// The runtime of all clients.
    fn runtime(&self, text: Option<&At<String>>) -> Option<Identify> {
        let runtime = parsed(text, RuntimeTag::parse, self.report)?;
        self.refuse_stranger(&runtime);
        Some(Identify::Static(runtime.value))
    }

    fn untagged(&self, raw: Option<&At<String>>) -> Option<Untagged> {
        let Some(raw) = raw else {
            return Some(Untagged::Refuse);
        };
        let runtime = |text: &str| {
            let parsed = RuntimeTag::parse(text);
            parsed.map_err(|_| format!("{text:?} is none of refuse, pass and a runtime"))
        };
        match raw.value.as_str() {
            "refuse" => Some(Untagged::Refuse),
            "pass" => Some(Untagged::Pass),
            _ => {
                let runtime = parsed(Some(raw), runtime, self.report)?;
                self.refuse_stranger(&runtime);
                Some(Untagged::As(runtime.value))
            }
        }
    }

    /// Reports a runtime that has no namespace.
    fn refuse_stranger(&self, At { place, value }: &At<RuntimeTag>) {
        let Some(namespaces) = self.namespaces else {
            return;
        };
        if !namespaces.iter().any(|n| n.requirement.matches(value)) {
            let wanted = namespaces
                .iter()
                .map(|n| format!("{} is for {}", n.name, n.requirement));
            let wanted: Vec<String> = wanted.collect();
            let message = format!("no namespace is for {value}: {}", wanted.join(", "));
            self.report.error(place, message);
        }
    }
}

/// Sources of tags in their order, each at most once.
fn sources(
    raw: At<Vec<At<String>>>,
    asks_clients: bool,
    report: &Report,
) -> Option<ArrayVec<Source, SOURCES>> {
    let mut sources = ArrayVec::new();
    let mut sound = true;
    for word in &some_of(Some(raw), report) {
        match known::<Source>(word, report) {
            Some(source) if sources.contains(&source) => {
                report.error(&word.place, format!("{} is given twice", word.value));
                sound = false;
            }
            Some(Source::Certificate) if !asks_clients => {
                let message = "needs tls.client_roots to verify the clients' certificates";
                report.error(&word.place, message);
                sound = false;
            }
            // There are no more of them than it holds.
            Some(source) => sources.push(source),
            None => sound = false,
        }
    }
    (sound && !sources.is_empty()).then_some(sources)
}
