//! Asks the admin listener of a running picklegate.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::rt;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use crate::config::ListenAddr;

/// Bound on one whole exchange.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer: 16 MiB.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Failures of asking a running proxy.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers at the address, or not in HTTP.
    #[error("{0}")]
    Silent(#[from] io::Error),
    /// The proxy answered with an error status.
    #[error("answers {status} to {path}: {said}")]
    Refused {
        /// The answer's.
        status: StatusCode,
        /// Path of the request.
        path: String,
        /// Body of the answer, its lines joined into one.
        said: String,
    },
}

/// The answer to a `GET`.
///
/// # Errors
/// If nobody answers, or not with what was asked for.
pub fn ask_admin(addr: &ListenAddr, path: &str) -> Result<Vec<u8>, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async {
        let answer = async {
            match addr {
                ListenAddr::Tcp(addr) => ask(TcpStream::connect(addr).await?, path).await,
                ListenAddr::Unix(at) => ask(UnixStream::connect(at).await?, path).await,
            }
        };
        let waited = tokio::time::timeout(PATIENCE, answer).await;
        waited.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    });
    // A name that is still looked up keeps nobody waiting.
    runtime.shutdown_background();
    asked
}

async fn ask<S>(stream: S, path: &str) -> Result<Vec<u8>, AskError>
where
    TokioIo<S>: rt::Read + rt::Write + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    // It ends with the sender.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, "picklegate")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await;
    let response = response.map_err(io::Error::other)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    let body = body.collect().await.map_err(io::Error::other)?;
    let body = body.to_bytes().to_vec();
    if status == StatusCode::OK {
        return Ok(body);
    }
    let said = String::from_utf8_lossy(&body);
    let said: Vec<_> = said.lines().collect();
    Err(AskError::Refused {
        status,
        path: path.to_owned(),
        said: said.join("; "),
    })
}
