//! When people work: calendar, shifts, and the moments of entries within a shift.

use chrono::{Datelike, NaiveDate, TimeDelta};

use crate::config::Config;
use crate::dice::{Dice, whole};
use crate::row::{DAY, HOUR};

/// The days of the stream.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Date of day 0.
    pub start: NaiveDate,
    /// By day: whether most people are off by law.
    pub holiday: Vec<bool>,
    /// By day: 1 is usual; more at a month's and a quarter's end.
    pub press: Vec<f64>,
}

impl Calendar {
    pub(crate) fn new(config: &Config, dice: &mut Dice) -> Self {
        let date = |day: usize| config.start.checked_add_signed(TimeDelta::days(day as i64)).unwrap_or(config.start);
        let mut holiday: Vec<bool> = (0..config.days).map(|d| matches!((date(d).month(), date(d).day()), (1, 1) | (5, 1) | (12, 25 | 26))).collect();
        for _ in 0..config.days.div_ceil(33) {
            let day = dice.below(config.days);
            if date(day).weekday().num_days_from_monday() < 5 {
                holiday[day] = true;
            }
        }
        let press = (0..config.days)
            .map(|d| {
                let ahead = date(d + 3);
                let ends = ahead.month() != date(d).month() || date(d).day() == 1;
                let ending = if date(d).day() == 1 { date(d).month() + 11 } else { date(d).month() };
                let quarter = ends && ending.is_multiple_of(3);
                if quarter {
                    1.9
                } else if ends {
                    1.5
                } else {
                    1.0
                }
            })
            .collect();
        Calendar { start: config.start, holiday, press }
    }

    /// The date of a day.
    #[must_use]
    pub fn date(&self, day: usize) -> NaiveDate {
        self.start.checked_add_signed(TimeDelta::days(day as i64)).unwrap_or(self.start)
    }

    /// 0 is Monday.
    #[must_use]
    pub fn weekday(&self, day: usize) -> usize {
        self.date(day).weekday().num_days_from_monday() as usize
    }

    /// Monday to Friday and no holiday.
    #[must_use]
    pub fn business(&self, day: usize) -> bool {
        self.weekday(day) < 5 && !self.holiday.get(day).copied().unwrap_or(false)
    }
}

/// How a person's weeks are cut.
#[derive(Clone, Debug)]
pub struct Shift {
    /// Seconds after midnight.
    pub start: i64,
    /// Seconds on duty.
    pub length: i64,
    /// Seconds after the start.
    pub lunch: i64,
    /// Monday first.
    pub weekdays: [bool; 7],
    /// Days on, days off, phase: a rota instead of weekdays.
    pub rota: Option<(usize, usize, usize)>,
    /// Alternates weekly between `start` and this.
    pub late: Option<i64>,
}

impl Shift {
    /// Whether on duty.
    #[must_use]
    pub fn works(&self, day: usize, weekday: usize) -> bool {
        match self.rota {
            Some((on, off, phase)) => (day + phase) % (on + off) < on,
            None => self.weekdays[weekday],
        }
    }

    /// Start of duty on that day, seconds after its midnight.
    #[must_use]
    pub fn start_on(&self, day: usize) -> i64 {
        match self.late {
            Some(late) if (day / 7).is_multiple_of(2) => late,
            _ => self.start,
        }
    }

    pub(crate) fn office(dice: &mut Dice) -> Shift {
        let mut weekdays = [true, true, true, true, true, false, false];
        if dice.chance(0.25) {
            weekdays[dice.below(5)] = false;
        }
        if dice.chance(0.12) {
            weekdays[5] = true;
        }
        let start = dice.from_to(26, 37) * HOUR / 4;
        Shift { start, length: dice.from_to(28, 36) * HOUR / 4, lunch: dice.from_to(14, 19) * HOUR / 4, weekdays, rota: None, late: None }
    }

    pub(crate) fn desk(dice: &mut Dice) -> Shift {
        let on = dice.count(4, 6);
        let late = dice.chance(0.5).then(|| dice.from_to(12, 14) * HOUR);
        Shift { start: dice.from_to(6, 9) * HOUR, length: 8 * HOUR, rota: Some((on, dice.count(2, 3), dice.below(9))), late, ..Shift::office(dice) }
    }

    pub(crate) fn night(dice: &mut Dice) -> Shift {
        let rota = Some((dice.count(3, 5), dice.count(2, 4), dice.below(9)));
        Shift { start: dice.from_to(19, 22) * HOUR, length: dice.from_to(8, 10) * HOUR, rota, late: None, ..Shift::office(dice) }
    }
}

/// One person's duty on one day.
#[derive(Clone, Debug)]
pub struct Duty {
    /// Seconds of the wall clock since day 0.
    pub from: i64,
    /// Seconds.
    pub length: i64,
    /// Lunch, seconds after `from`.
    pub lunch: i64,
    /// Against the person's usual number of entries.
    pub press: f64,
    /// Why the day is unusual, `ordinary` if it is not.
    pub scenario: &'static str,
}

impl Duty {
    /// Moments of `n` entries: spread with gaps, a part of them in clumps, some straying past the end.
    #[must_use]
    pub fn moments(&self, dice: &mut Dice, n: usize) -> Vec<i64> {
        let mut moments: Vec<i64> = Vec::with_capacity(n);
        for _ in 0..n {
            if dice.chance(0.4)
                && let Some(near) = dice.pick(&moments).copied()
            {
                moments.push(near + 15 + whole(dice.waiting(110.0)));
                continue;
            }
            let mut offset = whole(dice.unit() * self.length as f64);
            if offset > self.lunch && offset < self.lunch + HOUR * 3 / 4 && dice.chance(0.9) {
                offset = (offset + HOUR).min(self.length);
            }
            if dice.chance(0.03) {
                offset = self.length + whole(dice.waiting(3_000.0)).min(4 * HOUR);
            }
            moments.push(self.from + offset);
        }
        moments
    }

    /// The day's midnight.
    #[must_use]
    pub fn midnight(&self) -> i64 {
        self.from.div_euclid(DAY) * DAY
    }
}
