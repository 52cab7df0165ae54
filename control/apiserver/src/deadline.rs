//! How long a request may take: as long as its client says, and no longer than the server allows.

use std::time::Duration;

use coracle_control_api::go_text;
use coracle_control_api::status::Status;

use crate::query::Query;

/// The time for a request that is no watch, log or proxied one. Nothing or zero means the longest time.
///
/// # Errors
/// 400 for a text that is no duration of Go's.
pub(crate) fn of(query: &Query, longest: Duration) -> Result<Duration, Status> {
    let Some(text) = query.get("timeout").filter(|text| !text.is_empty()) else { return Ok(longest) };
    let wanted = parse(text).map_err(|cause| {
        Status::bad_request(format!("invalid timeout specified in the request URL - time: {cause}"))
    })?;
    Ok(wanted.filter(|wanted| *wanted < longest).unwrap_or(longest))
}

/// Reads numbers with units: `1m30s`. `None` for what is not above zero.
fn parse(text: &str) -> Result<Option<Duration>, String> {
    let invalid = || format!("invalid duration {}", go_text::quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(None);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        seconds += number
            * match unit {
                "" => return Err(format!("missing unit in duration {}", go_text::quote(text))),
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => {
                    let (unit, text) = (go_text::quote(unit), go_text::quote(text));
                    return Err(format!("unknown unit {unit} in duration {text}"));
                }
            };
        rest = &rest[end..];
    }
    let wanted = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    Ok((!negative && !wanted.is_zero()).then_some(wanted))
}

#[cfg(test)]
mod tests;
