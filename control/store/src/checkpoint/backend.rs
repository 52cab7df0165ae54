//! redb's file on our [`Vfs`](crate::vfs::Vfs).

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use crate::vfs::VfsFile;

/// A file as redb wants it. The data directory's own lock keeps others out.
#[derive(Debug)]
pub(super) struct VfsBackend(pub(super) Arc<dyn VfsFile>);

impl StorageBackend for VfsBackend {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write_at(offset, data)
    }
}
