//! `/healthz`, `/livez`, `/readyz`: each check by its name, with `?verbose` and `?exclude=NAME` as upstream.

use std::time::Duration;

use axum::response::Response;
use futures::FutureExt as _;

use crate::answer::{page_not_found, text_answer};
use crate::call::Call;

/// Checks of all three endpoints, under upstream's names where what they ask means the same here; monitoring asks by name.
const CHECKS: &[&str] = &["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles"];
/// Checks of `/readyz` alone: the store's index is what upstream's informers are, and nothing is ready that goes down.
const READY_CHECKS: &[&str] = &["etcd-readiness", "informer-sync", "shutdown"];
/// The store's keys of the roles.
const ROLES: &[u8] = b"/registry/rbac.authorization.k8s.io/clusterroles/";
/// How long the store may take to confirm that it is current.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

fn checks_of(endpoint: &str) -> Vec<&'static str> {
    match endpoint {
        "readyz" => [CHECKS, READY_CHECKS].concat(),
        _ => CHECKS.to_vec(),
    }
}

/// The paths of the endpoints and their checks.
pub(super) fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{endpoint}"));
        paths.extend(checks_of(endpoint).iter().map(|check| format!("/{endpoint}/{check}")));
    }
    paths
}

pub(super) async fn answer(call: &Call, endpoint: &str) -> Response {
    let path = call.info.path.trim_matches('/');
    let wanted = path.strip_prefix(endpoint).unwrap_or_default().trim_start_matches('/');
    let mut checks = checks_of(endpoint);
    if !wanted.is_empty() {
        checks.retain(|check| *check == wanted);
        if checks.is_empty() {
            return page_not_found();
        }
    }
    let excluded: Vec<&str> = call.query.all("exclude").collect();
    let mut text = String::new();
    let mut failed = Vec::new();
    for check in &checks {
        if wanted.is_empty() && excluded.contains(check) {
            text.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if passes(call, check, endpoint).await {
            text.push_str(&format!("[+]{check} ok\n"));
        } else {
            failed.push(*check);
            text.push_str(&format!("[-]{check} failed: reason withheld\n"));
        }
    }
    let unknown: Vec<String> =
        excluded.iter().filter(|name| !checks.contains(name)).map(|name| format!("{name:?}")).collect();
    if wanted.is_empty() && !unknown.is_empty() {
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {}\n", unknown.join(",")));
    }
    if !failed.is_empty() {
        tracing::info!(endpoint, ?failed, "a health check failed");
        return text_answer(500, format!("{text}{endpoint} check failed\n"));
    }
    // A check by its own path says little whatever is asked, as upstream.
    if call.query.get("verbose").is_some() && wanted.is_empty() {
        return text_answer(200, format!("{text}{endpoint} check passed\n"));
    }
    text_answer(200, "ok")
}

async fn passes(call: &Call, check: &str, endpoint: &str) -> bool {
    let store = &call.shared.store;
    match check {
        "shutdown" => !call.shared.shutdown.is_cancelled(),
        // A server that only waits for others (no leader) lives but is not ready.
        "etcd" if endpoint != "readyz" => store.failed().now_or_never().is_none(),
        "etcd" | "etcd-readiness" => {
            let read = tokio::time::timeout(STORE_TIMEOUT, store.linearizable_snapshot());
            store.failed().now_or_never().is_none() && matches!(read.await, Ok(Ok(_)))
        }
        "informer-sync" => store.revision() > 0,
        // Without its first objects a server refuses everybody.
        "poststarthook/rbac/bootstrap-roles" => store.snapshot().prefix(ROLES).next().is_some(),
        _ => true,
    }
}
