//! Compiled code, kept between runs.
//!
//! One file per artifact, `artifacts/DIGEST/KEY.CHECKSUM`: the checksum is in the name, so that it cannot be lost or belong to
//! another version of the content, and one rename replaces both. Each `get` marks the file as used by setting its
//! modification time; when there is too much, what was used longest ago goes first.

#[cfg(test)]
mod tests;

use crate::Digest;
use crate::files::{self, entries, lock_for_writing, make_directory, remove_if_there};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The cache could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the cache of compiled programs in {}", directory.display())]
pub struct OpenArtifactCacheError {
    directory: PathBuf,
    source: io::Error,
}

/// An artifact could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreArtifactError {
    #[error("the compiled program has {size_bytes} bytes, more than the cache may hold ({bytes_max})")]
    TooLarge { size_bytes: u64, bytes_max: u64 },
    #[error("the compiler key `{key}` must be letters, digits and dashes")]
    BadKey { key: String },
    #[error("cannot keep the compiled program in {}", directory.display())]
    Write { directory: PathBuf, source: io::Error },
}

/// A bounded cache of compiled code. Cheap to clone; several processes may share the directory.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    directory: PathBuf,
    bytes_max: u64,
}

impl ArtifactCache {
    /// Opens the cache in `directory`, which is made if it is not there. `bytes_max` bounds the files' sizes together; one
    /// artifact may always exceed what is left, older ones go.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(directory: &Path, bytes_max: u64) -> Result<Self, OpenArtifactCacheError> {
        make_directory(&directory.join(files::TEMPORARY))
            .map_err(|source| OpenArtifactCacheError { directory: directory.to_owned(), source })?;
        Ok(Self { directory: directory.to_owned(), bytes_max })
    }

    /// The artifact made of the content `digest` by the compiler `key`, if it is there and unspoilt. Reads it once, to check
    /// its checksum: about a millisecond per 2 MB.
    #[must_use]
    pub fn get(&self, digest: &Digest, key: &str) -> Option<PathBuf> {
        let prefix = format!("{key}.");
        for path in entries(&self.folder(digest)).unwrap_or_default() {
            let Some(checksum) = path.file_name().and_then(|name| name.to_str()?.strip_prefix(&prefix)) else {
                continue;
            };
            // Another process may have evicted it in between; then it is simply not there.
            let Ok(content) = fs::read(&path) else {
                continue;
            };
            if Digest::of(&content).hex() == checksum {
                mark_used(&path);
                return Some(path);
            }
            tracing::warn!(path = %path.display(), "a compiled program is spoilt: it will be made again");
            let _gone = fs::remove_file(&path);
        }
        None
    }

    /// Keeps `artifact` and makes room for it. The path stays valid until it is evicted; whoever has mapped the file keeps
    /// the mapping even then.
    ///
    /// # Errors
    /// When the artifact is larger than the cache, or the disk refuses.
    pub fn put(&self, digest: &Digest, key: &str, artifact: &[u8]) -> Result<PathBuf, StoreArtifactError> {
        let size_bytes = u64::try_from(artifact.len()).unwrap_or(u64::MAX);
        if size_bytes > self.bytes_max {
            return Err(StoreArtifactError::TooLarge { size_bytes, bytes_max: self.bytes_max });
        }
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(StoreArtifactError::BadKey { key: key.to_owned() });
        }
        self.write(digest, key, artifact)
            .map_err(|source| StoreArtifactError::Write { directory: self.directory.clone(), source })
    }

    fn write(&self, digest: &Digest, key: &str, artifact: &[u8]) -> io::Result<PathBuf> {
        let _lock = lock_for_writing(&self.directory)?;
        let folder = self.folder(digest);
        make_directory(&folder)?;
        let name = format!("{key}.{}", Digest::of(artifact).hex());
        let path = folder.join(&name);
        files::write_whole(&self.directory, &path, artifact)?;
        // An artifact of the same key with another content is an older one.
        for other in entries(&folder)? {
            let other_name = other.file_name().and_then(|other| other.to_str()).unwrap_or_default();
            if other_name != name && other_name.starts_with(&format!("{key}.")) {
                remove_if_there(&other)?;
            }
        }
        self.evict(&path)?;
        Ok(path)
    }

    /// Removes what was used longest ago until the rest fits, but never `keep`.
    fn evict(&self, keep: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        let mut total = 0_u64;
        for folder in entries(&self.directory.join(FOLDER))? {
            for path in entries(&folder)? {
                let metadata = fs::metadata(&path)?;
                total = total.saturating_add(metadata.len());
                files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), path));
            }
        }
        files.sort();
        for (_, size, path) in files {
            if total <= self.bytes_max {
                break;
            }
            if path != keep {
                remove_if_there(&path)?;
                // Fails as long as other artifacts are in it.
                let _still_used = path.parent().map(fs::remove_dir);
                total -= size;
            }
        }
        Ok(())
    }

    fn folder(&self, digest: &Digest) -> PathBuf {
        self.directory.join(FOLDER).join(digest.hex())
    }
}

const FOLDER: &str = "artifacts";

/// Not being able to mark it only makes it look older than it is.
fn mark_used(path: &Path) {
    let marked = File::options().write(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = marked {
        tracing::debug!(path = %path.display(), %error, "a compiled program cannot be marked as used");
    }
}
