//! `resource.Quantity`: amounts such as `500m`, `64Mi` and `1e3`, exact, with upstream's canonical form.
//!
//! An amount is `mantissa x 10^exponent`. Amounts finer than a nano-unit are rounded away from zero, as upstream does.
//! The suffix family is kept: `1024Mi` prints as `1Gi`, `1000m` as `1`, `1e3` stays in exponent form.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How an amount is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Powers of ten with a letter: n u m k M G T P E.
    DecimalSi,
    /// Powers of 1024: Ki Mi Gi Ti Pi Ei.
    BinarySi,
    /// Powers of ten with an exponent: `12e6`.
    DecimalExponent,
}

/// Why a text is no quantity; the messages are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// The text has not the shape number + suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number cannot be read or has more than 36 digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact amount. Equality and order are by amount, whatever the format.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
    format: Format,
}

/// Most digits that are read; far above what an amount of any resource has, and safely within 128 bits.
const DIGITS_MAX: usize = 36;
/// Exponents outside this range are read as this range's end: no resource is counted in 10^60.
const EXPONENT_BOUND: i32 = 60;
const NANO: i32 = -9;
const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// `value` whole units.
    #[must_use]
    pub const fn from_units(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, exponent: 0, format }
    }

    /// `value` thousandths.
    #[must_use]
    pub const fn from_milli(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, exponent: -3, format }
    }

    /// Whole units, rounded up (away from zero), saturating.
    #[must_use]
    pub fn value(&self) -> i64 {
        clamp(self.at_scale(0).0)
    }

    /// Thousandths, rounded up (away from zero), saturating.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        clamp(self.at_scale(-3).0)
    }

    /// True for no amount at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// True below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    /// The family in which it prints.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sum, saturating; it prints in this one's format unless this one is zero.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let exponent = self.exponent.min(other.exponent);
        let mantissa = self.at_scale(exponent).0.saturating_add(other.at_scale(exponent).0);
        Self { mantissa, exponent, format }
    }

    /// The difference, saturating; it prints in this one's format unless this one is zero.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&Self { mantissa: other.mantissa.saturating_neg(), ..*other })
    }

    /// Mantissa at `10^scale`, rounded away from zero, and whether that was exact; saturates.
    fn at_scale(&self, scale: i32) -> (i128, bool) {
        let difference = self.exponent - scale;
        if difference >= 0 {
            return match power_of_ten(difference).and_then(|factor| self.mantissa.checked_mul(factor)) {
                Some(mantissa) => (mantissa, true),
                None if self.mantissa == 0 => (0, true),
                None => (if self.mantissa < 0 { i128::MIN } else { i128::MAX }, false),
            };
        }
        let Some(divisor) = power_of_ten(-difference) else {
            return (self.mantissa.signum(), self.mantissa == 0);
        };
        let (quotient, rest) = (self.mantissa / divisor, self.mantissa % divisor);
        (quotient + rest.signum(), rest == 0)
    }

    fn write_decimal(&self, formatter: &mut fmt::Formatter<'_>, exponential: bool) -> fmt::Result {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let exponent_max = if exponential { i32::MAX } else { 18 };
        while exponent.rem_euclid(3) != 0 || exponent > exponent_max {
            mantissa = mantissa.saturating_mul(10);
            exponent -= 1;
        }
        if exponential {
            return match exponent {
                0 => write!(formatter, "{mantissa}"),
                _ => write!(formatter, "{mantissa}e{exponent}"),
            };
        }
        let index = usize::try_from(exponent / 3 + 3).unwrap_or(0);
        write!(formatter, "{mantissa}{}", DECIMAL_SUFFIXES.get(index).unwrap_or(&""))
    }
}

impl fmt::Display for Quantity {
    /// The canonical form.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return formatter.write_str("0");
        }
        let (mut units, exact) = self.at_scale(0);
        if self.format != Format::BinarySi || !exact || (-1024 < units && units < 1024) {
            return self.write_decimal(formatter, self.format == Format::DecimalExponent);
        }
        let mut step = 0;
        while units % 1024 == 0 && step + 1 < BINARY_SUFFIXES.len() {
            units /= 1024;
            step += 1;
        }
        write!(formatter, "{units}{}", BINARY_SUFFIXES[step])
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let exponent = self.exponent.min(other.exponent);
        self.at_scale(exponent).0.cmp(&other.at_scale(exponent).0)
    }
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        parse(text).map(|parsed| parsed.quantity)
    }
}

