//! Keeping a guest's turns short when it spends them in the host.
//!
//! Fuel counts what a guest executes, not what the host does for it: a loop around a call that takes the host a millisecond
//! would hold its thread for minutes before an interval of fuel is burnt. So every return from the host looks at the
//! clock, and a turn that has lasted for [`TURN_MAX`] ends there.

use crate::limits::TURN_MAX;
use crate::program::State;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;
use wasmtime::{CallHook, CallHookHandler, StoreContextMut};

/// The turn of one instance: from one poll of its future to the end of that poll.
#[derive(Default)]
pub(crate) struct Turn {
    /// When it began, in nanoseconds since [`EPOCH`].
    began_ns: AtomicU64,
    /// It was ended in the host, not by fuel.
    ended_in_host: AtomicBool,
}

/// Makes an instant fit into an atomic.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now_ns() -> u64 {
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Turn {
    pub(super) fn begin(&self) {
        self.ended_in_host.store(false, Ordering::Relaxed);
        self.began_ns.store(now_ns(), Ordering::Relaxed);
    }

    pub(super) fn ended_in_host(&self) -> bool {
        self.ended_in_host.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        let lasted_ns = now_ns().saturating_sub(self.began_ns.load(Ordering::Relaxed));
        u128::from(lasted_ns) >= TURN_MAX.as_nanos()
    }
}

/// Called by wasmtime on every crossing between guest and host.
pub(crate) struct EndLongTurns {
    turn: Arc<Turn>,
}

impl EndLongTurns {
    pub(crate) fn new(turn: &Arc<Turn>) -> Self {
        Self { turn: Arc::clone(turn) }
    }
}

type Crossing<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

impl CallHookHandler<State> for EndLongTurns {
    /// Written out because the trait's `async` would cost an allocation on each crossing; a box of nothing costs none.
    fn handle_call_event<'life0, 'life1, 'async_trait>(
        &'life0 self,
        _store: StoreContextMut<'life1, State>,
        crossing: CallHook,
    ) -> Crossing<'async_trait>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        if matches!(crossing, CallHook::ReturningFromHost) && self.turn.is_over() {
            self.turn.ended_in_host.store(true, Ordering::Relaxed);
            return Box::pin(EndTurn { is_over: false });
        }
        Box::pin(GoOn)
    }
}

struct GoOn;

impl Future for GoOn {
    type Output = wasmtime::Result<()>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<wasmtime::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Pending once.
struct EndTurn {
    is_over: bool,
}

impl Future for EndTurn {
    type Output = wasmtime::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<wasmtime::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        self.is_over = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
