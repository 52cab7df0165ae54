//! The seats of all levels, and who waits for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::level::{Level, Queueing};

/// Why a request is not worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The level has neither a seat nor queues.
    NoSeat,
    /// The shortest queue of the flow is full.
    QueueFull,
    /// It waited too long.
    TimedOut,
}

/// The seats of the server.
#[derive(Debug, Default)]
pub(super) struct Seats {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    levels: HashMap<String, Usage>,
    /// Tells one waiting request from another.
    last_ticket: u64,
}

/// What is in use of one level.
#[derive(Debug, Default)]
struct Usage {
    nominal: usize,
    lendable: usize,
    /// The most seats, borrowed ones included.
    most: usize,
    queueing: Option<Queueing>,
    in_use: usize,
    waiting: usize,
    /// False when its configuration is gone; it is forgotten when nobody sits or waits in it any more.
    is_configured: bool,
    queues: Vec<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    in_use: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    call: oneshot::Sender<()>,
}

/// A seat; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    level: String,
    queue: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.leave(&self.level, self.queue);
    }
}

/// Takes a request out of its queue when it is no longer waited for.
struct Ticket<'a> {
    seats: &'a Arc<Seats>,
    level: &'a str,
    queue: usize,
    ticket: u64,
    /// The seat has an owner, who gives it back.
    is_used: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.seats.give_up(self.level, self.queue, self.ticket);
        }
    }
}

/// What a request that comes finds.
enum Arrival {
    Seated(usize),
    Queued(usize, u64, oneshot::Receiver<()>),
}

impl Seats {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Divides so many seats among the levels by their shares.
    pub(super) fn share(&self, levels: &[Arc<Level>], total: usize) {
        let limited = || levels.iter().filter(|level| !level.is_exempt);
        let shares: usize = limited().map(|level| level.shares).sum::<usize>().max(1);
        let mut state = self.state();
        state.levels.values_mut().for_each(|usage| usage.is_configured = false);
        for level in limited() {
            let usage = state.levels.entry(level.name.clone()).or_default();
            usage.is_configured = true;
            usage.nominal = (total * level.shares).div_ceil(shares);
            usage.lendable = usage.nominal * level.lendable / 100;
            let borrowed = level.borrows.map_or(total, |percent| usage.nominal * percent / 100);
            usage.most = usage.nominal.saturating_add(borrowed);
            usage.queueing = level.queueing;
            let queues = level.queueing.map_or(1, |queueing| queueing.queues);
            if usage.queues.len() < queues {
                usage.queues.resize_with(queues, Queue::default);
            }
        }
        state.levels.retain(|_, usage| usage.is_configured || usage.in_use + usage.waiting > 0);
        while state.seat_one() {}
    }

    /// Takes a seat of a level, waiting no longer than told.
    pub(super) async fn take(self: &Arc<Self>, level: &str, flow: u64, wait_max: Duration) -> Result<Seat, Refusal> {
        let seat = |queue| Seat { seats: Arc::clone(self), level: level.to_owned(), queue };
        let arrival = self.state().arrive(level, flow)?;
        match arrival {
            Arrival::Seated(queue) => Ok(seat(queue)),
            Arrival::Queued(queue, ticket, called) => {
                let mut ticket = Ticket { seats: self, level, queue, ticket, is_used: false };
                match tokio::time::timeout(wait_max, called).await {
                    Ok(Ok(())) => {
                        ticket.is_used = true;
                        Ok(seat(queue))
                    }
                    Ok(Err(_)) | Err(_) => Err(Refusal::TimedOut),
                }
            }
        }
    }

    fn leave(&self, level: &str, queue: usize) {
        let mut state = self.state();
        if let Some(usage) = state.levels.get_mut(level) {
            usage.in_use = usage.in_use.saturating_sub(1);
            if let Some(queue) = usage.queues.get_mut(queue) {
                queue.in_use = queue.in_use.saturating_sub(1);
            }
        }
        while state.seat_one() {}
    }

    /// A request that was called in the meantime has a seat that nobody will sit on.
    fn give_up(&self, level: &str, queue: usize, ticket: u64) {
        let mut state = self.state();
        let Some(usage) = state.levels.get_mut(level) else { return };
        let Some(waiting) = usage.queues.get_mut(queue) else { return };
        let before = waiting.waiting.len();
        waiting.waiting.retain(|one| one.ticket != ticket);
        if waiting.waiting.len() < before {
            usage.waiting = usage.waiting.saturating_sub(1);
            return;
        }
        drop(state);
        self.leave(level, queue);
    }
}

