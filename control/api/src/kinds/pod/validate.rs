//! What is refused in a pod's spec: the frame, and the fields that belong to no other room.
//!
//! The parts: `validate_containers` (with `validate_environment`, `validate_handlers`, `validate_mounts`),
//! `validate_volumes` (with `validate_projected`), `validate_scheduling`, `validate_security`. Errors come in upstream's
//! order, with upstream's paths, which are not always where the field is; where a path looks odd, it is upstream's.

use serde_json::{Value, json};

use super::validate_containers::{self, Surroundings};
use super::{validate_environment, validate_scheduling, validate_security, validate_volumes};
use crate::kinds::fields::Fields;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::resources::{self, Asker, amount_of, amounts};
use crate::kinds::validation::{
    self, complain, dns_label, dns_subdomain, labels, one_of, one_of_if_set, qualified_name,
};
use crate::names;
use crate::status::{FieldError, FieldPath};

/// Most name servers of a pod, of which the resolver's library is the reason.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_BYTES_MAX: usize = 2048;
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whose spec it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// A pod, with its metadata.
    Pod(&'a Value),
    /// A template, from which pods will be made.
    Template,
}

/// A pod to be created.
pub(super) fn create(pod: &Value) -> Vec<FieldError> {
    let mut errors = whole(pod);
    let null = Value::Null;
    let spec = pod.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    if !spec.list("ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !spec.text("nodeName").is_empty() && !spec.list("schedulingGates").is_empty() {
        errors.push(FieldError::forbidden(
            path.child("nodeName"),
            "cannot be set until all schedulingGates have been cleared",
        ));
    }
    let metadata = pod.child("metadata").unwrap_or(&null);
    validate_security::annotations_match(&mut errors, &path, metadata, spec);
    errors
}

/// What every version of a pod must fulfil: annotations, spec, and what is asked of pods and not of templates.
pub(super) fn whole(pod: &Value) -> Vec<FieldError> {
    let null = Value::Null;
    let mut errors = Vec::new();
    let metadata = pod.child("metadata").unwrap_or(&null);
    let spec = pod.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    let meta_path = FieldPath::root("metadata");
    annotations(&mut errors, &meta_path.child("annotations"), metadata, spec);
    self::spec(&mut errors, &path, spec, Owner::Pod(metadata));
    if spec.text("serviceAccountName").is_empty() {
        tokens_need_an_account(&mut errors, &path, spec);
    }
    for list in ["containers", "initContainers"] {
        let path = path.child(list);
        for (index, container) in spec.list(list).iter().enumerate() {
            validate_containers::image_is_trimmed(&mut errors, &path.index(index), container);
        }
    }
    errors
}

