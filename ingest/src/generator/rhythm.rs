//! When people work: local time in the hospital's zone, the shifts' weeks, month ends, pay days, nights.
//!
//! What must stay true: everything here is a function of the instant, the zone and the dice. The cache of zone offsets
//! is filled from the start of an hour, never from the instant that happened to ask first, so that what is in it cannot
//! change a result.

use chrono::{Datelike, Offset, TimeZone};
use chrono_tz::Tz;
use wh_schemas::time::{DAY, HOUR, Micros, SECOND};

use super::dice::{Dice, whole};

/// The last instant that a row may have: 9999-12-31T23:59:59Z, in microseconds.
pub(super) const LAST: i64 = 253_402_300_799_000_000;

/// How much busier the last two days of a month and the first are.
const MONTH_END: f64 = 1.4;
/// Mean of that factor over a month, so that the density stays what was asked for.
const MONTH_MEAN: f64 = 1.0 + (MONTH_END - 1.0) * 3.0 / 30.44;

/// Hours of which the cache holds the offset: six weeks.
const CACHED_HOURS: usize = 1_024;

/// A person's usual working hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    Day,
    Late,
    Night,
    Weekend,
}

impl Shift {
    pub(super) const ALL: [Shift; 4] = [Shift::Day, Shift::Late, Shift::Night, Shift::Weekend];
}

/// What one hour of the clock has in common.
#[derive(Clone, Copy)]
struct Hour {
    /// Hours since 1970.
    number: i64,
    /// Local time minus UTC, in microseconds.
    offset: i64,
    month_end: bool,
}

/// Intensity by hour of the week, with mean 1.
struct Week {
    weights: [f64; 168],
    peak: f64,
}

impl Week {
    fn new(hours: &[f64; 24], days: [f64; 7]) -> Week {
        let mut weights = [0.0; 168];
        for (hour, weight) in weights.iter_mut().enumerate() {
            *weight = hours[hour % 24] * days[hour / 24];
        }
        let mean = weights.iter().sum::<f64>() / 168.0;
        let mut peak = 0.0_f64;
        for weight in &mut weights {
            *weight /= mean;
            peak = peak.max(*weight);
        }
        Week { weights, peak }
    }
}

// Midnight first. The dips are the meal breaks; nobody is ever quite absent.
const OFFICE_HOURS: [f64; 24] = [0.01, 0.01, 0.01, 0.01, 0.01, 0.02, 0.08, 0.40, 0.95, 1.25, 1.30, 1.20, 0.55, 0.75, 1.15, 1.15, 0.95, 0.50, 0.14, 0.06, 0.04, 0.03, 0.02, 0.01];
const LATE_HOURS: [f64; 24] = [0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.40, 0.75, 1.15, 1.20, 1.15, 1.00, 0.55, 0.95, 1.00, 0.85, 0.45, 0.12];
const NIGHT_HOURS: [f64; 24] = [1.10, 1.00, 0.60, 0.75, 0.85, 0.85, 0.60, 0.20, 0.03, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.03, 0.05, 0.10, 0.25, 0.45, 0.80, 1.10, 1.15];

/// The hospital's clock and its people's weeks.
pub(super) struct Rhythm {
    zone: Tz,
    hours: Vec<Hour>,
    /// In the order of [`Shift::ALL`].
    weeks: [Week; 4],
}

impl Rhythm {
    pub(super) fn new(zone: Tz) -> Rhythm {
        let unknown = Hour { number: i64::MIN, offset: 0, month_end: false };
        Rhythm {
            zone,
            hours: vec![unknown; CACHED_HOURS],
            weeks: [
                Week::new(&OFFICE_HOURS, [1.10, 1.00, 1.00, 1.00, 0.90, 0.07, 0.05]),
                Week::new(&LATE_HOURS, [1.00, 1.00, 1.00, 1.00, 1.00, 0.40, 0.30]),
                Week::new(&NIGHT_HOURS, [0.80, 0.80, 0.80, 0.90, 1.10, 1.10, 0.90]),
                Week::new(&OFFICE_HOURS, [0.03, 0.03, 0.03, 0.25, 0.70, 1.20, 1.20]),
            ],
        }
    }

    fn hour(&mut self, time: i64) -> Hour {
        let number = time.div_euclid(HOUR);
        let place = usize::try_from(number.rem_euclid(CACHED_HOURS as i64)).unwrap_or(0);
        let cached = self.hours[place];
        if cached.number == number {
            return cached;
        }
        let start = number * HOUR;
        let offset = Micros(start).utc().map_or(0, |utc| self.zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc());
        let offset = i64::from(offset) * SECOND;
        let fresh = Hour { number, offset, month_end: ends_month((start + offset).div_euclid(DAY)) };
        self.hours[place] = fresh;
        fresh
    }

