use serde_json::json;

use super::*;

fn at(level: Level, version: Version) -> LevelVersion {
    LevelVersion { level, version }
}

/// What a level at a version says of a pod with this spec.
fn said(level: Level, version: Version, spec: &Value) -> String {
    at(level, version).judge(&json!({"annotations": {}}), spec).details()
}

fn restricted(spec: &Value) -> String {
    said(Level::Restricted, Version::Latest, spec)
}

fn baseline(spec: &Value) -> String {
    said(Level::Baseline, Version::Latest, spec)
}

fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "a",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}

#[test]
fn a_plain_pod_violates_the_restricted_level_in_upstreams_words() {
    assert_eq!(
        restricted(&json!({"containers": [{"name": "c"}]})),
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")"
    );
    assert_eq!(restricted(&hardened()), "");
    assert_eq!(baseline(&json!({"containers": [{"name": "c"}]})), "");
}

#[test]
fn the_baseline_says_what_is_forbidden_and_where() {
    let spec = json!({
        "hostNetwork": true, "hostIPC": true,
        "securityContext": {
            "sysctls": [{"name": "kernel.msgmax"}], "windowsOptions": {"hostProcess": true},
            "seLinuxOptions": {"user": "u"}, "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "initContainers": [{"name": "a", "ports": [{"hostPort": 90}, {"hostPort": 0}]}],
        "containers": [
            {"name": "b", "ports": [{"hostPort": 8080}], "livenessProbe": {"httpGet": {"host": "h"}},
             "securityContext": {"privileged": true, "procMount": "Unmasked", "capabilities": {"add": ["NET_RAW"]},
                                 "seLinuxOptions": {"type": "x_t"}}},
        ],
    });
    let expected = [
        "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")",
        "non-default capabilities (container \"b\" must not include \"NET_RAW\" in securityContext.capabilities.add)",
        "host namespaces (hostNetwork=true, hostIPC=true)",
        "hostPath volumes (volume \"v\")",
        "hostPort (containers \"a\", \"b\" use hostPorts 8080, 90)",
        "probe or lifecycle host (container \"b\" uses probe or lifecycle host \"h\")",
        "privileged (container \"b\" must not set securityContext.privileged=true)",
        "procMount (container \"b\" must not set securityContext.procMount to \"Unmasked\")",
        "seLinuxOptions (pod and container \"b\" set forbidden securityContext.seLinuxOptions: type \"x_t\"; user may \
         not be set)",
        "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        "forbidden sysctls (kernel.msgmax)",
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ];
    assert_eq!(baseline(&spec), expected.join(", "));
    let without_probes: Vec<&str> = expected.into_iter().filter(|text| !text.starts_with("probe")).collect();
    assert_eq!(said(Level::Baseline, Version::Minor(33), &spec), without_probes.join(", "));
}

#[test]
fn versions_differ_where_the_standards_changed() {
    let plain = json!({"containers": [{"name": "c"}]});
    let of = |minor| said(Level::Restricted, Version::Minor(minor), &plain);
    let only_user = "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)";
    assert_eq!(of(7), only_user);
    assert!(of(8).starts_with("allowPrivilegeEscalation") && !of(18).contains("seccomp"));
    assert!(of(19).contains("seccompProfile") && !of(21).contains("unrestricted capabilities"));
    assert!(of(22).contains("unrestricted capabilities"));
    assert_eq!(of(99), restricted(&plain));
    let windows = json!({"os": {"name": "windows"}, "containers": [{"name": "c"}]});
    assert!(said(Level::Restricted, Version::Minor(24), &windows).contains("capabilities"));
    assert_eq!(restricted(&windows), only_user);
    let root = json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 0}});
    assert_eq!(said(Level::Restricted, Version::Minor(22), &root), "");
    assert_eq!(restricted(&root), "runAsUser=0 (pod must not set runAsUser=0)");
    for (minor, name) in
        [(27, "net.ipv4.ip_local_reserved_ports"), (29, "net.ipv4.tcp_fin_timeout"), (32, "net.ipv4.tcp_rmem")]
    {
        let spec = json!({"securityContext": {"sysctls": [{"name": name}]}});
        let text = format!("forbidden sysctls ({name})");
        assert_eq!(said(Level::Baseline, Version::Minor(minor - 1), &spec), text);
        assert_eq!(said(Level::Baseline, Version::Minor(minor), &spec), "");
    }
}

