//! Which alerts stand in one index: those whose scored records were appended in one period, UTC. Pure.
//!
//! What must stay true: the period follows from the record alone, never from the clock or from an index's size, because `create` finds
//! an alert that is already there only in the index that it would write. A period that is over ends in one `DELETE` of its index.

use serde::{Deserialize, Serialize};
use wh_schemas::Micros;
use wh_schemas::time::DAY;

/// How long a period is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rollover {
    /// Indexes `…-2026.11.22`.
    Day,
    /// Indexes `…-2026.11.16w`, named by their Monday.
    Week,
    /// Indexes `…-2026.11`.
    #[default]
    Month,
}

impl Rollover {
    /// The name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rollover::Day => "day",
            Rollover::Week => "week",
            Rollover::Month => "month",
        }
    }

    /// The period in which an instant lies (microseconds UTC), as the end of an index's name.
    #[must_use]
    pub fn period_of(self, instant: i64) -> String {
        match self {
            Rollover::Day => date(instant.div_euclid(DAY)),
            Rollover::Week => {
                // The first day of 1970 was a Thursday.
                let day = instant.div_euclid(DAY);
                format!("{}w", date(day - (day + 3).rem_euclid(7)))
            }
            Rollover::Month => date(instant.div_euclid(DAY)).get(..7).unwrap_or_default().to_owned(),
        }
    }

    /// The first instant behind a period; `None` where the text is none.
    #[must_use]
    pub fn end_of(self, period: &str) -> Option<i64> {
        let numbers = if self == Rollover::Week { period.strip_suffix('w')? } else { period };
        let mut numbers = numbers.split('.');
        let year = i64::from(numbers.next()?.parse::<u16>().ok()?);
        let month = i64::from(numbers.next()?.parse::<u8>().ok()?);
        let day = numbers.next().map_or(Ok(1), str::parse::<u8>).map(i64::from).ok()?;
        let begin = days_before(year, month, day);
        let end = match self {
            Rollover::Day => begin + 1,
            Rollover::Week => begin + 7,
            Rollover::Month if month == 12 => days_before(year + 1, 1, 1),
            Rollover::Month => days_before(year, month + 1, 1),
        };
        // What is written in any other way is no name of ours.
        (self.period_of(begin * DAY) == period).then_some(end * DAY)
    }
}

/// Days from 1970-01-01 to a date.
///
/// Source: Howard Hinnant, `days_from_civil`, <https://howardhinnant.github.io/date_algorithms.html>.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2026.11.22`
fn date(day: i64) -> String {
    Micros(day * DAY).to_string().get(..10).unwrap_or_default().replace('-', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_lies_in_one_period() {
        for (rollover, date, period, end) in [
            (Rollover::Day, (2026, 11, 22), "2026.11.22", (2026, 11, 23)),
            (Rollover::Week, (2026, 11, 22), "2026.11.16w", (2026, 11, 23)),
            (Rollover::Week, (2026, 11, 16), "2026.11.16w", (2026, 11, 23)),
            (Rollover::Week, (2025, 1, 1), "2024.12.30w", (2025, 1, 6)),
            (Rollover::Month, (2026, 11, 1), "2026.11", (2026, 12, 1)),
            (Rollover::Month, (2026, 12, 31), "2026.12", (2027, 1, 1)),
            (Rollover::Month, (2024, 2, 29), "2024.02", (2024, 3, 1)),
            (Rollover::Day, (1969, 12, 31), "1969.12.31", (1970, 1, 1)),
        ] {
            let begin = days_before(date.0, date.1, date.2) * DAY;
            for instant in [begin, begin + DAY - 1] {
                assert_eq!(rollover.period_of(instant), period);
            }
            assert_eq!(rollover.end_of(period), Some(days_before(end.0, end.1, end.2) * DAY), "{period}");
        }
        assert_eq!(Rollover::Month.end_of("2026.11"), Some(1_796_083_200_000_000));
    }

    #[test]
    fn what_is_no_period_is_told() {
        let month = ["2026.13", "2026.00", "2026.2", "backup", "2026", "2026.02.02", ""].map(|text| (Rollover::Month, text));
        for (rollover, text) in
            month.into_iter().chain([(Rollover::Day, "2026.11"), (Rollover::Week, "2026.11.17w"), (Rollover::Week, "2026.11.16"), (Rollover::Day, "2026.02.30")])
        {
            assert_eq!(rollover.end_of(text), None, "{text}");
        }
    }
}