    /// What the clock on the hospital's wall shows at that instant, in microseconds as if it were UTC.
    pub(super) fn local(&mut self, time: i64) -> i64 {
        time + self.hour(time).offset
    }

    /// The instant at which the wall clock shows `local`. In the hour that occurs twice or never, one an hour beside.
    fn instant(&mut self, local: i64) -> i64 {
        let guess = local - self.hour(local).offset;
        local - self.hour(guess).offset
    }

    /// The next instant after `from` at which someone does something: a Poisson process with the intensity of `shift`,
    /// `per_day` events a day in the mean over a week, drawn by thinning (Lewis and Shedler 1979). `phase` is how much
    /// later than others the person comes to work, in microseconds. Beyond [`LAST`], an instant after it.
    pub(super) fn next(&mut self, dice: &mut Dice, from: i64, shift: Shift, phase: i64, per_day: f64) -> i64 {
        let shift = shift as usize;
        let highest = self.weeks[shift].peak * MONTH_END;
        let mean_gap = DAY as f64 * MONTH_MEAN / (per_day * highest);
        let mut time = from;
        loop {
            time = time.saturating_add(dice.gap(mean_gap));
            if time > LAST {
                return LAST + 1;
            }
            let hour = self.hour(time);
            let weight = self.weeks[shift].weights[hour_of_week(time + hour.offset - phase)];
            let busy = if hour.month_end { MONTH_END } else { 1.0 };
            if dice.unit() * highest < weight * busy {
                return time;
            }
        }
    }

    /// The next evening after `from` on which salaries are paid, 17:30 local time: the 26th, or the Friday before
    /// where that is a weekend.
    pub(super) fn next_pay_evening(&mut self, from: i64) -> i64 {
        let today = self.local(from).div_euclid(DAY);
        // Two pay days are never more than 35 days apart; the first that is found may already be past.
        for day in today..today + 72 {
            if is_pay_day(day) {
                let evening = self.instant(day * DAY + 17 * HOUR + HOUR / 2);
                if evening > from {
                    return evening;
                }
            }
        }
        from + 30 * DAY
    }

    /// An instant between 01:00 and 02:30 local time in the night after `from`.
    pub(super) fn next_night(&mut self, dice: &mut Dice, from: i64) -> i64 {
        let tomorrow = self.local(from).div_euclid(DAY) + 1;
        let late = whole(dice.unit() * 1.5 * HOUR as f64);
        self.instant(tomorrow * DAY + HOUR + late).max(from + 1)
    }
}

/// 0 is Monday 00:00 to 01:00.
fn hour_of_week(local: i64) -> usize {
    // 1970 began on a Thursday, 72 hours into the week.
    usize::try_from((local.div_euclid(HOUR) + 72).rem_euclid(168)).unwrap_or(0)
}

fn day_of_month(day: i64) -> u32 {
    Micros(day * DAY).utc().map_or(15, |utc| utc.day())
}

fn ends_month(day: i64) -> bool {
    day_of_month(day) == 1 || day_of_month(day + 2) <= 2
}

fn is_pay_day(day: i64) -> bool {
    let weekday = (day + 3).rem_euclid(7);
    match day_of_month(day) {
        26 => weekday < 5,
        24 | 25 => weekday == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        Micros::parse(text, Tz::UTC).unwrap().0
    }

    #[test]
    fn local_time_follows_the_zone_through_its_change() {
        let mut rhythm = Rhythm::new(Tz::Europe__Berlin);
        for text in ["2026-01-10T08:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-07-01T12:00:00Z"] {
            let local = rhythm.local(at(text));
            assert_eq!(hour_of_week(local), usize::from(Micros(at(text)).hour_of_week(Tz::Europe__Berlin)), "{text}");
            assert_eq!(rhythm.instant(local), at(text), "{text}");
        }
    }

    #[test]
    fn salaries_are_paid_on_a_working_day() {
        let mut rhythm = Rhythm::new(Tz::Europe__Berlin);
        // 26 March 2026 is a Thursday, 26 April a Sunday.
        let march = rhythm.next_pay_evening(at("2026-03-02T00:00:00Z"));
        assert_eq!(march, at("2026-03-26T16:30:00Z"));
        assert_eq!(rhythm.next_pay_evening(march), at("2026-04-24T15:30:00Z"));
    }

    #[test]
    fn a_week_has_as_many_events_as_asked_for() {
        let mut rhythm = Rhythm::new(Tz::UTC);
        let mut dice = Dice::new(3);
        for shift in Shift::ALL {
            let start = at("2026-01-05T00:00:00Z");
            let (mut time, mut events) = (start, 0_u32);
            while time < start + 364 * DAY {
                time = rhythm.next(&mut dice, time, shift, 0, 20.0);
                events += 1;
            }
            let per_day = f64::from(events) / 364.0;
            assert!((per_day - 20.0).abs() < 1.0, "{shift:?}: {per_day}");
        }
    }
}
