//! Opening a log: reading what is there, telling a torn tail from damage, and finding the place to go on.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{Seed, find_header_above, parse};
use super::record::{Position, Record, Summary};
use super::segment::{LogIdentity, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, segment_id, segment_path};
use crate::codec::{DecodeError, Reader};
use crate::vfs::{Vfs, VfsFile};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenLogError {
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something that was durable is not what it was. Writes may be missing.
    #[error("the log file `{}` is damaged: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// What a log held when it was opened.
#[derive(Debug)]
pub(crate) struct Recovered<P> {
    pub(crate) summary: Summary,
    /// Not purged and not truncated, without a gap.
    pub(crate) entries: VecDeque<(Position, P)>,
    /// Bytes of all frames.
    pub(crate) bytes: u64,
    pub(super) tail: Tail,
}

/// Where writing goes on.
#[derive(Debug)]
pub(super) struct Tail {
    /// Older segments, in order, that still hold entries.
    pub(super) older: VecDeque<OlderSegment>,
    /// The segment to write to; none in a new log.
    pub(super) active: Option<(Segment, u64)>,
    pub(super) active_last_index: Option<u64>,
    pub(super) next_id: u64,
    pub(super) next_number: u64,
}

/// A segment that is full, and the highest index of an entry in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OlderSegment {
    pub(super) id: u64,
    pub(super) last_index: Option<u64>,
}

/// Decodes the content of an entry.
pub(crate) type DecodePayload<P> = fn(&[u8]) -> Result<P, DecodeError>;

pub(super) fn recover<P>(
    vfs: &dyn Vfs,
    directory: &Path,
    identity: LogIdentity,
    decode: DecodePayload<P>,
) -> Result<Recovered<P>, OpenLogError> {
    let ids = segment_ids(vfs, directory)?;
    // After `kill -9` a name may be there and not be durable, as the bytes may.
    let path = directory.to_owned();
    vfs.sync_dir(directory).map_err(|source| OpenLogError::Io { action: "sync", path, source })?;
    let mut recovery = Recovery { directory, identity, decode, state: State::default() };
    let mut surplus = Vec::new();
    for id in ids {
        let file = open(vfs, &segment_path(directory, id))?;
        let bytes = read(file.as_ref(), &segment_path(directory, id))?;
        if !recovery.segment(id, file, &bytes)? {
            surplus.push(id);
        }
    }
    if let Some((active, _)) = &recovery.state.active {
        let path = segment_path(directory, active.id);
        active.file.sync_data().map_err(|source| OpenLogError::Io { action: "sync", path, source })?;
    }
    remove(vfs, directory, &surplus)?;
    Ok(recovery.state.finish())
}

/// The ids of all segments, in order. What was left half-made is removed.
fn segment_ids(vfs: &dyn Vfs, directory: &Path) -> Result<Vec<u64>, OpenLogError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenLogError::Io { action, path, source }
    };
    let mut ids = Vec::new();
    for name in vfs.list(directory).map_err(failed("list", directory))? {
        if name.ends_with(".tmp") {
            let path = directory.join(&name);
            vfs.remove(&path).map_err(failed("remove", &path))?;
        } else if let Some(id) = segment_id(&name) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    if let Some(gap) = ids.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        let reason = format!("segments between {} and {} are missing", gap[0], gap[1]);
        return Err(OpenLogError::Damaged { path: directory.to_owned(), reason });
    }
    Ok(ids)
}

fn open(vfs: &dyn Vfs, path: &Path) -> Result<Arc<dyn VfsFile>, OpenLogError> {
    vfs.open(path).map_err(|source| OpenLogError::Io { action: "open", path: path.to_owned(), source })
}

fn read(file: &dyn VfsFile, path: &Path) -> Result<Vec<u8>, OpenLogError> {
    let read = || {
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| OpenLogError::Io { action: "read", path: path.to_owned(), source })
}

/// Segments without a frame came to be ahead of need, or hold only a torn one. They go before anything is written, so that
/// frame numbers are not used twice in files that a later crash might bring back.
fn remove(vfs: &dyn Vfs, directory: &Path, ids: &[u64]) -> Result<(), OpenLogError> {
    for id in ids.iter().rev() {
        let path = segment_path(directory, *id);
        vfs.remove(&path).and_then(|()| vfs.sync_dir(directory)).map_err(|source| OpenLogError::Io {
            action: "remove",
            path,
            source,
        })?;
    }
    Ok(())
}

/// Whether there is a log in `directory`.
pub(crate) fn is_present(vfs: &dyn Vfs, directory: &Path) -> Result<bool, OpenLogError> {
    match vfs.list(directory) {
        Ok(names) => Ok(names.iter().any(|name| segment_id(name).is_some())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenLogError::Io { action: "list", path: directory.to_owned(), source }),
    }
}

/// Removes a log to which nothing was ever written, which is what a first start leaves that did not get to its end.
///
/// # Errors
///
/// [`OpenLogError::Damaged`] when something was written, whoever wrote it; nothing is removed then.
pub(crate) fn discard_unused(vfs: &dyn Vfs, directory: &Path) -> Result<(), OpenLogError> {
    let ids = segment_ids(vfs, directory)?;
    for id in &ids {
        let path = segment_path(directory, *id);
        let bytes = read(open(vfs, &path)?.as_ref(), &path)?;
        let Ok(header) = SegmentHeader::decode(&bytes) else { continue };
        let seed = Seed { segment: header.id, salt: header.salt };
        if find_header_above(&bytes, seed, 0, 0).is_some() {
            let reason = "there are records, but the file `id.json` that says whose they are is missing".to_owned();
            return Err(OpenLogError::Damaged { path, reason });
        }
    }
    remove(vfs, directory, &ids)
}

