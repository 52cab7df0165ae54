//! The ring of recent events.

use std::collections::VecDeque;

use crate::watch::WatchEvent;

/// How much a [`History`] may hold. The events of the newest revision are kept whatever the bounds say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryBounds {
    pub(crate) events_max: usize,
    /// Bytes of the events themselves, keys and new values.
    pub(crate) bytes_max: usize,
}

/// Events in the order of their revisions, from [`History::floor`] on without a gap.
#[derive(Debug)]
pub(crate) struct History {
    events: VecDeque<WatchEvent>,
    bytes: usize,
    floor: u64,
    bounds: HistoryBounds,
}

impl History {
    /// An empty history: no revision from `floor` on has had an event so far.
    pub(crate) fn new(bounds: HistoryBounds, floor: u64) -> Self {
        Self { events: VecDeque::new(), bytes: 0, floor: floor.max(1), bounds }
    }

    /// All events of this and later revisions are here. Never 0.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn push(&mut self, event: WatchEvent) {
        self.bytes += event.bytes();
        self.events.push_back(event);
    }

    /// The events with revision `revision` and later.
    pub(crate) fn from(&self, revision: u64) -> impl DoubleEndedIterator<Item = &WatchEvent> + ExactSizeIterator {
        let start = self.events.partition_point(|event| event.revision() < revision);
        self.events.range(start..)
    }

    /// Takes whole revisions out at the old end until the bounds hold.
    pub(crate) fn evict(&mut self, mut evicted: impl FnMut(WatchEvent)) {
        while self.events.len() > self.bounds.events_max || self.bytes > self.bounds.bytes_max {
            let (Some(first), Some(last)) = (self.events.front(), self.events.back()) else { return };
            if first.revision() == last.revision() {
                return;
            }
            let floor = first.revision() + 1;
            self.raise_floor(floor, &mut evicted);
        }
    }

    /// Takes out all events before `floor`.
    pub(crate) fn raise_floor(&mut self, floor: u64, mut evicted: impl FnMut(WatchEvent)) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        while let Some(event) = self.events.pop_front_if(|event| event.revision() < floor) {
            self.bytes -= event.bytes();
            evicted(event);
        }
    }
}
