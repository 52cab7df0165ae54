//! The options of a list or a watch, and which combinations are allowed (KEP-2340, upstream's `ValidateListOptions`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_control_api::status::{FieldError, Status};
use serde::{Deserialize, Serialize};

use crate::query::Query;

/// Which state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// None was named: the latest.
    Latest,
    /// `0`: any state will do.
    Any,
    /// This one or a later one.
    AtLeast(u64),
    /// This one.
    Exact(u64),
}

/// Options that lists, watches and collection deletes share.
#[derive(Debug, Clone)]
pub(crate) struct ListOptions {
    pub(crate) version: Version,
    /// Of at least 1, when there is one.
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<ContinueToken>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
}

/// Where the next page of a list begins. Clients pass it back as they got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinueToken {
    /// The revision of the first page; 0 when the pages need not agree any more.
    #[serde(rename = "rv")]
    pub(crate) revision: u64,
    /// The last key that was listed, without the kind's prefix.
    #[serde(rename = "start")]
    pub(crate) after: String,
    /// How many objects were still to come, where that is known.
    #[serde(rename = "rest", default, skip_serializing_if = "Option::is_none")]
    pub(crate) remaining: Option<u64>,
}

impl ContinueToken {
    pub(crate) fn encode(&self) -> String {
        // Encoding two numbers and a text to memory cannot fail.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let token: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        token.ok_or_else(|| Status::bad_request(format!("continue key is not valid: {text:.100}")))
    }
}

impl ListOptions {
    /// Reads the options of a list (`is_watch` false) or a watch.
    ///
    /// # Errors
    /// 400 for values that cannot be read, 422 for combinations that are not allowed.
    pub(crate) fn parse(query: &Query, is_watch: bool) -> Result<Self, Status> {
        let version_text = query.text("resourceVersion");
        let match_text = query.text("resourceVersionMatch");
        let continue_text = query.text("continue");
        let send_initial_events = query.get("sendInitialEvents").map(|_| query.is_true("sendInitialEvents"));
        let errors = if is_watch {
            watch_errors(match_text, continue_text, send_initial_events)
        } else {
            list_errors(version_text, match_text, continue_text, send_initial_events)
        };
        if !errors.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
        }
        let version = match (parse_version(version_text)?, match_text) {
            (None, _) => Version::Latest,
            (Some(0), _) => Version::Any,
            (Some(revision), "Exact") => Version::Exact(revision),
            (Some(revision), _) => Version::AtLeast(revision),
        };
        let continue_token = match continue_text {
            "" => None,
            text => Some(ContinueToken::decode(text)?),
        };
        if continue_token.is_some() && !matches!(version, Version::Latest | Version::Any) {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let limit = parse_number(query, "limit")?.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self {
            version,
            limit: limit.filter(|limit| *limit > 0),
            continue_token,
            timeout: parse_number(query, "timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            allow_bookmarks: query.is_true("allowWatchBookmarks"),
            send_initial_events,
        })
    }
}

fn watch_errors(match_text: &str, continue_text: &str, send_initial_events: Option<bool>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut forbid = |text: &str| errors.push(FieldError::forbidden("resourceVersionMatch", text));
    if send_initial_events.is_some() && match_text != "NotOlderThan" {
        forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if match_text.is_empty() {
        return errors;
    }
    if send_initial_events.is_none() {
        forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if !continue_text.is_empty() {
        forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if match_text != "NotOlderThan" {
        errors.push(FieldError::not_supported("resourceVersionMatch", match_text, ["NotOlderThan"]));
    }
    errors
}

fn list_errors(
    version_text: &str,
    match_text: &str,
    continue_text: &str,
    send_initial_events: Option<bool>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if send_initial_events.is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if match_text.is_empty() {
        return errors;
    }
    let mut forbid = |text: &str| errors.push(FieldError::forbidden("resourceVersionMatch", text));
    if version_text.is_empty() {
        forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if !continue_text.is_empty() {
        forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if match_text == "Exact" && version_text == "0" {
        forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    if !matches!(match_text, "Exact" | "NotOlderThan") {
        errors.push(FieldError::not_supported("resourceVersionMatch", match_text, ["Exact", "NotOlderThan", ""]));
    }
    errors
}

/// A resource version as clients send it; `None` when there is none.
pub(crate) fn parse_version(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

fn parse_number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    match query.text(name) {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
    }
}

#[cfg(test)]
mod tests;
