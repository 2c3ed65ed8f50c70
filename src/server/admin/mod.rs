//! The admin listener: the page, metrics and health over HTTP. Read-only.

pub(super) mod client;
mod page;
pub(super) mod status;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::stream::{ListenSocket, Listening};
use super::worker::address::Address;
use super::worker::connected::Connected;
use super::worker::{self, Handle, Message, Silent};
use crate::metrics::Registry;
use crate::report::advice::{self, Counts};
use status::Status;

/// Bound on a server's reply to `version`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sources of the answers: metrics, workers and the configuration in force.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) workers: Vec<Handle>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) stopping: CancellationToken,
}

/// Answers until dropped.
///
/// # Errors
/// Why it does so no more.
pub(super) async fn serve(listening: Listening, state: State) -> io::Result<()> {
    let router = Router::new()
        .merge(page::router())
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/families", get(families))
        .route("/advise", get(advise))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(state);
    let router = if listening.is_loopback() {
        router.layer(middleware::from_fn(refuse_domains))
    } else {
        router
    };
    match listening.socket {
        ListenSocket::Tcp(listener) => axum::serve(listener, router).await,
        ListenSocket::Unix(listener, _) => axum::serve(listener, router).await,
    }
}

/// Refuses requests that name a domain (DNS rebinding). The owner of a domain can have it
/// lead to this machine, and a browser would then give our answers to that domain's
/// pages. On loopback nobody needs a domain.
async fn refuse_domains(request: extract::Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    if host.is_some_and(|host| !is_local(host)) {
        let message = "this address is on loopback: use its IP address or localhost\n";
        return (StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    next.run(request).await
}

/// Whether a host is an address, or a name that no domain has: one without a dot.
fn is_local(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority.host().trim_end_matches('.');
    name.starts_with('[')
        || !name.contains('.')
        || name.parse::<Ipv4Addr>().is_ok()
        || name.ends_with(".localhost")
}

/// A part of the truth would look like all of it.
impl IntoResponse for Silent {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}

/// Lives while all workers answer.
async fn live(extract::State(state): extract::State<State>) -> Result<&'static str, Silent> {
    ask(&state.workers, Message::Ping).await?;
    Ok("live\n")
}

async fn metrics(
    extract::State(state): extract::State<State>,
) -> Result<impl IntoResponse, Silent> {
    let published = ask(&state.workers, Message::Publish).await?;
    crate::metrics::log_dropped(crate::log::dropped());
    let durations = published.into_iter().reduce(|all, of| all.merge(&of));
    let text_format = "text/plain; version=0.0.4; charset=utf-8";
    let text = state.registry.to_string() + &durations.unwrap_or_default().to_string();
    Ok(([(header::CONTENT_TYPE, text_format)], text))
}

async fn ask<T>(
    workers: &[Handle],
    question: impl Fn(oneshot::Sender<T>) -> Message,
) -> Result<Vec<T>, Silent> {
    worker::ask(workers.iter().map(Handle::mailbox), question).await
}

/// Body of `/status`. Counts are metrics.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    status: Status,
    #[serde(flatten)]
    connected: Connected,
}

async fn status(extract::State(state): extract::State<State>) -> Result<impl IntoResponse, Silent> {
    let answers = ask(&state.workers, Message::Connections).await?;
    let connected = answers.into_iter().reduce(Connected::merge);
    let report = Report {
        status: state.status.borrow().clone(),
        connected: connected.unwrap_or_default().listed(),
    };
    Ok(Json(report))
}

/// Table of key families: the traffic of each, and the rule it needs.
async fn families(extract::State(state): extract::State<State>) -> Result<Response, Silent> {
    let report = advice(&state).await?;
    Ok(report
        .map(Json)
        .ok_or(StatusCode::NOT_FOUND)
        .into_response())
}

/// The rules of the next stage, with what speaks for them and against it.
async fn advise(extract::State(state): extract::State<State>) -> Result<Response, Silent> {
    let report = advice(&state).await?.map(|report| report.to_string());
    Ok(report.ok_or(StatusCode::NOT_FOUND).into_response())
}

/// `None` where families are switched off.
async fn advice(state: &State) -> Result<Option<advice::Report>, Silent> {
    let observed = ask(&state.workers, Message::Families).await?;
    let snapshot = observed.first().map(|worker| Arc::clone(&worker.snapshot));
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.families.is_some()) else {
        return Ok(None);
    };
    let mut families = BTreeMap::new();
    let mut counts = Counts::default();
    for worker in observed {
        advice::merge(&mut families, &worker.snapshot.codec, &worker.families);
        counts.add(worker.counts);
    }
    let failed = state.status.borrow().has_failed();
    let rules = &snapshot.rules;
    Ok(Some(advice::Report::new(families, rules, counts, failed)))
}

/// Ready once every server answers, until the end has begun.
async fn ready(
    extract::State(state): extract::State<State>,
) -> Result<(StatusCode, String), Silent> {
    if state.stopping.is_cancelled() {
        let draining = "draining\n".to_owned();
        return Ok((StatusCode::SERVICE_UNAVAILABLE, draining));
    }
    let mut report = String::new();
    let mut status = StatusCode::OK;
    // All that any worker connects to.
    let servers = ask(&state.workers, Message::Servers).await?;
    for address in servers.first().into_iter().flatten() {
        let probed = tokio::time::timeout(PROBE_TIMEOUT, probe(address)).await;
        let version = probed.unwrap_or_else(|_| {
            let limit_ms = PROBE_TIMEOUT.as_millis();
            Err(io::Error::other(format!("no answer after {limit_ms} ms")))
        });
        let said = version.unwrap_or_else(|error| {
            status = StatusCode::SERVICE_UNAVAILABLE;
            error.to_string()
        });
        // Writing to a String cannot fail.
        let _ = writeln!(report, "{}: {said}", address.server);
    }
    Ok((status, report))
}

/// Asks a server for its version.
async fn probe(address: &Address) -> io::Result<String> {
    let (_, greeting) = address.connect().await?;
    match greeting.strip_prefix("VERSION ") {
        Some(version) => Ok(version.to_owned()),
        None => Err(io::Error::other(format!("answers {greeting:?} to version"))),
    }
}
