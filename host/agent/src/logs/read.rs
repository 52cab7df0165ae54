//! Reading a log: the tail of it, since a time, and while it grows.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;

use super::LogStream;
use super::file::Log;

/// Bytes read from the disk at a time, and about the size of a piece of the answer.
const READ_BYTES: usize = 64 * 1024;

/// What of a log is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadOptions {
    /// Only so many of the last lines.
    pub(crate) tail_lines: Option<u64>,
    /// Only what was printed at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Each line begins with its time.
    pub(crate) timestamps: bool,
    /// At most so many bytes.
    pub(crate) bytes_max: Option<u64>,
    /// Only one of the streams.
    pub(crate) stream: Option<LogStream>,
    /// Go on until the container ends.
    pub(crate) follow: bool,
}

/// The log in pieces, as asked for.
pub(crate) fn read(log: Arc<Log>, options: ReadOptions) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let progress = log.progress();
    let follow = options.follow;
    let state = Some((Reader::Unopened(log, options), progress));
    futures::stream::unfold(state, move |state| async move {
        let (mut reader, mut progress) = state?;
        if let Reader::Unopened(log, _) = &reader {
            log.flushed().await;
        }
        loop {
            // What is known before reading tells whether reading to the end was reading everything.
            let ended = progress.borrow_and_update().ended;
            let (back, step) = match tokio::task::spawn_blocking(move || reader.step()).await {
                Ok(done) => done,
                Err(error) => return Some((Err(io::Error::other(error)), None)),
            };
            reader = back;
            match step {
                Ok(Step::Data(data)) => return Some((Ok(data.into()), Some((reader, progress)))),
                Ok(Step::End) => return None,
                Ok(Step::CaughtUp) if !follow || ended => return None,
                Ok(Step::CaughtUp) => {
                    if progress.changed().await.is_err() {
                        return None;
                    }
                }
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
}

enum Step {
    Data(Vec<u8>),
    /// Nothing more for now.
    CaughtUp,
    /// Nothing more at all.
    End,
}

enum Reader {
    Unopened(Arc<Log>, ReadOptions),
    Open(Position),
}

/// Where in the files reading is.
struct Position {
    log: Arc<Log>,
    options: ReadOptions,
    number: u64,
    file: File,
    /// Read and not yet a whole record.
    rest: Vec<u8>,
    bytes_left: u64,
    /// Whether the last record was a part of a line.
    in_line: bool,
}

impl Reader {
    /// Reads until there is something to hand on. Blocks on the disk.
    fn step(self) -> (Self, io::Result<Step>) {
        let mut position = match self {
            Self::Open(position) => position,
            Self::Unopened(log, options) => match Position::open(Arc::clone(&log), options.clone()) {
                Ok(position) => position,
                Err(error) => return (Self::Unopened(log, options), Err(error)),
            },
        };
        let step = position.step();
        (Self::Open(position), step)
    }
}

impl Position {
    fn open(log: Arc<Log>, options: ReadOptions) -> io::Result<Self> {
        let (number, file) = match options.tail_lines {
            Some(lines) => open_tail(&log, lines)?,
            None => open_first(&log)?,
        };
        let bytes_left = options.bytes_max.unwrap_or(u64::MAX);
        Ok(Self { log, options, number, file, rest: Vec::new(), bytes_left, in_line: false })
    }

    fn step(&mut self) -> io::Result<Step> {
        loop {
            if self.bytes_left == 0 {
                return Ok(Step::End);
            }
            // Asked before reading: a file that was full by then does not grow while it is read to its end.
            let (first, last) = self.log.range();
            let start = self.rest.len();
            self.rest.resize(start + READ_BYTES, 0);
            let count = self.file.read(&mut self.rest[start..])?;
            self.rest.truncate(start + count);
            if count == 0 {
                if self.number >= last {
                    return Ok(Step::CaughtUp);
                }
                self.number = (self.number + 1).max(first);
                self.file = self.log.open(self.number)?;
                self.rest.clear();
                continue;
            }
            let data = self.take_records();
            if !data.is_empty() {
                return Ok(Step::Data(data));
            }
        }
    }

    fn take_records(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.rest);
        let mut data = Vec::new();
        let mut from = 0;
        while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
            self.write_record(&rest[from..from + length], &mut data);
            from += length + 1;
        }
        self.rest = rest[from..].to_vec();
        let allowed = usize::try_from(self.bytes_left).unwrap_or(usize::MAX);
        data.truncate(allowed);
        self.bytes_left -= data.len() as u64;
        data
    }

    fn write_record(&mut self, record: &[u8], data: &mut Vec<u8>) {
        // A record that cannot be read was cut by a crash: it is left out.
        let Some(record) = Record::parse(record) else { return };
        let other_stream = self.options.stream.is_some_and(|stream| stream.as_str().as_bytes() != record.stream);
        let too_old = self.options.since.is_some_and(|since| record.time().is_none_or(|time| time < since));
        if other_stream || too_old {
            return;
        }
        if self.options.timestamps && !self.in_line {
            data.extend_from_slice(record.time);
            data.push(b' ');
        }
        data.extend_from_slice(record.text);
        if record.whole {
            data.push(b'\n');
        }
        self.in_line = !record.whole;
    }
}

struct Record<'a> {
    time: &'a [u8],
    stream: &'a [u8],
    whole: bool,
    text: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(record: &'a [u8]) -> Option<Self> {
        let mut fields = record.splitn(4, |byte| *byte == b' ');
        let (time, stream, tag, text) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Self { time, stream, whole: tag != b"P", text })
    }

    fn time(&self) -> Option<Timestamp> {
        std::str::from_utf8(self.time).ok()?.parse().ok()
    }
}

