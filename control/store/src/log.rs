//! The log: the store's only source of durability.
//!
//! # What it holds
//!
//! One ordered stream of [`Record`]s: entries of the replicated log, votes, how far the log is committed, truncations at the
//! young end and purges at the old end. Order is everything here: a vote must not become durable before an entry that was
//! written before it, so both travel in the same stream.
//!
//! # On disk
//!
//! The stream is cut into *frames*. A frame is what the writer thread found waiting when it came by: it is written with one
//! write and synced with one `fdatasync`, and then everybody who waited for it is told (group commit, without any added
//! delay). A frame has a number, one more than the frame before, and checksums that are seeded with the random number of its
//! segment and with its place, so that no stale or displaced bytes are ever taken for a frame.
//!
//! Frames lie one after another in *segments*, files that were filled with zeros and synced before their first use, so that a
//! sync has only data to write. The next segment is made ahead of need by a thread of its own. The first frame of a segment
//! repeats the vote, the committed position and the purged position, so that any older segment can be removed as soon as all
//! its entries are purged.
//!
//! # After a crash
//!
//! Frame `n + 1` is only written after frame `n` was synced. So at most the last frame can be torn, and it was acknowledged to
//! nobody. When the frames end and *no frame with a higher number* stands anywhere behind, that is the end of the log. When
//! one does, something synced was damaged, and the log refuses to open ([`OpenLogError::Damaged`]).
//!
//! What a reader saw may still be only in the page cache (after `kill -9`), so the last segment is synced before anything that
//! was read is relied on.

mod frame;
mod record;
mod recovery;
mod segment;
mod writer;

pub(crate) use record::{EncodePayload, Position, Record, Summary, Vote};
pub(crate) use recovery::{OpenLogError, Recovered, discard_unused, is_present, purge, truncate_after};
pub(crate) use segment::{LogIdentity, random_u64};
pub(crate) use writer::{Log, LogGrowth, LogSender, LogSettings, LogSurroundings};

#[cfg(test)]
mod tests;
