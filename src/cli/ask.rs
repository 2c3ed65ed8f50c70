//! `advise` and `health`: what a proxy that runs says of itself.

use super::answer::{Failure, json, print, usage, write};
use super::args::{self, Format};
use crate::config::ListenAddr;
use crate::report::advice::Report;
use crate::server::{self, AskError};

pub(super) fn advise(args: &args::Advise) -> Result<(), Failure> {
    let addr = ListenAddr::parse(&args.running.admin).map_err(usage)?;
    let unavailable = |why: String| Failure::Unavailable(format!("{}: {why}", args.running.admin));
    let answer = server::ask_admin(&addr, "/families");
    let answer = answer.map_err(|error| unavailable(error.to_string()))?;
    let report: Report = serde_json::from_slice(&answer)
        .map_err(|error| unavailable(format!("no advice in its answer: {error}")))?;
    print(&match args.format {
        Format::Json => json(&report)?,
        Format::Text => report.to_string(),
    })?;
    if report.go {
        Ok(())
    } else {
        Err(Failure::No("no go".to_owned()))
    }
}

pub(super) fn health(args: &args::Health) -> Result<(), Failure> {
    let addr = ListenAddr::parse(&args.running.admin).map_err(usage)?;
    let path = if args.live { "/live" } else { "/ready" };
    match server::ask_admin(&addr, path) {
        Ok(answer) => write(&answer),
        Err(error) => {
            let message = format!("{}: {error}", args.running.admin);
            Err(match error {
                AskError::Silent(_) => Failure::Unavailable(message),
                AskError::Refused { .. } => Failure::No(message),
            })
        }
    }
}
