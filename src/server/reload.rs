//! Watching of the configuration's files. Events only say that something happened; a
//! digest of the content decides whether a file changed.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, Event, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use twox_hash::XxHash64;

/// Quiet time after a change before the files are read: an editor or a deployment may
/// write in several steps.
const SETTLED: Duration = Duration::from_millis(200);
/// Pauses after which the files are read anyway. In a directory that something else
/// writes to all the time, the quiet time never comes.
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
    /// Digest of the files at the last reload.
    seen: u64,
}

impl Watch {
    /// Watches a configuration file, whose text was `text` when it was loaded, and the
    /// files that it names.
    pub(super) fn new(file: &Path, text: &str, files: &[PathBuf]) -> Self {
        // Room for one: a waiting event already means that the files are read again.
        let (sender, events) = mpsc::channel(1);
        let changed = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if !is_reading(&event) {
                let _ = changed.try_send(());
            }
        });
        let unwatched = |error| {
            let file = file.display();
            tracing::warn!(%file, %error, "not watched: send SIGHUP after a change");
        };
        let mut watch = Self {
            watcher: watcher.map_err(unwatched).ok(),
            sender,
            events,
            files: Vec::new(),
            directories: BTreeSet::new(),
            seen: 0,
        };
        // No files are followed yet, so the digest of none is what was read.
        watch.follow(files, digest(&[]));
        // A change between loading and watching has no event.
        if held(file).is_some_and(|held| held != text.as_bytes()) {
            watch.look_again();
        }
        watch
    }

    /// Has the files read again, because one was written since they were.
    fn look_again(&mut self) {
        self.seen = !self.seen;
        // A full channel holds an event already.
        let _ = self.sender.try_send(());
    }

    /// Digest of the files as they are now.
    pub(super) fn digest(&self) -> u64 {
        digest(&self.files)
    }

    /// Watches these files from now on. Their present content counts as loaded, unless
    /// the files followed so far no longer have the digest `read`: then one was written
    /// during the reload, and all are read again.
    pub(super) fn follow(&mut self, files: &[PathBuf], read: u64) {
        let is_read = self.digest() == read;
        self.files = files.to_vec();
        self.seen = self.digest();
        self.watch_directories();
        if !is_read {
            self.look_again();
        }
    }

    /// Watches the directories of the files, not the files: an editor replaces a file by
    /// another, and a watch would stay with the old one. Directories behind links are
    /// watched as well, since Kubernetes updates a `ConfigMap` by moving a link.
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
            // Fails if the directory was removed, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        for new in directories.difference(&self.directories) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                let directory = new.display();
                tracing::warn!(%directory, %error, "not watched: send SIGHUP after a change");
            }
        }
        self.directories = directories;
    }

    /// Returns once the content of the files changed.
    async fn changed(&mut self) {
        while self.events.recv().await.is_some() {
            for _ in 0..MAX_PAUSES {
                tokio::time::sleep(SETTLED).await;
                if self.events.try_recv().is_err() {
                    break;
                }
            }
            let found = digest(&self.files);
            // Links may lead elsewhere now.
            self.watch_directories();
            if found != self.seen {
                self.seen = found;
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Whether a file was only opened. Digesting the files opens them, so without this every
/// look would be the event that leads to the next.
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

/// Content of a file. `None` if there is none, or if it is no regular file: reading a
/// pipe may block for ever.
fn held(file: &Path) -> Option<Vec<u8>> {
    let is_file = std::fs::metadata(file).is_ok_and(|file| file.is_file());
    is_file.then(|| std::fs::read(file).ok()).flatten()
}

/// Digest of the content of files; a missing one counts as empty.
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
