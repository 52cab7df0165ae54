//! The store: contents by digest, names that point to them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::file::{read_bounded, write_atomically};
use crate::reference::{ParseReferenceError, Reference};

/// Bytes of one image at most.
pub const IMAGE_BYTES_MAX: u64 = 512 << 20;
/// Bytes of a name's file at most: three short fields.
const NAME_FILE_BYTES_MAX: u64 = 16 << 10;
/// How a container spec names a file of the host.
const FILE_SCHEME: &str = "file://";

/// What a host allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Whether `file:///abs/path.wasm` names an image. Whoever may create pods can then run, and learn the size of, any
    /// WebAssembly file that this user can read.
    pub allow_files: bool,
}

/// When a registry is asked, as Kubernetes' `imagePullPolicy` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// Ask whether the name has moved, each time.
    Always,
    /// Ask when the name is not in the store.
    IfNotPresent,
    /// Do not ask.
    Never,
}

/// One name of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// Name and tag.
    pub reference: Reference,
    /// Of the contents.
    pub digest: Digest,
    /// Of the contents.
    pub size_bytes: u64,
}

/// An image that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name as it was asked for.
    pub reference: String,
    /// Of the contents.
    pub digest: Digest,
    /// Of the contents.
    pub size_bytes: u64,
    path: PathBuf,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the image store {}", .path.display())]
