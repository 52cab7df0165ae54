//! What the agent tells people about a pod.

/// Whether a person should worry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    Normal,
    Warning,
}

impl EventKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One Event about a pod or one of its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodEvent {
    pub(crate) kind: EventKind,
    /// A word of upstream's: `Started`, `BackOff`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The part of the pod: `spec.containers{web}`.
    pub(crate) field_path: Option<String>,
}
