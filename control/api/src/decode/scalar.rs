//! Scalars that upstream reads with code of their own: times, base64, amounts.

use crate::{go_text, meta, quantity};
use base64::Engine as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A time in the form that upstream writes: UTC, whole seconds (or six digits of them with `micro`).
///
/// # Errors
/// Go's sentence when the text does not follow RFC 3339.
pub(super) fn time(text: &str, micro: bool) -> Result<String, String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let time = parse_time(text, micro).map_err(|error| match error {
        TimeError::Part(rest, part) => format!(
            "parsing time {} as {}: cannot parse {} as {}",
            go_text::quote(text),
            go_text::quote(layout),
            go_text::quote(rest),
            go_text::quote(part)
        ),
        TimeError::Range(what) => format!("parsing time {}: {what} out of range", go_text::quote(text)),
        TimeError::Extra(rest) => {
            format!("parsing time {}: extra text: {}", go_text::quote(text), go_text::quote(rest))
        }
    })?;
    Ok(if micro { meta::format_micro_time(time) } else { meta::format_time(time) })
}

enum TimeError<'a> {
    Part(&'a str, &'static str),
    Range(&'static str),
    Extra(&'a str),
}

/// Takes `count` digits from the front.
fn digits<'a>(rest: &mut &'a str, count: usize, part: &'static str) -> Result<i16, TimeError<'a>> {
    let taken = rest.get(..count).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = taken.and_then(|text| text.parse().ok()).ok_or(TimeError::Part(rest, part))?;
    *rest = &rest[count..];
    Ok(number)
}

fn sign<'a>(rest: &mut &'a str, sign: &'static str) -> Result<(), TimeError<'a>> {
    *rest = rest.strip_prefix(sign).ok_or(TimeError::Part(rest, sign))?;
    Ok(())
}

fn in_range<'a>(number: i16, low: i16, high: i16, what: &'static str) -> Result<i8, TimeError<'a>> {
    if number < low || number > high {
        return Err(TimeError::Range(what));
    }
    i8::try_from(number).map_err(|_| TimeError::Range(what))
}

fn parse_time(text: &str, micro: bool) -> Result<Timestamp, TimeError<'_>> {
    let rest = &mut &*text;
    let year = digits(rest, 4, "2006")?;
    sign(rest, "-")?;
    let month = digits(rest, 2, "01")?;
    let month = in_range(month, 1, 12, "month")?;
    sign(rest, "-")?;
    let day = digits(rest, 2, "02")?;
    sign(rest, "T")?;
    let hour = digits(rest, 2, "15")?;
    let hour = in_range(hour, 0, 23, "hour")?;
    sign(rest, ":")?;
    let minute = digits(rest, 2, "04")?;
    let minute = in_range(minute, 0, 59, "minute")?;
    sign(rest, ":")?;
    let second = digits(rest, 2, "05")?;
    let second = in_range(second, 0, 59, "second")?;
    let nanosecond = fraction(rest, micro)?;
    let offset_seconds = offset(rest)?;
    if !rest.is_empty() {
        return Err(TimeError::Extra(rest));
    }
    let day = i8::try_from(day).map_err(|_| TimeError::Range("day"))?;
    let civil = DateTime::new(year, month, day, hour, minute, second, nanosecond);
    let civil = civil.map_err(|_| TimeError::Range("day"))?;
    let offset = Offset::from_seconds(offset_seconds).map_err(|_| TimeError::Range("time zone offset hour"))?;
    let zoned = civil.to_zoned(TimeZone::fixed(offset)).map_err(|_| TimeError::Range("year"))?;
    Ok(zoned.timestamp())
}

/// Nanoseconds of a fraction. It may stand anywhere in Go; with the micro layout it must be there.
fn fraction<'a>(rest: &mut &'a str, required: bool) -> Result<i32, TimeError<'a>> {
    let after = rest.strip_prefix(['.', ',']);
    let count = after.map_or(0, |text| text.bytes().take_while(u8::is_ascii_digit).count());
    let (Some(after), true) = (after, count > 0) else {
        return if required { Err(TimeError::Part(rest, ".000000")) } else { Ok(0) };
    };
    if required && count != 6 {
        return Err(TimeError::Part(rest, ".000000"));
    }
    let mut nanoseconds = 0;
    for index in 0..9 {
        let digit = after.as_bytes().get(index).filter(|_| index < count).map_or(0, |byte| i32::from(byte - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    *rest = &after[count..];
    Ok(nanoseconds)
}

fn offset<'a>(rest: &mut &'a str) -> Result<i32, TimeError<'a>> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Ok(0);
    }
    let whole: &'a str = rest;
    let wrong = || TimeError::Part(whole, "Z07:00");
    let negative = whole.starts_with('-');
    *rest = whole.strip_prefix(['+', '-']).ok_or_else(wrong)?;
    let hours = digits(rest, 2, "Z07:00").map_err(|_| wrong())?;
    sign(rest, ":").map_err(|_| wrong())?;
    let minutes = digits(rest, 2, "Z07:00").map_err(|_| wrong())?;
    let hours = in_range(hours, 0, 24, "time zone offset hour")?;
    let minutes = in_range(minutes, 0, 59, "time zone offset minute")?;
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    Ok(if negative { -seconds } else { seconds })
}

/// The canonical base64 of what `text` stands for.
///
/// # Errors
/// Go's sentence with the place of the first wrong byte.
pub(super) fn base64(text: &str) -> Result<String, String> {
    let engine = &base64::engine::general_purpose::STANDARD;
    // The common case: valid and canonical, so that encoding gives the same text.
    if let Ok(bytes) = engine.decode(text) {
        return Ok(engine.encode(bytes));
    }
    go_base64(text.as_bytes())
        .map(|bytes| engine.encode(bytes))
        .map_err(|at| format!("illegal base64 data at input byte {at}"))
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Go's decoder: line ends are skipped and spare bits may be set. The error is the place of the first wrong byte.
fn go_base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut places = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let mut out = Vec::new();
    loop {
        let (mut bits, mut count, mut last) = (0_u32, 0_usize, 0);
        while count < 4 {
            let Some((at, byte)) = places.next() else {
                return if count == 0 { Ok(out) } else { Err(text.len() - count) };
            };
            last = at;
            match sextet(*byte) {
                Some(value) => bits = bits << 6 | value,
                None if *byte == b'=' && count >= 2 => break,
                None => return Err(at),
            }
            count += 1;
        }
        if count == 2 {
            // Of two padding bytes one was taken.
            match places.next() {
                None => return Err(text.len()),
                Some((_, b'=')) => {}
                Some((at, _)) => return Err(at),
            }
        }
        let bytes = (bits << (6 * (4 - count)) << 8).to_be_bytes();
        out.extend_from_slice(&bytes[..count - 1]);
        if count < 4 {
            let _ = last;
            return places.next().map_or(Ok(out), |(at, _)| Err(at));
        }
    }
}

/// The canonical form of an amount, or upstream's sentence. Spaces around it are allowed, as upstream has it.
pub(super) fn quantity(text: &str) -> Result<String, String> {
    quantity::canonical(text.trim()).map(std::borrow::Cow::into_owned).map_err(|error| error.to_string())
}