/// The text as upstream would store it: canonical, or as it stands where upstream keeps it (`+5`, `1.500`, `5E3`).
///
/// # Errors
/// When the text is no quantity.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, ParseQuantityError> {
    let parsed = parse(text)?;
    if parsed.kept {
        return Ok(Cow::Borrowed(text));
    }
    let printed = parsed.quantity.to_string();
    Ok(if printed == text { Cow::Borrowed(text) } else { Cow::Owned(printed) })
}

struct Parsed {
    quantity: Quantity,
    /// Upstream keeps the text as it stands.
    kept: bool,
}

/// The text cut into sign, digits before and after the point, and suffix. Leading zeros are dropped.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, ParseQuantityError> {
    let digits_end = |text: &str| text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
    let (whole, rest) = unsigned.split_at(digits_end(unsigned));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_end(rest)),
        None => ("", rest),
    };
    let tail = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if !tail.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseQuantityError::Format);
    }
    Ok(Parts { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
}

/// Base (2 or 10), exponent and family of a suffix.
fn interpret(suffix: &str) -> Option<(i32, Format)> {
    let position = |list: &[&str]| list.iter().position(|known| *known == suffix).and_then(|i| i32::try_from(i).ok());
    if let Some(index) = position(&DECIMAL_SUFFIXES) {
        return Some((index * 3 + NANO, Format::DecimalSi));
    }
    if let Some(index) = position(&BINARY_SUFFIXES) {
        return Some((index * 10, Format::BinarySi));
    }
    let number = suffix.strip_prefix(['e', 'E'])?;
    let exponent: i64 = number.parse().ok()?;
    let exponent = exponent.clamp(i64::from(-EXPONENT_BOUND), i64::from(EXPONENT_BOUND));
    Some((i32::try_from(exponent).ok()?, Format::DecimalExponent))
}

fn parse(text: &str) -> Result<Parsed, ParseQuantityError> {
    if text.is_empty() {
        return Err(ParseQuantityError::Format);
    }
    let parts = split(text)?;
    let (exponent, format) = interpret(parts.suffix).ok_or(ParseQuantityError::Suffix)?;
    if parts.whole.len() + parts.fraction.len() > DIGITS_MAX {
        return Err(ParseQuantityError::Numeric);
    }
    let mut mantissa: i128 = 0;
    for digit in parts.whole.bytes().chain(parts.fraction.bytes()) {
        mantissa = mantissa * 10 + i128::from(digit - b'0');
    }
    let digits = parts.whole.len() + parts.fraction.len();
    let last_digits = mantissa % 1000;
    let starts_with_zero = parts.whole.starts_with('0');
    if parts.negative {
        mantissa = -mantissa;
    }
    let fraction_digits = i32::try_from(parts.fraction.len()).map_err(|_| ParseQuantityError::Numeric)?;
    let kept;
    let mut quantity = if format == Format::BinarySi {
        kept = fraction_digits == 0 && mantissa & 0x07 != 0 && digits + binary_digits(exponent) <= 14;
        let factor = 1_i128 << exponent;
        let mantissa = mantissa.checked_mul(factor).ok_or(ParseQuantityError::Numeric)?;
        Quantity { mantissa, exponent: -fraction_digits, format }
    } else {
        let scale = exponent - fraction_digits;
        let ends_with_zeros = digits >= 3 && last_digits == 0;
        kept = digits <= 18 && scale >= NANO && scale % 3 == 0 && !ends_with_zeros && !starts_with_zero;
        Quantity { mantissa, exponent: scale, format }
    };
    if quantity.exponent < NANO {
        quantity.mantissa = quantity.at_scale(NANO).0;
        quantity.exponent = NANO;
    }
    let cap = Quantity::from_units(i64::MAX, format);
    if format == Format::BinarySi && !kept && quantity > cap {
        quantity = cap;
    }
    if format == Format::BinarySi && !quantity.is_negative() && quantity < Quantity::from_units(1, format) {
        quantity.format = Format::DecimalSi;
    }
    Ok(Parsed { quantity, kept })
}

/// About how many decimal digits `2^exponent` has: upstream's estimate for its fast path.
fn binary_digits(exponent: i32) -> usize {
    usize::try_from(exponent * 3 / 10).unwrap_or(0)
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;