/// A pod template, at the path of its object (`spec.template`).
pub(crate) fn template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, template: &Value) {
    let null = Value::Null;
    let metadata = template.child("metadata").unwrap_or(&null);
    let spec = template.child("spec").unwrap_or(&null);
    labels::labels(errors, &path.child("labels"), metadata.map("labels"));
    let annotations_path = path.child("annotations");
    labels::annotations(errors, &annotations_path, metadata.map("annotations"));
    annotations(errors, &annotations_path, metadata, spec);
    let spec_path = path.child("spec");
    self::spec(errors, &spec_path, spec, Owner::Template);
    validate_security::annotations_match(errors, &spec_path, metadata, spec);
    if !spec.list("ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(
            spec_path.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

/// The annotations that mean something in a pod.
fn annotations(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, metadata: &Value, spec: &Value) {
    let Some(annotations) = metadata.child("annotations") else { return };
    if let Some(mirror) = annotations.text_if_set(MIRROR)
        && spec.text("nodeName").is_empty()
    {
        errors.push(FieldError::invalid(
            path.key(MIRROR),
            mirror,
            "must set spec.nodeName if mirror pod annotation is set",
        ));
    }
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(cost) = annotations.text_if_set(COST) {
        let canonical = cost == "0" || !cost.starts_with(['+', '0']) && !cost.starts_with("-0");
        if !canonical || cost.parse::<i32>().is_err() {
            errors.push(FieldError::invalid(path.key(COST), cost, "must be a 32bit integer"));
        }
    }
    validate_security::annotations(errors, path, annotations, spec);
}

/// Whether the pod was made from a file on its node; such a pod is only mirrored here.
pub(super) fn is_mirror(pod: &Value) -> bool {
    pod.at(&["metadata", "annotations", MIRROR]).is_some()
}

/// A pod spec, wherever it stands.
pub(crate) fn spec(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, owner: Owner<'_>) {
    let grace_seconds = spec.int("terminationGracePeriodSeconds");
    if grace_seconds.is_none() {
        errors.push(FieldError::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    let volumes = validate_volumes::volumes(errors, &path.child("volumes"), spec.list("volumes"), owner);
    let claims = resource_claims(errors, &path.child("resourceClaims"), spec.list("resourceClaims"), owner);
    let surroundings = Surroundings {
        spec,
        volumes: &volumes,
        claims: &claims,
        grace_seconds,
        host_users: spec.flag("hostUsers").unwrap_or(true),
    };
    validate_containers::regular(errors, &path.child("containers"), &surroundings);
    validate_containers::initial(errors, &path.child("initContainers"), &surroundings);
    validate_containers::ephemeral(errors, &path.child("ephemeralContainers"), &surroundings);
    pod_resources(errors, path, spec, &claims);
    host_network_ports(errors, path, spec, owner);
    policies(errors, path, spec);
    labels::labels(errors, &path.child("nodeSelector"), spec.map("nodeSelector"));
    validate_security::pod(errors, path, spec);
    image_pull_secrets(errors, &path.child("imagePullSecrets"), spec.list("imagePullSecrets"));
    validate_scheduling::affinity(errors, &path.child("affinity"), spec.child("affinity"));
    dns_config(errors, &path.child("dnsConfig"), spec);
    readiness_gates(errors, &path.child("readinessGates"), spec.list("readinessGates"));
    validate_scheduling::gates(errors, &path.child("schedulingGates"), spec.list("schedulingGates"));
    validate_scheduling::spread(
        errors,
        &path.child("topologySpreadConstraints"),
        spec.list("topologySpreadConstraints"),
    );
    validate_security::host_processes(errors, path, spec);
    validate_security::host_users(errors, path, spec);
    simple_fields(errors, path, spec);
    if let Some(overhead) = spec.child("overhead") {
        let limits = json!({ "limits": overhead });
        resources::requirements(errors, &path.child("overhead"), Some(&limits), Asker::Container, &[]);
    }
    operating_system(errors, path, spec);
    validate_environment::file_references(errors, path, spec);
}

fn policies(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    one_of(errors, &path.child("restartPolicy"), spec.text("restartPolicy"), &["Always", "OnFailure", "Never"]);
    const DNS: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, &path.child("dnsPolicy"), spec.text("dnsPolicy"), DNS);
}

fn simple_fields(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    for field in ["serviceAccountName", "nodeName"] {
        name(errors, &path.child(field), spec.text(field));
    }
    if let Some(seconds) = spec.int("activeDeadlineSeconds") {
        let seconds_max = i64::from(i32::MAX);
        if !(1..=seconds_max).contains(&seconds) {
            let detail = names::out_of_range(1, seconds_max);
            errors.push(FieldError::invalid(path.child("activeDeadlineSeconds"), seconds, detail));
        }
    }
    for field in ["hostname", "subdomain"] {
        if !spec.text(field).is_empty() {
            dns_label(errors, &path.child(field), spec.text(field));
        }
    }
    validate_scheduling::tolerations(errors, &path.child("tolerations"), spec.list("tolerations"));
    host_aliases(errors, &path.child("hostAliases"), spec.list("hostAliases"));
    name(errors, &path.child("priorityClassName"), spec.text("priorityClassName"));
    if let Some(class) = spec.text_if_set("runtimeClassName") {
        complain(errors, &path.child("runtimeClassName"), class, NameRule::Subdomain.complaints(class, false));
    }
    if let Some(policy) = spec.text_if_set("preemptionPolicy") {
        one_of(errors, &path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}

/// The name of another object, if there is one.
fn name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if !name.is_empty() {
        complain(errors, path, name, NameRule::Subdomain.complaints(name, false));
    }
}

fn tokens_need_an_account(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let path = path.child("volumes");
    for (index, volume) in spec.list("volumes").iter().enumerate() {
        let path = path.index(index);
        let path = path.child("projected.sources");
        let sources = volume.child("projected").map(|projected| projected.list("sources")).unwrap_or_default();
        for (index, source) in sources.iter().enumerate() {
            if source.has("serviceAccountToken") {
                errors.push(FieldError::forbidden(
                    path.index(index).child("serviceAccountToken"),
                    "must not be specified when serviceAccountName is not set",
                ));
            }
        }
    }
}

/// Claims on devices; returns their names.
fn resource_claims<'a>(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    claims: &'a [Value],
    owner: Owner<'_>,
) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        if let Owner::Pod(metadata) = owner
            && metadata.at(&["annotations", MIRROR]).is_some()
        {
            errors.push(FieldError::forbidden("[]", "static pods do not support resource claims"));
            continue;
        }
        let name = claim.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        } else {
            dns_label(errors, &path.child("name"), name);
            seen.push(name);
        }
        let references = ["resourceClaimName", "resourceClaimTemplateName"];
        match references.iter().filter(|field| claim.has(field)).count() {
            0 => errors.push(FieldError::invalid(
                path,
                claim.clone(),
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            )),
            1 => {}
            _ => errors.push(FieldError::invalid(
                path,
                claim.clone(),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            )),
        }
        for field in references {
            if let Some(name) = claim.text_if_set(field) {
                dns_subdomain(errors, &path.child(field), name);
            }
        }
    }
    seen.sort_unstable();
    seen
}

