//! `/healthz`, `/livez`, `/readyz`: each check by its name, with `?verbose` and `?exclude=NAME` as upstream.

use std::time::Duration;

use axum::response::Response;
use futures::FutureExt as _;

use crate::answer::{page_not_found, text_answer};
use crate::call::Call;

/// The checks. The store answers under upstream's name for it, which is what monitoring asks for.
const CHECKS: &[&str] = &["ping", "log", "etcd"];
/// A check of `/readyz` alone: not while the server goes down.
const SHUTDOWN: &str = "shutdown";
/// How long the store may take to confirm that it is current.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn answer(call: &Call, parts: &[&str]) -> Response {
    let Some((endpoint, rest)) = parts.split_first() else { return page_not_found() };
    let mut checks = CHECKS.to_vec();
    if *endpoint == "readyz" {
        checks.push(SHUTDOWN);
    }
    match rest {
        [] => {}
        [name] if checks.contains(name) => checks = vec![name],
        _ => return page_not_found(),
    }
    let excluded: Vec<&str> = call.query.all("exclude").collect();
    let mut text = String::new();
    let mut failed = false;
    for check in checks {
        if excluded.contains(&check) {
            text.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if passes(call, check, endpoint).await {
            text.push_str(&format!("[+]{check} ok\n"));
        } else {
            failed = true;
            text.push_str(&format!("[-]{check} failed: reason withheld\n"));
        }
    }
    if failed {
        return text_answer(500, format!("{text}{endpoint} check failed\n"));
    }
    if call.query.get("verbose").is_some() {
        return text_answer(200, format!("{text}{endpoint} check passed\n"));
    }
    text_answer(200, "ok")
}

async fn passes(call: &Call, check: &str, endpoint: &str) -> bool {
    let store = &call.shared.store;
    match check {
        SHUTDOWN => !call.shared.shutdown.is_cancelled(),
        // A server that only waits for others (no leader) lives but is not ready.
        "etcd" if endpoint == "livez" => store.failed().now_or_never().is_none(),
        "etcd" => {
            let read = tokio::time::timeout(STORE_TIMEOUT, store.linearizable_snapshot());
            store.failed().now_or_never().is_none() && matches!(read.await, Ok(Ok(_)))
        }
        _ => true,
    }
}
