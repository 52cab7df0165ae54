//! Which headers go through a proxy.

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

/// Headers that are about one connection (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what is about one connection, and what `Connection` names besides.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let lines = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// A client's headers without what proves or says who the client is, and without what is about its connection; an upgrade
/// goes through.
pub(crate) fn passed_headers(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let mut passed = headers.clone();
    let upgrade = headers.get(UPGRADE).filter(|_| upgrades).cloned();
    remove_hop_by_hop(&mut passed);
    passed.remove(AUTHORIZATION);
    passed.remove(HOST);
    let about_user: Vec<HeaderName> = passed
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-") || name.as_str().starts_with("x-remote-"))
        .cloned()
        .collect();
    for name in about_user {
        passed.remove(name);
    }
    if let Some(upgrade) = upgrade {
        passed.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        passed.insert(UPGRADE, upgrade);
    }
    passed
}

/// Says what the client asked for: the whole path, and the part of it that leads to the other side.
pub(crate) fn append_forwarded(headers: &mut HeaderMap, path: &str, prefix: &str) {
    for (name, value) in [("x-forwarded-uri", path), ("x-forwarded-prefix", prefix)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}
