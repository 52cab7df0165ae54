//! What an operator may set, with every default in one place.

use std::time::Duration;

/// How the scheduler behaves. All bounds are hard.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Pods whose `spec.schedulerName` is this name are ours. Default: `default-scheduler`.
    pub scheduler_name: String,
    /// API requests (Binding, condition, Event) in flight at once. Default: 256.
    pub requests_in_flight_max: usize,
    /// Pods planned in one call of [`plan`](crate::plan); the others wait for the next one. Default: 512.
    pub batch_pods_max: usize,
    /// How long one API request may take before it counts as failed. Default: 30 seconds.
    pub request_timeout: Duration,
    /// How long [`Scheduler::stop`](crate::Scheduler::stop) waits for requests in flight. Default: 5 seconds.
    pub stop_timeout: Duration,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            scheduler_name: "default-scheduler".to_owned(),
            requests_in_flight_max: 256,
            batch_pods_max: 512,
            request_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
        }
    }
}
