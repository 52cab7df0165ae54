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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// The revision of the first page; 0 when the pages need not agree any more.
    pub(crate) revision: u64,
    /// The last key that was listed, without the kind's prefix.
    pub(crate) after: String,
    /// How many objects were still to come, where that is known.
    pub(crate) remaining: Option<u64>,
}

/// A token as clients carry it: upstream's form, which is public there. What is added is `rest`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WrittenToken {
    #[serde(rename = "v")]
    version: String,
    /// -1 for any revision; 0 for a token that is none.
    #[serde(rename = "rv")]
    revision: i64,
    start: String,
    #[serde(rename = "rest", skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
}

/// The only version of tokens that there is.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";
/// What upstream puts behind the last key, to begin after it.
const AFTER: char = '\0';

impl ContinueToken {
    pub(crate) fn encode(&self) -> String {
        let written = WrittenToken {
            version: TOKEN_VERSION.to_owned(),
            revision: if self.revision == 0 { -1 } else { i64::try_from(self.revision).unwrap_or(i64::MAX) },
            start: format!("{}{AFTER}", self.after),
            remaining: self.remaining,
        };
        // Encoding two numbers and two texts to memory cannot fail.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let invalid =
            |what: &str| Status::bad_request(format!("invalid continue token: continue key is not valid{what}"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| invalid(&format!(": {error}")))?;
        let written: WrittenToken = serde_json::from_slice(&bytes).map_err(|error| invalid(&format!(": {error}")))?;
        if written.version != TOKEN_VERSION {
            return Err(invalid(&format!(": server does not recognize this encoded version {}", written.version)));
        }
        let revision = match written.revision {
            0 => return Err(invalid(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
            revision => u64::try_from(revision).unwrap_or(0),
        };
        if written.start.is_empty() {
            return Err(invalid(": encoded start key empty (version meta.k8s.io/v1)"));
        }
        let after = written.start.strip_suffix(AFTER).unwrap_or(&written.start).trim_start_matches('/');
        // The key is put behind a prefix and compared; it must not look as if it could lead anywhere else.
        if after.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid(&format!(": {}", written.start)));
        }
        Ok(Self { revision, after: after.to_owned(), remaining: written.remaining })
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
