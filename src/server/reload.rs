//! Waits for the configuration's files to change. Reads them only to tell whether
//! they did.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, Event, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use twox_hash::XxHash64;

/// How long a change has to be over before the files are read: whoever writes them
/// may do so in several steps.
const SETTLED: Duration = Duration::from_millis(200);
/// Where something else in a directory is written all the time, nothing is ever over:
/// the files are read after so many pauses.
const MAX_PAUSES: usize = 5;

/// Watches files, through whatever links lead to them.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None` where the system has no watch left.
    watcher: Option<RecommendedWatcher>,
    sender: mpsc::Sender<()>,
    events: mpsc::Receiver<()>,
    files: Vec<PathBuf>,
    /// The directories that are watched.
    directories: BTreeSet<PathBuf>,
    /// A digest of what the files held.
    seen: u64,
}

impl Watch {
    /// Watches a configuration file, which held this text when it was read, and what
    /// it is made of.
    pub(super) fn new(file: &Path, text: &str, files: &[PathBuf]) -> Self {
        // One event that waits says as much as many.
        let (sender, events) = mpsc::channel(1);
        let changed = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if !is_reading(&event) {
                let _ = changed.try_send(());
            }
        });
        let unwatched = |error| {
            let file = file.display();
            tracing::warn!(%file, %error, "not watched: send SIGHUP when it changed");
        };
        let mut watch = Self {
            watcher: watcher.map_err(unwatched).ok(),
            sender,
            events,
            files: Vec::new(),
            directories: BTreeSet::new(),
            seen: 0,
        };
        watch.follow(files, digest(&[]));
        if held(file).is_some_and(|held| held != text.as_bytes()) {
            watch.look_again();
        }
        watch
    }

    /// Something was written since it was read.
    fn look_again(&mut self) {
        self.seen = !self.seen;
        // If one waits, that is enough.
        let _ = self.sender.try_send(());
    }

    /// A digest of what the files hold now.
    pub(super) fn digest(&self) -> u64 {
        digest(&self.files)
    }

    /// Watches these files from now on. What they hold now is no change, unless
    /// those of before hold something else than what was `read`: they were written
    /// while that was taken over.
    pub(super) fn follow(&mut self, files: &[PathBuf], read: u64) {
        let is_read = self.digest() == read;
        self.files = files.to_vec();
        self.seen = self.digest();
        self.watch_directories();
        if !is_read {
            self.look_again();
        }
    }

    /// A file that is replaced is another one: its directory tells. So do those
    /// of the links to it, which is how a mounted `ConfigMap` is replaced.
    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let targets = self
            .files
            .iter()
            .filter_map(|file| file.canonicalize().ok());
        let directories: BTreeSet<PathBuf> = self
            .files
            .iter()
            .cloned()
            .chain(targets)
            .filter_map(|file| {
                let directory = file.parent()?;
                let here = directory.as_os_str().is_empty();
                Some(if here { Path::new(".") } else { directory }.to_owned())
            })
            .collect();
        for gone in self.directories.difference(&directories) {
            // It may be gone itself.
            let _ = watcher.unwatch(gone);
        }
        for new in directories.difference(&self.directories) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                let directory = new.display();
                tracing::warn!(%directory, %error, "not watched: send SIGHUP when it changed");
            }
        }
        self.directories = directories;
    }

    /// Returns once the files hold something else.
    async fn changed(&mut self) {
        while self.events.recv().await.is_some() {
            for _ in 0..MAX_PAUSES {
                tokio::time::sleep(SETTLED).await;
                if self.events.try_recv().is_err() {
                    break;
                }
            }
            let found = digest(&self.files);
            self.watch_directories();
            if found != self.seen {
                self.seen = found;
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Whether somebody only opened a file: this process itself, to see what is in it, or
/// another sidecar with its configuration in the same directory.
fn is_reading(event: &notify::Result<Event>) -> bool {
    let opened = |event: &Event| matches!(event.kind, EventKind::Access(AccessKind::Open(_)));
    event.as_ref().is_ok_and(opened)
}

/// Returns once a watched file changed; never, where none is watched.
pub(super) async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// What a file holds; nothing where there is none, nor of a pipe or the like, whose
/// writer may take for ever.
fn held(file: &Path) -> Option<Vec<u8>> {
    let is_file = std::fs::metadata(file).is_ok_and(|file| file.is_file());
    is_file.then(|| std::fs::read(file).ok()).flatten()
}

/// Of what the files hold, and of which are there.
pub(super) fn digest(files: &[PathBuf]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    for file in files {
        let held = held(file).unwrap_or_default();
        hasher.write_usize(held.len());
        hasher.write(&held);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;

    /// Whether a change is seen while `beside` goes on in the same directory.
    async fn is_seen_beside(beside: impl Fn(&Path)) -> bool {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("picklegate.toml");
        fs::write(&file, "old").unwrap();
        let mut watch = Watch::new(&file, "old", std::slice::from_ref(&file));
        fs::write(&file, "new").unwrap();
        let busy = async {
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline {
                beside(dir.path());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = watch.changed() => true,
            () = busy => false,
        }
    }

    #[tokio::test]
    async fn a_change_is_seen_while_others_read() {
        let reads = |dir: &Path| drop(fs::read(dir.join("picklegate.toml")));
        assert!(is_seen_beside(reads).await);
    }

    #[tokio::test]
    async fn a_change_is_seen_while_others_write_beside_it() {
        let writes = |dir: &Path| fs::write(dir.join("log"), "line").unwrap();
        assert!(is_seen_beside(writes).await);
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
        let dir = TempDir::new().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        assert_eq!(held(&pipe), None);
    }

    #[test]
    fn files_that_hold_the_same_have_one_digest_wherever_they_are() {
        let dir = TempDir::new().unwrap();
        let [one, two, other] = ["one", "two", "other"].map(|name| dir.path().join(name));
        for (file, text) in [(&one, "same"), (&two, "same"), (&other, "else")] {
            fs::write(file, text).unwrap();
        }
        let [one, two, other] = [one, two, other].map(|file| digest(&[file]));
        assert_eq!(one, two);
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn looking_at_the_files_is_no_event() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("picklegate.toml");
        fs::write(&file, "same").unwrap();
        let mut watch = Watch::new(&file, "same", std::slice::from_ref(&file));
        tokio::time::sleep(SETTLED).await;
        while watch.events.try_recv().is_ok() {}
        digest(&watch.files);
        tokio::time::sleep(SETTLED).await;
        assert!(watch.events.try_recv().is_err());
    }
}
