//! The records of the log, and their bytes.

use crate::codec::{DecodeError, Put, Reader};

/// A place in the replicated log, and the leader who put the entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) index: u64,
}

/// Whom this node voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

/// An entry's content, as the log writes it.
pub(crate) trait EncodePayload: Send + 'static {
    fn encode(&self, out: &mut Vec<u8>);
}

impl EncodePayload for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

/// One step of the log's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<P> {
    Entry {
        position: Position,
        payload: P,
    },
    Vote(Vote),
    Committed(Option<Position>),
    /// Entries after this one are taken back; all of them for `None`.
    TruncateAfter(Option<Position>),
    /// Entries up to and including this one are no longer needed.
    Purge(Position),
    /// The first record of a segment: what the records of older segments amount to, apart from entries.
    Summary(Summary),
}

/// What the log says apart from entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<Position>,
    pub(crate) purged: Option<Position>,
}

impl Summary {
    /// Takes a record into account that is not an entry.
    pub(crate) fn note<P>(&mut self, record: &Record<P>) {
        match record {
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(committed) => self.committed = *committed,
            Record::Purge(purged) => self.purged = Some(*purged),
            Record::Summary(summary) => *self = *summary,
            Record::Entry { .. } | Record::TruncateAfter(_) => {}
        }
    }
}

mod kind {
    pub(super) const ENTRY: u8 = 1;
    pub(super) const VOTE: u8 = 2;
    pub(super) const COMMITTED: u8 = 3;
    pub(super) const TRUNCATE_AFTER: u8 = 4;
    pub(super) const PURGE: u8 = 5;
    pub(super) const SUMMARY: u8 = 6;
}

impl<P: EncodePayload> Record<P> {
    /// Appends a kind, a length and the content.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u8(self.kind());
        out.put_u32(0);
        match self {
            Self::Entry { position, payload } => {
                put_position(out, position);
                payload.encode(out);
            }
            Self::Vote(vote) => put_vote(out, vote),
            Self::Committed(position) | Self::TruncateAfter(position) => {
                put_option(out, position.as_ref(), put_position);
            }
            Self::Purge(position) => put_position(out, position),
            Self::Summary(summary) => {
                put_option(out, summary.vote.as_ref(), put_vote);
                put_option(out, summary.committed.as_ref(), put_position);
                put_option(out, summary.purged.as_ref(), put_position);
            }
        }
        let len = u32::try_from(out.len() - start - 5).unwrap_or(u32::MAX);
        out[start + 1..start + 5].copy_from_slice(&len.to_le_bytes());
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Entry { .. } => kind::ENTRY,
            Self::Vote(_) => kind::VOTE,
            Self::Committed(_) => kind::COMMITTED,
            Self::TruncateAfter(_) => kind::TRUNCATE_AFTER,
            Self::Purge(_) => kind::PURGE,
            Self::Summary(_) => kind::SUMMARY,
        }
    }
}

impl<'a> Record<&'a [u8]> {
    /// Takes the next record off `reader`.
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let kind = reader.u8()?;
        let mut content = Reader::new(reader.bytes()?);
        let record = match kind {
            kind::ENTRY => {
                let position = position(&mut content)?;
                let payload = content.rest();
                return Ok(Self::Entry { position, payload });
            }
            kind::VOTE => Self::Vote(vote(&mut content)?),
            kind::COMMITTED => Self::Committed(option(&mut content, position)?),
            kind::TRUNCATE_AFTER => Self::TruncateAfter(option(&mut content, position)?),
            kind::PURGE => Self::Purge(position(&mut content)?),
            kind::SUMMARY => Self::Summary(Summary {
                vote: option(&mut content, vote)?,
                committed: option(&mut content, position)?,
                purged: option(&mut content, position)?,
            }),
            _ => return Err(DecodeError("a record of unknown kind: written by a newer version?")),
        };
        content.end()?;
        Ok(record)
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.put_u64(position.term);
    out.put_u64(position.node);
    out.put_u64(position.index);
}

fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.put_u64(vote.term);
    out.put_u64(vote.node);
    out.put_u8(u8::from(vote.committed));
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    Ok(Position { term: reader.u64()?, node: reader.u64()?, index: reader.u64()? })
}

fn vote(reader: &mut Reader<'_>) -> Result<Vote, DecodeError> {
    Ok(Vote { term: reader.u64()?, node: reader.u64()?, committed: boolean(reader)? })
}

fn boolean(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError("neither true nor false")),
    }
}

fn option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if boolean(reader)? { read(reader).map(Some) } else { Ok(None) }
}