/// Resources of the pod as a whole, and how they fit those of its containers.
fn pod_resources(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, claims: &[&str]) {
    let Some(requirements) = spec.child("resources") else { return };
    let path = path.child("resources");
    if spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows") {
        errors.push(FieldError::forbidden(path, "may not be set for a windows pod"));
        return;
    }
    if requirements.has("claims") {
        errors.push(FieldError::forbidden(path.child("claims"), "claims may not be set for Resources at pod-level"));
    }
    resources::requirements(errors, &path, Some(requirements), Asker::Pod, claims);
    let requests_path = path.child("requests");
    for (name, sum) in super::quality::requests_of_containers(spec) {
        if let Some(request) = amount_of(requirements.child("requests"), &name).filter(|request| sum > *request) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(requests_path.key(&name), request.to_string(), detail));
        }
    }
    let limits_path = path.child("limits");
    for (name, sum) in super::quality::limits_of_containers(spec) {
        let limit = amount_of(requirements.child("limits"), &name).filter(|limit| sum > *limit);
        if let Some(limit) = limit.filter(|_| resources::is_huge_page(&name)) {
            let detail = format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.push(FieldError::invalid(limits_path.key(&name), limit.to_string(), detail));
        }
    }
    let containers_path = path.child("containers");
    for (index, container) in spec.list("containers").iter().enumerate() {
        let path = containers_path.index(index);
        let limits = container.child("resources").and_then(|resources| resources.child("limits"));
        for (name, limit) in amounts(limits) {
            if let Some(whole) = amount_of(requirements.child("limits"), name).filter(|whole| limit > *whole) {
                let detail = format!("must be less than or equal to pod limits of {whole}");
                errors.push(FieldError::invalid(path.key(name).child("limits"), limit.to_string(), detail));
            }
        }
    }
}

fn host_network_ports(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, owner: Owner<'_>) {
    if !spec.is_true("hostNetwork") {
        return;
    }
    let path = path.child("containers");
    for (index, container) in spec.list("containers").iter().enumerate() {
        let path = path.index(index);
        let path = path.child("ports");
        for (index, port) in container.list("ports").iter().enumerate() {
            let (host, own) = (port.int("hostPort").unwrap_or(0), port.int("containerPort").unwrap_or(0));
            // In a template an unset port will be filled in when the pod is made.
            if host != own && (host != 0 || owner != Owner::Template) {
                errors.push(FieldError::invalid(
                    path.index(index).child("hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

fn image_pull_secrets(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, secrets: &[Value]) {
    for (index, secret) in secrets.iter().enumerate() {
        if secret.as_object().is_some_and(|secret| secret.keys().any(|key| key != "name")) {
            errors.push(FieldError::invalid(path.index(index), secret.clone(), "only name may be set"));
        }
    }
}

fn dns_config(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let none = spec.text("dnsPolicy") == "None";
    let Some(config) = spec.child("dnsConfig") else {
        if none {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return;
    };
    let servers = config.texts("nameservers");
    let servers_path = path.child("nameservers");
    if none && servers.is_empty() {
        errors.push(FieldError::required(
            servers_path,
            "must provide at least one DNS nameserver when `dnsPolicy` is None",
        ));
        return;
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(servers_path, json!(servers), detail));
    }
    for (index, server) in servers.iter().enumerate() {
        validation::ip(errors, &servers_path.index(index), server);
    }
    dns_searches(errors, &path.child("searches"), &config.texts("searches"));
    let options_path = path.child("options");
    for (index, option) in config.list("options").iter().enumerate() {
        if option.text("name").is_empty() {
            errors.push(FieldError::required(options_path.index(index), "must not be empty"));
        }
    }
}

fn dns_searches(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, searches: &[&str]) {
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(path, json!(searches), detail));
    }
    if searches.join(" ").len() > SEARCHES_BYTES_MAX {
        let detail =
            format!("must not have more than {SEARCHES_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(path, json!(searches), detail));
    }
    for (index, search) in searches.iter().enumerate() {
        if *search != "." {
            let search = search.strip_suffix('.').unwrap_or(search);
            complain(errors, &path.index(index), search, validation::subdomain_with_underscore(search));
        }
    }
}

fn readiness_gates(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, gates: &[Value]) {
    for (index, gate) in gates.iter().enumerate() {
        qualified_name(errors, &path.index(index).child("conditionType"), gate.text("conditionType"));
    }
}

fn host_aliases(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, aliases: &[Value]) {
    for (index, alias) in aliases.iter().enumerate() {
        let path = path.index(index);
        validation::ip(errors, &path.child("ip"), alias.text("ip"));
        let names_path = path.child("hostnames");
        for (index, name) in alias.texts("hostnames").into_iter().enumerate() {
            dns_subdomain(errors, &names_path.index(index), name);
        }
    }
}

fn operating_system(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let Some(os) = spec.child("os") else { return };
    let os_path = path.child("os");
    match os.text("name") {
        "" => errors.push(FieldError::required(os_path.child("name"), "")),
        "linux" => validate_security::no_windows_options(errors, path, spec),
        "windows" => validate_security::only_windows_options(errors, path, spec),
        other => one_of_if_set(errors, &os_path, Some(other), &["linux", "windows"]),
    }
}
