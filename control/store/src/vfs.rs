//! All that the store asks of a file system, as a trait, so that tests can lose, reorder, tear and fail writes.
//!
//! The rules are those of a real disk, read strictly. A write is durable after [`VfsFile::sync_data`] of its file returned, and
//! until then any part of it may survive a crash. A created, renamed or removed name is durable after [`Vfs::sync_dir`] of its
//! directory, and until then it may survive or not. After a failed sync nothing is known about what was to be synced.

mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use real::RealVfs;

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// A file system.
pub(crate) trait Vfs: Debug + Send + Sync + 'static {
    /// Makes a directory and its missing parents, durably.
    fn create_dir_all(&self, directory: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes an empty file for reading and writing; what was there under this name is gone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>>;

    /// Opens a file for reading and writing. A missing one is `NotFound`.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>>;

    /// Gives a file another name, in place of the file that had it, if any.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Takes the lock of this name, or none when somebody else has it. It is free again when the last clone of the value is
    /// dropped or the process dies.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsLock>>>;
}

/// A lock that is held.
pub(crate) trait VfsLock: Debug + Send + Sync {}

/// An open file. Offsets are bytes from the beginning.
pub(crate) trait VfsFile: Debug + Send + Sync {
    fn len(&self) -> io::Result<u64>;

    /// Fills `out`; `UnexpectedEof` when the file ends before that.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data`; the file grows when need be.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or lets it grow with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes what was written durable, and the length with it.
    fn sync_data(&self) -> io::Result<()>;
}

/// Writes zeros to `file` from `offset` up to `end`, without a sync. Space that was written once is overwritten later with no
/// change to the file system's own records, which is what makes a sync of it cheap.
pub(crate) fn fill_with_zeros(file: &dyn VfsFile, mut offset: u64, end: u64) -> io::Result<()> {
    while offset < end {
        let piece = usize::try_from(end - offset).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_at(offset, &ZEROS[..piece])?;
        offset += piece as u64;
    }
    Ok(())
}

/// Writes a small file so that after a crash there is either all of it or nothing.
pub(crate) fn write_whole_file(vfs: &dyn Vfs, path: &Path, data: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = vfs.create(&temporary)?;
    file.write_at(0, data)?;
    file.sync_data()?;
    vfs.rename(&temporary, path)?;
    vfs.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Reads a file that is known to be small; none when it does not exist.
pub(crate) fn read_small_file(vfs: &dyn Vfs, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match vfs.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{len} bytes, and at most {bytes_max} expected"),
        ));
    }
    let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(0, &mut data)?;
    Ok(Some(data))
}
