//! Files that are there whole or not at all, and the lock that writers share.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folder for files in the making, inside the store so that a rename stays on one file system.
pub(crate) const TEMPORARY: &str = "tmp";
const LOCK: &str = "lock";

/// Makes a directory that only this user can enter.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes `content` so that `path` has it whole even after a crash. The file and its name are on the disk on return.
pub(crate) fn write_whole(root: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(root.join(TEMPORARY))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(path)
}

/// A rename is on the disk when its directory is. Other systems than Unix cannot be told, and need not.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if cfg!(unix) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// Held by whoever changes the store; let go when dropped, also by a crash.
pub(crate) struct WriteLock {
    _file: File,
}

/// Waits until no other process or thread changes the store at `root`, then clears away what crashed ones have left.
pub(crate) fn lock_for_writing(root: &Path) -> io::Result<WriteLock> {
    let file = File::options().create(true).truncate(false).write(true).open(root.join(LOCK))?;
    file.lock()?;
    for leftover in entries(&root.join(TEMPORARY))? {
        fs::remove_file(leftover)?;
    }
    Ok(WriteLock { _file: file })
}

/// The paths in a directory; none if there is no directory.
pub(crate) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    listed.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
