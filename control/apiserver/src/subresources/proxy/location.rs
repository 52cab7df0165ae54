//! Redirects of a server behind the proxy.

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue};

/// Makes a redirect to another path of the server lead there through the proxy. A redirect to somebody else, or one that
/// is relative to the page, stays.
pub(super) fn rewrite(headers: &mut HeaderMap, prefix: &str, own_host: &str, server: &str) {
    let Some(text) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
    if let Some(new) = rewritten(text, prefix, own_host, server)
        && let Ok(value) = HeaderValue::from_str(&new)
    {
        headers.insert(LOCATION, value);
    }
}

/// The new text, if it changes.
fn rewritten(text: &str, prefix: &str, own_host: &str, server: &str) -> Option<String> {
    let after_scheme = text.split_once("://").filter(|(scheme, _)| !scheme.contains('/')).map(|(_, rest)| rest);
    let (host, path) = match after_scheme.or_else(|| text.strip_prefix("//")) {
        None => ("", text),
        Some(rest) => rest.find('/').map_or((rest, ""), |start| rest.split_at(start)),
    };
    let is_elsewhere = !host.is_empty() && host != server && host != own_host;
    if is_elsewhere || !path.starts_with('/') {
        return None;
    }
    // Where the server has used the host of the request, it stays, as upstream.
    let start = if host.is_empty() || host == server { "" } else { &text[..text.len() - path.len()] };
    if path.starts_with(prefix) {
        return Some(format!("{start}{path}"));
    }
    Some(format!("{start}{prefix}{path}"))
}

#[cfg(test)]
mod tests;
