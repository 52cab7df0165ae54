//! Images: from the name in a pod to verified bytes on this host.
//!
//! Two stores stand side by side in the data directory. The [`ImageStore`] keeps what people load: blobs named by the
//! SHA-256 of their bytes, and names that point at them. The [`ArtifactCache`] keeps what this machine made of them:
//! compiled code, named by the digest of its source and the key of the compiler that made it. The first is precious, the
//! second can be deleted at any time.
//!
//! # Invariants
//!
//! - A blob is written under a temporary name, flushed to the disk and renamed, so a name that exists has whole content,
//!   whatever crashed. The same holds for names and artifacts.
//! - Bytes are checked against their digest whenever they are read to be compiled ([`Image::read`]), and an artifact against
//!   its checksum whenever it is handed out ([`ArtifactCache::get`]). A spoilt artifact is removed and made again.
//! - Several processes may use one store at once: `coracle image load` runs beside `coracle up`. Readers need no lock, since
//!   they only see whole files. Writers take the lock of the store, because a removal must not collect a blob that a load is
//!   about to name.
//! - Everything is bounded: [`ImagePolicy::image_bytes_max`], [`ArtifactCache::open`]'s bound, the length of names.
//!
//! # Refused alternatives
//!
//! - A database for the index: names are few, and one file per name survives a crash without a recovery.
//! - Checking a blob's digest at every resolve: it would make every pod start read its image, although a compiled one is not
//!   read at all.
//!
//! Functions that touch the disk block for as long as the disk takes, unless they are `async`.

mod artifacts;
mod digest;
mod files;
mod reference;
mod store;

pub use artifacts::{ArtifactCache, OpenArtifactCacheError, StoreArtifactError};
pub use digest::{Digest, ParseDigestError};
pub use reference::{ParseReferenceError, Reference};
pub use store::{
    Image, ImagePolicy, ImageRecord, ImageStore, ListError, LoadError, OpenImageStoreError, PullError, PullPolicy,
    ReadImageError, RemoveError,
};
