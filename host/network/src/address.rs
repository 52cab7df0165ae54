//! Addresses for pods: blocks of the shared address space, and the pool that hands them out.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The shared address space that every block lies in: `100.64.0.0/10` (RFC 6598).
const SPACE: u32 = 0x6440_0000;
const SPACE_PREFIX: u8 = 10;
/// The longest prefix of a block: 4 addresses, of which one is the host's.
const PREFIX_MAX: u8 = 30;

/// A block of IPv4 addresses inside `100.64.0.0/10`, written as in `100.64.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBlock {
    base: u32,
    prefix: u8,
}

/// Why a block was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressBlockError {
    #[error("the prefix length of an address block must be from 10 to 30, not {0}")]
    Prefix(u8),
    #[error("the address block {0}/{1} must lie inside 100.64.0.0/10")]
    Outside(Ipv4Addr, u8),
    #[error("the address block {0}/{1} must start at a multiple of its size")]
    Unaligned(Ipv4Addr, u8),
}

impl AddressBlock {
    /// `100.64.0.0/16`.
    pub const DEFAULT: Self = Self { base: SPACE, prefix: 16 };

    /// The block of `2^(32 - prefix)` addresses that starts at `base`.
    ///
    /// # Errors
    /// A prefix outside 10 to 30, a base outside the shared address space, or one that the prefix does not cover.
    pub fn new(base: Ipv4Addr, prefix: u8) -> Result<Self, AddressBlockError> {
        if !(SPACE_PREFIX..=PREFIX_MAX).contains(&prefix) {
            return Err(AddressBlockError::Prefix(prefix));
        }
        let bits = u32::from(base);
        if bits & mask(SPACE_PREFIX) != SPACE {
            return Err(AddressBlockError::Outside(base, prefix));
        }
        if bits & mask(prefix) != bits {
            return Err(AddressBlockError::Unaligned(base, prefix));
        }
        Ok(Self { base: bits, prefix })
    }

    /// Whether the address lies in this block.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX << (32 - u32::from(prefix))
}

/// The addresses of this host: which are taken, which rest, which were never used.
///
/// Fresh addresses go first, then the one that was released longest ago, so that an address comes back as late as the
/// blocks allow. Time is an argument.
#[derive(Debug)]
pub(crate) struct AddressPool {
    blocks: Vec<AddressBlock>,
    /// Where the next address that was never used is: block and offset.
    fresh: (usize, u32),
    taken: BTreeSet<Ipv4Addr>,
    resting: VecDeque<(Instant, Ipv4Addr)>,
    rest: Duration,
}

impl AddressPool {
    pub(crate) fn new(blocks: Vec<AddressBlock>, rest: Duration) -> Self {
        Self { blocks, fresh: (0, 0), taken: BTreeSet::new(), resting: VecDeque::new(), rest }
    }

    /// The host's own address: the second of the first block (the first is the network's name).
    pub(crate) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.blocks.first().map_or(SPACE, |block| block.base) + 1)
    }

    /// An address that no pod has, or `None` when all are taken or resting.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Ipv4Addr> {
        let address = self.take_fresh().or_else(|| self.take_rested(now))?;
        self.taken.insert(address);
        Some(address)
    }

    /// Gives an address back. One that is not taken is left alone.
    pub(crate) fn release(&mut self, address: Ipv4Addr, now: Instant) {
        if self.taken.remove(&address) {
            self.resting.push_back((now, address));
        }
    }

    /// How many addresses are in use.
    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
    }

    fn take_fresh(&mut self) -> Option<Ipv4Addr> {
        let host = self.host();
        loop {
            let block = *self.blocks.get(self.fresh.0)?;
            let offset = self.fresh.1;
            if offset == block.size() {
                self.fresh = (self.fresh.0 + 1, 0);
                continue;
            }
            self.fresh.1 += 1;
            let address = Ipv4Addr::from(block.base + offset);
            // The first and the last address of a block are never given out: too many programs take x.x.x.0 and
            // x.x.x.255 of a subnet for its name and its broadcast address.
            if offset != 0 && offset != block.size() - 1 && address != host {
                return Some(address);
            }
        }
    }

    fn take_rested(&mut self, now: Instant) -> Option<Ipv4Addr> {
        let (released, address) = *self.resting.front()?;
        if now.saturating_duration_since(released) < self.rest {
            return None;
        }
        self.resting.pop_front();
        Some(address)
    }
}

#[cfg(test)]
mod tests;
