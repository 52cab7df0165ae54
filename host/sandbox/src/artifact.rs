//! The file format of compiled programs: wasmtime's own image, then a trailer of ours.
//!
//! The image must stand first, because it is mapped into memory as it is. The trailer says that this crate wrote the file,
//! for which kind of program, and how long the image is, so that a foreign, cut or grown file is never mapped. Whether the
//! bytes in between are those that were written is checked by whoever keeps the file (a checksum, in the artifact cache);
//! whether they fit this engine is checked by wasmtime when it reads the image.

#[cfg(test)]
mod tests;

use crate::ProgramKind;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Bytes 0 to 7: magic with a version; 8: kind; 9 to 15: zero; 16 to 23: length of the image, little endian.
const TRAILER_BYTES: usize = 24;
const MAGIC: &[u8; 8] = b"CORACLE\x01";

/// The version of the format, a part of the engine's compatibility key.
pub(crate) const FORMAT: u32 = 1;

/// Appends the trailer.
pub(crate) fn seal(mut image: Vec<u8>, kind: ProgramKind) -> Vec<u8> {
    let length = u64::try_from(image.len()).unwrap_or(u64::MAX);
    image.extend_from_slice(MAGIC);
    image.push(match kind {
        ProgramKind::Module => 1,
        ProgramKind::Command => 2,
        ProgramKind::HttpHandler => 3,
    });
    image.extend_from_slice(&[0; 7]);
    image.extend_from_slice(&length.to_le_bytes());
    image
}

/// Reads the trailer of the file at `path`; `None` when the file is not an artifact, or not a whole one.
pub(crate) fn read_kind(path: &Path) -> io::Result<Option<ProgramKind>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let Some(image_size) = size.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(image_size))?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact(&mut trailer)?;
    let [magic @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &trailer;
    let kind = match trailer[8] {
        1 => ProgramKind::Module,
        2 => ProgramKind::Command,
        3 => ProgramKind::HttpHandler,
        _ => return Ok(None),
    };
    let whole = magic == MAGIC && trailer[16..] == image_size.to_le_bytes() && trailer[9..16] == [0; 7];
    Ok(whole.then_some(kind))
}
