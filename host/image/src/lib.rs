//! Images: names, a content-addressed store of programs, and a cache of compiled code.
//!
//! An image is a WebAssembly file. [`ImageStore`] keeps files by their SHA-256 digest and names that point to digests;
//! [`ImageStore::resolve`] turns what a container spec says into an [`Image`] on disk. [`ArtifactCache`] keeps what a
//! compiler made of an image, by digest and by a key of the compiler's own.
//!
//! On disk, below the store's directory:
//! ```text
//! blobs/sha256/<hex>     contents; a file that is there is whole
//! names/<hex of name>    one small JSON file per name: reference, digest, size
//! lock                   held by whoever writes
//! ```
//!
//! # Invariants
//! - A blob and a name appear by rename, after their bytes were synced: whoever sees them sees all of them. Writers
//!   exclude each other by a lock file, so several processes share a store: `coracle image load` works while `up` runs.
//! - A digest that is told was computed over the bytes; contents are checked against it when they are read.
//! - What a name says is never trusted as a path: names are hashed into file names.
//! - Everything read is bounded ([`IMAGE_BYTES_MAX`], [`ArtifactCache`]'s total).
//!
//! # Refused alternatives
//! - One index file with all names: two processes would have to lock it, and a crash could tear it.
//! - Trusting compiled code: it is native code, so a damaged artefact must never be loaded. Each carries a checksum that is
//!   verified before its path is handed out.
//!
//! Registries come with an issue of their own; a name that is not in the store is a [`PullError`] that says what to do.

mod artifact;
mod digest;
mod file;
mod reference;
mod store;

pub use artifact::{ArtifactCache, ArtifactError};
pub use digest::{Digest, ParseDigestError};
pub use reference::{ParseReferenceError, Reference};
pub use store::{
    IMAGE_BYTES_MAX, Image, ImagePolicy, ImageRecord, ImageStore, ListError, LoadError, OpenImageStoreError, PullError,
    PullPolicy, ReadImageError, RemoveError,
};