impl State {
    fn arrive(&mut self, level: &str, flow: u64) -> Result<Arrival, Refusal> {
        let has_own = self.levels.get(level).is_some_and(|usage| usage.in_use < usage.nominal);
        let lendable = if has_own { 0 } else { self.lendable_to(level) };
        let ticket = self.last_ticket + 1;
        // A level that is gone since the request was classified holds up nobody.
        let usage = self.levels.entry(level.to_owned()).or_default();
        if usage.queues.is_empty() {
            usage.queues.push(Queue::default());
        }
        let queue = usage.queueing.map_or(0, |queueing| usage.shortest(flow, queueing));
        if usage.waiting == 0 && usage.has_seat(lendable) {
            usage.sit(queue);
            return Ok(Arrival::Seated(queue));
        }
        let Some(queueing) = usage.queueing else { return Err(Refusal::NoSeat) };
        let Some(chosen) = usage.queues.get_mut(queue) else { return Err(Refusal::NoSeat) };
        if chosen.waiting.len() >= queueing.length_max {
            return Err(Refusal::QueueFull);
        }
        let (call, called) = oneshot::channel();
        chosen.waiting.push_back(Waiting { ticket, call });
        usage.waiting += 1;
        self.last_ticket = ticket;
        Ok(Arrival::Queued(queue, ticket, called))
    }

    /// Seats of others that a level could borrow: lendable, not used by their owners, not borrowed yet.
    fn lendable_to(&self, level: &str) -> usize {
        let others = self.levels.iter().filter(|(name, _)| *name != level);
        let (lendable, borrowed) = others.fold((0, 0), |(lendable, borrowed), (_, usage)| {
            let free = usage.nominal.saturating_sub(usage.in_use).min(usage.lendable);
            (lendable + free, borrowed + usage.in_use.saturating_sub(usage.nominal))
        });
        let own = self.levels.get(level).map_or(0, |usage| usage.in_use.saturating_sub(usage.nominal));
        lendable.saturating_sub(borrowed + own)
    }

    /// Calls one waiting request to a free seat; false when there is none of either.
    fn seat_one(&mut self) -> bool {
        let waiting = self.levels.iter().filter(|(_, usage)| usage.waiting > 0);
        let able = waiting.filter(|(name, usage)| usage.has_seat(self.lendable_to(name)));
        // Those who have their own seats free come before those who borrow.
        let next = able.min_by_key(|(_, usage)| usage.in_use >= usage.nominal).map(|(name, _)| name.clone());
        let Some(usage) = next.and_then(|name| self.levels.get_mut(&name)) else { return false };
        let fewest = |(_, queue): &(usize, &Queue)| queue.in_use;
        let queues = usage.queues.iter().enumerate().filter(|(_, queue)| !queue.waiting.is_empty());
        let Some(index) = queues.min_by_key(fewest).map(|(index, _)| index) else { return false };
        let Some(one) = usage.queues.get_mut(index).and_then(|queue| queue.waiting.pop_front()) else { return false };
        usage.waiting = usage.waiting.saturating_sub(1);
        // One that has gone meanwhile finds itself not in the queue and gives the seat back: so it must have one.
        usage.sit(index);
        let _ = one.call.send(());
        true
    }
}

impl Usage {
    fn has_seat(&self, lendable: usize) -> bool {
        // One seat there always is, so that a level can be small and not dead.
        self.in_use < self.nominal.max(1) || (self.in_use < self.most && lendable > 0)
    }

    fn sit(&mut self, queue: usize) {
        self.in_use += 1;
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.in_use += 1;
        }
    }

    /// The shortest of the queues that are dealt to a flow.
    fn shortest(&self, flow: u64, queueing: Queueing) -> usize {
        let load = |index: &usize| self.queues.get(*index).map_or(0, |queue| queue.waiting.len() + queue.in_use);
        deal(flow, queueing).min_by_key(load).unwrap_or(0)
    }
}

/// Deals a hand of different queues to a flow: the first cards of a deck that the flow's number shuffles.
fn deal(flow: u64, queueing: Queueing) -> impl Iterator<Item = usize> {
    let mut rest = flow;
    let mut dealt: Vec<usize> = Vec::with_capacity(queueing.hand);
    (0..queueing.hand.min(queueing.queues)).map(move |card| {
        let left = queueing.queues - card;
        let mut index = usize::try_from(rest % left as u64).unwrap_or(0);
        rest /= left as u64;
        // The index counts among the queues that are not dealt yet.
        for known in &dealt {
            if index >= *known {
                index += 1;
            }
        }
        let place = dealt.partition_point(|known| *known < index);
        dealt.insert(place, index);
        index
    })
}
