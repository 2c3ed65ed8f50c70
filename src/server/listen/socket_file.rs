//! The file of a unix socket. Only the process that made it removes it, and only a socket
//! that nobody listens on is ever replaced.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use tokio::net::UnixListener;
use tokio::time::Instant;

use crate::config::{SocketAccess, obstacle};

/// Clients of one listener that the kernel accepts ahead of this process.
pub(in crate::server) const BACKLOG: u32 = 1024;
/// Bound on waiting for other processes that start in the same directory. They hold the
/// lock for milliseconds, so a longer wait means that something else holds it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between attempts to take the lock.
const LOCK_STEP: Duration = Duration::from_millis(5);

/// The file of a socket that this process made, removed when dropped. Drop it before its
/// listener: while that is open, no other process replaces the file.
#[derive(Debug)]
pub(in crate::server) struct SocketFile {
    path: Box<Path>,
    /// Device and inode of the file.
    id: (u64, u64),
}

impl SocketFile {
    /// Listens on a new socket at a path.
    ///
    /// # Errors
    /// What stands there that is not a socket which nobody listens on, and what the
    /// system does not allow.
    pub(in crate::server) async fn listen(
        path: &Path,
        access: SocketAccess,
    ) -> io::Result<(Self, UnixListener)> {
        let address = SocketAddrUnix::new(path)?;
        // A socket that is bound but not yet listening looks dead to another process, which
        // would replace it. The lock covers bind to listen.
        let _lock = lock_directory(path).await;
        let socket = new_socket()?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                make_room(path, &address)?;
                bind(&socket, &address)?;
            }
            bound => bound?,
        }
        let id = id_of(path)?;
        let path = path.into();
        let file = Self { path, id };
        // Before `listen`: no client may connect under the default mode.
        file.grant(access)?;
        listen(&socket, i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
        let listener = UnixListener::from_std(StdUnixListener::from(socket))?;
        Ok((file, listener))
    }

    /// Applies mode and group.
    ///
    /// # Errors
    /// What the system does not allow.
    pub(in crate::server) fn grant(&self, access: SocketAccess) -> io::Result<()> {
        if self.is_own() {
            access.grant(&self.path)?;
        }
        Ok(())
    }

    /// Removes the file, so that no more clients come. Those in the queue are still to be
    /// accepted.
    pub(in crate::server) fn remove(&self) {
        if self.is_own() {
            // Another process may have removed it since the check.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Whether the file is still there and still ours, and not a successor's.
    fn is_own(&self) -> bool {
        id_of(&self.path).is_ok_and(|id| id == self.id)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(socket)
}

/// Removes a socket that nobody listens on.
fn make_room(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    if let Some(obstacle) = obstacle(path) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, obstacle));
    }
    match connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path),
        // Removed since `bind` failed.
        Err(Errno::NOENT) => Ok(()),
        // A listener with a full queue (AGAIN), or a socket of another type: in use.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(Errno::ADDRINUSE.into()),
        Err(error) => Err(error.into()),
    }
}

/// Locks the directory against other processes that start, if it can be locked.
async fn lock_directory(path: &Path) -> Option<File> {
    let directory = File::open(path.parent()?).ok()?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    while flock(&directory, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
        && Instant::now() < deadline
    {
        tokio::time::sleep(LOCK_STEP).await;
    }
    Some(directory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    use tempfile::TempDir;

    use super::*;

    async fn at(path: &Path) -> io::Result<(SocketFile, UnixListener)> {
        SocketFile::listen(path, SocketAccess::default()).await
    }

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gate.sock");
        fs::write(&path, "notes").unwrap();
        let error = at(&path).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is a file, not a socket: it is not replaced")
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
        fs::remove_file(&path).unwrap();
        for target in ["nowhere", "dir"] {
            fs::create_dir_all(dir.path().join("dir")).unwrap();
            std::os::unix::fs::symlink(dir.path().join(target), &path).unwrap();
            let error = at(&path).await.unwrap_err();
            assert!(error.to_string().contains("is a symbolic link"), "{error}");
            fs::remove_file(&path).unwrap();
        }
        let living = StdUnixListener::bind(&path).unwrap();
        let error = at(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop(living);
        let (_file, _listener) = at(&path).await.unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn a_listener_that_has_too_much_to_do_is_not_taken_for_a_dead_one() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gate.sock");
        let socket = new_socket().unwrap();
        let address = SocketAddrUnix::new(&path).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 0).unwrap();
        let waiting = new_socket().unwrap();
        connect(&waiting, &address).unwrap();
        let error = at(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn who_ends_removes_its_own_socket_and_no_others() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gate.sock");
        let (file, listener) = at(&path).await.unwrap();
        drop((file, listener));
        assert!(!path.exists());
        // Another's in its place.
        let (file, listener) = at(&path).await.unwrap();
        let other = dir.path().join("other");
        let _living = StdUnixListener::bind(&other).unwrap();
        fs::rename(&other, &path).unwrap();
        drop((file, listener));
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn of_many_that_start_at_once_one_listens_and_is_reached() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gate.sock");
        for _ in 0..20 {
            // What was left behind.
            drop(StdUnixListener::bind(&path).unwrap());
            let starting: Vec<_> = (0..8)
                .map(|_| {
                    let path = path.clone();
                    std::thread::spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread();
                        let runtime = { runtime }.enable_all().build().unwrap();
                        runtime.block_on(async {
                            let (file, listener) = at(&path).await.ok()?;
                            let near = UnixStream::connect(&path);
                            let came = listener.accept().await;
                            assert!(near.is_ok() && came.is_ok());
                            Some((file, listener.into_std().unwrap()))
                        })
                    })
                })
                .collect();
            let started = starting
                .into_iter()
                .map(|starting| starting.join().unwrap());
            let started: Vec<_> = started.flatten().collect();
            assert_eq!(started.len(), 1);
            drop(started);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_socket_is_for_whom_it_is_said_to_be() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gate.sock");
        let group = fs::metadata(dir.path()).unwrap().gid();
        let access = SocketAccess {
            mode: Some(0o620),
            group: Some(group),
        };
        let (file, _listener) = SocketFile::listen(&path, access).await.unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.mode() & 0o777, found.gid()), (0o620, group));
        file.grant(SocketAccess {
            mode: Some(0o600),
            group: None,
        })
        .unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
    }
}