#[test]
fn old_versions_look_at_annotations() {
    let metadata = json!({"annotations": {
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.seccomp.security.alpha.kubernetes.io/c": "localhost/x",
        "container.apparmor.security.beta.kubernetes.io/c": "unconfined",
    }});
    let spec = json!({"containers": [{"name": "c"}]});
    let text = |minor| at(Level::Baseline, Version::Minor(minor)).judge(&metadata, &spec).details();
    let app_armor = "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
                     \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")";
    assert_eq!(text(19), app_armor);
    let seccomp = "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")";
    assert_eq!(text(18), format!("{app_armor}, {seccomp}"));
}

#[test]
fn restricted_volumes_and_explicit_refusals_are_named() {
    let mut spec = hardened();
    spec["volumes"] = json!([
        {"name": "a", "hostPath": {}}, {"name": "b", "nfs": {}}, {"name": "c", "emptyDir": {}}, {"name": "d"},
    ]);
    assert_eq!(
        restricted(&spec),
        "restricted volume types (volumes \"a\", \"b\", \"d\" use restricted volume types \"hostPath\", \"nfs\", \
         \"unknown\")"
    );
    let mut spec = hardened();
    spec["containers"][0]["securityContext"]["runAsNonRoot"] = json!(false);
    spec["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_BIND_SERVICE", "SYS_TIME"]);
    assert_eq!(
        restricted(&spec),
        "unrestricted capabilities (container \"a\" must not include \"SYS_TIME\" in securityContext.capabilities.add), \
         runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false)"
    );
}

#[test]
fn labels_spell_the_policy_and_wrong_ones_are_complained_of() {
    let (policy, errors) = Policy::of_labels(None);
    assert!(policy.is_privileged() && errors.is_empty());
    let labels = json!({
        "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.20",
    });
    let (policy, errors) = Policy::of_labels(labels.as_object());
    assert!(errors.is_empty());
    assert_eq!(policy.enforce.to_string(), "baseline:v1.20");
    assert_eq!((policy.warn, policy.audit.level), (policy.enforce, Level::Privileged));
    let labels = json!({
        "pod-security.kubernetes.io/enforce": "x", "pod-security.kubernetes.io/warn-version": "v1.01",
        "pod-security.kubernetes.io/audit": "restricted",
    });
    let (policy, errors) = Policy::of_labels(labels.as_object());
    assert_eq!((policy.enforce.level, policy.warn.level), (Level::Restricted, Level::Privileged));
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"x\": must be one of privileged, \
             baseline, restricted",
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"v1.01\": must be \"latest\" or \
             \"v1.x\"",
        ]
    );
}

#[test]
fn pods_that_are_there_are_counted_by_what_is_wrong_with_them() {
    let pod = |name: &str, network: bool| json!({"metadata": {"name": name}, "spec": {"hostNetwork": network}});
    let pods = [pod("a", true), pod("b", false), pod("c", true), pod("d", true)];
    let level = at(Level::Baseline, Version::Latest);
    assert_eq!(
        warnings_for_pods("n", level, &pods),
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 2 other pods): host namespaces",
        ]
    );
    assert!(warnings_for_pods("n", level, &pods[1..2]).is_empty());
}

#[test]
fn only_images_and_new_containers_matter_in_an_update() {
    let old = json!({"spec": {"containers": [{"name": "a", "image": "i"}]}});
    let mut new = old.clone();
    new["metadata"] = json!({"labels": {"a": "b"}});
    assert!(!changes_matter(&new, &old));
    new["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "i"}]);
    assert!(changes_matter(&new, &old));
    new = old.clone();
    new["spec"]["containers"][0]["image"] = json!("j");
    assert!(changes_matter(&new, &old));
}

#[test]
fn no_json_makes_a_check_panic() {
    for spec in [json!(null), json!([]), json!({"containers": 5, "volumes": [1, "a"], "securityContext": [{}]})] {
        let _ = at(Level::Restricted, Version::Minor(0)).judge(&spec, &spec);
        let _ = restricted(&spec);
        let _ = warnings_for_pods("n", at(Level::Restricted, Version::Latest), &[spec]);
    }
}
