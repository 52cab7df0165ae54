//! Admission: small plugins between decoding and the store, under upstream's names and in upstream's order.
//!
//! A plugin is a row of [`plugins::PLUGINS`]. It may complete what is to be written (its `mutate`) and refuse it when it
//! is complete (its `validate`); all plugins mutate before any validates. It sees one snapshot of the store. What it found
//! there and relies on, and what has to happen together with the write, it leaves in [`Effects`], which become part of the
//! write's own transaction, so that nothing can slip in between.

mod attributes;
mod certificates;
mod claim_resize;
mod configured;
mod default_tolerations;
mod defaults;
mod effects;
mod expressions;
mod external_ips;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod plugins;
mod pod_rules;
mod pod_security;
mod policy;
mod priority;
mod reinvocation;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_in_use;
pub(crate) mod subresource;
mod taint_nodes;
mod tolerations;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;

use coracle_control_api::status::Status;
use coracle_control_store::{Snapshot, Store};
use futures::future::BoxFuture;
use serde_json::Value;

pub(crate) use effects::Effects;
pub(crate) use plugins::{NOT_BUILT, PLUGINS};
pub(crate) use policy::aside;

use configured::{Cache, Configured};
use plugins::Plugin;

use crate::authorization::check_escalation;
use crate::call::ResourceCall;
use crate::verbs::delete::DeleteOptions;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
    /// A connection to what the object stands for, as with `exec`.
    Connect,
}

/// Where the options of a request are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Options<'a> {
    /// In the query, as with every write but a delete.
    Query,
    Delete(&'a DeleteOptions),
    /// A connection has none.
    Connect,
}

/// A write that asks for admission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) call: &'a ResourceCall,
    pub(crate) action: Action,
    /// Of the object; empty while its name is still to be generated, which is so while plugins mutate.
    pub(crate) name: &'a str,
    /// What a name is generated from, while there is none.
    pub(crate) generate_name: &'a str,
    /// `status` and the like; empty for the object itself.
    pub(crate) subresource: &'a str,
    pub(crate) snapshot: &'a Snapshot,
    /// The object before an update or a delete.
    pub(crate) old: Option<&'a Value>,
    /// Nothing will be written: a plugin must not change anything outside the object either.
    pub(crate) dry_run: bool,
    pub(crate) options: Options<'a>,
}

impl Request<'_> {
    /// Whether this is about that resource of the core group itself.
    fn is_core(&self, plural: &str) -> bool {
        self.is("", plural) && self.subresource.is_empty()
    }

    /// Whether this is about that resource, or a subresource of it.
    fn is(&self, group: &str, plural: &str) -> bool {
        self.call.kind.group == group && self.call.kind.plural == plural
    }

    /// 403 for the object, with a cause.
    fn forbid(&self, cause: &str) -> Status {
        let name = if self.name.is_empty() { self.generate_name } else { self.name };
        Status::forbidden(&self.call.kind.group, &self.call.kind.plural, name, cause)
    }
}

/// What somebody who is asked comes to.
pub(crate) type Asking<'a> = BoxFuture<'a, Result<(), Status>>;

/// How a plugin completes an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mutate {
    /// From what the snapshot has.
    Now(fn(&Request<'_>, &mut Value, &mut Effects) -> Result<(), Status>),
    /// By asking somebody.
    Later(for<'a> fn(&'a Request<'a>, &'a mut Value, &'a mut Effects) -> Asking<'a>),
}

/// How a plugin refuses what is complete. The object is absent for a delete.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Validate {
    /// By what the snapshot has.
    Now(fn(&Request<'_>, Option<&Value>, &mut Effects) -> Result<(), Status>),
    /// By asking somebody.
    Later(for<'a> fn(&'a Request<'a>, Option<&'a Value>, &'a mut Effects) -> Asking<'a>),
}

/// The plugins that run, in upstream's order.
#[derive(Debug)]
pub(crate) struct Admission {
    mutating: Vec<Mutate>,
    validating: Vec<Validate>,
    turns: resource_quota::Turns,
    configured: Cache,
}

impl Admission {
    /// The plugins that run by default or are enabled, without the disabled ones.
    pub(crate) fn new(enabled: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Self {
        let runs = |plugin: &&Plugin| {
            (plugin.on_by_default || enabled.contains(plugin.name)) && !disabled.contains(plugin.name)
        };
        Self {
            mutating: PLUGINS.iter().filter(runs).filter_map(|plugin| plugin.mutate).collect(),
            validating: PLUGINS.iter().filter(runs).filter_map(|plugin| plugin.validate).collect(),
            turns: resource_quota::Turns::default(),
            configured: Cache::default(),
        }
    }

    /// The webhooks and policies that are configured now.
    fn configured(&self, store: &Store) -> Arc<Configured> {
        self.configured.get(store)
    }

    /// Lets the plugins complete the object. What one has changed may concern others who were asked before, so there may
    /// be a second round.
    ///
    /// # Errors
    /// What the first plugin that refuses says.
    pub(crate) async fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Value,
        effects: &mut Effects,
    ) -> Result<(), Status> {
        // No plugin, so that it cannot be switched off: it says whose certificate a request can become.
        certificates::admit(request, object);
        self.round(request, object, effects).await?;
        if effects.reinvocation.needed {
            effects.reinvocation.is_second = true;
            self.round(request, object, effects).await?;
        }
        Ok(())
    }

    async fn round(&self, request: &Request<'_>, object: &mut Value, effects: &mut Effects) -> Result<(), Status> {
        for mutate in &self.mutating {
            match mutate {
                Mutate::Now(mutate) => mutate(request, object, effects)?,
                Mutate::Later(mutate) => mutate(request, object, effects).await?,
            }
        }
        effects.tell_audit(request.call);
        Ok(())
    }

    /// Lets the plugins refuse what is complete. `object` is absent for a delete.
    ///
    /// # Errors
    /// What the first plugin that refuses says.
    pub(crate) async fn validate(
        &self,
        request: &Request<'_>,
        object: Option<&Value>,
        effects: &mut Effects,
    ) -> Result<(), Status> {
        // No plugins, so that they cannot be switched off.
        check_escalation(request, object)?;
        certificates::check_request(request, object)?;
        for validate in &self.validating {
            match validate {
                Validate::Now(validate) => validate(request, object, effects)?,
                Validate::Later(validate) => validate(request, object, effects).await?,
            }
        }
        effects.tell_audit(request.call);
        Ok(())
    }
}
