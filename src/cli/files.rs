//! Reads and writes the files of commands whole: bounded, and all or nothing.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The largest input, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Tells whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads an input; `-` is standard input.
///
/// # Errors
/// Those of reading, and one for what is too large or a directory.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if is_stdin(path) {
        return bounded(io::stdin().lock());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("is a directory: name the files in it"));
    }
    bounded(file)
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more tells what is too large.
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("is larger than 64 MiB"));
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
