//! What a request asks for, read from its method, path and query as upstream's `RequestInfo` does.

use http::Method;

/// Paths below which the second segment is a verb (deprecated, but the documentation still has them).
const WATCH_PREFIX: &str = "watch";

/// Subresources of a namespace; any other segment there is a resource inside the namespace.
const NAMESPACE_SUBRESOURCES: &[&str] = &["status", "finalize"];

/// What a request asks for. Texts are empty where the path has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RequestInfo {
    /// Whether the path is one of a resource, and not of discovery, health and the like.
    pub(crate) is_resource: bool,
    /// The decoded path.
    pub(crate) path: String,
    /// get, list, watch, create, update, patch, delete, deletecollection, or the method for other paths.
    pub(crate) verb: &'static str,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource, for proxies: undecoded, without the leading slash.
    pub(crate) rest: String,
    /// The name for authorization: that of the path, or the only one that a field selector allows.
    pub(crate) authorized_name: String,
}

impl RequestInfo {
    /// Reads a request line. `query` is undecoded.
    pub(crate) fn new(method: &Method, path: &str, query: &str) -> Self {
        let mut info = Self { path: decode(path), verb: method_verb(method), ..Self::default() };
        let raw: Vec<&str> = path.trim_matches('/').split('/').collect();
        let parts: Vec<String> = raw.iter().map(|part| decode(part)).collect();
        // `/api/VERSION/...` and `/apis/GROUP/VERSION/...`; less than that is discovery.
        let consumed = match parts[0].as_str() {
            "api" if parts.len() > 2 => 2,
            "apis" if parts.len() > 3 => 3,
            _ => return info,
        };
        info.is_resource = true;
        if consumed == 3 {
            info.group.clone_from(&parts[1]);
        }
        info.version.clone_from(&parts[consumed - 1]);
        info.verb = resource_verb(method);
        let mut at = consumed;
        if parts[at] == WATCH_PREFIX && parts.len() > at + 1 {
            info.verb = "watch";
            at += 1;
        }
        if parts[at] == "namespaces"
            && let Some(namespace) = parts.get(at + 1)
        {
            info.namespace.clone_from(namespace);
            if parts.get(at + 2).is_some_and(|part| !NAMESPACE_SUBRESOURCES.contains(&part.as_str())) {
                at += 2;
            }
        }
        let part = |index: usize| parts.get(at + index).cloned().unwrap_or_default();
        (info.resource, info.name, info.subresource) = (part(0), part(1), part(2));
        info.rest = rest_of(path, at + 3);
        info.refine_verb(query);
        info
    }

    /// A get without a name is a list or a watch; a delete without a name is that of a collection.
    fn refine_verb(&mut self, query: &str) {
        self.authorized_name.clone_from(&self.name);
        if self.name.is_empty() {
            match self.verb {
                "get" if is_true(query_value(query, "watch").as_deref()) => self.verb = "watch",
                "get" => self.verb = "list",
                "delete" => self.verb = "deletecollection",
                _ => {}
            }
        }
        if matches!(self.verb, "list" | "watch" | "deletecollection")
            && self.name.is_empty()
            && let Some(selector) = query_value(query, "fieldSelector")
        {
            let mut names = selector.split(',').filter_map(|term| {
                let (label, value) = term.split_once("==").or_else(|| term.split_once('='))?;
                (label == "metadata.name").then_some(value)
            });
            self.authorized_name = names.next_back().unwrap_or_default().to_owned();
        }
    }
}

/// The path after its first `segments` segments, undecoded, with the trailing slash that it has.
fn rest_of(path: &str, segments: usize) -> String {
    let mut rest = path.trim_start_matches('/');
    for _ in 0..segments {
        match rest.split_once('/') {
            Some((_, after)) => rest = after,
            None => return String::new(),
        }
    }
    rest.to_owned()
}

/// Resolves percent signs; bytes that are not UTF-8 become replacement characters, which match nothing.
pub(crate) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The first value of a query parameter, decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query_pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The decoded pairs of a query.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

/// A boolean query parameter as upstream reads it: there and neither `0` nor `false` means true.
pub(crate) fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
}

fn method_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
