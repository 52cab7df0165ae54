//! What can go wrong with images, for the person who named them.

use crate::{Digest, ParseReferenceError};
use std::io;
use std::path::PathBuf;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the image store in {}", directory.display())]
pub struct OpenImageStoreError {
    pub(super) directory: PathBuf,
    pub(super) source: io::Error,
}

/// The names could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the images in {}", directory.display())]
pub struct ListError {
    pub(super) directory: PathBuf,
    pub(super) source: io::Error,
}

/// An image was not loaded. The store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    InvalidName(#[from] ParseReferenceError),
    #[error("the image is empty")]
    Empty,
    #[error("the image has {size_bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge { size_bytes: u64, bytes_max: u64 },
    #[error("the image's digest is {found}, but its name says {expected}")]
    DigestMismatch { expected: Digest, found: Digest },
    #[error("cannot write to the image store in {}", directory.display())]
    Write { directory: PathBuf, source: io::Error },
}

/// A name was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error(transparent)]
    InvalidName(#[from] ParseReferenceError),
    #[error("there is no image `{reference}`")]
    NotFound { reference: String },
    #[error("cannot change the image store in {}", directory.display())]
    Write { directory: PathBuf, source: io::Error },
}

/// An image is not on this host.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("invalid image name")]
    InvalidName { image: String, source: ParseReferenceError },
    #[error(
        "image `{image}` names a file, which this host does not allow: load it with `coracle image load FILE -t NAME` and use that name"
    )]
    FilesNotAllowed { image: String },
    #[error("image `{image}` must have an absolute path: file:///path/to/program.wasm")]
    FileNotAbsolute { image: String },
    #[error("cannot read the image file {}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("image `{image}` has {size_bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge { image: String, size_bytes: u64, bytes_max: u64 },
    #[error("image `{reference}` is not on this host: load it with `coracle image load FILE -t {reference}`")]
    NotInStore { reference: String },
    #[error(
        "image `{reference}` is not on this host, and its pull policy is Never: load it with `coracle image load FILE -t {reference}`"
    )]
    NeverPull { reference: String },
    #[error("cannot read the image `{reference}` from the store")]
    ReadStore { reference: String, source: io::Error },
    #[error("the search for the image was interrupted")]
    Interrupted,
}

impl PullError {
    /// The reason that a waiting container shows in Kubernetes. All but the first two are tried again.
    #[must_use]
    pub fn kubernetes_reason(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } | Self::FileNotAbsolute { .. } => "InvalidImageName",
            Self::NeverPull { .. } => "ErrImageNeverPull",
            Self::FilesNotAllowed { .. }
            | Self::ReadFile { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::NotInStore { .. }
            | Self::ReadStore { .. }
            | Self::Interrupted => "ErrImagePull",
        }
    }
}

/// The bytes of an image are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadImageError {
    #[error("cannot read the image `{reference}`")]
    Read { reference: String, source: io::Error },
    #[error("the image `{reference}` has changed on the disk: its digest is {found}, not {expected}")]
    Changed { reference: String, expected: Digest, found: Digest },
}
