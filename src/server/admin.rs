//! The admin listener: metrics and health over HTTP. Read-only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use memcache_async::ascii::Protocol;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::oneshot;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::stream::{Listening, Stream};
use super::upstream::Address;
use super::worker::{Handle, Message};

/// How long a server may take to say its version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the answers are made of.
#[derive(Debug, Clone)]
pub(super) struct State {
    prometheus: PrometheusHandle,
    workers: Vec<Handle>,
    /// One for each server.
    servers: Vec<Arc<Address>>,
}

impl State {
    pub(super) fn new(
        prometheus: PrometheusHandle,
        workers: Vec<Handle>,
        servers: Vec<Arc<Address>>,
    ) -> Self {
        Self {
            prometheus,
            workers,
            servers,
        }
    }
}

/// Answers until dropped.
pub(super) async fn serve(listening: Listening, state: State) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .with_state(state);
    let served = match listening {
        Listening::Tcp(listener) => axum::serve(listener, router).await,
        // The file goes with the listener.
        Listening::Unix(listener, _file) => axum::serve(listener, router).await,
    };
    if let Err(error) = served {
        tracing::error!(%error, "admin listener ended");
    }
}

async fn metrics(extract::State(state): extract::State<State>) -> impl IntoResponse {
    let published = state.workers.iter().map(|worker| {
        let (done, published) = oneshot::channel();
        // A worker that ended has nothing to add.
        worker.send(Message::Publish(done));
        published
    });
    for published in published.collect::<Vec<_>>() {
        let _ = published.await;
    }
    state.prometheus.run_upkeep();
    let text_format = "text/plain; version=0.0.4; charset=utf-8";
    (
        [(header::CONTENT_TYPE, text_format)],
        state.prometheus.render(),
    )
}

/// Ready once every server answers.
async fn ready(extract::State(state): extract::State<State>) -> impl IntoResponse {
    let mut report = String::new();
    let mut status = StatusCode::OK;
    for address in &state.servers {
        let probed = tokio::time::timeout(PROBE_TIMEOUT, probe(address)).await;
        let line = match probed {
            Ok(Ok(version)) => format!("{}: {version}\n", address.server),
            Ok(Err(error)) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                format!("{}: {error}\n", address.server)
            }
            Err(_) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                format!(
                    "{}: no answer after {} ms\n",
                    address.server,
                    PROBE_TIMEOUT.as_millis()
                )
            }
        };
        report.push_str(&line);
    }
    (status, report)
}

async fn probe(address: &Address) -> io::Result<String> {
    let stream = Stream::connect(&address.server, address.embedded.as_ref()).await?;
    let version = match stream {
        Stream::Tcp(stream) => Protocol::new(stream.compat()).version().await,
        Stream::Unix(stream) => Protocol::new(stream.compat()).version().await,
    };
    version.map_err(|error| io::Error::other(error.to_string()))
}
