//! Frames: the units in which the log is written and synced.
//!
//! A frame is a header of [`HEADER_BYTES`] (magic, length of the body, number, checksum of the body, checksum of the header)
//! and a body of records, filled up with zeros to a multiple of [`ALIGNMENT`]. The header's checksum covers the segment's
//! random number and id and the frame's offset as well.

use crate::codec::Reader;

/// Frames begin at multiples of this, so that a search for one has few places to look at.
pub(super) const ALIGNMENT: usize = 8;

pub(super) const HEADER_BYTES: usize = 24;

const MAGIC: u32 = u32::from_le_bytes(*b"CFRM");

/// What makes a frame belong to one place in one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    pub(super) segment: u64,
    pub(super) salt: u64,
}

/// A frame that was found intact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) number: u64,
    pub(super) body: &'a [u8],
    /// Where the next frame begins.
    pub(super) end: usize,
}

/// Bytes that a frame with a body of this length takes up.
pub(super) fn frame_bytes(body: usize) -> usize {
    (HEADER_BYTES + body).next_multiple_of(ALIGNMENT)
}

/// Puts a header before the body that `buffer` holds from [`HEADER_BYTES`] on, and fills it up.
pub(super) fn seal(buffer: &mut Vec<u8>, seed: Seed, offset: u64, number: u64) {
    let body = &buffer[HEADER_BYTES..];
    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let body_crc = crc32c::crc32c(body);
    buffer[..4].copy_from_slice(&MAGIC.to_le_bytes());
    buffer[4..8].copy_from_slice(&body_len.to_le_bytes());
    buffer[8..16].copy_from_slice(&number.to_le_bytes());
    buffer[16..20].copy_from_slice(&body_crc.to_le_bytes());
    let header_crc = header_crc(seed, offset, &buffer[..20]);
    buffer[20..24].copy_from_slice(&header_crc.to_le_bytes());
    buffer.resize(frame_bytes(buffer.len() - HEADER_BYTES), 0);
}

/// The frame at `offset` of a segment's bytes, if there is one and it is intact.
pub(super) fn parse(segment: &[u8], seed: Seed, offset: usize) -> Option<Frame<'_>> {
    let (number, body_len, body_crc) = parse_header(segment, seed, offset)?;
    let start = offset + HEADER_BYTES;
    let body = segment.get(start..start.checked_add(body_len)?)?;
    let end = offset + frame_bytes(body_len);
    (crc32c::crc32c(body) == body_crc && end <= segment.len()).then_some(Frame { number, body, end })
}

/// The number, above `number`, of some intact header at or after `offset`, whatever its body looks like: the sign that more
/// was written there.
pub(super) fn find_header_above(segment: &[u8], seed: Seed, offset: usize, number: u64) -> Option<u64> {
    (offset.next_multiple_of(ALIGNMENT)..segment.len())
        .step_by(ALIGNMENT)
        .filter_map(|offset| parse_header(segment, seed, offset))
        .find_map(|(found, ..)| (found > number).then_some(found))
}

fn parse_header(segment: &[u8], seed: Seed, offset: usize) -> Option<(u64, usize, u32)> {
    let header = segment.get(offset..offset.checked_add(HEADER_BYTES)?)?;
    let mut reader = Reader::new(header);
    if reader.u32().ok()? != MAGIC {
        return None;
    }
    let body_len = usize::try_from(reader.u32().ok()?).ok()?;
    let number = reader.u64().ok()?;
    let body_crc = reader.u32().ok()?;
    let crc = reader.u32().ok()?;
    (crc == header_crc(seed, offset as u64, &header[..20])).then_some((number, body_len, body_crc))
}

fn header_crc(seed: Seed, offset: u64, header: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&seed.salt.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &seed.segment.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    crc32c::crc32c_append(crc, header)
}

#[cfg(test)]
mod tests;
