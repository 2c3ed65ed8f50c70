//! One sidecar with a configuration file that is written again and again, in the
//! ways that people and machines replace files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::admin;
use crate::support::toml::Toml;
use crate::support::{Picklegate, free_addr};

/// The steps of a migration, in their order: what the rules say.
pub(crate) const STAGES: [&str; 4] = [
    "mode = \"observe\"",
    "mode = \"guard\"",
    "mode = \"isolate\"\nrollout = 10",
    "mode = \"isolate\"\nrollout = 100",
];
/// Configurations that no sidecar takes over.
const BROKEN: [&str; 4] = [
    "",
    "[[rules]\n",
    "[[rules]]\nprefix = \"\"\nmode = \"isolated\"\n",
    "[upstream]\nservers = [\"nowhere\"]\n",
];

/// Ways of replacing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Renamed over the old one, which is seen.
    Rename,
    /// A directory of links is swapped, as Kubernetes does it, which is seen.
    Swap,
    /// Either, and told by SIGHUP.
    HangUp,
}

pub(crate) struct Sidecar {
    pub(crate) name: &'static str,
    /// Addresses that Python 2 and Python 3 connect to.
    pub(crate) listens: [String; 2],
    admin: String,
    upstream: String,
    /// Whether its file is one of a mounted `ConfigMap`.
    is_mounted: bool,
    dir: TempDir,
    /// Files written so far.
    written: usize,
    /// Configurations that it took over, and those that it refused.
    pub(crate) reloads: usize,
    pub(crate) refusals: usize,
    gate: Option<Picklegate>,
}

impl Sidecar {
    /// Starts in the first stage.
    pub(crate) fn start(name: &'static str, upstream: &str, is_mounted: bool) -> Self {
        let mut sidecar = Self {
            name,
            listens: [free_addr(), free_addr()],
            admin: free_addr(),
            upstream: upstream.to_owned(),
            is_mounted,
            dir: TempDir::new().expect("a writable temporary directory"),
            written: 0,
            reloads: 0,
            refusals: 0,
            gate: None,
        };
        if is_mounted {
            symlink("..data/picklegate.toml", sidecar.file()).expect("a writable directory");
        }
        sidecar.write(&sidecar.configuration(STAGES[0]));
        sidecar.gate = Some(Picklegate::with_file(&sidecar.file()));
        sidecar
    }

    /// Everything that it said.
    pub(crate) fn stderr(&self) -> String {
        self.gate().stderr()
    }

    /// A sum over its metrics.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        admin::metric(&self.admin, name, labels)
    }

    /// The ways in which its file can be replaced.
    pub(crate) fn ways(&self) -> [How; 2] {
        let seen = if self.is_mounted {
            How::Swap
        } else {
            How::Rename
        };
        [seen, How::HangUp]
    }

    /// Replaces its file; returns once it works by that.
    pub(crate) fn go_to(&mut self, stage: &str, how: How) {
        let before = admin::generation(&admin::status(&self.admin));
        self.write(&self.configuration(stage));
        self.tell(how);
        admin::await_status(&self.admin, "a new configuration", |status| {
            admin::generation(status) > before && status["config"]["failure"].is_null()
        });
        self.reloads += 1;
    }

    /// Replaces its file by a broken one, which changes nothing.
    pub(crate) fn disturb(&mut self, how: How) {
        let before = admin::generation(&admin::status(&self.admin));
        self.write(BROKEN[self.refusals % BROKEN.len()]);
        self.tell(how);
        let status = admin::await_status(&self.admin, "a refused configuration", |status| {
            !status["config"]["failure"].is_null()
        });
        assert_eq!(admin::generation(&status), before, "{status:#}");
        self.refusals += 1;
    }

    fn tell(&self, how: How) {
        if how == How::HangUp {
            self.gate().hang_up();
        }
    }

    fn gate(&self) -> &Picklegate {
        self.gate.as_ref().expect("it was started")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("picklegate.toml")
    }

    fn configuration(&self, stage: &str) -> String {
        let Self {
            listens: [py2, py3],
            admin,
            upstream,
            ..
        } = self;
        Toml::new(&[upstream])
            .admin(admin)
            .table("server", "workers = 2")
            .table("limits", "request_timeout_ms = 5000")
            .listener(py2, "python/2.7")
            .listener(py3, "python/3")
            .family("lock:", "mode = \"shared\"")
            .family("strict:", &format!("coherence = \"strict\"\n{stage}"))
            .family("through:", &format!("read_through = true\n{stage}"))
            .rule(stage)
            .to_string()
    }

    /// Puts a text in the place of its file, all at once.
    fn write(&mut self, text: &str) {
        self.written += 1;
        if self.is_mounted {
            self.swap(text);
        } else {
            let new = self.dir.path().join("new");
            fs::write(&new, text).expect("a writable directory");
            fs::rename(new, self.file()).expect("a writable directory");
        }
    }

    /// `picklegate.toml -> ..data/picklegate.toml`, `..data -> ..N`
    fn swap(&self, text: &str) {
        let path = |name: &str| self.dir.path().join(name);
        let (data, next) = (path("..data"), path("..data_tmp"));
        let old = fs::read_link(&data).ok();
        let name = format!("..{}", self.written);
        fs::create_dir(path(&name)).expect("a writable directory");
        fs::write(path(&name).join("picklegate.toml"), text).expect("a writable directory");
        symlink(Path::new(&name), &next).expect("a writable directory");
        fs::rename(next, data).expect("a writable directory");
        if let Some(old) = old {
            fs::remove_dir_all(self.dir.path().join(old)).expect("nobody else uses it");
        }
    }
}
