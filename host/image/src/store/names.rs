//! The index: one small file per name.

use super::ImageRecord;
use crate::Reference;
use crate::files::{self, entries, remove_if_there};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file name that every file system takes. A longer one is cut, and made unique by the digest of the whole.
const FILE_NAME_BYTES_MAX: usize = 200;

pub(super) fn read(directory: &Path, name: &Reference) -> io::Result<Option<ImageRecord>> {
    read_file(&path(directory, name))
}

pub(super) fn read_all(directory: &Path) -> io::Result<Vec<ImageRecord>> {
    let mut records = Vec::new();
    for path in entries(directory)? {
        // A name that was removed since the listing is none.
        records.extend(read_file(&path)?);
    }
    Ok(records)
}

fn read_file(path: &Path) -> io::Result<Option<ImageRecord>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let spoilt = |error| {
        let text = format!("{} is spoilt ({error}); remove it and load the image again", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    serde_json::from_slice(&text).map(Some).map_err(spoilt)
}

pub(super) fn write(root: &Path, directory: &Path, name: &Reference, record: &ImageRecord) -> io::Result<()> {
    files::write_whole(root, &path(directory, name), &serde_json::to_vec(record)?)
}

pub(super) fn remove(directory: &Path, name: &Reference) -> io::Result<()> {
    remove_if_there(&path(directory, name))
}

fn path(directory: &Path, name: &Reference) -> PathBuf {
    let canonical = name.canonical();
    let mut file = String::new();
    for byte in canonical.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => file.push(char::from(byte)),
            _ => file.push_str(&format!("%{byte:02X}")),
        }
    }
    if file.len() > FILE_NAME_BYTES_MAX {
        file.truncate(FILE_NAME_BYTES_MAX - 66);
        file.push('%');
        file.push_str(&crate::Digest::of(canonical.as_bytes()).hex());
    }
    // Upper and lower case are one on some file systems, and only tags have both.
    if canonical.bytes().any(|b| b.is_ascii_uppercase()) {
        file.push('%');
        file.push_str(&crate::Digest::of(canonical.as_bytes()).hex()[..8]);
    }
    directory.join(format!("{file}.json"))
}
