//! Segments: the files of the log.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::Seed;
use crate::codec::{Put, Reader};
use crate::vfs::{Vfs, VfsFile, fill_with_zeros};

/// The header takes up this much at the beginning of a segment.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"CORACLOG";
const VERSION: u32 = 1;

/// Whose log this is. Segments of another store are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogIdentity {
    pub(crate) cluster: u128,
    pub(crate) node: u64,
}

/// A segment file that is open.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) salt: u64,
    pub(super) bytes: u64,
    pub(super) file: Arc<dyn VfsFile>,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: u64,
    pub(super) salt: u64,
    pub(super) identity: LogIdentity,
}

impl Segment {
    pub(super) fn seed(&self) -> Seed {
        Seed { segment: self.id, salt: self.salt }
    }

    /// Makes a segment that is ready for use: filled, synced, and under its name only then.
    pub(super) fn create(
        vfs: &dyn Vfs,
        directory: &Path,
        id: u64,
        bytes: u64,
        identity: LogIdentity,
    ) -> io::Result<Self> {
        let salt = random_u64();
        let temporary = directory.join(format!("{id:020}.tmp"));
        let file = vfs.create(&temporary)?;
        file.write_at(0, &SegmentHeader { id, salt, identity }.encode())?;
        fill_with_zeros(file.as_ref(), SEGMENT_HEADER_BYTES as u64, bytes)?;
        file.sync_data()?;
        vfs.rename(&temporary, &segment_path(directory, id))?;
        vfs.sync_dir(directory)?;
        Ok(Self { id, salt, bytes, file })
    }
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.put_u32(VERSION);
        out.put_u64(self.id);
        out.put_u64(self.salt);
        out.extend_from_slice(&self.identity.cluster.to_le_bytes());
        out.put_u64(self.identity.node);
        out.put_u32(crc32c::crc32c(&out));
        out.resize(SEGMENT_HEADER_BYTES, 0);
        out
    }

    /// Reads the header at the beginning of a segment's bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let decode = || {
            let mut reader = Reader::new(bytes);
            let magic = reader.take(MAGIC.len())?;
            let version = reader.u32()?;
            let (id, salt) = (reader.u64()?, reader.u64()?);
            let cluster = u128::from(reader.u64()?) | u128::from(reader.u64()?) << 64;
            let identity = LogIdentity { cluster, node: reader.u64()? };
            Ok((magic, version, Self { id, salt, identity }, reader.u32()?))
        };
        let (magic, version, header, crc) = decode().map_err(|_: crate::codec::DecodeError| "it is too short")?;
        if magic != MAGIC {
            return Err("it is not a log segment");
        }
        if version != VERSION {
            return Err("its format is of another version");
        }
        if crc32c::crc32c(&bytes[..52]) != crc {
            return Err("its header is damaged");
        }
        Ok(header)
    }
}

pub(super) fn segment_path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:020}.seg"))
}

/// The id in a segment's file name; none for other files.
pub(super) fn segment_id(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// Unlike any other, as far as anybody can tell: the standard library seeds its hashers from the operating system.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}
