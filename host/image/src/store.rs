//! The images that were loaded, by name and by content.
//!
//! ```text
//! lock                 held by writers
//! tmp/                 files in the making
//! blobs/HEX            the content with that SHA-256
//! names/NAME.json      one name: reference, digest, size, time
//! ```
//!
//! NAME is the canonical reference with every byte that is not a letter, a digit, `.`, `_` or `-` written as `%XX`.

mod error;
mod names;
#[cfg(test)]
mod tests;

pub use error::{ListError, LoadError, OpenImageStoreError, PullError, ReadImageError, RemoveError};

use crate::files::{self, entries, lock_for_writing, make_directory, remove_if_there};
use crate::{Digest, Reference};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The prefix of names that are paths on the host.
const FILE_SCHEME: &str = "file://";

/// What a store accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Whether `file:///path` names an image. Whoever may create pods can then have any file read that this user can read, if
    /// it is WebAssembly.
    pub allow_files: bool,
    /// Bytes of one image at most.
    pub image_bytes_max: u64,
}

impl Default for ImagePolicy {
    /// No files; images up to 512 MiB.
    fn default() -> Self {
        Self { allow_files: false, image_bytes_max: 512 << 20 }
    }
}

/// When a registry is asked, in Kubernetes' words. Without registries, `Always` and `IfNotPresent` say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// One name in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The name in its short form, with its tag: `hello:latest`.
    pub reference: String,
    /// What it names.
    pub digest: Digest,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// When it was loaded, in seconds since 1970.
    pub loaded_at_seconds: u64,
}

/// An image that is on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name by which it was found.
    pub reference: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Where its bytes are.
    pub path: PathBuf,
    /// How many there are.
    pub size_bytes: u64,
}

impl Image {
    /// The image's bytes, checked against its digest.
    ///
    /// # Errors
    /// When the file is gone, or its bytes are not those that the digest names.
    pub fn read(&self) -> Result<Vec<u8>, ReadImageError> {
        let content = fs::read(&self.path)
            .map_err(|source| ReadImageError::Read { reference: self.reference.clone(), source })?;
        let found = Digest::of(&content);
        if found != self.digest {
            return Err(ReadImageError::Changed { reference: self.reference.clone(), expected: self.digest, found });
        }
        Ok(content)
    }
}

/// The content store of a host. Cheap to clone; several processes may share the directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
    policy: ImagePolicy,
}

