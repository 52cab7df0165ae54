//! Compiled code on disk, by image digest and by a key of the compiler's own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::file::write_atomically;

/// The checksum's file has this in place of the artefact's ending.
const CHECKSUM_EXTENSION: &str = "sum";
const ARTIFACT_EXTENSION: &str = "code";

/// A bounded cache of compiled code. Clones share it, and so may other processes.
///
/// Each artefact has a checksum beside it, in a file of its own so that the artefact can be mapped as it is. Both are
/// written before either is used; an artefact whose checksum does not agree is removed and counts as missing.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    directory: Arc<Path>,
    bytes_max: u64,
    /// One sweep at a time; two would count the same bytes.
    sweeping: Arc<Mutex<()>>,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", .path.display())]
pub struct ArtifactError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl ArtifactCache {
    /// Opens the cache in a directory and makes it when it is missing. It holds up to `bytes_max` bytes; past that the
    /// least recently used artefacts are removed.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn open(directory: &Path, bytes_max: u64) -> Result<Self, ArtifactError> {
        fs::create_dir_all(directory).map_err(|source| ArtifactError { path: directory.to_owned(), source })?;
        Ok(Self { directory: directory.into(), bytes_max, sweeping: Arc::default() })
    }

    /// The artefact of an image for a compiler, verified, if it is there. Blocks on the disk and reads all of it.
    #[must_use]
    pub fn get(&self, image: &Digest, compiler: &str) -> Option<PathBuf> {
        let path = self.path(image, compiler);
        let expected = fs::read(path.with_extension(CHECKSUM_EXTENSION)).ok()?;
        if checksum_of_file(&path).ok()? != *expected {
            tracing::warn!(path = %path.display(), "compiled code was damaged and is removed");
            remove(&path);
            return None;
        }
        // What was used last is kept longest. A cache on a read-only disk still serves.
        let _best_effort = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(path)
    }

    /// Puts an artefact into the cache and gives its path. Blocks on the disk.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn put(&self, image: &Digest, compiler: &str, artifact: &[u8]) -> Result<PathBuf, ArtifactError> {
        let path = self.path(image, compiler);
        let error = |source| ArtifactError { path: path.clone(), source };
        // The artefact first: a checksum with no artefact is harmless, and one that is old does not agree.
        write_atomically(&path, &[artifact]).map_err(error)?;
        write_atomically(&path.with_extension(CHECKSUM_EXTENSION), &[&Sha256::digest(artifact)]).map_err(error)?;
        self.sweep(&path);
        Ok(path)
    }

    fn path(&self, image: &Digest, compiler: &str) -> PathBuf {
        let compiler = Digest::of(compiler.as_bytes()).hex();
        self.directory.join(format!("{}-{}.{ARTIFACT_EXTENSION}", image.hex(), &compiler[..16]))
    }

    /// Removes the least recently used artefacts until the rest fits; never `keep`, which is about to be used.
    fn sweep(&self, keep: &Path) {
        let _one_at_a_time = self.sweeping.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut artifacts = self.artifacts();
        artifacts.sort_by_key(|artifact| artifact.used);
        let mut total: u64 = artifacts.iter().map(|artifact| artifact.size_bytes).sum();
        for artifact in artifacts {
            if total <= self.bytes_max {
                return;
            }
            if artifact.path != keep {
                remove(&artifact.path);
                total -= artifact.size_bytes;
            }
        }
    }

    fn artifacts(&self) -> Vec<Artifact> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let artifact = |entry: fs::DirEntry| {
            let (path, metadata) = (entry.path(), entry.metadata().ok()?);
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            (path.extension()? == ARTIFACT_EXTENSION).then_some(Artifact { path, size_bytes: metadata.len(), used })
        };
        entries.filter_map(artifact).collect()
    }
}

struct Artifact {
    path: PathBuf,
    size_bytes: u64,
    used: SystemTime,
}

fn remove(path: &Path) {
    for path in [path.with_extension(CHECKSUM_EXTENSION), path.to_owned()] {
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove compiled code");
        }
    }
}

fn checksum_of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.write_all(&buffer[..count])?,
        }
    }
}

#[cfg(test)]
mod tests;