pub struct OpenImageStoreError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why contents cannot be put into the store.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// A name for other contents than these.
    #[error("`{reference}` pins the digest {pinned}, and the contents have {actual}")]
    Pinned { reference: String, pinned: Digest, actual: Digest },
    /// More than [`IMAGE_BYTES_MAX`].
    #[error("the image has {0} bytes and may have at most {IMAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// The disk.
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Why the names cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct ListError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a name cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The name.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// There is none.
    #[error("no image is called `{0}`")]
    NotFound(Reference),
    /// The disk.
    #[error("cannot remove {}", .path.display())]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The other names cannot be read, so nobody knows whether they need the contents.
    #[error(transparent)]
    List(#[from] ListError),
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The name, which no retry mends.
    #[error("invalid image name `{image}`: {source}")]
    InvalidName { image: String, source: ParseReferenceError },
    /// Files are not allowed, or the path is not absolute.
    #[error("`{image}` cannot be used: {reason}")]
    FileRefused { image: String, reason: &'static str },
    /// The file is not there, or not readable.
    #[error("cannot read the image file {}", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The name is not in the store.
    #[error("image `{0}` is not in the local store; load it with `coracle image load FILE -t {0}`")]
    NotFound(Reference),
    /// The same, and the container asked for no pull.
    #[error("image `{0}` is not in the local store, and its pull policy is Never")]
    NeverPull(Reference),
    /// The contents are not what the reference or the name's file says.
    #[error("image `{reference}` pins the digest {pinned}, and the store has {actual} under that name")]
    OtherDigest { reference: Reference, pinned: Digest, actual: Digest },
    /// The store itself.
    #[error("cannot read {}", .path.display())]
    Store {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl PullError {
    /// The reason that a waiting container shows for it.
    #[must_use]
    pub fn kubernetes_reason(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "InvalidImageName",
            Self::NeverPull(_) => "ErrImageNeverPull",
            Self::FileRefused { .. }
            | Self::File { .. }
            | Self::NotFound(_)
            | Self::OtherDigest { .. }
            | Self::Store { .. } => "ErrImagePull",
        }
    }
}

/// Why an image's contents cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadImageError {
    /// The disk.
    #[error("cannot read {}", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The bytes are not the ones that were named.
    #[error("{} was changed: its digest is {actual} instead of {expected}", .path.display())]
    Changed { path: PathBuf, expected: Digest, actual: Digest },
}

/// A store of images on disk. Clones share it, and so may other processes.
#[derive(Debug, Clone)]
pub struct ImageStore {
    blobs: Arc<Path>,
    names: Arc<Path>,
    lock: Arc<Path>,
    policy: ImagePolicy,
}

impl ImageStore {
    /// Opens the store in a directory, and makes it when it is missing.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn open(directory: &Path, policy: ImagePolicy) -> Result<Self, OpenImageStoreError> {
        let blobs = directory.join("blobs").join("sha256");
        let names = directory.join("names");
        for path in [&blobs, &names] {
            std::fs::create_dir_all(path)
                .map_err(|source| OpenImageStoreError { path: directory.to_owned(), source })?;
        }
        Ok(Self { blobs: blobs.into(), names: names.into(), lock: directory.join("lock").into(), policy })
    }

    /// Puts contents into the store under a name, which then no longer names what it named before. Blocks on the disk.
    ///
    /// # Errors
    /// A name that is none, contents that are too large, a disk that refuses.
    pub fn load(&self, contents: &[u8], reference: &str) -> Result<ImageRecord, LoadError> {
        let reference: Reference = reference.parse()?;
        let size_bytes = u64::try_from(contents.len()).unwrap_or(u64::MAX);
        if size_bytes > IMAGE_BYTES_MAX {
            return Err(LoadError::TooLarge(contents.len()));
        }
        let digest = Digest::of(contents);
        if let Some(pinned) = reference.digest().filter(|pinned| *pinned != digest) {
            return Err(LoadError::Pinned { reference: reference.to_string(), pinned, actual: digest });
        }
        let record = ImageRecord { reference: reference.without_digest(), digest, size_bytes };
        let blob = self.blob_path(digest);
        let name = self.name_path(&record.reference);
        let entry = serde_json::to_vec(&record)
            .map_err(|error| LoadError::Write { path: name.clone(), source: io::Error::other(error) })?;
        let _one_writer = self.lock_for_writing().map_err(|source| LoadError::Write { path: blob.clone(), source })?;
        for (path, bytes) in [(blob, contents), (name, &entry)] {
            write_atomically(&path, &[bytes]).map_err(|source| LoadError::Write { path, source })?;
        }
        Ok(record)
    }

    /// All names, in their order. Blocks on the disk.
    ///
    /// # Errors
    /// A directory or a name's file that cannot be read.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ListError> {
        let list_error = |source| ListError { path: self.names.to_path_buf(), source };
        let mut records = Vec::new();
        for entry in std::fs::read_dir(&self.names).map_err(list_error)? {
            let path = entry.map_err(list_error)?.path();
            // Files under way have names that begin with a dot.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            match read_record(&path) {
                Ok(record) => records.push(record),
                // Removed by another process meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ListError { path, source }),
            }
        }
        records.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Removes a name, and the contents when no other name has them. Blocks on the disk.
    ///
    /// # Errors
    /// A name that is not there, a disk that refuses.
    pub fn remove(&self, reference: &str) -> Result<(), RemoveError> {
        let reference = reference.parse::<Reference>()?.without_digest();
        let path = self.name_path(&reference);
        let _one_writer =
            self.lock_for_writing().map_err(|source| RemoveError::Remove { path: path.clone(), source })?;
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(RemoveError::NotFound(reference)),
            Err(source) => return Err(RemoveError::Remove { path, source }),
        }
        self.remove_unnamed()
    }

    /// Removes every content that no name has.
    fn remove_unnamed(&self) -> Result<(), RemoveError> {
        let named: BTreeSet<String> = self.list()?.iter().map(|record| record.digest.hex()).collect();
        let remove_error = |source| RemoveError::Remove { path: self.blobs.to_path_buf(), source };
        for entry in std::fs::read_dir(&self.blobs).map_err(remove_error)? {
            let entry = entry.map_err(remove_error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || named.contains(&name) {
                continue;
            }
            match std::fs::remove_file(entry.path()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(RemoveError::Remove { path: entry.path(), source });
                }
                _removed_by_us_or_another => {}
            }
        }
        Ok(())
    }

    /// Finds what a container spec's `image` names. Nothing is read but the name's file, or the whole file of a
    /// `file://` image, which has no digest until then.
    ///
    /// # Errors
    /// See [`PullError`]; each says what to do.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub async fn resolve(&self, image: &str, policy: PullPolicy) -> Result<Image, PullError> {
        if let Some(path) = image.strip_prefix(FILE_SCHEME) {
            return self.resolve_file(image, path).await;
        }
        let reference: Reference =
            image.parse().map_err(|source| PullError::InvalidName { image: image.to_owned(), source })?;
        let record = match (reference.tag(), reference.digest()) {
            // Pinned and without a tag: the contents are enough.
            (None, Some(digest)) => self.by_digest(&reference, digest).await,
            _ => self.by_name(&reference).await,
        };
        let record = record.map_err(|error| match error {
            PullError::NotFound(reference) if policy == PullPolicy::Never => PullError::NeverPull(reference),
            other => other,
        })?;
        let path = self.blob_path(record.digest);
        Ok(Image { reference: image.to_owned(), digest: record.digest, size_bytes: record.size_bytes, path })
    }

    async fn by_name(&self, reference: &Reference) -> Result<ImageRecord, PullError> {
        let path = self.name_path(&reference.without_digest());
        let reading = path.clone();
        let record = match blocking(move || read_record(&reading)).await {
            Ok(record) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PullError::NotFound(reference.clone()));
            }
            Err(source) => return Err(PullError::Store { path, source }),
        };
        match reference.digest() {
            Some(pinned) if pinned != record.digest => {
                Err(PullError::OtherDigest { reference: reference.clone(), pinned, actual: record.digest })
            }
            _ => Ok(record),
        }
    }

    async fn by_digest(&self, reference: &Reference, digest: Digest) -> Result<ImageRecord, PullError> {
        let path = self.blob_path(digest);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(ImageRecord { reference: reference.clone(), digest, size_bytes: metadata.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PullError::NotFound(reference.clone())),
            Err(source) => Err(PullError::Store { path, source }),
        }
    }

    async fn resolve_file(&self, image: &str, path: &str) -> Result<Image, PullError> {
        let refused = |reason| PullError::FileRefused { image: image.to_owned(), reason };
        if !self.policy.allow_files {
            return Err(refused("this host does not allow images from files"));
        }
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(refused("the path after file:// must be absolute"));
        }
        let reading = path.clone();
        let contents = blocking(move || read_bounded(&reading, IMAGE_BYTES_MAX)).await;
        let contents = contents.map_err(|source| PullError::File { path: path.clone(), source })?;
        let size_bytes = u64::try_from(contents.len()).unwrap_or(u64::MAX);
        Ok(Image { reference: image.to_owned(), digest: Digest::of(&contents), size_bytes, path })
    }

    /// Held while names or contents change, by one process at a time: contents that were just written have no name yet, and
    /// must not be taken for contents that lost theirs. Readers need no lock. Released when dropped, also by a crash.
    fn lock_for_writing(&self) -> io::Result<File> {
        let lock = File::create(&self.lock)?;
        lock.lock()?;
        Ok(lock)
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    fn name_path(&self, reference: &Reference) -> PathBuf {
        self.names.join(Digest::of(reference.to_string().as_bytes()).hex())
    }
}

impl Image {
    /// The contents, checked against the digest. Blocks on the disk.
    ///
    /// # Errors
    /// A file that cannot be read or was changed since it was resolved.
    pub fn read(&self) -> Result<Vec<u8>, ReadImageError> {
        let contents = read_bounded(&self.path, IMAGE_BYTES_MAX)
            .map_err(|source| ReadImageError::Io { path: self.path.clone(), source })?;
        let actual = Digest::of(&contents);
        if actual != self.digest {
            return Err(ReadImageError::Changed { path: self.path.clone(), expected: self.digest, actual });
        }
        Ok(contents)
    }
}

fn read_record(path: &Path) -> io::Result<ImageRecord> {
    let bytes = read_bounded(path, NAME_FILE_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Runs file work off the serving threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
