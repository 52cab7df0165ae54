//! Who is asked a second time, because the object was changed after he was asked.

use std::collections::BTreeSet;

use serde_json::Value;

/// What one write remembers of its first round.
#[derive(Debug, Default)]
pub(crate) struct Reinvocation {
    /// Whether this is the second round; there is no third.
    pub(super) is_second: bool,
    /// Whether a second round is needed.
    pub(super) needed: bool,
    pub(super) webhooks: Invoked,
    pub(super) policies: Invoked,
}

/// Of one plugin, those who were asked and want to be asked again.
#[derive(Debug, Default)]
pub(crate) struct Invoked {
    before: BTreeSet<String>,
    again: BTreeSet<String>,
    /// The object when the plugin was done with it.
    left: Option<Value>,
}

impl Invoked {
    /// Begins a round: what other plugins have changed since the last one concerns everybody.
    pub(super) fn begin(&mut self, is_second: bool, object: &Value) {
        if is_second && self.left.as_ref().is_some_and(|left| left != object) {
            self.changed();
        }
    }

    /// The object was changed: those who were asked before are to be asked again.
    pub(super) fn changed(&mut self) {
        self.again.append(&mut self.before);
    }

    pub(super) fn invoked(&mut self, identity: &str) {
        self.before.insert(identity.to_owned());
    }

    pub(super) fn must_repeat(&self, identity: &str) -> bool {
        self.again.contains(identity)
    }

    /// Ends a round.
    pub(super) fn end(&mut self, object: &Value) {
        self.left = Some(object.clone());
    }
}
