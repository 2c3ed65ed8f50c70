//! Finds, reads and writes the files of commands: whole, bounded, and all or nothing.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// The largest input, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Tells whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Lists the inputs that a path stands for: all files below a directory, in the order of
/// their names, or the path itself. Links below a directory are not followed.
pub(crate) fn below(path: &Path) -> impl Iterator<Item = io::Result<PathBuf>> + use<> {
    let is_directory = !is_stdin(path) && path.is_dir();
    let itself = (!is_directory).then(|| Ok(path.to_owned()));
    let found = is_directory.then(|| WalkDir::new(path).sort_by_file_name());
    let files = found.into_iter().flatten().filter_map(|entry| match entry {
        Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
        Err(error) => Some(Err(error.into())),
    });
    itself.into_iter().chain(files)
}

/// Reads an input; `-` is standard input.
///
/// # Errors
/// Those of reading, one for a directory, and [`ErrorKind::FileTooLarge`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if is_stdin(path) {
        return bounded(io::stdin().lock());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("is a directory: name a file in it"));
    }
    bounded(file)
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more tells what is too large.
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = "larger than 64 MiB: not looked at";
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Replaces a file by this, or leaves it as it is.
///
/// # Errors
/// Those of writing beside it and of renaming.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // As for any new file: less what the umask takes.
    let permissions =
        fs::metadata(path).map_or(Permissions::from_mode(0o666), |old| old.permissions());
    let mut file = tempfile::Builder::new()
        .permissions(permissions)
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
