//! Loads put on contenders by this same program in processes of their own.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::CompareError;
use super::contender::Contender;
use super::results::{MEMCACHED, PROXY};
use crate::report::Report;

/// One load on one contender.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) loadtest: &'a Path,
    pub(super) contender: &'a Contender,
    /// Arguments of `run`, divided by spaces.
    pub(super) args: String,
    pub(super) cpu: usize,
}

impl Load<'_> {
    /// The words after the program's name.
    pub(super) fn words(&self) -> Vec<String> {
        let contender = self.contender;
        let mut words: Vec<String> = ["run", "--json", "-"].map(String::from).into();
        words.extend(["--target".to_owned(), contender.target.to_string()]);
        words.extend(["--cpu".to_owned(), self.cpu.to_string()]);
        let proxy = contender.proxy.as_ref().map(|proxy| (PROXY, proxy.pid()));
        let watched = [(MEMCACHED, contender.memcached.pid())];
        for (name, pid) in watched.into_iter().chain(proxy) {
            words.extend(["--watch".to_owned(), format!("{name}={pid}")]);
        }
        words.extend(self.args.split_whitespace().map(String::from));
        words
    }

    /// Puts it on, and returns what came of it.
    pub(super) async fn run(&self) -> Result<Report, CompareError> {
        let mut command = Command::new(self.loadtest);
        command.args(self.words());
        self.report(command).await
    }

    /// Has a command put it on, which prints what the load prints.
    pub(super) async fn report(&self, mut command: Command) -> Result<Report, CompareError> {
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| CompareError::Start("load".to_owned(), error))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            CompareError::Load(self.contender.kind, said.trim().to_owned())
        })
    }
}