struct Recovery<'a, P> {
    directory: &'a Path,
    identity: LogIdentity,
    decode: DecodePayload<P>,
    state: State<P>,
}

/// What has been read so far.
struct State<P> {
    summary: Summary,
    entries: VecDeque<(Position, P)>,
    bytes: u64,
    older: VecDeque<OlderSegment>,
    active: Option<(Segment, u64)>,
    active_last_index: Option<u64>,
    /// The last frame's number.
    number: Option<u64>,
    /// A segment after the active one has been seen.
    ended: bool,
}

impl<P> Default for State<P> {
    fn default() -> Self {
        Self {
            summary: Summary::default(),
            entries: VecDeque::new(),
            bytes: 0,
            older: VecDeque::new(),
            active: None,
            active_last_index: None,
            number: None,
            ended: false,
        }
    }
}

impl<P> Recovery<'_, P> {
    /// Reads the next segment. False when there is no frame in it, and it is not the first one.
    fn segment(&mut self, id: u64, file: Arc<dyn VfsFile>, bytes: &[u8]) -> Result<bool, OpenLogError> {
        let damaged = |reason: String| OpenLogError::Damaged { path: segment_path(self.directory, id), reason };
        let header = SegmentHeader::decode(bytes).map_err(|reason| damaged(reason.to_owned()))?;
        if header.identity != self.identity {
            return Err(damaged("it belongs to another store".to_owned()));
        }
        if header.id != id {
            return Err(damaged(format!("it is segment {}", header.id)));
        }
        let segment = Segment { id, salt: header.salt, bytes: bytes.len() as u64, file };
        let seed = segment.seed();
        let (mut offset, mut last_index, mut frames) = (SEGMENT_HEADER_BYTES, None, 0_u64);
        while let Some(frame) = parse(bytes, seed, offset) {
            self.state.check_number(frame.number).map_err(damaged)?;
            self.state.frame(frame.body, self.decode, &mut last_index).map_err(damaged)?;
            offset = frame.end;
            frames += 1;
        }
        // A frame with the next number may be torn. One with a higher number proves that the next one was synced.
        let torn = self.state.number.map_or(1, |number| number + 1);
        if let Some(found) = find_header_above(bytes, seed, offset, torn) {
            return Err(damaged(format!(
                "the record at byte {offset} is not intact, but {found} behind it was written"
            )));
        }
        let first = self.state.active.is_none();
        if frames == 0 && !first {
            self.state.ended = true;
            return Ok(false);
        }
        if let Some((full, _)) = self.state.active.take() {
            let last_index = self.state.active_last_index;
            self.state.older.push_back(OlderSegment { id: full.id, last_index });
        }
        self.state.bytes += (offset - SEGMENT_HEADER_BYTES) as u64;
        self.state.active = Some((segment, offset as u64));
        self.state.active_last_index = last_index;
        Ok(true)
    }
}

impl<P> State<P> {
    fn check_number(&mut self, number: u64) -> Result<(), String> {
        match self.number {
            Some(last) if number != last + 1 => Err(format!("record {number} follows on record {last}")),
            _ if self.ended => Err(format!("record {number} follows on a segment without any")),
            _ => {
                self.number = Some(number);
                Ok(())
            }
        }
    }

    fn frame(&mut self, body: &[u8], decode: DecodePayload<P>, last_index: &mut Option<u64>) -> Result<(), String> {
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            let record = Record::decode(&mut reader).map_err(|error| format!("a record {error}"))?;
            self.summary.note(&record);
            match record {
                Record::Entry { position, payload } => {
                    let payload = decode(payload).map_err(|error| format!("entry {} {error}", position.index))?;
                    *last_index = (*last_index).max(Some(position.index));
                    self.entry(position, payload)?;
                }
                Record::TruncateAfter(last) => truncate_after(&mut self.entries, last),
                Record::Purge(_) | Record::Summary(_) => purge(&mut self.entries, self.summary.purged),
                Record::Vote(_) | Record::Committed(_) => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, position: Position, payload: P) -> Result<(), String> {
        let before = self.entries.back().map(|(last, _)| last.index);
        if before.is_some_and(|before| position.index != before + 1) {
            return Err(format!("entry {} follows on entry {}", position.index, before.unwrap_or(0)));
        }
        if self.summary.purged.is_some_and(|purged| position.index <= purged.index) {
            return Err(format!("entry {} was written after it was purged", position.index));
        }
        self.entries.push_back((position, payload));
        Ok(())
    }

    fn finish(self) -> Recovered<P> {
        let next_id = self.active.as_ref().map_or(1, |(segment, _)| segment.id + 1);
        Recovered {
            summary: self.summary,
            entries: self.entries,
            bytes: self.bytes,
            tail: Tail {
                older: self.older,
                active: self.active,
                active_last_index: self.active_last_index,
                next_id,
                next_number: self.number.map_or(1, |number| number + 1),
            },
        }
    }
}

/// Takes entries off the young end. Positions are compared by index: what stands there is what is taken back.
pub(crate) fn truncate_after<P>(entries: &mut VecDeque<(Position, P)>, last: Option<Position>) {
    while entries.pop_back_if(|(position, _)| last.is_none_or(|last| position.index > last.index)).is_some() {}
}

/// Takes entries off the old end.
pub(crate) fn purge<P>(entries: &mut VecDeque<(Position, P)>, purged: Option<Position>) {
    let Some(purged) = purged else { return };
    while entries.pop_front_if(|(position, _)| position.index <= purged.index).is_some() {}
}
