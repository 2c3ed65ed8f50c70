//! The file of a unix socket: who may open it, and what stands in its way.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{Gid, Group};

use super::addr::ListenAddr;
use super::document::Table;
use super::report::{At, Report};

/// Permissions, without those of a program.
const MAX_MODE: u32 = 0o777;

/// The mode and group of a listener's socket, where they are configured; else the
/// system's `umask` and the process decide who may open it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketAccess {
    /// Permission bits, at most `0o777`.
    pub mode: Option<u32>,
    /// A number of the system's.
    pub group: Option<u32>,
}

impl SocketAccess {
    /// Gives a socket to whom it is for.
    ///
    /// # Errors
    /// What the system does not allow.
    pub(crate) fn grant(self, path: &Path) -> io::Result<()> {
        if let Some(group) = self.group {
            std::os::unix::fs::lchown(path, None, Some(group)).map_err(|error| {
                let message = format!("cannot be given to group {group}: {error}");
                io::Error::new(error.kind(), message)
            })?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }
}

/// Says who may open an address's socket, and reports what cannot be.
pub(super) fn access(
    table: &mut Table<'_>,
    listen: Option<&At<ListenAddr>>,
    report: &Report,
) -> SocketAccess {
    let access = SocketAccess {
        mode: table.parsed("socket_mode", mode).map(|at| at.value),
        group: table.parsed("socket_group", group).map(|at| at.value),
    };
    let is_unix = listen.is_none_or(|at| matches!(at.value, ListenAddr::Unix(_)));
    for name in ["socket_mode", "socket_group"] {
        if let Some(place) = table.given(name).filter(|_| !is_unix) {
            report.error(place, "has no effect: this is no unix socket");
        }
    }
    access
}

/// Reports what stands where a socket is to be.
pub(super) fn refuse_obstacle(listen: Option<&At<ListenAddr>>, report: &Report) {
    if let Some(At { place, value }) = listen
        && let ListenAddr::Unix(path) = value
        && let Some(obstacle) = obstacle(path)
    {
        report.error(place, obstacle);
    }
}

/// Says what stands at the path of a future socket, if that is something else. Does not
/// follow links: what they lead to is somebody's.
pub(crate) fn obstacle(path: &Path) -> Option<String> {
    // What cannot be looked at is found when the socket is to be made.
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    (!kind.is_socket()).then(|| {
        let (path, kind) = (path.display(), name(kind));
        format!("{path} is {kind}, not a socket: it is not replaced")
    })
}

fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_file() {
        "a file"
    } else {
        "something else"
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|&mode| digits && text.len() >= 3 && mode <= MAX_MODE)
        .ok_or_else(|| format!("{text:?} is no mode: write for example \"0660\""))
}

/// Id of a group, given by number or name.
fn group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(Gid::as_raw(group.gid)),
        Ok(None) => Err(format!("there is no group {text:?} on this machine")),
        Err(error) => Err(format!("group {text:?} cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("777"), Ok(0o777));
        for text in ["", "6", "66", "0o660", "0888", "1777", "+660", "rw-rw----"] {
            mode(text).unwrap_err();
        }
    }

    #[test]
    fn groups_have_names_and_numbers() {
        assert_eq!(group("root"), Ok(0));
        assert_eq!(group("4711"), Ok(4711));
        assert_eq!(
            group("no such group"),
            Err("there is no group \"no such group\" on this machine".to_owned())
        );
    }

    #[test]
    fn only_a_socket_is_no_obstacle() {
        let dir = tempfile::TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "kept").unwrap();
        fs::create_dir(at("dir")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("socket"), at("link")).unwrap();
        for name in ["nothing", "socket"] {
            assert_eq!(obstacle(&at(name)), None);
        }
        drop(listener);
        assert_eq!(obstacle(&at("socket")), None);
        for (name, kind) in [
            ("file", "a file"),
            ("dir", "a directory"),
            ("dangling", "a symbolic link"),
            ("link", "a symbolic link"),
        ] {
            let found = obstacle(&at(name)).unwrap();
            assert!(found.contains(kind), "{found}");
        }
    }
}
