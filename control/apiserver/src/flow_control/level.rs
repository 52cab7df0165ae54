//! A priority level as its configuration says it.

use coracle_control_api::meta;
use http::HeaderValue;
use serde_json::Value;

/// A priority level.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) name: String,
    pub(super) uid: HeaderValue,
    /// Requests of this level never wait and take no seats.
    pub(super) is_exempt: bool,
    /// Its part of the seats, in proportion to the shares of all levels.
    pub(super) shares: usize,
    /// Percent of its seats that others may have while it does not need them.
    pub(super) lendable: usize,
    /// Percent of its seats that it may have from others besides; `None` for as many as there are.
    pub(super) borrows: Option<usize>,
    pub(super) queueing: Option<Queueing>,
}

/// How requests wait; a level without it refuses what it has no seat for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queueing {
    pub(super) queues: usize,
    /// The queues that each flow may be in.
    pub(super) hand: usize,
    /// Requests in one queue.
    pub(super) length_max: usize,
}

/// Bounds on what a configuration can ask for, which is validated more loosely.
const QUEUES_MAX: usize = 10_000;
const LENGTH_MAX: usize = 10_000;

pub(super) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Level {
    pub(super) fn read(object: &Value) -> Self {
        let number = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
        };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let queueing = (text("/spec/limited/limitResponse/type") == "Queue").then(|| {
            let setting = |name: &str| number(&format!("/spec/limited/limitResponse/queuing/{name}"));
            let queues = setting("queues").unwrap_or(64).clamp(1, QUEUES_MAX);
            Queueing {
                queues,
                hand: setting("handSize").unwrap_or(8).clamp(1, queues),
                length_max: setting("queueLengthLimit").unwrap_or(50).min(LENGTH_MAX),
            }
        });
        Self {
            name: meta::name(object).to_owned(),
            uid: header(meta::uid(object)),
            is_exempt: text("/spec/type") == "Exempt",
            shares: number("/spec/limited/nominalConcurrencyShares").unwrap_or(30),
            lendable: number("/spec/limited/lendablePercent").unwrap_or(0).min(100),
            borrows: number("/spec/limited/borrowingLimitPercent"),
            queueing,
        }
    }
}
