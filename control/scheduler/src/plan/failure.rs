//! Tells a user why no node took a pod, in the sentence that upstream's scheduler writes.

use std::collections::HashMap;

use crate::plugins::{Reason, Verdict};
use crate::pod::Pod;

/// Counts refusals by reason while nodes are examined.
pub(super) struct Failure<'a> {
    preempts_never: bool,
    nodes: usize,
    unresolvable: usize,
    reasons: HashMap<Reason<'a>, usize>,
}

impl<'a> Failure<'a> {
    pub(super) fn new(pod: &Pod, nodes: usize) -> Self {
        Self { preempts_never: pod.requirements.preempts_never, nodes, unresolvable: 0, reasons: HashMap::new() }
    }

    /// Counts one node's refusal.
    pub(super) fn count(&mut self, verdict: Verdict, reasons: &mut Vec<Reason<'a>>) {
        if verdict == Verdict::Unresolvable {
            self.unresolvable += 1;
        }
        for reason in reasons.drain(..) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    pub(super) fn message(&self) -> String {
        let nodes = self.nodes;
        if nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut counted: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        counted.sort_unstable();
        let preemption = if self.preempts_never {
            "not eligible due to preemptionPolicy=Never.".to_owned()
        } else {
            format!("0/{nodes} nodes are available: {}.", self.preemption_reasons())
        };
        format!("0/{nodes} nodes are available: {}. preemption: {preemption}", counted.join(", "))
    }

    /// Where the pod would not fit even on the empty node, deleting others is no help; elsewhere there is nobody to delete.
    fn preemption_reasons(&self) -> String {
        let helpless = self.unresolvable;
        let victimless = self.nodes - helpless;
        let mut counted = Vec::with_capacity(2);
        if helpless > 0 {
            counted.push(format!("{helpless} Preemption is not helpful for scheduling"));
        }
        if victimless > 0 {
            counted.push(format!("{victimless} No preemption victims found for incoming pod"));
        }
        counted.sort_unstable();
        counted.join(", ")
    }
}
