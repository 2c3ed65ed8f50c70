//! The end of a command: an answer on standard output, or why there is none.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use serde::Serialize;

use crate::server::ServeError;

/// A reason why a command ends without what was asked for. The codes from 64 on are
/// those of `sysexits.h`; `--help` has the table.
pub(super) enum Failure {
    /// A negative answer: 1.
    No(String),
    /// Neither a positive answer nor a negative one: 2.
    Unknown(String),
    /// The command line or the configuration is at fault: 64.
    Usage(String),
    /// The proxy that was asked does not answer: 69.
    Unavailable(String),
    /// picklegate is at fault: 70.
    Internal(String),
    /// The system refused what was asked of it: 71.
    Refused(String),
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Config(_) => Self::Usage(message),
            _ if error.is_refusal() => Self::Refused(message),
            _ => Self::Internal(message),
        }
    }
}

pub(super) fn usage(error: impl Display) -> Failure {
    Failure::Usage(error.to_string())
}

/// A line for programs.
pub(super) fn json(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// Writes an answer; a reader that has gone away wanted no more of it.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

pub(super) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Refused(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}
