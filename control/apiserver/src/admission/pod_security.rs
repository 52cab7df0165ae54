//! PodSecurity: a namespace says by its labels which pods it takes, which it writes down and which it warns of.

use coracle_control_api::meta;
use coracle_control_api::pod_security::{
    LABEL_PREFIX, Level, LevelVersion, Policy, Verdict, changes_matter, template, warnings_for_pods,
};
use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Effects, Request};

/// Subresources of a pod that change nothing that the standards are about.
const IGNORED: &[&str] = &["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

pub(super) fn validate(request: &Request<'_>, object: Option<&Value>, effects: &mut Effects) -> Result<(), Status> {
    let Some(object) = object else { return Ok(()) };
    if request.is("", "namespaces") {
        return if request.subresource.is_empty() { check_namespace(request, object, effects) } else { Ok(()) };
    }
    let is_pod = request.is("", "pods");
    if IGNORED.contains(&request.subresource) || (!is_pod && !request.subresource.is_empty()) {
        return Ok(());
    }
    let Some(pod) = template(&request.call.kind.group, &request.call.kind.plural, object) else { return Ok(()) };
    let (policy, errors) = Policy::of_labels(meta::labels(&namespace(request)));
    let quiet = policy.warn.level == Level::Privileged && policy.audit.level == Level::Privileged;
    if errors.is_empty() && quiet && (!is_pod || policy.enforce.level == Level::Privileged) {
        return Ok(());
    }
    if is_pod && request.action == Action::Update && request.old.is_some_and(|old| !changes_matter(object, old)) {
        return Ok(());
    }
    if !errors.is_empty() {
        let texts = coracle_control_api::go_text::aggregate(errors.iter().map(ToString::to_string));
        annotate(effects, "error", format!("Failed to parse policy: {texts}"));
    }
    judge(request, &policy, pod, is_pod, effects)
}

/// The namespace of the request; null when there is none, which another plugin refuses.
fn namespace(request: &Request<'_>) -> Value {
    let key = format!("/registry/core/namespaces/{}", request.call.namespace());
    let entry = request.snapshot.get(key.as_bytes());
    entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()).unwrap_or_default()
}

fn annotate(effects: &mut Effects, name: &str, text: String) {
    effects.audit_annotations.push((format!("{LABEL_PREFIX}{name}"), text));
}

/// Only pods are refused; of what makes pods people are told.
fn judge(
    request: &Request<'_>,
    policy: &Policy,
    pod: &Value,
    enforce: bool,
    effects: &mut Effects,
) -> Result<(), Status> {
    let null = Value::Null;
    let (metadata, spec) = (pod.get("metadata").unwrap_or(&null), pod.get("spec").unwrap_or(&null));
    let mut known: Vec<(LevelVersion, Verdict)> = Vec::new();
    let mut verdict = |level: LevelVersion| -> Verdict {
        if let Some((_, verdict)) = known.iter().find(|(judged, _)| *judged == level) {
            return verdict.clone();
        }
        known.push((level, level.judge(metadata, spec)));
        known.last().map(|(_, verdict)| verdict.clone()).unwrap_or_default()
    };
    let refused = enforce.then(|| verdict(policy.enforce)).filter(|verdict| !verdict.is_allowed());
    if enforce {
        annotate(effects, "enforce-policy", policy.enforce.to_string());
    }
    let audited = verdict(policy.audit);
    if !audited.is_allowed() {
        let text = format!("would violate PodSecurity \"{}\": {}", policy.audit, audited.details());
        annotate(effects, "audit-violations", text);
    }
    if let Some(verdict) = refused {
        return Err(request.forbid(&format!("violates PodSecurity \"{}\": {}", policy.enforce, verdict.details())));
    }
    let warned = verdict(policy.warn);
    if !warned.is_allowed() {
        effects.warnings.push(format!("would violate PodSecurity \"{}\": {}", policy.warn, warned.details()));
    }
    Ok(())
}

/// The labels must be right; who makes a namespace stricter is told of the pods that would not come in any more.
fn check_namespace(request: &Request<'_>, object: &Value, effects: &mut Effects) -> Result<(), Status> {
    let (new, errors) = Policy::of_labels(meta::labels(object));
    let invalid = || Status::invalid("", "Namespace", meta::name(object), &errors);
    let Some(old) = request.old.filter(|_| request.action == Action::Update) else {
        return if errors.is_empty() { Ok(()) } else { Err(invalid()) };
    };
    let (old, old_errors) = Policy::of_labels(meta::labels(old));
    if !errors.is_empty() && errors != old_errors {
        return Err(invalid());
    }
    let relaxed = new.enforce.version == old.enforce.version && new.enforce.level <= old.enforce.level;
    if new.enforce == old.enforce || new.enforce.level == Level::Privileged || relaxed {
        return Ok(());
    }
    let name = meta::name(object);
    let pods = request.snapshot.prefix(format!("/registry/core/pods/{name}/").as_bytes());
    let pods: Vec<Value> = pods.filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect();
    effects.warnings.extend(warnings_for_pods(name, new.enforce, &pods));
    Ok(())
}