fn open_first(log: &Log) -> io::Result<(u64, File)> {
    loop {
        let (first, _) = log.range();
        match log.open(first) {
            Ok(file) => return Ok((first, file)),
            // Rotated away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && log.range().0 > first => {}
            Err(error) => return Err(error),
        }
    }
}

/// The file and the place in it where the last `lines` records begin.
fn open_tail(log: &Log, lines: u64) -> io::Result<(u64, File)> {
    let (first, last) = log.range();
    let mut wanted = lines;
    let mut number = last;
    loop {
        let mut file = match log.open(number) {
            Ok(file) => file,
            // The file was rotated away since: what is left is all there is.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number < last => return open_first(log),
            Err(error) => return Err(error),
        };
        match seek_back(&mut file, &mut wanted)? {
            Some(offset) => {
                file.seek(SeekFrom::Start(offset))?;
                return Ok((number, file));
            }
            None if number == first => {
                file.seek(SeekFrom::Start(0))?;
                return Ok((number, file));
            }
            None => number -= 1,
        }
    }
}

/// Searches from the end of the file for the beginning of the last `wanted` lines. `None`: the file has fewer, and
/// `wanted` is what is missing.
fn seek_back(file: &mut File, wanted: &mut u64) -> io::Result<Option<u64>> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if *wanted == 0 {
        return Ok(Some(end));
    }
    let mut block = vec![0; READ_BYTES];
    let mut last_byte = true;
    while end > 0 {
        let start = end.saturating_sub(READ_BYTES as u64);
        let length = usize::try_from(end - start).unwrap_or(READ_BYTES);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..length])?;
        for (offset, byte) in block[..length].iter().enumerate().rev() {
            // The newline at the very end closes the last line, it does not begin one.
            if *byte == b'\n' && !std::mem::replace(&mut last_byte, false) {
                *wanted -= 1;
                if *wanted == 0 {
                    return Ok(Some(start + offset as u64 + 1));
                }
            }
        }
        end = start;
    }
    *wanted = wanted.saturating_sub(u64::from(!last_byte));
    if *wanted == 0 { Ok(Some(0)) } else { Ok(None) }
}