impl ImageStore {
    /// Opens the store in `root`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(root: &Path, policy: ImagePolicy) -> Result<Self, OpenImageStoreError> {
        for folder in [files::TEMPORARY, BLOBS, NAMES] {
            make_directory(&root.join(folder))
                .map_err(|source| OpenImageStoreError { directory: root.to_owned(), source })?;
        }
        Ok(Self { root: root.to_owned(), policy })
    }

    /// Keeps `content` under the name `reference`, which may have been another content's. What the content is, is not asked.
    ///
    /// # Errors
    /// When the name is none or holds a digest that is not the content's, the content is too large or empty, or the disk
    /// refuses.
    pub fn load(&self, content: &[u8], reference: &str) -> Result<ImageRecord, LoadError> {
        let name: Reference = reference.parse()?;
        let size_bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let bytes_max = self.policy.image_bytes_max;
        if size_bytes == 0 {
            return Err(LoadError::Empty);
        }
        if size_bytes > bytes_max {
            return Err(LoadError::TooLarge { size_bytes, bytes_max });
        }
        let digest = Digest::of(content);
        if let Some(expected) = name.digest().filter(|expected| *expected != digest) {
            return Err(LoadError::DigestMismatch { expected, found: digest });
        }
        let loaded_at_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = name.kept_as();
        let record = ImageRecord { reference: name.to_string(), digest, size_bytes, loaded_at_seconds };
        self.write(content, &name, &record)
            .map_err(|source| LoadError::Write { directory: self.root.clone(), source })?;
        Ok(record)
    }

    fn write(&self, content: &[u8], name: &Reference, record: &ImageRecord) -> io::Result<()> {
        let _lock = lock_for_writing(&self.root)?;
        let blob = self.blob(&record.digest);
        // A blob that is there may have been spoilt since; loading it again is how to mend it.
        let is_there = fs::read(&blob).is_ok_and(|there| Digest::of(&there) == record.digest);
        if !is_there {
            files::write_whole(&self.root, &blob, content)?;
        }
        let replaced = names::read(&self.names(), name)?;
        names::write(&self.root, &self.names(), name, record)?;
        match replaced {
            Some(replaced) if replaced.digest != record.digest => self.collect(),
            _ => Ok(()),
        }
    }

    /// All names, in order.
    ///
    /// # Errors
    /// When the disk refuses, or a name's file is spoilt.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ListError> {
        let mut records =
            names::read_all(&self.names()).map_err(|source| ListError { directory: self.root.clone(), source })?;
        records.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Forgets a name, and its content if no other name has it. Containers that run on it go on.
    ///
    /// # Errors
    /// When there is no such name, or the disk refuses.
    pub fn remove(&self, reference: &str) -> Result<ImageRecord, RemoveError> {
        let name = reference.parse::<Reference>()?.kept_as();
        let failed = |source| RemoveError::Write { directory: self.root.clone(), source };
        let _lock = lock_for_writing(&self.root).map_err(failed)?;
        let record = names::read(&self.names(), &name)
            .map_err(failed)?
            .ok_or_else(|| RemoveError::NotFound { reference: name.to_string() })?;
        names::remove(&self.names(), &name).map_err(failed)?;
        self.collect().map_err(failed)?;
        Ok(record)
    }

    /// Removes every blob that no name has. The lock is held.
    fn collect(&self) -> io::Result<()> {
        let named: HashSet<String> =
            names::read_all(&self.names())?.into_iter().map(|record| record.digest.hex()).collect();
        for path in entries(&self.root.join(BLOBS))? {
            let is_named = path.file_name().and_then(|name| name.to_str()).is_some_and(|hex| named.contains(hex));
            if !is_named {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Finds the image that a pod names: `file:///absolute/path.wasm`, or `NAME[:TAG][@sha256:...]` in the store.
    ///
    /// # Errors
    /// [`PullError`] says what is wrong with the name, or that there is no such image and how to load it.
    pub async fn resolve(&self, image: &str, pull: PullPolicy) -> Result<Image, PullError> {
        let store = self.clone();
        let image = image.to_owned();
        // Reads and, for files, hashes: on a thread that may block.
        let resolved = tokio::task::spawn_blocking(move || store.resolve_blocking(&image, pull)).await;
        resolved.unwrap_or_else(|_| Err(PullError::Interrupted))
    }

    fn resolve_blocking(&self, image: &str, pull: PullPolicy) -> Result<Image, PullError> {
        match image.strip_prefix(FILE_SCHEME) {
            Some(path) => self.resolve_file(image, Path::new(path)),
            None => self.resolve_name(image, pull),
        }
    }

    fn resolve_file(&self, image: &str, path: &Path) -> Result<Image, PullError> {
        if !self.policy.allow_files {
            return Err(PullError::FilesNotAllowed { image: image.to_owned() });
        }
        if !path.is_absolute() {
            return Err(PullError::FileNotAbsolute { image: image.to_owned() });
        }
        let failed = |source| PullError::ReadFile { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(PullError::NotAFile { path: path.to_owned() });
        }
        let bytes_max = self.policy.image_bytes_max;
        let too_large = |size_bytes| PullError::TooLarge { image: image.to_owned(), size_bytes, bytes_max };
        if metadata.len() > bytes_max {
            return Err(too_large(metadata.len()));
        }
        let mut content = Vec::new();
        let file = fs::File::open(path).map_err(failed)?;
        // The file may grow while it is read.
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
        let size_bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if size_bytes > bytes_max {
            return Err(too_large(size_bytes));
        }
        Ok(Image { reference: image.to_owned(), digest: Digest::of(&content), path: path.to_owned(), size_bytes })
    }

    fn resolve_name(&self, image: &str, pull: PullPolicy) -> Result<Image, PullError> {
        let name: Reference =
            image.parse().map_err(|source| PullError::InvalidName { image: image.to_owned(), source })?;
        let failed = |source| PullError::ReadStore { reference: name.to_string(), source };
        let digest = match name.digest() {
            Some(digest) => Some(digest),
            None => names::read(&self.names(), &name).map_err(failed)?.map(|record| record.digest),
        };
        let absent = || match pull {
            PullPolicy::Never => PullError::NeverPull { reference: name.to_string() },
            PullPolicy::Always | PullPolicy::IfNotPresent => PullError::NotInStore { reference: name.to_string() },
        };
        let path = self.blob(&digest.ok_or_else(absent)?);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
            Err(error) => return Err(failed(error)),
        };
        let digest = digest.ok_or_else(absent)?;
        Ok(Image { reference: name.to_string(), digest, path, size_bytes: metadata.len() })
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.hex())
    }

    fn names(&self) -> PathBuf {
        self.root.join(NAMES)
    }
}

const BLOBS: &str = "blobs";
const NAMES: &str = "names";
