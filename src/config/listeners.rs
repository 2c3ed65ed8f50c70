//! The listeners: where each accepts, and how it learns what connects to it.

use std::path::Path;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::Listener;
use super::addr::ListenAddr;
use super::raw::RawListener;
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
    raw: Option<&At<Vec<RawListener>>>,
    namespaces: Option<&[Namespace]>,
    base: &Path,
    report: &Report,
) -> Vec<Draft> {
    let draft = |raw: &RawListener| {
        let listen = parsed(raw.listen.as_ref(), ListenAddr::parse, report);
        let of_file = |at: &At<ListenAddr>| matches!(at.value, ListenAddr::Unix(_));
        if let Some(tls) = &raw.tls
            && listen.as_ref().is_some_and(of_file)
        {
            report.error(&tls.place, "there is no TLS on a unix socket");
        }
        refuse_obstacle(listen.as_ref(), report);
        Draft {
            access: access(&raw.access, listen.as_ref(), report),
            listen,
            identify: identify(raw, namespaces, report),
            tls: raw
                .tls
                .as_ref()
                .and_then(|raw| tls::listener(raw, base, report)),
        }
    };
    some_of(raw, report).iter().map(draft).collect()
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

fn identify(
    raw: &RawListener,
    namespaces: Option<&[Namespace]>,
    report: &Report,
) -> Option<Identify> {
    let Some(identify) = &raw.identify else {
        if let Some(At { place, .. }) = &raw.untagged {
            report.error(place, "has no effect without identify");
        }
        let runtime = parsed(raw.runtime.as_ref(), RuntimeTag::parse, report)?;
        refuse_stranger(&runtime, namespaces, report);
        return Some(Identify::Static(runtime.value));
    };
    if let Some(At { place, .. }) = &raw.runtime {
        report.error(place, "all clients are this runtime: leave out identify");
    }
    let asks_clients = raw
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_roots.is_some());
    let sources = sources(identify, asks_clients, report);
    let untagged = untagged(raw.untagged.as_ref(), namespaces, report);
    Some(Identify::Each {
        sources: sources?,
        untagged: untagged?,
    })
}

/// Sources of tags in their order, each at most once.
fn sources(
    raw: &At<Vec<At<String>>>,
    asks_clients: bool,
    report: &Report,
) -> Option<ArrayVec<Source, SOURCES>> {
    let mut sources = ArrayVec::new();
    let mut sound = true;
    for word in some_of(Some(raw), report) {
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

fn untagged(
    raw: Option<&At<String>>,
    namespaces: Option<&[Namespace]>,
    report: &Report,
) -> Option<Untagged> {
    let Some(At { place, value }) = raw else {
        return Some(Untagged::Refuse);
    };
    match value.as_str() {
        "refuse" => Some(Untagged::Refuse),
        "pass" => Some(Untagged::Pass),
        text => {
            let Ok(value) = RuntimeTag::parse(text) else {
                let message = format!("{text:?} is none of refuse, pass and a runtime");
                report.error(place, message);
                return None;
            };
            let runtime = At {
                place: place.clone(),
                value,
            };
            refuse_stranger(&runtime, namespaces, report);
            Some(Untagged::As(runtime.value))
        }
    }
}

/// Reports a runtime that has no namespace.
fn refuse_stranger(
    At { place, value }: &At<RuntimeTag>,
    namespaces: Option<&[Namespace]>,
    report: &Report,
) {
    let Some(namespaces) = namespaces else {
        return;
    };
    if !namespaces.iter().any(|n| n.requirement.matches(value)) {
        let wanted: Vec<String> = namespaces
            .iter()
            .map(|n| format!("{} is for {}", n.name, n.requirement))
            .collect();
        let message = format!("no namespace is for {value}: {}", wanted.join(", "));
        report.error(place, message);
    }
}
